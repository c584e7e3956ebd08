"""When a tenant or a directory is checked again. Pure: computed anew from its status each time."""

from __future__ import annotations

import datetime as dt
from typing import Final

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.sync_run import REQUEST_ANNOTATION
from entrasync.controller.conditions import TRUE, find
from entrasync.controller.durations import parse_time
from entrasync.controller.reasons import LATE_ARRIVALS, TRANSIENT

FIRST_WAIT: Final = dt.timedelta(minutes=1)
LONGEST_WAIT: Final = dt.timedelta(minutes=30)
FIRST_WAIT_IF_PASSING: Final = dt.timedelta(seconds=20)
LONGEST_WAIT_IF_PASSING: Final = dt.timedelta(minutes=5)
"""A server that is restarted, or a Secret that is synced, needs nobody and is soon there."""
BIND_WAIT: Final = dt.timedelta(minutes=15)
"""A wrong password must not lock the account."""


def is_checked(part: EntraTenant | ActiveDirectory) -> bool:
    """Whether a tenant or directory was checked as it is specified now."""
    status = part.status
    return status is not None and status.last_check_generation == part.metadata.generation


def check_due(part: EntraTenant | ActiveDirectory, now: dt.datetime) -> dt.datetime | None:
    """When the next check is due; `None` for not before something changes."""
    if not is_checked(part) or part.status is None:
        return now
    if request_of(part) not in {None, part.status.last_handled_request}:
        return now
    ready = find(part.status.conditions, "Ready")
    if ready is None:
        return now
    if ready.status == TRUE:
        return None
    last = parse_time(part.status.last_check_time) or now
    since = parse_time(ready.last_transition_time) or last
    first, longest = _waits(ready.reason)
    # the wait grows with how long it has been so: it doubles, about
    return last + min(max(first, last - since), longest)


def _waits(reason: str) -> tuple[dt.timedelta, dt.timedelta]:
    """Shortest and longest wait between two checks."""
    if reason == "BindRejected":
        return BIND_WAIT, LONGEST_WAIT
    if reason in TRANSIENT | LATE_ARRIVALS:
        return FIRST_WAIT_IF_PASSING, LONGEST_WAIT_IF_PASSING
    return FIRST_WAIT, LONGEST_WAIT


def request_of(part: EntraTenant | ActiveDirectory) -> str | None:
    """The value of the annotation that asks for a check now; `None` when there is none."""
    return part.metadata.annotations.get(REQUEST_ANNOTATION) or None
