"""Reading a source: all of it, or what changed since a cookie; into the store, all or nothing."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from entrasync.directory.dirsync import IS_DELETED, REPLICATION_RIGHT
from entrasync.directory.model import ChangePage, Container, SourceEntry
from entrasync.directory.usn import MEMBER_OF
from entrasync.errors import BlockedError
from entrasync.state.rows import SourceRow
from entrasync.state.store import Store

META_COOKIE: Final = "source-cookie"
META_READ: Final = "source-read"
"""Digest of what a complete read was made with; absent until there was one."""
META_FULL_READ: Final = "source-full-read"
"""When the last complete read began, in ISO 8601."""

FULL_READ_AFTER: Final = dt.timedelta(hours=23)
"""An hour less than a day: a schedule that is a little late still reads everything daily."""

_CONTAINER_CLASSES: Final = frozenset({b"organizationalUnit", b"container", b"domainDNS"})
_OBJECT_CLASSES: Final = frozenset({b"user", b"group", b"contact"})


class DirectoryReader(Protocol):
    """What an import needs of a directory session."""

    def read_all(self, base_dn: str, attributes: Sequence[str]) -> Iterator[SourceEntry]:
        """All objects and containers at and below a container."""
        ...

    def read_guid(self, guid: str, attributes: Sequence[str]) -> SourceEntry | None:
        """One object, tombstones included."""
        ...

    def current_cookie(self) -> bytes:
        """A cookie of now, empty when changes cannot be read."""
        ...

    def changes(self, cookie: bytes, attributes: Sequence[str]) -> Iterator[ChangePage]:
        """What changed since a cookie."""
        ...


@dataclass(slots=True, frozen=True, kw_only=True)
class SourceReading:
    """What is read, and how it is told apart from what was read before.

    Attributes:
        containers: roots of what is read, by their names of now.
        attributes: names to ask for.
        digest: names scope, attributes and directory; another one needs another full read.
        resource: `Kind/name` that errors point at.
        groups: groups that decide what takes part, read wherever they are.
    """

    containers: tuple[Container, ...]
    attributes: tuple[str, ...]
    digest: str
    resource: str
    groups: tuple[Container, ...] = ()


def usable_cookie(store: Store, digest: str) -> bytes | None:
    """The cookie to go on from, `None` when only a full read will do."""
    cookie = store.get(META_COOKIE)
    if not cookie or store.get(META_READ) != digest:
        return None
    return base64.b64decode(cookie)


def forget_cookie(store: Store) -> None:
    """Makes the next read a full one."""
    store.put(META_COOKIE, None)


def full_read_due(store: Store, method: tuple[str, str], now: dt.datetime) -> bool:
    """Whether everything must be read again although the changes could be.

    Only with the replication right a directory tells every change. Else what comes into sight or
    goes out of it, since somebody changed rights, is not told: that is found once a day.

    Args:
        store: the state.
        method: how changes are read, and why so.
        now: the time.
    """
    if method[1] == REPLICATION_RIGHT:
        return False
    before = store.get(META_FULL_READ)
    if before is None:
        return True
    age = now - dt.datetime.fromisoformat(before)
    # a time to come is of a clock that was set back since: no telling how old the read is
    return not dt.timedelta(0) <= age < FULL_READ_AFTER


def import_full(
    reader: DirectoryReader,
    store: Store,
    reading: SourceReading,
    now: dt.datetime,
    progress: Callable[[int], None],
) -> int:
    """Replaces the source space by all that can be read now; gives the number of entries.

    Raises:
        BlockedError: `SourceEmpty`: there is nothing; what was known is kept.
    """
    # taken first: what changes during the read comes again with the next delta
    cookie = reader.current_cookie()
    facts = {
        META_COOKIE: base64.b64encode(cookie).decode(),
        META_READ: reading.digest,
        META_FULL_READ: now.isoformat(),
    }
    return store.replace_source(_read_whole(reader, reading, progress), facts)


def _read_whole(
    reader: DirectoryReader, reading: SourceReading, progress: Callable[[int], None]
) -> Iterator[SourceEntry]:
    seen: set[str] = set()
    objects = 0
    # shorter names first: a container inside another was read with it
    for container in sorted(reading.containers, key=lambda each: len(each.dn)):
        if container.guid in seen:
            continue
        for entry in reader.read_all(container.dn, reading.attributes):
            if entry.guid in seen:
                continue
            seen.add(entry.guid)
            objects += not _OBJECT_CLASSES.isdisjoint(entry.attributes.get("objectClass", ()))
            progress(len(seen))
            yield entry
    if not objects:
        raise source_empty(reading.resource)
    for group in reading.groups:
        if group.guid not in seen:
            seen.add(group.guid)
            yield from reader.read_all(group.dn, reading.attributes)


def source_empty(resource: str) -> BlockedError:
    """The error of a scope without anything in it."""
    return BlockedError(
        "SourceEmpty",
        "the directory shows no user, group or contact in scope; nothing is exported or deleted."
        " Check that the account may read the containers in `spec.sources`, and that they are the"
        " right ones",
        resource=resource,
        field="spec.baseDN",
    )


def import_changes(
    reader: DirectoryReader,
    store: Store,
    reading: SourceReading,
    cookie: bytes,
    progress: Callable[[int], None],
) -> int:
    """Applies what changed since the cookie; gives the number of entries that came.

    Nothing is applied before the last page came: a container may come after what is in it.

    Raises:
        CookieRejectedError: only a full read helps; what was known is kept.
    """
    entries: list[SourceEntry] = []
    for page in reader.changes(cookie, reading.attributes):
        entries += page.entries
        cookie = page.cookie
        progress(len(entries))
    resolver = ChangeResolver(reader, store.load_source(), reading, store.groups_of)
    resolved = resolver.resolve(entries)
    store.apply_source_changes(resolved, {META_COOKIE: base64.b64encode(cookie).decode()})
    return len(entries)


class ChangeResolver:
    """Turns changes into entries that can be merged into what is known.

    A change tells only parts, which is enough of an object that is known. New objects, and such
    that moved in or were restored, are read whole; so is what a container holds that moved, since
    it may have changed while it was out of sight. The groups an object is in are read with it: a
    deletion and a restore change its links without a word on the group.

    Args:
        reader: the directory.
        known: the source space before.
        reading: what is read.
        groups_of: known groups that hold a member.
    """

    def __init__(
        self,
        reader: DirectoryReader,
        known: Mapping[str, SourceRow],
        reading: SourceReading,
        groups_of: Callable[[str], frozenset[str]],
    ) -> None:
        self._reader = reader
        self._known = known
        self._roots = {each.guid: each.dn for each in (*reading.containers, *reading.groups)}
        self._attributes = reading.attributes
        self._groups_of = groups_of
        self._parents = {guid: row.parent_guid for guid, row in known.items()}
        self._resolved: list[SourceEntry] = []
        self._links: list[SourceEntry] = []
        self._doubtful: set[str] = set()

    def resolve(self, entries: Sequence[SourceEntry]) -> list[SourceEntry]:
        """Entries to merge, in order."""
        forgotten = [self._forget(entry) for entry in entries if self._was_restored(entry)]
        unknown: dict[str, SourceEntry] = {}
        moved: list[str] = []
        for entry in entries:
            if entry.deleted:
                self._parents.pop(entry.guid, None)
                unknown.pop(entry.guid, None)
                self._resolved.append(entry)
            elif entry.guid not in self._parents:
                unknown[entry.guid] = _combined(unknown.get(entry.guid), entry)
            else:
                if self._moves_container(entry):
                    moved.append(entry.guid)
                self._parents[entry.guid] = entry.parent_guid or self._parents[entry.guid]
                self._compare_groups(entry)
                self._resolved.append(_with_common_name(_plain(entry)))
        self._read_unknown(list(unknown.values()))
        for guid in moved:
            if self._reaches_root(guid):
                self._read_below(guid)
        self._rename_roots()
        self._read_doubtful()
        # links come first, with their groups as they were: what was read since overrules them
        links = [entry for entry in self._links if entry.guid in self._parents]
        return [*forgotten, *links, *self._resolved]

    def _was_restored(self, entry: SourceEntry) -> bool:
        """Whether a known object was deleted and restored since: little is left of it."""
        return not entry.deleted and IS_DELETED in entry.attributes and entry.guid in self._parents

    def _forget(self, entry: SourceEntry) -> SourceEntry:
        self._parents.pop(entry.guid, None)
        return SourceEntry(
            guid=entry.guid, dn=entry.dn, parent_guid=None, deleted=True, attributes={}
        )

    def _compare_groups(self, entry: SourceEntry) -> None:
        """Takes up the groups an entry tells of; reads such as it should be in, but is not."""
        told = entry.attributes.get(MEMBER_OF)
        if told is None:
            return
        groups = self._add_links(entry.guid, told)
        # the account may not be able to read what an object is in: only the group itself can tell
        self._doubtful |= self._groups_of(entry.guid) - groups

    def _add_links(self, member: str, told: Iterable[bytes]) -> frozenset[str]:
        """The groups told; links to those of them that are known are taken up."""
        groups = frozenset(value.decode() for value in told)
        for group in sorted(groups & self._known.keys()):
            self._links.append(
                SourceEntry(
                    guid=group,
                    dn=self._known[group].dn,
                    parent_guid=None,
                    deleted=False,
                    attributes={},
                    members_added=(member,),
                )
            )
        return groups

    def _read_doubtful(self) -> None:
        whole = {entry.guid for entry in self._resolved if entry.members is not None}
        for group in sorted((self._doubtful & self._parents.keys()) - whole):
            found = self._reader.read_guid(group, ())
            if found is not None and not found.deleted and found.members is not None:
                self._resolved.append(replace(found, attributes={}))

    def _moves_container(self, entry: SourceEntry) -> bool:
        row = self._known.get(entry.guid)
        return (
            row is not None
            and entry.parent_guid is not None
            and entry.parent_guid != self._parents[entry.guid]
            and not _CONTAINER_CLASSES.isdisjoint(row.attributes.get("objectClass", ()))
        )

    def _reaches_root(self, guid: str) -> bool:
        path: set[str] = set()
        current: str | None = guid
        while current is not None and current not in path:
            if current in self._roots:
                return True
            path.add(current)
            current = self._parents.get(current)
        return False

    def _read_unknown(self, waiting: list[SourceEntry]) -> None:
        while True:
            near = [entry for entry in waiting if self._is_near(entry)]
            if not near:
                return  # the rest is outside of what is read
            for entry in near:
                if entry.guid not in self._parents:
                    self._read_whole(entry.guid)
            waiting = [entry for entry in waiting if not any(entry is each for each in near)]

    def _is_near(self, entry: SourceEntry) -> bool:
        if entry.guid in self._roots or entry.parent_guid in self._parents:
            return True
        dn = entry.dn.lower()
        return entry.parent_guid is None and any(
            dn.endswith(f",{root.lower()}") for root in self._roots.values()
        )

    def _read_whole(self, guid: str) -> None:
        found = self._reader.read_guid(guid, (*self._attributes, "objectClass", MEMBER_OF))
        if found is None or found.deleted:
            return
        self._take_whole(found)
        if not _CONTAINER_CLASSES.isdisjoint(found.attributes.get("objectClass", ())):
            self._read_tree(found.dn)

    def _read_below(self, guid: str) -> None:
        found = self._reader.read_guid(guid, self._attributes)
        if found is not None and not found.deleted:
            self._read_tree(found.dn)

    def _read_tree(self, dn: str) -> None:
        for entry in self._reader.read_all(dn, (*self._attributes, MEMBER_OF)):
            self._take_whole(entry)

    def _take_whole(self, entry: SourceEntry) -> None:
        """Absent attributes of a whole entry are unset: said so, lest old values stay."""
        unset: dict[str, tuple[bytes, ...]] = dict.fromkeys(self._attributes, ())
        self._parents[entry.guid] = entry.parent_guid
        self._add_links(entry.guid, entry.attributes.get(MEMBER_OF, ()))
        plain = _plain(entry)
        self._resolved.append(replace(plain, attributes=unset | dict(plain.attributes)))

    def _rename_roots(self) -> None:
        """Above a root nothing is known, so its own name is taken as found now."""
        for guid, dn in self._roots.items():
            row = self._known.get(guid)
            if row is not None and row.dn != dn and guid in self._parents:
                self._resolved.append(
                    SourceEntry(guid=guid, dn=dn, parent_guid=None, deleted=False, attributes={})
                )


def _plain(entry: SourceEntry) -> SourceEntry:
    """Without what was read to understand the change, which is no part of what is known."""
    attributes = dict(entry.attributes)
    for name in (IS_DELETED, MEMBER_OF):
        attributes.pop(name, None)
    return replace(entry, attributes=attributes)


def _with_common_name(entry: SourceEntry) -> SourceEntry:
    """A rename is told by `name` alone, although `cn` changes with it."""
    if "name" not in entry.attributes or "cn" in entry.attributes:
        return entry
    return replace(entry, attributes={**entry.attributes, "cn": entry.attributes["name"]})


def _combined(first: SourceEntry | None, later: SourceEntry) -> SourceEntry:
    """What several changes of one object tell of its place."""
    if first is None or later.parent_guid is not None:
        return later
    return replace(later, parent_guid=first.parent_guid)
