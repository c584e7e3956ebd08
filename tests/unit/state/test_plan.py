"""The tables of the plan: what is asked of them beside what makes the plan."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrasync.entra.contracts import SyncObjectType
from entrasync.state import plan as plan_space
from entrasync.state.store import Store
from tests.support.pending import GROUP, Pending, plan_of


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Pending]:
    with Store(tmp_path) as store:
        yield Pending(store)


def test_additions_are_told_page_by_page_while_outcomes_are_written(
    state: Pending, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_space, "_PAGE", 2)
    for number in range(5):
        state.adds(f"u{number}", displayName=str(number))
    state.holds("old")
    state.updates("old", title="x")
    plan_of(state.store)
    space = state.store.plan

    found = []
    for position, kind, anchor, properties in space.additions():
        space.set_outcomes([(position, "create", 0)])
        found.append((kind, anchor, properties["displayName"]))

    assert found == [(SyncObjectType.USER, f"u{n}", str(n)) for n in range(5)]
    assert {row.outcome for row in space.rows() if row.action == "add"} == {"create"}
    assert {row.outcome for row in space.rows() if row.action != "add"} == {None}


@pytest.mark.parametrize(
    ("outcome", "takeovers", "after"),
    [("create", 0, "recreate"), ("blocked (x)", 0, "recreate"), ("hardMatch", 1, "hardMatch")],
)
def test_who_is_created_anew_stays_told_so_unless_somebody_is_taken_over(
    state: Pending, outcome: str, takeovers: int, after: str
) -> None:
    state.gone("old")
    state.holds("old", userPrincipalName="a@x")
    state.adds("new", userPrincipalName="a@x")
    plan_of(state.store)
    ((position, *_),) = state.store.plan.additions()

    state.store.plan.set_outcomes([(position, outcome, takeovers)])

    assert [row.outcome for row in state.store.plan.rows()] == [None, after]


def test_what_is_held_is_told_by_reason(state: Pending) -> None:
    for anchor in ("a", "b"):
        state.adds(anchor)
        state.refers(anchor, manager="nobody")
    state.holds("g", GROUP)
    state.links("g", ["a"], [])
    plan_of(state.store)
    state.execute("UPDATE plan SET held = 'Later' WHERE part = 0 AND anchor = ?", "a")

    state.store.plan.hold_dependents()

    space = state.store.plan
    assert [(each.anchor, each.reason) for each in space.held()] == [("a", "Later")]
    assert list(space.held("Another")) == []
    assert space.count_held() == {"Later": 1}
    assert space.count() == (5, 2)


def test_a_plan_made_again_has_nothing_of_the_last_one(state: Pending) -> None:
    state.gone("old")
    state.adds("a")
    plan_of(state.store)
    state.clear()
    state.adds("b")

    assert [row.anchor for row in (plan_of(state.store), state.store.plan.rows())[1]] == ["b"]


def test_it_is_sent_as_it_lies_in_the_state_and_told_by_names(
    state: Pending, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_space, "_PAGE", 2)
    for name in ("c", "a", "e", "b", "d"):
        state.adds(name, displayName=name)
    plan_of(state.store)
    space = state.store.plan

    sent = [row.anchor for page in space.sendable() for row in page]
    assert sent == ["c", "a", "e", "b", "d"]
    for _ in range(2):
        assert [row.anchor for row in space.rows()] == ["a", "b", "c", "d", "e"]
