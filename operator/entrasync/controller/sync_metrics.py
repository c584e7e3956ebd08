"""What a sync's status and its runs' results are in metrics. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Final

from entrasync.api.directory_sync import BlockedPlan, DirectorySync, DirectorySyncStatus
from entrasync.api.reasons import REASONS
from entrasync.api.result import RunResult
from entrasync.api.sync_run import (
    CodeCount,
    KindChanges,
    RunMode,
    RunPhase,
    SyncRun,
    SyncRunStatus,
)
from entrasync.controller import metric_families as families
from entrasync.controller.durations import parse_duration, parse_time
from entrasync.controller.metric_families import Family
from entrasync.controller.schedule import Timetable
from entrasync.entra.object_errors import OBJECT_ERRORS
from entrasync.errors import ConfigurationError

Values = Mapping[tuple[str, ...], float]
"""Values of further labels -> value."""

OTHER: Final = "Other"
KNOWN_CODES: Final = frozenset({*REASONS, *OBJECT_ERRORS})
"""What a label says as it is: whatever else a service or a runner comes up with is `Other`."""
ANY_KIND: Final = "any"
OBJECT_KINDS: Final = ("users", "groups", "contacts")
_OBJECT_OPERATIONS: Final = ("add", "update", "delete", "failed")
_LINK_OPERATIONS: Final = ("add", "remove", "failed")
_NONE: Final = ()
"""A metric without labels beside those of its resource."""

NOTHING_YET: Final[Mapping[Family, Values]] = {
    families.CHANGES: {
        **{(kind, each): 0.0 for kind in OBJECT_KINDS for each in _OBJECT_OPERATIONS},
        **{("links", each): 0.0 for each in _LINK_OPERATIONS},
    },
    families.REQUESTS: {("export",): 0.0, ("import",): 0.0},
    families.PACED: {_NONE: 0.0},
    families.THROTTLED: {_NONE: 0.0},
}
"""Counters that are there from the first sight of a sync: what appears with a value other than
zero looks to Prometheus as if it had not grown."""


def gauges(
    sync: DirectorySync, status: DirectorySyncStatus, runs: Sequence[SyncRun], now: dt.datetime
) -> dict[Family, Values]:
    """All gauges of a sync, by what is known of it."""
    spec = sync.spec
    due = parse_time(status.next_schedule_time)
    last = status.last_run
    rests = spec.suspend or sync.metadata.deletion_timestamp is not None
    late = due is not None and status.active_run is None and not rests
    owned, orphans = status.objects, status.orphans
    errors = _codes_of_last_run(runs)
    return {
        families.SYNC_INFO: {(str(spec.mode), spec.target.entra_tenant_ref.name): 1},
        families.SYNC_CREATED: _moment(parse_time(sync.metadata.creation_timestamp)),
        families.SYNC_SUSPENDED: {_NONE: float(spec.suspend)},
        families.SYNC_RUNNING: {_NONE: float(status.active_run is not None)},
        families.SYNC_INTERVAL: _seconds(interval_of(sync, now)),
        families.LAST_SUCCESS: _moment(parse_time(status.last_successful_time)),
        families.NEXT_SCHEDULE: _moment(due),
        # of what is not due, now: it counts from there and is set anew at the next look
        families.OUT_OF_SCHEDULE: _moment(due) if late else {_NONE: float("inf")},
        families.LAST_RUN_DURATION: {}
        if last is None
        else _seconds(_between(last.start_time, last.completion_time)),
        families.CONSECUTIVE_FAILURES: {_NONE: status.consecutive_failures},
        families.OWNED: {}
        if owned is None
        else {(kind,): getattr(owned, kind) for kind in (*OBJECT_KINDS, "links")},
        families.ORPHANS: {}
        if orphans is None
        else {(kind,): getattr(orphans, kind) for kind in OBJECT_KINDS},
        families.BRAKED: _braked(status.blocked_plan),
        # what is not known any more, since the runs were deleted, stays as it was told
        **({} if errors is None else {families.EXPORT_ERRORS: errors_by_code(errors)}),
    }


def interval_of(sync: DirectorySync, now: dt.datetime) -> float | None:
    """Seconds between the next two runs by schedule; `None` where that is not valid."""
    try:
        period = Timetable.of(sync.spec.schedule, sync.metadata.uid).period(now)
    except ConfigurationError:
        return None
    return None if period is None else period.total_seconds()


def counts(run: SyncRun, result: RunResult) -> dict[Family, Values]:
    """What a run that ended adds to the counters of its sync."""
    phase, mode, _ = run_labels(run)
    ended: dict[Family, Values] = {
        families.RUNS: {(mode, phase, known_reason(result.reason)): 1},
    }
    return ended | changes(result)


def changes(result: RunResult) -> dict[Family, Values]:
    """What a run did, for the counters of its sync; a plan alone did nothing."""
    found: dict[Family, Values] = {}
    if result.changes is not None and result.mode == RunMode.APPLY:
        links = result.changes.links
        found[families.CHANGES] = {
            **_of_kind("users", result.changes.users),
            **_of_kind("groups", result.changes.groups),
            **_of_kind("contacts", result.changes.contacts),
            ("links", "add"): links.add,
            ("links", "remove"): links.remove,
            ("links", "failed"): links.failed,
        }
    if result.requests is not None:
        requests = result.requests
        found[families.REQUESTS] = {("export",): requests.export, ("import",): requests.import_}
    if result.pacing is not None:
        found[families.PACED] = {_NONE: _duration(result.pacing.paced_time)}
        found[families.THROTTLED] = {_NONE: result.pacing.throttled}
    return found


def run_labels(run: SyncRun) -> tuple[str, str, str]:
    """Phase, mode and scope of a run that ended; what it never found out is empty."""
    status = run.status or SyncRunStatus()
    return status.phase or "", status.mode or "", status.scope or ""


def duration_of(status: SyncRunStatus | None) -> float | None:
    """Seconds from start to end; `None` where it never started."""
    return None if status is None else _between(status.start_time, status.completion_time)


def known_reason(reason: str) -> str:
    """A reason as a label: what a runner of another version made up is one of the others."""
    return reason if reason in REASONS else OTHER


def errors_by_code(codes: Sequence[CodeCount]) -> Values:
    """Objects in error by code; codes that are not known here are one."""
    found: dict[tuple[str, ...], float] = {}
    for each in codes:
        label = (each.code if each.code in KNOWN_CODES else OTHER,)
        found[label] = found.get(label, 0) + each.count
    return found


def knows_errors(run: SyncRun) -> bool:
    """Whether a run came far enough to know all objects in error."""
    phase, mode, _ = run_labels(run)
    return phase in {RunPhase.SUCCEEDED, RunPhase.BLOCKED} and mode == RunMode.APPLY


def _codes_of_last_run(runs: Sequence[SyncRun]) -> Sequence[CodeCount] | None:
    ended = [run.status for run in runs if run.status is not None and knows_errors(run)]
    latest = max(ended, key=lambda status: status.completion_time or "", default=None)
    return None if latest is None else latest.errors_by_code


def _braked(plan: BlockedPlan | None) -> Values:
    if plan is None:
        return {}
    by_kind = {
        "users": plan.users,
        "groups": plan.groups,
        "contacts": plan.contacts,
        "links": plan.links,
        ANY_KIND: plan.changes,
    }
    return {
        (kind, operation): number
        for kind, operations in by_kind.items()
        for operation, number in (operations or {}).items()
    }


def _of_kind(kind: str, changes: KindChanges) -> dict[tuple[str, ...], float]:
    return {(kind, each): getattr(changes, each) for each in _OBJECT_OPERATIONS}


def _moment(time: dt.datetime | None) -> Values:
    return {} if time is None else {_NONE: time.timestamp()}


def _seconds(value: float | None) -> Values:
    return {} if value is None else {_NONE: value}


def _between(start: str | None, end: str | None) -> float | None:
    started, ended = parse_time(start), parse_time(end)
    if started is None or ended is None:
        return None
    return max(0.0, (ended - started).total_seconds())


def _duration(text: str) -> float:
    try:
        return parse_duration(text).total_seconds()
    except ValueError:
        return 0.0  # a runner of another version wrote it otherwise
