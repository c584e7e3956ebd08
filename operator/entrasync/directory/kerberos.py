"""Binding by a keytab instead of a password: Kerberos, by the optional package `gssapi`.

The ticket is asked for once, before any server: a key that is refused locks an account as a wrong
password does. It is kept in memory and never in a file. Where the key distribution centres are, the
library finds out by DNS, as every member of a domain does, or by its own configuration.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from entrasync.errors import BindRejectedError, ConfigurationError, TransientError

if TYPE_CHECKING:
    from entrasync.directory.model import DirectoryConfig

FIELD = "spec.keytabSecretRef"
PRINCIPAL_FIELD = "spec.principal"

_FIRST = -1765328384
"""Kerberos errors are numbered from here on (RFC 4120, 7.5.9, and MIT's own after them)."""
_REFUSED = {
    1: "the account has expired",
    6: "the domain does not know the principal",
    12: "a policy of the domain forbids it",
    14: "the keytab holds no key of a kind that the domain accepts; make it with AES keys",
    18: "the account is disabled, expired or locked",
    23: "the password of the account has expired",
    24: "the key is an old one; make the keytab anew",
}
_NO_KEY = frozenset({181, 182, 184, 193, 195, 229})
_SKEWED = 37


def ticket(config: DirectoryConfig) -> Any:
    """Get a ticket for the principal of a keytab.

    Raises:
        ConfigurationError: `KerberosNotInstalled`, or there is no principal.
        BindRejectedError: the key was refused, or the keytab does not hold it.
        TransientError: no key distribution centre answers.
    """
    library = _library(config)
    if not config.principal:
        raise ConfigurationError(
            "BindRejected",
            "There is a keytab, but no principal. Say whose key it is, as in reader@CONTOSO.TEST.",
            resource=config.resource,
            field=PRINCIPAL_FIELD,
        )
    try:
        found = library.Credentials(
            name=library.Name(config.principal, library.NameType.kerberos_principal),
            usage="initiate",
            store={"client_keytab": f"FILE:{config.keytab}", "ccache": f"MEMORY:{uuid4()}"},
        )
        found.inquire(lifetime=True)  # only now the ticket is asked for
    except library.exceptions.GSSError as error:
        raise _refused(error, config) from error
    return found


def why_no_ticket(error: BaseException) -> str | None:
    """Say why no ticket for a server was to be had; `None` when it was something else."""
    if not hasattr(error, "min_code"):
        return None
    return f"Kerberos gives no ticket for it: {_words(error)}"


def _library(config: DirectoryConfig) -> Any:
    try:
        return importlib.import_module("gssapi")
    except (ImportError, OSError) as error:
        raise ConfigurationError(
            "KerberosNotInstalled",
            "A keytab needs Kerberos, which is not part of this image. Use an image with the extra "
            "`kerberos` (pip install 'entrasync[kerberos]', and the library libgssapi-krb5-2), or "
            "`spec.bindSecretRef` with a name and a password.",
            resource=config.resource,
            field=FIELD,
        ) from error


def _refused(error: Any, config: DirectoryConfig) -> ConfigurationError | TransientError:
    code = _code(error)
    if code in _NO_KEY or code in _REFUSED:
        why = _REFUSED.get(code, "the keytab is none, or holds no key of a principal so spelled")
        return BindRejectedError(
            "BindRejected",
            f"Kerberos gives {config.principal} no ticket: {why}. "
            "Nothing is tried again soon, so that the account is not locked. Mend the keytab in "
            "the Secret, or the account.",
            resource=config.resource,
            field=FIELD,
        )
    remedy = (
        "Set the clock of the node."
        if code == _SKEWED
        else "Check that the realm is spelled in capitals, that DNS knows its domain controllers "
        "(_kerberos._udp), and that port 88 can be reached."
    )
    return TransientError(
        "ServerUnreachable",
        f"Kerberos gives {config.principal} no ticket: {_words(error)}. {remedy}",
        resource=config.resource,
        field=PRINCIPAL_FIELD,
    )


def _code(error: Any) -> int:
    """Number of the error within those of Kerberos."""
    number = int(error.min_code)
    return (number - (1 << 32) if number > 0 else number) - _FIRST


def _words(error: Any) -> str:
    """What the library says of an error: of its own part, without the numbers."""
    return str(error.gen_message()).partition("Minor ")[2].partition(": ")[2].strip() or "it fails"
