"""Sending a plan, batch by batch, with a durable checkpoint before and after each call."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Final, Protocol

from entrasync.api.sync_run import ObjectError
from entrasync.engine.approvals import Approvals
from entrasync.engine.brakes import Spent, changes_identity
from entrasync.engine.cloud_space import distrust_cloud_space
from entrasync.engine.flows import MANAGER
from entrasync.engine.plan import Action, PlannedChange
from entrasync.entra.batches import plan_batches
from entrasync.entra.contracts import ObjectResult, SyncObject, SyncObjectType
from entrasync.entra.object_errors import OBJECT_ERRORS, error_code, explain
from entrasync.state.store import ResultWriter, Store

_DELETIONS: Final = "deletions:"
_IDENTITY: Final = "identity-changes"
_LINK_REMOVALS: Final = "link-removals"
_KEPT_ERRORS: Final = 10


class Exporter(Protocol):
    """What an export needs of the sync service's client."""

    def provision(self, objects: Sequence[SyncObject]) -> Sequence[ObjectResult]:
        """Sends one batch; one result for each object, in the same order."""
        ...


@dataclass(slots=True, kw_only=True)
class ExportTally:
    """What an export did so far.

    Attributes:
        done: changes the service took; of links, those of the batches that went through.
        failed: objects refused, by kind.
        links_failed: links refused.
        errors: the first ten refusals.
        error_count: all refusals.
        requests: calls made.
        cancelled: whether it was ended early.
    """

    done: list[PlannedChange] = field(default_factory=list)
    failed: Counter[SyncObjectType] = field(default_factory=Counter)
    links_failed: int = 0
    errors: list[ObjectError] = field(default_factory=list)
    error_count: int = 0
    requests: int = 0
    cancelled: bool = False


class Export:
    """Sends the changes of a plan.

    Args:
        exporter: the sync service.
        store: the state.
        approvals: struck off as changes are done; what they cover does not count in the window.
        now: clock.
        max_links: most links of one request.
        cancelled: whether to end after the current batch.
    """

    def __init__(
        self,
        exporter: Exporter,
        store: Store,
        approvals: Approvals,
        *,
        now: Callable[[], dt.datetime],
        max_links: int,
        cancelled: Callable[[], bool],
    ) -> None:
        self._exporter = exporter
        self._store = store
        self._approvals = approvals
        self._now = now
        self._max_links = max_links
        self._cancelled = cancelled
        self._refused: set[str] = set()
        self.tally = ExportTally()

    def send(
        self, changes: Sequence[PlannedChange], progress: Callable[[int, int], None]
    ) -> ExportTally:
        """Sends all changes in their order, each phase in batches of its own.

        Raises:
            TransientError: a call failed; what it may have done is read back by the next run.
        """
        total, sent = len(changes), 0
        progress(0, total)
        for _, of_phase in groupby(changes, key=lambda change: change.phase):
            planned = list(of_phase)
            phase = [each for each in map(self._sendable, planned) if each is not None]
            by_anchor = {change.message.source_anchor: change for change in phase}
            messages = [change.message for change in phase]
            told = 0
            for batch in plan_batches(messages, max_links=self._max_links):
                if self._cancelled():
                    self.tally.cancelled = True
                    return self.tally
                self._send_batch(batch, by_anchor)
                told = min(told + len(batch), len(planned))
                progress(sent + told, total)
            sent += len(planned)
        progress(total, total)
        return self.tally

    def _sendable(self, change: PlannedChange) -> PlannedChange | None:
        """What of a change can be sent when some objects could not be added.

        One member that was refused must not hold up its group: the service refuses all links of a
        request that names what does not exist.
        """
        refused = self._refused
        if not refused or change.action is Action.DELETE:
            return change
        message = change.message
        if message.source_anchor in refused or message.properties.get(MANAGER) in refused:
            return None
        links = tuple(link for link in message.links if not (link.add and link.anchor in refused))
        if len(links) == len(message.links):
            return change
        return _part_of(change, replace(message, links=links)) if links else None

    def _send_batch(self, batch: Sequence[SyncObject], planned: dict[str, PlannedChange]) -> None:
        self._store.record_intent(each.source_anchor for each in batch)
        results = self._exporter.provision(batch)
        self.tally.requests += 1
        done: list[PlannedChange] = []
        with self._store.results() as writer:
            for message, result in zip(batch, results, strict=True):
                change = _part_of(planned[message.source_anchor], message)
                if result.success:
                    _record(writer, change)
                    done.append(change)
                else:
                    self._count_failure(change, result)
            # with the results, so that a run killed here spends no less than it did
            self._store.spend(self._now(), spent_by(done, self._approvals))
            self._approvals.strike(done)
        self.tally.done += done

    def _count_failure(self, change: PlannedChange, result: ObjectResult) -> None:
        tally = self.tally
        if change.action is Action.LINKS:
            tally.links_failed += len(change.message.links)
        else:
            tally.failed[change.message.object_type] += 1
        if change.action is Action.ADD:
            self._refused.add(change.message.source_anchor)
        if change.action in {Action.DELETE, Action.LINKS}:
            # both name only what was thought to be there
            distrust_cloud_space(self._store)
        tally.error_count += 1
        if len(tally.errors) < _KEPT_ERRORS:
            tally.errors.append(_object_error(change.message.source_anchor, result))


def _object_error(anchor: str, result: ObjectResult) -> ObjectError:
    """A refusal with cause and remedy; of an unknown one the service's own words as well."""
    code = error_code(result.code, result.description)
    help_ = explain(code)
    told = [help_.cause, help_.remedy]
    if code not in OBJECT_ERRORS and result.description:
        told.insert(1, result.description)
    return ObjectError(anchor=anchor, code=code[:128], message=" ".join(told)[:512])


def _part_of(change: PlannedChange, message: SyncObject) -> PlannedChange:
    """The change itself, or the part of its links that one batch carries."""
    if message == change.message:
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


def spent_by(changes: Iterable[PlannedChange], approvals: Approvals) -> dict[str, int]:
    """What changes count against the window; not those a person let through."""
    counts: Counter[str] = Counter()
    for change in changes:
        if approvals.covers(change):
            continue
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
