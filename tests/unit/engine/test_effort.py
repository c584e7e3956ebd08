"""What a plan costs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from entrasync.engine.effort import Effort, effort_of, pacing_of, plan_summary
from entrasync.engine.flows import flow_set
from entrasync.entra.batches import REFERENCE_KEYS
from entrasync.state.store import Store
from tests.support.pending import GROUP, Pending, plan_of
from tests.support.traffic import NOW, Passing, traffic


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Pending]:
    with Store(tmp_path) as store:
        yield Pending(store)


def members(count: int) -> Callable[[Pending], None]:
    return lambda state: state.links("g", [f"m{number}" for number in range(count)], [])


def add_and_delete(state: Pending) -> None:
    state.gone("u")
    state.adds("v")


def set_manager(state: Pending) -> None:
    state.holds("u")
    state.refers("u", manager="new")


def remove_one(state: Pending) -> None:
    state.links("g", [], ["a"])


@pytest.mark.parametrize(
    ("write", "whole", "effort"),
    [
        (lambda _: None, False, (0, 0, 0)),
        (add_and_delete, False, (2, 0, 0)),
        (set_manager, False, (1, 0, 1)),
        (members(1), False, (1, 1, 1)),
        (members(14_706), False, (1, 14_706, 14_706)),
        (members(14_707), False, (2, 14_707, 14_707)),
        (members(1), True, (1, 3, 3)),
        (remove_one, True, (1, 1, 1)),
        (remove_one, False, (1, 1, 1)),
    ],
)
def test_writes_and_links(
    state: Pending,
    write: Callable[[Pending], None],
    effort: tuple[int, int, int],
    *,
    whole: bool,
) -> None:
    with state.store.transaction():
        state.holds("g", GROUP, ["a", "b"])
        write(state)
    plan_of(state.store)

    found = effort_of(state.store, 15_000, whole=whole)

    assert (found.writes, found.links, found.references) == effort


def test_every_value_that_names_somebody_is_a_reference(state: Pending) -> None:
    state.holds("g", GROUP, managedBy="old", authOrig=("old",))
    state.holds("u")
    state.refers("g", GROUP, managedBy=None, authOrig=("a", "b"))
    state.updates("u", title="manager", publicDelegates=("a", "b", "c"), manager="d")
    plan_of(state.store)

    assert effort_of(state.store, 15_000, whole=False).references == 6


def test_every_reference_that_flows_is_one_to_a_request() -> None:
    assert flow_set().reference_targets <= REFERENCE_KEYS


def test_what_is_held_costs_nothing(state: Pending) -> None:
    add_and_delete(state)
    plan_of(state.store)
    state.execute("UPDATE plan SET held = 'Later' WHERE anchor = ?", "u")

    assert effort_of(state.store, 15_000, whole=False).writes == 1


@pytest.mark.parametrize(
    ("writes", "expected"),
    [(0, None), (5_600, "2026-03-14T00:00:00Z"), (5_601, "2026-03-14T00:05:00Z")],
)
def test_when_it_expects_to_be_done(writes: int, expected: str | None) -> None:
    effort = Effort(writes=writes, links=3, references=3)

    # a time of another zone is told in UTC
    now = NOW.astimezone(dt.timezone(dt.timedelta(hours=9)))
    summary = plan_summary("sha256:1", effort, traffic().pacer, now)

    assert (summary.digest, summary.writes, summary.links) == ("sha256:1", writes, 3)
    assert summary.expected_completion_time == expected


def test_pacing_is_told_in_whole_seconds() -> None:
    clock = Passing()
    pacer = traffic(clock, quota=70).pacer
    assert pacing_of(pacer).model_dump(exclude_none=True) == {
        "quota": 70,
        "paced_time": "0s",
        "throttled": 0,
    }
    assert not pacing_of(pacer).held_up

    pacer.reserve(70, 5)
    pacer.settle()
    pacer.busy()
    pacer.wait(1, lambda: False, lambda _: None)

    assert pacing_of(pacer).model_dump() == {
        "quota": 70,
        "paced_time": "5m1s",
        "throttled": 1,
        "link_write_weight": "0.1",
    }
    assert pacing_of(pacer).held_up
