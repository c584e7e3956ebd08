"""What to do for a DirectorySync that is deleted together with what it owns. Pure.

A finalizer of ours is on a sync only while its `deletionPolicy` is Delete, and holds the sync for
a last run. It never hangs: it is dropped at once when that run cannot be made any more, and after
an hour in any case but one: a last run that gets on is not broken off.
"""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from entrasync.api.choices import DeletionPolicy
from entrasync.api.directory_sync import (
    DELETION_FINALIZER,
    DirectorySync,
    DirectorySyncStatus,
    OrphanCounts,
    OwnedObjects,
    SyncMode,
)
from entrasync.api.runner import StorageType
from entrasync.api.sync_run import (
    ENDED_PHASES,
    GENERATION_ANNOTATION,
    TRIGGER_LABEL,
    RunMode,
    RunPhase,
    SyncRun,
    Trigger,
)
from entrasync.controller.conditions import FALSE, find
from entrasync.controller.decisions import ObservedSync
from entrasync.controller.durations import is_older, parse_time
from entrasync.controller.leases import Holding
from entrasync.controller.manifests import storage_of
from entrasync.controller.references import reference_problem
from entrasync.controller.runs_of_sync import phase_of

PATIENCE: Final = dt.timedelta(hours=1)
"""How long a deleted sync waits for its last run, or for an approval of what that would do."""
FIRST_RETRY: Final = dt.timedelta(minutes=1)
LONGEST_RETRY: Final = dt.timedelta(minutes=15)
"""Also the least distance between two tries of a password: a last run uses none."""
DONE: Final = "ObjectsDeleted"
LEFT: Final = "ObjectsLeft"
_HOPELESS: Final = frozenset({"SecretNotFound", "ReferenceNotFound", "CloudClosed"})
"""Reasons of a last run, or of a check of its tenant, after which there is nothing to wait for."""


@dataclass(slots=True, frozen=True, kw_only=True)
class ObservedDeletion:
    """All that the decision rests on.

    Attributes:
        of_sync: the sync, what it names, its runs.
        namespace_ends: whether its namespace is being deleted.
    """

    of_sync: ObservedSync
    namespace_ends: bool = False


@dataclass(slots=True, frozen=True)
class Drop:
    """Let the sync go.

    Attributes:
        reason: `ObjectsDeleted` or `ObjectsLeft`.
        message: what was done, or what is left in the tenant and why.
    """

    reason: str
    message: str


@dataclass(slots=True, frozen=True)
class EndRuns:
    """End these runs first."""

    names: tuple[str, ...]


@dataclass(slots=True, frozen=True)
class StartLastRun:
    """Make the last run, under this name."""

    name: str


@dataclass(slots=True, frozen=True)
class LastRunActive:
    """The last run is queued or under way."""

    run: str


@dataclass(slots=True, frozen=True)
class AwaitDeletion:
    """Wait for an approval, for another try, or for somebody who makes room."""

    until: dt.datetime


DeletionDecision = Drop | EndRuns | StartLastRun | LastRunActive | AwaitDeletion


def wants_finalizer(sync: DirectorySync) -> bool:
    """Whether a sync that is not being deleted is to have our finalizer."""
    return sync.spec.deletion_policy is DeletionPolicy.DELETE and sync.spec.mode is SyncMode.APPLY


def last_run_problem(observed: ObservedSync) -> tuple[str, str] | None:
    """Reason and message when the last run of a sync cannot start; it needs no directory."""
    if observed.tenant is None:
        name = observed.sync.spec.target.entra_tenant_ref.name
        return "ReferenceNotFound", f"EntraTenant {name} does not exist any more"
    problem = reference_problem(observed.tenant, observed.cloud, observed.account_labels)
    if problem is None and observed.claimed_by is not None:
        return "TenantClaimed", observed.claimed_by.message
    return problem


def decide_deletion(observed: ObservedDeletion, now: dt.datetime) -> DeletionDecision:
    """The one thing to do now for a deleted sync that has our finalizer. Total: never raises."""
    of_sync = observed.of_sync
    last_runs = _last_runs(of_sync)
    newest = last_runs[-1] if last_runs else None
    if newest is not None and _did_all(newest):
        return _done(of_sync.sync, newest, last_runs)
    hopeless = _hopeless(observed)
    if hopeless is not None:
        return _left(of_sync.sync, hopeless)
    others = tuple(
        run.metadata.name for run in of_sync.runs if _is_open(run) and run not in last_runs
    )
    over = _since(of_sync.sync, now) + PATIENCE
    if others:
        late = f"its run {others[0]} did not end within an hour"
        return EndRuns(others) if now < over else _left(of_sync.sync, late)
    if newest is None and _never_ran(of_sync.sync):
        return _left(of_sync.sync, "no run of it ever exported anything")
    if newest is not None and _is_open(newest):
        if now < max(over, _seen_at_work(newest) + PATIENCE):
            return LastRunActive(newest.metadata.name)
        return _left(
            of_sync.sync, f"its last run {newest.metadata.name} did not end within an hour"
        )
    if now >= over:
        return _left(of_sync.sync, _why_not_done(of_sync, newest))
    due = _next_try(of_sync.sync, last_runs, now)
    held = of_sync.claimed_by
    if due > now or held is not None:  # who held the tenant still ends its work
        return AwaitDeletion(min(over, max(due, now + FIRST_RETRY)))
    return StartLastRun(_name_of_next(of_sync))


# --- whether there is anything to wait for -----------------------------------------------------


def _hopeless(observed: ObservedDeletion) -> str | None:
    """Why no last run can be made any more; `None` while one can."""
    of_sync = observed.of_sync
    sync = of_sync.sync
    if sync.spec.deletion_policy is not DeletionPolicy.DELETE:
        return "`spec.deletionPolicy` is Retain"
    if sync.spec.mode is not SyncMode.APPLY:
        return "`spec.mode` is Preview, which exports nothing"
    if observed.namespace_ends:
        return f"its namespace {sync.metadata.namespace} is being deleted"
    if storage_of(sync).type is StorageType.EPHEMERAL:
        return "it kept no state that tells what it owned (`spec.runner.storage.type`: Ephemeral)"
    if of_sync.claimed_by is not None and of_sync.claimed_by.how is not Holding.ENDING:
        return f"DirectorySync {of_sync.claimed_by.owner} owns the tenant"
    if any(phase_of(run) is RunPhase.RUNNING for run in _last_runs(of_sync)):
        return None  # it has all it needs
    return _tenant_lost(of_sync) or _refused(of_sync)


def _tenant_lost(of_sync: ObservedSync) -> str | None:
    problem = last_run_problem(of_sync)
    if problem is not None and problem[0] != "TenantClaimed":
        return problem[1]
    if of_sync.tenant is None:
        return None
    status = of_sync.tenant.status
    ready = find(status.conditions, "Ready") if status else None
    if ready is not None and ready.status == FALSE and ready.reason in _HOPELESS:
        return f"{of_sync.tenant.key} {ready.message}"
    return None


def _refused(of_sync: ObservedSync) -> str | None:
    """What the newest last run said, where no other one would do better."""
    ended = [run for run in _last_runs(of_sync) if phase_of(run) is RunPhase.FAILED]
    if not ended:
        return None
    ready = _ready_of(max(ended, key=_age))
    return ready[1] if ready[0] in _HOPELESS else None


def _never_ran(sync: DirectorySync) -> bool:
    status = sync.status or DirectorySyncStatus()
    return status.last_run is None and status.objects is None and not status.history


# --- when, and what it says --------------------------------------------------------------------


def _next_try(sync: DirectorySync, last_runs: list[SyncRun], now: dt.datetime) -> dt.datetime:
    """When a last run may start: at once, when the spec has changed, or a while after a failure."""
    if not last_runs:
        return now
    newest = last_runs[-1]
    if _generation_of(newest) != sync.metadata.generation:
        return now  # an approval, for example
    if phase_of(newest) is RunPhase.BLOCKED:
        return dt.datetime.max.replace(tzinfo=dt.UTC)
    ended = parse_time(newest.status.completion_time) if newest.status else None
    wait = min(FIRST_RETRY * (1 << min(len(last_runs) - 1, 8)), LONGEST_RETRY)
    return (ended or now) + wait


def _why_not_done(of_sync: ObservedSync, newest: SyncRun | None) -> str:
    if newest is None:
        held = of_sync.claimed_by
        return "no last run could be made within an hour" + (f": {held.message}" if held else "")
    phase, (_, message) = phase_of(newest), _ready_of(newest)
    if phase is RunPhase.BLOCKED:
        return f"its last run was blocked, and nobody approved the plan within an hour: {message}"
    return f"its last run did not remove everything within an hour: {message}"


def _done(sync: DirectorySync, run: SyncRun, last_runs: Sequence[SyncRun]) -> Drop:
    status = sync.status or DirectorySyncStatus()
    owned, orphans = status.objects or OwnedObjects(), status.orphans or OrphanCounts()
    if owned.users or owned.groups or owned.contacts:
        return Drop(DONE, f"run {run.metadata.name} is done; {_holds(owned)}, as `onRemoval` says")
    if (orphans.users or orphans.groups or orphans.contacts) and not any(map(_wrote, last_runs)):
        return Drop(
            LEFT,
            f"run {run.metadata.name} found nothing that the sync owns: its state was lost, or"
            f" others own all there is; {orphans.users} users, {orphans.groups} groups and"
            f" {orphans.contacts} contacts stay in the tenant",
        )
    return Drop(DONE, f"run {run.metadata.name} removed everything it owned in the tenant")


def _left(sync: DirectorySync, why: str) -> Drop:
    owned = (sync.status or DirectorySyncStatus()).objects or OwnedObjects()
    return Drop(LEFT, f"nothing more is removed, because {why}; {_holds(owned)}")


def _holds(owned: OwnedObjects) -> str:
    if not (owned.users or owned.groups or owned.contacts):
        return "it owned nothing in the tenant, as far as its status tells"
    return (
        f"{owned.users} users, {owned.groups} groups and {owned.contacts} contacts that it owned"
        " stay in the tenant"
    )


# --- of a run ----------------------------------------------------------------------------------


def _last_runs(of_sync: ObservedSync) -> list[SyncRun]:
    """Last runs of this very sync, not of an earlier one of its name; the newest comes last."""
    made = of_sync.sync.metadata.creation_timestamp
    found = [
        run
        for run in of_sync.runs
        if run.metadata.labels.get(TRIGGER_LABEL) == Trigger.DELETION
        and not is_older(run.metadata.creation_timestamp, made)
    ]
    return sorted(found, key=_age)


def _name_of_next(of_sync: ObservedSync) -> str:
    taken = {run.metadata.name for run in of_sync.runs}
    names = (f"{of_sync.sync.metadata.name}-last-{number}" for number in itertools.count(1))
    return next(name for name in names if name not in taken)


def _is_open(run: SyncRun) -> bool:
    return phase_of(run) not in ENDED_PHASES


def _did_all(run: SyncRun) -> bool:
    """Whether a run removed all it should; one that only looked did not."""
    status = run.status
    if status is None or phase_of(run) is not RunPhase.SUCCEEDED or status.error_count:
        return False
    return status.mode != RunMode.PREVIEW


def _wrote(run: SyncRun) -> bool:
    """Whether a run has removed or disabled anything."""
    totals = run.status.totals if run.status else None
    return totals is not None and bool(totals.deleted or totals.updated)


def _seen_at_work(run: SyncRun) -> dt.datetime:
    """When a run last told that it gets on."""
    progress = run.status.progress if run.status else None
    told = parse_time(progress.changed_time or progress.observed_time) if progress else None
    return told or dt.datetime.min.replace(tzinfo=dt.UTC)


def _ready_of(run: SyncRun) -> tuple[str, str]:
    ready = find(run.status.conditions, "Ready") if run.status else None
    return ("", "it told nothing") if ready is None else (ready.reason, ready.message)


def _generation_of(run: SyncRun) -> int | None:
    told = run.metadata.annotations.get(GENERATION_ANNOTATION, "")
    return int(told) if told.isdigit() else None


def _since(sync: DirectorySync, now: dt.datetime) -> dt.datetime:
    """When it was deleted; a time in the future is a clock that was set back."""
    return min(parse_time(sync.metadata.deletion_timestamp) or now, now)


def _age(run: SyncRun) -> tuple[str, str]:
    return run.metadata.creation_timestamp or "", run.metadata.name


def has_finalizer(sync: DirectorySync) -> bool:
    """Whether our finalizer is on a sync."""
    return DELETION_FINALIZER in sync.metadata.finalizers
