"""What finished runs leave on a sync: the last run, failures in a row, runs since the last full."""

from __future__ import annotations

from typing import Any

from entrasync.api.directory_sync import BlockedPlan, DirectorySyncStatus
from entrasync.api.result import RunResult
from entrasync.controller.run_record import is_quarantined, quarantine_message
from entrasync.controller.sync_status import sync_after_run
from tests.support import samples


class Sync:
    """A sync whose runs end one after the other."""

    def __init__(self, **spec: Any) -> None:
        self.sync = samples.sync(**spec)
        self.number = 0

    @property
    def status(self) -> DirectorySyncStatus:
        assert self.sync.status is not None
        return self.sync.status

    def ends(
        self,
        phase: str,
        *,
        by_hand: bool = False,
        name: str = "",
        blocked: bool = False,
        **told: Any,
    ) -> DirectorySyncStatus:
        self.number += 1
        minute = f"2026-03-14T15:{self.number:02d}:00Z"
        run = samples.run(
            name or f"contoso-{self.number}",
            phase,
            metadata={"labels": {} if by_hand else {"entrasync.dev/trigger": "Schedule"}},
        )
        assert run.status is not None
        run.status = run.status.model_copy(
            update={"mode": "Apply", "start_time": minute, "completion_time": minute} | told
        )
        result = RunResult(
            outcome=phase,
            reason="SourceEmpty",
            message="nothing was read",
            mode=run.status.mode,
            blocked_plan=BlockedPlan(digest="sha256:1") if blocked else None,
        )
        self.sync = self.sync.model_copy(update={"status": sync_after_run(self.sync, run, result)})
        return self.status


def test_failures_in_a_row_are_counted_beyond_the_history() -> None:
    sync = Sync()
    for number in range(1, 13):
        assert sync.ends("Failed").consecutive_failures == number
    assert sync.status.failing_since == "2026-03-14T15:01:00Z"
    assert is_quarantined(sync.status)
    message = quarantine_message(sync.status)
    assert message is not None
    assert "12 runs" in message
    assert "2026-03-14T15:01:00Z" in message
    assert "SourceEmpty: nothing was read" in message
    assert sync.ends("Succeeded").consecutive_failures == 0
    assert sync.status.failing_since is None
    assert quarantine_message(sync.status) is None


def test_a_run_that_a_brake_stopped_ends_the_row_and_a_cancelled_one_does_not() -> None:
    sync = Sync()
    sync.ends("Failed")
    sync.ends("Failed")
    assert sync.ends("Cancelled").consecutive_failures == 2
    assert not is_quarantined(sync.status)
    assert sync.ends("Failed").consecutive_failures == 3
    assert sync.ends("Blocked").consecutive_failures == 0


def test_another_spec_begins_another_row() -> None:
    sync = Sync()
    sync.ends("Failed", inputs="a")
    assert sync.ends("Failed", inputs="a").consecutive_failures == 2
    assert sync.ends("Failed", inputs="b").consecutive_failures == 1
    assert sync.status.failing_since == "2026-03-14T15:03:00Z"
    assert sync.ends("Failed", inputs=None).consecutive_failures == 2


def test_runs_since_the_last_full_one_are_counted() -> None:
    sync = Sync()
    assert sync.ends("Succeeded", scope="Full").runs_since_full == 0
    assert sync.ends("Succeeded", scope="Delta").runs_since_full == 1
    assert sync.ends("Failed").runs_since_full == 2
    assert sync.ends("Cancelled").runs_since_full == 2
    assert sync.ends("Failed", scope="Full").runs_since_full == 3
    assert sync.ends("Blocked", scope="Full").runs_since_full == 0


def test_a_look_ahead_by_a_person_is_in_the_history_and_is_not_the_last_run() -> None:
    sync = Sync()
    sync.ends("Succeeded", inputs="a", scope="Delta")
    status = sync.ends("Failed", by_hand=True, mode="Preview", inputs="b")
    assert status.last_run is not None
    assert status.last_run.name == "contoso-1"
    assert [each.name for each in status.history] == ["contoso-2", "contoso-1"]
    assert status.consecutive_failures == 0
    assert status.runs_since_full == 1


def test_a_look_ahead_tells_what_is_braked_and_takes_no_braked_plan_back() -> None:
    sync = Sync()
    assert sync.ends("Blocked", by_hand=True, mode="Preview", blocked=True).blocked_plan is not None
    assert sync.ends("Succeeded", by_hand=True, mode="Preview").blocked_plan is not None
    assert sync.ends("Succeeded").blocked_plan is None


def test_a_sync_in_preview_counts_its_own_runs_and_those_that_applied() -> None:
    sync = Sync(mode="Preview")
    status = sync.ends("Failed", mode="Preview")
    assert status.last_run is not None
    assert status.last_run.name == "contoso-1"
    status = sync.ends("Succeeded", by_hand=True, mode="Apply")
    assert status.last_run is not None
    assert status.last_run.name == "contoso-2"


def test_what_a_person_cancelled_before_it_started_is_no_run_of_the_sync() -> None:
    sync = Sync()
    sync.ends("Succeeded")
    sync.ends("Cancelled", by_hand=True, start_time=None)
    assert sync.status.last_run is not None
    assert sync.status.last_run.name == "contoso-1"
    # the operator's own counts: else the same run would be made again at once
    sync.ends("Cancelled", start_time=None)
    assert sync.status.last_run.name == "contoso-3"


def test_a_result_is_recorded_once_and_a_name_may_come_again() -> None:
    sync = Sync()
    first = sync.ends("Failed", name="by-hand", start_time="2026-03-14T14:00:00Z")
    again = sync.ends("Failed", name="by-hand", start_time="2026-03-14T14:00:00Z")
    assert again == first
    later = sync.ends("Failed", name="by-hand", start_time="2026-03-14T16:00:00Z")
    assert later.consecutive_failures == 2
    assert len(later.history) == 2
