"""Statuses of DirectorySyncs: pure functions of what was observed and decided."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Final

from entrasync.api.directory_sync import (
    ActiveRun,
    DirectorySync,
    DirectorySyncStatus,
    RunSummary,
)
from entrasync.api.result import RunResult
from entrasync.api.sync_run import RunMode, RunPhase, SyncRun, SyncRunStatus
from entrasync.controller.conditions import FALSE, MESSAGE_LENGTH, TRUE, UNKNOWN, Wanted, merge
from entrasync.controller.decide import (
    Active,
    Blocked,
    Decision,
    StartRun,
    Wait,
)
from entrasync.controller.durations import format_time
from entrasync.controller.reasons import LATE_ARRIVALS, TRANSIENT
from entrasync.controller.run_status import generation_of

HISTORY_LENGTH: Final = 5
SYNC_CONDITIONS: Final = (
    "Ready",
    "Synchronized",
    "Reconciling",
    "Stalled",
    "Synchronizing",
    "PlanBlocked",
    "Throttled",
    "Degraded",
    "Suspended",
)


def sync_after_run(sync: DirectorySync, run: SyncRun, result: RunResult) -> DirectorySyncStatus:
    """Facts a finished run leaves on its DirectorySync; conditions follow from them."""
    status = sync.status.model_copy(deep=True) if sync.status else DirectorySyncStatus()
    if run.spec.mode is RunMode.CHECK:
        return status  # it says whether tenant and directories can be used, nothing of the sync
    told = run.status or SyncRunStatus()
    summary = RunSummary(
        name=run.metadata.name,
        scope=told.scope,
        phase=told.phase,
        reason=result.reason,
        message=result.message[:MESSAGE_LENGTH],
        throttled=_held_up(result),
        start_time=told.start_time,
        completion_time=told.completion_time,
        generation=generation_of(run, sync.metadata.generation),
    )
    if any(entry.name == summary.name for entry in status.history):
        return status
    status.last_run = summary
    status.history = [summary, *status.history][:HISTORY_LENGTH]
    done = told.phase == RunPhase.SUCCEEDED or result.was_held
    if done and result.mode != RunMode.PREVIEW:
        status.last_successful_time = told.completion_time
    status.objects = result.objects or status.objects
    status.orphans = result.orphans or status.orphans
    status.drift = result.drift or status.drift
    status.scopes = result.scopes or status.scopes
    if told.phase in {RunPhase.SUCCEEDED, RunPhase.BLOCKED} or result.blocked_plan is not None:
        # a run that failed before its plan was judged does not know what is braked
        status.blocked_plan = result.blocked_plan
    return status


def sync_status(
    sync: DirectorySync,
    decision: Decision,
    next_due: dt.datetime | None,
    now: dt.datetime,
    runs: Sequence[SyncRun] = (),
) -> DirectorySyncStatus:
    """Status of a DirectorySync from its facts and what was decided.

    Args:
        sync: as it was read.
        decision: what happens next.
        next_due: when the next run is due by schedule.
        now: the time.
        runs: its runs, of which one may be under way.
    """
    status = sync.status.model_copy(deep=True) if sync.status else DirectorySyncStatus()
    name = decision.run if isinstance(decision, Active) else None
    name = decision.name if isinstance(decision, StartRun) else name
    status.active_run = ActiveRun(name=name) if name else None
    status.next_schedule_time = (
        format_time(next_due) if next_due is not None and not sync.spec.suspend else None
    )
    status.observed_generation = sync.metadata.generation
    status.conditions = merge(
        status.conditions,
        _sync_conditions(sync, status, decision, _pause(decision, runs)),
        managed=SYNC_CONDITIONS,
        generation=sync.metadata.generation,
        now=now,
    )
    return status


def _held_up(result: RunResult) -> str | None:
    """How the tenant's quota held a run up, in a sentence; `None` when it did not."""
    pacing = result.pacing
    if pacing is None or not pacing.held_up:
        return None
    waited = "" if pacing.paced_time == "0s" else f"it waited {pacing.paced_time} for the"
    times = "once" if pacing.throttled == 1 else f"{pacing.throttled} times"
    busy = f"the tenant was busy {times}" if pacing.throttled else ""
    quota = f"quota of {pacing.quota} writes in 5 minutes (`spec.writeQuotaPercent`)"
    told = " and ".join(part for part in (waited and f"{waited} {quota}", busy) if part)
    return f"the last run took longer: {told}"


def _pause(decision: Decision, runs: Sequence[SyncRun]) -> str | None:
    """How the quota holds up the run under way, in a sentence; `None` when it does not."""
    if not isinstance(decision, Active):
        return None
    for run in runs:
        progress = run.status.progress if run.status else None
        if run.metadata.name == decision.run and progress is not None and progress.paused_until:
            return (
                f"run {decision.run} waits for the tenant's quota of writes until"
                f" {progress.paused_until} (`spec.writeQuotaPercent`)"
            )
    return None


def _sync_conditions(
    sync: DirectorySync, status: DirectorySyncStatus, decision: Decision, pause: str | None
) -> dict[str, Wanted]:
    wanted = _outcome_conditions(status)
    if isinstance(decision, Blocked):
        wanted = _blocked_conditions(wanted, status, decision)
    elif isinstance(decision, Active | StartRun):
        wanted["Synchronizing"] = Wanted(
            status=TRUE, reason="RunActive", message=f"run {_run_name(decision)} is under way"
        )
        if status.last_run is None:
            wanted["Ready"] = Wanted(
                status=TRUE, reason="InitialSync", message="the first sync is under way"
            )
    throttled = pause or (status.last_run.throttled if status.last_run else None)
    if throttled:
        wanted["Throttled"] = Wanted(status=TRUE, reason="Throttled", message=throttled)
    if sync.spec.suspend:
        wanted["Suspended"] = Wanted(
            status=TRUE,
            reason="Suspended",
            message="`spec.suspend` is true: no run starts by itself",
        )
        if status.last_run is None and isinstance(decision, Wait):
            wanted["Ready"] = Wanted(status=UNKNOWN, reason="Suspended", message="never run")
    return wanted


def _run_name(decision: Active | StartRun) -> str:
    return decision.run if isinstance(decision, Active) else decision.name


def _outcome_conditions(status: DirectorySyncStatus) -> dict[str, Wanted]:
    """What the last run says."""
    last = status.last_run
    if last is None:
        message = "no run has ended yet"
        return {
            "Ready": Wanted(status=UNKNOWN, reason="Checking", message=message),
            "Synchronized": Wanted(status=UNKNOWN, reason="InitialSync", message=message),
        }
    reason, message = last.reason or "RunFailed", last.message or ""
    if last.phase == RunPhase.SUCCEEDED:
        good = Wanted(status=TRUE, reason="Synchronized", message=message)
        wanted = {"Ready": good, "Synchronized": good}
        if reason != "Synchronized":
            wanted["Degraded"] = Wanted(status=TRUE, reason=reason, message=message)
            wanted["Ready"] = Wanted(status=TRUE, reason=reason, message=message)
        return wanted
    if last.phase == RunPhase.CANCELLED:
        cancelled = Wanted(status=UNKNOWN, reason="Cancelled", message=message)
        return {"Ready": cancelled, "Synchronized": cancelled}
    blocked = status.blocked_plan if last.phase == RunPhase.BLOCKED else None
    if blocked is not None and blocked.held:
        return _held_conditions(reason, message)
    bad = Wanted(status=FALSE, reason=reason, message=message)
    wanted = {"Ready": bad, "Synchronized": bad}
    if last.phase == RunPhase.BLOCKED or reason not in TRANSIENT | LATE_ARRIVALS:
        wanted["Stalled"] = Wanted(status=TRUE, reason=reason, message=message)
    if last.phase == RunPhase.BLOCKED:
        wanted["PlanBlocked"] = Wanted(status=TRUE, reason=reason, message=message)
    return wanted


def _held_conditions(reason: str, message: str) -> dict[str, Wanted]:
    """Some changes wait for an approval, all others were made: the sync is good otherwise."""
    holds = Wanted(status=TRUE, reason=reason, message=message)
    return {
        "Ready": holds,
        "Synchronized": Wanted(status=TRUE, reason="Synchronized", message=message),
        "Degraded": holds,
        "PlanBlocked": holds,
    }


def _blocked_conditions(
    wanted: dict[str, Wanted], status: DirectorySyncStatus, decision: Blocked
) -> dict[str, Wanted]:
    message = decision.message[:MESSAGE_LENGTH]
    kept = {k: v for k, v in wanted.items() if k in {"Synchronized", "PlanBlocked", "Degraded"}}
    if decision.checking:
        if status.last_run is not None:
            # a check of a changed tenant or directory takes nothing back
            return wanted
        return kept | {
            "Ready": Wanted(status=UNKNOWN, reason=decision.reason, message=message),
            "Reconciling": Wanted(status=TRUE, reason=decision.reason, message=message),
        }
    yes = Wanted(status=TRUE, reason=decision.reason, message=message)
    kept["Ready"] = Wanted(status=FALSE, reason=decision.reason, message=message)
    return kept | {"Stalled" if decision.stalled else "Reconciling": yes}
