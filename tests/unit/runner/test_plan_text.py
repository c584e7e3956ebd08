"""A plan as text."""

from __future__ import annotations

import pytest

from entrasync.engine.outcome import CycleOutcome
from entrasync.engine.plan import Action, Phase, Plan, PlannedChange
from entrasync.entra.contracts import LinkChange, SyncObject, SyncObjectType, SyncOperation
from entrasync.runner.plan_text import render_plan


@pytest.mark.parametrize(
    ("added", "removed", "told"),
    [(1, 0, "1 member added, 0 removed"), (0, 2, "0 members added, 2 removed")],
)
def test_members_are_counted(added: int, removed: int, told: str) -> None:
    links = [LinkChange(anchor=f"+{number}", add=True) for number in range(added)]
    links += [LinkChange(anchor=f"-{number}", add=False) for number in range(removed)]
    message = SyncObject(
        object_type=SyncObjectType.GROUP,
        operation=SyncOperation.SET,
        source_anchor="g",
        links=tuple(links),
    )
    change = PlannedChange(phase=Phase.LINKS, action=Action.LINKS, message=message, guid="g")
    plan = Plan(changes=(change,), adopted=frozenset(), unaccounted=frozenset(), orphans={})

    assert f"~ Group g: {told}\n" in render_plan(CycleOutcome(plan=plan), names=False)
