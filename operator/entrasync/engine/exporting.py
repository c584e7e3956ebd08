"""Sending a plan, batch by batch, with a durable checkpoint before and after each call."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import Final, Protocol

from entrasync.engine.changes import Phase, PlannedChange
from entrasync.engine.delivery import Delivered, Delivery, Exporter, Traffic
from entrasync.engine.flights import Flight, flights_of
from entrasync.engine.latency import ExportLatency
from entrasync.engine.letting_go import LettingGo
from entrasync.engine.memberships import Memberships
from entrasync.engine.recording import Covering, Recorder
from entrasync.engine.tally import ExportTally
from entrasync.entra.batches import adaptive_batches, references
from entrasync.entra.contracts import ObjectResult, SyncObject
from entrasync.entra.object_errors import LET_GO_CODE
from entrasync.state.store import Store

__all__ = ["Export", "ExportTally", "Exporter", "Sendable", "Traffic"]

MORE_ROUNDS: Final = 2
"""How often references that the service did not know are sent once more in the same run."""
_REFERRING: Final = frozenset({Phase.REFERENCES, Phase.LINKS})

Told = Callable[[int], None]


class Sendable(Protocol):
    """What an export needs of a plan."""

    def sendable(self) -> Iterator[PlannedChange]:
        """Changes that are not held back, in the order they are sent."""
        ...


class Export:
    """Sends the changes of a plan.

    Args:
        exporter: the sync service.
        store: the state.
        approvals: struck off as changes are done; what they cover does not count in the window.
        now: clock.
        traffic: how much is sent at a time, and how fast.
        memberships: how links travel; `None` to send them as changes.
    """

    def __init__(
        self,
        exporter: Exporter,
        store: Store,
        approvals: Covering,
        *,
        now: Callable[[], dt.datetime],
        traffic: Traffic,
        memberships: Memberships | None = None,
    ) -> None:
        self._store = store
        self._memberships = memberships or Memberships(store, whole=False)
        self._let_go = LettingGo(store, now())
        self._traffic = replace(
            # nobody is left with a name that nobody knows because somebody else had enough
            traffic,
            cancelled=lambda: not self._let_go and traffic.cancelled(),
        )
        self._asked: set[int] = set()
        """Who was to get an old value back."""
        self.tally = ExportTally()
        self._delivery = Delivery(exporter, store, self._traffic, self.tally)
        self._recorder = Recorder(
            store, approvals, self._let_go, self.tally, now=now, pacer=traffic.pacer
        )

    @property
    def latency(self) -> ExportLatency:
        """How long what was sent had waited."""
        return self._recorder.latency

    def send(self, plan: Sendable, progress: Callable[[int, int], None]) -> ExportTally:
        """Sends all changes in their order, each step of a phase in batches of its own.

        Raises:
            TransientError: a call failed; what it may have done is read back by the next run.
        """
        self._store.cloud.adopt_wanted()
        sizes = self._store.checkpoints.sizes()
        total, sent = sum(changes for changes, _ in sizes.values()), 0
        progress(0, total)
        self._put_back(planned=False)
        for (phase, step), changes in groupby(
            plan.sendable(), key=lambda each: (each.phase, each.step)
        ):
            if phase > Phase.RELEASES:
                self._give_back()
            size = sizes.get((phase, step), (1, 0))
            self._send_step(
                phase,
                flights_of(self._store, self._memberships, self._let_go, changes),
                size,
                lambda told, before=sent: progress(before + told, total),  # type: ignore[misc]  # binds the loop
            )
            if self.tally.cancelled:
                return self.tally
            sent += size[0]
        self._give_back()
        self.restore()
        progress(total, total)
        return self.tally

    def restore(self) -> ExportTally:
        """Gives back what an interrupted run took from objects for a moment.

        For a run that may send nothing else; `send` does it as well.
        """
        self._let_go.save()
        self._put_back(planned=True)
        for change in self._let_go.left_behind(planned=True):
            self._warn_of_loss(change)
        return self.tally

    def _put_back(self, *, planned: bool) -> None:
        """Sends what an interrupted run left behind; what is pending of it was told by that.

        Whom the service refuses the old value is not asked again in the same run.
        """
        left_behind = self._let_go.left_behind(planned=planned)
        changes = [change for change in left_behind if change.number not in self._asked]
        self._asked.update(change.number for change in changes)
        self._send_all(changes)
        left = {each.number for each in self._let_go.left_behind(planned=planned)}
        for change in changes:
            if change.number not in left:
                self._store.cloud.compare_again(change.number)

    def _send_step(
        self, phase: Phase, flights: Iterator[Flight], size: tuple[int, int], told: Told
    ) -> None:
        rounds = MORE_ROUNDS if phase in _REFERRING else 0
        self._recorder.last_round = not rounds
        self._send_flights(flights, size, told)
        while rounds and not self.tally.cancelled and (again := self._recorder.again()):
            rounds -= 1
            self._recorder.last_round = not rounds
            links = sum(references(each.change.message) for each in again)
            self._send_flights(again, (len(again), links), lambda _: None)

    def _send_flights(self, flights: Iterable[Flight], size: tuple[int, int], told: Told) -> None:
        """Sends changes of one step, at most one of an object."""
        under_way: dict[str, Flight] = {}
        objects, links = size
        started = 0

        def messages() -> Iterator[SyncObject]:
            nonlocal started
            for flight in flights:
                started += 1
                under_way[flight.change.message.source_anchor] = flight
                yield self._memberships.message(flight.change)

        batches = adaptive_batches(messages(), lambda: self._delivery.limits(objects, links))
        for batch in batches:
            self._let_go.promise(under_way[each.source_anchor].change for each in batch)
            for delivered in self._delivery.deliver(batch):
                self._take(delivered, under_way)
            if self.tally.cancelled:
                return
            objects = max(1, objects - len(batch))
            # most steps have none, and counting takes its time
            links = links and max(0, links - sum(map(references, batch)))
            told(min(started, size[0]))

    def _take(self, delivered: Delivered, under_way: dict[str, Flight]) -> None:
        self._recorder.take(delivered, under_way)
        for message in delivered[0]:
            if not under_way[message.source_anchor].left:
                del under_way[message.source_anchor]

    def _send_all(self, changes: Iterable[PlannedChange]) -> None:
        flights = [Flight.of(each) for each in changes]
        if flights:
            self._recorder.last_round = True
            self._send_flights(flights, (len(flights), 0), lambda _: None)

    def _give_back(self) -> None:
        """Restores what objects let go for a moment when their own change was refused.

        Nobody is left with a temporary name for longer than need be; what was taken meanwhile
        stays taken, which is told, and the next run tries the change again.
        """
        self._send_all(self._let_go.give_back())
        for change in self._let_go.close():
            self._warn_of_loss(change)

    def _warn_of_loss(self, change: PlannedChange) -> None:
        anchor = change.message.source_anchor
        left = ObjectResult(source_anchor=anchor, success=False, code=LET_GO_CODE)
        self.tally.warn(change, left)
