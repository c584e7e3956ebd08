"""Leader election by a Lease, in threads of its own.

Exactly one acts. The argument:

1. Only who holds the Lease acts, and the API server lets one alone take it: each write of it
   carries the resourceVersion that was read, so of two who try one gets a conflict.
2. A leader counts from *before* it sent a renewal, a standby from *after* it saw one. Both use a
   clock that only runs forward, also while a machine sleeps. A leader stops after `renew` seconds,
   a standby waits for `lease`, which is longer: the leader has stopped before another begins.
3. The deadline has a thread of its own, so that a call that hangs, a name server that does not
   answer or a stuck event loop delays nothing. When it passes, the whole process ends at once:
   nothing is left that could act.
4. A process that was held (SIGSTOP, a paused machine) may come to itself between a decision and a
   call. So each call that changes something first asks `permit`, which looks at the clock.
5. What remains is a call already sent when its sender stopped, and carried out late by the API
   server. It is harmless: names are deterministic, so a second create is refused; status and
   Leases are written with the resourceVersion they were decided from; a run's Job is found by the
   next leader because it reads everything anew; and two pods of a sync never run at once, because
   its state is locked.
6. On SIGTERM the Lease is given back only after kopf has stopped and no reconcile is under way.
"""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

import structlog

from entrasync.controller.gateway import lease_path
from entrasync.controller.leadership import (
    Observation,
    StandBy,
    Timing,
    build_lease,
    decide_leadership,
    is_overdue,
    observe,
    read_record,
    released_lease,
    renewed_lease,
)
from entrasync.errors import EntrasyncError, TransientError

LOOK_SECONDS: Final = 1.0
"""How often the deadline is looked at, should the clock have run on while the machine slept."""


class NotLeadingError(TransientError):
    """Something was to be changed by an operator that leads no longer."""

    def __init__(self) -> None:
        super().__init__("RunFailed", "this operator does not lead; another one goes on")


class Leases(Protocol):
    """Reads and writes Leases; each call ends within the time-out of a call."""

    def get(self, path: str) -> dict[str, Any] | None:
        """One Lease."""

    def create(self, path: str, manifest: dict[str, Any]) -> bool:
        """Creates one; false when it is there already."""

    def replace(self, path: str, manifest: dict[str, Any]) -> bool:
        """Replaces one of a resourceVersion; false when it changed meanwhile."""


def boot_clock() -> float:
    """Seconds that never go backwards and count the time a machine sleeps, where it tells them."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class LeaderElection:
    """Tries to lead, and goes on leading.

    Args:
        leases: the API, with short time-outs and without retries of its own.
        namespace: where the Lease lies.
        name: of the Lease.
        identity: ours; no other process ever has the same.
        on_lost: called once with a sentence when we lead no longer; it must end the process.
        timing: how long everything takes.
        clock: seconds that only run forward.
        wall: aware now, for people who look at the Lease.
    """

    def __init__(
        self,
        leases: Leases,
        *,
        namespace: str,
        name: str,
        identity: str,
        on_lost: Callable[[str], None],
        timing: Timing | None = None,
        clock: Callable[[], float] = boot_clock,
        wall: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        self._leases = leases
        self._collection = lease_path(namespace)
        self._path = lease_path(namespace, name)
        self._place = (namespace, name)
        self._identity = identity
        self._on_leading: Callable[[], None] = lambda: None
        self._on_lost = on_lost
        self._timing = timing or Timing()
        self._clock = clock
        self._wall = wall
        self._observation: Observation | None = None
        self._renewed_at: float | None = None
        self._tried_at: float | None = None
        self._seen_leading = ""
        self._stop = threading.Event()
        self._lost = threading.Lock()
        self._threads: list[threading.Thread] = []

    def start(self, on_leading: Callable[[], None]) -> None:
        """Begins to try.

        Args:
            on_leading: called once, from the election's thread, when we begin to lead.
        """
        self._on_leading = on_leading
        self._tried_at = self._clock()
        self._spawn("election", self._campaign)

    def is_leading(self) -> bool:
        """Whether we lead, by the clock and not only by the last answer."""
        renewed_at = self._renewed_at
        return renewed_at is not None and not is_overdue(renewed_at, self._clock(), self._timing)

    def permit(self) -> None:
        """To be asked right before anything is changed.

        Raises:
            NotLeadingError: we do not lead.
        """
        if not self.is_leading():
            raise NotLeadingError

    def silence(self) -> float:
        """Seconds since the last try; a few while the election works, none before it began."""
        tried_at = self._tried_at
        return 0.0 if tried_at is None else self._clock() - tried_at

    def release(self) -> None:
        """Gives the Lease back and ends the election; nothing must be under way any more.

        When the API server cannot be reached the Lease runs out by itself.
        """
        leading = self._renewed_at is not None
        self._renewed_at = None
        self._stop.set()
        for thread in self._threads:
            thread.join(self._timing.call * 2)
        if not leading:
            return
        try:
            lease = self._leases.get(self._path)
            if lease is not None and read_record(lease).holder == self._identity:
                self._leases.replace(self._path, released_lease(lease, self._wall()))
                structlog.get_logger().info("lease_released", lease=self._place[1])
        except EntrasyncError as error:
            structlog.get_logger().warning("lease_not_released", error=error.message)

    def try_once(self) -> bool:
        """One try to lead or to go on leading; true when it succeeded.

        Raises:
            EntrasyncError: the API server did not answer, or refused.
        """
        lease = self._leases.get(self._path)
        now = self._clock()
        self._observation = (
            None if lease is None else observe(self._observation, read_record(lease), now)
        )
        move = decide_leadership(self._identity, self._observation, now)
        if isinstance(move, StandBy):
            return False
        sent = self._clock()
        if lease is None:
            made = build_lease(*self._place, self._identity, self._timing, self._wall())
            held = self._leases.create(self._collection, made)
        else:
            wanted = renewed_lease(lease, self._identity, self._timing, self._wall())
            held = self._leases.replace(self._path, wanted)
        if held:
            self._held(sent)
        return held

    def _held(self, sent: float) -> None:
        first = self._renewed_at is None
        if not first and not self.is_leading():
            return  # too late: the deadline has passed, and its thread ends the process
        self._renewed_at = sent
        if first:
            structlog.get_logger().info("leading", lease=self._place[1], identity=self._identity)
            self._spawn("election-deadline", self._watch_deadline)
            self._on_leading()

    def _campaign(self) -> None:
        try:
            while not self._stop.is_set():
                self._tried_at = self._clock()
                self._try()
                self._stop.wait(self._timing.retry)
        except Exception:  # noqa: BLE001  - whatever ends the election ends the process
            structlog.get_logger().exception("election_crashed")
            self._lose("the election crashed")

    def _try(self) -> None:
        leading = self._renewed_at is not None
        try:
            held = self.try_once()
        except EntrasyncError as error:
            structlog.get_logger().warning("election_failed", error=error.message, leading=leading)
            return
        other = self._observation.record.holder if self._observation else ""
        if held or other in {"", self._identity} or self._stop.is_set():
            return
        if leading:
            self._lose("another operator holds the Lease")
        elif other != self._seen_leading:
            self._seen_leading = other
            structlog.get_logger().info("standing_by", lease=self._place[1], leader=other)

    def _watch_deadline(self) -> None:
        while not self._stop.is_set():
            renewed_at = self._renewed_at
            if renewed_at is None:
                return
            now = self._clock()
            if is_overdue(renewed_at, now, self._timing):
                self._lose(f"the Lease could not be renewed for {self._timing.renew} s")
                return
            self._stop.wait(min(renewed_at + self._timing.renew - now, LOOK_SECONDS))

    def _lose(self, why: str) -> None:
        if not self._lost.acquire(blocking=False):
            return  # told already
        self._renewed_at = None
        self._stop.set()
        structlog.get_logger().error("leadership_lost", reason=why, lease=self._place[1])
        self._on_lost(why)

    def _spawn(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()
