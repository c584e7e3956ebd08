"""Sending a plan, batch by batch, with a durable checkpoint before and after each call."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Final

from entrasync.engine.approvals import Approvals
from entrasync.engine.brakes import Spent, changes_identity
from entrasync.engine.cloud_space import distrust_cloud_space
from entrasync.engine.delivery import Delivered, Delivery, Exporter, Traffic
from entrasync.engine.flows import MANAGER
from entrasync.engine.letting_go import LettingGo
from entrasync.engine.memberships import Memberships
from entrasync.engine.plan import Action, Phase, PlannedChange
from entrasync.engine.tally import ExportTally
from entrasync.entra.batches import adaptive_batches, references
from entrasync.entra.contracts import KEY_MEMBER, ObjectResult, SyncObject, SyncObjectType
from entrasync.entra.object_errors import LET_GO_CODE
from entrasync.state.store import META_PACING, ResultWriter, Store

__all__ = ["Export", "ExportTally", "Exporter", "Traffic", "spent_by", "spent_since"]

_DELETIONS: Final = "deletions:"
_IDENTITY: Final = "identity-changes"
_LINK_REMOVALS: Final = "link-removals"


class Export:
    """Sends the changes of a plan.

    Args:
        exporter: the sync service.
        store: the state.
        approvals: struck off as changes are done; what they cover does not count in the window.
        now: clock.
        traffic: how much is sent at a time, and how fast.
        memberships: how links travel; `None` to send them as they are planned.
    """

    def __init__(
        self,
        exporter: Exporter,
        store: Store,
        approvals: Approvals,
        *,
        now: Callable[[], dt.datetime],
        traffic: Traffic,
        memberships: Memberships | None = None,
    ) -> None:
        self._store = store
        self._approvals = approvals
        self._now = now
        self._memberships = memberships
        self._refused: set[str] = set()
        """Who could not be added."""
        self._failed: set[str] = set()
        """Who was refused anything."""
        self._let_go = LettingGo(store, (), now())
        self._traffic = replace(
            # nobody is left with a name that nobody knows because somebody else had enough
            traffic,
            cancelled=lambda: not self._let_go and traffic.cancelled(),
        )
        self.tally = ExportTally()
        self._delivery = Delivery(exporter, store, self._traffic, self.tally)

    def send(
        self, changes: Sequence[PlannedChange], progress: Callable[[int, int], None]
    ) -> ExportTally:
        """Sends all changes in their order, each step of a phase in batches of its own.

        Raises:
            TransientError: a call failed; what it may have done is read back by the next run.
        """
        total, sent = len(changes), 0
        progress(0, total)
        self._let_go = LettingGo(self._store, changes, self._now())
        for (phase, _), of_phase in groupby(changes, key=lambda each: (each.phase, each.step)):
            if phase > Phase.RELEASES:
                self._give_back()
            planned = list(of_phase)
            self._send_phase(planned, lambda told, before=sent: progress(before + told, total))  # type: ignore[misc]  # binds the loop
            if self.tally.cancelled:
                return self.tally
            sent += len(planned)
        self._give_back()
        progress(total, total)
        return self.tally

    def _send_phase(self, planned: Sequence[PlannedChange], told: Callable[[int], None]) -> None:
        phase = [each for each in map(self._sendable, planned) if each is not None]
        covered = [each for each in planned if self._approvals.covers(each)]
        self._send_messages(phase, frozenset(e.message.source_anchor for e in covered), told)
        if self.tally.cancelled:
            return
        # what was let through as one change may have gone in several, none of which is known
        gone = {each.message.source_anchor for each in phase} - self._failed
        self._approvals.strike([e for e in covered if e.message.source_anchor in gone])

    def _send_messages(
        self,
        phase: Sequence[PlannedChange],
        covered: frozenset[str],
        told: Callable[[int], None],
    ) -> None:
        by_anchor = {change.message.source_anchor: change for change in phase}
        messages = [self._message(change) for change in phase]
        if not messages:
            return
        objects, links, sent = len(messages), sum(map(references, messages)), 0
        batches = adaptive_batches(messages, lambda: self._delivery.limits(objects, links))
        for batch in batches:
            for delivered in self._delivery.deliver(batch):
                self._take(delivered, by_anchor, covered)
            if self.tally.cancelled:
                return
            objects = max(1, objects - len(batch))
            links -= sum(map(references, batch))
            sent += len(batch)
            told(min(sent, len(messages)))

    def _message(self, change: PlannedChange) -> SyncObject:
        return change.message if self._memberships is None else self._memberships.message(change)

    def _give_back(self) -> None:
        """Restores what objects let go for a moment when their own change was refused.

        Nobody is left with a temporary name for longer than need be; what was taken meanwhile
        stays taken, which is told, and the next run tries the change again.
        """
        self._send_messages(self._let_go.give_back(), frozenset(), lambda _: None)
        for change in self._let_go.close():
            anchor = change.message.source_anchor
            left = ObjectResult(source_anchor=anchor, success=False, code=LET_GO_CODE)
            self.tally.warn(change, left)

    def _sendable(self, change: PlannedChange) -> PlannedChange | None:
        """What of a change can be sent when some objects could not be added.

        One member that was refused must not hold up its group: the service refuses all links of a
        request that names what does not exist.
        """
        if self._let_go.rests(change):
            return None
        refused = self._refused
        if refused and change.action is not Action.DELETE:
            message = change.message
            if message.source_anchor in refused or message.properties.get(MANAGER) in refused:
                return None
            links = tuple(
                link for link in message.links if not (link.add and link.anchor in refused)
            )
            if len(links) != len(message.links):
                if not links:
                    return None
                change = replace(change, message=replace(message, links=links))
        return change if self._memberships is None else self._memberships.sendable(change)

    def _take(
        self,
        delivered: Delivered,
        planned: Mapping[str, PlannedChange],
        covered: frozenset[str],
    ) -> None:
        """Records what the service said of a batch."""
        done: list[PlannedChange] = []
        with self._store.results() as writer:
            for message, result in zip(*delivered, strict=True):
                change = _part_of(planned[message.source_anchor], message)
                if result.success:
                    _record(writer, change)
                    done.append(change)
                    self._let_go.note(change)
                    if result.description:
                        self.tally.warn(change, result)
                elif not change.temporary:
                    self._count_failure(change, result)
            # with the results, so that a run killed here spends no less than it did
            counting = [each for each in done if each.message.source_anchor not in covered]
            self._store.spend(self._now(), spent_by(counting))
            self._store.put(META_PACING, self._traffic.pacer.memory())
            self._approvals.strike(done)
        self.tally.done += done
        if self._memberships is not None:
            self._memberships.note(done)

    def _count_failure(self, change: PlannedChange, result: ObjectResult) -> None:
        self.tally.refuse(change, result)
        self._failed.add(change.message.source_anchor)
        if change.action is Action.ADD:
            self._refused.add(change.message.source_anchor)
        if change.action in {Action.DELETE, Action.LINKS}:
            # both name only what was thought to be there
            distrust_cloud_space(self._store)


def _part_of(change: PlannedChange, message: SyncObject) -> PlannedChange:
    """The change itself, or the part of its links that one batch carries."""
    if message == change.message or KEY_MEMBER in message.properties:
        return change
    return replace(change, message=message)


def _record(writer: ResultWriter, change: PlannedChange) -> None:
    message = change.message
    if change.action is Action.DELETE:
        writer.deleted(message.source_anchor)
    elif change.action is Action.LINKS:
        writer.linked(
            message.source_anchor,
            [link.anchor for link in message.links if link.add],
            [link.anchor for link in message.links if not link.add],
        )
    else:
        writer.changed(
            message.source_anchor, str(message.object_type), change.guid or "", message.properties
        )


def spent_by(changes: Iterable[PlannedChange]) -> dict[str, int]:
    """What changes count against the window."""
    counts: Counter[str] = Counter()
    for change in changes:
        if change.action is Action.DELETE:
            counts[_DELETIONS + change.message.object_type] += 1
        elif change.action is Action.LINKS:
            counts[_LINK_REMOVALS] += sum(not link.add for link in change.message.links)
        elif changes_identity(change):
            counts[_IDENTITY] += 1
    return dict(counts)


def spent_since(store: Store, start: dt.datetime) -> Spent:
    """What was done since a moment, as the brakes count it."""
    sums = store.spent_since(start)
    return Spent(
        deletions={
            object_type: sums[_DELETIONS + object_type]
            for object_type in SyncObjectType
            if _DELETIONS + object_type in sums
        },
        identity_changes=sums.get(_IDENTITY, 0),
        link_removals=sums.get(_LINK_REMOVALS, 0),
    )
