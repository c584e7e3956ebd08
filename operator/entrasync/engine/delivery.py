"""Getting batches to the service: paced, timed, and in parts where a request is refused whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from entrasync.engine.tally import ExportTally
from entrasync.entra.batches import BatchLimits, BatchSize, links_within, references
from entrasync.entra.contracts import ObjectResult, SyncObject
from entrasync.entra.faults import RequestRefusedError
from entrasync.entra.infoset import CodecError
from entrasync.entra.object_errors import REQUEST_REFUSED_CODE
from entrasync.entra.pacing import Pacer
from entrasync.entra.refusals import UnknownFaultError
from entrasync.errors import TransientError
from entrasync.state.checkpoints import META_PACING
from entrasync.state.store import Store

MOST_REFUSED_IN_A_ROW: Final = 5
"""Objects refused one after the other, none taken in between, before the service is to blame."""
_REFUSALS: Final = (RequestRefusedError, UnknownFaultError, CodecError)
"""What one object can do to a whole request: its value has a form that cannot travel, is not read,
or upsets the service."""

Delivered = tuple[Sequence[SyncObject], Sequence[ObjectResult]]

log = structlog.get_logger()


class Exporter(Protocol):
    """What an export needs of the sync service's client."""

    def provision(self, objects: Sequence[SyncObject]) -> Sequence[ObjectResult]:
        """Sends one batch; one result for each object, in the same order."""
        ...


@dataclass(slots=True, frozen=True, kw_only=True)
class Traffic:
    """How much is sent at a time, and how fast.

    Attributes:
        pacer: keeps within the tenant's quota.
        size: objects of a request.
        max_links: most links of one request, as the tenant's configuration says.
        cancelled: whether to end after the current batch.
        waiting: told the seconds still to wait for the quota.
    """

    pacer: Pacer
    size: BatchSize
    max_links: int
    cancelled: Callable[[], bool] = lambda: False
    waiting: Callable[[float], None] = lambda _: None


class Delivery:
    """Calls the service, with a durable note before each call.

    Args:
        exporter: the sync service.
        store: the state.
        traffic: how much, how fast.
        tally: counts requests; told when it was cancelled.
    """

    def __init__(
        self, exporter: Exporter, store: Store, traffic: Traffic, tally: ExportTally
    ) -> None:
        self._exporter = exporter
        self._store = store
        self._traffic = traffic
        self._tally = tally
        self._refused = 0
        self._in_a_row = 0

    def limits(self, objects: int, links: int) -> BatchLimits:
        """What the next request may hold; waits until the quota has room for one worth sending.

        Args:
            objects: objects still to be sent.
            links: links still to be sent.
        """
        traffic = self._traffic
        pacer = traffic.pacer
        wanted = pacer.cost(max(1, objects), links)
        self._go_on(pacer.make_room(wanted, traffic.cancelled, traffic.waiting))
        return pacer.limits(traffic.size.objects, max(1, links_within(traffic.max_links)))

    def deliver(self, batch: Sequence[SyncObject]) -> Iterator[Delivered]:
        """Sends a batch; gives what was answered, part by part where it was refused as a whole.

        An object that is refused even by itself comes with a failure of our own. Nothing more comes
        once the export was cancelled.

        Raises:
            TransientError: a call failed, or the service refuses whatever is sent.
        """
        traffic = self._traffic
        links = sum(map(references, batch))
        cost = traffic.pacer.cost(len(batch), links)
        if not self._go_on(
            not traffic.cancelled() and traffic.pacer.wait(cost, traffic.cancelled, traffic.waiting)
        ):
            return
        try:
            results = self._call(batch, links)
        except _REFUSALS as error:
            yield from self._in_parts(batch, error)
        else:
            self._in_a_row = 0
            yield batch, results

    def _go_on(self, yes: bool) -> bool:  # noqa: FBT001  - an answer passed through
        if not yes:
            self._tally.cancelled = True
        return not self._tally.cancelled

    def _call(self, batch: Sequence[SyncObject], links: int) -> Sequence[ObjectResult]:
        pacer, size = self._traffic.pacer, self._traffic.size
        pacer.reserve(len(batch), links)
        anchors = [each.source_anchor for each in batch]
        self._store.checkpoints.record_intent(anchors, {META_PACING: pacer.memory()})
        self._tally.requests += 1
        throttled, since = pacer.throttled, size.now
        try:
            with pacer.call():
                results = self._exporter.provision(batch)
        except _REFUSALS:
            raise
        except TransientError:
            if pacer.throttled == throttled:
                size.lost(len(batch), since)
            raise
        if pacer.throttled == throttled:  # else it took long for another reason
            size.took(len(batch), since)
        return results

    def _in_parts(self, batch: Sequence[SyncObject], error: TransientError) -> Iterator[Delivered]:
        """Halves what was refused as a whole, down to whom it is the fault of."""
        if isinstance(error, UnknownFaultError):
            # whether anything of it took effect is not known, and the parts replace its note
            self._store.cloud.distrust()
        if len(batch) == 1:
            yield batch, [self._refuse(batch[0], error)]
            return
        log.warning("request_refused", objects=len(batch), message=error.message)
        refused, middle = self._refused, len(batch) // 2
        yield from self.deliver(batch[:middle])
        yield from self.deliver(batch[middle:])
        if self._refused == refused and not self._tally.cancelled:
            self._traffic.size.too_large(len(batch))

    def _refuse(self, one: SyncObject, error: TransientError) -> ObjectResult:
        self._refused += 1
        self._in_a_row += 1
        if self._in_a_row > MOST_REFUSED_IN_A_ROW:
            raise error
        return ObjectResult(
            source_anchor=one.source_anchor,
            success=False,
            code=REQUEST_REFUSED_CODE,
            description=f"{error.message.rstrip('.')}.",
        )
