"""Runs: one SyncRun from the queue to its harvested result."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Final

from entrasync.api.directory_sync import DirectorySync
from entrasync.api.result import RunResult
from entrasync.api.sync_run import RunPhase, SyncRun
from entrasync.controller import nodes, run_status
from entrasync.controller.decide import phase_of
from entrasync.controller.durations import is_older
from entrasync.controller.environment import Environment
from entrasync.controller.gateway import Gateway, resource_path
from entrasync.controller.harvest import Ending, ending_of, run_has_ended
from entrasync.controller.observe import Observer
from entrasync.controller.queue import QUEUE_LOOK
from entrasync.controller.resources import Resources
from entrasync.controller.run_jobs import RunJobs, belongs_to, is_ours
from entrasync.controller.run_preparation import Preparation
from entrasync.controller.run_results import RunResults
from entrasync.controller.run_start import RunStarter
from entrasync.controller.run_watch import EndIt, RunWatcher
from entrasync.controller.starting import is_only_others, newest

SOON: Final = dt.timedelta(seconds=1)


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
        """Takes a run one step further: queue, start, watch, wind up, harvest."""
        run = self.resources.get(SyncRun, namespace, name)
        if run is None or run.metadata.deletion_timestamp or run_status.was_ended(run):
            return None
        if not self.resources.is_own(run):
            return None
        jobs = self._jobs()
        job = jobs.get(run)
        if job is not None and not belongs_to(job, run):
            return self._name_is_taken(run, job, now)
        if job is None and phase_of(run) is not RunPhase.RUNNING:
            if run.spec.cancel:
                return self._end(run, None, [], now)
            return self._starter().start(run, now)
        pods = jobs.pods(run)
        if run_has_ended(job, pods):
            return self._end(run, job, pods, now)
        last = newest(pods)
        if last is not None and is_only_others(last, now):
            return self._end_beside_others(run, job, pods, now)
        if run.spec.cancel or job is None or job["metadata"].get("deletionTimestamp"):
            return self._wind_up(run, job, pods, now)
        return self._watch(run, job, pods, now)

    def _watch(
        self, run: SyncRun, job: dict[str, Any], pods: list[dict[str, Any]], now: dt.datetime
    ) -> dt.datetime | None:
        """Looks after a run whose Job is there, and ends it where it gets nowhere."""
        if run.status is None or not run.status.start_time:
            return self._starter().adopt(run, job, now)
        ref = run.spec.directory_sync_ref
        sync = None
        if ref is not None:
            sync = self.resources.get(DirectorySync, run.metadata.namespace, ref.name)
            path = resource_path("directorysyncs", run.metadata.namespace, ref.name)
            is_gone = sync is None and self.gateway.get(path) is None
            made = job["metadata"].get("creationTimestamp")
            # or there is another one of its name
            if is_gone or (sync and is_older(made, sync.metadata.creation_timestamp)):
                message = f"its DirectorySync {ref.name} was deleted"
                return self._end_it(run, job, EndIt("ReferenceNotFound", message), now)
        watcher = RunWatcher(jobs=self._jobs(), resources=self.resources)
        seen = watcher.watch(run, sync, job, pods, now)
        return self._end_it(run, job, seen, now) if isinstance(seen, EndIt) else seen

    def _end_it(
        self, run: SyncRun, job: dict[str, Any], why: EndIt, now: dt.datetime
    ) -> dt.datetime:
        """Deletes a Job that must not go on; why is written first, so that it is known after."""
        after = run_status.run_stuck(run, why.reason, why.message, now)
        if self.resources.publish(run, run.status, after, now):
            self._jobs().delete(job)
        return now + SOON

    def _wind_up(
        self,
        run: SyncRun,
        job: dict[str, Any] | None,
        pods: list[dict[str, Any]],
        now: dt.datetime,
    ) -> dt.datetime | None:
        """Waits for the last pod of a run that is being ended: it tells what it has done."""
        if job is not None and not job["metadata"].get("deletionTimestamp"):
            self._jobs().delete(job)
            return now + SOON
        lost = nodes.node_lost(pods, now)
        if lost is not None and run.spec.cancel:
            return self._end(run, job, pods, now)
        (name, *_) = [each["metadata"]["name"] for each in nodes.alive(pods)]
        message = lost or f"it is being ended; pod {name} goes on to its next checkpoint"
        reason = "RunActive" if lost is None else "NodeLost"
        after = run_status.run_winding_up(run, reason, message, now)
        self.resources.publish(run, run.status, after, now)
        return now + QUEUE_LOOK

    def _name_is_taken(
        self, run: SyncRun, job: dict[str, Any], now: dt.datetime
    ) -> dt.datetime | None:
        """The Job of the run's name is not the run's."""
        name = job["metadata"]["name"]
        if is_ours(job):
            # of an earlier SyncRun of this name, as after a restore from a backup
            self._jobs().delete(job)
            message = f"Job {name} of an earlier SyncRun of this name is removed first"
            after = run_status.run_stuck(run, "JobCannotStart", message, now)
            self.resources.publish(run, run.status, after, now)
            return (
                now + SOON if job["metadata"].get("deletionTimestamp") is None else now + QUEUE_LOOK
            )
        message = (
            f"Job {name} is there already and was not made for this run; delete it, or make a"
            " SyncRun of another name"
        )
        failed = RunResult(outcome="Failed", reason="JobCannotStart", message=message)
        return self._results().end(run, Ending(result=failed), now)

    def _end_beside_others(
        self,
        run: SyncRun,
        job: dict[str, Any] | None,
        pods: list[dict[str, Any]],
        now: dt.datetime,
    ) -> dt.datetime | None:
        """The runner has ended, and a sidecar keeps its pod and its Job alive: they go."""
        due = self._end(run, job, pods, now)
        if due is None and job is not None:
            self._jobs().delete(job)
        return due

    def _end(
        self,
        run: SyncRun,
        job: dict[str, Any] | None,
        pods: list[dict[str, Any]],
        now: dt.datetime,
    ) -> dt.datetime | None:
        return self._results().end(run, ending_of(run, job, pods), now)

    def _jobs(self) -> RunJobs:
        return RunJobs(gateway=self.gateway)

    def _results(self) -> RunResults:
        return RunResults(resources=self.resources)

    def _starter(self) -> RunStarter:
        return RunStarter(
            gateway=self.gateway,
            resources=self.resources,
            observer=self.observer,
            environment=self.environment,
            preparation=Preparation(
                resources=self.resources, observer=self.observer, jobs=self._jobs()
            ),
            results=self._results(),
        )
