"""Events: what people are told of a resource when a condition of it changes. Pure.

An Event has the reason of the condition it tells of. Its name follows from the change itself, so
that an operator that was killed between telling and writing tells nothing twice.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from entrasync.api.bounds import shorten
from entrasync.api.common import API_VERSION, Condition, Resource
from entrasync.api.reason import Severity
from entrasync.api.reasons import severity_of
from entrasync.controller.conditions import FALSE, MESSAGE_LENGTH, TRUE, find
from entrasync.controller.durations import format_time

COMPONENT: Final = "entrasync"
CLUSTER_NAMESPACE: Final = "default"
"""Where Events of resources without a namespace are, as Kubernetes itself does it."""
VERDICTS: Final = ("Ready", "Available")
"""Told whenever status or reason changed."""
HOLDING: Final = ("PlanBlocked", "Stalled", "Degraded", "Throttled", "Suspended")
"""Told when one begins to hold, or holds for another reason."""
ENDING: Final = frozenset({"PlanBlocked", "Throttled", "Suspended"})
"""Told also when it ends; what the others end with is a verdict."""
_ALARMING: Final = frozenset({Severity.DEGRADED, Severity.NEEDS_SOMEBODY, Severity.BLOCKED})
_LONGEST_NAME: Final = 253
_DIGITS: Final = 16


@dataclass(slots=True, frozen=True, kw_only=True)
class Transition:
    """One change worth an Event.

    Attributes:
        reason: of the condition.
        message: for people.
        warning: whether somebody should look.
        key: names the change among all changes of the resource.
    """

    reason: str
    message: str
    warning: bool
    key: str


def transitions(
    before: Sequence[Condition], after: Sequence[Condition], version: str
) -> list[Transition]:
    """What to tell; each reason once, by the first condition that says it, or warns of it.

    Args:
        before: conditions as they were read.
        after: conditions as they will be written.
        version: resourceVersion that was read; tells one beginning from the next.
    """
    told: dict[str, Transition] = {}
    for each in _begun(before, after, version):
        if each.reason not in told or (each.warning and not told[each.reason].warning):
            told[each.reason] = each
    ended: dict[str, Transition] = {}
    for each in _ended(before, after):
        if each.reason not in told or told[each.reason].warning:
            ended.setdefault(each.reason, each)
    return [*told.values(), *ended.values()]


def build_event(resource: Resource, what: Transition, now: dt.datetime) -> dict[str, Any]:
    """The manifest of an Event, as `kubectl describe` shows it."""
    namespace = resource.metadata.namespace or CLUSTER_NAMESPACE
    moment = format_time(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": _event_name(resource, what), "namespace": namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": resource.kind,
            "name": resource.metadata.name,
            "namespace": resource.metadata.namespace,
            "uid": resource.metadata.uid,
        },
        "type": "Warning" if what.warning else "Normal",
        "reason": what.reason,
        "message": shorten(what.message, MESSAGE_LENGTH) or what.reason,
        "source": {"component": COMPONENT},
        "reportingComponent": COMPONENT,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "count": 1,
    }


def _begun(
    before: Sequence[Condition], after: Sequence[Condition], version: str
) -> Iterator[Transition]:
    for kind in (*VERDICTS, *HOLDING):
        old, new = find(before, kind), find(after, kind)
        if new is None or (old is not None and _said(old) == _said(new)):
            continue
        yield Transition(
            reason=new.reason,
            message=new.message,
            warning=_is_alarming(new),
            key=" ".join((kind, _moment(old, version), *_said(new))),
        )


def _ended(before: Sequence[Condition], after: Sequence[Condition]) -> Iterator[Transition]:
    for old in before:
        if old.type in ENDING and old.status == TRUE and find(after, old.type) is None:
            yield Transition(
                reason=old.reason,
                message=f"{old.type} no longer holds",
                warning=False,
                key=f"{old.type} {_moment(old, '')} ended",
            )


def _said(condition: Condition) -> tuple[str, str]:
    return condition.status, condition.reason


def _moment(old: Condition | None, version: str) -> str:
    """What was there before; where nothing was, the version of the resource stands for it."""
    return version if old is None else " ".join((*_said(old), old.last_transition_time))


def _is_alarming(condition: Condition) -> bool:
    severity = severity_of(condition.reason)
    if condition.status == FALSE and condition.type in VERDICTS:
        return severity is not Severity.OK
    return severity in _ALARMING


def _event_name(resource: Resource, what: Transition) -> str:
    digest = hashlib.sha256(f"{resource.metadata.uid} {what.key}".encode()).hexdigest()[:_DIGITS]
    name = resource.metadata.name[: _LONGEST_NAME - _DIGITS - 1].rstrip("-.")
    return f"{name}.{digest}"
