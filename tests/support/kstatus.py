"""How kstatus judges a resource, by its published rules for custom resources.

They are those of `sigs.k8s.io/cli-utils/pkg/kstatus`, which Flux, Helm and kpt wait with.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """What kstatus makes of a resource."""

    IN_PROGRESS = "InProgress"
    FAILED = "Failed"
    CURRENT = "Current"
    TERMINATING = "Terminating"


def status_of(resource: Mapping[str, Any]) -> Status:
    """The status of a resource with its metadata, in the order in which kstatus looks."""
    metadata, status = resource.get("metadata", {}), resource.get("status") or {}
    if metadata.get("deletionTimestamp"):
        return Status.TERMINATING
    generation, observed = metadata.get("generation"), status.get("observedGeneration")
    if generation is not None and observed is not None and generation != observed:
        return Status.IN_PROGRESS
    conditions = status.get("conditions", [])
    for condition in conditions:
        if condition["status"] == "True" and condition["type"] == "Reconciling":
            return Status.IN_PROGRESS
        if condition["status"] == "True" and condition["type"] == "Stalled":
            return Status.FAILED
    for condition in conditions:
        if condition["type"] == "Ready" and condition["status"] in {"True", "False", "Unknown"}:
            good = condition["status"] == "True"
            return Status.CURRENT if good else Status.IN_PROGRESS
    return Status.CURRENT
