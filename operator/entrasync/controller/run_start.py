"""The start of a run: what it works from, its claim, its ConfigMap and its Job."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import structlog

from entrasync.api.result import RunResult
from entrasync.api.snapshot import Snapshot, dump_snapshot
from entrasync.api.sync_run import RunMode, SyncRun
from entrasync.controller import manifests, remedies, run_status, snapshots
from entrasync.controller.conditions import unready_for
from entrasync.controller.environment import Environment
from entrasync.controller.gateway import ApiError, Gateway, job_path
from entrasync.controller.harvest import Ending
from entrasync.controller.inputs import INPUTS_ANNOTATION, inputs_of
from entrasync.controller.observe import Observer
from entrasync.controller.progress import patience_of
from entrasync.controller.queue import JOB_LOOK, QUEUE_LOOK
from entrasync.controller.resources import Resources
from entrasync.controller.run_preparation import Preparation, Waiting
from entrasync.controller.run_results import RunResults
from entrasync.controller.snapshots import keep_snapshot, size_problem
from entrasync.controller.storage import settle_storage

REFUSED_LOOK: Final = dt.timedelta(seconds=30)
"""When what the API server refused is tried again."""
TERMINATING_LOOK: Final = dt.timedelta(minutes=1)
"""When a namespace that is being deleted is looked at again: nothing can be made in it."""
_NOT_FOUND: Final = 404
_INVALID: Final = 422


@dataclass(slots=True, frozen=True, kw_only=True)
class RunStarter:
    """Starts runs.

    Attributes:
        gateway: the API.
        resources: our kinds on top of it.
        observer: what a sync's runs rest on.
        environment: settings.
        preparation: finds out what a run works from.
        results: writes how a run ends that can never start.
    """

    gateway: Gateway
    resources: Resources
    observer: Observer
    environment: Environment
    preparation: Preparation
    results: RunResults

    def start(self, run: SyncRun, now: dt.datetime) -> dt.datetime | None:
        """Makes the Job of a run whose turn it is."""
        prepared = self.preparation.prepare(run, now)
        if isinstance(prepared, Waiting):
            if prepared.in_vain:
                return self._fail(run, prepared.reason, prepared.message, now)
            return self._wait(run, prepared, now)
        snapshot, lost = prepared.snapshot, prepared.lost
        try:
            return self._make(run, snapshot, lost, now)
        except ApiError as error:
            return self._refused(run, snapshot, error, now)

    def adopt(self, run: SyncRun, job: dict[str, Any], now: dt.datetime) -> dt.datetime | None:
        """Goes on with a Job that an earlier attempt made, and did not come to tell of."""
        prepared = self.preparation.parts(run)
        mode = _mode_of(run, prepared)
        if mode is RunMode.APPLY and prepared is not None and not self._owns(prepared):
            return self._taken_away(run, job["metadata"]["name"], now)
        inputs = (job["metadata"].get("annotations") or {}).get(INPUTS_ANNOTATION)
        return self._started(run, mode, job["metadata"]["name"], inputs, "", now)

    def _make(
        self, run: SyncRun, snapshot: Snapshot, lost: Sequence[str], now: dt.datetime
    ) -> dt.datetime | None:
        note = ""
        if snapshot.sync is not None:
            storage = settle_storage(self.gateway, snapshot.sync)
            if storage.problem is not None:
                return self._wait(run, Waiting(*storage.problem), now)
            note = storage.note
        config_map = snapshots.build_snapshot(run, snapshot, lost)
        problem = size_problem(config_map, _sizes(run, snapshot))
        if problem is not None:
            return self._fail(run, *problem, now)
        unusable = keep_snapshot(self.gateway, config_map)
        if unusable is not None:
            return self._stuck(run, snapshot, unusable, now)
        inputs = _inputs_of(snapshot)
        job = manifests.build_job(
            run,
            snapshot,
            self.environment,
            config_map=config_map["metadata"]["name"],
            inputs=inputs,
        )
        if not self.gateway.create(job_path(run.metadata.namespace or ""), job):
            return now  # made meanwhile: it is looked at as any Job is
        mode = _mode_of(run, snapshot)
        name = job["metadata"]["name"]
        if mode is RunMode.APPLY and not self._owns(snapshot):
            return self._taken_away(run, name, now)
        structlog.get_logger().info(
            "job_made", namespace=run.metadata.namespace, run=run.metadata.name, mode=str(mode)
        )
        return self._started(run, mode, name, inputs, note, now)

    def _started(
        self,
        run: SyncRun,
        mode: RunMode,
        job: str,
        inputs: str | None,
        note: str,
        now: dt.datetime,
    ) -> dt.datetime:
        after = run_status.run_started(run, mode, job, now, inputs=inputs, note=note)
        written = self.resources.publish(run, run.status, after, now)
        return now + JOB_LOOK if written else now

    def _owns(self, snapshot: Snapshot) -> bool:
        """Whether the tenant is still this sync's, now that whoever takes it can see the Job."""
        sync, cloud, tenant = snapshot.sync, snapshot.cloud, snapshot.tenant
        if sync is None or cloud is None or tenant is None:
            return True
        return self.observer.claims.owns(sync, cloud, tenant)

    def _taken_away(self, run: SyncRun, job: str, now: dt.datetime) -> dt.datetime:
        """Another sync took the tenant while a Job was being made: the Job goes again."""
        self.gateway.delete(job_path(run.metadata.namespace or "", job))
        message = "another DirectorySync took the tenant over; this run waits"
        return self._wait(run, Waiting("TenantClaimed", message), now)

    def _wait(self, run: SyncRun, waiting: Waiting, now: dt.datetime) -> dt.datetime:
        mode = waiting.mode or run.spec.mode or RunMode.APPLY
        after = run_status.run_waiting(run, mode, waiting.reason, waiting.message, now)
        self.resources.publish(run, run.status, after, now)
        return now + QUEUE_LOOK

    def _refused(
        self, run: SyncRun, snapshot: Snapshot, error: ApiError, now: dt.datetime
    ) -> dt.datetime | None:
        """The API server did not take an object: why, and whether to try again."""
        if error.status == _NOT_FOUND or remedies.in_ending_namespace(error):
            # the run goes with its namespace, and nothing is wrong with it
            structlog.get_logger().debug("namespace_ends", namespace=run.metadata.namespace)
            return now + TERMINATING_LOOK
        if error.status == _INVALID:
            return self._fail(run, "JobCannotStart", remedies.refused(error.message), now)
        if not remedies.is_not_let(error):
            raise error
        return self._stuck(run, snapshot, remedies.refused(error.message), now)

    def _stuck(
        self, run: SyncRun, snapshot: Snapshot, message: str, now: dt.datetime
    ) -> dt.datetime | None:
        """Tries for a while, and ends the run then: it must not hold the others for ever."""
        unready = unready_for(run.status.conditions, now) if run.status else dt.timedelta()
        if unready > patience_of(snapshot.sync):
            return self._fail(run, "JobCannotStart", message, now)
        after = run_status.run_stuck(run, "JobCannotStart", message, now)
        self.resources.publish(run, run.status, after, now)
        return now + REFUSED_LOOK

    def _fail(
        self, run: SyncRun, reason: str, message: str, now: dt.datetime
    ) -> dt.datetime | None:
        failed = RunResult(outcome="Failed", reason=reason, message=message)
        return self.results.end(run, Ending(result=failed), now)


def _mode_of(run: SyncRun, snapshot: Snapshot | None) -> RunMode:
    if run.spec.mode is not None:
        return run.spec.mode
    if snapshot is None or snapshot.sync is None:
        return RunMode.APPLY
    return RunMode(str(snapshot.sync.spec.mode))


def _inputs_of(snapshot: Snapshot) -> str | None:
    if snapshot.sync is None:
        return None
    return inputs_of(snapshot.sync, snapshot.tenant, snapshot.cloud, snapshot.directories)


def _sizes(run: SyncRun, snapshot: Snapshot) -> dict[str, int]:
    """Bytes of each resource in a snapshot."""
    return {
        each.key: len(dump_snapshot([each]).encode())
        for each in snapshots.snapshot_documents(run, snapshot)
    }
