"""What the Job controller and the kubelets do, step by step, over a cluster in memory."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entrasync.api.result import RunResult
from entrasync.controller.durations import format_time
from entrasync.controller.gateway import Manifest
from tests.support.memory_cluster import NAMESPACE, Cluster, job_at, owner_of, pod_at

NODE = "node-1"
DISRUPTED: Mapping[str, Any] = {
    "type": "DisruptionTarget",
    "status": "True",
    "reason": "EvictionByEvictionAPI",
    "message": "Eviction API: evicting",
}


@dataclass(slots=True)
class Jobs:
    """The controllers that turn Jobs into pods, for one cluster.

    Attributes:
        cluster: where the Jobs are.
        made: pods that were made.
    """

    cluster: Cluster
    made: int = 0

    def make_pods(self) -> None:
        """Makes the pod of each Job that wants one; the next one only when the last has ended."""
        for job in self.cluster.made_jobs():
            metadata = job["metadata"]
            if metadata.get("deletionTimestamp") or self._over(job):
                continue
            if any(not _ended(pod) for pod in self.pods(metadata["name"])):
                continue
            self.made += 1
            name = f"{metadata['name']}-{self.made:05d}"
            template = job["spec"]["template"]
            self.cluster.put(
                pod_at(name),
                {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {
                        "name": name,
                        "labels": {
                            **template["metadata"]["labels"],
                            "batch.kubernetes.io/job-name": metadata["name"],
                        },
                        "ownerReferences": [owner_of(job)],
                    },
                    "spec": template["spec"],
                    "status": {"phase": "Pending"},
                },
            )
            self.cluster.change(job_at(metadata["name"]), {"status": {"active": 1}})

    def pods(self, job: str) -> list[Manifest]:
        """Pods of a Job, the oldest first."""
        return [
            pod
            for pod in self.cluster.of_kind("Pod")
            if pod["metadata"]["labels"].get("batch.kubernetes.io/job-name") == job
        ]

    def start(self, job: str) -> str:
        """The newest pod of a Job runs; returns its name."""
        self.make_pods()
        name: str = self.pods(job)[-1]["metadata"]["name"]
        running = {
            "name": "run",
            "state": {"running": {"startedAt": format_time(self.cluster.now)}},
        }
        self.cluster.change(
            pod_at(name),
            {
                "spec": {"nodeName": NODE},
                "status": {"phase": "Running", "containerStatuses": [running]},
            },
        )
        return name

    def progress(self, pod: str, *lines: str) -> None:
        """A pod writes into its log."""
        key = f"{NAMESPACE}/{pod}"
        self.cluster.logs[key] = "\n".join([self.cluster.logs.get(key, ""), *lines])

    def end(
        self,
        job: str,
        result: RunResult | str = "",
        *,
        code: int = 0,
        reason: str = "",
        disrupted: bool = False,
    ) -> None:
        """The newest pod of a Job ends, and the Job with it unless the pod was disrupted."""
        name = self.pods(job)[-1]["metadata"]["name"]
        message = result if isinstance(result, str) else result.to_message()
        ended = {
            "exitCode": code,
            "reason": reason or ("Error" if code else "Completed"),
            "message": message,
            "finishedAt": format_time(self.cluster.now + dt.timedelta(seconds=self.made)),
        }
        status: dict[str, Any] = {
            "phase": "Failed" if code else "Succeeded",
            "containerStatuses": [{"name": "run", "state": {"terminated": ended}}],
        }
        if disrupted:
            status["conditions"] = [DISRUPTED]
        self.cluster.change(pod_at(name), {"status": status})
        if job_at(job) not in self.cluster.objects:
            return
        if disrupted:
            self.cluster.change(job_at(job), {"status": {"active": 0}})
        elif code:
            self.fail(job, "BackoffLimitExceeded")
        else:
            self._finish(job, {"type": "Complete", "status": "True"})

    def fail(self, job: str, reason: str) -> None:
        """A Job ends as failed."""
        self._finish(job, {"type": "Failed", "status": "True", "reason": reason})

    def _finish(self, job: str, condition: Mapping[str, str]) -> None:
        status = {"active": 0, "conditions": [condition]}
        self.cluster.change(job_at(job), {"status": status})

    def _over(self, job: Manifest) -> bool:
        return bool(job.get("status", {}).get("conditions"))


def _ended(pod: Manifest) -> bool:
    return pod["status"]["phase"] in {"Succeeded", "Failed"}
