"""Who may lead, decided from what was seen of a Lease. Pure of clocks, threads and Kubernetes.

The times written into a Lease are another machine's and are never compared with ours: a record that
did not change for its duration, measured here from when it was first seen, has run out. So no clock
that is wrong or jumps can make two lead. The manner is that of client-go.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

LEASE_LABELS: Final = {
    "app.kubernetes.io/part-of": "entrasync",
    "app.kubernetes.io/component": "leader-election",
}
RELEASED_SECONDS: Final = 1
"""How long a Lease that was given back lasts: nobody waits for it."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Timing:
    """How long everything takes, in seconds.

    Attributes:
        lease: how long others wait for a leader they do not hear of.
        renew: how long a leader goes on that could not renew; less than `lease`.
        retry: time between tries.
        call: longest wait for one answer of the API server; less than `renew`.
    """

    lease: int = 15
    renew: float = 10
    retry: float = 2
    call: float = 4

    def __post_init__(self) -> None:
        if not self.retry < self.renew < self.lease or not 0 < self.call < self.renew:
            raise ValueError("retry and call must be below renew, and renew below lease")


@dataclass(slots=True, frozen=True, kw_only=True)
class LeaseRecord:
    """What a Lease says.

    Attributes:
        holder: identity of the leader; empty when it was given back.
        duration: seconds it lasts from its last renewal.
        renewed: time of that renewal as its holder wrote it; only ever compared for equality.
        transitions: how often it changed hands.
        version: resourceVersion; moves also when no renewal took place.
    """

    holder: str
    duration: int
    renewed: str
    transitions: int
    version: str = field(compare=False)


@dataclass(slots=True, frozen=True, kw_only=True)
class Observation:
    """A record, and when it was first seen as it is, by our own clock."""

    record: LeaseRecord
    seen_at: float


@dataclass(slots=True, frozen=True)
class CreateLease:
    """There is none: make it, and lead if nobody was faster."""


@dataclass(slots=True, frozen=True)
class RenewLease:
    """It is ours."""


@dataclass(slots=True, frozen=True)
class TakeLease:
    """It was given back, or its holder was not heard of for its whole duration."""


@dataclass(slots=True, frozen=True)
class StandBy:
    """Somebody else leads.

    Attributes:
        until: when it runs out if nothing more is heard of them, by our own clock.
    """

    until: float


Move: TypeAlias = CreateLease | RenewLease | TakeLease | StandBy


def read_record(lease: Mapping[str, Any]) -> LeaseRecord:
    """What a Lease object says; what is missing counts as given back."""
    spec = lease.get("spec") or {}
    return LeaseRecord(
        holder=spec.get("holderIdentity") or "",
        duration=int(spec.get("leaseDurationSeconds") or 0),
        renewed=spec.get("renewTime") or "",
        transitions=int(spec.get("leaseTransitions") or 0),
        version=lease["metadata"].get("resourceVersion", ""),
    )


def observe(before: Observation | None, record: LeaseRecord, now: float) -> Observation:
    """Keeps the time at which a record was first seen as it is.

    Args:
        before: the last observation.
        record: as it was just read.
        now: our own clock, from after the answer came.
    """
    if before is not None and before.record == record:
        return Observation(record=record, seen_at=before.seen_at)
    return Observation(record=record, seen_at=now)


def decide_leadership(identity: str, observation: Observation | None, now: float) -> Move:
    """What to do about a Lease.

    Args:
        identity: ours; no other process ever has the same.
        observation: of the Lease; `None` when there is none.
        now: our own clock.
    """
    if observation is None:
        return CreateLease()
    record = observation.record
    if record.holder == identity:
        return RenewLease()
    until = observation.seen_at + record.duration
    if not record.holder or now >= until:
        return TakeLease()
    return StandBy(until)


def is_overdue(renewed_at: float, now: float, timing: Timing) -> bool:
    """Whether a leader must stop: it could not renew for so long that others may soon take over.

    Args:
        renewed_at: our own clock, from before the last renewal that succeeded was sent.
        now: our own clock.
        timing: how long that is.
    """
    return now >= renewed_at + timing.renew


def build_lease(
    namespace: str, name: str, identity: str, timing: Timing, now: dt.datetime
) -> dict[str, Any]:
    """A Lease that is ours from its beginning."""
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(LEASE_LABELS)},
        "spec": {
            "holderIdentity": identity,
            "leaseDurationSeconds": timing.lease,
            "acquireTime": _micro_time(now),
            "renewTime": _micro_time(now),
            "leaseTransitions": 0,
        },
    }


def renewed_lease(
    lease: Mapping[str, Any], identity: str, timing: Timing, now: dt.datetime
) -> dict[str, Any]:
    """A Lease as it was read, taken or renewed by us."""
    record = read_record(lease)
    spec = dict(lease.get("spec") or {})
    if record.holder != identity:
        spec["acquireTime"] = _micro_time(now)
        spec["leaseTransitions"] = record.transitions + 1
    spec["holderIdentity"] = identity
    spec["leaseDurationSeconds"] = timing.lease
    spec["renewTime"] = _micro_time(now)
    return {**lease, "spec": spec}


def released_lease(lease: Mapping[str, Any], now: dt.datetime) -> dict[str, Any]:
    """A Lease given back: whoever waits takes it at once."""
    spec = dict(lease.get("spec") or {})
    spec["holderIdentity"] = ""
    spec["leaseDurationSeconds"] = RELEASED_SECONDS
    spec["renewTime"] = _micro_time(now)
    return {**lease, "spec": spec}


def lease_name(release: str, class_name: str) -> str:
    """Name of the Lease that operators of one release and class share.

    Args:
        release: name of the release.
        class_name: class of the objects they serve, empty for the default one.
    """
    return ".".join(filter(None, (f"{release}-leader", class_name)))


def _micro_time(now: dt.datetime) -> str:
    return now.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
