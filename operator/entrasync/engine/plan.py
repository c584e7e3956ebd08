"""The plan: what must change for the cloud to be as it should be, in the order it is sent.

Only what is owned is ever deleted, and only with evidence that it is gone from the scope.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from entrasync.engine.changes import (
    KIND_NAMES,
    Action,
    ChangeCounts,
    CloudObject,
    Phase,
    PlannedChange,
    count_changes,
    digest_of,
)
from entrasync.engine.evaluate import DesiredObject, Evaluation
from entrasync.engine.flows import MANAGER
from entrasync.engine.releases import UNIQUE_KEYS, Move, order_releases
from entrasync.entra.contracts import (
    LinkChange,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)

__all__ = [
    "KIND_NAMES",
    "REMOVING",
    "Action",
    "ChangeCounts",
    "CloudObject",
    "Evidence",
    "Phase",
    "Plan",
    "PlannedChange",
    "count_changes",
    "digest_of",
    "plan_changes",
    "removal_candidates",
]


class Evidence(StrEnum):
    """What reading an object again by its GUID told."""

    DELETED = "Deleted"
    OUT_OF_SCOPE = "OutOfScope"
    MOVED = "Moved"
    UNKNOWN = "Unknown"


REMOVING: Final = frozenset({Evidence.DELETED, Evidence.OUT_OF_SCOPE})


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


def removal_candidates(
    evaluation: Evaluation, cloud: Mapping[str, CloudObject]
) -> tuple[CloudObject, ...]:
    """Owned objects that are no longer wanted and must be read again before anything happens.

    Never such of a kind that is not synced.
    """
    frozen = evaluation.frozen
    return tuple(
        found
        for anchor, found in sorted(cloud.items())
        if found.owned
        and anchor not in evaluation.desired
        and anchor not in frozen
        and found.object_type not in evaluation.kept_types
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
    frozen = evaluation.frozen
    ends = _Ends(
        untouched=frozenset(_links_to_leave(evaluation, cloud) | unaccounted | removed),
        known=cloud.keys() | evaluation.desired.keys(),
        absent=frozenset(frozen - cloud.keys() - evaluation.desired.keys()),
    )
    for anchor in sorted(evaluation.desired):
        changes += _object_changes(evaluation.desired[anchor], cloud.get(anchor), ends)
    orphans = Counter(
        found.object_type
        for anchor, found in cloud.items()
        if not found.owned and anchor not in evaluation.desired and anchor not in frozen
    )
    adopted = frozenset(
        anchor for anchor in evaluation.desired if anchor in cloud and not cloud[anchor].owned
    )
    return Plan(
        changes=_in_order(changes, cloud),
        adopted=adopted,
        unaccounted=frozenset(unaccounted),
        orphans=dict(orphans),
    )


@dataclass(slots=True, frozen=True, kw_only=True)
class _Ends:
    """Who is left out of references.

    Attributes:
        untouched: whose memberships are never ended.
        known: users, groups and contacts; who else is a member, a device for example, is another's.
        absent: who is left as it is and was never created: a reference to them would be refused.
    """

    untouched: frozenset[str]
    known: AbstractSet[str]
    absent: frozenset[str]


def _in_order(
    changes: Iterable[PlannedChange], cloud: Mapping[str, CloudObject]
) -> tuple[PlannedChange, ...]:
    """Changes as they are sent: no value is taken before whoever holds it has let go.

    Within a phase creations come first, then the rest by anchor.
    """
    others: list[PlannedChange] = []
    moving: dict[str, PlannedChange] = {}
    for change in changes:
        if UNIQUE_KEYS.isdisjoint(change.message.properties):
            others.append(change)
        else:
            moving[change.message.source_anchor] = change
    order = order_releases(_move(change, cloud) for change in moving.values())
    others += [_for_a_moment(moving[anchor], let_go) for anchor, let_go in order.temporary.items()]
    for anchor, step in order.steps.items():
        moving[anchor] = replace(moving[anchor], phase=Phase.RELEASES, step=step)
    ordered = [*others, *moving.values()]
    ordered.sort(
        key=lambda change: (
            change.phase,
            change.step,
            change.action is not Action.ADD,
            change.message.source_anchor,
        )
    )
    return tuple(ordered)


def _move(change: PlannedChange, cloud: Mapping[str, CloudObject]) -> Move:
    known = cloud.get(change.message.source_anchor)
    before = {} if known is None else known.properties
    return Move(
        anchor=change.message.source_anchor,
        phase=change.phase,
        before=before,
        after={**before, **change.message.properties},
    )


def _for_a_moment(change: PlannedChange, properties: Mapping[str, PropertyValue]) -> PlannedChange:
    """What frees the values of an object until its own change follows."""
    return replace(
        change,
        phase=Phase.RELEASES,
        message=replace(change.message, properties=dict(properties)),
        previous={key: change.previous[key] for key in properties},
        temporary=True,
    )


def _links_to_leave(evaluation: Evaluation, cloud: Mapping[str, CloudObject]) -> set[str]:
    """Anchors whose memberships are never ended: objects of others, and objects frozen as they are.

    A group too large to be exported is frozen too, but its own memberships are known; so are those
    of what is in scope of a kind that is not synced, but not of what else the tenant has of it.
    """
    frozen = {e.anchor for e in evaluation.withheld if e.reason != "GroupTooLarge"}
    others = {
        anchor
        for anchor, found in cloud.items()
        if anchor not in evaluation.desired
        and (
            not found.owned
            or (found.object_type in evaluation.kept_types and anchor not in evaluation.kept)
        )
    }
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
    ends: _Ends,
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
    references = {key: value for key, value in references.items() if value not in ends.absent}
    changes: list[PlannedChange] = []
    if known is None or differing:
        changes.append(_set(desired, _OBJECT_PHASES[desired.object_type], known, differing, before))
    if references:
        changes.append(_set(desired, Phase.REFERENCES, known, references, before, refers=True))
    links = _link_changes(desired, known, ends)
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
    ends: _Ends,
) -> tuple[LinkChange, ...]:
    """Members to add and remove.

    The service itself ends the links of what is deleted, so none is sent for those.
    """
    before = frozenset() if known is None else known.members
    added = sorted(desired.members - before - ends.absent)
    gone = sorted((before & ends.known) - desired.members - ends.untouched)
    return tuple(
        [LinkChange(anchor=anchor, add=False) for anchor in gone]
        + [LinkChange(anchor=anchor, add=True) for anchor in added]
    )
