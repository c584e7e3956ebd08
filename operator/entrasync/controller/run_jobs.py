"""Which Job and pods belong to which run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from entrasync.api.sync_run import RUN_LABEL, SYNC_LABEL, SyncRun
from entrasync.controller.durations import is_older
from entrasync.controller.gateway import Gateway, core_path, job_path
from entrasync.controller.harvest import job_has_ended
from entrasync.controller.manifests import MANAGED_BY, MANAGED_SELECTOR, job_name
from entrasync.controller.run_status import was_ended
from entrasync.controller.starting import created


def name_of_job(run: SyncRun) -> str:
    """Name of a run's Job, as it was when the Job was made."""
    return (run.status.job_name if run.status else None) or job_name(run)


def belongs_to(job: dict[str, Any], run: SyncRun) -> bool:
    """Whether a Job was made for this very run, not for another one of its name."""
    owners = job["metadata"].get("ownerReferences", [])
    return any(owner["uid"] == run.metadata.uid for owner in owners)


def is_ours(job: dict[str, Any]) -> bool:
    """Whether a Job was made by an operator of entrasync."""
    labels = job["metadata"].get("labels") or {}
    return MANAGED_BY.items() <= labels.items() and RUN_LABEL in labels


@dataclass(slots=True, frozen=True, kw_only=True)
class RunJobs:
    """Reads and deletes Jobs of runs.

    Attributes:
        gateway: the API.
    """

    gateway: Gateway

    def get(self, run: SyncRun) -> dict[str, Any] | None:
        """The Job of the name of a run's Job."""
        return self.gateway.get(job_path(run.metadata.namespace or "", name_of_job(run)))

    def pods(self, run: SyncRun) -> list[dict[str, Any]]:
        """The pods of a run's Job, those it has left included.

        One that is older than the run is of an earlier SyncRun of its name, and so is its result.
        """
        selector = f"batch.kubernetes.io/job-name={name_of_job(run)}"
        found = self.gateway.list(core_path("pods", run.metadata.namespace or ""), selector)
        made = run.metadata.creation_timestamp
        return [pod for pod in found if not is_older(created(pod), made)]

    def pods_of_sync(self, namespace: str, sync: str) -> list[dict[str, Any]]:
        """The pods of all runs of a sync."""
        return self.gateway.list(core_path("pods", namespace), _of_sync(sync))

    def events_of(self, found: dict[str, Any]) -> list[dict[str, Any]]:
        """Events about an object."""
        metadata = found["metadata"]
        return self.gateway.list(
            core_path("events", metadata["namespace"]),
            fields={"involvedObject.uid": metadata["uid"]},
        )

    def delete(self, job: dict[str, Any]) -> None:
        """Deletes a Job, its pods first."""
        metadata = job["metadata"]
        if not metadata.get("deletionTimestamp"):
            path = job_path(metadata["namespace"], metadata["name"])
            self.gateway.delete(path, uid=metadata["uid"])

    def other_at_work(
        self, namespace: str, sync: str, run: SyncRun, runs: Sequence[SyncRun]
    ) -> dict[str, Any] | None:
        """A Job of another run of a sync that has not ended.

        It counts as soon as it is made: its pod may come at any moment. One that nobody waits for
        is deleted: its SyncRun is gone or has ended without it.
        """
        waited_for = {each.metadata.uid for each in runs if not was_ended(each)}
        for job in self.gateway.list(job_path(namespace), _of_sync(sync)):
            if job_has_ended(job) or belongs_to(job, run):
                continue
            owners = {owner["uid"] for owner in job["metadata"].get("ownerReferences", [])}
            if not owners & waited_for:
                self.delete(job)
            return job
        return None


def _of_sync(sync: str) -> str:
    return f"{MANAGED_SELECTOR},{SYNC_LABEL}={sync}"
