"""Connect to the first server that can be reached, verify it, bind once.

ldap3 connects, starts TLS and binds; what a server may send meanwhile is limited here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit

import structlog
from ldap3 import GSSAPI, NONE, SAFE_SYNC, SASL, SIMPLE, Connection, Server
from ldap3.core.exceptions import LDAPStartTLSError

from entrasync.directory.bounded import BoundedSocket
from entrasync.directory.kerberos import FIELD as KEYTAB_FIELD
from entrasync.directory.kerberos import ticket, why_no_ticket
from entrasync.directory.link import Link, close_connection
from entrasync.directory.locate import FIELD as DOMAIN_FIELD
from entrasync.directory.locate import locate
from entrasync.directory.tls import VerifiedTls, not_trusted
from entrasync.errors import BindRejectedError, ConfigurationError, TransientError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from entrasync.directory.model import DirectoryConfig

    Finder: TypeAlias = Callable[[DirectoryConfig], tuple[str, ...]]

_SUCCESS = 0
_NOT_NOW = frozenset({51, 52})
"""Busy and unavailable: nobody looked at the credentials, so another server may be asked."""

log = structlog.get_logger()


class _UnreachableError(Exception):
    """This server cannot be used now, the next one may."""


def connect(config: DirectoryConfig, *, find: Finder = locate) -> Link:
    """Give a bound connection to the first server that answers, of the list or of the domain.

    Args:
        config: where to connect and how.
        find: finds the servers of a domain.

    Raises:
        BindRejectedError: the credentials were refused; no other server was asked.
        ConfigurationError: a certificate is not trusted, or an address cannot be used.
        TransientError: no server can be reached.
    """
    failures: list[str] = []
    for link in reach(config, failures, find=find):
        return link
    raise unreachable(failures, config)


def reach(config: DirectoryConfig, failures: list[str], *, find: Finder = locate) -> Iterator[Link]:
    """Give a bound connection to each server that answers, one after the other.

    Args:
        config: where to connect and how.
        failures: filled with what was wrong with the servers that do not answer.
        find: finds the servers of a domain.

    Raises:
        BindRejectedError: the credentials were refused; no other server was asked.
        ConfigurationError: a certificate is not trusted, or an address cannot be used.
        TransientError: no servers are found.
    """
    for url in config.servers:
        _check_address(url, config)
    credential = _credential(config)
    for url in find(config) if _is_by_name(config) else config.servers:
        try:
            link = _connect_to(url, config, credential)
        except _UnreachableError as error:
            log.info("server_unreachable", server=url, error=str(error))
            failures.append(f"{url} ({error})")
        else:
            yield link


def unreachable(failures: Sequence[str], config: DirectoryConfig) -> TransientError:
    """Build the error of servers of which none answers."""
    return TransientError(
        "ServerUnreachable",
        f"No server can be reached: {', '.join(failures) or 'none is given'}. "
        "Check the addresses, the network and that a domain controller is up.",
        resource=config.resource,
        field=_named_in(config),
    )


def _is_by_name(config: DirectoryConfig) -> bool:
    return config.domain is not None and not config.servers


def _named_in(config: DirectoryConfig) -> str:
    return DOMAIN_FIELD if _is_by_name(config) else "spec.servers"


def _credential(config: DirectoryConfig) -> dict[str, Any]:
    """Say whom to bind as, as ldap3 wants it."""
    if config.keytab is not None:
        return {
            "authentication": SASL,
            "sasl_mechanism": GSSAPI,
            "sasl_credentials": (None, None, ticket(config)),
        }
    if not config.bind_user or not config.bind_password:
        # a simple bind without a password succeeds as nobody (RFC 4513, 5.1.2)
        raise _bind_rejected("The user name or the password is empty.", config)
    return {
        "authentication": SIMPLE,
        "user": config.bind_user,
        "password": config.bind_password,
    }


def _connect_to(url: str, config: DirectoryConfig, credential: Mapping[str, Any]) -> Link:
    tls = VerifiedTls(config.ca_pem, resource=config.resource)
    connection = _build_connection(url, tls, config, credential)
    try:
        bounded = _open_with_tls(connection, config.receive_timeout)
        _, result, _, _ = connection.bind(read_server_info=False)
        connection.socket = bounded.release(config.receive_timeout)
    except Exception as error:  # ldap3 stumbles over a broken answer with whatever it comes to
        close_connection(connection)
        if tls.refusal is not None:
            named_in = _named_in(config)
            raise not_trusted(tls.refusal, url, config.resource, named_in=named_in) from error
        why = why_no_ticket(error) or connection.last_error or str(error)
        raise _UnreachableError(why) from error
    if result["result"] == _SUCCESS:
        return Link(connection, url=url, resource=config.resource)
    close_connection(connection)
    if result["result"] in _NOT_NOW:
        raise _UnreachableError("it is busy")
    raise _bind_rejected(
        f"{url} refused the bind (LDAP result {result['result']}).",
        config,
    )


def _open_with_tls(connection: Connection, seconds: float) -> BoundedSocket:
    """Open a connection; until it is bound, what the server sends is limited."""
    connection.open(read_server_info=False)
    bounded = connection.socket = BoundedSocket(connection.socket, seconds=seconds)
    if connection.server.ssl:
        return bounded
    connection.start_tls(read_server_info=False)
    if not connection.tls_started:  # never go on to the bind in clear
        raise LDAPStartTLSError("TLS could not be started")
    return bounded


def _build_connection(
    url: str, tls: VerifiedTls, config: DirectoryConfig, credential: Mapping[str, Any]
) -> Connection:
    server = Server(
        url,
        tls=tls,
        get_info=NONE,
        connect_timeout=config.connect_timeout,
        allowed_referral_hosts=[],
    )
    return Connection(
        server,
        **credential,
        client_strategy=SAFE_SYNC,
        auto_bind=False,
        auto_referrals=False,
        check_names=False,
        read_only=True,
        # ldap3 packs it into a C structure: whole seconds only
        receive_timeout=math.ceil(config.receive_timeout),
    )


def _check_address(url: str, config: DirectoryConfig) -> None:
    scheme = urlsplit(url).scheme.lower()
    if scheme == "ldaps" or (scheme == "ldap" and config.start_tls):
        return
    raise ConfigurationError(
        "CertificateNotTrusted",
        f"{url} would send the password in clear. Use ldaps://, or ldap:// with startTLS: true.",
        resource=config.resource,
        field="spec.startTLS" if scheme == "ldap" else "spec.servers",
    )


def _bind_rejected(what: str, config: DirectoryConfig) -> BindRejectedError:
    mended = "username and password" if config.keytab is None else "the keytab"
    return BindRejectedError(
        "BindRejected",
        f"{what} No other server was asked and nothing is tried again soon, so that the account is "
        f"not locked. Mend {mended} in the Secret, or unlock the account.",
        resource=config.resource,
        field=KEYTAB_FIELD if config.keytab is not None else "spec.bindSecretRef",
    )
