"""Statuses of DirectorySyncs: pure functions of what was observed and decided."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from entrasync.api.bounds import shorten
from entrasync.api.directory_sync import (
    ActiveRun,
    BlockedPlan,
    DirectorySync,
    DirectorySyncStatus,
    RunSummary,
)
from entrasync.api.result import RunResult
from entrasync.api.sync_run import RunMode, RunPhase, SyncRun, SyncRunStatus
from entrasync.controller.conditions import MESSAGE_LENGTH, REASON_LENGTH, merge
from entrasync.controller.decide import Active, Decision, StartRun
from entrasync.controller.durations import format_time
from entrasync.controller.run_record import inputs_used, is_recorded, record
from entrasync.controller.run_status import generation_of
from entrasync.controller.sync_conditions import SYNC_CONDITIONS, sync_conditions


def sync_after_run(sync: DirectorySync, run: SyncRun, result: RunResult) -> DirectorySyncStatus:
    """Facts a finished run leaves on its DirectorySync; conditions follow from them."""
    status = sync.status.model_copy(deep=True) if sync.status else DirectorySyncStatus()
    if run.spec.mode is RunMode.CHECK:
        return status  # it says whether tenant and directories can be used, nothing of the sync
    told = run.status or SyncRunStatus()
    summary = RunSummary(
        name=run.metadata.name,
        mode=told.mode,
        scope=told.scope,
        phase=told.phase,
        reason=shorten(result.reason, REASON_LENGTH),
        message=shorten(result.message, MESSAGE_LENGTH),
        throttled=_held_up(result),
        start_time=told.start_time,
        completion_time=told.completion_time,
        generation=generation_of(run, sync.metadata.generation),
        inputs=inputs_used(run),
    )
    if is_recorded(status, summary):
        return status
    record(status, run, summary, sync.spec.mode)
    done = told.phase == RunPhase.SUCCEEDED or result.was_held
    if done and result.mode != RunMode.PREVIEW:
        status.last_successful_time = told.completion_time
    status.objects = result.objects or status.objects
    status.orphans = result.orphans or status.orphans
    status.drift = result.drift or status.drift
    status.scopes = result.scopes or status.scopes
    judged = told.phase in {RunPhase.SUCCEEDED, RunPhase.BLOCKED} and status.last_run is summary
    if judged or result.blocked_plan is not None:
        # a run that failed before its plan was judged does not know what is braked
        status.blocked_plan = _with_reason(result)
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
        sync_conditions(sync, status, decision, now, runs),
        managed=SYNC_CONDITIONS,
        generation=sync.metadata.generation,
        now=now,
    )
    return status


def _with_reason(result: RunResult) -> BlockedPlan | None:
    """The braked plan, with the brake that later runs will name; runners of old left it out."""
    plan = result.blocked_plan
    if plan is None or plan.reason or result.outcome != "Blocked":
        return plan
    return plan.model_copy(update={"reason": shorten(result.reason, REASON_LENGTH)})


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
