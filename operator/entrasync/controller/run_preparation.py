"""What a run works from, or what it waits for."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field, replace

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.directory_sync import DirectorySync, SyncMode
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.snapshot import Snapshot, is_last
from entrasync.api.sync_run import RunMode, SyncRun
from entrasync.controller import nodes
from entrasync.controller.decide import ObservedSync, active_run, blocker, is_report
from entrasync.controller.deletion import last_run_problem
from entrasync.controller.lost_results import lost_runs
from entrasync.controller.observe import Observer
from entrasync.controller.references import account_problem, reference_problem
from entrasync.controller.resources import Resources
from entrasync.controller.run_jobs import RunJobs


@dataclass(slots=True, frozen=True)
class Waiting:
    """What a run waits for.

    Attributes:
        reason: for its conditions.
        message: in a sentence.
        in_vain: whether it can never start: it must not hold up those behind it.
        mode: what it will do; `None` where that is not known.
    """

    reason: str
    message: str
    in_vain: bool = False
    mode: RunMode | None = None


@dataclass(slots=True, frozen=True, kw_only=True)
class Prepared:
    """What a run works from.

    Attributes:
        snapshot: the resources.
        lost: names of earlier runs whose results nobody has read.
    """

    snapshot: Snapshot
    lost: list[str] = field(default_factory=list)


@dataclass(slots=True, frozen=True, kw_only=True)
class Preparation:
    """Finds out what runs work from.

    Attributes:
        resources: our kinds.
        observer: what a sync's runs rest on.
        jobs: Jobs and pods of runs.
    """

    resources: Resources
    observer: Observer
    jobs: RunJobs

    def prepare(self, run: SyncRun, now: dt.datetime) -> Prepared | Waiting:
        """What a run works from, or why it must wait."""
        namespace = run.metadata.namespace
        spec = run.spec
        if spec.directory_sync_ref is not None:
            return self._of_sync(run, spec.directory_sync_ref.name, now)
        if spec.entra_tenant_ref is not None:
            tenant = self.resources.get(EntraTenant, namespace, spec.entra_tenant_ref.name)
            if tenant is None:
                return _not_found("EntraTenant", spec.entra_tenant_ref.name)
            cloud = self.resources.get(AzureCloud, None, tenant.spec.cloud_ref.name)
            problem = reference_problem(tenant, cloud, self.resources.account_labels(tenant))
            if problem is not None:
                return Waiting(*problem)
            return Prepared(snapshot=_snapshot(run, tenant=tenant, cloud=cloud))
        name = spec.active_directory_ref.name if spec.active_directory_ref else ""
        directory = self.resources.get(ActiveDirectory, namespace, name)
        if directory is None:
            return _not_found("ActiveDirectory", name)
        return Prepared(snapshot=_snapshot(run, directories={name: directory}))

    def parts(self, run: SyncRun) -> Snapshot | None:
        """The resources a run of a sync names, as they are now; `None` when it names no sync."""
        ref = run.spec.directory_sync_ref
        if ref is None:
            return None
        sync = self.resources.get(DirectorySync, run.metadata.namespace, ref.name)
        return None if sync is None else _whole_snapshot(run, self.observer.observe(sync))

    def _of_sync(self, run: SyncRun, name: str, now: dt.datetime) -> Prepared | Waiting:
        sync = self.resources.get(DirectorySync, run.metadata.namespace, name)
        if sync is None:
            return _not_found("DirectorySync", name)
        found = self._of(sync, run, now)
        if isinstance(found, Waiting):
            return replace(found, mode=run.spec.mode or RunMode(str(sync.spec.mode)))
        return found

    def _of(self, sync: DirectorySync, run: SyncRun, now: dt.datetime) -> Prepared | Waiting:
        observed = self.observer.observe(sync)
        first = active_run(observed.runs)
        if first is not None and first.metadata.name != run.metadata.name:
            return Waiting("Queued", f"run {first.metadata.name} comes first")
        if not is_report(run):
            problem = _why_not(observed, run, now)
            if problem is not None:
                return problem
        busy = self._busy(run, observed, now)
        if busy is not None:
            return busy
        lost = lost_runs(observed.runs)
        if is_report(run):
            # it works from the state alone: neither Secrets nor an account come into its pod
            return Prepared(snapshot=_snapshot(run, sync=sync))
        return Prepared(snapshot=_whole_snapshot(run, observed), lost=lost)

    def _busy(self, run: SyncRun, observed: ObservedSync, now: dt.datetime) -> Waiting | None:
        """Whether something of another run of the sync may still be writing."""
        metadata = observed.sync.metadata
        namespace = metadata.namespace or ""
        pods = nodes.alive(self.jobs.pods_of_sync(namespace, metadata.name))
        lost = nodes.node_lost(pods, now)
        if lost is not None:
            return Waiting("NodeLost", lost)
        job = self.jobs.other_at_work(namespace, metadata.name, run, observed.runs)
        if job is not None:
            return Waiting("Queued", f"Job {job['metadata']['name']} has not ended yet")
        if pods:
            name = pods[0]["metadata"]["name"]
            return Waiting("Queued", f"pod {name} of an earlier run has not ended yet")
        return None


def _why_not(observed: ObservedSync, run: SyncRun, now: dt.datetime) -> Waiting | None:
    """What keeps a run of a sync from starting; `None` when it may."""
    sync = observed.sync
    if sync.metadata.deletion_timestamp:
        if not is_last(run, sync):
            return Waiting("Queued", "its DirectorySync is being deleted")
        hindered = last_run_problem(observed)
        return None if hindered is None else Waiting(*hindered)
    if run.spec.mode is RunMode.APPLY and sync.spec.mode is SyncMode.PREVIEW:
        return Waiting(
            "ModeNotAllowed",
            f"`spec.mode` Apply: DirectorySync {sync.metadata.name} is in mode Preview and owns no"
            " tenant; set its `spec.mode` to Apply, or make a run in mode Preview",
            in_vain=True,
        )
    if run.spec.mode is RunMode.PREVIEW:
        # any number may look ahead, whoever owns the tenant
        observed = replace(observed, claimed_by=None)
    problem = blocker(observed, now)
    # a check looks for what is amiss, but never at what another operator serves
    if problem is not None and (
        run.spec.mode is not RunMode.CHECK or problem.reason == "ClassMismatch"
    ):
        return Waiting(problem.reason, problem.message)
    if observed.tenant is None:
        return None
    # a check looks for what is amiss, but works under no account it may not use
    amiss = account_problem(observed.tenant, observed.account_labels)
    return None if amiss is None else Waiting(*amiss)


def _whole_snapshot(run: SyncRun, observed: ObservedSync) -> Snapshot:
    return Snapshot(
        run=run,
        sync=observed.sync,
        directories={} if is_last(run, observed.sync) else dict(observed.directories),
        tenant=observed.tenant,
        cloud=observed.cloud,
        config_maps={},
    )


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


def _not_found(kind: str, name: str) -> Waiting:
    return Waiting(
        "ReferenceNotFound", f"{kind} {name} does not exist; create it or correct the name"
    )
