"""What to do next for a DirectorySync. Pure: observed things and a time in, one decision out."""

from __future__ import annotations

import datetime as dt

from entrasync.api.directory_sync import DirectorySyncStatus, RunSummary
from entrasync.api.sync_run import RunMode, RunPhase, RunScope, SyncRun, Trigger
from entrasync.controller.blockers import blocker, missing_reference
from entrasync.controller.decisions import (
    Active,
    Blocked,
    Decision,
    ObservedSync,
    StartRun,
    Wait,
)
from entrasync.controller.durations import parse_time
from entrasync.controller.inputs import call_for_a_run, inputs_of
from entrasync.controller.runs_of_sync import (
    active_run,
    is_report,
    name_of_answer,
    name_of_slot,
    pending_request,
    phase_of,
    runs_to_prune,
)
from entrasync.controller.schedule import Due, Timetable
from entrasync.errors import ConfigurationError

__all__ = [
    "Active",
    "Blocked",
    "Decision",
    "ObservedSync",
    "StartRun",
    "Wait",
    "active_run",
    "blocker",
    "decide",
    "inputs_now",
    "is_changed",
    "is_report",
    "missing_reference",
    "next_start",
    "phase_of",
    "runs_to_prune",
]


def decide(observed: ObservedSync, now: dt.datetime) -> Decision:
    """The one thing to do now. Total: never raises.

    A request by a person starts a run whenever one can run at all. What starts by itself waits for
    the schedule and its windows besides.
    """
    sync = observed.sync
    if sync.metadata.deletion_timestamp:
        return Wait(None)
    active = active_run([run for run in observed.runs if not is_report(run)])
    if active is not None:
        return _hindered(observed, active, now) or Active(active.metadata.name)
    blocked = blocker(observed, now)
    if blocked is not None:
        return blocked
    scope = _scope(observed)
    request = pending_request(observed)
    if request is not None:
        return StartRun(name_of_answer(observed, request), Trigger.ANNOTATION, scope)
    if sync.spec.suspend:
        return Wait(None)
    try:
        due = _due(observed, now)
    except ConfigurationError as error:
        return Blocked(error.reason, f"`{error.field}`: {error.message}", stalled=True)
    if due.at > now:
        return Wait(due.at, due.held)
    trigger = Trigger.SPEC_CHANGE if is_changed(observed) else Trigger.SCHEDULE
    return StartRun(name_of_slot(observed, now), trigger, scope)


def next_start(observed: ObservedSync, decision: Decision, now: dt.datetime) -> dt.datetime | None:
    """When the next run is to start by itself; `None` when none is to.

    With a run under way it is the one after. Where something keeps a sync from running, it is the
    time that passes or has passed without a run.
    """
    if isinstance(decision, Wait):
        return decision.until
    if observed.sync.spec.suspend or observed.sync.metadata.deletion_timestamp:
        return None
    try:
        if isinstance(decision, Blocked):
            due = _due(observed, now).at
        else:
            started = _start_of(observed, decision, now)
            due = now if started is None else _timetable(observed).by_slot(started, now).at
    except ConfigurationError:
        return None
    return None if due == now else due  # it starts as soon as it can: that is no time to tell


def is_changed(observed: ObservedSync) -> bool:
    """Whether something that affects results is not as it was for the last run; new syncs are."""
    last = (observed.sync.status or DirectorySyncStatus()).last_run
    if last is None:
        return True
    if last.inputs is None:
        return last.generation != observed.sync.metadata.generation
    return call_for_a_run(inputs_now(observed), last.inputs)


def _hindered(observed: ObservedSync, run: SyncRun, now: dt.datetime) -> Blocked | None:
    """What keeps the sync from running, where the active run takes nothing back of it.

    A run that only waits does not, nor one that only looks.
    """
    own_mode = str(run.spec.mode or RunMode.APPLY) in {RunMode.APPLY, observed.sync.spec.mode}
    if own_mode and phase_of(run) is not RunPhase.QUEUED:
        return None
    blocked = blocker(observed, now)
    return None if blocked is None or blocked.checking else blocked


def inputs_now(observed: ObservedSync) -> str:
    """Digest of what a run would work from now."""
    return inputs_of(observed.sync, observed.tenant, observed.cloud, observed.directories)


def _due(observed: ObservedSync, now: dt.datetime) -> Due:
    """When the next run starts by itself.

    Raises:
        ConfigurationError: the schedule is not valid.
    """
    timetable = _timetable(observed)
    status = observed.sync.status or DirectorySyncStatus()
    last = status.last_run
    if last is None or is_changed(observed):
        return timetable.at_once(now)
    ended = parse_time(last.completion_time)
    if last.phase == RunPhase.FAILED and ended is not None:
        return timetable.after_failure(max(status.consecutive_failures, 1), ended, now)
    started = _started(last)
    return timetable.at_once(now) if started is None else timetable.by_slot(started, now)


def _started(run: RunSummary) -> dt.datetime | None:
    """When a run started; one that was cancelled before counts from its end."""
    return parse_time(run.start_time) or parse_time(run.completion_time)


def _start_of(observed: ObservedSync, decision: Decision, now: dt.datetime) -> dt.datetime | None:
    """When the run under way started, or was made where it has not started."""
    if not isinstance(decision, Active):
        return now
    run = next(each for each in observed.runs if each.metadata.name == decision.run)
    started = parse_time(run.status.start_time) if run.status else None
    return started or parse_time(run.metadata.creation_timestamp)


def _timetable(observed: ObservedSync) -> Timetable:
    return Timetable.of(observed.sync.spec.schedule, observed.sync.metadata.uid)


def _scope(observed: ObservedSync) -> RunScope | None:
    """Full when the schedule wants it now; else what the run finds necessary."""
    schedule = observed.sync.spec.schedule
    every = schedule.full_every if schedule else None
    runs = (observed.sync.status or DirectorySyncStatus()).runs_since_full
    return RunScope.FULL if every is not None and runs + 1 >= every else None
