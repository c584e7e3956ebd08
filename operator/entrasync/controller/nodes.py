"""Pods whose node does not answer any more. Pure.

The operator reads no nodes. A kubelet ends a pod within the pod's grace period, by force if need
be, and `deletionTimestamp` is when that ends: a pod that is still there long after it has a node
that does not answer. Whether its process lives on nobody can know, so nothing may take its place.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

from entrasync.controller.durations import parse_time

PATIENCE: Final = dt.timedelta(minutes=10)
"""How long after its end a pod may still be there: volumes are detached meanwhile."""


def pod_has_ended(pod: dict[str, Any]) -> bool:
    """Whether nothing of a pod can still write."""
    return pod.get("status", {}).get("phase") in {"Succeeded", "Failed"}


def alive(pods: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pods of which something may still write."""
    return [pod for pod in pods if not pod_has_ended(pod)]


def node_lost(pods: Sequence[dict[str, Any]], now: dt.datetime) -> str | None:
    """Which node does not answer, and what to do; `None` where none is known to be lost."""
    for pod in alive(pods):
        until = parse_time(pod["metadata"].get("deletionTimestamp"))
        node = pod.get("spec", {}).get("nodeName")
        if until is None or not node or now - until < PATIENCE:
            continue
        return (
            f"node {node} does not answer: pod {pod['metadata']['name']} should have ended at"
            f" {pod['metadata']['deletionTimestamp']}, and may still be writing. It goes on by"
            " itself when the node is back. Where the machine is off for good:"
            f" `kubectl taint nodes {node} node.kubernetes.io/out-of-service=x:NoExecute` or"
            f" `kubectl delete node {node}`"
        )
    return None


def is_unreachable(pod: dict[str, Any]) -> bool:
    """Whether the control plane says of a running pod that its node is not ready."""
    status = pod.get("status", {})
    ready = {each["type"]: each["status"] for each in status.get("conditions", [])}.get("Ready")
    return status.get("phase") == "Unknown" or (
        status.get("phase") == "Running" and ready == "False"
    )
