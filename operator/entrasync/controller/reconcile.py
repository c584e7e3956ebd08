"""Level-triggered reconciling: read, decide, apply, write status.

Each function returns when it wants to be called again at the latest; `None` for not before
something changes. What they do may be done twice: names are deterministic, and "already there" is
fine.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

import structlog

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.directory_sync import DirectorySync, DirectorySyncStatus
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.result import CheckOutcome, RunResult
from entrasync.api.snapshot import Snapshot
from entrasync.api.sync_run import (
    REQUEST_ANNOTATION,
    RunMode,
    RunPhase,
    SyncRun,
    SyncRunStatus,
    Trigger,
)
from entrasync.controller import harvest, manifests, status
from entrasync.controller.claims import TenantClaims
from entrasync.controller.conditions import FALSE, TRUE, find
from entrasync.controller.decide import (
    Active,
    Blocked,
    ObservedSync,
    StartRun,
    Wait,
    active_run,
    blocker,
    cloud_problem,
    decide,
    due_time,
    is_checked,
    phase_of,
    runs_to_prune,
)
from entrasync.controller.durations import parse_time
from entrasync.controller.environment import Environment
from entrasync.controller.gateway import Gateway, core_path, job_path, resource_path
from entrasync.controller.resources import Resources
from entrasync.errors import ConfigurationError

CHECK_BACKOFF_FIRST: Final = dt.timedelta(minutes=1)
CHECK_BACKOFF_LONGEST: Final = dt.timedelta(minutes=30)
BIND_BACKOFF: Final = dt.timedelta(minutes=15)
"""A wrong password must not lock the account."""
QUEUE_LOOK: Final = dt.timedelta(seconds=10)
JOB_LOOK: Final = dt.timedelta(seconds=15)
START_PATIENCE: Final = dt.timedelta(minutes=3)
KEPT_CHECKS: Final = 2


@dataclass(slots=True, frozen=True, kw_only=True)
class Reconciler:
    """Reconciles every kind.

    Attributes:
        gateway: the API.
        resources: our kinds on top of it.
        claims: owners of tenants.
        environment: settings.
    """

    gateway: Gateway
    resources: Resources
    claims: TenantClaims
    environment: Environment

    # --- AzureCloud ------------------------------------------------------------------------

    def cloud(self, _: str | None, name: str, now: dt.datetime) -> dt.datetime | None:
        """Accepts a cloud."""
        cloud = self.resources.get(AzureCloud, None, name)
        if cloud is not None:
            self.resources.write_status(cloud, cloud.status, status.cloud_status(cloud, now))
        return None

    # --- EntraTenant and ActiveDirectory ---------------------------------------------------

    def tenant(self, namespace: str | None, name: str, now: dt.datetime) -> dt.datetime | None:
        """Checks a tenant when it is new, changed, asked for, or not usable."""
        tenant = self.resources.get(EntraTenant, namespace, name)
        if tenant is None or tenant.metadata.deletion_timestamp:
            return None
        before = tenant.status.model_copy(deep=True) if tenant.status else None
        cloud = self.resources.get(AzureCloud, None, tenant.spec.cloud_ref.name)
        problem = _reference_problem(tenant, cloud)
        if problem is not None:
            reason, message = problem
            stalled = reason != "ReferenceNotFound" or _missing_for_long(tenant, now)
            status.part_blocked(tenant, reason, message, stalled=stalled, now=now)
            self._write_part(tenant, before, now)
            return now + QUEUE_LOOK
        return self._check_part(tenant, before, now)

    def directory(self, namespace: str | None, name: str, now: dt.datetime) -> dt.datetime | None:
        """Checks a directory when it is new, changed, asked for, or not usable."""
        directory = self.resources.get(ActiveDirectory, namespace, name)
        if directory is None or directory.metadata.deletion_timestamp:
            return None
        before = directory.status.model_copy(deep=True) if directory.status else None
        return self._check_part(directory, before, now)

    def _check_part(
        self,
        part: EntraTenant | ActiveDirectory,
        before: object,
        now: dt.datetime,
    ) -> dt.datetime | None:
        runs = self._checks_of(part)
        if active_run(runs) is not None:
            status.part_checking(part, now)
            self._write_part(part, before, now)
            return now + JOB_LOOK
        due = _check_due(part, now)
        if due is None or due > now:
            self._prune_checks(runs)
            return due
        name = _check_name(part, now)
        path = resource_path("syncruns", part.metadata.namespace)
        self.gateway.create(path, manifests.build_check(part, name))
        status.part_checking(part, now)
        if part.status is not None:
            part.status.last_handled_request = _request_of(part)
        self._write_part(part, before, now)
        return now + JOB_LOOK

    def _checks_of(self, part: EntraTenant | ActiveDirectory) -> list[SyncRun]:
        found = []
        for run in self.resources.list(SyncRun, part.metadata.namespace):
            spec = run.spec
            ref = (
                spec.entra_tenant_ref
                if isinstance(part, EntraTenant)
                else spec.active_directory_ref
            )
            if ref is not None and ref.name == part.metadata.name:
                found.append(run)
        return found

    def _prune_checks(self, runs: list[SyncRun]) -> None:
        ended = [r for r in runs if status.was_ended(r) and status.trigger_of(r) == Trigger.CHECK]
        ended.sort(key=lambda run: run.metadata.creation_timestamp or "", reverse=True)
        for run in ended[KEPT_CHECKS:]:
            self.gateway.delete(
                resource_path("syncruns", run.metadata.namespace, run.metadata.name)
            )

    def _write_part(
        self, part: EntraTenant | ActiveDirectory, before: object, now: dt.datetime
    ) -> None:
        if part.status is None:
            return
        old = before if isinstance(before, type(part.status)) else None
        if self.resources.write_status(part, old, part.status):
            self.resources.tell(part, status.ready_changed(old, part.status), now)

    # --- DirectorySync ---------------------------------------------------------------------

    def sync(self, namespace: str | None, name: str, now: dt.datetime) -> dt.datetime | None:
        """Decides what a sync does next, and does it."""
        sync = self.resources.get(DirectorySync, namespace, name)
        if sync is None:
            return None
        observed = self.observe(sync)
        decision = decide(observed, now)
        if isinstance(decision, StartRun):
            path = resource_path("syncruns", namespace)
            made = self.gateway.create(
                path, manifests.build_sync_run(sync, decision.name, decision.trigger)
            )
            structlog.get_logger().info(
                "run_made",
                namespace=namespace,
                sync=name,
                run=decision.name,
                trigger=str(decision.trigger),
                new=made,
            )
        for run in runs_to_prune(observed):
            self.gateway.delete(resource_path("syncruns", namespace, run))
        due = _next_due(observed, now)
        after = status.sync_status(sync, decision, due, now)
        if isinstance(decision, StartRun) and decision.trigger is Trigger.ANNOTATION:
            after.last_handled_request = sync.metadata.annotations.get(REQUEST_ANNOTATION)
        if self.resources.write_status(sync, sync.status, after):
            self.resources.tell(sync, status.ready_changed(sync.status, after), now)
        match decision:
            case Wait(until):
                return until
            case Blocked():
                return now + QUEUE_LOOK
            case StartRun() | Active():
                return now + JOB_LOOK

    def observe(self, sync: DirectorySync) -> ObservedSync:
        """Everything a decision rests on; claims the tenant where that is wanted."""
        namespace = sync.metadata.namespace
        tenant = self.resources.get(EntraTenant, namespace, sync.spec.target.entra_tenant_ref.name)
        cloud = None
        claimed_by = None
        if tenant is not None:
            cloud = self.resources.get(AzureCloud, None, tenant.spec.cloud_ref.name)
        if tenant is not None and cloud is not None:
            claimed_by = self.claims.settle(sync, cloud, tenant)
        directories = {}
        for source in sync.spec.sources:
            wanted = source.active_directory_ref.name
            found = self.resources.get(ActiveDirectory, namespace, wanted)
            if found is not None:
                directories[wanted] = found
        runs = [
            run
            for run in self.resources.list(SyncRun, namespace)
            if run.spec.directory_sync_ref is not None
            and run.spec.directory_sync_ref.name == sync.metadata.name
        ]
        return ObservedSync(
            sync=sync,
            tenant=tenant,
            cloud=cloud,
            directories=directories,
            runs=runs,
            claimed_by=claimed_by,
        )

    # --- SyncRun ---------------------------------------------------------------------------

    def run(self, namespace: str | None, name: str, now: dt.datetime) -> dt.datetime | None:
        """Takes a run one step further: queue, start, watch, harvest."""
        run = self.resources.get(SyncRun, namespace, name)
        if run is None or run.metadata.deletion_timestamp or status.was_ended(run):
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
            self._write_run(run, status.run_waiting(run, mode, reason, message, now), now)
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
        self._write_run(run, status.run_started(run, mode, job["metadata"]["name"], now), now)
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
            problem = _reference_problem(tenant, cloud)
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
        observed = self.observe(sync)
        first = active_run(observed.runs)
        if first is not None and first.metadata.name != run.metadata.name:
            return None, ("Queued", f"run {first.metadata.name} comes first")
        problem = blocker(observed, now)
        if problem is not None and run.spec.mode is not RunMode.CHECK:
            return None, (problem.reason, problem.message)
        alive = [p for p in self._pods_of_sync(sync) if not harvest.pod_has_ended(p)]
        if alive:
            pod = alive[0]["metadata"]["name"]
            return None, ("Queued", f"pod {pod} of an earlier run has not ended yet")
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
            self._write_run(run, status.run_started(run, mode, name, now), now)
        elif stuck is not None and now - started > START_PATIENCE:
            self._write_run(run, status.run_waiting(run, mode, "JobCannotStart", stuck, now), now)
        return now + JOB_LOOK

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
        after = status.run_ended(run, result, now)
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
        """Statuses of sync, tenant and directory; false when one changed meanwhile."""
        namespace = run.metadata.namespace
        sync = None
        tenant_ref, directory_ref = run.spec.entra_tenant_ref, run.spec.active_directory_ref
        if run.spec.directory_sync_ref is not None:
            sync = self.resources.get(DirectorySync, namespace, run.spec.directory_sync_ref.name)
            if sync is None:
                return True
            tenant_ref = sync.spec.target.entra_tenant_ref
            directory_ref = sync.spec.sources[0].active_directory_ref
        parts: list[EntraTenant | ActiveDirectory | None] = []
        if tenant_ref is not None:
            parts.append(self.resources.get(EntraTenant, namespace, tenant_ref.name))
        if directory_ref is not None:
            parts.append(self.resources.get(ActiveDirectory, namespace, directory_ref.name))
        written = True
        for part in parts:
            if part is not None:
                written &= self._harvest_part(part, run, result, now)
        if sync is not None:
            after = status.sync_after_run(sync, run, result)
            written &= self.resources.write_status(sync, sync.status, after)
        return written

    def _harvest_part(
        self, part: EntraTenant | ActiveDirectory, run: SyncRun, result: RunResult, now: dt.datetime
    ) -> bool:
        before = part.status.model_copy(deep=True) if part.status else None
        if isinstance(part, EntraTenant):
            status.apply_facts(result, part, None)
            check, reasons = result.tenant_check, status.TENANT_REASONS
        else:
            status.apply_facts(result, None, part)
            check, reasons = result.directory_check, status.DIRECTORY_REASONS
        is_own_check = run.spec.directory_sync_ref is None
        concerned = is_own_check or result.resource == part.key or result.reason in reasons
        if check is None and result.outcome == "Failed" and concerned:
            check = CheckOutcome(ok=False, reason=result.reason, message=result.message)
        if check is not None:
            generation = part.metadata.generation
            if is_own_check:
                generation = status.generation_of(run, generation)
            status.part_checked(part, check, generation, now)
        if part.status is None:
            return True
        if not self.resources.write_status(part, before, part.status):
            return False
        self.resources.tell(part, status.ready_changed(before, part.status), now)
        return True

    def _write_run(self, run: SyncRun, after: SyncRunStatus, now: dt.datetime) -> None:
        if self.resources.write_status(run, run.status, after):
            self.resources.tell(run, status.ready_changed(run.status, after), now)

    def _pods(self, run: SyncRun) -> list[dict[str, Any]]:
        namespace = run.metadata.namespace or ""
        selector = f"batch.kubernetes.io/job-name={manifests.job_name(run)}"
        return self.gateway.list(core_path("pods", namespace), selector)

    def _pods_of_sync(self, sync: DirectorySync) -> list[dict[str, Any]]:
        namespace = sync.metadata.namespace or ""
        selector = f"{manifests.MANAGED_SELECTOR},entrasync.dev/sync={sync.metadata.name}"
        return self.gateway.list(core_path("pods", namespace), selector)


def _snapshot(
    run: SyncRun,
    *,
    tenant: EntraTenant | None = None,
    cloud: AzureCloud | None = None,
    directories: dict[str, ActiveDirectory] | None = None,
) -> Snapshot:
    return Snapshot(
        run=run,
        sync=None,
        directories=directories or {},
        tenant=tenant,
        cloud=cloud,
        config_maps={},
    )


def _not_found(kind: str, name: str) -> tuple[str, str]:
    return "ReferenceNotFound", f"{kind} {name} does not exist; create it or correct the name"


def _reference_problem(tenant: EntraTenant, cloud: AzureCloud | None) -> tuple[str, str] | None:
    if cloud is None:
        name = tenant.spec.cloud_ref.name
        return (
            "ReferenceNotFound",
            f"`spec.cloudRef`: AzureCloud {name} does not exist; see `kubectl get azurecloud`",
        )
    return cloud_problem(tenant, cloud)


def _missing_for_long(tenant: EntraTenant, now: dt.datetime) -> bool:
    ready = find(tenant.status.conditions, "Ready") if tenant.status else None
    if ready is None or ready.status != FALSE:
        return False
    since = parse_time(ready.last_transition_time)
    return since is not None and now - since >= dt.timedelta(minutes=10)


def _check_due(part: EntraTenant | ActiveDirectory, now: dt.datetime) -> dt.datetime | None:
    """When the next check is due; `None` for not before something changes."""
    if not is_checked(part) or part.status is None:
        return now
    if _request_of(part) not in {None, part.status.last_handled_request}:
        return now
    ready = find(part.status.conditions, "Ready")
    if ready is not None and ready.status == TRUE:
        return None
    last = parse_time(part.status.last_check_time) or now
    first = BIND_BACKOFF if ready and ready.reason == "BindRejected" else CHECK_BACKOFF_FIRST
    since = parse_time(ready.last_transition_time) if ready else None
    waited = max(last - since, dt.timedelta()) if since else dt.timedelta()
    # the wait grows with how long it has been so: doubling, up to half an hour
    return last + min(max(first, waited), max(first, CHECK_BACKOFF_LONGEST))


def _request_of(part: EntraTenant | ActiveDirectory) -> str | None:
    return part.metadata.annotations.get(REQUEST_ANNOTATION) or None


def _check_name(part: EntraTenant | ActiveDirectory, now: dt.datetime) -> str:
    kind = part.definition.short_names[0]
    name = part.metadata.name[:150]
    return f"{name}-check-{kind}-{part.metadata.generation}-{int(now.timestamp())}"


def _next_due(observed: ObservedSync, now: dt.datetime) -> dt.datetime | None:
    status_now = observed.sync.status or DirectorySyncStatus()
    if observed.sync.spec.suspend or status_now.last_run is None:
        return None
    try:
        return due_time(observed, now)
    except ConfigurationError:
        return None
