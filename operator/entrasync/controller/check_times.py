"""When a tenant or a directory is checked again. Pure: computed anew from its status each time."""

from __future__ import annotations

import datetime as dt
from typing import Final

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.reasons import LATE_ARRIVALS, TRANSIENT
from entrasync.controller.conditions import FALSE, TRUE, find
from entrasync.controller.durations import parse_time
from entrasync.controller.requests import requested

FIRST_WAIT: Final = dt.timedelta(minutes=1)
LONGEST_WAIT: Final = dt.timedelta(minutes=30)
FIRST_WAIT_IF_PASSING: Final = dt.timedelta(seconds=20)
LONGEST_WAIT_IF_PASSING: Final = dt.timedelta(minutes=5)
"""A server that is restarted, or a Secret that is synced, needs nobody and is soon there."""
BIND_WAIT: Final = dt.timedelta(minutes=15)
"""A wrong password must not lock the account."""
BIND_REJECTED: Final = "BindRejected"
_MOST_DOUBLINGS: Final = 10
"""More would only make larger what is cut anyway."""


def is_checked(part: EntraTenant | ActiveDirectory) -> bool:
    """Whether a tenant or directory was checked as it is specified now."""
    status = part.status
    return status is not None and status.last_check_generation == part.metadata.generation


def check_due(part: EntraTenant | ActiveDirectory, now: dt.datetime) -> dt.datetime | None:
    """When the next check is due; `None` for not before something changes."""
    status = part.status
    if status is None or not is_checked(part) or is_asked_for(part):
        return _when_prompted(part, now)
    ready = find(status.conditions, "Ready")
    if ready is None:
        return now
    if ready.status == TRUE:
        return None
    return _last_check(part, now) + _wait(ready.reason, status.consecutive_failures or 1)


def is_asked_for(part: EntraTenant | ActiveDirectory) -> bool:
    """Whether somebody asked for a check that has not begun yet."""
    handled = part.status.last_handled_request if part.status else None
    return requested(part) not in {None, handled}


def is_forced(part: EntraTenant | ActiveDirectory, now: dt.datetime) -> bool:
    """Whether a check that begins now comes sooner after BindRejected than it would by itself."""
    return _bind_rest(part, now) is not None


def _when_prompted(part: EntraTenant | ActiveDirectory, now: dt.datetime) -> dt.datetime:
    """When something new or asked for is checked: now, but for an account that may be locked.

    After BindRejected a person may force one check in fifteen minutes, no more. That it was forced
    is forgotten with a verdict of another kind, so it says what the last verdict may no longer say.
    """
    forced = parse_time(part.status.last_forced_check_time) if part.status else None
    if forced is None or now - min(forced, now) >= BIND_WAIT:
        return now
    tried = parse_time(part.status.last_check_time) if part.status else None
    return min(max(forced, tried or forced), now) + BIND_WAIT


def _bind_rest(part: EntraTenant | ActiveDirectory, now: dt.datetime) -> dt.datetime | None:
    """Until when a refused account should be left alone; `None` when it need not be."""
    ready = find(part.status.conditions, "Ready") if part.status else None
    if ready is None or (ready.status, ready.reason) != (FALSE, BIND_REJECTED):
        return None
    until = _last_check(part, now) + BIND_WAIT
    return until if until > now else None


def _last_check(part: EntraTenant | ActiveDirectory, now: dt.datetime) -> dt.datetime:
    """When the last check ended; one in the future is a clock that was set back."""
    last = parse_time(part.status.last_check_time) if part.status else None
    return min(last or now, now)


def _wait(reason: str, failures: int) -> dt.timedelta:
    """Wait after so many checks in a row that ended alike: it doubles."""
    first, longest = _waits(reason)
    doubled: dt.timedelta = first * 2 ** min(failures - 1, _MOST_DOUBLINGS)
    return min(doubled, longest)


def _waits(reason: str) -> tuple[dt.timedelta, dt.timedelta]:
    """Shortest and longest wait between two checks."""
    if reason == BIND_REJECTED:
        return BIND_WAIT, LONGEST_WAIT
    if reason in TRANSIENT | LATE_ARRIVALS:
        return FIRST_WAIT_IF_PASSING, LONGEST_WAIT_IF_PASSING
    return FIRST_WAIT, LONGEST_WAIT
