"""Groups that decide what takes part: who is in them, by the links of the source space."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from entrasync.directory.model import SourceEntry
from entrasync.engine.importing import SourceReading
from entrasync.engine.source import SourceKind, SourceObject
from entrasync.state.store import Store

log = structlog.get_logger()

_NONE: Final[frozenset[str]] = frozenset()


class GuidReader(Protocol):
    """What reading single objects needs of a directory session."""

    def read_guid(self, guid: str, attributes: Sequence[str]) -> SourceEntry | None:
        """One object, tombstones included; `None` is no proof of anything."""
        ...


@dataclass(slots=True, frozen=True, kw_only=True)
class GroupMembers:
    """Who is in a group.

    Attributes:
        groups: objectGUIDs of the group, and with nested of all groups in it.
        members: objectGUIDs of whoever is in one of them.
        complete: whether every group in it could be seen.
    """

    groups: frozenset[str]
    members: frozenset[str]
    complete: bool = True

    def holds(self, guid: str, member_of: frozenset[str] = _NONE) -> bool:
        """Whether an object is in it.

        Args:
            guid: the object.
            member_of: groups that the object itself, read again, says it is in.
        """
        return guid in self.members or not self.groups.isdisjoint(member_of)


def members_of(
    group: str,
    links: Mapping[str, frozenset[str]],
    *,
    nested: bool,
    kind_of: Callable[[str], SourceKind | None],
) -> GroupMembers:
    """Who is in a group; circles of groups end by themselves.

    Args:
        group: its objectGUID.
        links: members by objectGUID of the group.
        nested: whether members of groups in it count.
        kind_of: kind of an object, `None` when it was never seen: it might be a group.
    """
    if not nested:
        return GroupMembers(groups=frozenset({group}), members=links.get(group, _NONE))
    groups, members, complete = {group}, set[str](), True
    waiting = [group]
    while waiting:
        for member in links.get(waiting.pop(), _NONE):
            if member in members:
                continue
            members.add(member)
            kind = kind_of(member)
            complete = complete and kind is not None
            if kind is SourceKind.GROUP and member not in groups:
                groups.add(member)
                waiting.append(member)
    return GroupMembers(groups=frozenset(groups), members=frozenset(members), complete=complete)


def read_groups_within(
    reader: GuidReader, store: Store, reading: SourceReading, groups: frozenset[str]
) -> int:
    """Reads what is in scoping groups and lies outside of the containers; gives the entries read.

    It is part of the source space from then on, so that changes of it are followed like any other.
    Works from what the store knows, so a run that was killed meanwhile mends itself.

    Args:
        reader: the directory.
        store: the state, imported.
        reading: what is read.
        groups: objectGUIDs of groups whose members count at any depth.
    """
    if not groups:
        return 0
    rows, links = store.load_source(), store.load_source_links()
    found: dict[str, SourceEntry] = {}
    unseen = 0
    reached, waiting = set(groups), list(groups)
    while waiting:
        group = waiting.pop()
        members = set(found[group].members or () if group in found else links.get(group, ()))
        for member in members - reached:
            if member not in rows:
                entry = reader.read_guid(member, (*reading.attributes, "objectClass"))
                if entry is None or entry.deleted:
                    unseen += 1
                    continue
                found[member] = entry
            waiting.append(member)  # who has no members adds nothing
        reached |= members
    if found:
        store.apply_source_changes(found.values(), {})
    if found or unseen:
        log.info("scoping_groups_read", read=len(found), not_seen=unseen)
    return len(found)


def kinds_of(objects: Mapping[str, SourceObject]) -> Callable[[str], SourceKind | None]:
    """Tells the kind of an object that is known."""

    def kind_of(guid: str) -> SourceKind | None:
        found = objects.get(guid)
        return None if found is None else found.kind

    return kind_of
