"""How far a run has come, by the last lines of its log. Pure."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any, Final

from pydantic import ValidationError

from entrasync.api.directory_sync import DirectorySync
from entrasync.api.sync_run import PlanSummary, RunProgress
from entrasync.controller.durations import format_time, parse_duration, parse_time

LOG_LINES: Final = 200
"""Lines of a log that are read: a run writes about one a second."""
DEFAULT_PATIENCE: Final = dt.timedelta(hours=1)
"""Default of `spec.runner.noProgressDeadline`."""
LEAST_PATIENCE: Final = dt.timedelta(minutes=1)
CHECK_PATIENCE: Final = dt.timedelta(minutes=4)
"""A little less than the deadline of the Job of a check, which could not say why."""
_PROGRESS: Final = "progress"
_PLANNED: Final = "planned"


def progress_of(
    log: str, now: dt.datetime, before: RunProgress | None = None
) -> RunProgress | None:
    """What the last line about progress says; `None` where there is none.

    Args:
        log: the end of a runner's log, a JSON object a line; anything else is passed over.
        now: when it was read.
        before: what was seen last.
    """
    line = _last(log, _PROGRESS)
    if line is None:
        return None
    left = line.get("paced_seconds")
    try:
        told = parse_time(line.get("timestamp")) or now
        until = told + dt.timedelta(seconds=left) if isinstance(left, int) else None
        found = RunProgress(
            stage=line.get("stage", ""),
            done=line.get("done", 0),
            total=line.get("total"),
            paused_until=format_time(until) if until is not None and until > now else None,
            observed_time=format_time(now),
        )
    except (ValidationError, TypeError, OverflowError):
        return None
    same = before is not None and (before.stage, before.done) == (found.stage, found.done)
    waits = found.paused_until is not None
    if same and not waits and before is not None and before.changed_time:
        found.changed_time = before.changed_time
    else:
        found.changed_time = found.observed_time
    return found


def idle_since(progress: RunProgress | None, started: dt.datetime) -> dt.datetime:
    """Since when a run has not got any further.

    Args:
        progress: what was seen of it; `None` while nothing was.
        started: when it, or the pod that goes on with it, was started.
    """
    changed = parse_time(progress.changed_time) if progress is not None else None
    return started if changed is None else max(changed, started)


def patience_of(sync: DirectorySync | None) -> dt.timedelta:
    """How long a run may take without getting any further; a check less than its deadline."""
    if sync is None:
        return CHECK_PATIENCE
    runner = sync.spec.runner
    text = runner.no_progress_deadline if runner is not None else None
    return DEFAULT_PATIENCE if text is None else max(parse_duration(text), LEAST_PATIENCE)


def plan_of(log: str) -> PlanSummary | None:
    """The plan a run has made, as far as its log tells; `None` where it does not."""
    line = _last(log, _PLANNED)
    if line is None:
        return None
    try:
        return PlanSummary(
            digest=line.get("digest"),
            writes=line.get("writes"),
            links=line.get("links"),
            expected_completion_time=line.get("expected_completion_time"),
            outcomes=line.get("outcomes"),
        )
    except ValidationError:
        return None


def _last(log: str, event: str) -> dict[str, Any] | None:
    return next((line for line in _lines(log) if line.get("event") == event), None)


def _lines(log: str) -> Iterator[dict[str, Any]]:
    """The lines that are objects, the last one first."""
    for line in reversed(log.splitlines()):
        try:
            found = json.loads(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found
