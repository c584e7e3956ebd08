"""What is pending, for tests of plans: written into the state as an evaluation does."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from entrasync.engine.brake_checks import BrakeRules
from entrasync.engine.brakes import SafetyLimits
from entrasync.engine.changes import Action, ChangeCounts, PlannedChange
from entrasync.engine.inputs import MatchingRules
from entrasync.engine.plan import Plan, PlanRules, make_plan
from entrasync.engine.removals import Evidence
from entrasync.entra.contracts import PropertyValue, SyncObjectType
from entrasync.state.rows import encode_properties
from entrasync.state.schema import Part
from entrasync.state.store import Store

NOW = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)
USER, CONTACT, GROUP = SyncObjectType.USER, SyncObjectType.CONTACT, SyncObjectType.GROUP

Properties = Mapping[str, PropertyValue]


def guid_of(anchor: str) -> bytes:
    """ObjectGUID of the object behind an anchor."""
    return uuid.uuid5(uuid.NAMESPACE_OID, anchor).bytes


class Pending:
    """Writes into a state.

    Args:
        store: the state.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._execute = store.database.connection.execute

    def number(self, anchor: str) -> int:
        """The number of an anchor."""
        return self.store.database.anchor_number(anchor)

    def holds(
        self,
        anchor: str,
        kind: SyncObjectType = USER,
        members: Iterable[str] = (),
        *,
        owned: bool = True,
        **properties: PropertyValue,
    ) -> None:
        """The tenant holds an object."""
        number = self.number(anchor)
        chosen = [self.number(member) for member in members]
        self._execute(
            "INSERT OR REPLACE INTO cloud_objects (anchor, type, guid, owned, links, properties)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (
                number,
                kind,
                guid_of(anchor) if owned else None,
                owned,
                len(chosen),
                encode_properties(properties),
            ),
        )
        for member in chosen:
            self._execute("INSERT INTO cloud_links VALUES (?, ?)", (number, member))

    def adds(self, anchor: str, kind: SyncObjectType = USER, **properties: PropertyValue) -> None:
        """An object is to be created."""
        self._write(anchor, Part.OBJECT, Action.ADD, kind, properties)

    def updates(
        self, anchor: str, kind: SyncObjectType = USER, **properties: PropertyValue
    ) -> None:
        """Properties are to be written."""
        self._write(anchor, Part.OBJECT, Action.UPDATE, kind, properties)

    def refers(self, anchor: str, kind: SyncObjectType = USER, **properties: PropertyValue) -> None:
        """References are to be written."""
        self._write(anchor, Part.REFERENCES, Action.UPDATE, kind, properties)

    def _write(
        self, anchor: str, part: Part, action: Action, kind: str, properties: Properties
    ) -> None:
        number = self.number(anchor)
        before = self.store.cloud.properties(number) or {}
        self._execute(
            "INSERT OR REPLACE INTO pending VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                number,
                part,
                action,
                kind,
                guid_of(anchor),
                encode_properties(properties),
                encode_properties({key: before[key] for key in properties if key in before}),
                "{}",
            ),
        )

    def links(self, group: str, added: Iterable[str] = (), removed: Iterable[str] = ()) -> None:
        """Members are to be added and removed."""
        for adds, members in ((1, added), (0, removed)):
            self.store.database.connection.executemany(
                "INSERT OR REPLACE INTO pending_links VALUES (?, ?, ?)",
                [(self.number(group), self.number(member), adds) for member in members],
            )

    def candidate(self, anchor: str, evidence: Evidence | None) -> None:
        """An owned object is wanted no longer."""
        self._execute(
            "INSERT OR REPLACE INTO candidates VALUES (?, ?)", (self.number(anchor), evidence)
        )

    def clear_candidates(self, *anchors: str) -> None:
        """Objects are wanted again."""
        for anchor in anchors:
            self.execute("DELETE FROM candidates WHERE anchor = ?", anchor)

    def execute(self, statement: str, anchor: str) -> None:
        """One statement that takes the number of an anchor."""
        self._execute(statement, (self.number(anchor),))

    def gone(self, *anchors: str, kind: SyncObjectType = USER) -> None:
        """Owned objects that were deleted in the directory."""
        with self.store.transaction():
            for anchor in anchors:
                self.holds(anchor, kind)
                self.candidate(anchor, Evidence.DELETED)

    def wants(
        self, anchor: str, kind: SyncObjectType, properties: Properties, before: Properties | None
    ) -> None:
        """What must be written for an object to have exactly these properties."""
        known = before or {}
        differing = {key: value for key, value in properties.items() if known.get(key) != value}
        differing |= {key: None for key in known if key not in properties}
        if before is None:
            self.adds(anchor, kind, **differing)
        elif differing:
            self.updates(anchor, kind, **differing)

    def clear(self) -> None:
        """Forgets what is pending."""
        for table in ("pending", "pending_links", "candidates"):
            self._execute(f"DELETE FROM {table}")  # noqa: S608  - ours


def planned(store: Store, rules: PlanRules | None = None) -> list[PlannedChange]:
    """The changes of a plan of what is pending."""
    return list(plan_of(store, rules).changes())


def plan_of(store: Store, rules: PlanRules | None = None) -> Plan:
    """A plan of what is pending."""
    return make_plan(store, rules or PlanRules())


def brake_rules(
    limits: SafetyLimits | None = None,
    *,
    matching: MatchingRules | None = None,
    since: dt.datetime = NOW - dt.timedelta(hours=24),
    **more: object,
) -> BrakeRules:
    """Rules of brakes, with defaults."""
    return BrakeRules(
        limits=limits or SafetyLimits(),
        since=since,
        matching=matching or MatchingRules(),
        **more,  # type: ignore[arg-type]  # named by tests
    )


@dataclass(slots=True, frozen=True, kw_only=True)
class Made:
    """A plan that was made, and a word on it."""

    changes: tuple[PlannedChange, ...]
    digest: str
    counts: ChangeCounts
    unaccounted: frozenset[str]


class Scratch:
    """Plans in a state of their own that is as empty as before afterwards.

    Args:
        store: the state.
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    @contextmanager
    def state(self) -> Iterator[Pending]:
        """A state to write into, which is forgotten."""
        execute = self.store.database.connection.execute
        execute("BEGIN")
        try:
            yield Pending(self.store)
        finally:
            execute("ROLLBACK")

    def made(self, rules: PlanRules | None = None) -> Made:
        """A plan of what is pending."""
        plan = plan_of(self.store, rules)
        return Made(
            changes=tuple(plan.changes()),
            digest=plan.digest,
            counts=plan.counts,
            unaccounted=frozenset(plan.unaccounted_anchors()),
        )

    def planned(
        self,
        before: Mapping[str, Properties],
        after: Mapping[str, Properties],
        kinds: Mapping[str, SyncObjectType],
    ) -> Made:
        """What makes of one directory another."""
        with self.state() as state:
            for anchor, properties in before.items():
                state.holds(anchor, kinds.get(anchor, USER), (), owned=True, **properties)
                if anchor not in after:
                    state.candidate(anchor, Evidence.DELETED)
            for anchor, properties in after.items():
                state.wants(anchor, kinds.get(anchor, USER), properties, before.get(anchor))
            return self.made()
