"""Progress by a log: the last word counts, and whatever else stands there is passed over."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.result import RunResult
from entrasync.api.sync_run import PlanSummary, RunProgress
from entrasync.controller.progress import idle_since, patience_of, plan_of, progress_of
from entrasync.controller.run_status import run_ended, run_progressed
from tests.support import samples
from tests.support.samples import NOW

SEEN = NOW.strftime("%Y-%m-%dT%H:%M:%SZ")


def line(event: str, seconds_ago: int = 0, **members: Any) -> str:
    time = (NOW - dt.timedelta(seconds=seconds_ago)).isoformat()
    return json.dumps({"event": event, "timestamp": time, "level": "info"} | members)


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ([], None),
        (["Traceback (most recent call last):", "{", "[]", "7"], None),
        ([line("evaluated")], None),
        (
            [line("progress", stage="Import", done=3)],
            RunProgress(stage="Import", done=3, observed_time=SEEN),
        ),
        (
            [
                line("progress", stage="Import", done=3),
                line("progress", stage="Export", done=1200, total=1830),
                line("object_refused", anchor="a"),
            ],
            RunProgress(stage="Export", done=1200, total=1830, observed_time=SEEN),
        ),
        (
            [line("progress", 10, stage="Export", done=5, total=9, paced_seconds=70)],
            RunProgress(
                stage="Export",
                done=5,
                total=9,
                paused_until=(NOW + dt.timedelta(seconds=60)).strftime("%Y-%m-%dT%H:%M:%SZ"),
                observed_time=SEEN,
            ),
        ),
        # what should be over by now is no pause
        (
            [line("progress", 90, stage="Export", done=5, total=9, paced_seconds=70)],
            RunProgress(stage="Export", done=5, total=9, observed_time=SEEN),
        ),
        ([line("progress", stage="x" * 17, done=1)], None),
        ([line("progress", stage="Import", done="many")], None),
    ],
)
def test_the_last_word_of_a_log_counts(log: list[str], expected: RunProgress | None) -> None:
    found = progress_of("\n".join(log), NOW)

    if found is not None:
        assert found.changed_time == SEEN
        found.changed_time = None
    assert found == expected


def test_a_plan_is_told_as_soon_as_it_is_made() -> None:
    log = line("planned", digest="sha256:1", writes=7, links=4, quota=5600, changes=9) + "\n"
    log += line("progress", stage="Export", done=0, total=9)

    assert plan_of(log) == PlanSummary(digest="sha256:1", writes=7, links=4)
    assert plan_of(line("planned", writes="x")) is None
    assert plan_of("") is None


@given(st.text() | st.lists(st.dictionaries(st.text(), st.integers() | st.text())).map(json.dumps))
def test_whatever_a_log_holds_it_is_read(log: str) -> None:
    progress_of(log, NOW)
    plan_of(log)


@pytest.mark.parametrize("members", [{"timestamp": 5}, {"paced_seconds": 10**30}, {"stage": 1}])
def test_odd_progress_is_none(members: dict[str, Any]) -> None:
    assert progress_of(line("progress", **members), NOW) is None


@pytest.mark.parametrize(
    ("before", "log", "moved"),
    [
        (None, line("progress", stage="Import", done=3), True),
        (("Import", 3), line("progress", stage="Import", done=3), False),
        (("Import", 2), line("progress", stage="Import", done=3), True),
        (("Import", 3), line("progress", stage="Evaluate", done=3), True),
        # who waits for the quota gets on, though nothing moves
        (("Export", 3), line("progress", stage="Export", done=3, paced_seconds=70), True),
        (("Export", 3), line("progress", 90, stage="Export", done=3, paced_seconds=70), False),
    ],
)
def test_when_it_got_any_further(before: tuple[str, int] | None, log: str, *, moved: bool) -> None:
    past = (NOW - dt.timedelta(minutes=50)).strftime("%Y-%m-%dT%H:%M:%SZ")
    known = (
        RunProgress(stage=before[0], done=before[1], observed_time=past, changed_time=past)
        if before
        else None
    )

    found = progress_of(log, NOW, known)

    assert found is not None
    assert found.changed_time == (SEEN if moved else past)
    started = NOW - dt.timedelta(hours=2)
    idle = NOW - idle_since(found, started)
    assert idle.total_seconds() // 60 == (0 if moved else 50)


def test_a_pod_that_goes_on_with_a_run_has_its_own_time() -> None:
    past = (NOW - dt.timedelta(minutes=50)).isoformat()
    assert idle_since(RunProgress(changed_time=past), NOW) == NOW
    assert idle_since(None, NOW) == NOW


@pytest.mark.parametrize(
    ("runner", "minutes"),
    [
        (None, 60),
        ({}, 60),
        ({"noProgressDeadline": "2h30m"}, 150),
        ({"noProgressDeadline": "1s"}, 1),
    ],
)
def test_how_long_it_may_get_nowhere(runner: dict[str, Any] | None, minutes: int) -> None:
    assert patience_of(samples.sync(runner=runner)) == dt.timedelta(minutes=minutes)


def test_progress_stays_until_the_run_ends() -> None:
    progress, plan = RunProgress(stage="Export", done=1), PlanSummary(writes=7)
    run = samples.run(phase="Running")
    run.status = run_progressed(run, progress, plan)
    later = run_progressed(run, RunProgress(stage="Export", done=2), None)

    assert (later.plan, later.progress) == (plan, RunProgress(stage="Export", done=2))
    assert (
        run_ended(run, RunResult(outcome="Succeeded", reason="Synchronized"), NOW).progress is None
    )
