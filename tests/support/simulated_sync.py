"""A DirectorySync in simulated time: its operator comes and goes, its runs start and end."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, Final

from entrasync.api.directory_sync import DirectorySync
from entrasync.api.result import RunResult
from entrasync.api.sync_run import ENDED_PHASES, REQUEST_ANNOTATION, RunPhase, SyncRun, Trigger
from entrasync.controller.decide import (
    Decision,
    ObservedSync,
    StartRun,
    Wait,
    decide,
    inputs_now,
    next_start,
    phase_of,
    runs_to_prune,
)
from entrasync.controller.durations import format_time, parse_time
from entrasync.controller.inputs import INPUTS_ANNOTATION
from entrasync.controller.manifests import build_sync_run
from entrasync.controller.run_record import inputs_used
from entrasync.controller.runs_of_sync import is_answered, request_of
from entrasync.controller.sync_status import sync_after_run, sync_status
from tests.support import samples
from tests.support.samples import NOW

LOOK: Final = dt.timedelta(seconds=15)


@dataclass(slots=True)
class Start:
    """A run the operator made.

    Attributes:
        clock: what the operator's clock showed.
        decision: what it had decided.
        observed: what it had seen.
    """

    clock: dt.datetime
    decision: StartRun
    observed: ObservedSync


@dataclass(slots=True)
class SimulatedSync:
    """A sync, its runs, and the decisions about it.

    Attributes:
        outcome: how runs end.
        lasts: how long they take.
        writes_fail: whether the operator fails to write the status after it made a run.
        skew: how wrong the operator's clock is.
        starts: runs the operator made.
        removed: names of runs it removed.
        now: the true time.
    """

    sync: DirectorySync = field(default_factory=samples.sync)
    runs: list[SyncRun] = field(default_factory=list)
    outcome: str = "Succeeded"
    lasts: dt.timedelta = dt.timedelta(minutes=2)
    writes_fail: bool = False
    skew: dt.timedelta = dt.timedelta()
    starts: list[Start] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    now: dt.datetime = NOW

    @property
    def clock(self) -> dt.datetime:
        """What the operator's clock shows."""
        return (self.now + self.skew).replace(microsecond=0)

    def observed(self) -> ObservedSync:
        """What the operator sees."""
        return ObservedSync(
            sync=self.sync,
            tenant=samples.tenant(),
            cloud=samples.cloud(),
            directories={"contoso": samples.directory()},
            runs=tuple(self.runs),
        )

    def change(self, **spec: Any) -> None:
        """Somebody edits the spec."""
        written = self.sync.spec.model_dump(mode="json", by_alias=True, exclude_none=True) | spec
        metadata = self.sync.metadata.model_copy(
            update={"generation": self.sync.metadata.generation + 1}
        )
        parsed = samples.sync(**{k: v for k, v in written.items() if v is not None})
        self.sync = self.sync.model_copy(update={"spec": parsed.spec, "metadata": metadata})

    def request(self, value: str) -> None:
        """Somebody asks for a run by the annotation."""
        self.sync.metadata.annotations[REQUEST_ANNOTATION] = value

    def start_by_hand(self, name: str, mode: str) -> None:
        """Somebody creates a SyncRun."""
        made = {"labels": {}, "creationTimestamp": format_time(self.now)}
        self.runs.append(samples.run(name, metadata=made, spec={"mode": mode}))

    def cancel(self) -> None:
        """Somebody cancels whatever is queued or under way."""
        for run in self.active():
            self._end(run, "Cancelled")

    def active(self) -> list[SyncRun]:
        """Runs that have not ended."""
        return [run for run in self.runs if phase_of(run) not in ENDED_PHASES]

    def pass_time(self, duration: dt.timedelta) -> None:
        """Time passes with the operator at work."""
        end = self.now + duration
        while True:
            decision = self.look()
            self._go_on()
            wake = self.now + LOOK
            if isinstance(decision, Wait):
                wake = end if decision.until is None else decision.until - self.skew
            if self.active():
                wake = min(wake, self.now + max(self.lasts / 2, LOOK))
            wake = max(wake, self.now + dt.timedelta(seconds=1))
            if wake > end:
                self.now = end
                return
            self.now = wake

    def be_away(self, duration: dt.timedelta) -> None:
        """Time passes without an operator."""
        self.now += duration

    def look(self) -> Decision:
        """The operator looks at the sync once, as its reconciler does."""
        observed = self.observed()
        decision = decide(observed, self.clock)
        if isinstance(decision, StartRun):
            self._make(observed, decision)
        due = next_start(observed, decision, self.clock)
        after = sync_status(self.sync, decision, due, self.clock, observed.runs)
        if is_answered(self.observed()):
            after.last_handled_request = request_of(observed) or after.last_handled_request
        if not self.writes_fail:
            self.sync = self.sync.model_copy(update={"status": after})
            surplus = runs_to_prune(observed)
            self.removed += surplus
            self.runs = [run for run in self.runs if run.metadata.name not in surplus]
        return decision

    def _make(self, observed: ObservedSync, decision: StartRun) -> None:
        self.starts.append(Start(self.clock, decision, observed))
        told = {INPUTS_ANNOTATION: inputs_now(observed)}
        if decision.trigger is Trigger.ANNOTATION:
            told[REQUEST_ANNOTATION] = self.sync.metadata.annotations[REQUEST_ANNOTATION]
        manifest = build_sync_run(
            self.sync, decision.name, decision.trigger, scope=decision.scope, annotations=told
        )
        manifest["metadata"] |= {
            "uid": f"u-{len(self.starts)}",
            "creationTimestamp": format_time(self.now),
        }
        self.runs.append(SyncRun.model_validate(manifest))

    def _go_on(self) -> None:
        """The first run that has not ended starts, or ends when its time has passed."""
        for run in self.active()[:1]:
            started = parse_time(run.status.start_time) if run.status else None
            if started is None:
                self._write(
                    run,
                    phase="Running",
                    mode=str(run.spec.mode or self.sync.spec.mode),
                    startTime=format_time(self.clock),
                    inputs=inputs_used(run) or inputs_now(self.observed()),
                )
            elif self.clock - started >= self.lasts:
                self._end(run, self.outcome)

    def _end(self, run: SyncRun, outcome: str) -> None:
        full = run.spec.scope is not None and outcome == RunPhase.SUCCEEDED
        scope = "Full" if full else "Delta"
        ended = self._write(run, phase=outcome, scope=scope, completionTime=format_time(self.clock))
        result = RunResult(outcome=outcome, reason="RunFailed", message="m", scope=scope)
        self.sync = self.sync.model_copy(
            update={"status": sync_after_run(self.sync, ended, result)}
        )

    def _write(self, run: SyncRun, **status: Any) -> SyncRun:
        known = run.status.model_dump(by_alias=True, exclude_none=True) if run.status else {}
        manifest = run.model_dump(by_alias=True) | {"status": known | status}
        written = SyncRun.model_validate(manifest)
        self.runs[self.runs.index(run)] = written
        return written
