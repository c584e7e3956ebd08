"""Results that nobody read: the next run is asked for them, and what it tells is put right.

A pod takes its termination message with it when it vanishes, as with its node object. The state
still holds the result, and the next run of the sync, which has the state, passes it on.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from entrasync.api.directory_sync import DirectorySync, DirectorySyncStatus
from entrasync.api.result import EarlierResult, RunResult
from entrasync.api.sync_run import RunPhase, SyncRun, SyncRunStatus
from entrasync.controller.conditions import find
from entrasync.controller.durations import format_duration, parse_time
from entrasync.controller.run_status import PHASES, run_ended, was_ended

CLOCKS: Final = dt.timedelta(minutes=5)
"""How far clocks of nodes and the API server may be apart."""
MOST_ASKED: Final = 3
"""Results asked for at once: more would not fit beside the run's own."""


def lost_runs(runs: Sequence[SyncRun]) -> list[str]:
    """Names of the runs of a sync whose results nobody has read, newest first."""
    found = [
        run
        for run in runs
        if was_ended(run) and run.status and find(run.status.conditions, "ResultLost")
    ]
    found.sort(key=lambda run: (run.metadata.creation_timestamp or "", run.metadata.name))
    return [run.metadata.name for run in reversed(found)][:MOST_ASKED]


def run_corrected(run: SyncRun, earlier: EarlierResult) -> SyncRunStatus | None:
    """Status of an ended run by what another one told of it; `None` when it is known already."""
    status = run.status
    if status is None or not was_ended(run) or find(status.conditions, "ResultLost") is None:
        return None
    ended = parse_time(earlier.time) or parse_time(status.completion_time)
    started = parse_time(status.start_time)
    made = parse_time(run.metadata.creation_timestamp)
    if ended is None or (made is not None and ended < made - CLOCKS):
        return None  # of another run of this name, long gone
    after = run_ended(run, as_result(run, earlier), ended)
    if started is not None:
        after.duration = format_duration(ended - started)
    return after


def sync_corrected(
    sync: DirectorySync, run: str, told: SyncRunStatus, earlier: EarlierResult
) -> DirectorySyncStatus:
    """Status of a DirectorySync in which an earlier run is as another one told."""
    status = sync.status.model_copy(deep=True) if sync.status else DirectorySyncStatus()
    for entry in (*status.history, *([status.last_run] if status.last_run else [])):
        if entry.name == run:
            entry.phase, entry.reason = told.phase, _reason_of(told)
            entry.message, entry.scope = earlier.message, told.scope
            entry.completion_time = told.completion_time
    if told.phase == RunPhase.SUCCEEDED and earlier.mode != "Preview":
        known = parse_time(status.last_successful_time)
        ended = parse_time(told.completion_time)
        if ended is not None and (known is None or known < ended):
            status.last_successful_time = told.completion_time
    return status


def as_result(run: SyncRun, earlier: EarlierResult) -> RunResult:
    """The whole result of a run of which another one told the most important part.

    Why it was asked to end is known better here than by the runner, which only was told to.
    """
    outcome, reason, message = earlier.outcome, earlier.reason, earlier.message
    ready = find(run.status.conditions, "Ready") if run.status else None
    if outcome == "Cancelled" and ready is not None and run.status is not None:
        by_phase = {str(phase): name for name, phase in PHASES.items()}
        outcome = by_phase.get(str(run.status.phase), outcome)
        reason, message = ready.reason, ready.message
    return RunResult.model_validate(
        {
            **earlier.model_dump(exclude={"run", "time", "outcome", "reason", "message"}),
            "outcome": outcome,
            "reason": reason,
            "message": message,
        }
    )


def _reason_of(status: SyncRunStatus) -> str:
    ready = find(status.conditions, "Ready")
    return "" if ready is None else ready.reason
