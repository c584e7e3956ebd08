from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrasync.engine.approvals import Approvals
from entrasync.engine.plan import Action, Phase, PlannedChange
from entrasync.entra.contracts import SyncObject, SyncObjectType, SyncOperation
from entrasync.state.store import Store

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
WINDOW = dt.timedelta(hours=24)
DIGEST = "sha256:1"


def deletion(anchor: str) -> PlannedChange:
    return PlannedChange(
        phase=Phase.DELETIONS,
        action=Action.DELETE,
        guid=None,
        message=SyncObject(
            object_type=SyncObjectType.USER,
            operation=SyncOperation.DELETE,
            source_anchor=anchor,
        ),
    )


A, B, C = deletion("a"), deletion("b"), deletion("c")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as opened:
        yield opened


def test_nothing_is_covered_before_an_approval_is_used(store: Store) -> None:
    approvals = Approvals(store, NOW, WINDOW)

    assert not approvals.covers(A)
    assert approvals.unused([DIGEST, None, ""]) == {DIGEST}


def test_an_approval_works_once_for_exactly_its_changes(store: Store) -> None:
    Approvals(store, NOW, WINDOW).use(DIGEST, [A, B])

    later = Approvals(store, NOW, WINDOW)
    assert later.unused([DIGEST]) == frozenset()
    assert (later.covers(A), later.covers(C)) == (True, False)


def test_what_is_done_is_struck_off(store: Store) -> None:
    approvals = Approvals(store, NOW, WINDOW)
    approvals.use(DIGEST, [A, B])

    approvals.strike([A])

    later = Approvals(store, NOW, WINDOW)
    assert (later.covers(A), later.covers(B)) == (False, True)


def test_what_was_not_done_expires(store: Store) -> None:
    Approvals(store, NOW, WINDOW).use(DIGEST, [A])

    assert Approvals(store, NOW + WINDOW / 2, WINDOW).covers(A)
    assert not Approvals(store, NOW + WINDOW, WINDOW).covers(A)
