"""Sign-in names and mail addresses: which are well formed, and which a tenant takes.

Where not said otherwise the rules are documented: for names under "prepare for directory
synchronization", for nicknames under "UserPrincipalName population", for addresses under "how the
proxyAddresses attribute is populated".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from entrasync.emulator.objects import Attributes, RefusedError

UPN: Final = "userPrincipalName"
PROXY_ADDRESSES: Final = "proxyAddresses"
MAIL: Final = "mail"
MAIL_NICKNAME: Final = "mailNickname"
NAME_KEYS: Final = frozenset(key.lower() for key in (UPN, PROXY_ADDRESSES, MAIL, MAIL_NICKNAME))
"""Attributes names are calculated from, in lower case."""

PRIMARY: Final = "SMTP:"
SECONDARY: Final = "smtp:"

_UPN_FORM: Final = re.compile(
    r"(?P<prefix>[A-Za-z0-9'._!#^~-]{1,64})(?<!\.)@(?P<suffix>[A-Za-z0-9._-]{1,48})"
)
_NOT_IN_NICKNAME: Final = re.compile(r"[^A-Za-z0-9'._!#^~-]")
_SMTP_FORM: Final = re.compile(r"[^\s@<>();,\[\]\":]+@[^\s@<>();,\[\]\":]+")
_LEGACY_PROTOCOLS: Final = ("msmail:", "x400:", "ccmail:")
_RESERVED_SUFFIXES: Final = (".onmicrosoft.com", ".microsoftonline.com")


def check_upn(upn: str) -> None:
    """Refuses what is no user principal name.

    Raises:
        RefusedError: it has characters or a form the tenant does not take.
    """
    if _UPN_FORM.fullmatch(upn) is None:
        raise RefusedError(
            "IdentityDataValidationFailed",
            f"The value <pii>{upn}</pii> of UserPrincipalName is not valid.",
        )


def prefix_of(address: str) -> str:
    """What stands before the last at sign."""
    return address.rpartition("@")[0]


def domain_of(address: str) -> str:
    """What stands behind the last at sign, in lower case."""
    return address.rpartition("@")[2].lower()


def primary_of(addresses: tuple[str, ...]) -> str | None:
    """The primary mail address, without its protocol."""
    for each in addresses:
        if each.startswith(PRIMARY):
            return each[len(PRIMARY) :]
    return None


def exported_primary(attributes: Attributes) -> str | None:
    """The mail address an object is to have: the primary one, else `mail`."""
    return primary_of(attributes.texts(PROXY_ADDRESSES)) or attributes.text(MAIL)


def nickname_of(attributes: Attributes) -> str | None:
    """The nickname a new object gets: from the first of these that has a value."""
    addresses = attributes.texts(PROXY_ADDRESSES)
    candidates = (
        attributes.text(MAIL_NICKNAME),
        prefix_of(primary_of(addresses) or ""),
        prefix_of(attributes.text(MAIL) or ""),
        prefix_of(attributes.text(UPN) or ""),
        *(prefix_of(each[len(SECONDARY) :]) for each in addresses if is_smtp(each)),
    )
    found = next((each for each in candidates if each), None)
    return None if found is None else _NOT_IN_NICKNAME.sub("_", found)


def is_smtp(address: str) -> bool:
    """Whether a proxy address is a mail address."""
    return address[: len(SECONDARY)].lower() == SECONDARY


def is_mail_address(text: str) -> bool:
    """Whether a text without protocol may be a mail address."""
    return _SMTP_FORM.fullmatch(text) is not None


def is_reserved(address: str) -> bool:
    """Whether the domain belongs to the service: such addresses cannot be exported."""
    return domain_of(address).endswith(_RESERVED_SUFFIXES)


def well_formed(addresses: tuple[str, ...]) -> Iterator[str]:
    """The proxy addresses a tenant takes: with a protocol that is not out of use.

    Of several primary ones the first stays one (inferred: an object has one).
    """
    primary = False
    for each in addresses:
        protocol, colon, value = each.partition(":")
        if not colon or not protocol or f"{protocol.lower()}:" in _LEGACY_PROTOCOLS:
            continue
        if is_smtp(each) and not is_mail_address(value):
            continue
        yield SECONDARY + value if primary and each.startswith(PRIMARY) else each
        primary = primary or each.startswith(PRIMARY)
