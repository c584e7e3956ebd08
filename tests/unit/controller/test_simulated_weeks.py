"""Weeks of a sync in simulated time: whatever happens, its runs stay within what they may."""

from __future__ import annotations

import datetime as dt
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from entrasync.api.sync_run import REQUEST_ANNOTATION, RunScope, Trigger
from entrasync.controller.decide import decide, phase_of
from entrasync.controller.decisions import Active, Wait
from entrasync.controller.schedule import SKEW, Timetable
from entrasync.controller.windows import Windows
from tests.support.simulated_sync import SimulatedSync

HOUR = dt.timedelta(hours=1)
NIGHT = {"kind": "Deny", "cron": "0 22 * * *", "duration": "6h", "timeZone": "Europe/Berlin"}
OFFICE = {"kind": "Allow", "cron": "0 8 * * *", "duration": "10h"}
SCHEDULES = st.sampled_from(
    [
        {"interval": "4h"},
        {"interval": "1h", "windows": [NIGHT], "fullEvery": 3},
        {"cron": "30 2 * * *", "timeZone": "Europe/Berlin", "startingDeadline": "3h"},
        {"cron": "0 */5 * * *", "windows": [OFFICE, NIGHT]},
    ]
)
VALUES = st.sampled_from(["a", "b", "c"])


class Weeks(RuleBasedStateMachine):
    """What people, runs and the operator may do to a sync, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = SimulatedSync()
        self.by_hand: list[str] = []
        self.asked: list[str] = []
        self.checked = 0
        self.jumped = False

    @initialize(schedule=SCHEDULES)
    def begin(self, schedule: dict[str, Any]) -> None:
        self.world.change(schedule=schedule)

    @rule(hours=st.integers(1, 40))
    def time_passes(self, hours: int) -> None:
        self.world.pass_time(hours * HOUR)

    @rule(hours=st.integers(1, 400))
    def the_operator_is_away(self, hours: int) -> None:
        self.world.be_away(hours * HOUR)

    @rule()
    def the_operator_looks(self) -> None:
        self.world.look()

    @rule(outcome=st.sampled_from(["Succeeded", "Failed", "Failed", "Blocked"]))
    def runs_end_otherwise(self, outcome: str) -> None:
        self.world.outcome = outcome

    @rule(minutes=st.sampled_from([1, 20, 500]))
    def runs_take_longer(self, minutes: int) -> None:
        self.world.lasts = dt.timedelta(minutes=minutes)

    @rule(schedule=SCHEDULES)
    def the_schedule_changes(self, schedule: dict[str, Any]) -> None:
        self.world.change(schedule=schedule)

    @rule(drift=st.sampled_from(["Repair", "Report"]))
    def the_spec_changes(self, drift: str) -> None:
        self.world.change(drift=drift)

    @rule(suspend=st.booleans())
    def it_is_suspended(self, suspend: bool) -> None:  # noqa: FBT001  - hypothesis passes it by name
        self.world.change(suspend=suspend)

    @rule(limit=st.sampled_from([0, 3]))
    def the_history_is_shortened(self, limit: int) -> None:
        self.world.change(successfulRunsHistoryLimit=limit, failedRunsHistoryLimit=limit)

    @rule(value=VALUES)
    def somebody_asks(self, value: str) -> None:
        if self.world.sync.metadata.annotations.get(REQUEST_ANNOTATION) != value:
            self.asked.append(value)
        self.world.request(value)

    @rule(mode=st.sampled_from(["Apply", "Preview"]))
    def somebody_starts_a_run(self, mode: str) -> None:
        name = f"by-hand-{len(self.by_hand)}"
        self.by_hand.append(name)
        self.world.start_by_hand(name, mode)

    @rule()
    def somebody_cancels(self) -> None:
        self.world.cancel()

    @rule(hours=st.sampled_from([-500, -2, 0, 0, 2, 500]))
    def the_clock_jumps(self, hours: int) -> None:
        self.world.skew = hours * HOUR
        self.jumped = True

    @rule(fail=st.booleans())
    def statuses_cannot_be_written(self, fail: bool) -> None:  # noqa: FBT001  - same
        self.world.writes_fail = fail

    @precondition(lambda self: not self.world.writes_fail)
    @rule()
    def deciding_again_changes_nothing(self) -> None:
        self.world.look()
        self.world.look()
        before = self.world.sync.status
        decision = self.world.look()
        assert self.world.sync.status == before
        assert isinstance(decision, Wait | Active)
        assert decide(self.world.observed(), self.world.clock) == decision

    @invariant()
    def what_starts_may_start(self) -> None:
        for start in self.world.starts[self.checked :]:
            sync = start.observed.sync
            assert all(
                phase_of(run).value not in {"Queued", "Running"} for run in start.observed.runs
            )
            if start.decision.trigger is not Trigger.ANNOTATION:
                assert not sync.spec.suspend
                assert Windows.of(sync.spec.schedule).closed_by(start.clock) is None
            if start.decision.trigger is Trigger.SCHEDULE:
                self._was_due(start.clock, sync)
            schedule = sync.spec.schedule
            status = sync.status
            if schedule and schedule.full_every and status and status.runs_since_full >= 2:
                assert start.decision.scope is RunScope.FULL
        self.checked = len(self.world.starts)

    def _was_due(self, clock: dt.datetime, sync: Any) -> None:
        """Nothing starts by schedule sooner than an interval, or a retry, after the last start."""
        last = sync.status.last_run
        table = Timetable.of(sync.spec.schedule, sync.metadata.uid)
        started = dt.datetime.fromisoformat(last.start_time or last.completion_time)
        if started > clock + SKEW:
            assert self.jumped
        elif last.phase != "Failed" and table.cron is None:
            assert clock >= started + table.interval
        elif last.phase == "Failed" and sync.status.consecutive_failures >= 10:
            assert clock >= started + 24 * HOUR
        else:
            assert clock > started

    @invariant()
    def no_two_runs_have_a_name_and_none_of_a_person_is_removed(self) -> None:
        made = [start.decision.name for start in self.world.starts]
        assert len(made) == len(set(made))
        assert not set(self.by_hand) & set(self.world.removed)

    @invariant()
    def a_request_is_answered_once(self) -> None:
        answers = [
            each for each in self.world.starts if each.decision.trigger is Trigger.ANNOTATION
        ]
        assert len(answers) <= len(self.asked)
        status = self.world.sync.status
        if status is not None and status.last_handled_request is not None:
            assert status.last_handled_request in self.asked

    @precondition(lambda self: not self.world.writes_fail)
    @rule()
    def left_alone_it_goes_on(self) -> None:
        """However it was left, within two days and a half it runs, unless it is not to."""
        self.world.skew = dt.timedelta()
        self.world.lasts = dt.timedelta(minutes=1)
        before = len(self.world.starts)
        self.world.pass_time(60 * HOUR)
        status = self.world.sync.status
        assert status is not None
        request = self.world.sync.metadata.annotations.get(REQUEST_ANNOTATION)
        if request:
            assert status.last_handled_request == request
        if not self.world.sync.spec.suspend:
            assert len(self.world.starts) > before
            assert status.next_schedule_time is not None
        assert not [run for run in self.world.active() if run.metadata.name.startswith("by-hand")]


Weeks.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestWeeks = Weeks.TestCase
