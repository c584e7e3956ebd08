"""Who may lead: tables, and properties over every order of events."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.controller.leadership import (
    CreateLease,
    LeaseRecord,
    Move,
    Observation,
    RenewLease,
    StandBy,
    TakeLease,
    Timing,
    build_lease,
    decide_leadership,
    is_overdue,
    lease_name,
    observe,
    read_record,
    released_lease,
    renewed_lease,
)

WALL = dt.datetime(2026, 11, 26, 12, 0, 0, 123456, dt.UTC)
TIMING = Timing()


def record(holder: str = "other", renewed: str = "t1", duration: int = 15) -> LeaseRecord:
    return LeaseRecord(
        holder=holder, duration=duration, renewed=renewed, transitions=0, version="1"
    )


@pytest.mark.parametrize(
    ("observation", "now", "move"),
    [
        (None, 0.0, CreateLease()),
        (Observation(record=record("me"), seen_at=0.0), 99.0, RenewLease()),
        (Observation(record=record("other"), seen_at=10.0), 10.0, StandBy(25.0)),
        (Observation(record=record("other"), seen_at=10.0), 24.9, StandBy(25.0)),
        (Observation(record=record("other"), seen_at=10.0), 25.0, TakeLease()),
        (Observation(record=record(""), seen_at=10.0), 10.0, TakeLease()),
        (Observation(record=record("other", duration=60), seen_at=10.0), 25.0, StandBy(70.0)),
    ],
    ids=["none", "ours", "fresh", "nearly run out", "run out", "given back", "its own duration"],
)
def test_what_is_done_about_a_lease(
    observation: Observation | None, now: float, move: Move
) -> None:
    assert decide_leadership("me", observation, now) == move


def test_a_record_counts_from_when_it_was_first_seen() -> None:
    first = observe(None, record(), 5.0)
    again = observe(first, record(), 9.0)
    renewed = observe(again, record(renewed="t2"), 12.0)

    assert (first.seen_at, again.seen_at, renewed.seen_at) == (5.0, 5.0, 12.0)


def test_a_change_that_is_no_renewal_gives_no_time() -> None:
    first = observe(None, record(), 5.0)
    touched = LeaseRecord(holder="other", duration=15, renewed="t1", transitions=0, version="9")

    found = observe(first, touched, 9.0)

    assert found.seen_at == 5.0
    assert found.record.version == "9"


def test_a_clock_of_another_machine_is_never_asked() -> None:
    """A renewal time of long ago, or of the future, lasts as long as any other."""
    for renewed in ("1970-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z"):
        seen = observe(None, record(renewed=renewed), 100.0)
        assert decide_leadership("me", seen, 101.0) == StandBy(115.0)


def test_a_lease_says_whose_it_is() -> None:
    made = build_lease("ns", "entrasync-leader", "me", TIMING, WALL)
    made["metadata"]["resourceVersion"] = "1"
    later = WALL + dt.timedelta(seconds=2)

    renewed = renewed_lease(made, "me", TIMING, later)
    taken = renewed_lease(renewed, "other", TIMING, later)
    given_back = released_lease(taken, later)

    assert made["spec"]["renewTime"] == "2026-11-26T12:00:00.123456Z"
    assert renewed["spec"]["acquireTime"] == made["spec"]["acquireTime"]
    assert renewed["spec"]["renewTime"] == "2026-11-26T12:00:02.123456Z"
    assert taken["spec"]["holderIdentity"] == "other"
    assert taken["spec"]["acquireTime"] == "2026-11-26T12:00:02.123456Z"
    assert taken["spec"]["leaseTransitions"] == 1
    assert taken["metadata"]["resourceVersion"] == "1"
    assert read_record(given_back).holder == ""
    assert given_back["spec"]["leaseTransitions"] == 1


def test_a_lease_that_somebody_emptied_can_be_taken() -> None:
    emptied: dict[str, Any] = {"metadata": {"resourceVersion": "1"}, "spec": None}
    assert decide_leadership("me", observe(None, read_record(emptied), 0.0), 0.0) == TakeLease()


@pytest.mark.parametrize(
    "wrong",
    [
        {"renew": 15.0},
        {"retry": 10.0},
        {"call": 10.0},
        {"call": 0.0},
    ],
)
def test_times_that_would_let_two_lead_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be below"):
        Timing(**wrong)  # type: ignore[arg-type]  # `lease` is not among them


def test_leases_are_named_by_release_and_class() -> None:
    assert lease_name("entrasync", "") == "entrasync-leader"
    assert lease_name("entrasync", "blue") == "entrasync-leader.blue"


@dataclass
class Elector:
    """One operator, by the rules of the module: what `LeaderElection` does, step by step."""

    identity: str
    observation: Observation | None = None
    read: dict[str, Any] | None = None
    sent: float | None = None
    renewed_at: float | None = None
    ended: bool = False

    def leads(self, now: float) -> bool:
        return (
            not self.ended
            and self.renewed_at is not None
            and not is_overdue(self.renewed_at, now, TIMING)
        )


@dataclass
class Cluster:
    """An API server with one Lease; writes may be carried out late, or their answers be lost."""

    lease: dict[str, Any] | None = None
    version: int = 0
    now: float = 0.0
    pending: list[tuple[Elector, dict[str, Any], str | None, float]] = field(default_factory=list)

    def read(self, elector: Elector) -> None:
        elector.read = self.lease
        elector.observation = (
            None
            if self.lease is None
            else observe(elector.observation, read_record(self.lease), self.now)
        )

    def send(self, elector: Elector) -> None:
        move = decide_leadership(elector.identity, elector.observation, self.now)
        if isinstance(move, StandBy) or elector.ended:
            return
        wall = WALL + dt.timedelta(seconds=self.now)
        if elector.read is None:
            wanted = build_lease("ns", "name", elector.identity, TIMING, wall)
            self.pending.append((elector, wanted, None, self.now))
        else:
            wanted = renewed_lease(elector.read, elector.identity, TIMING, wall)
            version = elector.read["metadata"]["resourceVersion"]
            self.pending.append((elector, wanted, version, self.now))

    def carry_out(self, *, answered: bool) -> None:
        if not self.pending:
            return
        elector, wanted, version, sent = self.pending.pop(0)
        current = None if self.lease is None else self.lease["metadata"]["resourceVersion"]
        if version != current:
            return
        self.version += 1
        metadata = {**wanted["metadata"], "resourceVersion": str(self.version)}
        self.lease = {**wanted, "metadata": metadata}
        if answered and not elector.ended:
            late = elector.renewed_at is not None and not elector.leads(self.now)
            if not late:
                elector.renewed_at = sent


ACTIONS = st.one_of(
    st.tuples(st.just("wait"), st.floats(0.1, 20)),
    st.tuples(st.sampled_from(["read", "send", "crash"]), st.integers(0, 2)),
    st.tuples(st.sampled_from(["answer", "lose"]), st.just(0)),
)


@given(st.lists(ACTIONS, max_size=80))
def test_never_two_lead_whatever_is_late_or_lost(actions: list[tuple[str, float]]) -> None:
    """Calls carried out late, answers lost, processes crashed, in any order and at any time."""
    cluster = Cluster()
    electors = [Elector(str(number)) for number in range(3)]
    for action, value in actions:
        match action:
            case "wait":
                cluster.now += value
            case "read":
                cluster.read(electors[int(value)])
            case "send":
                cluster.send(electors[int(value)])
            case "crash":
                electors[int(value)].ended = True
            case _:
                cluster.carry_out(answered=action == "answer")
        assert sum(each.leads(cluster.now) for each in electors) <= 1


@given(st.lists(ACTIONS, max_size=40))
def test_somebody_leads_once_the_cluster_works_again(actions: list[tuple[str, float]]) -> None:
    cluster = Cluster()
    electors = [Elector(str(number)) for number in range(3)]
    for action, value in actions:
        match action:
            case "wait":
                cluster.now += value
            case "read":
                cluster.read(electors[int(value)])
            case "send":
                cluster.send(electors[int(value)])
            case _:
                cluster.carry_out(answered=action == "answer")
    while cluster.pending:
        cluster.carry_out(answered=False)
    fresh = Elector("fresh")
    for _ in range(10):
        cluster.read(fresh)
        cluster.send(fresh)
        cluster.carry_out(answered=True)
        cluster.now += TIMING.retry
    assert fresh.leads(cluster.now)
