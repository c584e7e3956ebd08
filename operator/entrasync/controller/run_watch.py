"""A run that was started: whether its pod starts, how far it is, and whether it gets anywhere."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import structlog

from entrasync.api.directory_sync import DirectorySync
from entrasync.api.sync_run import RunProgress, SyncRun
from entrasync.controller import nodes, run_status
from entrasync.controller.conditions import find
from entrasync.controller.decide import is_report
from entrasync.controller.durations import format_duration, parse_time
from entrasync.controller.gateway import ApiError, core_path
from entrasync.controller.manifests import claim_name
from entrasync.controller.progress import (
    LOG_LINES,
    idle_since,
    patience_of,
    plan_of,
    progress_of,
)
from entrasync.controller.queue import JOB_LOOK
from entrasync.controller.resources import Resources
from entrasync.controller.run_jobs import RunJobs
from entrasync.controller.starting import (
    SHORT_PATIENCE,
    Scene,
    cannot_start,
    created,
    has_started,
    newest,
    waiting_since,
)


@dataclass(slots=True, frozen=True)
class EndIt:
    """A run must not go on.

    Attributes:
        reason: for its conditions.
        message: why, and what to do.
    """

    reason: str
    message: str


@dataclass(slots=True, frozen=True, kw_only=True)
class RunWatcher:
    """Watches runs that were started.

    Attributes:
        jobs: Jobs and pods of runs.
        resources: our kinds.
    """

    jobs: RunJobs
    resources: Resources

    def watch(
        self,
        run: SyncRun,
        sync: DirectorySync | None,
        job: dict[str, Any],
        pods: list[dict[str, Any]],
        now: dt.datetime,
    ) -> dt.datetime | EndIt:
        """Tells how a run is; returns when to look again, or that it must be ended.

        Args:
            run: under way.
            sync: whose run it is; `None` for a check.
            job: its Job.
            pods: of the Job.
            now: the time.
        """
        lost = nodes.node_lost(pods, now)
        if lost is not None:
            return self._tell(run, "NodeLost", lost, now)
        pod = newest(pods)
        if pod is None or not has_started(pod):
            return self._await_start(run, sync, job, pods, now)
        if nodes.pod_has_ended(pod):
            # the Job has not ended: it makes another pod
            message = f"{_why_disrupted(pod)}; a new pod goes on with the run"
            self._is_fine(run, message, now, news=True)
            return now + JOB_LOOK
        return self._follow(run, sync, pod, now)

    def _await_start(
        self,
        run: SyncRun,
        sync: DirectorySync | None,
        job: dict[str, Any],
        pods: list[dict[str, Any]],
        now: dt.datetime,
    ) -> dt.datetime | EndIt:
        started = (parse_time(run.status.start_time) if run.status else None) or now
        waited = now - waiting_since(pods, started)
        if waited < SHORT_PATIENCE:
            return now + JOB_LOOK
        stuck = cannot_start(self._scene(sync, job, pods))
        patience = patience_of(sync)
        if waited > patience:
            pod = newest(pods)
            where = job["metadata"]["name"] if pod is None else pod["metadata"]["name"]
            why = stuck.message if stuck else f"nothing is told of {where} in its events"
            waited_for = format_duration(patience)
            return EndIt("JobCannotStart", f"its pod did not start within {waited_for}: {why}")
        if stuck is not None and waited >= stuck.patience:
            return self._tell(run, "JobCannotStart", stuck.message, now)
        return now + JOB_LOOK

    def _scene(
        self, sync: DirectorySync | None, job: dict[str, Any], pods: list[dict[str, Any]]
    ) -> Scene:
        """What is told of a run that does not start; read only once it takes long."""
        pod = newest(pods)
        if pod is None:
            return Scene(pods=pods, job_events=self.jobs.events_of(job))
        claim = None
        if sync is not None:
            path = core_path(
                "persistentvolumeclaims", sync.metadata.namespace or "", claim_name(sync)
            )
            claim = self.jobs.gateway.get(path)
        return Scene(
            pods=pods,
            pod_events=self.jobs.events_of(pod),
            claim=claim,
            claim_events=[] if claim is None else self.jobs.events_of(claim),
        )

    def _follow(
        self, run: SyncRun, sync: DirectorySync | None, pod: dict[str, Any], now: dt.datetime
    ) -> dt.datetime | EndIt:
        """Tells how far a run has come; seldom, because each telling is an event for others."""
        if is_report(run):
            # its log is the report, and tells nothing of progress
            self._is_fine(run, "its pod runs", now)
            return now + JOB_LOOK
        before = run.status.progress if run.status else None
        seen = parse_time(before.observed_time) if before else None
        if seen is not None and now - seen < JOB_LOOK:
            return now + JOB_LOOK
        name = pod["metadata"]["name"]
        try:
            log = self.jobs.gateway.log_of(run.metadata.namespace or "", name, LOG_LINES)
        except ApiError as error:
            # how far it is is worth knowing, but never worth leaving the run itself unattended
            structlog.get_logger().warning("run_log_unreadable", pod=name, error=error.message)
            if not nodes.is_unreachable(pod):
                return now + JOB_LOOK
            return _idle(run, sync, pod, before, now) or now + JOB_LOOK
        progress = progress_of(log, now, before) or before
        idle = _idle(run, sync, pod, progress, now)
        if idle is not None:
            return idle
        if self._is_fine(run, "its pod runs", now) and progress is not None:
            after = run_status.run_progressed(run, progress, plan_of(log))
            self.resources.write_status(run, run.status, after)
        return now + JOB_LOOK

    def _tell(self, run: SyncRun, reason: str, message: str, now: dt.datetime) -> dt.datetime:
        after = run_status.run_stuck(run, reason, message, now)
        self.resources.publish(run, run.status, after, now)
        return now + JOB_LOOK

    def _is_fine(self, run: SyncRun, message: str, now: dt.datetime, *, news: bool = False) -> bool:
        """Takes back what was wrong, or tells news; whether the run was fine as it was."""
        ready = find(run.status.conditions, "Ready") if run.status else None
        was_fine = ready is not None and ready.reason == "RunActive"
        if was_fine and not news:
            return True
        after = run_status.run_active(run, message, now)
        self.resources.publish(run, run.status, after, now)
        return False


def _idle(
    run: SyncRun,
    sync: DirectorySync | None,
    pod: dict[str, Any],
    progress: RunProgress | None,
    now: dt.datetime,
) -> EndIt | None:
    """Whether a run has gone too long without getting any further."""
    started = (parse_time(run.status.start_time) if run.status else None) or now
    begun = max(started, parse_time(created(pod)) or started)
    patience = patience_of(sync)
    if sync is None or now - idle_since(progress, begun) <= patience:
        return None
    where = "before its first stage"
    if progress is not None:
        total = "" if progress.total is None else f" of {progress.total}"
        where = f"at {progress.stage} {progress.done}{total}"
    return EndIt(
        "DeadlineExceeded",
        f"it did not get any further for {format_duration(patience)}"
        f" (`spec.runner.noProgressDeadline`), {where}; the log of pod"
        f" {pod['metadata']['name']} says more, and the next run goes on where this one stopped",
    )


def _why_disrupted(pod: dict[str, Any]) -> str:
    """What happened to a pod that its Job replaces."""
    name, status = pod["metadata"]["name"], pod.get("status", {})
    conditions = {each["type"]: each for each in status.get("conditions", [])}
    told = conditions.get("DisruptionTarget", {})
    said = status.get("message") or told.get("message") or told.get("reason") or "it ended early"
    return f"pod {name} was taken away ({str(said)[:300].rstrip('.')})"
