# ruff: noqa: ARG002  - it is asked as a real one is, and need not know what for
"""A directory in memory, for the model-based test: told as Active Directory tells, and no more.

Links and references live between two ends; they rest while one of them is deleted and come back
with it, without a word on the owner, as with the recycle bin. Changes tell what changed of each
object once, in the order of the last change; children of a moved container are not told.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from entrasync.directory.errors import CookieRejectedError
from entrasync.directory.model import ChangePage, Container, RootInfo, SourceEntry
from entrasync.directory.schema import SchemaAttribute
from entrasync.errors import ConfigurationError, TransientError

CLASSES = {
    "domain": (b"top", b"domain", b"domainDNS"),
    "unit": (b"top", b"organizationalUnit"),
    "user": (b"top", b"person", b"organizationalPerson", b"user"),
    "group": (b"top", b"group"),
    "contact": (b"top", b"person", b"organizationalPerson", b"contact"),
    "foreign": (b"top", b"foreignSecurityPrincipal"),
}
OBJECTS = ("user", "group", "contact")
PAGE = 2
CHANGED = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)


@dataclass(kw_only=True)
class Thing:
    """An object of the directory; `members` and `references` hold ends that may be deleted."""

    guid: str
    kind: str
    name: str
    parent: str | None
    attributes: dict[str, tuple[bytes, ...]] = field(default_factory=dict)
    references: dict[str, list[str]] = field(default_factory=dict)
    members: set[str] = field(default_factory=set)
    sid: bytes | None = None
    deleted: bool = False
    hidden: bool = False

    def text(self, name: str) -> str | None:
        values = self.attributes.get(name)
        return values[0].decode() if values else None


@dataclass(kw_only=True)
class _Event:
    guid: str
    names: frozenset[str] = frozenset()
    created: bool = False
    moved: bool = False
    restored: bool = False
    members: frozenset[str] = frozenset()


class ModelDirectory:
    """One domain; it stands for its own session.

    Attributes:
        things: everything there ever was, by GUID.
        fails_in: calls until one fails; negative for never.
        rejects: whether the next cookie is not taken.
        forest: the domains whose objects may be in groups of this one.
    """

    def __init__(self, domain: str, number: int) -> None:
        self.domain = domain
        self.number = number
        self.base_dn = ",".join(f"DC={part}" for part in domain.split("."))
        self.things: dict[str, Thing] = {}
        self.forest = [self]
        self._left: dict[str, Thing] = {}
        self.fails_in = -1
        self.rejects = False
        self._log: list[_Event] = []
        self._made = 0
        self.base = self.create("unit", self.base_dn, None)
        self.root = RootInfo(
            server=f"ldaps://dc.{domain}",
            base_dn=self.base_dn,
            domain=domain,
            functional_level="2016",
            naming_contexts=(self.base_dn,),
            invocation_id=str(uuid.UUID(int=number)),
        )
        self.delta_method = ("DirSync", "ReplicationRightGranted")

    # --- what people do --------------------------------------------------------------------

    def create(self, kind: str, name: str, parent: str | None, **attributes: str) -> str:
        self._made += 1
        # neither in the order of creation nor by source
        mixed = (self._made * 2 + self.number) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        guid = str(uuid.UUID(int=mixed << 64 | self.number << 32 | self._made))
        thing = Thing(guid=guid, kind=kind, name=name, parent=parent)
        if kind in {"user", "group"}:
            thing.sid = sid_of(self.number, self._made)
        for key, value in attributes.items():
            thing.attributes[key] = (value.encode(),)
        self.things[guid] = thing
        self._log.append(_Event(guid=guid, created=True))
        return guid

    def set(self, guid: str, name: str, *values: bytes) -> None:
        thing = self.things[guid]
        if values:
            thing.attributes[name] = values
        else:
            thing.attributes.pop(name, None)
        self._note(guid, names=frozenset({name}))

    def refer(self, guid: str, name: str, *targets: str) -> None:
        self.things[guid].references[name] = list(targets)
        self._note(guid, names=frozenset({name}))

    def rename(self, guid: str, name: str) -> None:
        self.things[guid].name = name
        self._note(guid, moved=True)

    def move(self, guid: str, parent: str) -> None:
        self.things[guid].parent = parent
        self._note(guid, moved=True)

    def link(self, group: str, member: str) -> None:
        self.things[group].members.add(member)
        self._note(group, members=frozenset({member}))

    def unlink(self, group: str, member: str) -> None:
        self.things[group].members.discard(member)
        self._note(group, members=frozenset({member}))

    def delete(self, guid: str) -> None:
        self.things[guid].deleted = True
        self._note(guid)

    def restore(self, guid: str) -> None:
        self.things[guid].deleted = False
        self._note(guid, restored=True, moved=True)

    def migrate(self, guid: str, other: ModelDirectory, parent: str) -> None:
        """Moves an object to another domain: it keeps its GUID, and leaves a tombstone."""
        thing = self.things.pop(guid)
        self._left[guid] = replace(thing, deleted=True, members=set(), references={})
        self._note(guid)
        other.accept(thing, parent)

    def has_left(self, guid: str) -> bool:
        """Whether an object went to another domain."""
        return guid in self._left

    def accept(self, thing: Thing, parent: str) -> None:
        """Takes in what comes from another domain."""
        self._made += 1
        # where it came to it can be seen: else nothing would tell that from a deletion
        thing.hidden = False
        thing.parent, thing.sid = parent, sid_of(self.number, self._made)
        self._left.pop(thing.guid, None)
        self.things[thing.guid] = thing
        self._log.append(_Event(guid=thing.guid, created=True))

    def foreign(self, sid: bytes) -> str:
        """The foreign security principal of a SID."""
        for thing in self.things.values():
            if thing.kind == "foreign" and thing.sid == sid:
                return thing.guid
        guid = self.create("foreign", sid.hex(), self.base)
        self.things[guid].sid = sid
        return guid

    def _note(
        self,
        guid: str,
        names: frozenset[str] = frozenset(),
        members: frozenset[str] = frozenset(),
        *,
        moved: bool = False,
        restored: bool = False,
    ) -> None:
        self._log.append(
            _Event(guid=guid, names=names, members=members, moved=moved, restored=restored)
        )

    # --- how things are --------------------------------------------------------------------

    def alive(self, kind: str | None = None) -> list[Thing]:
        return [
            thing
            for thing in self.things.values()
            if not thing.deleted and (kind is None or thing.kind == kind)
        ]

    def is_alive(self, guid: str) -> bool:
        return any(guid in each.things and not each.things[guid].deleted for each in self.forest)

    def members(self, guid: str) -> list[str]:
        return sorted(member for member in self.things[guid].members if self.is_alive(member))

    def path(self, guid: str) -> list[str]:
        """The object and all above it."""
        found = [guid]
        while (parent := self.things[found[-1]].parent) is not None:
            found.append(parent)
        return found

    def dn(self, guid: str) -> str:
        thing = self.things[guid]
        if thing.parent is None:
            return self.base_dn
        if thing.deleted:
            return f"CN={thing.name}\\0ADEL:{guid},CN=Deleted Objects,{self.base_dn}"
        prefix = "OU" if thing.kind == "unit" else "CN"
        return f"{prefix}={thing.name},{self.dn(thing.parent)}"

    # --- the session -----------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Nothing to close."""

    def read_all(self, base_dn: str, attributes: Sequence[str]) -> Iterator[SourceEntry]:
        self._call()
        root = self._find(base_dn)
        for guid in sorted(self.things):  # in no order that means anything
            thing = self.things[guid]
            seen = not thing.deleted and not thing.hidden and thing.kind != "foreign"
            if seen and root in self.path(guid) and not self._is_out_of_sight(guid):
                yield self._entry(guid, attributes)

    def read_guid(self, guid: str, attributes: Sequence[str]) -> SourceEntry | None:
        self._call()
        if guid in self._left:
            return self._tombstone(guid)
        if guid not in self.things or self._is_out_of_sight(guid):
            return None
        return self._entry(guid, attributes)

    def change_times(self, guids: Iterable[str]) -> dict[str, dt.datetime]:
        self._call()
        return dict.fromkeys(guids, CHANGED)

    def current_cookie(self) -> bytes:
        self._call()
        return str(len(self._log)).encode()

    def changes(self, cookie: bytes, attributes: Sequence[str]) -> Iterator[ChangePage]:
        self._call()
        if self.rejects:
            self.rejects = False
            raise CookieRejectedError("The cookie cannot be used.")
        start, end = int(cookie), len(self._log)
        last = {event.guid: index for index, event in enumerate(self._log[start:end])}
        order = sorted(last, key=last.__getitem__)
        entries = [
            entry
            for guid in order
            if (entry := self._change(guid, self._log[start:end], attributes)) is not None
        ]
        pages = range(0, max(1, len(entries)), PAGE)
        for begin in pages:
            self._call()
            more = begin != pages[-1]
            # a cookie within a series begins it again: what was told is told twice
            yield ChangePage(
                entries=tuple(entries[begin : begin + PAGE]),
                cookie=cookie if more else str(end).encode(),
                more=more,
            )

    def resolve_container(self, dn: str, *, field: str = "spec.baseDN") -> Container:
        self._call()
        guid = self._find(dn)
        if guid is None:
            raise ConfigurationError("BaseNotFound", "There is none.", field=field)
        return Container(guid=guid, dn=self.dn(guid))

    def resolve_container_guid(self, guid: str) -> Container | None:
        self._call()
        alive = guid in self.things and not self.things[guid].deleted
        return Container(guid=guid, dn=self.dn(guid)) if alive else None

    def schema_attributes(self, names: Sequence[str]) -> dict[str, SchemaAttribute]:
        self._call()
        return {
            name.lower(): SchemaAttribute(
                name=name, names_objects=False, followed=True, confidential=False
            )
            for name in names
        }

    def unreadable_attributes(self, names: Sequence[str]) -> tuple[str, ...]:
        return ()

    def can_read_deleted(self) -> bool:
        return True

    # --- how it is told --------------------------------------------------------------------

    def _call(self) -> None:
        if self.fails_in == 0:
            self.fails_in = -1
            raise TransientError("ServerUnreachable", "The connection was lost.")
        self.fails_in -= self.fails_in > 0

    def _find(self, dn: str) -> str | None:
        return next(
            (
                guid
                for guid, thing in self.things.items()
                if not thing.deleted and self.dn(guid).lower() == dn.lower()
            ),
            None,
        )

    def _is_out_of_sight(self, guid: str) -> bool:
        return any(self.things[each].hidden for each in self.path(guid))

    def _value(self, thing: Thing, name: str) -> tuple[bytes, ...]:
        folded = name.lower()
        if folded == "objectclass":
            return CLASSES["domain" if thing.parent is None else thing.kind]
        if folded in {"cn", "name"}:
            return (thing.name.encode(),)
        if folded == "objectsid":
            return () if thing.sid is None else (thing.sid,)
        if folded == "memberof":
            return tuple(
                group.guid.encode()
                for group in self.alive("group")
                if thing.guid in group.members and not thing.deleted
            )
        for own, targets in thing.references.items():
            if own.lower() == folded:
                return tuple(each.encode() for each in targets if self.is_alive(each))
        for own, values in thing.attributes.items():
            if own.lower() == folded:
                return values
        return ()

    def _entry(self, guid: str, attributes: Sequence[str]) -> SourceEntry:
        """An object as it is, whole."""
        thing = self.things[guid]
        told = {name: self._value(thing, name) for name in (*attributes, "objectClass")}
        members = None
        foreign: dict[str, bytes] = {}
        if thing.kind == "group" and not thing.deleted:
            members = tuple(self.members(guid))
            foreign = self._sids(members)
        return SourceEntry(
            guid=guid,
            dn=self.dn(guid),
            parent_guid=thing.parent,
            deleted=thing.deleted,
            attributes={name: values for name, values in told.items() if values},
            members=members,
            foreign=foreign,
        )

    def _change(
        self, guid: str, events: Sequence[_Event], attributes: Sequence[str]
    ) -> SourceEntry | None:
        if guid in self._left:
            return self._tombstone(guid)
        thing = self.things[guid]
        if thing.kind == "foreign" or (self._is_out_of_sight(guid) and not thing.deleted):
            return None
        mine = [event for event in events if event.guid == guid]
        created = any(event.created for event in mine)
        moved = created or any(event.moved for event in mine)
        if thing.deleted:
            return self._tombstone(guid)
        named = {name.lower() for event in mine for name in event.names}
        told: dict[str, tuple[bytes, ...]] = {}
        for name in (*attributes, "objectClass"):
            value = self._value(thing, name)
            if name.lower() in named or (created and value):
                told[name] = value
        if moved:
            told["name"] = (thing.name.encode(),)
        if any(event.restored for event in mine):
            told["isDeleted"] = ()
        touched = {member for event in mine for member in event.members}
        if created:
            touched |= thing.members
        known = set(self.members(guid)) if thing.kind == "group" else set()
        added = tuple(sorted(touched & known))
        # of a deleted member nothing is told: its link rests
        removed = tuple(sorted(each for each in touched - thing.members if self.is_alive(each)))
        return SourceEntry(
            guid=guid,
            dn=self.dn(guid),
            parent_guid=thing.parent if moved else None,
            deleted=False,
            attributes=told,
            members_added=added,
            members_removed=removed,
            foreign=self._sids((*added, *removed)),
        )

    def _tombstone(self, guid: str) -> SourceEntry:
        return SourceEntry(
            guid=guid,
            dn=f"CN=X\\0ADEL:{guid},CN=Deleted Objects,{self.base_dn}",
            parent_guid=None,
            deleted=True,
            attributes={"isDeleted": (b"TRUE",)},
        )

    def _sids(self, members: Sequence[str]) -> dict[str, bytes]:
        return {
            each: sid
            for each in members
            if (thing := self.things.get(each)) is not None
            and thing.kind == "foreign"
            and (sid := thing.sid) is not None
        }


def sid_of(domain: int, number: int) -> bytes:
    """The SID of an object of a domain."""
    return b"\x01\x05\x00\x00\x00\x00\x00\x05" + b"".join(
        part.to_bytes(4, "little") for part in (21, 7, 8, 1000 + domain, 1000 + number)
    )
