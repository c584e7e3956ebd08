"""What to do next for a DirectorySync. Pure: observed things and a time in, one decision out."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.directory_sync import DirectorySync, DirectorySyncStatus, SyncMode
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.sync_run import (
    ENDED_PHASES,
    REQUEST_ANNOTATION,
    TRIGGER_LABEL,
    RunMode,
    RunPhase,
    SyncRun,
    Trigger,
)
from entrasync.controller.check_times import is_checked
from entrasync.controller.conditions import FALSE, TRUE, find, unready_for
from entrasync.controller.durations import parse_time
from entrasync.controller.reasons import needs_somebody
from entrasync.controller.references import reference_problem
from entrasync.controller.schedule import interval_of, next_due, retry_delay
from entrasync.errors import ConfigurationError


@dataclass(slots=True, frozen=True, kw_only=True)
class ObservedSync:
    """All that a decision rests on.

    Attributes:
        sync: the DirectorySync.
        tenant: its EntraTenant, `None` when it does not exist.
        cloud: the tenant's AzureCloud, `None` when it does not exist.
        account_labels: labels of the ServiceAccount its tenant names, `None` when it does not
            exist.
        directories: its ActiveDirectories by name; absent when they do not exist.
        runs: all SyncRuns of it.
        claimed_by: who else owns the tenant, as `namespace/name`; `None` when nobody does.
    """

    sync: DirectorySync
    tenant: EntraTenant | None
    cloud: AzureCloud | None
    directories: Mapping[str, ActiveDirectory]
    runs: Sequence[SyncRun]
    claimed_by: str | None = None
    account_labels: Mapping[str, str] | None = None


@dataclass(slots=True, frozen=True)
class Wait:
    """Nothing to do before a moment; `None`: before something changes."""

    until: dt.datetime | None


@dataclass(slots=True, frozen=True)
class StartRun:
    """Make a SyncRun of this name."""

    name: str
    trigger: Trigger


@dataclass(slots=True, frozen=True)
class Active:
    """A run is queued or under way."""

    run: str


@dataclass(slots=True, frozen=True)
class Blocked:
    """No run can start."""

    reason: str
    message: str
    stalled: bool
    checking: bool = False
    """Whether it is only that a check has not ended yet."""


Decision = Wait | StartRun | Active | Blocked


def decide(observed: ObservedSync, now: dt.datetime) -> Decision:
    """The one thing to do now. Total: never raises."""
    sync = observed.sync
    if sync.metadata.deletion_timestamp:
        return Wait(None)
    active = active_run([run for run in observed.runs if not is_report(run)])
    if active is not None:
        return Active(active.metadata.name)
    blocked = blocker(observed, now)
    if blocked is not None:
        return blocked
    status = sync.status or DirectorySyncStatus()
    request = sync.metadata.annotations.get(REQUEST_ANNOTATION, "")
    if request and request != status.last_handled_request:
        name = f"{sync.metadata.name}-{hashlib.sha256(request.encode()).hexdigest()[:8]}"
        return StartRun(name, Trigger.ANNOTATION)
    if sync.spec.suspend:
        return Wait(None)
    last = status.last_run
    if last is None or last.generation != sync.metadata.generation:
        return StartRun(_slot_name(observed, now), Trigger.SPEC_CHANGE)
    try:
        due = due_time(observed, now)
    except ConfigurationError as error:
        return Blocked(error.reason, f"`{error.field}`: {error.message}", stalled=True)
    if due <= now:
        return StartRun(_slot_name(observed, now), Trigger.SCHEDULE)
    return Wait(due)


def due_time(observed: ObservedSync, now: dt.datetime) -> dt.datetime:
    """When the next scheduled run is due; sooner after a failure that may pass by itself.

    Raises:
        ConfigurationError: the schedule is not valid.
    """
    status = observed.sync.status or DirectorySyncStatus()
    schedule = observed.sync.spec.schedule
    started = parse_time(status.last_run.start_time) if status.last_run else None
    # a start in the future is a clock that was set back: do not wait for it
    due = next_due(schedule, min(started or now, now))
    failures = _failures_in_a_row(status)
    ended = parse_time(status.last_run.completion_time) if status.last_run else None
    if failures and ended is not None:
        due = min(due, min(ended, now) + retry_delay(failures, interval_of(schedule)))
    return due


def active_run(runs: Sequence[SyncRun]) -> SyncRun | None:
    """The run that is queued or under way; the running one before the queued, the oldest first.

    Of the queued a report is the first: it is short, and shows why the others cannot start.
    """
    unended = [run for run in runs if phase_of(run) not in ENDED_PHASES]
    unended.sort(
        key=lambda run: (
            phase_of(run) is not RunPhase.RUNNING,
            not is_report(run),
            run.metadata.creation_timestamp or "",
            run.metadata.name,
        )
    )
    return unended[0] if unended else None


def is_report(run: SyncRun) -> bool:
    """Whether a run only prints what the state holds: to a sync it is as if it were not there."""
    return run.spec.mode is RunMode.REPORT


def phase_of(run: SyncRun) -> RunPhase:
    """The phase of a run; Queued while it has none."""
    if run.status is None or run.status.phase is None:
        return RunPhase.QUEUED
    return RunPhase(run.status.phase)


def blocker(observed: ObservedSync, now: dt.datetime) -> Blocked | None:
    """What keeps a sync from running; `None` when it may."""
    missing = missing_reference(observed)
    if missing is not None:
        return Blocked(
            "ReferenceNotFound",
            missing,
            stalled=needs_somebody("ReferenceNotFound", _unready_for(observed, now)),
        )
    if observed.tenant is None or observed.cloud is None:
        return None
    unusable = reference_problem(observed.tenant, observed.cloud, observed.account_labels)
    if unusable is not None:
        reason, message = unusable
        stalled = needs_somebody(reason, _unready_for(observed, now))
        return Blocked(reason, message, stalled=stalled)
    if observed.sync.spec.mode is SyncMode.APPLY and observed.claimed_by is not None:
        return Blocked(
            "TenantClaimed",
            f"`spec.target`: DirectorySync {observed.claimed_by} owns this tenant already; delete"
            " it, or set `spec.mode` of one of them to Preview",
            stalled=True,
        )
    parts: list[EntraTenant | ActiveDirectory] = [
        observed.tenant,
        *observed.directories.values(),
    ]
    for part in parts:
        problem = _part_problem(observed, part, now)
        if problem is not None:
            return problem
    return None


def missing_reference(observed: ObservedSync) -> str | None:
    """A sentence about the first resource that is named and not there."""
    spec = observed.sync.spec
    for index, source in enumerate(spec.sources):
        name = source.active_directory_ref.name
        if name not in observed.directories:
            field = f"spec.sources[{index}].activeDirectoryRef"
            return (
                f"`{field}`: ActiveDirectory {name} does not exist; create it or correct the name"
            )
    if observed.tenant is None:
        name = spec.target.entra_tenant_ref.name
        return (
            f"`spec.target.entraTenantRef`: EntraTenant {name} does not exist; create it or correct"
            " the name"
        )
    if observed.cloud is None:
        name = observed.tenant.spec.cloud_ref.name
        return (
            f"EntraTenant/{observed.tenant.metadata.name} `spec.cloudRef`: AzureCloud {name} does"
            " not exist; see `kubectl get azurecloud`"
        )
    return None


def runs_to_prune(observed: ObservedSync) -> list[str]:
    """Names of finished runs beyond the history limits; never one a person made."""
    spec = observed.sync.spec
    ours = [
        run
        for run in observed.runs
        if TRIGGER_LABEL in run.metadata.labels and phase_of(run) in ENDED_PHASES
    ]
    ours.sort(key=lambda run: run.metadata.creation_timestamp or "", reverse=True)
    good = [run for run in ours if phase_of(run) is RunPhase.SUCCEEDED]
    bad = [run for run in ours if phase_of(run) is not RunPhase.SUCCEEDED]
    surplus = good[spec.successful_runs_history_limit :] + bad[spec.failed_runs_history_limit :]
    return [run.metadata.name for run in surplus]


def _part_problem(
    observed: ObservedSync, part: EntraTenant | ActiveDirectory, now: dt.datetime
) -> Blocked | None:
    ready = find(part.status.conditions, "Ready") if part.status else None
    if ready is not None and ready.status == FALSE:
        stalled = needs_somebody(ready.reason, _unready_for(observed, now))
        return Blocked(ready.reason, f"{part.key} {ready.message}", stalled=stalled)
    if not is_checked(part) or ready is None or ready.status != TRUE:
        return Blocked("Checking", f"{part.key} is being checked", stalled=False, checking=True)
    return None


def _unready_for(observed: ObservedSync, now: dt.datetime) -> dt.timedelta:
    status = observed.sync.status
    return dt.timedelta() if status is None else unready_for(status.conditions, now)


def _failures_in_a_row(status: DirectorySyncStatus) -> int:
    count = 0
    for run in status.history:
        if run.phase != RunPhase.FAILED:
            break
        count += 1
    return count


def _slot_name(observed: ObservedSync, now: dt.datetime) -> str:
    """Name of a scheduled run: the minute it starts in, with the second when that is taken."""
    minutes, seconds = divmod(int(now.timestamp()), 60)
    name = f"{observed.sync.metadata.name}-{minutes}"
    taken = {run.metadata.name for run in observed.runs}
    return name if name not in taken else f"{name}{seconds:02d}"
