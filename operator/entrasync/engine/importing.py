"""Reading a source: all of it, or what changed since a cookie; into the store, all or nothing."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from entrasync.directory.model import ChangePage, Container, SourceEntry
from entrasync.errors import BlockedError
from entrasync.state.rows import SourceRow
from entrasync.state.store import Store

META_COOKIE: Final = "source-cookie"
META_READ: Final = "source-read"
"""Digest of what a complete read was made with; absent until there was one."""

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
    """

    containers: tuple[Container, ...]
    attributes: tuple[str, ...]
    digest: str
    resource: str


def usable_cookie(store: Store, digest: str) -> bytes | None:
    """The cookie to go on from, `None` when only a full read will do."""
    cookie = store.get(META_COOKIE)
    if not cookie or store.get(META_READ) != digest:
        return None
    return base64.b64decode(cookie)


def forget_cookie(store: Store) -> None:
    """Makes the next read a full one."""
    store.put(META_COOKIE, None)


def import_full(
    reader: DirectoryReader, store: Store, reading: SourceReading, progress: Callable[[int], None]
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
    resolved = ChangeResolver(reader, store.load_source(), reading).resolve(entries)
    store.apply_source_changes(resolved, {META_COOKIE: base64.b64encode(cookie).decode()})
    return len(entries)


class ChangeResolver:
    """Turns changes into entries that can be merged into what is known.

    A change tells only parts, which is enough of an object that is known. New objects, and such
    that moved in, are read whole; so is what a container holds that moved, since it may have
    changed while it was out of sight.

    Args:
        reader: the directory.
        known: the source space before.
        reading: what is read.
    """

    def __init__(
        self, reader: DirectoryReader, known: Mapping[str, SourceRow], reading: SourceReading
    ) -> None:
        self._reader = reader
        self._known = known
        self._roots = {container.guid: container.dn for container in reading.containers}
        self._attributes = reading.attributes
        self._parents = {guid: row.parent_guid for guid, row in known.items()}
        self._resolved: list[SourceEntry] = []

    def resolve(self, entries: Iterable[SourceEntry]) -> list[SourceEntry]:
        """Entries to merge, in order."""
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
                self._resolved.append(_with_common_name(entry))
        self._read_unknown(list(unknown.values()))
        for guid in moved:
            if self._reaches_root(guid):
                self._read_below(guid)
        self._rename_roots()
        return self._resolved

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
        found = self._reader.read_guid(guid, (*self._attributes, "objectClass"))
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
        for entry in self._reader.read_all(dn, self._attributes):
            self._take_whole(entry)

    def _take_whole(self, entry: SourceEntry) -> None:
        """Absent attributes of a whole entry are unset: said so, lest old values stay."""
        unset: dict[str, tuple[bytes, ...]] = dict.fromkeys(self._attributes, ())
        self._parents[entry.guid] = entry.parent_guid
        self._resolved.append(replace(entry, attributes=unset | dict(entry.attributes)))

    def _rename_roots(self) -> None:
        """Above a root nothing is known, so its own name is taken as found now."""
        for guid, dn in self._roots.items():
            row = self._known.get(guid)
            if row is not None and row.dn != dn and guid in self._parents:
                self._resolved.append(
                    SourceEntry(guid=guid, dn=dn, parent_guid=None, deleted=False, attributes={})
                )


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
