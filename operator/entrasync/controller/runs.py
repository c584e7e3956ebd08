"""Runs: one SyncRun from the queue to its harvested result."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

import structlog

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.directory_sync import DirectorySync
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.result import CheckOutcome, RunResult
from entrasync.api.snapshot import Snapshot
from entrasync.api.sync_run import RunMode, RunPhase, SyncRun, SyncRunStatus
from entrasync.controller import harvest, manifests, part_status, run_status
from entrasync.controller.conditions import ready_changed
from entrasync.controller.decide import ObservedSync, active_run, blocker, is_report, phase_of
from entrasync.controller.durations import parse_time
from entrasync.controller.environment import Environment
from entrasync.controller.gateway import ApiError, Gateway, core_path, job_path
from entrasync.controller.observe import Observer
from entrasync.controller.progress import LOG_LINES, plan_of, progress_of
from entrasync.controller.queue import JOB_LOOK, QUEUE_LOOK
from entrasync.controller.references import account_problem, reference_problem
from entrasync.controller.resources import Resources
from entrasync.controller.sync_status import sync_after_run

START_PATIENCE: Final = dt.timedelta(minutes=3)


@dataclass(slots=True, frozen=True, kw_only=True)
class RunReconciler:
    """Reconciles SyncRuns.

    Attributes:
        gateway: the API.
        resources: our kinds on top of it.
        observer: what a sync's runs rest on.
        environment: settings.
    """

    gateway: Gateway
    resources: Resources
    observer: Observer
    environment: Environment

    def run(self, namespace: str | None, name: str, now: dt.datetime) -> dt.datetime | None:
        """Takes a run one step further: queue, start, watch, harvest."""
        run = self.resources.get(SyncRun, namespace, name)
        if run is None or run.metadata.deletion_timestamp or run_status.was_ended(run):
            return None
        job = self.gateway.get(job_path(namespace or "", manifests.job_name(run)))
        if run.spec.cancel:
            return self._cancel(run, job, now)
        if job is None:
            if phase_of(run) is RunPhase.RUNNING:
                message = "its Job was deleted before it ended; the next run goes on"
                lost = RunResult(outcome="Failed", reason="RunFailed", message=message)
                return self._end(run, lost, now)
            return self._start(run, now)
        pods = self._pods(run)
        if harvest.job_has_ended(job):
            return self._end(run, harvest.result_of(job, pods), now)
        return self._watch(run, pods, now)

    def _start(self, run: SyncRun, now: dt.datetime) -> dt.datetime | None:
        mode = run.spec.mode or RunMode.APPLY
        snapshot, waiting = self._prepare(run, now)
        if snapshot is None or waiting is not None:
            reason, message = waiting or ("Queued", "")
            self._write_run(run, run_status.run_waiting(run, mode, reason, message, now), now)
            return now + QUEUE_LOOK
        if run.spec.mode is None and snapshot.sync is not None:
            mode = RunMode(str(snapshot.sync.spec.mode))
        namespace = run.metadata.namespace or ""
        if snapshot.sync is not None:
            claim = manifests.build_claim(snapshot.sync)
            if claim is not None:
                self.gateway.create(core_path("persistentvolumeclaims", namespace), claim)
        self.gateway.create(
            core_path("configmaps", namespace), manifests.build_snapshot(run, snapshot)
        )
        job = manifests.build_job(run, snapshot, self.environment)
        self.gateway.create(job_path(namespace), job)
        self._write_run(run, run_status.run_started(run, mode, job["metadata"]["name"], now), now)
        structlog.get_logger().info(
            "job_made", namespace=namespace, run=run.metadata.name, mode=str(mode)
        )
        return now + JOB_LOOK

    def _prepare(
        self, run: SyncRun, now: dt.datetime
    ) -> tuple[Snapshot | None, tuple[str, str] | None]:
        """What a run works from, or why it must wait."""
        namespace = run.metadata.namespace
        spec = run.spec
        if spec.directory_sync_ref is not None:
            return self._prepare_sync(run, spec.directory_sync_ref.name, now)
        if spec.entra_tenant_ref is not None:
            tenant = self.resources.get(EntraTenant, namespace, spec.entra_tenant_ref.name)
            if tenant is None:
                return None, _not_found("EntraTenant", spec.entra_tenant_ref.name)
            cloud = self.resources.get(AzureCloud, None, tenant.spec.cloud_ref.name)
            problem = reference_problem(tenant, cloud, self.resources.account_labels(tenant))
            return _snapshot(run, tenant=tenant, cloud=cloud), problem
        name = spec.active_directory_ref.name if spec.active_directory_ref else ""
        directory = self.resources.get(ActiveDirectory, namespace, name)
        if directory is None:
            return None, _not_found("ActiveDirectory", name)
        return _snapshot(run, directories={name: directory}), None

    def _prepare_sync(
        self, run: SyncRun, name: str, now: dt.datetime
    ) -> tuple[Snapshot | None, tuple[str, str] | None]:
        sync = self.resources.get(DirectorySync, run.metadata.namespace, name)
        if sync is None:
            return None, _not_found("DirectorySync", name)
        observed = self.observer.observe(sync)
        first = active_run(observed.runs)
        if first is not None and first.metadata.name != run.metadata.name:
            return None, ("Queued", f"run {first.metadata.name} comes first")
        if not is_report(run):
            problem = _why_not(observed, run, now)
            if problem is not None:
                return None, problem
        alive = [p for p in self._pods_of_sync(sync) if not harvest.pod_has_ended(p)]
        if alive:
            pod = alive[0]["metadata"]["name"]
            return None, ("Queued", f"pod {pod} of an earlier run has not ended yet")
        if is_report(run):
            # it works from the state alone: neither Secrets nor an account come into its pod
            return _snapshot(run, sync=sync), None
        return (
            Snapshot(
                run=run,
                sync=sync,
                directories=dict(observed.directories),
                tenant=observed.tenant,
                cloud=observed.cloud,
                config_maps={},
            ),
            None,
        )

    def _watch(
        self, run: SyncRun, pods: list[dict[str, Any]], now: dt.datetime
    ) -> dt.datetime | None:
        mode = RunMode(run.status.mode) if run.status and run.status.mode else RunMode.APPLY
        started = parse_time(run.status.start_time) if run.status else None
        stuck = harvest.cannot_start(pods)
        if started is None:
            # the Job was made, but an earlier attempt did not come as far as saying so
            name = manifests.job_name(run)
            self._write_run(run, run_status.run_started(run, mode, name, now), now)
        elif is_report(run) and stuck is None:
            pass  # its log is the report, and tells nothing of progress
        elif stuck is not None and now - started > START_PATIENCE:
            self._write_run(
                run, run_status.run_waiting(run, mode, "JobCannotStart", stuck, now), now
            )
        else:
            self._follow(run, pods, now)
        return now + JOB_LOOK

    def _follow(self, run: SyncRun, pods: list[dict[str, Any]], now: dt.datetime) -> None:
        """Tells how far the run has come; seldom, because each telling is an event for others."""
        before = run.status.progress if run.status else None
        seen = parse_time(before.observed_time) if before else None
        alive = [pod for pod in pods if not harvest.pod_has_ended(pod)]
        if not alive or (seen is not None and now - seen < JOB_LOOK):
            return
        name = max(alive, key=harvest.created)["metadata"]["name"]
        try:
            log = self.gateway.log_of(run.metadata.namespace or "", name, LOG_LINES)
        except ApiError as error:
            # how far it is is worth knowing, but never worth leaving the run itself unattended
            structlog.get_logger().warning("run_log_unreadable", pod=name, error=error.message)
            return
        progress = progress_of(log, now)
        if progress is not None:
            after = run_status.run_progressed(run, progress, plan_of(log))
            self.resources.write_status(run, run.status, after)

    def _cancel(
        self, run: SyncRun, job: dict[str, Any] | None, now: dt.datetime
    ) -> dt.datetime | None:
        if job is not None:
            self.gateway.delete(job_path(run.metadata.namespace or "", manifests.job_name(run)))
        result = RunResult(
            outcome="Cancelled", reason="Cancelled", message="cancelled by `spec.cancel`"
        )
        return self._end(run, result, now)

    def _end(self, run: SyncRun, result: RunResult, now: dt.datetime) -> dt.datetime | None:
        """Writes a result onto everything it speaks of, the run itself last.

        In this order a result that was only half written is written again.
        """
        after = run_status.run_ended(run, result, now)
        ended = run.model_copy(update={"status": after})
        if not self._harvest_parts(ended, result, now):
            return now
        self._write_run(run, after, now)
        structlog.get_logger().info(
            "run_ended",
            namespace=run.metadata.namespace,
            run=run.metadata.name,
            phase=after.phase,
            reason=result.reason,
        )
        return None

    def _harvest_parts(self, run: SyncRun, result: RunResult, now: dt.datetime) -> bool:
        """Statuses of sync, tenant and directories; false when one changed meanwhile."""
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
                written &= self._harvest_part(part, run, result, now)
        if sync is not None:
            after = sync_after_run(sync, run, result)
            written &= self.resources.write_status(sync, sync.status, after)
        return written

    def _harvest_part(
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
        if check is not None:
            generation = part.metadata.generation
            if is_own_check:
                generation = run_status.generation_of(run, generation)
            part_status.part_checked(part, check, generation, now)
        if part.status is None:
            return True
        if not self.resources.write_status(part, before, part.status):
            return False
        self.resources.tell(part, ready_changed(before, part.status), now)
        return True

    def _write_run(self, run: SyncRun, after: SyncRunStatus, now: dt.datetime) -> None:
        if self.resources.write_status(run, run.status, after):
            self.resources.tell(run, ready_changed(run.status, after), now)

    def _pods(self, run: SyncRun) -> list[dict[str, Any]]:
        namespace = run.metadata.namespace or ""
        selector = f"batch.kubernetes.io/job-name={manifests.job_name(run)}"
        return self.gateway.list(core_path("pods", namespace), selector)

    def _pods_of_sync(self, sync: DirectorySync) -> list[dict[str, Any]]:
        namespace = sync.metadata.namespace or ""
        selector = f"{manifests.MANAGED_SELECTOR},entrasync.dev/sync={sync.metadata.name}"
        return self.gateway.list(core_path("pods", namespace), selector)


def _why_not(observed: ObservedSync, run: SyncRun, now: dt.datetime) -> tuple[str, str] | None:
    """What keeps a run of a sync from starting; `None` when it may."""
    problem = blocker(observed, now)
    if problem is not None and run.spec.mode is not RunMode.CHECK:
        return problem.reason, problem.message
    if observed.tenant is None:
        return None
    # a check looks for what is amiss, but works under no account it may not use
    return account_problem(observed.tenant, observed.account_labels)


def _snapshot(
    run: SyncRun,
    *,
    sync: DirectorySync | None = None,
    tenant: EntraTenant | None = None,
    cloud: AzureCloud | None = None,
    directories: dict[str, ActiveDirectory] | None = None,
) -> Snapshot:
    return Snapshot(
        run=run,
        sync=sync,
        directories=directories or {},
        tenant=tenant,
        cloud=cloud,
        config_maps={},
    )


def _not_found(kind: str, name: str) -> tuple[str, str]:
    return "ReferenceNotFound", f"{kind} {name} does not exist; create it or correct the name"
