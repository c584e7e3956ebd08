"""What is still at work for a DirectorySync: Jobs and pods that have not ended."""

from __future__ import annotations

from entrasync.api.sync_run import SYNC_LABEL
from entrasync.controller.gateway import Gateway, core_path, job_path
from entrasync.controller.harvest import job_has_ended, pod_has_ended
from entrasync.controller.manifests import MANAGED_SELECTOR


def work_left(gateway: Gateway, namespace: str, sync: str) -> str | None:
    """A half sentence about a Job or pod of a sync that has not ended; `None` when none is left.

    A Job counts as soon as it is made: its pod may come at any moment.
    """
    selector = f"{MANAGED_SELECTOR},{SYNC_LABEL}={sync}"
    for job in gateway.list(job_path(namespace), selector):
        if not job_has_ended(job):
            return f"its Job {job['metadata']['name']} has not ended yet"
    for pod in gateway.list(core_path("pods", namespace), selector):
        if not pod_has_ended(pod):
            return f"its pod {pod['metadata']['name']} has not ended yet"
    return None
