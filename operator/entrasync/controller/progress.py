"""How far a run has come, by the last lines of its log. Pure."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any, Final

from pydantic import ValidationError

from entrasync.api.sync_run import PlanSummary, RunProgress
from entrasync.controller.durations import format_time, parse_time

LOG_LINES: Final = 200
"""Lines of a log that are read: a run writes about one a second."""
_PROGRESS: Final = "progress"
_PLANNED: Final = "planned"


def progress_of(log: str, now: dt.datetime) -> RunProgress | None:
    """What the last line about progress says; `None` where there is none.

    Args:
        log: the end of a runner's log, a JSON object a line; anything else is passed over.
        now: when it was read.
    """
    line = _last(log, _PROGRESS)
    if line is None:
        return None
    left = line.get("paced_seconds")
    try:
        told = parse_time(line.get("timestamp")) or now
        until = told + dt.timedelta(seconds=left) if isinstance(left, int) else None
        return RunProgress(
            stage=line.get("stage", ""),
            done=line.get("done", 0),
            total=line.get("total"),
            paused_until=format_time(until) if until is not None and until > now else None,
            observed_time=format_time(now),
        )
    except (ValidationError, TypeError, OverflowError):
        return None


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
