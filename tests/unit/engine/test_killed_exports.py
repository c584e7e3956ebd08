"""Exports killed at any step: the next runs end where an undisturbed one would have."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrasync.engine.approvals import Approvals
from entrasync.engine.exporting import Export
from entrasync.engine.failures import hold_back
from entrasync.engine.letting_go import META_TEMPORARY
from entrasync.engine.plan import PlanRules, make_plan
from entrasync.engine.settling import settle_interrupted
from entrasync.entra.contracts import (
    LinkChange,
    ObjectResult,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)
from entrasync.state.cloud_reading import ReadBackRules
from entrasync.state.rows import encode_properties, guid_bytes
from entrasync.state.store import Store
from tests.support.planned import guid_of, held
from tests.support.traffic import traffic

NOW: Final = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)
UPN, TITLE, MANAGER = "userPrincipalName", "title", "manager"
KEYS: Final = frozenset({UPN, TITLE, MANAGER})
USERS: Final = tuple(f"u{number}" for number in range(6))
GROUPS: Final = ("g0", "g1")


class Killed(BaseException):
    """As `kill -9`: nobody catches it."""


@dataclass(frozen=True, kw_only=True)
class Object:
    """An object, as it is or should be."""

    properties: Mapping[str, PropertyValue] = field(default_factory=dict)
    members: frozenset[str] = frozenset()


World = dict[str, Object]


def kind_of(anchor: str) -> SyncObjectType:
    return SyncObjectType.GROUP if anchor.startswith("g") else SyncObjectType.USER


@dataclass
class Tenant:
    """A service that holds unique names, and refuses references to what it does not hold."""

    world: World
    tick: Callable[[], None] = lambda: None
    refused: list[str] = field(default_factory=list)
    idle: list[str] = field(default_factory=list)
    """Objects of messages that changed nothing."""

    def provision(self, objects: Sequence[SyncObject]) -> list[ObjectResult]:
        self.tick()
        results = [self._answer(each) for each in objects]
        self.tick()
        return results

    def _answer(self, each: SyncObject) -> ObjectResult:
        anchor, before = each.source_anchor, dict(self.world)
        good = self._apply(each)
        if not good:
            self.refused.append(anchor)
        elif self.world == before:
            self.idle.append(anchor)
        return ObjectResult(source_anchor=anchor, success=good, code=None if good else "Refused")

    def _apply(self, each: SyncObject) -> bool:
        anchor = each.source_anchor
        if each.operation is SyncOperation.DELETE:
            if self.world.pop(anchor, None) is None:
                return False
            for owner, other in self.world.items():
                self.world[owner] = replace(other, members=other.members - {anchor})
            return True
        known = self.world.get(anchor, Object())
        properties = {**known.properties, **each.properties}
        properties = {key: value for key, value in properties.items() if value is not None}
        others = {other.properties.get(UPN) for name, other in self.world.items() if name != anchor}
        manager = each.properties.get(MANAGER)
        named = {link.anchor for link in each.links} | ({manager} if manager else set())
        if properties.get(UPN) in others - {None} or named - self.world.keys():
            return False
        members = known.members | {link.anchor for link in each.links if link.add}
        members -= {link.anchor for link in each.links if not link.add}
        self.world[anchor] = Object(properties=properties, members=members)
        return True


# --- runs --------------------------------------------------------------------------------------


def read_back(store: Store, tenant: Tenant) -> None:
    """Takes what the tenant holds for what is known of it, as a run does after a killed one."""
    pending = store.checkpoints.pending()
    rules = ReadBackRules(comparable=KEYS, watched=KEYS, unsettled=frozenset(pending))
    reading = store.cloud.full_read_back(rules)
    reading.take(
        [
            SyncObject(
                object_type=kind_of(anchor),
                operation=SyncOperation.SET,
                source_anchor=anchor,
                properties=each.properties,
                links=tuple(LinkChange(anchor=one, add=True) for one in sorted(each.members)),
            )
            for anchor, each in tenant.world.items()
        ]
    )
    with store.transaction():
        reading.finish()
        settle_interrupted(store, NOW)
        store.cloud.claim({anchor: guid_bytes(guid_of(anchor)) for anchor in pending})
        store.checkpoints.forget_intent()


def evaluate(store: Store, wanted: World, *, everything: bool) -> None:
    """Compares what is wanted with what is known: all of it, or what a read-back changed."""
    execute, number = store.database.connection.execute, store.database.anchor_number
    anchors = {*wanted, *held(store)}
    if not everything:
        rows = execute(
            "SELECT anchors.anchor FROM anchors WHERE id IN (SELECT anchor FROM changed_anchors"
            " UNION SELECT owner FROM changed_pairs)"
        )
        anchors = {anchor for (anchor,) in rows}
    with store.transaction():
        for anchor in sorted(anchors):
            execute("DELETE FROM pending WHERE anchor = ?", (number(anchor),))
            execute("DELETE FROM pending_links WHERE owner = ?", (number(anchor),))
            execute("DELETE FROM candidates WHERE anchor = ?", (number(anchor),))
            _compare(store, anchor, wanted.get(anchor))
        for table in ("changed_anchors", "changed_pairs"):
            execute(f"DELETE FROM {table}")  # noqa: S608  - ours


def _compare(store: Store, anchor: str, wanted: Object | None) -> None:
    execute, number = store.database.connection.execute, store.database.anchor_number
    known = store.cloud.properties(number(anchor))
    if wanted is None:
        if known is not None:
            execute("INSERT INTO candidates VALUES (?, 'Deleted')", (number(anchor),))
        return
    before = known or {}
    keys = sorted({*wanted.properties, *before})
    changed = {
        k: wanted.properties.get(k) for k in keys if wanted.properties.get(k) != before.get(k)
    }
    references = {key: changed.pop(key) for key in [MANAGER] if key in changed}
    for part, properties in enumerate((changed, references)):
        adds = known is None and part == 0
        if properties or adds:
            execute(
                "INSERT INTO pending (anchor, part, action, type, guid, properties, previous)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    number(anchor),
                    part,
                    "add" if adds else "update",
                    kind_of(anchor),
                    guid_bytes(guid_of(anchor)),
                    encode_properties(properties),
                    encode_properties({k: before[k] for k in properties if k in before}),
                ),
            )
    members = {number(each) for each in wanted.members}
    linked = store.cloud.members(number(anchor))
    pairs = [(each, 1) for each in members - linked] + [(each, 0) for each in linked - members]
    store.database.connection.executemany(
        "INSERT INTO pending_links VALUES (?, ?, ?)",
        [(number(anchor), member, adds) for member, adds in pairs],
    )


def export(store: Store, tenant: Tenant) -> Export:
    plan = make_plan(store, PlanRules())
    hold_back(store, NOW, everything=False)
    found = Export(
        tenant,
        store,
        Approvals(store, NOW),
        now=lambda: NOW,
        traffic=traffic(start=2, max_links=3),
    )
    found.send(plan, lambda *_: None)
    return found


@contextmanager
def killing(store: Store, tenant: Tenant, at: int | None) -> Iterator[None]:
    """Kills at the n-th step: around calls, and between the writes of their results."""
    steps = 0

    def tick() -> None:
        nonlocal steps
        if steps == at:
            raise Killed
        steps += 1

    def ticking(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **named: object) -> object:
            tick()
            return real(*args, **named)

        return call

    tenant.tick = tick
    with (
        patch.object(store.cloud, "record_set", ticking(store.cloud.record_set)),
        patch.object(store.cloud, "record_links", ticking(store.cloud.record_links)),
        patch.object(store.cloud, "record_deleted", ticking(store.cloud.record_deleted)),
        patch.object(store.checkpoints, "spend", ticking(store.checkpoints.spend)),
        patch.object(store.checkpoints, "forget_intent", ticking(store.checkpoints.forget_intent)),
    ):
        yield
    tenant.tick = lambda: None


def fill(store: Store, world: World) -> None:
    """Says that all of a world is ours."""
    number = store.database.anchor_number
    for anchor, each in world.items():
        store.cloud.record_set(
            number(anchor), str(kind_of(anchor)), guid_bytes(guid_of(anchor)), each.properties
        )
    for anchor, each in world.items():
        store.cloud.record_links(number(anchor), map(number, each.members), [])


def live(before: World, wanted: World, kills: Sequence[int], folder: Path) -> Tenant:
    """Runs that are killed one after the other, and one that is not."""
    tenant = Tenant(dict(before))
    with Store(folder) as store:
        fill(store, before)
        evaluate(store, wanted, everything=True)
    for at in (*kills, None):
        with Store(folder) as store:
            if store.checkpoints.pending():
                read_back(store, tenant)
                evaluate(store, wanted, everything=False)
            try:
                with killing(store, tenant, at):
                    export(store, tenant)
            except Killed:
                tenant.tick = lambda: None
    return tenant


def expected_spending(before: World, wanted: World) -> dict[str, int]:
    found = {"identity-changes": 0, "clears": 0, "link-removals": 0}
    for anchor, each in before.items():
        if anchor not in wanted:
            key = f"deletions:{kind_of(anchor)}"
            found[key] = found.get(key, 0) + 1
            continue
        new = wanted[anchor]
        found["identity-changes"] += each.properties.get(UPN) != new.properties.get(UPN)
        lost = each.properties.keys() - new.properties.keys()
        # a reference to who is deleted ends with the deletion
        ended = MANAGER in lost and each.properties[MANAGER] not in wanted
        found["clears"] += len(lost) - ended
        found["link-removals"] += len((each.members - new.members) & wanted.keys())
    return {sort: count for sort, count in found.items() if count}


# --- worlds ------------------------------------------------------------------------------------


@st.composite
def worlds(draw: st.DrawFn) -> World:
    users = draw(st.lists(st.sampled_from(USERS), unique=True, max_size=len(USERS)))
    groups = draw(st.lists(st.sampled_from(GROUPS), unique=True, max_size=len(GROUPS)))
    names = draw(st.permutations([f"n{number}@x" for number in range(len(USERS))]))
    world: World = {}
    for anchor, name in zip(users, names, strict=False):
        properties: dict[str, PropertyValue] = {UPN: name}
        if draw(st.booleans()):
            properties[TITLE] = draw(st.sampled_from(["one", "two"]))
        others = [each for each in users if each != anchor]
        manager = draw(st.sampled_from([None, *others]))
        if manager is not None:
            properties[MANAGER] = manager
        world[anchor] = Object(properties=properties)
    for anchor in groups:
        members = draw(st.frozensets(st.sampled_from([*users, *groups])))
        world[anchor] = Object(properties={TITLE: "g"}, members=members)
    return world


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(before=worlds(), wanted=worlds(), kills=st.lists(st.integers(0, 40), max_size=4))
def test_a_killed_export_ends_as_planned(before: World, wanted: World, kills: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        tenant = live(before, wanted, kills, Path(folder))

        assert tenant.refused == []
        # nothing is sent that was done already
        assert tenant.idle == []
        assert tenant.world == wanted
        with Store(Path(folder)) as store:
            known = {
                anchor: Object(properties=each.properties, members=each.members)
                for anchor, each in held(store).items()
            }
            assert known == wanted
            assert store.checkpoints.spent_since(NOW) == expected_spending(before, wanted)
            assert store.get(META_TEMPORARY) is None
            for table in ("pending", "pending_links", "candidates", "failures"):
                rows = store.database.connection.execute(f"SELECT * FROM {table}")  # noqa: S608  - ours
                assert rows.fetchall() == []


def user(name: str) -> Object:
    return Object(properties={UPN: name})


@pytest.mark.parametrize("at", range(16))
def test_a_swap_killed_at_any_step_is_finished(tmp_path: Path, at: int) -> None:
    before = {"u0": user("a@x"), "u1": user("b@x")}
    wanted = {"u0": user("b@x"), "u1": user("a@x")}

    tenant = live(before, wanted, [at], tmp_path)

    assert (tenant.world, tenant.refused) == (wanted, [])
