"""Statuses of SyncRuns: pure functions of what was observed."""

from __future__ import annotations

import datetime as dt
from typing import Final

from entrasync.api.common import Condition
from entrasync.api.reason import Severity
from entrasync.api.reasons import needs_somebody, severity_of
from entrasync.api.result import RunResult
from entrasync.api.sync_run import (
    ENDED_PHASES,
    GENERATION_ANNOTATION,
    TRIGGER_LABEL,
    EndpointUsed,
    PlanSummary,
    RunMode,
    RunPhase,
    RunProgress,
    SyncRun,
    SyncRunStatus,
    Totals,
    Trigger,
)
from entrasync.controller.conditions import FALSE, TRUE, UNKNOWN, Wanted, find, merge
from entrasync.controller.durations import format_duration, format_time, parse_time

RUN_CONDITIONS: Final = ("Ready", "Complete", "Failed", "Reconciling", "Stalled", "ResultLost")
ENDED_BY_US: Final = frozenset({"DeadlineExceeded", "JobCannotStart", "ReferenceNotFound"})
"""Reasons for which the operator ends a run that was started; Ready shows them before it does."""
_LOST: Final = "nobody has read what it did; the next run of the sync tells it"
PHASES: Final = {
    "Succeeded": RunPhase.SUCCEEDED,
    "SucceededWithErrors": RunPhase.SUCCEEDED,
    "Blocked": RunPhase.BLOCKED,
    "Failed": RunPhase.FAILED,
    "Cancelled": RunPhase.CANCELLED,
}


def run_started(
    run: SyncRun,
    mode: RunMode,
    job: str,
    now: dt.datetime,
    *,
    inputs: str | None = None,
    note: str = "",
) -> SyncRunStatus:
    """Status of a run whose Job was made.

    Args:
        run: as it was read.
        mode: what it does.
        job: name of its Job.
        now: the time.
        inputs: digest of what it works from.
        note: what else people should know.
    """
    message = "its Job was made" + (f"; {note}" if note else "")
    status = run_active(run, message, now)
    status.mode = str(mode)
    status.phase = RunPhase.RUNNING
    status.start_time = status.start_time or format_time(now)
    status.job_name = job
    status.inputs = inputs or status.inputs
    return status


def run_active(run: SyncRun, message: str, now: dt.datetime) -> SyncRunStatus:
    """Status of a run that is under way, and nothing is known to be wrong."""
    status = _begun(run)
    wanted = Wanted(status=UNKNOWN, reason="RunActive", message=message)
    reconciling = Wanted(status=TRUE, reason="RunActive", message=message)
    return _finish_run(run, status, {"Ready": wanted, "Reconciling": reconciling}, now)


def run_waiting(
    run: SyncRun, mode: RunMode, reason: str, message: str, now: dt.datetime
) -> SyncRunStatus:
    """Status of a run that waits for its turn, or for somebody; Queued unless it was started."""
    status = _begun(run)
    status.mode = str(mode)
    made = parse_time(run.metadata.creation_timestamp) or now
    severe = severity_of(reason) in {Severity.NEEDS_SOMEBODY, Severity.BLOCKED}
    if severe and needs_somebody(reason, now - made):
        bad = Wanted(status=FALSE, reason=reason, message=message)
        yes = Wanted(status=TRUE, reason=reason, message=message)
        return _finish_run(run, status, {"Ready": bad, "Stalled": yes}, now)
    wanted = Wanted(status=UNKNOWN, reason=reason, message=message)
    reconciling = Wanted(status=TRUE, reason=reason, message=message)
    return _finish_run(run, status, {"Ready": wanted, "Reconciling": reconciling}, now)


def run_stuck(run: SyncRun, reason: str, message: str, now: dt.datetime) -> SyncRunStatus:
    """Status of a run that does not get on, and is tried on for a while."""
    bad = Wanted(status=FALSE, reason=reason, message=message)
    reconciling = Wanted(status=TRUE, reason=reason, message=message)
    return _finish_run(run, _begun(run), {"Ready": bad, "Reconciling": reconciling}, now)


def run_winding_up(run: SyncRun, reason: str, message: str, now: dt.datetime) -> SyncRunStatus:
    """Status of a run that is being ended; why it is, if we ended it, stays in Ready."""
    status = _begun(run)
    reconciling = Wanted(status=TRUE, reason=reason, message=message)
    why = why_ended(run)
    ready = (
        Wanted(status=UNKNOWN, reason=reason, message=message)
        if why is None
        else Wanted(status=FALSE, reason=why.reason, message=why.message)
    )
    return _finish_run(run, status, {"Ready": ready, "Reconciling": reconciling}, now)


def why_ended(run: SyncRun) -> Condition | None:
    """Why the operator ends a run, as it said before it did; `None` when it does not."""
    ready = find(run.status.conditions, "Ready") if run.status else None
    ours = ready is not None and ready.status == FALSE and ready.reason in ENDED_BY_US
    return ready if ours else None


def _begun(run: SyncRun) -> SyncRunStatus:
    status = run.status.model_copy(deep=True) if run.status else SyncRunStatus()
    status.phase = status.phase or RunPhase.QUEUED
    status.trigger = trigger_of(run)
    return status


def run_progressed(
    run: SyncRun, progress: RunProgress | None, plan: PlanSummary | None
) -> SyncRunStatus:
    """Status of a run under way, with what its log told; what is not told any more stays."""
    status = run.status.model_copy(deep=True) if run.status else SyncRunStatus()
    status.progress = progress or status.progress
    status.plan = plan or status.plan
    return status


def run_ended(
    run: SyncRun, result: RunResult, now: dt.datetime, *, lost: bool = False
) -> SyncRunStatus:
    """Status of a run by its result.

    Args:
        run: as it was read.
        result: what it left.
        now: the time.
        lost: whether it may have done more than the result tells.
    """
    status = run.status.model_copy(deep=True) if run.status else SyncRunStatus()
    started = parse_time(status.start_time) or now
    status.phase = PHASES[result.outcome]
    status.trigger = trigger_of(run)
    status.mode = result.mode or status.mode
    status.scope = result.scope
    status.completion_time = format_time(now)
    status.duration = format_duration(now - started)
    status.endpoint = (
        EndpointUsed(version=result.endpoint_version) if result.endpoint_version else None
    )
    status.progress = None
    status.plan = result.plan
    status.changes = result.changes
    status.totals = totals(result)
    status.source = result.source
    status.excluded = result.excluded
    status.requests = result.requests
    status.errors = result.errors[:10]
    status.error_count = result.error_count
    status.errors_by_code = result.errors_by_code
    status.warnings = result.warnings[:10]
    status.warning_count = result.warning_count
    status.pacing = result.pacing
    status.timings = result.timings
    message = result.message
    unknown = {"ResultLost": Wanted(status=TRUE, reason=result.reason, message=_LOST)}
    more = unknown if lost else {}
    if status.phase is RunPhase.SUCCEEDED:
        good = Wanted(status=TRUE, reason=result.reason, message=message)
        return _finish_run(run, status, {"Ready": good, "Complete": good}, now)
    bad = Wanted(status=FALSE, reason=result.reason, message=message)
    yes = Wanted(status=TRUE, reason=result.reason, message=message)
    return _finish_run(run, status, {"Ready": bad, "Failed": yes, "Stalled": yes, **more}, now)


def totals(result: RunResult) -> Totals | None:
    """Changes of all kinds in sum."""
    changes = result.changes
    if changes is None:
        return None
    kinds = (changes.users, changes.groups, changes.contacts)
    return Totals(
        added=sum(kind.add for kind in kinds),
        updated=sum(kind.update for kind in kinds),
        deleted=sum(kind.delete for kind in kinds),
        failed=sum(kind.failed for kind in kinds) + changes.links.failed,
    )


def trigger_of(run: SyncRun) -> str:
    """Why a run was made; a run without our label was made by a person."""
    return run.metadata.labels.get(TRIGGER_LABEL, str(Trigger.MANUAL))


def _finish_run(
    run: SyncRun, status: SyncRunStatus, wanted: dict[str, Wanted], now: dt.datetime
) -> SyncRunStatus:
    status.observed_generation = run.metadata.generation
    status.conditions = merge(
        status.conditions,
        wanted,
        managed=RUN_CONDITIONS,
        generation=run.metadata.generation,
        now=now,
    )
    return status


def generation_of(run: SyncRun, default: int) -> int:
    """Generation of the resource a run was made for."""
    text = run.metadata.annotations.get(GENERATION_ANNOTATION, "")
    return int(text) if text.isdigit() else default


def was_ended(run: SyncRun) -> bool:
    """Whether a run's end is written already."""
    return run.status is not None and run.status.phase in {str(p) for p in ENDED_PHASES}
