"""Recording what the service said of a batch: all of it in one transaction."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, Protocol

from entrasync.engine.changes import Action, PlannedChange
from entrasync.engine.delivery import Delivered
from entrasync.engine.failures import remember
from entrasync.engine.flights import Flight
from entrasync.engine.latency import ExportLatency
from entrasync.engine.letting_go import LettingGo
from entrasync.engine.tally import ExportTally, object_error
from entrasync.entra.batches import references
from entrasync.entra.contracts import ObjectResult, PropertyValue, SyncObject
from entrasync.entra.object_errors import error_code
from entrasync.entra.pacing import Pacer
from entrasync.state.checkpoints import META_PACING, Taken
from entrasync.state.cloud import Exported
from entrasync.state.rows import guid_bytes
from entrasync.state.schema import Part
from entrasync.state.store import Store

MOST_AGAIN: Final = 20_000
"""References that are kept to be sent once more; further ones wait for the next run."""
REFERENCE_CODE: Final = "ReferenceNotFound"
DELETED_CODE: Final = "DeleteNotValid"


@dataclass(slots=True, frozen=True, kw_only=True)
class _Answer:
    """What the service said of a change.

    Attributes:
        change: the change, or the part of its links that one request carried.
        result: the answer.
        again: whether it counted already.
    """

    change: PlannedChange
    result: ObjectResult
    again: bool


class Covering(Protocol):
    """What an export needs of approvals."""

    def settle(self, done: Sequence[PlannedChange]) -> Mapping[str, int]:
        """Strikes off what was done; returns what of it counts against the window."""
        ...


class Recorder:
    """Records answers.

    Args:
        store: the state.
        approvals: struck off as changes are done.
        let_go: told who has their value.
        tally: counts.
        now: clock.
        pacer: whose memory is kept.

    Attributes:
        last_round: whether what is refused now is refused for this run.
        latency: told what is confirmed.
    """

    def __init__(
        self,
        store: Store,
        approvals: Covering,
        let_go: LettingGo,
        tally: ExportTally,
        *,
        now: Callable[[], dt.datetime],
        pacer: Pacer,
    ) -> None:
        self._store = store
        self._checkpoints = store.checkpoints
        self._approvals = approvals
        self._let_go = let_go
        self._tally = tally
        self._now = now
        self._pacer = pacer
        self._set: list[Exported] = []
        self._struck: list[Taken] = []
        self._again: list[Flight] = []
        self._again_references = 0
        self._known: set[int] = set()
        self._any_failure = bool(store.checkpoints.failure_counts())
        self.last_round = True
        self.latency = ExportLatency(store, now)

    def again(self) -> list[Flight]:
        """What was refused for the moment, to be sent once more."""
        found, self._again, self._again_references = self._again, [], 0
        for flight in found:
            flight.go_again()
        return found

    def take(self, delivered: Delivered, under_way: Mapping[str, Flight]) -> None:
        """Records what the service said of a batch, and counts it once that is durable."""
        taken: list[_Answer] = []
        refused: list[_Answer] = []
        self._set.clear()
        self._struck.clear()
        with self._checkpoints.results():
            self._known = self._taken_before(under_way[each.source_anchor] for each in delivered[0])
            for message, result in zip(*delivered, strict=True):
                flight = under_way[message.source_anchor]
                change = flight.part_of(message)
                if result.success:
                    # its references follow in a message of their own
                    again = change.part is Part.REFERENCES and change.number in self._known
                    self._record(flight, change)
                    taken.append(_Answer(change=change, result=result, again=again))
                elif change.temporary:
                    self._let_go.refused(change)
                elif not self._goes_again(flight, change, result):
                    again = self._refuse(flight, change, result)
                    refused.append(_Answer(change=change, result=result, again=again))
                self._end(flight, change)
            # a request holds no object twice
            self._store.cloud.record_sets(self._set)
            self._checkpoints.strike_all(self._struck)
            self._set.clear()
            self._struck.clear()
            # with the results, so that a run killed here spends no less than it did
            gone = (each for each in refused if _is_gone(each))
            spent = self._approvals.settle([each.change for each in (*taken, *gone)])
            self._checkpoints.spend(self._now(), spent)
            self._store.put(META_PACING, self._pacer.memory())
            self._let_go.save()
        for each in taken:
            self._tally.take(each.change, again=each.again)
            if each.result.description:
                self._tally.warn(each.change, each.result)
        for each in refused:
            told = object_error(each.change.message.source_anchor, each.result)
            self._tally.refuse(each.change, told, again=each.again)

    # --- what was taken --------------------------------------------------------------------

    def _record(self, flight: Flight, change: PlannedChange) -> None:
        message, cloud = change.message, self._store.cloud
        if change.action is Action.DELETE:
            cloud.record_deleted(change.number)
        elif change.action is Action.LINKS:
            numbers = change.members or self._store.database.anchor_numbers(
                link.anchor for link in message.links
            )
            links = [(numbers[link.anchor], link.add) for link in message.links]
            cloud.record_links(
                change.number,
                [member for member, adds in links if adds],
                [member for member, adds in links if not adds],
            )
            self._checkpoints.strike_links(change.number, links)
        else:
            guid = None if change.guid is None else guid_bytes(change.guid)
            self._set.append(
                Exported(change.number, str(message.object_type), guid, message.properties)
            )
            if not change.temporary:
                self._struck.append(
                    Taken(change.number, int(change.part), message.properties, flight.is_whole)
                )
        self._let_go.note(change)

    def _taken_before(self, flights: Iterable[Flight]) -> set[int]:
        """Objects that counted already, of those whose references are told of here."""
        changes = (flight.change for flight in flights)
        naming = [each.number for each in changes if each.part is Part.REFERENCES]
        return self._checkpoints.taken_objects(naming) if naming else set()

    def _end(self, flight: Flight, change: PlannedChange) -> None:
        """Ends a flight with the last answer to it."""
        flight.left -= len(change.message.links) if change.action is Action.LINKS else 1
        if flight.left:
            return
        if flight.goes_again:
            self._again.append(flight)
            return
        if not flight.failed and not change.temporary:
            self.latency.confirmed(change.guid)
        if self._any_failure and not flight.failed and not change.temporary:
            self._checkpoints.forget_failure(change.number, change.part)

    # --- what was refused ------------------------------------------------------------------

    def _refuse(self, flight: Flight, change: PlannedChange, result: ObjectResult) -> bool:
        """Remembers a refusal; returns whether it counted already."""
        again = flight.failed or (
            change.part is Part.REFERENCES
            and self._checkpoints.failure(change.number, Part.OBJECT) is not None
        )
        told = object_error(change.message.source_anchor, result)
        if not flight.failed:
            remember(self._store, change, told, self._now())
            self._any_failure = True
        flight.failed = True
        if change.action in {Action.DELETE, Action.LINKS} or told.code == REFERENCE_CODE:
            # these name only what was thought to be there
            self._store.cloud.distrust()
        return again

    def _goes_again(self, flight: Flight, change: PlannedChange, result: ObjectResult) -> bool:
        """Whether a refused reference is sent once more in this run.

        The service may not know yet what was created a moment ago.
        """
        if self.last_round:
            return False
        count = references(change.message)
        if self._again_references + count > MOST_AGAIN:
            return False
        code = error_code(result.code, result.description)
        if code != REFERENCE_CODE and not self._names_new(change.message):
            return False
        self._again_references += count
        flight.goes_again = True
        flight.again += change.message.links
        return True

    def _names_new(self, message: SyncObject) -> bool:
        """Whether a message names an object that was created in this run."""
        named = chain(
            [message.source_anchor],
            (link.anchor for link in message.links),
            chain.from_iterable(map(_names, message.properties.values())),
        )
        numbers = self._store.database.anchor_numbers(named)
        return any(
            self._checkpoints.was_taken(number, Part.OBJECT, Action.ADD)
            for number in numbers.values()
        )


def _is_gone(answer: _Answer) -> bool:
    """Whether a deletion was refused since the object is gone: by a call of ours, it may be."""
    code = error_code(answer.result.code, answer.result.description)
    return answer.change.action is Action.DELETE and code == DELETED_CODE


def _names(value: PropertyValue) -> Iterable[str]:
    match value:
        case str():
            return (value,)
        case tuple():
            return (each for each in value if isinstance(each, str))
        case _:
            return ()
