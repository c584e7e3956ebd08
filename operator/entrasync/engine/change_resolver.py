"""From what a directory tells of changes to what can be merged into what is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from entrasync.directory.dirsync import IS_DELETED
from entrasync.directory.errors import CookieRejectedError
from entrasync.directory.model import SourceEntry
from entrasync.directory.usn import MEMBER_OF
from entrasync.engine.directory_reader import DirectoryReader, SourceReading
from entrasync.engine.kinds import CONTAINER_CLASSES
from entrasync.state.schema import Kind
from entrasync.state.sources import KnownObject, SourceSpace

MOST_ENTRIES: Final = 50_000
"""Entries that are held at once; where more changed, reading everything costs less."""

Elsewhere = Callable[[str], SourceEntry | None]


class ChangeResolver:
    """Turns changes into entries that can be merged into what is known.

    A change tells only parts, which is enough of an object that is known. New objects, and such
    that moved in or were restored, are read whole; so is what a container holds that moved, since
    it may have changed while it was out of sight. The groups an object is in are read with it, and
    what names it is read again: a deletion and a restore change links without a word on the other
    end.

    Args:
        reader: the directory.
        sources: what is known before.
        reading: what is read.
        elsewhere: finds an object by its objectGUID in another directory of the sync.
    """

    def __init__(
        self,
        reader: DirectoryReader,
        sources: SourceSpace,
        reading: SourceReading,
        elsewhere: Elsewhere,
    ) -> None:
        self._reader = reader
        self._places = _Places(sources, reading.number)
        self._roots = {each.guid: each.dn for each in (*reading.containers, *reading.groups)}
        self._attributes = reading.attributes
        self._resource = reading.resource
        self._elsewhere = elsewhere
        self._resolved: list[SourceEntry] = []
        self._links: list[SourceEntry] = []
        self._doubtful: set[str] = set()
        self._partial: set[str] = set()

    def resolve(self, entries: Sequence[SourceEntry]) -> list[SourceEntry]:
        """Entries to merge, in order.

        Raises:
            CookieRejectedError: there are so many that everything is to be read.
        """
        forgotten = [self._forget(entry) for entry in entries if self._was_restored(entry)]
        unknown: dict[str, SourceEntry] = {}
        moved: list[str] = []
        for entry in entries:
            if entry.deleted:
                self._resolved.append(self._gone(entry))
                unknown.pop(entry.guid, None)
            elif not self._places.holds(entry.guid):
                unknown[entry.guid] = _combined(unknown.get(entry.guid), entry)
            else:
                if self._moves_container(entry):
                    moved.append(entry.guid)
                if entry.parent_guid is not None:
                    self._places.put(entry.guid, entry.parent_guid)
                self._compare_groups(entry)
                self._resolved.append(_with_common_name(_plain(entry)))
        self._read_unknown(list(unknown.values()))
        for guid in moved:
            if self._reaches_root(guid):
                self._read_below(guid)
        self._rename_roots()
        self._read_partial()
        self._read_doubtful()
        # links come first, with their groups as they were: what was read since overrules them
        links = [entry for entry in self._links if self._places.group(entry.guid) is not None]
        return [*forgotten, *links, *self._resolved]

    def _was_restored(self, entry: SourceEntry) -> bool:
        """Whether a known object was deleted and restored since: little is left of it."""
        return (
            not entry.deleted and IS_DELETED in entry.attributes and self._places.holds(entry.guid)
        )

    def _forget(self, entry: SourceEntry) -> SourceEntry:
        self._places.drop(entry.guid)
        return SourceEntry(
            guid=entry.guid, dn=entry.dn, parent_guid=None, deleted=True, attributes={}
        )

    def _gone(self, entry: SourceEntry) -> SourceEntry:
        """A deletion, unless the object only moved to another domain.

        Then it takes its links along: it stays known, at its new place, until the source of that
        domain tells of it.
        """
        if self._places.holds(entry.guid):
            found = self._elsewhere(entry.guid)
            if found is not None and not found.deleted and found.parent_guid is not None:
                self._places.put(entry.guid, found.parent_guid)
                return replace(found, attributes={}, members=None, foreign={})
        self._places.drop(entry.guid)
        return entry

    def _compare_groups(self, entry: SourceEntry) -> None:
        """Takes up the groups an entry tells of; reads such as it should be in, but is not."""
        told = entry.attributes.get(MEMBER_OF)
        if told is None:
            return
        groups = self._add_links(entry.guid, told)
        # the account may not be able to read what an object is in: only the group itself can tell
        self._doubtful |= self._places.groups_of(entry.guid) - groups

    def _add_links(self, member: str, told: Iterable[bytes]) -> frozenset[str]:
        """The groups told; links to those of them that are known are taken up."""
        groups = frozenset(value.decode() for value in told)
        for group in sorted(groups):
            known = self._places.group(group)
            if known is not None:
                self._links.append(
                    SourceEntry(
                        guid=group,
                        dn=known.dn,
                        parent_guid=None,
                        deleted=False,
                        attributes={},
                        members_added=(member,),
                    )
                )
        return groups

    def _read_doubtful(self) -> None:
        whole = {entry.guid for entry in self._resolved if entry.members is not None}
        for group in sorted(self._doubtful - whole):
            if not self._places.holds(group):
                continue
            found = self._reader.read_guid(group, ())
            if found is not None and not found.deleted and found.members is not None:
                self._resolved.append(replace(found, attributes={}))

    def _read_partial(self) -> None:
        for guid in sorted(self._partial):
            if not self._places.holds(guid):
                continue
            found = self._reader.read_guid(guid, (*self._attributes, "objectClass", MEMBER_OF))
            if found is not None and not found.deleted:
                self._take_whole(found)

    def _moves_container(self, entry: SourceEntry) -> bool:
        known = self._places.known(entry.guid)
        return (
            known is not None
            and known.kind is Kind.CONTAINER
            and entry.parent_guid is not None
            and entry.parent_guid != self._places.parent_of(entry.guid)
        )

    def _reaches_root(self, guid: str) -> bool:
        path: set[str] = set()
        current: str | None = guid
        while current is not None and current not in path:
            if current in self._roots:
                return True
            path.add(current)
            current = self._places.parent_of(current)
        return False

    def _read_unknown(self, waiting: list[SourceEntry]) -> None:
        while True:
            near = [entry for entry in waiting if self._is_near(entry)]
            if not near:
                return  # the rest is outside of what is read
            taken = {entry.guid for entry in near}
            for entry in near:
                if not self._places.holds(entry.guid):
                    self._read_whole(entry.guid)
            waiting = [entry for entry in waiting if entry.guid not in taken]

    def _is_near(self, entry: SourceEntry) -> bool:
        if entry.guid in self._roots:
            return True
        if entry.parent_guid is not None:
            return self._places.holds(entry.parent_guid)
        dn = entry.dn.lower()
        return any(dn.endswith(f",{root.lower()}") for root in self._roots.values())

    def _read_whole(self, guid: str) -> None:
        found = self._reader.read_guid(guid, (*self._attributes, "objectClass", MEMBER_OF))
        if found is None or found.deleted:
            return
        self._take_whole(found)
        self._partial |= self._places.naming(guid)
        if not CONTAINER_CLASSES.isdisjoint(found.attributes.get("objectClass", ())):
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
        if len(self._resolved) > MOST_ENTRIES:
            raise too_many(self._resource)
        unset: dict[str, tuple[bytes, ...]] = dict.fromkeys(self._attributes, ())
        self._places.put(entry.guid, entry.parent_guid)
        self._add_links(entry.guid, entry.attributes.get(MEMBER_OF, ()))
        plain = _plain(entry)
        self._resolved.append(replace(plain, attributes=unset | dict(plain.attributes)))

    def _rename_roots(self) -> None:
        """Above a root nothing is known, so its own name is taken as found now."""
        for guid, dn in self._roots.items():
            known = self._places.known(guid)
            if known is not None and known.dn != dn and self._places.holds(guid):
                self._resolved.append(
                    SourceEntry(guid=guid, dn=dn, parent_guid=None, deleted=False, attributes={})
                )


def too_many(resource: str) -> CookieRejectedError:
    """Says that everything is to be read, since more changed than is held at once."""
    return CookieRejectedError(
        f"More than {MOST_ENTRIES} objects changed, so everything was read.", resource=resource
    )


class _Places:
    """What of one source is known, and where it lies after the changes that were taken so far.

    Args:
        sources: what is known before.
        source: number of the source.
    """

    def __init__(self, sources: SourceSpace, source: int) -> None:
        self._sources = sources
        self._source = source
        self._found: dict[str, KnownObject | None] = {}
        self._parents: dict[str, str | None] = {}
        self._gone: set[str] = set()

    def known(self, guid: str) -> KnownObject | None:
        """An object as it was before all changes."""
        found = self._find(guid)
        return found if found is not None and found.source == self._source else None

    def group(self, guid: str) -> KnownObject | None:
        """A group that may get members, of whatever source it is; as it was before all changes."""
        return None if guid in self._gone else self._find(guid)

    def _find(self, guid: str) -> KnownObject | None:
        if guid not in self._found:
            self._found[guid] = self._sources.find(guid)
        return self._found[guid]

    def groups_of(self, member: str) -> frozenset[str]:
        """Groups that held a member before all changes."""
        return self._sources.groups_of(self._source, member)

    def naming(self, target: str) -> frozenset[str]:
        """Objects that named another before all changes, by other attributes than `member`."""
        return self._sources.naming(self._source, target)

    def holds(self, guid: str) -> bool:
        """Whether an object is known now."""
        if guid in self._parents:
            return True
        return guid not in self._gone and self.known(guid) is not None

    def parent_of(self, guid: str) -> str | None:
        """The container of an object now; `None` where it is not known."""
        if guid in self._parents:
            return self._parents[guid]
        known = None if guid in self._gone else self.known(guid)
        return None if known is None else known.parent_guid

    def put(self, guid: str, parent: str | None) -> None:
        """An object lies in a container from now on."""
        self._parents[guid] = parent
        self._gone.discard(guid)

    def drop(self, guid: str) -> None:
        """An object is known no longer."""
        self._parents.pop(guid, None)
        self._gone.add(guid)


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
