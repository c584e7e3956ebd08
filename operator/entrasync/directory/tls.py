"""TLS that is always verified.

ldap3 verifies nothing by default, matches host names with code of its own that knows no IP
addresses, and hides why a certificate was refused. Here OpenSSL does all of it.
"""

from __future__ import annotations

import ssl
from typing import Any

from ldap3 import Tls
from typing_extensions import override

from entrasync.directory.bounded import BoundedSocket
from entrasync.errors import ConfigurationError

_NAME_MISMATCH = frozenset({62, 64})
"""OpenSSL's verify codes for a host name and for an IP address that the certificate lacks."""


class VerifiedTls(Tls):
    """What ldap3 wraps its sockets with.

    Args:
        ca_pem: the CAs to trust, PEM; `None` trusts those of the system.
        resource: `Kind/name` that errors point at.

    Raises:
        ConfigurationError: `ca_pem` holds no certificate.
    """

    def __init__(self, ca_pem: str | None, *, resource: str) -> None:
        super().__init__(validate=ssl.CERT_REQUIRED)
        self.refusal: ssl.SSLCertVerificationError | None = None
        self._context = _context(ca_pem, resource)

    @override
    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        def wrapped(plain: Any) -> ssl.SSLSocket:
            return self._context.wrap_socket(plain, server_hostname=connection.server.host)

        try:
            if isinstance(connection.socket, BoundedSocket):  # StartTLS
                connection.socket.wrap(wrapped)
            else:
                connection.socket = wrapped(connection.socket)
        except ssl.SSLCertVerificationError as error:
            self.refusal = error  # ldap3 turns it into an exception that no longer says why
            raise


def not_trusted(
    error: ssl.SSLCertVerificationError, url: str, resource: str, *, named_in: str = "spec.servers"
) -> ConfigurationError:
    """Say why a server's certificate was refused, and what to do."""
    if error.verify_code in _NAME_MISMATCH:
        return ConfigurationError(
            "CertificateNotTrusted",
            f"The certificate of {url} is for another name. "
            "Use the server's name as its certificate has it.",
            resource=resource,
            field=named_in,
        )
    return ConfigurationError(
        "CertificateNotTrusted",
        f"The certificate of {url} is not trusted ({error.verify_message}). "
        "Give the CA that issued it, or renew the certificate on the server.",
        resource=resource,
        field="spec.caProvider",
    )


def _context(ca_pem: str | None, resource: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies the chain and the host name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_pem is None:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(cadata=ca_pem)
    except (ssl.SSLError, ValueError) as error:
        raise ConfigurationError(
            "CertificateNotTrusted",
            "The CA given holds no certificate. It must be one or more certificates in PEM form.",
            resource=resource,
            field="spec.caProvider",
        ) from error
    return context
