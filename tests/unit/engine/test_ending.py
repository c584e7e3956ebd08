"""The last cycle of a sync removes what it owns, and a killed one loses and doubles nothing."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from typing_extensions import override

from entrasync.api.choices import OnRemoval
from entrasync.engine.brakes import Limit, SafetyLimits
from entrasync.engine.ending import run_last_cycle
from entrasync.engine.inputs import CycleInputs
from entrasync.engine.outcome import CycleOutcome
from entrasync.engine.selection import KindRules, SelectionRules
from entrasync.engine.source import SourceKind
from entrasync.state.checkpoints import META_BATCH_SIZE
from entrasync.state.store import Store
from tests.support.model_scene import Config, Cycle
from tests.support.model_tenant import Faults, Held, Killed
from tests.support.model_world import World, _mortal

MANY = Limit(count=10**6)
ALL = SafetyLimits(
    users=MANY, groups=MANY, contacts=MANY, disables=MANY, clears=MANY, link_removals=MANY
)


class Ending(World):
    """Cycles of a sync, and its last one."""

    changes: dict[str, Any]

    @override
    def _inputs(self) -> CycleInputs:
        return dataclasses.replace(super()._inputs(), **self.changes)

    def run(self, cycle: Cycle | None = None, **changes: Any) -> CycleOutcome:
        self.changes = {"limits": ALL} | changes
        outcome = CycleOutcome()
        self.tenant.calls = 0
        with _mortal(cycle or Cycle()), Store(self.folder) as store:
            store.put(META_BATCH_SIZE, str(self.config.batch))
            self._run(store, Cycle(), lambda *_: None, outcome)
        self.remembered = outcome.scopes or self.remembered
        return outcome

    def end(self, cycle: Cycle | None = None, **changes: Any) -> CycleOutcome:
        """The last cycle; no directory answers."""
        for directory in self.directories:
            directory.fails_in = 0
        self.tenant.deleted = self._was_ours
        self.tenant.disabled = lambda _: None
        with mock.patch("tests.support.model_world.run_cycle", run_last_cycle):
            return self.run(cycle, ends=True, **({"sources": ()} | changes))

    def _was_ours(self, held: Held) -> None:
        assert held.anchor not in self.strangers, held.anchor

    def kinds(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for each in self.tenant.alive().values():
            found[str(each.type)] = found.get(str(each.type), 0) + 1
        return found


@pytest.fixture
def world(tmp_path: Path) -> Ending:
    found = Ending(tmp_path, Config(users=6, groups=2, contacts=1, batch=2))
    found.run()
    assert sum(found.kinds().values()) > 6
    return found


def test_it_removes_everything_once(world: Ending) -> None:
    outcome = world.end()

    assert outcome.outcome == "Succeeded"
    assert world.tenant.alive() == {}
    assert outcome.objects is not None
    assert set(outcome.objects.model_dump().values()) == {0}
    before = world.tenant.version
    assert world.end().message == "nothing had changed"
    assert world.tenant.version == before


def test_brakes_stop_all_of_it_and_an_approval_lets_exactly_that_through(world: Ending) -> None:
    held = world.kinds()
    tight = SafetyLimits(users=Limit(count=0), groups=MANY, contacts=MANY, link_removals=MANY)

    blocked = world.end(limits=tight)

    assert (blocked.outcome, blocked.reason) == ("Blocked", "DeletionThresholdExceeded")
    assert world.kinds() == held
    assert blocked.blocked_plan is not None
    world.end(limits=tight, approved=(blocked.blocked_plan.digest,))
    assert world.tenant.alive() == {}


def test_what_a_kind_says_of_removal_holds(world: Ending) -> None:
    users = world.kinds()["User"]
    said = {
        SourceKind.USER: OnRemoval.DISABLE,
        SourceKind.GROUP: OnRemoval.DELETE,
        SourceKind.CONTACT: OnRemoval.DELETE,
    }
    kept = SelectionRules(
        kinds={SourceKind.CONTACT: KindRules(enabled=False)}, resource="DirectorySync/contoso"
    )

    world.end(on_removal=said, selection=kept)

    left = world.kinds()
    assert left.get("User") == users
    assert "Group" not in left
    enabled = {
        each.properties.get("accountenabled")
        for each in world.tenant.alive().values()
        if str(each.type) == "User"
    }
    assert enabled == {False}


@pytest.mark.parametrize("how", ["killed before", "killed after"])
def test_killed_at_any_call_the_next_one_goes_on(world: Ending, how: str) -> None:
    call = 0
    while True:
        world.tenant.faults = Faults(call=call, how=how)
        try:
            world.end()
        except Killed:
            call += 1
            world.tenant.faults = Faults()
            continue
        break

    assert call > 1
    world.tenant.faults = Faults()
    world.end()
    assert world.tenant.alive() == {}


@pytest.mark.parametrize("committed", [False, True])
def test_killed_at_any_transaction_the_next_one_goes_on(world: Ending, *, committed: bool) -> None:
    at = 0
    while True:
        try:
            world.end(Cycle(transaction=at, committed=committed))
        except Killed:
            at += 1
            continue
        break

    assert at > 3
    assert world.tenant.alive() == {}


def _answers_again(world: Ending) -> None:
    for directory in world.directories:
        directory.fails_in = -1


def test_a_sync_that_goes_on_with_the_state_loses_nobody(world: Ending) -> None:
    held = set(world.tenant.alive())
    tight = SafetyLimits(users=Limit(count=0), groups=MANY, contacts=MANY, link_removals=MANY)
    assert world.end(limits=tight).outcome == "Blocked"
    _answers_again(world)

    outcome = world.run()

    assert outcome.reason == "Synchronized"
    assert set(world.tenant.alive()) == held


def test_a_sync_that_goes_on_with_the_state_adds_again_what_was_removed(world: Ending) -> None:
    held = len(world.tenant.alive())
    world.end()
    assert world.tenant.alive() == {}
    _answers_again(world)

    outcome = world.run()

    assert outcome.reason == "Synchronized"
    assert len(world.tenant.alive()) == held
