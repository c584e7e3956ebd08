"""What the service refused: listed until it takes it, and tried again with growing distance."""

from __future__ import annotations

import datetime as dt
from typing import Final

from entrasync.api.sync_run import ObjectError
from entrasync.engine.changes import Phase, PlannedChange
from entrasync.engine.tally import QUARANTINED
from entrasync.state.checkpoints import Failure
from entrasync.state.store import Store

WAITS: Final = "WaitsAfterRefusal"
"""Why a change is held back: exactly the same was refused not long ago."""
FIRST_DISTANCE: Final = dt.timedelta(minutes=30)
"""Between the second try, which the next run makes, and the third; it doubles from then on."""
LONGEST_DISTANCE: Final = dt.timedelta(hours=24)
HOURLY: Final = dt.timedelta(hours=1)
"""Documented: so often the service looks again at values it keeps in quarantine."""
HOURLY_CODES: Final = frozenset(
    {QUARANTINED, "AttributeValueMustBeUnique", "DuplicateProxyAddress"}
)
"""Refusals that end when another object lets go of a value."""


def distance(code: str, attempts: int) -> dt.timedelta:
    """How long exactly the same is not tried again after it was refused so often."""
    if attempts <= 1:
        return dt.timedelta()
    # beyond the tenth doubling it is the longest anyway
    growing = FIRST_DISTANCE * (1 << min(attempts - 2, 10))
    return min(growing, HOURLY if code in HOURLY_CODES else LONGEST_DISTANCE)


def hold_back(store: Store, now: dt.datetime, *, everything: bool) -> int:
    """Holds back changes of the plan that were refused not long ago; returns how many.

    Something else that is wanted of the same object is tried at once. So is, with every run,
    whatever frees values for others: what waits for it is as good as refused itself. What was
    refused and is planned no longer is forgotten.

    Args:
        store: the state, with the plan.
        now: the time.
        everything: whether all is tried, because a person asked.
    """
    store.checkpoints.forget_unplanned_failures()
    if everything:
        return 0
    return store.checkpoints.hold_refused(now, WAITS, Phase.RELEASES)


def remember(store: Store, change: PlannedChange, told: ObjectError, now: dt.datetime) -> None:
    """Remembers that a change was refused, and when to try it again.

    Args:
        store: the state.
        change: as it was planned, or a part of its links.
        told: why, as people are told.
        now: the time.
    """
    known = store.checkpoints.failure(change.number, change.part)
    same = known is not None and known.wanted == change.fingerprint
    attempts = known.attempts + 1 if known is not None and same else 1
    store.checkpoints.record_failure(
        Failure(
            anchor=told.anchor,
            part=change.part,
            code=told.code,
            message=told.message,
            attempts=attempts,
            first_time=now if known is None else known.first_time,
            next_try=now + distance(told.code, attempts),
            wanted=change.fingerprint,
        )
    )
