"""Conditions, as the Kubernetes API conventions and kstatus want them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from entrasync.api.bounds import shorten
from entrasync.api.common import Condition
from entrasync.controller.durations import format_time, parse_time

TRUE: Final = "True"
FALSE: Final = "False"
UNKNOWN: Final = "Unknown"
MESSAGE_LENGTH: Final = 1024
"""Most characters of a message: enough for cause, field and remedy."""
REASON_LENGTH: Final = 256
"""Most characters of a reason; a runner of another version may tell one that is not known here."""
MOST_CONDITIONS: Final = 32
"""The bound of the schema: beyond it the API server would refuse the whole status."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Wanted:
    """What a condition should say."""

    status: str
    reason: str
    message: str = ""


def merge(
    current: Sequence[Condition],
    wanted: Mapping[str, Wanted],
    *,
    managed: Sequence[str],
    generation: int,
    now: dt.datetime,
) -> list[Condition]:
    """The conditions to write: ours in the order of `managed`, then those of others as they were.

    `lastTransitionTime` moves only with `status`. Messages are cut to 1,024 characters.

    Args:
        current: conditions as they are.
        wanted: by type; a managed type that is not wanted is removed.
        managed: types this controller owns, in the order people read them.
        generation: of the resource.
        now: aware.

    Raises:
        ValueError: a resource is Reconciling and Stalled at once, or a type is not managed.
    """
    if "Reconciling" in wanted and "Stalled" in wanted:
        raise ValueError("a resource is never Reconciling and Stalled at once")
    if not wanted.keys() <= set(managed):
        raise ValueError(f"conditions {sorted(wanted.keys() - set(managed))} are not managed")
    known = {condition.type: condition for condition in current}
    ours = [
        _updated(known.get(kind), kind, wanted[kind], generation, now)
        for kind in managed
        if kind in wanted
    ]
    others = [condition for condition in current if condition.type not in managed]
    return [*ours, *others][:MOST_CONDITIONS]


def _updated(
    known: Condition | None, kind: str, wanted: Wanted, generation: int, now: dt.datetime
) -> Condition:
    since = known.last_transition_time if known and known.status == wanted.status else None
    return Condition(
        type=kind,
        status=wanted.status,
        observed_generation=generation,
        last_transition_time=format_time(now) if since is None else since,
        reason=shorten(wanted.reason, REASON_LENGTH),
        message=shorten(wanted.message, MESSAGE_LENGTH),
    )


def find(conditions: Sequence[Condition], kind: str) -> Condition | None:
    """The condition of a type."""
    return next((c for c in conditions if c.type == kind), None)


def unready_for(conditions: Sequence[Condition], now: dt.datetime) -> dt.timedelta:
    """How long Ready has been False; nothing when it is not."""
    ready = find(conditions, "Ready")
    since = parse_time(ready.last_transition_time) if ready and ready.status == FALSE else None
    return now - since if since is not None else dt.timedelta()
