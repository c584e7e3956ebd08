"""What a plan is made of: objects as the cloud holds them, and changes to them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final

from entrasync.entra.contracts import PropertyValue, SyncObject, SyncObjectType
from entrasync.state.rows import to_storable

KIND_NAMES: Final = {
    SyncObjectType.USER: "users",
    SyncObjectType.GROUP: "groups",
    SyncObjectType.CONTACT: "contacts",
}


@dataclass(slots=True, frozen=True, kw_only=True)
class CloudObject:
    """What we know the cloud holds.

    Attributes:
        anchor: its SourceAnchor.
        object_type: user, group or contact.
        guid: objectGUID of the source it came from; `None` while it is not owned.
        properties: as last exported or read back, by the service's names in our spelling.
        members: SourceAnchors of its members.
        owned: whether this sync exported or adopted it.
    """

    anchor: str
    object_type: SyncObjectType
    guid: str | None
    properties: Mapping[str, PropertyValue]
    members: frozenset[str] = frozenset()
    owned: bool = False


class Phase(IntEnum):
    """Order of export: what frees unique values, then objects, then what refers to them."""

    DELETIONS = 0
    RELEASES = 1
    USERS = 2
    CONTACTS = 3
    GROUPS = 4
    REFERENCES = 5
    LINKS = 6


class Action(StrEnum):
    """What happens to an object."""

    ADD = "add"
    UPDATE = "update"
    DELETE = "delete"
    LINKS = "links"


@dataclass(slots=True, frozen=True, kw_only=True)
class PlannedChange:
    """One change of one object.

    Attributes:
        phase: when it is sent.
        action: what it does.
        message: what is sent.
        guid: objectGUID of the source, `None` where there is none left.
        previous: values that the update replaces, for the brakes.
        step: order within the phase; a higher one travels in later requests.
        temporary: whether it only frees unique values for a moment, until the object's own change
            follows; the brakes count that one.
    """

    phase: Phase
    action: Action
    message: SyncObject
    guid: str | None
    previous: Mapping[str, PropertyValue] = field(default_factory=dict)
    step: int = 0
    temporary: bool = False

    def canonical(self) -> str:
        """One line that says exactly what this changes, the same every time."""
        return json.dumps(
            [
                self.action,
                self.message.object_type,
                self.message.source_anchor,
                {
                    key: to_storable(self.message.properties[key])
                    for key in sorted(self.message.properties)
                },
                sorted([link.anchor, link.add] for link in self.message.links),
            ],
            separators=(",", ":"),
            ensure_ascii=False,
        )


def digest_of(changes: Iterable[PlannedChange]) -> str:
    """`sha256:...` over changes, whatever their order."""
    total = hashlib.sha256()
    for line in sorted(change.canonical() for change in changes):
        total.update(line.encode() + b"\n")
    return f"sha256:{total.hexdigest()}"


@dataclass(slots=True, kw_only=True)
class ChangeCounts:
    """Objects changed, by kind and action, and links; the same object counts once an action."""

    objects: Counter[tuple[SyncObjectType, Action]] = field(default_factory=Counter)
    links_added: int = 0
    links_removed: int = 0


def count_changes(changes: Sequence[PlannedChange]) -> ChangeCounts:
    """Counts changes as a person would.

    An object whose manager follows later changed once; what it lets go for a moment is no change.
    """
    counts = ChangeCounts()
    seen: set[str] = set()
    for change in changes:
        if change.action is Action.LINKS:
            added = sum(link.add for link in change.message.links)
            counts.links_added += added
            counts.links_removed += len(change.message.links) - added
        elif change.message.source_anchor not in seen and not change.temporary:
            seen.add(change.message.source_anchor)
            counts.objects[change.message.object_type, change.action] += 1
    return counts
