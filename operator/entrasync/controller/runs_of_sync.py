"""What the SyncRuns of a DirectorySync tell: which is under way, handled, surplus. Pure."""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
from collections.abc import Sequence

from entrasync.api.directory_sync import DirectorySyncStatus
from entrasync.api.sync_run import (
    ENDED_PHASES,
    REQUEST_ANNOTATION,
    TRIGGER_LABEL,
    RunMode,
    RunPhase,
    SyncRun,
    Trigger,
)
from entrasync.controller.decisions import ObservedSync
from entrasync.controller.lost_results import lost_runs
from entrasync.controller.requests import requested


def active_run(runs: Sequence[SyncRun]) -> SyncRun | None:
    """The run that is queued or under way; the running one before the queued, the oldest first.

    Of the queued a report is the first: it is short, and shows why the others cannot start.
    """
    unended = [run for run in runs if phase_of(run) not in ENDED_PHASES]
    unended.sort(
        key=lambda run: (
            phase_of(run) is not RunPhase.RUNNING,
            not is_report(run),
            *_age(run),
        )
    )
    return unended[0] if unended else None


def is_report(run: SyncRun) -> bool:
    """Whether a run only prints what the state holds: to a sync it is as if it were not there."""
    return run.spec.mode is RunMode.REPORT


def phase_of(run: SyncRun) -> RunPhase:
    """The phase of a run; Queued while it has none that is known."""
    if run.status is None or run.status.phase not in set(RunPhase):
        return RunPhase.QUEUED
    return RunPhase(run.status.phase)


def request_of(observed: ObservedSync) -> str | None:
    """Value of the annotation that asks for a run; `None` when there is none."""
    return requested(observed.sync)


def pending_request(observed: ObservedSync) -> str | None:
    """The request, as long as no run was made for it."""
    request = request_of(observed)
    status = observed.sync.status or DirectorySyncStatus()
    answered = request == status.last_handled_request or is_answered(observed)
    return None if answered else request


def is_answered(observed: ObservedSync) -> bool:
    """Whether the newest run that was made on request was made for the present one.

    An older one was made for the same value in its time: a value may come again.
    """
    request = request_of(observed)
    return any(
        run.metadata.annotations.get(REQUEST_ANNOTATION) == request for run in _answers(observed)
    )


def name_of_answer(observed: ObservedSync, request: str) -> str:
    """Name of the run to make for a request; another one when the same value comes again."""
    status = observed.sync.status or DirectorySyncStatus()
    after = [run.metadata.uid for run in _answers(observed)]
    told = [status.last_handled_request or "", status.last_run.name if status.last_run else ""]
    digest = hashlib.sha256("\n".join([request, *told, *after]).encode()).hexdigest()[:8]
    return f"{observed.sync.metadata.name}-{digest}"


def name_of_slot(observed: ObservedSync, now: dt.datetime) -> str:
    """Name of a run at a time: the minute, and when it is taken the second or a number besides."""
    minutes, seconds = divmod(int(now.timestamp()), 60)
    name = f"{observed.sync.metadata.name}-{minutes}"
    status = observed.sync.status or DirectorySyncStatus()
    taken = {run.metadata.name for run in observed.runs} | {run.name for run in status.history}
    if status.last_run is not None:
        taken.add(status.last_run.name)
    candidates = itertools.chain(
        [name, f"{name}{seconds:02d}"], (f"{name}{seconds:02d}-{n}" for n in itertools.count(1))
    )
    return next(each for each in candidates if each not in taken)


def runs_to_prune(observed: ObservedSync) -> list[str]:
    """Names of finished runs beyond the history limits; never one a person made.

    Nor one whose result is still to be told: it would be put right nowhere.
    """
    spec = observed.sync.spec
    ours = [
        run
        for run in observed.runs
        if TRIGGER_LABEL in run.metadata.labels and phase_of(run) in ENDED_PHASES
    ]
    ours.sort(key=_age, reverse=True)
    good = [run for run in ours if phase_of(run) is RunPhase.SUCCEEDED]
    bad = [run for run in ours if phase_of(run) is not RunPhase.SUCCEEDED]
    surplus = good[spec.successful_runs_history_limit :] + bad[spec.failed_runs_history_limit :]
    awaited = _awaited(observed.runs)
    return [run.metadata.name for run in surplus if run.metadata.name not in awaited]


def _awaited(runs: Sequence[SyncRun]) -> set[str]:
    """The runs whose results nobody has read and the next one is asked for; a few at most."""
    told = [
        run
        for run in runs
        if phase_of(run) in {RunPhase.SUCCEEDED, RunPhase.BLOCKED}
        and run.spec.mode not in {RunMode.CHECK, RunMode.REPORT}
    ]
    asked = max(map(_age, told), default=("", ""))
    lost = set(lost_runs(runs))
    return {run.metadata.name for run in runs if run.metadata.name in lost and _age(run) > asked}


def _answers(observed: ObservedSync) -> list[SyncRun]:
    """The newest run that was made on request; all of the same second, which none tells apart."""
    answers = [
        run for run in observed.runs if run.metadata.labels.get(TRIGGER_LABEL) == Trigger.ANNOTATION
    ]
    newest = max((_age(run)[0] for run in answers), default="")
    return [run for run in answers if _age(run)[0] == newest]


def _age(run: SyncRun) -> tuple[str, str]:
    return run.metadata.creation_timestamp or "", run.metadata.name
