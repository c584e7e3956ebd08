"""The plan: what must change for the cloud to be as it should be, in the order it is sent.

Only what is owned is ever deleted, and only with evidence that it is gone from the scope.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final

from entrasync.engine.evaluate import DesiredObject, Evaluation
from entrasync.engine.flows import MANAGER
from entrasync.entra.contracts import (
    LinkChange,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)
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


class Evidence(StrEnum):
    """What reading an object again by its GUID told."""

    DELETED = "Deleted"
    OUT_OF_SCOPE = "OutOfScope"
    MOVED = "Moved"
    UNKNOWN = "Unknown"


REMOVING: Final = frozenset({Evidence.DELETED, Evidence.OUT_OF_SCOPE})


class Phase(IntEnum):
    """Order of export: releases first, then objects, then what refers to them."""

    DELETIONS = 0
    USERS = 1
    CONTACTS = 2
    GROUPS = 3
    REFERENCES = 4
    LINKS = 5


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
    """

    phase: Phase
    action: Action
    message: SyncObject
    guid: str | None
    previous: Mapping[str, PropertyValue] = field(default_factory=dict)

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


@dataclass(slots=True, frozen=True, kw_only=True)
class Plan:
    """Everything a run would change.

    Attributes:
        changes: in the order they are sent.
        adopted: SourceAnchors of cloud objects that become owned because they are wanted.
        unaccounted: SourceAnchors that vanished without a trace and are kept.
        orphans: synced cloud objects that are not ours, by kind.
    """

    changes: tuple[PlannedChange, ...]
    adopted: frozenset[str]
    unaccounted: frozenset[str]
    orphans: Mapping[SyncObjectType, int]

    @property
    def digest(self) -> str:
        """`sha256:...` over all changes, whatever their order."""
        return digest_of(self.changes)


def digest_of(changes: Iterable[PlannedChange]) -> str:
    """`sha256:...` over changes, whatever their order."""
    total = hashlib.sha256()
    for line in sorted(change.canonical() for change in changes):
        total.update(line.encode() + b"\n")
    return f"sha256:{total.hexdigest()}"


def removal_candidates(
    evaluation: Evaluation, cloud: Mapping[str, CloudObject]
) -> tuple[CloudObject, ...]:
    """Owned objects that are no longer wanted and must be read again before anything happens."""
    frozen = {entry.anchor for entry in evaluation.withheld}
    return tuple(
        found
        for anchor, found in sorted(cloud.items())
        if found.owned and anchor not in evaluation.desired and anchor not in frozen
    )


def plan_changes(
    evaluation: Evaluation, cloud: Mapping[str, CloudObject], evidence: Mapping[str, Evidence]
) -> Plan:
    """Compares what should be with what is.

    Args:
        evaluation: what should be.
        cloud: what is, by SourceAnchor.
        evidence: what reading each removal candidate again told, by SourceAnchor; a candidate
            without evidence is kept.
    """
    changes: list[PlannedChange] = []
    unaccounted: set[str] = set()
    removed: set[str] = set()
    for candidate in removal_candidates(evaluation, cloud):
        told = evidence.get(candidate.anchor, Evidence.UNKNOWN)
        if told in REMOVING:
            changes.append(_deletion(candidate))
            removed.add(candidate.anchor)
        else:
            unaccounted.add(candidate.anchor)
    frozen = {entry.anchor for entry in evaluation.withheld}
    untouched = _links_to_leave(evaluation, cloud) | unaccounted | removed
    for anchor in sorted(evaluation.desired):
        changes += _object_changes(evaluation.desired[anchor], cloud.get(anchor), untouched)
    changes.sort(key=lambda change: (change.phase, change.message.source_anchor))
    orphans = Counter(
        found.object_type
        for anchor, found in cloud.items()
        if not found.owned and anchor not in evaluation.desired and anchor not in frozen
    )
    adopted = frozenset(
        anchor for anchor in evaluation.desired if anchor in cloud and not cloud[anchor].owned
    )
    return Plan(
        changes=tuple(changes),
        adopted=adopted,
        unaccounted=frozenset(unaccounted),
        orphans=dict(orphans),
    )


def _links_to_leave(evaluation: Evaluation, cloud: Mapping[str, CloudObject]) -> set[str]:
    """Anchors whose memberships are never ended: objects of others, and objects frozen as they are.

    A group too large to be exported is frozen too, but its own memberships are known.
    """
    frozen = {e.anchor for e in evaluation.withheld if e.reason != "GroupTooLarge"}
    others = {a for a, c in cloud.items() if not c.owned and a not in evaluation.desired}
    return frozen | others


def _deletion(candidate: CloudObject) -> PlannedChange:
    return PlannedChange(
        phase=Phase.DELETIONS,
        action=Action.DELETE,
        guid=candidate.guid,
        message=SyncObject(
            object_type=candidate.object_type,
            operation=SyncOperation.DELETE,
            source_anchor=candidate.anchor,
        ),
    )


_OBJECT_PHASES: Final = {
    SyncObjectType.USER: Phase.USERS,
    SyncObjectType.CONTACT: Phase.CONTACTS,
    SyncObjectType.GROUP: Phase.GROUPS,
}


def _object_changes(
    desired: DesiredObject,
    known: CloudObject | None,
    untouched: set[str],
) -> list[PlannedChange]:
    before: Mapping[str, PropertyValue] = {} if known is None else known.properties
    differing: dict[str, PropertyValue] = {
        key: value for key, value in desired.properties.items() if before.get(key) != value
    }
    differing |= {
        key: None
        for key, value in before.items()
        if key not in desired.properties and value is not None
    }
    references = {key: differing.pop(key) for key in (MANAGER,) if key in differing}
    changes: list[PlannedChange] = []
    if known is None or differing:
        changes.append(_set(desired, _OBJECT_PHASES[desired.object_type], known, differing, before))
    if references:
        changes.append(_set(desired, Phase.REFERENCES, known, references, before, refers=True))
    links = _link_changes(desired, known, untouched)
    if links:
        changes.append(
            PlannedChange(
                phase=Phase.LINKS,
                action=Action.LINKS,
                guid=desired.guid,
                message=SyncObject(
                    object_type=desired.object_type,
                    operation=SyncOperation.SET,
                    source_anchor=desired.anchor,
                    links=links,
                ),
            )
        )
    return changes


def _set(
    desired: DesiredObject,
    phase: Phase,
    known: CloudObject | None,
    properties: Mapping[str, PropertyValue],
    before: Mapping[str, PropertyValue],
    *,
    refers: bool = False,
) -> PlannedChange:
    return PlannedChange(
        phase=phase,
        action=Action.ADD if known is None and not refers else Action.UPDATE,
        guid=desired.guid,
        message=SyncObject(
            object_type=desired.object_type,
            operation=SyncOperation.SET,
            source_anchor=desired.anchor,
            properties=dict(properties),
        ),
        previous={key: before[key] for key in properties if key in before},
    )


def _link_changes(
    desired: DesiredObject,
    known: CloudObject | None,
    untouched: set[str],
) -> tuple[LinkChange, ...]:
    """Members to add and remove.

    The service itself ends the links of what is deleted, so none is sent for those.
    """
    before = frozenset() if known is None else known.members
    added = sorted(desired.members - before)
    gone = sorted(before - desired.members - untouched)
    return tuple(
        [LinkChange(anchor=anchor, add=False) for anchor in gone]
        + [LinkChange(anchor=anchor, add=True) for anchor in added]
    )


@dataclass(slots=True, kw_only=True)
class ChangeCounts:
    """Objects changed, by kind and action, and links; the same object counts once an action."""

    objects: Counter[tuple[SyncObjectType, Action]] = field(default_factory=Counter)
    links_added: int = 0
    links_removed: int = 0


def count_changes(changes: Sequence[PlannedChange]) -> ChangeCounts:
    """Counts changes as a person would: an object whose manager follows later changed once."""
    counts = ChangeCounts()
    seen: set[str] = set()
    for change in changes:
        if change.action is Action.LINKS:
            added = sum(link.add for link in change.message.links)
            counts.links_added += added
            counts.links_removed += len(change.message.links) - added
        elif change.message.source_anchor not in seen:
            seen.add(change.message.source_anchor)
            counts.objects[change.message.object_type, change.action] += 1
    return counts
