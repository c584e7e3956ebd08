"""One object of the source space, as the engine sees it: merged knowledge, decoded on demand."""

from __future__ import annotations

import binascii
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Final

from entrasync.directory.values import integer_from_text
from entrasync.state.rows import guid_bytes, guid_text

DECIDING_ATTRIBUTES: Final = (
    "adminDescription",
    "displayName",
    "groupType",
    "isCriticalSystemObject",
    "mS-DS-ConsistencyGuid",
    "mail",
    "name",
    "objectClass",
    "objectSid",
    "proxyAddresses",
    "sAMAccountName",
    "userAccountControl",
)
"""Attributes that decide what takes part, and as what."""

OPTIONAL_ATTRIBUTES: Final = (
    "mailNickname",
    "msExchHideFromAddressLists",
    "msExchMasterAccountSID",
    "msExchRecipientTypeDetails",
    "primaryGroupID",
)
"""Attributes read where the directory has them: of Exchange's schema extension, and what is only
counted."""

ACCOUNT_DISABLED: Final = 0x2
SECURITY_GROUP: Final = 0x80000000

StoredValue = str | dict[str, str]
"""Text, or base64 under `b`."""
Value = StoredValue | bytes
"""One value of an attribute, as the state keeps it or as the directory told it."""


class SourceKind(StrEnum):
    """What an object of the directory is to a sync."""

    USER = "user"
    GROUP = "group"
    CONTACT = "contact"
    OTHER = "other"


_CLASSES: Final = (
    ("user", SourceKind.USER),
    ("inetOrgPerson", SourceKind.USER),
    ("group", SourceKind.GROUP),
    ("contact", SourceKind.CONTACT),
)


class SourceObject:
    """All that is known of one object of the source.

    Args:
        guid: objectGUID, canonical lower case, or as the state keeps it.
        dn: DN as last told; stale below a renamed container, see `scope.Places`.
        parent_guid: objectGUID of the container, `None` at the root.
        attributes: raw values by name; cleared attributes are absent.
        stored: the same as the state keeps it, instead: text where it is UTF-8, else base64.
            Turning all of it into bytes takes longer than all that most rules do.
        known_kind: what it is, where that was found out before.

    Attributes:
        dn: as given.
        parent_guid: as given.
        stored: as given.
    """

    __slots__ = ("_attributes", "_guid", "_kind", "dn", "parent_guid", "stored", "values")

    def __init__(
        self,
        *,
        guid: str | bytes,
        dn: str,
        parent_guid: str | None,
        attributes: Mapping[str, tuple[bytes, ...]] | None = None,
        stored: Mapping[str, list[StoredValue]] | None = None,
        known_kind: SourceKind | None = None,
    ) -> None:
        self._guid = guid
        self.dn = dn
        self.parent_guid = parent_guid
        self.stored = stored
        self.values: Mapping[str, Sequence[Value]] = (
            (attributes or {}) if stored is None else stored
        )
        self._attributes = attributes
        self._kind = known_kind

    @property
    def guid(self) -> str:
        """Its objectGUID, canonical lower case."""
        return self._guid if isinstance(self._guid, str) else guid_text(self._guid)

    @property
    def guid_bytes(self) -> bytes:
        """Its objectGUID as the state keeps it."""
        return self._guid if isinstance(self._guid, bytes) else guid_bytes(self._guid)

    @property
    def attributes(self) -> Mapping[str, tuple[bytes, ...]]:
        """Raw values by name."""
        if self._attributes is None:
            self._attributes = {
                # as `raw_value` does, without a call for each
                name: tuple([v.encode() if isinstance(v, str) else raw_value(v) for v in values])
                for name, values in (self.stored or {}).items()
            }
        return self._attributes

    @property
    def kind(self) -> SourceKind:
        """By object class; a computer is a user to LDAP, but not to a sync."""
        if self._kind is None:
            classes = self.texts("objectClass")
            found = (kind for name, kind in _CLASSES if name in classes)
            other = SourceKind.OTHER
            self._kind = other if "computer" in classes else next(found, other)
        return self._kind

    def text(self, name: str) -> str | None:
        """First value as trimmed text; `None` when absent, empty or no UTF-8."""
        if self.stored is not None:
            values = self.stored.get(name)
            if not values:
                return None
            first = values[0]
            if first.__class__ is str and (text := first.strip()):
                return text
        return next(iter(self.texts(name)), None)

    def texts(self, name: str) -> tuple[str, ...]:
        """All values as trimmed text, the empty and undecodable left out."""
        if self.stored is not None:
            texts = [v.strip() for v in self.stored.get(name, ()) if isinstance(v, str)]
            return tuple(filter(None, texts))
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
        return None if text is None else integer_from_text(text)

    def raw(self, name: str) -> bytes | None:
        """First value as it is."""
        if self.stored is not None:
            values = self.stored.get(name)
            return raw_value(values[0]) if values else None
        return next(iter(self.attributes.get(name, ())), None)


def raw_value(value: Value) -> bytes:
    """A value as the directory told it."""
    if isinstance(value, str):
        return value.encode()
    return value if isinstance(value, bytes) else binascii.a2b_base64(value["b"])


def first_rdn(dn: str) -> str:
    """The first component of a DN, escapes kept."""
    if "\\" not in dn:
        return dn.partition(",")[0]
    escaped = False
    for index, character in enumerate(dn):
        if escaped:
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == ",":
            return dn[:index]
    return dn
