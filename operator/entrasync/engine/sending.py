"""The export of a run: what is sent and how fast, and what the run says of it."""

from __future__ import annotations

from entrasync.engine.approvals import Approvals
from entrasync.engine.effort import pacing_of
from entrasync.engine.exporting import Export, ExportTally, Traffic
from entrasync.engine.foreign import EngineWatch
from entrasync.engine.inputs import CycleInputs, CycleParts
from entrasync.engine.letting_go import META_TEMPORARY
from entrasync.engine.memberships import Memberships
from entrasync.engine.outcome import CycleOutcome
from entrasync.engine.plan import Plan
from entrasync.engine.report import NO_CHANGES, take_failures, take_tally
from entrasync.entra.batches import MOST_OBJECTS, START_OBJECTS, BatchSize
from entrasync.entra.contracts import SyncVersion
from entrasync.state.checkpoints import META_BATCH_SIZE


def sends_lists(inputs: CycleInputs) -> bool:
    """Whether memberships travel as whole lists."""
    return inputs.version is SyncVersion.V1


class Sender:
    """Sends what may be sent, and ends the export with the service.

    Args:
        inputs: what the run is to do.
        parts: what it does it with.
        outcome: told what became of it, also when that ends early.
        max_links: most links of one request.
        engines: sees to it that nobody else writes.
    """

    def __init__(
        self,
        inputs: CycleInputs,
        parts: CycleParts,
        outcome: CycleOutcome,
        *,
        max_links: int,
        engines: EngineWatch,
    ) -> None:
        self._engines = engines
        self._inputs = inputs
        self._parts = parts
        self._store = parts.store
        self._outcome = outcome
        self._max_links = max_links

    def send(self, plan: Plan, approvals: Approvals) -> ExportTally:
        """Sends a plan, without what is held.

        Raises:
            BlockedError: somebody else has written since the run began; nothing was sent.
            TransientError: a call failed; what it may have done is read back by the next run.
        """
        if plan.total or self._store.get(META_TEMPORARY) is not None:
            self._engines.begin()
        export, traffic = self._begin(approvals)
        try:
            export.send(plan, self._progress)
        finally:
            self._tell(export.tally, traffic)
            self._outcome.latency = export.latency.finish()
            take_failures(self._outcome, self._store)
        self._confirm(export.tally)
        return export.tally

    def restore(self, approvals: Approvals) -> None:
        """Gives back what a killed run took from objects for a moment, though nothing is sent."""
        if self._store.get(META_TEMPORARY) is None:
            return
        self._engines.begin()
        export, traffic = self._begin(approvals)
        try:
            export.restore()
        finally:
            self._tell(export.tally, traffic)
            self._outcome.changes = NO_CHANGES
        self._confirm(export.tally)

    def _progress(self, done: int, total: int) -> None:
        self._engines.beat()
        self._parts.progress("Export", done, total)

    def _begin(self, approvals: Approvals) -> tuple[Export, Traffic]:
        parts = self._parts
        learnt = self._store.get(META_BATCH_SIZE)
        traffic = Traffic(
            pacer=parts.pacer,
            size=BatchSize(
                parts.monotonic,
                start=START_OBJECTS if learnt is None else int(learnt),
                most=min(MOST_OBJECTS, parts.pacer.quota),
            ),
            max_links=self._max_links,
            cancelled=parts.cancelled,
            waiting=parts.waiting,
        )
        export = Export(
            parts.client,
            self._store,
            approvals,
            now=parts.clock,
            traffic=traffic,
            memberships=Memberships(self._store, whole=sends_lists(self._inputs)),
        )
        return export, traffic

    def _tell(self, tally: ExportTally, traffic: Traffic) -> None:
        take_tally(self._outcome, tally)
        self._outcome.pacing = pacing_of(traffic.pacer)
        self._store.put(META_BATCH_SIZE, str(traffic.size.objects))

    def _confirm(self, tally: ExportTally) -> None:
        if not tally.requests:
            return
        self._parts.progress("Confirm", 0, 1)
        self._parts.client.finalize_export(tally.successful + tally.error_count, tally.successful)
        self._engines.end()
        self._parts.progress("Confirm", 1, 1)
