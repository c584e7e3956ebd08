"""What a plan costs."""

from __future__ import annotations

import datetime as dt

import pytest

from entrasync.engine.effort import Effort, effort_of, pacing_of, plan_summary
from entrasync.engine.memberships import Memberships
from entrasync.engine.plan import Action, CloudObject, Phase, Plan, PlannedChange
from entrasync.entra.contracts import (
    LinkChange,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)
from tests.support.traffic import NOW, Passing, traffic


def change(action: Action, *links: LinkChange, **properties: PropertyValue) -> PlannedChange:
    message = SyncObject(
        object_type=SyncObjectType.GROUP,
        operation=SyncOperation.SET,
        source_anchor="g",
        properties=properties,
        links=links,
    )
    return PlannedChange(phase=Phase.LINKS, action=action, message=message, guid="g")


def adds(count: int) -> list[LinkChange]:
    return [LinkChange(anchor=f"m{number}", add=True) for number in range(count)]


GROUP = CloudObject(
    anchor="g",
    object_type=SyncObjectType.GROUP,
    guid="g",
    properties={},
    members=frozenset({"a", "b"}),
)


@pytest.mark.parametrize(
    ("changes", "v1", "effort"),
    [
        ([], False, (0, 0, 0)),
        ([change(Action.ADD), change(Action.DELETE)], False, (2, 0, 0)),
        ([change(Action.UPDATE, manager="m")], False, (1, 0, 1)),
        ([change(Action.LINKS, *adds(1))], False, (1, 1, 1)),
        ([change(Action.LINKS, *adds(14_706))], False, (1, 14_706, 14_706)),
        ([change(Action.LINKS, *adds(250_000))], False, (17, 250_000, 250_000)),
        ([change(Action.LINKS, *adds(1))], True, (1, 3, 3)),
        ([change(Action.LINKS, LinkChange(anchor="a", add=False))], True, (1, 1, 1)),
    ],
)
def test_writes_and_links(
    changes: list[PlannedChange],
    v1: bool,  # noqa: FBT001  - a table
    effort: tuple[int, int, int],
) -> None:
    found = effort_of(changes, 15_000, Memberships({"g": GROUP}, whole=v1))

    assert (found.writes, found.links, found.references) == effort


PLAN = Plan(changes=(), adopted=frozenset(), unaccounted=frozenset(), orphans={})


@pytest.mark.parametrize(
    ("writes", "expected"),
    [(0, None), (5_600, "2026-03-14T00:00:00Z"), (5_601, "2026-03-14T00:05:00Z")],
)
def test_when_it_expects_to_be_done(writes: int, expected: str | None) -> None:
    effort = Effort(writes=writes, links=3, references=3)

    # a time of another zone is told in UTC
    now = NOW.astimezone(dt.timezone(dt.timedelta(hours=9)))
    summary = plan_summary(PLAN, effort, traffic().pacer, now)

    assert (summary.digest, summary.writes, summary.links) == (PLAN.digest, writes, 3)
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
