"""What changed when: the order that read-back goes by, and what is not on disk yet."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from entrasync.emulator.links import LinkPlan
from entrasync.emulator.objects import CloudObject

_LEAST_COMPACTED: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkWrite:
    """Links of one group that changed, for whoever keeps them on disk."""

    group: str
    added: frozenset[str]
    removed: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Writes:
    """What changed since it was last asked for."""

    objects: tuple[CloudObject, ...]
    links: tuple[LinkWrite, ...]


class Journal:
    """Gives every change a version, and the objects that changed after one.

    An entry is stale once its object has a later one; stale entries go when they are the most, so
    that noting a change costs the same however many objects there are.
    """

    def __init__(self) -> None:
        self.version = 0
        self._versions: list[int] = []
        self._objects: list[CloudObject] = []
        self._stale = 0
        self._written: dict[str, CloudObject] = {}
        self._links_written: list[LinkWrite] = []

    def note(self, target: CloudObject) -> None:
        """Notes that an object changed: it is the latest now."""
        self._stale += target.version > 0
        target.version = self.version + 1
        self._append(target)
        self._written[target.cloud_anchor] = target
        if self._stale > _LEAST_COMPACTED and self._stale * 2 > len(self._objects):
            self._compact()

    def note_links(self, group: CloudObject, links: LinkPlan) -> None:
        """Notes that members of a group changed."""
        self._links_written.append(
            LinkWrite(group=group.cloud_anchor, added=links.added, removed=links.removed)
        )

    def restore(self, target: CloudObject) -> None:
        """Takes in an object with the version it had; earlier ones come first."""
        self._append(target)

    def since(self, version: int) -> Iterator[CloudObject]:
        """Objects that changed after a version, oldest change first."""
        versions, objects = self._versions, self._objects
        for position in range(bisect_right(versions, version), len(objects)):
            if objects[position].version == versions[position]:
                yield objects[position]

    def writes(self) -> Writes:
        """What changed since the last call."""
        done = Writes(objects=tuple(self._written.values()), links=tuple(self._links_written))
        self._written, self._links_written = {}, []
        return done

    def _append(self, target: CloudObject) -> None:
        self.version = target.version
        self._versions.append(target.version)
        self._objects.append(target)

    def _compact(self) -> None:
        kept = list(self.since(0))
        self._objects, self._versions = kept, [each.version for each in kept]
        self._stale = 0
