"""What a finished run leaves on its DirectorySync for the decisions to come. Pure."""

from __future__ import annotations

from typing import Final

from entrasync.api.directory_sync import DirectorySyncStatus, RunSummary, SyncMode
from entrasync.api.sync_run import RunMode, RunPhase, RunScope, SyncRun, Trigger
from entrasync.controller.inputs import INPUTS_ANNOTATION, call_for_a_run
from entrasync.controller.run_status import trigger_of
from entrasync.controller.schedule import QUARANTINE_AFTER

HISTORY_LENGTH: Final = 5


def inputs_used(run: SyncRun) -> str | None:
    """Digest of what a run worked from; `None` when it was never told."""
    told = run.status.inputs if run.status else None
    return told or run.metadata.annotations.get(INPUTS_ANNOTATION)


def is_recorded(status: DirectorySyncStatus, summary: RunSummary) -> bool:
    """Whether a run is in the status already: its result is written until all of it is."""
    known = [*status.history, *([status.last_run] if status.last_run else [])]
    return any((each.name, each.start_time) == (summary.name, summary.start_time) for each in known)


def record(
    status: DirectorySyncStatus, run: SyncRun, summary: RunSummary, own_mode: SyncMode
) -> None:
    """Adds a run that was not recorded yet: the history, the last run and what is counted.

    Args:
        status: changed here.
        run: the run.
        summary: the same in short.
        own_mode: mode of the sync.
    """
    status.history = [summary, *status.history][:HISTORY_LENGTH]
    if not _tells_of_the_sync(run, summary, own_mode):
        return
    before = status.last_run
    status.last_run = summary
    if summary.phase == RunPhase.CANCELLED:
        return
    _count_failures(status, summary, before)
    was_full = summary.scope == RunScope.FULL and summary.phase != RunPhase.FAILED
    status.runs_since_full = 0 if was_full else status.runs_since_full + 1


def is_quarantined(status: DirectorySyncStatus) -> bool:
    """Whether so many runs in a row have failed that only one a day is tried."""
    last = status.last_run
    failed = last is not None and last.phase == RunPhase.FAILED
    return failed and status.consecutive_failures >= QUARANTINE_AFTER


def quarantine_message(status: DirectorySyncStatus) -> str | None:
    """Why, since when, and what ends it; `None` when the sync is not quarantined."""
    last = status.last_run
    if last is None or not is_quarantined(status):
        return None
    return (
        f"{status.consecutive_failures} runs in a row have failed since {status.failing_since}; one"
        " a day is tried until one succeeds; a change of the spec, the annotation"
        " entrasync.dev/run-requested-at or a SyncRun tries at once. The last one failed with"
        f" {last.reason}: {last.message}"
    )


def _tells_of_the_sync(run: SyncRun, summary: RunSummary, own_mode: SyncMode) -> bool:
    """Whether a run did what the sync is there for; a look ahead by a person did not."""
    if summary.start_time is None and trigger_of(run) == Trigger.MANUAL:
        return False
    return summary.mode in {None, str(RunMode.APPLY), str(own_mode)}


def _count_failures(
    status: DirectorySyncStatus, summary: RunSummary, before: RunSummary | None
) -> None:
    if summary.phase != RunPhase.FAILED:
        # one that a brake stopped did all it could, and goes on by the schedule
        status.consecutive_failures, status.failing_since = 0, None
        return
    inputs = (before.inputs if before else None, summary.inputs)
    if inputs[0] is not None and inputs[1] is not None and call_for_a_run(inputs[1], inputs[0]):
        status.consecutive_failures, status.failing_since = 0, None
    status.consecutive_failures += 1
    status.failing_since = status.failing_since or summary.completion_time
