"""The election's threads: over Leases in memory, with clocks that tests move."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from entrasync.controller.election import LeaderElection, NotLeadingError, boot_clock
from entrasync.controller.leadership import Timing
from entrasync.errors import TransientError

WALL = dt.datetime(2026, 11, 26, 12, tzinfo=dt.UTC)
QUICK = Timing(lease=15, renew=10, retry=0.01, call=4)
PATIENCE = 30


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class MemoryLeases:
    """One Lease; calls may fail, or hang until they are let go."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None
        self.version = 0
        self.fails = False
        self.gate = threading.Event()
        self.gate.set()
        self.hanging = threading.Event()
        self.before_write: Callable[[], None] = lambda: None

    def get(self, path: str) -> dict[str, Any] | None:
        del path
        self._answer()
        return None if self.lease is None else dict(self.lease)

    def create(self, path: str, manifest: dict[str, Any]) -> bool:
        del path
        self._answer()
        self.before_write()
        if self.lease is not None:
            return False
        self._store(manifest)
        return True

    def replace(self, path: str, manifest: dict[str, Any]) -> bool:
        del path
        self._answer()
        self.before_write()
        version = manifest["metadata"]["resourceVersion"]
        if self.lease is None or version != self.lease["metadata"]["resourceVersion"]:
            return False
        self._store(manifest)
        return True

    def holder(self) -> str:
        assert self.lease is not None
        return str(self.lease["spec"]["holderIdentity"])

    def _store(self, manifest: dict[str, Any]) -> None:
        self.version += 1
        metadata = {**manifest["metadata"], "resourceVersion": str(self.version)}
        self.lease = {**manifest, "metadata": metadata}

    def _answer(self) -> None:
        if not self.gate.is_set():
            self.hanging.set()
        assert self.gate.wait(PATIENCE)
        if self.fails:
            raise TransientError("RunFailed", "the Kubernetes API cannot be reached")


class Elections:
    """Electors that end with the test."""

    def __init__(self) -> None:
        self.leases = MemoryLeases()
        self.clock = Clock()
        self.lost = threading.Event()
        self.why: list[str] = []
        self._started: list[LeaderElection] = []

    def elector(self, identity: str, timing: Timing = QUICK) -> LeaderElection:
        def lose(why: str) -> None:
            self.why.append(why)
            self.lost.set()

        return LeaderElection(
            self.leases,
            namespace="ns",
            name="leader",
            identity=identity,
            on_lost=lose,
            timing=timing,
            clock=self.clock,
            wall=lambda: WALL + dt.timedelta(seconds=self.clock()),
        )

    def start(self, elector: LeaderElection) -> threading.Event:
        leading = threading.Event()
        self._started.append(elector)
        elector.start(leading.set)
        return leading

    def end(self) -> None:
        self.leases.gate.set()
        for each in self._started:
            each.release()


@pytest.fixture
def elections() -> Any:
    found = Elections()
    yield found
    found.end()


def test_one_alone_leads(elections: Elections) -> None:
    leading = elections.start(elections.elector("a"))
    assert leading.wait(PATIENCE)

    other = elections.elector("b")
    assert not other.try_once()
    assert not other.is_leading()
    assert elections.leases.holder() == "a"


def test_of_two_who_create_at_once_one_leads(elections: Elections) -> None:
    first, second = elections.elector("a"), elections.elector("b")

    def overtake() -> None:
        elections.leases.before_write = lambda: None
        assert second.try_once()

    elections.leases.before_write = overtake

    assert not first.try_once()
    assert (first.is_leading(), second.is_leading()) == (False, True)


def test_of_two_who_take_over_at_once_one_leads(elections: Elections) -> None:
    gone, first, second = (elections.elector(name) for name in "abc")
    assert gone.try_once()
    assert not first.try_once()
    assert not second.try_once()
    elections.clock.now += QUICK.lease

    def overtake() -> None:
        elections.leases.before_write = lambda: None
        assert second.try_once()

    elections.leases.before_write = overtake

    assert not first.try_once()
    assert [each.is_leading() for each in (gone, first, second)] == [False, False, True]


def test_a_lease_given_back_is_taken_at_once(elections: Elections) -> None:
    first = elections.elector("a")
    assert elections.start(first).wait(PATIENCE)
    second = elections.elector("b")
    assert not second.try_once()

    first.release()

    assert not first.is_leading()
    assert second.try_once()
    assert not elections.lost.is_set()


def test_a_standby_that_ends_gives_nothing_back(elections: Elections) -> None:
    assert elections.elector("a").try_once()
    standby = elections.elector("b")
    elections.start(standby)

    standby.release()

    assert elections.leases.holder() == "a"


def test_a_leader_that_cannot_renew_is_told_so(elections: Elections) -> None:
    assert elections.start(elections.elector("a")).wait(PATIENCE)
    elections.leases.fails = True

    elections.clock.now += QUICK.renew

    assert elections.lost.wait(PATIENCE)
    assert elections.why == ["the Lease could not be renewed for 10 s"]


def test_a_call_that_hangs_delays_nothing(elections: Elections) -> None:
    """The deadline passes while the election's own thread waits for an answer."""
    leader = elections.elector("a")
    assert elections.start(leader).wait(PATIENCE)
    elections.leases.gate.clear()
    assert elections.leases.hanging.wait(PATIENCE)

    elections.clock.now += QUICK.renew

    assert elections.lost.wait(PATIENCE)
    assert not leader.is_leading()


def test_a_renewal_answered_too_late_does_not_count(elections: Elections) -> None:
    leader = elections.elector("a", Timing())
    assert leader.try_once()

    def sleep() -> None:
        elections.clock.now += QUICK.renew

    elections.leases.before_write = sleep
    leader.try_once()

    assert not leader.is_leading()


def test_who_was_late_does_not_lead_again(elections: Elections) -> None:
    """A renewal that succeeds after the deadline is no reason to go on: others may have led."""
    leader = elections.elector("a", Timing())
    assert leader.try_once()
    elections.clock.now += QUICK.renew

    leader.try_once()

    assert not leader.is_leading()


def test_nobody_gives_back_what_is_not_theirs(elections: Elections) -> None:
    first, second = elections.elector("a"), elections.elector("b")
    assert first.try_once()
    assert not second.try_once()
    elections.clock.now += QUICK.lease
    assert second.try_once()

    first.release()

    assert elections.leases.holder() == "b"


def test_a_renewal_counts_from_before_it_was_sent(elections: Elections) -> None:
    leader = elections.elector("a", Timing())
    elections.leases.before_write = lambda: setattr(elections.clock, "now", elections.clock.now + 4)

    assert leader.try_once()
    elections.clock.now += QUICK.renew - 4

    assert not leader.is_leading()


def test_nothing_may_be_changed_after_the_deadline_has_passed_unnoticed(
    elections: Elections,
) -> None:
    """A process that was held looks at the clock before each call that changes something."""
    leader = elections.elector("a", Timing())
    with pytest.raises(NotLeadingError):
        leader.permit()
    assert leader.try_once()
    leader.permit()

    elections.clock.now += QUICK.renew

    with pytest.raises(NotLeadingError):
        leader.permit()


def test_a_leader_whose_lease_somebody_took_stops_at_once(elections: Elections) -> None:
    assert elections.start(elections.elector("a")).wait(PATIENCE)

    def take(lease: dict[str, Any]) -> dict[str, Any]:
        return {**lease, "spec": {**lease["spec"], "holderIdentity": "b"}}

    elections.leases.gate.clear()
    assert elections.leases.hanging.wait(PATIENCE)
    assert elections.leases.lease is not None
    elections.leases._store(take(elections.leases.lease))
    elections.leases.gate.set()

    assert elections.lost.wait(PATIENCE)
    assert elections.why == ["another operator holds the Lease"]


def test_a_leader_whose_lease_was_deleted_makes_it_anew(elections: Elections) -> None:
    leader = elections.elector("a")
    assert leader.try_once()
    elections.leases.lease = None

    assert leader.try_once()
    assert elections.leases.holder() == "a"


def test_a_bug_in_the_election_ends_the_process(elections: Elections) -> None:
    def crash() -> None:
        raise ZeroDivisionError

    elections.leases.before_write = crash
    elections.start(elections.elector("a"))

    assert elections.lost.wait(PATIENCE)
    assert elections.why == ["the election crashed"]


def test_silence_begins_with_the_election(elections: Elections) -> None:
    elector = elections.elector("a")
    elections.clock.now += 3600
    assert elector.silence() == 0

    assert elections.start(elector).wait(PATIENCE)
    elections.leases.gate.clear()
    assert elections.leases.hanging.wait(PATIENCE)
    elections.clock.now += 61
    assert elector.silence() >= 61


def test_a_standby_says_who_leads(elections: Elections) -> None:
    assert elections.elector("a", Timing()).try_once()
    standby = elections.elector("b")
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            standby._try()
    assert [(each["event"], each["leader"]) for each in logs] == [("standing_by", "a")]


def test_the_clock_never_goes_backwards() -> None:
    assert boot_clock() <= boot_clock()
