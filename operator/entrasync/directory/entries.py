"""From raw search entries to `SourceEntry`: pure, so that every odd answer can be a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from entrasync.directory.errors import MalformedAnswerError
from entrasync.directory.model import DN_ATTRIBUTES, ONE_VALUED, SourceEntry
from entrasync.directory.values import (
    ValueRange,
    fold_description,
    guid_from_bytes,
    guid_of_name,
    is_true,
    parse_extended_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from entrasync.directory.ber import RawEntry

ALWAYS = ("objectGUID", "objectClass", "parentGUID", "isDeleted")
"""Asked for in every read, whatever else is wanted."""

_DN_ATTRIBUTES = frozenset(name.lower() for name in DN_ATTRIBUTES)
_NAMING = _DN_ATTRIBUTES | {"distinguishedname"}
"""Attributes, in lower case, whose values the extended-DN control changes."""
_ONE_VALUED = frozenset(name.lower() for name in ONE_VALUED)
_ADDED = ValueRange(low=1, high=1)
_REMOVED = ValueRange(low=0, high=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The values an answer holds of one attribute, all or a range of them."""

    values: tuple[bytes, ...]
    range: ValueRange | None


class Wanted:
    """The attributes a caller asked for, found again whatever case the server answers in."""

    def __init__(self, attributes: Sequence[str]) -> None:
        self._by_folded = {name.lower(): name for name in attributes if name.lower() != "member"}
        self._named = [name for name in self._by_folded if name in _NAMING]

    def request(self, *further: str) -> list[str]:
        """List what to ask the server for, each attribute once."""
        asked = dict(self._by_folded)
        for name in (*ALWAYS, *further):
            asked.setdefault(name.lower(), name)
        return list(asked.values())

    def pick(self, held: Mapping[str, tuple[bytes, ...]]) -> dict[str, tuple[bytes, ...]]:
        """Keep what was asked for, under the names it was asked by."""
        names = self._by_folded
        picked = {names[key]: held[key] for key in held if key in names}
        for key in self._named:
            if key in held:
                picked[names[key]] = _readable(key, held[key])
        return picked

    def names_of(self, folded: Iterable[str]) -> list[str]:
        """List what was asked for of these attributes, under the names it was asked by."""
        return [self._by_folded[key] for key in folded if key in self._by_folded]


def whole_values(raw: RawEntry) -> dict[str, tuple[bytes, ...]] | None:
    """Give the values by folded attribute name; `None` when there is a range among them.

    That is what nearly all entries are, so nothing else is made of them.
    """
    found: dict[str, tuple[bytes, ...]] = {}
    for description, values in raw.attributes.items():
        key, value_range = fold_description(description)
        if value_range is not None or key in found:
            return None
        found[key] = values
    return found


def held_values(raw: RawEntry) -> dict[str, Held]:
    """Give the values of a full read by folded attribute name.

    Active Directory sends an empty `member` beside `member;range=0-1499`: the range counts.
    """
    found: dict[str, Held] = {}
    for description, values in raw.attributes.items():
        key, value_range = fold_description(description)
        if value_range is not None or key not in found:
            found[key] = Held(values=values, range=value_range)
    return found


def guid_of(raw: RawEntry) -> str:
    """Give the GUID of an entry, by its objectGUID or else its extended DN."""
    values = raw.attributes.get("objectGUID")
    return guid_from_bytes(values[0]) if values else guid_of_name(raw.dn)


def build_full(
    raw: RawEntry, values: Mapping[str, tuple[bytes, ...]], wanted: Wanted
) -> SourceEntry:
    """Build an entry of a full read from its complete values, by folded name."""
    is_group = b"group" in values.get("objectclass", ())
    names = values.get("member", ())
    members = tuple(guid_of_name(value) for value in names)
    return SourceEntry(
        guid=guid_of(raw),
        dn=parse_extended_name(raw.dn).dn,
        parent_guid=_parent(values),
        deleted=is_true(values.get("isdeleted", ())),
        attributes=wanted.pick(values),
        members=members if is_group else None,
        foreign=_foreign(names),
    )


def build_change(raw: RawEntry, wanted: Wanted) -> SourceEntry:
    """Build an entry of a DirSync answer: only what changed.

    Of lists that `told_in_parts` names, its attributes hold some values only.

    Raises:
        MalformedAnswerError: links came otherwise than one by one; taken as a whole list they
            would remove members that are still there.
    """
    plain: dict[str, tuple[bytes, ...]] = {}
    added: dict[str, tuple[bytes, ...]] = {}
    removed: dict[str, tuple[bytes, ...]] = {}
    for description, values in raw.attributes.items():
        name, value_range = fold_description(description)
        if value_range is None:
            plain[name] = values
        elif value_range == _ADDED:
            added[name] = values
        elif value_range == _REMOVED:
            removed[name] = values
        else:
            raise MalformedAnswerError("The server sent part of a list instead of its changes.")
    if plain.pop("member", ()):
        raise MalformedAnswerError("The server sent a list of members instead of its changes.")
    members_added = added.pop("member", ())
    members_removed = removed.pop("member", ())
    # a link attribute with one value, such as manager: the new value counts, none means cleared
    links = dict.fromkeys(removed, ()) | added
    return SourceEntry(
        guid=guid_of(raw),
        dn=parse_extended_name(raw.dn).dn,
        parent_guid=_parent(plain),
        deleted=is_true(plain.get("isdeleted", ())),
        attributes=wanted.pick(plain | links),
        members_added=tuple(guid_of_name(value) for value in members_added),
        members_removed=tuple(guid_of_name(value) for value in members_removed),
        foreign=_foreign(members_added) | _foreign(members_removed),
    )


def told_in_parts(raw: RawEntry, wanted: Wanted) -> list[str]:
    """List what was asked for of which a DirSync answer tells some values only.

    A list of links that changed comes as what was added and what was removed.
    """
    folded = {
        name
        for name, value_range in map(fold_description, raw.attributes)
        if value_range is not None and name not in _ONE_VALUED
    }
    return wanted.names_of(sorted(folded))


def _foreign(names: Iterable[bytes]) -> dict[str, bytes]:
    """Find the foreign security principals among members; their SIDs by GUID."""
    found: dict[str, bytes] = {}
    for value in names:
        if b"CN=S-1-" in value:  # a large group has next to none
            name = parse_extended_name(value)
            if name.is_foreign_principal and name.guid is not None and name.sid is not None:
                found[name.guid] = name.sid
    return found


def _parent(values: Mapping[str, tuple[bytes, ...]]) -> str | None:
    parent = values.get("parentguid")
    return guid_from_bytes(parent[0]) if parent else None


def _readable(key: str, values: tuple[bytes, ...]) -> tuple[bytes, ...]:
    """Undo what the extended-DN control does to values that are DNs."""
    if key in _DN_ATTRIBUTES:
        return tuple(guid_of_name(value).encode() for value in values)
    if key == "distinguishedname":
        return tuple(parse_extended_name(value).dn.encode() for value in values)
    return values
