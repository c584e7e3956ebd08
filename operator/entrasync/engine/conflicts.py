"""What the service would refuse about an object, found before it is asked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from entrasync.entra.contracts import PropertyValue
from entrasync.state.claims import Claimant
from entrasync.state.rows import decode_properties

USER_PRINCIPAL_NAME: Final = "userPrincipalName"
MAIL: Final = "mail"
PROXY_ADDRESSES: Final = "proxyAddresses"
CERTIFICATES: Final = ("userCertificate", "userSMIMECertificate")
MOST_CERTIFICATES: Final = 15
MOST_ADDRESSES: Final = 300
LONGEST_NAME: Final = 64
"""Characters of a user principal name before the at sign."""
LONGEST_DOMAIN: Final = 48
"""Characters after it."""

TOO_LARGE: Final = "GroupTooLarge"
INVALID: Final = "IdentityDataValidationFailed"
LARGE_OBJECT: Final = "LargeObject"

_MOST_VALUES: Final = {
    **dict.fromkeys(CERTIFICATES, MOST_CERTIFICATES),
    PROXY_ADDRESSES: MOST_ADDRESSES,
}
_NAME_CHARACTER: Final = r"""[^@\\%&*+/=?{}|<>();:,[\]"` \t\r\n]"""
# without a look-up for each value
_blake2b: Final = hashlib.blake2b
_from_bytes: Final = int.from_bytes
_SMTP: Final = "smtp:"
_NAME: Final = "name:"


class Claimed(IntEnum):
    """The property that takes a value; the first of an object that takes it counts."""

    USER_PRINCIPAL_NAME = 0
    PROXY_ADDRESS = 1
    MAIL = 2


# SQLite takes three times as long for what is no plain number
_PRINCIPAL_NAME: Final = int(Claimed.USER_PRINCIPAL_NAME)
_ADDRESS: Final = int(Claimed.PROXY_ADDRESS)
_MAIL: Final = int(Claimed.MAIL)

DUPLICATES: Final = {
    Claimed.USER_PRINCIPAL_NAME: "DuplicateUserPrincipalName",
    Claimed.PROXY_ADDRESS: "DuplicateProxyAddress",
    Claimed.MAIL: "DuplicateMail",
}
_NAMES: Final = {
    Claimed.USER_PRINCIPAL_NAME: "its userPrincipalName",
    Claimed.PROXY_ADDRESS: "one of its proxyAddresses",
    Claimed.MAIL: "its mail",
}


@dataclass(slots=True, frozen=True, kw_only=True)
class Conflict:
    """What is in the way of an object.

    Attributes:
        code: as the service would say it.
        message: what to do; no personal values.
    """

    code: str
    message: str


def too_large(members: int, limit: int) -> Conflict | None:
    """Whether a group has more members than are taken."""
    if members <= limit:
        return None
    return Conflict(
        code=TOO_LARGE,
        message=f"it has {members} members, at most {limit} are taken; it is frozen as it is and"
        " goes on by itself when it fits",
    )


def refused(properties: Mapping[str, PropertyValue]) -> Conflict | None:
    """What the service would refuse about properties as they are wanted."""
    name = properties.get(USER_PRINCIPAL_NAME)
    if isinstance(name, str) and _VALID_NAME.fullmatch(name) is None:
        return Conflict(
            code=INVALID,
            message="its userPrincipalName has characters that are not allowed, or is no name of at"
            " most 64 characters, one at sign and a domain; correct it, the object stays as it is"
            " meanwhile",
        )
    for key, most in _MOST_VALUES.items():
        values = properties.get(key)
        if isinstance(values, tuple) and len(values) > most:
            return Conflict(
                code=LARGE_OBJECT,
                message=f"{key} has {len(values)} values, at most {most} are taken; remove those"
                " that are out of use, the object stays as it is meanwhile",
            )
    return None


_VALID_NAME: Final = re.compile(
    rf"{_NAME_CHARACTER}{{1,{LONGEST_NAME}}}(?<!\.)@{_NAME_CHARACTER}{{1,{LONGEST_DOMAIN}}}"
)


def claims_of(properties: Mapping[str, PropertyValue]) -> dict[int, int]:
    """Values of which the tenant has each but once, as numbers, with the property of each.

    Names to sign in with and addresses are two spaces: a group may have an address that equals a
    user's name. A mail is an address.
    """
    found: dict[str, int] = {}
    mail = properties.get(MAIL)
    if isinstance(mail, str):
        found[_SMTP + mail.casefold()] = _MAIL
    addresses = properties.get(PROXY_ADDRESSES)
    if isinstance(addresses, tuple):
        for address in addresses:
            if isinstance(address, str):
                found[address.casefold()] = _ADDRESS  # most have their mail among these
    name = properties.get(USER_PRINCIPAL_NAME)
    if isinstance(name, str):
        found[_NAME + name.casefold()] = _PRINCIPAL_NAME
    return {_number(value): held for value, held in found.items()}


def _number(value: str) -> int:
    digest = _blake2b(value.encode(), digest_size=8).digest()
    return _from_bytes(digest, "big", signed=True)


def losers(claimants: Sequence[Claimant]) -> list[tuple[int, Conflict]]:
    """Who does not get a value: all but its holder in the cloud, else all but the first anchor."""
    value = claimants[0].value
    holding = [each for each in claimants if _holds(each, value)]
    winner = min(holding or claimants, key=lambda each: each.name)
    return [
        (each.anchor, _duplicate(Claimed(each.property)))
        for each in claimants
        if each is not winner
    ]


def _holds(each: Claimant, value: int) -> bool:
    return each.properties is not None and value in claims_of(decode_properties(each.properties))


def _duplicate(claimed: Claimed) -> Conflict:
    return Conflict(
        code=DUPLICATES[claimed],
        message=f"{_NAMES[claimed]} is wanted by another object that is synced as well; give one of"
        " them another value, this one stays as it is meanwhile",
    )
