"""The plan: what must change for the cloud to be as it should be, in the order it is sent.

It lies in the state, made from what is pending; only what is owned is ever deleted, and only with
evidence that it is gone from the scope.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from entrasync.api.choices import DriftPolicy, OnRemoval, OrphanPolicy
from entrasync.engine.brakes import figures
from entrasync.engine.changes import (
    KIND_NAMES,
    Action,
    ChangeCounts,
    CloudObject,
    Phase,
    PlannedChange,
    canonical_line,
    canonical_text,
    count_changes,
    counted_as,
    digest_of,
    fingerprint_of_line,
)
from entrasync.engine.releases import UNIQUE_KEYS, Move, Value, order_releases, unique_values
from entrasync.engine.removals import Evidence, count_unaccounted, plan_removals, unaccounted
from entrasync.engine.source import SourceKind
from entrasync.entra.contracts import SyncObject, SyncObjectType, SyncOperation
from entrasync.state.drift import REPAIRS
from entrasync.state.naming import NO_LINKS, NO_PROPERTIES, Named, StoredRow
from entrasync.state.plan_rows import PlanRow
from entrasync.state.planning import Mergeable, PhaseNumbers, PlanFilling, UniqueRow
from entrasync.state.rows import to_storable
from entrasync.state.store import Store

__all__ = [
    "KIND_NAMES",
    "Action",
    "ChangeCounts",
    "CloudObject",
    "Evidence",
    "Phase",
    "Plan",
    "PlanRules",
    "PlannedChange",
    "count_changes",
    "digest_of",
    "make_plan",
]

OBJECT_PHASES: Final = {
    SyncObjectType.USER: Phase.USERS,
    SyncObjectType.CONTACT: Phase.CONTACTS,
    SyncObjectType.GROUP: Phase.GROUPS,
}
RECREATE: Final = "recreate"
"""Outcome of an addition that follows a deleted object of the same person."""
_SAME_PERSON: Final = ("userPrincipalName", "onPremiseSecurityIdentifier")
_PHASES: Final = PhaseNumbers(
    deletions=Phase.DELETIONS,
    releases=Phase.RELEASES,
    objects={str(kind): int(phase) for kind, phase in OBJECT_PHASES.items()},
    references=Phase.REFERENCES,
    links=Phase.LINKS,
)
# without a call for each change
_PHASE_OF: Final = {int(each): each for each in Phase}
_ACTION_OF: Final = {each.value: each for each in Action}
_TYPE_OF: Final = {each.value: each for each in SyncObjectType}
_VALUES_AT_ONCE: Final = 10_000
_ALWAYS: Final = frozenset(map(str, (Action.ADD, Action.DELETE)))
"""What does something even without properties or links."""
_NO_FIGURES: Final = frozenset(map(str, (Action.ADD, Action.DELETE, Action.LINKS)))
"""What counts by itself, whatever its properties."""
_DISABLES: Final = '"accountEnabled":false'


@dataclass(slots=True, frozen=True, kw_only=True)
class PlanRules:
    """What a plan follows.

    Attributes:
        on_removal: what becomes of candidates, by each kind that is synced.
        drift: what becomes of values that somebody else changed.
        orphans: what becomes of synced objects that are not ours.
    """

    on_removal: Mapping[SourceKind, OnRemoval] = field(
        default_factory=lambda: dict.fromkeys(
            (SourceKind.USER, SourceKind.GROUP, SourceKind.CONTACT), OnRemoval.DELETE
        )
    )
    drift: DriftPolicy = DriftPolicy.REPAIR
    orphans: OrphanPolicy = OrphanPolicy.REPORT


class Plan:
    """Everything a run would change: a view on the state, good until the next plan is made.

    Args:
        store: the state.

    Attributes:
        digest: `sha256:...` over all changes, whatever their order.
        total: how many changes there are.
        unaccounted: how many objects vanished without a trace and are kept.
        orphans: synced cloud objects that are not ours, by type.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.digest = digest_of(store.plan.fingerprints())
        self.total, _ = store.plan.count()
        self.unaccounted = count_unaccounted(store)
        self.orphans: Mapping[str, int] = store.cloud.orphan_counts()

    @property
    def counts(self) -> ChangeCounts:
        """What changes in this run, without what is held."""
        counts = ChangeCounts()
        for (kind, action), count in self._store.plan.count_objects().items():
            counts.objects[SyncObjectType(kind), counted_as(Action(action))] += count
        counts.links_added, counts.links_removed = self._store.plan.count_links()
        return counts

    @property
    def deletes(self) -> bool:
        """Whether anything is deleted."""
        return self._store.plan.has_deletions()

    @property
    def has_links(self) -> bool:
        """Whether members change."""
        return self._store.plan.has_links()

    def changes(self) -> Iterator[PlannedChange]:
        """All changes, what is braked first, else in order; read page by page."""
        return map(change_of, self._store.plan.rows())

    def sendable(self) -> Iterator[PlannedChange]:
        """Changes that are not held, in the order they are sent; read page by page."""
        for page in self._store.plan.sendable():
            for row in page:
                change = change_of(row)
                if change.action is not Action.LINKS or change.message.links:
                    yield change

    def batches(self, size: int) -> Iterator[list[PlannedChange]]:
        """As `sendable`, at most so many at a time, and never of more than one phase and step."""
        for _, together in groupby(self.sendable(), key=lambda each: (each.phase, each.step)):
            batch: list[PlannedChange] = []
            for change in together:
                if len(batch) == size:
                    yield batch
                    batch = []
                batch.append(change)
            yield batch

    def unaccounted_anchors(self) -> Iterator[str]:
        """SourceAnchors of what vanished without a trace and is kept, in order."""
        return unaccounted(self._store)


def make_plan(store: Store, rules: PlanRules) -> Plan:
    """Plans what is pending.

    Args:
        store: the state, evaluated, with evidence for its candidates.
        rules: what to follow.
    """
    filling = store.plan.filling
    with store.transaction():
        filling.begin()
        plan_removals(store, rules.on_removal, rules.orphans)
        store.cloud.drift.settle()
        filling.leave_out(0 if rules.drift is DriftPolicy.REPORT else REPAIRS)
        _merge_references(store)
        _order_releases(filling)
        naming = filling.naming
        for page in naming.pages():
            naming.name(_named(row, naming.stays) for row in page if _does_something(row))
        filling.order(_PHASES)
        filling.recreations(_SAME_PERSON)
    return Plan(store)


def change_of(row: PlanRow) -> PlannedChange:
    """A row of the plan as a change."""
    deletes = row.action == Action.DELETE
    return PlannedChange(
        phase=_PHASE_OF[row.phase],
        action=_ACTION_OF[row.action],
        message=SyncObject(
            object_type=_TYPE_OF[row.type],
            operation=SyncOperation.DELETE if deletes else SyncOperation.SET,
            source_anchor=row.anchor,
            properties=row.properties,
            links=row.links,
        ),
        guid=row.guid,
        previous=row.previous,
        step=row.step,
        temporary=row.temporary,
        number=row.number,
        part=row.part,
        fingerprint=row.fingerprint,
        why=row.why,
        outcome=row.outcome,
        replaces=row.replaces,
        braked=row.braked,
        held=row.held,
        members=row.members,
    )


def _does_something(row: StoredRow) -> bool:
    return row.action in _ALWAYS or row.properties != NO_PROPERTIES or row.links != NO_LINKS


def _named(row: StoredRow, stays: Callable[[str], bool]) -> Named:
    line = canonical_text(row.action, row.type, row.anchor, row.properties, row.links)
    disables, identity, clears = 0, 0, 0
    if not row.temporary and _may_count(row):
        found = figures(row.action, json.loads(row.properties), json.loads(row.previous), stays)
        disables, identity, clears = int(found.disables), int(found.identity), found.clears
    return Named(
        row.number,
        row.part,
        row.temporary,
        row.action,
        row.type,
        fingerprint_of_line(line),
        disables,
        identity,
        clears,
        row.changed,
        row.removals,
    )


def _may_count(row: StoredRow) -> bool:
    """Whether figures are worth a look, as of few: what replaces nothing can but disable."""
    if row.action in _NO_FIGURES:
        return False
    return (
        row.action != Action.UPDATE or row.previous != NO_PROPERTIES or _DISABLES in row.properties
    )


def _merge_references(store: Store) -> None:
    """Lets references travel with their object where nobody has to be created first.

    What was braked by itself stays as it is: an approval names exactly that.
    """
    approvals = store.plan.approvals
    remembers = approvals.any_set()
    for page in store.plan.filling.mergeable():
        store.plan.filling.merge(
            each for each in page if not (remembers and approvals.was_braked(_name_of(each)))
        )


def _name_of(each: Mergeable) -> bytes:
    properties = {key: to_storable(value) for key, value in each.properties.items()}
    return fingerprint_of_line(canonical_line(each.action, each.type, each.anchor, properties, ()))


def _order_releases(filling: PlanFilling) -> None:
    """Sees to it that no value is taken before whoever holds it has let go.

    Only who gives up a value, and who takes one of these, is looked at together. What is deleted
    lets go before all others; it is noted for the case that a brake keeps it.
    """
    for values in _in_pieces(filling.deletions(), _held):
        filling.give(values)
    for values in _in_pieces(filling.updates(UNIQUE_KEYS), _given):
        filling.give(values)
    if not filling.any_given():
        return
    for values in _in_pieces(filling.writes(UNIQUE_KEYS), _taken):
        filling.take(values)
    numbers: dict[str, int] = {}
    moves: list[Move] = []
    for row in filling.exchanging():
        numbers[row.anchor] = row.number
        moves.append(_move(row))
    order = order_releases(moves)
    filling.release(
        ((numbers[anchor], step) for anchor, step in order.steps.items()),
        ((numbers[anchor], let_go) for anchor, let_go in order.temporary.items()),
    )


def _move(row: UniqueRow) -> Move:
    after = {**row.before, **row.written}
    return Move(
        anchor=row.anchor,
        phase=OBJECT_PHASES[SyncObjectType(row.type)],
        before={key: value for key, value in row.before.items() if key in UNIQUE_KEYS},
        after={key: value for key, value in after.items() if key in UNIQUE_KEYS},
    )


def _held(move: Move) -> frozenset[Value]:
    return unique_values(move.before)


def _given(move: Move) -> frozenset[Value]:
    return unique_values(move.before) - unique_values(move.after)


def _taken(move: Move) -> frozenset[Value]:
    return unique_values(move.after) - unique_values(move.before)


def _in_pieces(
    rows: Iterator[UniqueRow], which: Callable[[Move], frozenset[Value]]
) -> Iterator[list[tuple[int, int]]]:
    """Values of objects, as numbers, each with the number of its object."""
    values: list[tuple[int, int]] = []
    for row in rows:
        values += [(_number(name), row.number) for _, name in which(_move(row))]
        if len(values) >= _VALUES_AT_ONCE:
            yield values
            values = []
    yield values


def _number(name: str) -> int:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)
