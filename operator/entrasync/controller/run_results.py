"""The end of a run, written onto everything it speaks of."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

import structlog

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.directory_sync import DirectorySync
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.result import CheckOutcome, EarlierResult, RunResult
from entrasync.api.sync_run import SyncRun
from entrasync.controller import lost_results, part_status, run_status
from entrasync.controller.decide import is_report
from entrasync.controller.harvest import Ending
from entrasync.controller.resources import Resources
from entrasync.controller.sync_status import sync_after_run

SYNC_GONE: Final = "ReferenceNotFound"
"""Why a run is ended that was started for a sync that is gone."""


@dataclass(slots=True, frozen=True, kw_only=True)
class RunResults:
    """Writes results.

    Attributes:
        resources: our kinds.
    """

    resources: Resources

    def end(self, run: SyncRun, ending: Ending, now: dt.datetime) -> dt.datetime | None:
        """Writes a result onto everything it speaks of, the run itself last.

        In this order a result that was only half written is written again.
        """
        result = ending.result
        after = run_status.run_ended(run, result, now, lost=ending.lost)
        ended = run.model_copy(update={"status": after})
        if not all(self._correct(run, earlier, now) for earlier in result.earlier):
            return now
        why = run_status.why_ended(run)
        is_of_sync = why is None or why.reason != SYNC_GONE
        if not self._write_parts(ended, result, now, is_of_sync=is_of_sync):
            return now
        if not self.resources.publish(run, run.status, after, now):
            return now
        self.resources.metrics.run_ended(ended, result)
        structlog.get_logger().info(
            "run_ended",
            namespace=run.metadata.namespace,
            run=run.metadata.name,
            phase=after.phase,
            reason=result.reason,
        )
        return None

    def _write_parts(
        self, run: SyncRun, result: RunResult, now: dt.datetime, *, is_of_sync: bool
    ) -> bool:
        """Statuses of sync, tenant and directories; false when one changed meanwhile.

        Args:
            run: as it ended.
            result: what it left.
            now: the time.
            is_of_sync: whether its sync is the one it was started for, not a later one of the name.
        """
        if is_report(run):
            return True
        namespace = run.metadata.namespace
        sync = None
        tenant_ref = run.spec.entra_tenant_ref
        directories = [run.spec.active_directory_ref] if run.spec.active_directory_ref else []
        if run.spec.directory_sync_ref is not None:
            sync = self.resources.get(DirectorySync, namespace, run.spec.directory_sync_ref.name)
            if sync is None:
                return True
            tenant_ref = sync.spec.target.entra_tenant_ref
            directories = [source.active_directory_ref for source in sync.spec.sources]
        parts: list[EntraTenant | ActiveDirectory | None] = []
        if tenant_ref is not None:
            parts.append(self.resources.get(EntraTenant, namespace, tenant_ref.name))
        for name in dict.fromkeys(each.name for each in directories):
            parts.append(self.resources.get(ActiveDirectory, namespace, name))
        written = True
        for part in parts:
            if part is not None:
                written &= self._write_part(part, run, result, now)
        if sync is not None and is_of_sync:
            after = sync_after_run(sync, run, result)
            written &= self.resources.write_status(sync, sync.status, after)
        return written

    def _write_part(
        self, part: EntraTenant | ActiveDirectory, run: SyncRun, result: RunResult, now: dt.datetime
    ) -> bool:
        before = part.status.model_copy(deep=True) if part.status else None
        part_status.apply_facts(result, part)
        if isinstance(part, EntraTenant):
            check = result.tenant_check
        else:
            check = result.check_of(part.metadata.name)
        is_own_check = run.spec.directory_sync_ref is None
        concerned = is_own_check or part_status.is_concerned(result, part)
        if check is None and result.outcome == "Failed" and concerned:
            check = CheckOutcome(ok=False, reason=result.reason, message=result.message)
        generation = (
            run_status.generation_of(run, part.metadata.generation)
            if is_own_check
            else part_status.generation_seen(part, run)
        )
        if check is not None and generation is not None:
            part_status.part_checked(part, check, generation, now)
        if part.status is None:
            return True
        return self.resources.publish(part, before, part.status, now)

    def _correct(self, run: SyncRun, earlier: EarlierResult, now: dt.datetime) -> bool:
        """Puts right what is written of an earlier run; false when that changed meanwhile."""
        other = self.resources.get(SyncRun, run.metadata.namespace, earlier.run)
        ref = run.spec.directory_sync_ref
        if other is None or ref is None or other.spec.directory_sync_ref != ref:
            return True
        after = lost_results.run_corrected(other, earlier)
        if after is None:
            return True
        sync = self.resources.get(DirectorySync, run.metadata.namespace, ref.name)
        if sync is not None:
            told = lost_results.sync_corrected(sync, earlier.run, after, earlier)
            if not self.resources.write_status(sync, sync.status, told):
                return False
        if not self.resources.publish(other, other.status, after, now):
            return False
        self.resources.metrics.run_corrected(other, lost_results.as_result(other, earlier))
        return True
