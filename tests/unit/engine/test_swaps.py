"""Swapped names on their way: what is recorded, what a refusal and an interruption leave."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from entrasync.engine.approvals import Approvals
from entrasync.engine.brakes import Spent
from entrasync.engine.changes import Phase, PlannedChange
from entrasync.engine.exporting import Export, ExportTally
from entrasync.engine.letting_go import RESTS
from entrasync.engine.plan import Plan
from entrasync.entra.contracts import ObjectResult, SyncObject, SyncObjectType
from entrasync.errors import TransientError
from entrasync.state.store import Store
from tests.support.pending import USER, Pending, plan_of
from tests.support.traffic import traffic

NOW = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)
UPN = "userPrincipalName"
BEFORE = {"a": "one@x", "b": "two@x"}
SWAPPED = {"a": "two@x", "b": "one@x"}


class Tenant:
    """Holds user principal names, each once.

    Args:
        store: the state, to be told what the tenant holds.
    """

    def __init__(self, store: Store) -> None:
        self.names = dict(BEFORE)
        self.held: set[str] = set()
        """Names that somebody had in between."""
        self.refuses: set[tuple[str, str]] = set()
        self.breaks_at: int | None = None
        self.requests = 0
        self._store = store
        self.read_back()

    def read_back(self) -> None:
        """What a run does that finds an interrupted one."""
        for anchor, name in self.names.items():
            Pending(self._store).holds(anchor, userPrincipalName=name)
        self._store.checkpoints.forget_intent()

    def provision(self, objects: Sequence[SyncObject]) -> list[ObjectResult]:
        self.requests += 1
        results = [self._apply(each) for each in objects]
        if self.requests == self.breaks_at:
            raise TransientError("ServerUnreachable", "the answer was lost")
        return results

    def _apply(self, each: SyncObject) -> ObjectResult:
        anchor, name = each.source_anchor, str(each.properties[UPN])
        taken = name in {held for other, held in self.names.items() if other != anchor}
        if taken or (anchor, name) in self.refuses:
            code = "AttributeValueMustBeUnique"
            return ObjectResult(source_anchor=anchor, success=False, code=code)
        self.names[anchor] = name
        self.held.add(name)
        return ObjectResult(source_anchor=anchor, success=True)


class Given:
    """A plan of given changes."""

    def __init__(self, changes: Sequence[PlannedChange]) -> None:
        self._changes = changes

    def sendable(self) -> Iterator[PlannedChange]:
        yield from self._changes


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as found:
        yield found


def plan(store: Store, wanted: Mapping[str, str] = SWAPPED) -> Plan:
    state = Pending(store)
    state.clear()
    for anchor, name in wanted.items():
        before = store.cloud.properties(state.number(anchor))
        state.wants(anchor, USER, {UPN: name}, before)
    return plan_of(store)


def send(
    store: Store,
    tenant: Tenant,
    *,
    cancelled: Callable[[], bool] = lambda: False,
    wanted: Mapping[str, str] = SWAPPED,
    now: dt.datetime = NOW,
) -> ExportTally:
    approvals = Approvals(store, NOW)
    made = plan(store, wanted)
    flow = traffic(cancelled=cancelled)
    export = Export(tenant, store, approvals, now=lambda: now, traffic=flow)
    return export.send(made, lambda *_: None)


def known(store: Store) -> dict[str, object]:
    state = Pending(store)
    return {anchor: (store.cloud.properties(state.number(anchor)) or {})[UPN] for anchor in BEFORE}


def test_two_swap_their_names_and_count_once_each(store: Store) -> None:
    tenant = Tenant(store)

    tally = send(store, tenant)

    assert tenant.names == known(store) == SWAPPED
    assert tally.error_count == 0
    assert sum(tally.objects.values()) == 2
    assert Spent.of(store.checkpoints.spent_since(NOW)).identity_changes == 2


@pytest.mark.parametrize("breaks_at", [1, 2, 3])
def test_a_swap_that_was_interrupted_is_ended_by_the_next_run(store: Store, breaks_at: int) -> None:
    tenant = Tenant(store)
    tenant.breaks_at = breaks_at
    with pytest.raises(TransientError):
        send(store, tenant)
    assert store.checkpoints.pending()

    tenant.read_back()
    tally = send(store, tenant)

    assert tally.error_count == 0
    assert tenant.names == known(store) == SWAPPED


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_nobody_is_left_with_a_temporary_name_by_a_cancelled_run(store: Store, after: int) -> None:
    tenant = Tenant(store)

    tally = send(store, tenant, cancelled=lambda: tenant.requests >= after)

    assert tenant.names == known(store)
    assert tenant.names == (SWAPPED if after else BEFORE)
    assert tally.cancelled is (after == 0)


def test_a_run_can_be_cancelled_again_once_the_old_name_was_given_back(store: Store) -> None:
    tenant = Tenant(store)
    tenant.refuses = {("b", SWAPPED["b"])}
    flow = traffic(cancelled=lambda: tenant.requests >= 1)
    first = list(plan(store).sendable())
    later = replace(first[-1], phase=Phase.USERS, step=0)
    export = Export(tenant, store, Approvals(store, NOW), now=lambda: NOW, traffic=flow)

    tally = export.send(Given([*first, later]), lambda *_: None)

    assert tenant.names == BEFORE
    assert tally.cancelled
    assert tenant.requests == 4  # let go, twice refused, given back


def test_who_cannot_have_the_new_name_gets_the_old_one_back(store: Store) -> None:
    tenant = Tenant(store)
    tenant.refuses = {("b", SWAPPED["b"])}

    tally = send(store, tenant)

    assert tenant.names == known(store) == BEFORE
    assert {error.anchor for error in tally.errors} == {"a", "b"}
    assert tally.failed[SyncObjectType.USER] == tally.error_count == 2
    assert not sum(tally.objects.values())


def test_a_swap_that_was_refused_is_not_begun_again_every_half_hour(store: Store) -> None:
    tenant = Tenant(store)
    tenant.refuses = {("b", SWAPPED["b"])}
    send(store, tenant)
    tenant.held.clear()

    tally = send(store, tenant, now=NOW + dt.timedelta(minutes=30))

    assert {error.anchor for error in tally.errors} == {"a", "b"}
    assert tenant.held == set()  # nobody had to let go

    tenant.refuses = set()
    later = send(store, tenant, now=NOW + RESTS)
    assert later.error_count == 0
    assert tenant.names == SWAPPED


def test_a_swap_that_was_refused_is_tried_at_once_when_another_value_is_wanted(
    store: Store,
) -> None:
    tenant = Tenant(store)
    tenant.refuses = {("b", SWAPPED["b"])}
    send(store, tenant)

    wanted = SWAPPED | {"b": "three@x"}
    assert send(store, tenant, wanted=wanted).error_count == 0
    assert tenant.names == wanted


def test_a_name_that_is_gone_meanwhile_is_not_fought_for(store: Store) -> None:
    tenant = Tenant(store)
    tenant.refuses = {("a", SWAPPED["a"])}

    tally = send(store, tenant)

    assert tenant.names["b"] == SWAPPED["b"]
    assert tenant.names == known(store)
    assert tenant.names["a"] not in {*BEFORE.values()}
    assert [error.anchor for error in tally.errors] == ["a"]
    assert [(told.anchor, told.code) for told in tally.warnings] == [("a", "LeftWithoutValue")]

    tenant.refuses = set()
    assert send(store, tenant).error_count == 0
    assert tenant.names == SWAPPED
