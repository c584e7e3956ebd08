"""One object of the source space, as the engine sees it: merged knowledge, decoded on demand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

EXPORTED_ATTRIBUTES: Final = (
    "c",
    "cn",
    "co",
    "company",
    "countryCode",
    "department",
    "description",
    "displayName",
    "employeeID",
    "employeeType",
    "facsimileTelephoneNumber",
    "givenName",
    "l",
    "mail",
    "manager",
    "mobile",
    "physicalDeliveryOfficeName",
    "postalCode",
    "proxyAddresses",
    "sAMAccountName",
    "sn",
    "st",
    "streetAddress",
    "telephoneNumber",
    "title",
    "userPrincipalName",
)
"""Attributes that flow to the cloud."""

DECIDING_ATTRIBUTES: Final = (
    "adminDescription",
    "groupType",
    "isCriticalSystemObject",
    "mS-DS-ConsistencyGuid",
    "name",
    "objectClass",
    "objectSid",
    "pwdLastSet",
    "userAccountControl",
)
"""Attributes that decide what takes part, and as what."""

OPTIONAL_ATTRIBUTES: Final = (
    "mailNickname",
    "msExchHideFromAddressLists",
    "msExchRecipientTypeDetails",
    "primaryGroupID",
)
"""Attributes read where the directory has them: of Exchange's schema extension, and what is only
counted."""

SOURCE_ATTRIBUTES: Final = tuple(sorted({*EXPORTED_ATTRIBUTES, *DECIDING_ATTRIBUTES}))
"""Everything every directory must have."""

ACCOUNT_DISABLED: Final = 0x2
SECURITY_GROUP: Final = 0x80000000
FILETIME_NEVER: Final = frozenset({0, 0x7FFFFFFFFFFFFFFF})


class SourceKind(StrEnum):
    """What an object of the directory is to a sync."""

    USER = "user"
    GROUP = "group"
    CONTACT = "contact"
    OTHER = "other"


@dataclass(slots=True, frozen=True, kw_only=True)
class SourceObject:
    """All that is known of one object of the source.

    Attributes:
        guid: objectGUID, canonical lower case.
        dn: DN as last told; stale below a renamed container, see `SourceTree.dn_of`.
        parent_guid: objectGUID of the container, `None` at the root.
        attributes: raw values by name; cleared attributes are absent.
    """

    guid: str
    dn: str
    parent_guid: str | None
    attributes: Mapping[str, tuple[bytes, ...]]

    @property
    def kind(self) -> SourceKind:
        """By object class; a computer is a user to LDAP, but not to a sync."""
        classes = self.attributes.get("objectClass", ())
        if b"computer" in classes:
            return SourceKind.OTHER
        for name, kind in (
            (b"user", SourceKind.USER),
            (b"inetOrgPerson", SourceKind.USER),
            (b"group", SourceKind.GROUP),
            (b"contact", SourceKind.CONTACT),
        ):
            if name in classes:
                return kind
        return SourceKind.OTHER

    def text(self, name: str) -> str | None:
        """First value as trimmed text; `None` when absent, empty or no UTF-8."""
        return next(iter(self.texts(name)), None)

    def texts(self, name: str) -> tuple[str, ...]:
        """All values as trimmed text, the empty and undecodable left out."""
        found = []
        for value in self.attributes.get(name, ()):
            try:
                text = value.decode().strip()
            except UnicodeDecodeError:
                continue
            if text:
                found.append(text)
        return tuple(found)

    def integer(self, name: str) -> int | None:
        """First value as a number."""
        text = self.text(name)
        try:
            return None if text is None else int(text)
        except ValueError:
            return None

    def raw(self, name: str) -> bytes | None:
        """First value as it is."""
        return next(iter(self.attributes.get(name, ())), None)


class SourceTree:
    """The objects of a source and their places.

    Args:
        objects: by objectGUID; containers included.
    """

    def __init__(self, objects: Mapping[str, SourceObject]) -> None:
        self._objects = objects
        self._names: dict[str, str] = {}

    def dn_of(self, guid: str) -> str:
        """The DN as it is now: a renamed container renames all below it, without telling."""
        known = self._names.get(guid)
        if known is not None:
            return known
        found = self._objects[guid]
        if found.parent_guid is None or found.parent_guid not in self._objects:
            name = found.dn
        else:
            name = f"{first_rdn(found.dn)},{self.dn_of(found.parent_guid)}"
        self._names[guid] = name
        return name

    def ancestors(self, guid: str) -> list[str]:
        """The object and its containers, nearest first; ends at the root or at an unknown one."""
        path: list[str] = []
        current: str | None = guid
        while current is not None and current in self._objects and current not in path:
            path.append(current)
            current = self._objects[current].parent_guid
        return path


def first_rdn(dn: str) -> str:
    """The first component of a DN, escapes kept."""
    escaped = False
    for index, character in enumerate(dn):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == ",":
            return dn[:index]
    return dn
