"""Conditions of a DirectorySync: the table of its status. Pure.

What the last run says comes first; what is decided now is laid over it: a run under way, what keeps
the next one from starting, and what holds it back.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Sequence
from typing import Final

from entrasync.api.common import Condition
from entrasync.api.directory_sync import (
    BlockedPlan,
    DirectorySync,
    DirectorySyncStatus,
    RunSummary,
    SyncMode,
)
from entrasync.api.reasons import needs_somebody
from entrasync.api.sync_run import RunMode, RunPhase, SyncRun
from entrasync.controller.conditions import FALSE, TRUE, UNKNOWN, Wanted, find, unready_for
from entrasync.controller.decisions import Active, Blocked, Decision, StartRun, Wait
from entrasync.controller.deletion import PATIENCE, has_finalizer
from entrasync.controller.durations import format_time, parse_time
from entrasync.controller.run_record import quarantine_message

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
"""All conditions of a sync, as people read them: the verdict first."""
_KEPT_WHILE_BLOCKED: Final = frozenset({"Synchronized", "PlanBlocked", "Degraded"})
"""What the last run said of the tenant stays true although no other one can start."""
_NODE_LOST: Final = "NodeLost"

Conditions = dict[str, Wanted]


def sync_conditions(
    sync: DirectorySync,
    status: DirectorySyncStatus,
    decision: Decision,
    now: dt.datetime,
    runs: Sequence[SyncRun] = (),
) -> Conditions:
    """What the conditions of a sync should say, by type.

    Args:
        sync: as it was read.
        status: its facts: what earlier runs left.
        decision: what happens next.
        now: the time.
        runs: its runs, of which one may be under way.
    """
    told = telling_run(status, sync.spec.mode)
    wanted = _outcome(told, status, now)
    if isinstance(decision, Blocked):
        wanted = _blocked(wanted, told, decision)
    elif isinstance(decision, Active | StartRun):
        first = told is None and not _only_looks(sync, decision, runs)
        wanted |= _under_way(decision, runs, first=first)
    throttled = _pause(decision, runs) or (told.throttled if told else None)
    if throttled:
        wanted["Throttled"] = Wanted(status=TRUE, reason="Throttled", message=throttled)
    if isinstance(decision, Wait) and has_finalizer(sync) and "PlanBlocked" in wanted:
        wanted["PlanBlocked"] = _until_it_goes(sync, wanted["PlanBlocked"])
    return wanted | _suspended(sync, told, decision)


def telling_run(status: DirectorySyncStatus, own_mode: SyncMode) -> RunSummary | None:
    """The last run that says how the sync is.

    One that was cancelled leaves it as it was; a look ahead by a person says nothing of it.
    """
    runs = [run for run in (status.last_run, *status.history) if run is not None]
    telling = {None, str(RunMode.APPLY), str(own_mode)}
    return next(
        (run for run in runs if run.phase != RunPhase.CANCELLED and run.mode in telling), None
    )


def _outcome(told: RunSummary | None, status: DirectorySyncStatus, now: dt.datetime) -> Conditions:
    """What the last run says, and what a brake it met still holds."""
    if told is None:
        return _never_run(status)
    if told.phase == RunPhase.SUCCEEDED:
        wanted = _succeeded(told)
    elif told.phase == RunPhase.BLOCKED:
        wanted = _braked(told, status.blocked_plan)
    else:
        wanted = _failed(told, quarantine_message(status), unready_for(status.conditions, now))
    if status.blocked_plan is not None and "PlanBlocked" not in wanted:
        wanted |= _still_braked(told, status.blocked_plan, wanted)
    return wanted


def _never_run(status: DirectorySyncStatus) -> Conditions:
    last = status.last_run
    if last is not None and last.phase == RunPhase.CANCELLED:
        reason, message = "Cancelled", f"run {last.name} was cancelled, and none has ended yet"
    else:
        # a sync that only looked ahead until now has not run either
        reason, message = "Checking", "no run has ended yet"
    return {
        "Ready": Wanted(status=UNKNOWN, reason=reason, message=message),
        "Synchronized": Wanted(status=UNKNOWN, reason="InitialSync", message=message),
    }


def _succeeded(told: RunSummary) -> Conditions:
    reason, message = told.reason or "Synchronized", told.message or ""
    if reason == "Synchronized":
        good = Wanted(status=TRUE, reason=reason, message=message)
        return {"Ready": good, "Synchronized": good}
    some = Wanted(status=TRUE, reason=reason, message=message)
    return {"Ready": some, "Synchronized": _synchronized("all other objects"), "Degraded": some}


def _braked(told: RunSummary, plan: BlockedPlan | None) -> Conditions:
    reason, message = _words(told)
    holds = Wanted(status=TRUE, reason=reason, message=message)
    waits = holds if plan is None else _waiting(plan, reason)
    if plan is not None and plan.held:
        # some changes wait for an approval, all others were made: the sync is good otherwise
        rest = _synchronized("all objects without a braked change")
        return {"Ready": holds, "Synchronized": rest, "Degraded": holds, "PlanBlocked": waits}
    return {
        "Ready": Wanted(status=FALSE, reason=reason, message=message),
        "Synchronized": Wanted(status=FALSE, reason=reason, message="nothing was exported"),
        "Stalled": holds,
        "PlanBlocked": waits,
    }


def _failed(told: RunSummary, quarantine: str | None, unready: dt.timedelta) -> Conditions:
    reason, message = _words(told)
    behind = Wanted(status=FALSE, reason=reason, message=f"run {told.name} did not come to its end")
    if quarantine is not None:
        reason, message = "Quarantined", quarantine
    holds = Wanted(status=TRUE, reason=reason, message=message)
    if reason == "Throttled":
        # the tenant had no room for it; the next run goes on, and nobody is needed
        return {"Ready": holds, "Synchronized": behind, "Throttled": holds}
    wanted = {
        "Ready": Wanted(status=FALSE, reason=reason, message=message),
        "Synchronized": behind,
    }
    return wanted | {"Stalled": holds} if needs_somebody(reason, unready) else wanted


def _still_braked(told: RunSummary, plan: BlockedPlan, wanted: Conditions) -> Conditions:
    """A run that came to no plan takes no brake away."""
    waits = _waiting(plan, _words(told)[0])
    if wanted["Ready"].status == FALSE and not plan.held:
        return {"Stalled": wanted.get("Stalled", waits), "PlanBlocked": waits}
    return {"PlanBlocked": waits}


def _waiting(plan: BlockedPlan, reason: str) -> Wanted:
    """What waits for an approval, and how it is given."""
    kinds = {
        "users": plan.users,
        "groups": plan.groups,
        "contacts": plan.contacts,
        "members": plan.links,
    }
    counts = [
        f"{kind}: {operation} {number}"
        for kind, operations in kinds.items()
        for operation, number in (operations or {}).items()
    ]
    return Wanted(
        status=TRUE,
        reason=plan.reason or reason,
        message=f"changes wait for an approval ({', '.join(counts) or 'see `status.blockedPlan`'});"
        f" put {plan.digest} into `spec.approvedPlan` to let exactly these through, once",
    )


def _until_it_goes(sync: DirectorySync, waits: Wanted) -> Wanted:
    """The same of a sync that may be deleted: it waits for an approval, but not for ever."""
    deleted = parse_time(sync.metadata.deletion_timestamp)
    if deleted is None:
        return waits
    until = format_time(deleted + PATIENCE)
    return dataclasses.replace(
        waits,
        message=f"{waits.message}. The sync is being deleted: without one it goes at {until}, and"
        " what it owned stays in the tenant; `spec.deletionPolicy` Retain lets it go at once",
    )


def _synchronized(what: str) -> Wanted:
    return Wanted(status=TRUE, reason="Synchronized", message=f"{what} are as they should be")


def _words(told: RunSummary) -> tuple[str, str]:
    return told.reason or "RunFailed", told.message or ""


def _only_looks(sync: DirectorySync, decision: Active | StartRun, runs: Sequence[SyncRun]) -> bool:
    """Whether the run under way is a check, or a look ahead by a person: no sync of anything."""
    if isinstance(decision, StartRun):
        return False
    modes = {run.spec.mode for run in runs if run.metadata.name == decision.run}
    return not modes <= {None, RunMode.APPLY, RunMode(sync.spec.mode)}


def _under_way(decision: Active | StartRun, runs: Sequence[SyncRun], *, first: bool) -> Conditions:
    name = decision.run if isinstance(decision, Active) else decision.name
    held_up = _held_up(name, runs)
    if held_up is None:
        going_on = Wanted(status=TRUE, reason="RunActive", message=f"run {name} is under way")
        ready = Wanted(status=TRUE, reason="InitialSync", message="the first sync is under way")
    else:
        message = f"run {name} does not get on: {held_up.message}"
        going_on = Wanted(status=TRUE, reason=held_up.reason, message=message)
        ready = Wanted(status=FALSE, reason=held_up.reason, message=message)
    if held_up is not None and (held_up.reason == _NODE_LOST or _is_stalled(name, runs)):
        # no run of the sync goes on before a person has looked at the node, or at the claim
        return {"Synchronizing": going_on, "Ready": ready, "Stalled": going_on}
    return {"Synchronizing": going_on} | ({"Ready": ready} if first else {})


def _held_up(name: str, runs: Sequence[SyncRun]) -> Condition | None:
    """What keeps the run under way from getting on; `None` when nothing does."""
    for run in runs:
        ready = find(run.status.conditions, "Ready") if run.status else None
        if run.metadata.name == name and ready is not None and ready.status == FALSE:
            return ready
    return None


def _is_stalled(name: str, runs: Sequence[SyncRun]) -> bool:
    """Whether the run waits for somebody."""
    conditions = [run.status.conditions for run in runs if run.metadata.name == name and run.status]
    return any(find(each, "Stalled") for each in conditions)


def _blocked(wanted: Conditions, told: RunSummary | None, decision: Blocked) -> Conditions:
    if decision.checking and told is not None:
        return wanted  # a check of a changed tenant or directory takes nothing back
    kept = {kind: each for kind, each in wanted.items() if kind in _KEPT_WHILE_BLOCKED}
    holds = Wanted(status=TRUE, reason=decision.reason, message=decision.message)
    verdict = UNKNOWN if decision.checking else FALSE
    return kept | {
        "Ready": Wanted(status=verdict, reason=decision.reason, message=decision.message),
        "Stalled" if decision.stalled else "Reconciling": holds,
    }


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


def _suspended(sync: DirectorySync, told: RunSummary | None, decision: Decision) -> Conditions:
    """Why no run starts by itself although one could."""
    window = decision.held if isinstance(decision, Wait) else None
    if sync.spec.suspend:
        reason, message = "Suspended", "`spec.suspend` is true: no run starts by itself"
    elif window is not None:
        reason, message = "WindowClosed", window
    else:
        return {}
    wanted = {"Suspended": Wanted(status=TRUE, reason=reason, message=message)}
    if told is None and isinstance(decision, Wait):
        wanted["Ready"] = Wanted(status=UNKNOWN, reason=reason, message="never run")
    return wanted
