"""From a finished Job to a result. Pure: the Job and its pods in, a RunResult out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from entrasync.api.result import RunResult
from entrasync.controller.pods import CONTAINER

_JOB_REASONS = {
    "DeadlineExceeded": (
        "DeadlineExceeded",
        (
            "the run took longer than it may: `spec.runner.activeDeadlineSeconds`, a report half an"
            " hour; raise it, the next run goes on where this one stopped"
        ),
    ),
}


def job_has_ended(job: dict[str, Any]) -> bool:
    """Whether a Job is over: only `Complete` and `Failed` say so, and only once no pod is left."""
    status = job.get("status", {})
    ended = any(
        condition["type"] in {"Complete", "Failed"} and condition["status"] == "True"
        for condition in status.get("conditions", [])
    )
    return ended and not status.get("active") and not status.get("terminating")


def result_of(job: dict[str, Any], pods: Sequence[dict[str, Any]]) -> RunResult:
    """The result a Job's pod left, or what the Job's own end tells when there is none."""
    for pod in sorted(pods, key=created, reverse=True):
        found = RunResult.from_message(_termination_message(pod))
        if found is not None:
            return found
    for condition in job.get("status", {}).get("conditions", []):
        if condition["type"] == "Failed" and condition.get("reason") in _JOB_REASONS:
            reason, message = _JOB_REASONS[condition["reason"]]
            return RunResult(outcome="Failed", reason=reason, message=message)
    return RunResult(
        outcome="Failed",
        reason="RunFailed",
        message="the pod of the run ended without a result; its log says more, and the next run"
        " goes on where this one stopped",
    )


def cannot_start(pods: Sequence[dict[str, Any]]) -> str | None:
    """Why a pod does not start, in Kubernetes' own words; `None` while nothing is wrong."""
    for pod in pods:
        status = pod.get("status", {})
        for condition in status.get("conditions", []):
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                return str(condition.get("message", "the pod cannot be scheduled"))
        for container in status.get("containerStatuses", []):
            waiting = container.get("state", {}).get("waiting", {})
            if waiting.get("reason", "ContainerCreating") not in {
                "ContainerCreating",
                "PodInitializing",
            }:
                return f"{waiting['reason']}: {waiting.get('message', '')}".strip()
    return None


def pod_has_ended(pod: dict[str, Any]) -> bool:
    """Whether nothing of a pod can still write."""
    return pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}


def _termination_message(pod: dict[str, Any]) -> str:
    for container in pod.get("status", {}).get("containerStatuses", []):
        if container.get("name") == CONTAINER:
            ended = container.get("state", {}).get("terminated", {})
            return str(ended.get("message", ""))
    return ""


def created(pod: dict[str, Any]) -> str:
    """When a pod was made, in a form that sorts."""
    return str(pod.get("metadata", {}).get("creationTimestamp", ""))
