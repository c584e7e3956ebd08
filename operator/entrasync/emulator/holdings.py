"""What a tenant holds: objects by both anchors, their names and links, and what changed when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from entrasync.emulator.journal import Journal, Writes
from entrasync.emulator.links import LinkPlan
from entrasync.emulator.naming import NameIndex
from entrasync.emulator.objects import Attributes, CloudObject, Names
from entrasync.entra.contracts import SyncObjectType


class Holdings:
    """The objects of a tenant. Not thread-safe: the caller serializes.

    Args:
        names: the tenant's unique names.
    """

    def __init__(self, names: NameIndex) -> None:
        self._names = names
        self._by_cloud: dict[str, CloudObject] = {}
        self._by_source: dict[str, CloudObject] = {}
        self._deleted: set[str] = set()
        self._journal = Journal()

    # Reading

    @property
    def version(self) -> int:
        """How often an object has changed."""
        return self._journal.version

    def find(self, anchor: str) -> CloudObject | None:
        """An object by either anchor, deleted ones included."""
        return self._by_source.get(anchor) or self._by_cloud.get(anchor)

    def find_by(self, anchor: str, *, cloud: bool) -> CloudObject | None:
        """An object by its CloudAnchor or by its SourceAnchor, deleted ones included."""
        return (self._by_cloud if cloud else self._by_source).get(anchor)

    def objects(self, kind: SyncObjectType | None = None) -> Iterator[CloudObject]:
        """All objects in the order they came, deleted ones included."""
        return (each for each in self._by_cloud.values() if kind in {None, each.object_type})

    def members(self, group: CloudObject) -> Iterator[CloudObject]:
        """Members of a group that are not deleted."""
        found = (self._by_cloud[anchor] for anchor in group.members)
        return (each for each in found if not each.deleted)

    def member_count(self, group: CloudObject) -> int:
        """How many members that are not deleted a group has."""
        return len(group.members) - len(group.members & self._deleted)

    def count_after(self, group: CloudObject, links: LinkPlan) -> int:
        """How many members that are not deleted a group would have."""
        removed = len(links.removed - self._deleted)
        return self.member_count(group) + len(links.added) - removed

    def changed_since(self, version: int) -> Iterator[CloudObject]:
        """Objects that changed after a version of the tenant, oldest change first."""
        return self._journal.since(version)

    # The data file

    def restore(self, target: CloudObject) -> None:
        """Takes in an object as it was written before, members included; oldest change first."""
        self._by_cloud[target.cloud_anchor] = target
        if target.source_anchor:
            self._by_source[target.source_anchor] = target
        if target.deleted:
            self._deleted.add(target.cloud_anchor)
        self._journal.restore(target)
        self._names.take(target.cloud_anchor, frozenset(), target.names.claims)

    def writes(self) -> Writes:
        """What changed since the last call."""
        return self._journal.writes()

    # Changing

    def _commit(self, target: CloudObject, attributes: Attributes, names: Names) -> None:
        """Puts a new or changed object in its place, alive."""
        if names.claims != target.names.claims:
            self._names.take(target.cloud_anchor, target.names.claims, names.claims)
        target.attributes = attributes
        target.names = names
        if target.deleted:
            target.deleted = False
            self._deleted.discard(target.cloud_anchor)
        self._by_cloud[target.cloud_anchor] = target
        if target.source_anchor:
            self._by_source[target.source_anchor] = target
        self._journal.note(target)

    def _bury(self, target: CloudObject) -> None:
        """Soft deletion: a user keeps what it had, anything else comes back as a new object."""
        target.deleted = True
        target.synced = False
        self._deleted.add(target.cloud_anchor)
        self._write_links(target, LinkPlan(removed=frozenset(target.members)))
        self._names.take(target.cloud_anchor, target.names.claims, frozenset())
        target.names = replace(target.names, claims=frozenset())
        self._journal.note(target)

    def _write_links(self, group: CloudObject, links: LinkPlan) -> None:
        if links.added or links.removed:
            group.members -= links.removed
            group.members |= links.added
            self._journal.note_links(group, links)
