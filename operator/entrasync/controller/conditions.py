"""Conditions, as the Kubernetes API conventions and kstatus want them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from entrasync.api.common import Condition
from entrasync.controller.durations import format_time, parse_time

TRUE: Final = "True"
FALSE: Final = "False"
UNKNOWN: Final = "Unknown"
MESSAGE_LENGTH: Final = 1024
"""Most characters of a message: enough for cause, field and remedy."""


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
    managed: Iterable[str],
    generation: int,
    now: dt.datetime,
) -> list[Condition]:
    """The conditions to write.

    `lastTransitionTime` moves only with `status`; conditions of others are kept where they are.

    Args:
        current: conditions as they are.
        wanted: by type; a managed type that is not wanted is removed.
        managed: types this controller owns.
        generation: of the resource.
        now: aware.
    """
    if "Reconciling" in wanted and "Stalled" in wanted:
        raise ValueError("a resource is never Reconciling and Stalled at once")
    owned = set(managed)
    known = {condition.type: condition for condition in current}
    result = [c for c in current if c.type not in owned or c.type in wanted]
    for kind in wanted:
        if kind not in known:
            result.append(Condition(type=kind, status=""))
    return [
        _updated(condition, wanted[condition.type], generation, now)
        if condition.type in wanted
        else condition
        for condition in result
    ]


def _updated(condition: Condition, wanted: Wanted, generation: int, now: dt.datetime) -> Condition:
    changed = condition.status != wanted.status
    return Condition(
        type=condition.type,
        status=wanted.status,
        observed_generation=generation,
        last_transition_time=format_time(now) if changed else condition.last_transition_time,
        reason=wanted.reason,
        message=wanted.message,
    )


def find(conditions: Sequence[Condition], kind: str) -> Condition | None:
    """The condition of a type."""
    return next((c for c in conditions if c.type == kind), None)


def unready_for(conditions: Sequence[Condition], now: dt.datetime) -> dt.timedelta:
    """How long Ready has been False; nothing when it is not."""
    ready = find(conditions, "Ready")
    since = parse_time(ready.last_transition_time) if ready and ready.status == FALSE else None
    return now - since if since is not None else dt.timedelta()


class HasConditions(Protocol):
    """A status with conditions."""

    conditions: list[Condition]


def ready_changed(before: HasConditions | None, after: HasConditions) -> Wanted | None:
    """The Ready condition when its status or reason changed: worth an Event."""
    old = find(before.conditions, "Ready") if before else None
    new = find(after.conditions, "Ready")
    if new is None or (old is not None and (old.status, old.reason) == (new.status, new.reason)):
        return None
    return Wanted(status=new.status, reason=new.reason, message=new.message)
