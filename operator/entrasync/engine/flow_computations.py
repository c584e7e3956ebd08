"""Values that are computed from an object, by the names that `defaults.yaml` uses."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from entrasync.engine.flow_values import Contributor, as_integer, as_text
from entrasync.engine.source import ACCOUNT_DISABLED, SECURITY_GROUP
from entrasync.entra.contracts import PropertyValue

REVISION: Final = 1
"""Raised whenever a computation or a conversion gives other results than before."""

_DAY: Final = 86_400
"""Seconds."""
_EPOCH: Final = 11_644_473_600
"""Seconds from 1601 to 1970."""
_LAST: Final = 2_650_467_743_990_000_000
"""The end of the year 9999; what is later means never."""
_TWO_DIGITS: Final = tuple(f"{number:02}" for number in range(60))


@dataclass(slots=True, frozen=True, kw_only=True)
class Computation:
    """A value that is computed.

    Attributes:
        attributes: LDAP names it reads.
        words: what it takes, for people.
        value_of: the value, `None` when there is none.
    """

    attributes: tuple[str, ...]
    words: str
    value_of: Callable[[Contributor], PropertyValue]


def account_enabled(contributor: Contributor) -> bool:
    """Whether the account may sign in."""
    values = contributor.source.values.get("userAccountControl", ())
    return not (as_integer(values) or 0) & ACCOUNT_DISABLED


def security_enabled(contributor: Contributor) -> bool:
    """Whether a group grants rights, or only distributes mail."""
    values = contributor.source.values.get("groupType", ())
    return bool((as_integer(values) or 0) & SECURITY_GROUP)


def principal_name(contributor: Contributor) -> str | None:
    """As in Entra Connect: who has no UPN signs in by account name and domain."""
    attributes = contributor.source.values
    name = as_text(attributes.get("userPrincipalName", ()))
    if name is not None:
        return name
    account = as_text(attributes.get("sAMAccountName", ()))
    return None if account is None else f"{account}@{contributor.domain}"


def country_code(contributor: Contributor) -> int | None:
    """The directory's 0 says that nobody set one."""
    return as_integer(contributor.source.values.get("countryCode", ())) or None


def password_changed(contributor: Contributor) -> str | None:
    """When the password was last changed."""
    ticks = as_integer(contributor.source.values.get("pwdLastSet", ()))
    return generalized_time(ticks) if ticks is not None and 0 < ticks <= _LAST else None


def generalized_time(filetime: int) -> str:
    """100 ns ticks since 1601 as `20190801164342.0Z`."""
    # it is done for every user, and most have a day in common
    days, seconds = divmod(filetime // 10_000_000 - _EPOCH, _DAY)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return f"{_day(days)}{_TWO_DIGITS[hour]}{_TWO_DIGITS[minute]}{_TWO_DIGITS[second]}.0Z"


@lru_cache(maxsize=4096)
def _day(number: int) -> str:
    """The date that is so many days after 1970 began."""
    return time.strftime("%Y%m%d", time.gmtime(number * _DAY))


def object_identifier(contributor: Contributor) -> bytes:
    """The objectGUID in the directory's order of bytes."""
    # what uuid.UUID(...).bytes_le gives, many times as quick: it is done for every user
    raw = contributor.source.guid_bytes
    return raw[3::-1] + raw[5:3:-1] + raw[7:5:-1] + raw[8:]


COMPUTATIONS: Final = {
    "account-enabled": Computation(
        attributes=("userAccountControl",), words="userAccountControl", value_of=account_enabled
    ),
    "security-enabled": Computation(
        attributes=("groupType",), words="groupType", value_of=security_enabled
    ),
    "principal-name": Computation(
        attributes=("userPrincipalName", "sAMAccountName"),
        words="userPrincipalName, else sAMAccountName and the domain",
        value_of=principal_name,
    ),
    "country-code": Computation(
        attributes=("countryCode",), words="countryCode", value_of=country_code
    ),
    "password-changed": Computation(
        attributes=("pwdLastSet",), words="pwdLastSet", value_of=password_changed
    ),
    "object-identifier": Computation(
        attributes=(), words="the object's GUID", value_of=object_identifier
    ),
    "distinguished-name": Computation(
        attributes=(), words="the object's DN", value_of=lambda contributor: contributor.dn
    ),
    "domain-name": Computation(
        attributes=(),
        words="the source's domain",
        value_of=lambda contributor: contributor.domain or None,
    ),
}
"""By the names that `defaults.yaml` uses."""
