"""Statuses of the resources, as pure functions of what was observed."""

from __future__ import annotations

import datetime as dt
from typing import Final

from entrasync.api.active_directory import ActiveDirectory, ActiveDirectoryStatus
from entrasync.api.azure_cloud import AzureCloud, AzureCloudStatus
from entrasync.api.directory_sync import (
    ActiveRun,
    DirectorySync,
    DirectorySyncStatus,
    RunSummary,
)
from entrasync.api.entra_tenant import EntraTenant, EntraTenantStatus, TenantEndpoint
from entrasync.api.result import CheckOutcome, RunResult
from entrasync.api.sync_run import (
    ENDED_PHASES,
    GENERATION_ANNOTATION,
    EndpointUsed,
    PlanSummary,
    RunMode,
    RunPhase,
    SyncRun,
    SyncRunStatus,
    Totals,
    Trigger,
)
from entrasync.controller.conditions import FALSE, TRUE, UNKNOWN, Wanted, find, is_true, merge
from entrasync.controller.decide import (
    LATE_ARRIVALS,
    TRANSIENT,
    Active,
    Blocked,
    Decision,
    StartRun,
    Wait,
)
from entrasync.controller.durations import format_duration, format_time, parse_time

HISTORY_LENGTH: Final = 5
MESSAGE_LENGTH: Final = 1024
BRAKES: Final = frozenset(
    {
        "DeletionThresholdExceeded",
        "IdentityChangeThresholdExceeded",
        "LinkRemovalThresholdExceeded",
        "SourceEmpty",
        "SourceShrank",
    }
)
TENANT_REASONS: Final = frozenset(
    {
        "CredentialsRejected",
        "RoleMissing",
        "TenantNotFound",
        "SyncDisabledInTenant",
        "EndpointNotOffered",
        "CloudClosed",
    }
)
DIRECTORY_REASONS: Final = frozenset({"BindRejected", "ServerUnreachable", "CertificateNotTrusted"})

SYNC_CONDITIONS: Final = (
    "Ready",
    "Synchronized",
    "Reconciling",
    "Stalled",
    "Synchronizing",
    "PlanBlocked",
    "Degraded",
    "Suspended",
)
PART_CONDITIONS: Final = ("Ready", "CredentialsValid", "Reconciling", "Stalled")
RUN_CONDITIONS: Final = ("Ready", "Complete", "Failed", "Reconciling", "Stalled")
CLOUD_CONDITIONS: Final = ("Ready", "Available")
PHASES: Final = {
    "Succeeded": RunPhase.SUCCEEDED,
    "SucceededWithErrors": RunPhase.SUCCEEDED,
    "Blocked": RunPhase.BLOCKED,
    "Failed": RunPhase.FAILED,
    "Cancelled": RunPhase.CANCELLED,
}


def cloud_status(cloud: AzureCloud, now: dt.datetime) -> AzureCloudStatus:
    """Status of an AzureCloud; a closed one is Ready, but not Available."""
    spec = cloud.spec
    versions = sorted((str(e.version) for e in spec.sync_service.endpoints), reverse=True)
    available = (
        Wanted(status=TRUE, reason="Accepted", message="tenants of this cloud can be synced")
        if spec.closed_time is None
        else Wanted(
            status=FALSE,
            reason="CloudClosed",
            message=f"this cloud was closed at {spec.closed_time}",
        )
    )
    current = cloud.status.conditions if cloud.status else []
    generation = cloud.metadata.generation
    return AzureCloudStatus(
        observed_generation=generation,
        endpoint_versions=",".join(versions),
        conditions=merge(
            current,
            {"Ready": Wanted(status=TRUE, reason="Accepted"), "Available": available},
            managed=CLOUD_CONDITIONS,
            generation=generation,
            now=now,
        ),
    )


def part_checking(part: EntraTenant | ActiveDirectory, now: dt.datetime) -> None:
    """Marks a tenant or directory as being checked, in its status; keeps an earlier verdict."""
    status = _part_status(part)
    ready = find(status.conditions, "Ready")
    wanted: dict[str, Wanted] = {}
    if ready is None or ready.observed_generation != part.metadata.generation:
        checking = Wanted(status=UNKNOWN, reason="Checking", message="a check is under way")
        wanted = {
            "Ready": checking,
            "Reconciling": Wanted(status=TRUE, reason="Checking", message=checking.message),
        }
    elif ready.status != TRUE:
        return
    if wanted:
        _set_part(part, status, wanted, now)


def part_blocked(
    part: EntraTenant | ActiveDirectory,
    reason: str,
    message: str,
    *,
    stalled: bool,
    now: dt.datetime,
) -> None:
    """Marks a tenant or directory as not usable, in its status."""
    status = _part_status(part)
    wanted = {"Ready": Wanted(status=FALSE, reason=reason, message=message[:MESSAGE_LENGTH])}
    holds = Wanted(status=TRUE, reason=reason, message=message[:MESSAGE_LENGTH])
    wanted["Stalled" if stalled else "Reconciling"] = holds
    if isinstance(part, EntraTenant) and reason in {"CredentialsRejected", "RoleMissing"}:
        wanted["CredentialsValid"] = wanted["Ready"]
    _set_part(part, status, wanted, now)


def part_checked(
    part: EntraTenant | ActiveDirectory, check: CheckOutcome, generation: int, now: dt.datetime
) -> None:
    """Writes the verdict of a check, made at a generation, into a status."""
    status = _part_status(part)
    status.last_check_time = format_time(now)
    status.last_check_generation = generation
    if check.ok:
        ready = Wanted(status=TRUE, reason="Accepted", message=check.message[:MESSAGE_LENGTH])
        wanted = {"Ready": ready}
        if isinstance(part, EntraTenant):
            wanted["CredentialsValid"] = ready
        _set_part(part, status, wanted, now)
    else:
        late = check.reason in LATE_ARRIVALS
        stalled = not late and check.reason not in TRANSIENT
        part_blocked(part, check.reason, check.message, stalled=stalled, now=now)


def apply_facts(
    result: RunResult, tenant: EntraTenant | None, directory: ActiveDirectory | None
) -> None:
    """Copies what a run or check learnt onto the statuses of tenant and directory."""
    if tenant is not None:
        status = _part_status(tenant)
        if isinstance(status, EntraTenantStatus):
            status.company = result.company or status.company
            if result.endpoint_version:
                status.endpoint = TenantEndpoint(
                    version=result.endpoint_version, url=result.endpoint_url
                )
    if directory is not None and result.directory is not None:
        found = _part_status(directory)
        if isinstance(found, ActiveDirectoryStatus):
            result.directory.apply_to(found)


def _part_status(part: EntraTenant | ActiveDirectory) -> EntraTenantStatus | ActiveDirectoryStatus:
    if isinstance(part, EntraTenant):
        part.status = part.status or EntraTenantStatus()
        return part.status
    part.status = part.status or ActiveDirectoryStatus()
    return part.status


def _set_part(
    part: EntraTenant | ActiveDirectory,
    status: EntraTenantStatus | ActiveDirectoryStatus,
    wanted: dict[str, Wanted],
    now: dt.datetime,
) -> None:
    status.observed_generation = part.metadata.generation
    # a credential stays known as valid until a check says otherwise
    keep = {"CredentialsValid"} - wanted.keys()
    status.conditions = merge(
        status.conditions,
        wanted,
        managed=set(PART_CONDITIONS) - keep,
        generation=part.metadata.generation,
        now=now,
    )


def run_started(run: SyncRun, mode: RunMode, job: str, now: dt.datetime) -> SyncRunStatus:
    """Status of a run whose Job was made."""
    status = run_waiting(run, mode, "RunActive", "its Job was made", now)
    status.phase = RunPhase.RUNNING
    status.start_time = status.start_time or format_time(now)
    status.job_name = job
    return status


def run_waiting(
    run: SyncRun, mode: RunMode, reason: str, message: str, now: dt.datetime
) -> SyncRunStatus:
    """Status of a run that has not ended; Queued unless it was started already."""
    status = run.status.model_copy(deep=True) if run.status else SyncRunStatus()
    status.phase = status.phase or RunPhase.QUEUED
    status.trigger = trigger_of(run)
    status.mode = str(mode)
    wanted = Wanted(status=UNKNOWN, reason=reason, message=message[:MESSAGE_LENGTH])
    reconciling = Wanted(status=TRUE, reason=reason, message=message[:MESSAGE_LENGTH])
    return _finish_run(run, status, {"Ready": wanted, "Reconciling": reconciling}, now)


def run_ended(run: SyncRun, result: RunResult, now: dt.datetime) -> SyncRunStatus:
    """Status of a run by its result."""
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
    status.plan = PlanSummary(digest=result.plan_digest) if result.plan_digest else None
    status.changes = result.changes
    status.totals = totals(result)
    status.source = result.source
    status.requests = result.requests
    status.errors = result.errors[:10]
    status.error_count = result.error_count
    status.timings = result.timings
    message = result.message[:MESSAGE_LENGTH]
    if status.phase is RunPhase.SUCCEEDED:
        good = Wanted(status=TRUE, reason=result.reason, message=message)
        return _finish_run(run, status, {"Ready": good, "Complete": good}, now)
    bad = Wanted(status=FALSE, reason=result.reason, message=message)
    yes = Wanted(status=TRUE, reason=result.reason, message=message)
    return _finish_run(run, status, {"Ready": bad, "Failed": yes, "Stalled": yes}, now)


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
    return run.metadata.labels.get("entrasync.dev/trigger", str(Trigger.MANUAL))


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


def sync_after_run(sync: DirectorySync, run: SyncRun, result: RunResult) -> DirectorySyncStatus:
    """Facts a finished run leaves on its DirectorySync; conditions follow from them."""
    status = sync.status.model_copy(deep=True) if sync.status else DirectorySyncStatus()
    told = run.status or SyncRunStatus()
    summary = RunSummary(
        name=run.metadata.name,
        scope=told.scope,
        phase=told.phase,
        reason=result.reason,
        message=result.message[:MESSAGE_LENGTH],
        start_time=told.start_time,
        completion_time=told.completion_time,
        generation=generation_of(run, sync.metadata.generation),
    )
    if any(entry.name == summary.name for entry in status.history):
        return status
    status.last_run = summary
    status.history = [summary, *status.history][:HISTORY_LENGTH]
    if told.phase == RunPhase.SUCCEEDED and result.mode != RunMode.PREVIEW:
        status.last_successful_time = told.completion_time
    status.objects = result.objects or status.objects
    status.orphans = result.orphans or status.orphans
    status.scopes = result.scopes or status.scopes
    if told.phase in {RunPhase.SUCCEEDED, RunPhase.BLOCKED}:
        status.blocked_plan = result.blocked_plan
    return status


def sync_status(
    sync: DirectorySync, decision: Decision, next_due: dt.datetime | None, now: dt.datetime
) -> DirectorySyncStatus:
    """Status of a DirectorySync from its facts and what was decided."""
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
        _sync_conditions(sync, status, decision),
        managed=SYNC_CONDITIONS,
        generation=sync.metadata.generation,
        now=now,
    )
    return status


def _sync_conditions(
    sync: DirectorySync, status: DirectorySyncStatus, decision: Decision
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
    bad = Wanted(status=FALSE, reason=reason, message=message)
    wanted = {"Ready": bad, "Synchronized": bad}
    if last.phase == RunPhase.BLOCKED or reason not in TRANSIENT | LATE_ARRIVALS:
        wanted["Stalled"] = Wanted(status=TRUE, reason=reason, message=message)
    if last.phase == RunPhase.BLOCKED:
        wanted["PlanBlocked"] = Wanted(status=TRUE, reason=reason, message=message)
    return wanted


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


def was_ended(run: SyncRun) -> bool:
    """Whether a run's end is written already."""
    return run.status is not None and run.status.phase in {str(p) for p in ENDED_PHASES}


def ready_changed(
    before: DirectorySyncStatus | EntraTenantStatus | ActiveDirectoryStatus | SyncRunStatus | None,
    after: DirectorySyncStatus | EntraTenantStatus | ActiveDirectoryStatus | SyncRunStatus,
) -> Wanted | None:
    """The Ready condition when its status or reason changed: worth an Event."""
    old = find(before.conditions, "Ready") if before else None
    new = find(after.conditions, "Ready")
    if new is None or (old is not None and (old.status, old.reason) == (new.status, new.reason)):
        return None
    return Wanted(status=new.status, reason=new.reason, message=new.message)


__all__ = [
    "apply_facts",
    "cloud_status",
    "generation_of",
    "is_true",
    "part_blocked",
    "part_checked",
    "part_checking",
    "ready_changed",
    "run_ended",
    "run_started",
    "run_waiting",
    "sync_after_run",
    "sync_status",
    "totals",
    "trigger_of",
    "was_ended",
]
