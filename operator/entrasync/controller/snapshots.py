"""The snapshot of a run in its ConfigMap.

It is named by a digest of what it holds. A killed attempt leaves one that the next attempt either
finds again, or does not meet at all: what a pod runs from is what its Job was made from. And who
may create ConfigMaps, but no syncs, cannot put one of his own in its place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

from entrasync.api.common import Resource
from entrasync.api.directory_sync import DirectorySync, DirectorySyncStatus
from entrasync.api.entra_tenant import EntraTenant, EntraTenantStatus
from entrasync.api.snapshot import SNAPSHOT_FILE, Snapshot, dump_snapshot
from entrasync.api.sync_run import LOST_RESULTS_ANNOTATION, RUN_LABEL, SyncRun
from entrasync.controller.gateway import Gateway, core_path
from entrasync.controller.manifests import job_name, owner_reference, run_labels

MOST_BYTES: Final = 1_000_000
"""A ConfigMap holds 1 MiB, its metadata not counted."""


def build_snapshot(run: SyncRun, snapshot: Snapshot, lost: Sequence[str] = ()) -> dict[str, Any]:
    """The immutable ConfigMap that holds what a run works from, named by what it holds.

    Args:
        run: that works from it.
        snapshot: what it works from.
        lost: names of earlier runs whose results nobody has read.
    """
    documents = snapshot_documents(run, snapshot, lost)
    text = dump_snapshot(documents)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"{job_name(run)}-{digest}",
            "namespace": run.metadata.namespace,
            "labels": run_labels(run),
            "annotations": {RUN_LABEL: run.metadata.name},
            "ownerReferences": [owner_reference(run)],
        },
        "immutable": True,
        "data": {SNAPSHOT_FILE: text},
    }


def snapshot_documents(
    run: SyncRun, snapshot: Snapshot, lost: Sequence[str] = ()
) -> list[Resource]:
    """The resources a run works from; arguments as of `build_snapshot`."""
    resources: list[Resource] = []
    if snapshot.cloud is not None:
        resources.append(snapshot.cloud.model_copy(update={"status": None}))
    if snapshot.tenant is not None:
        resources.append(_with_last_export_only(snapshot.tenant))
    resources += [d.model_copy(update={"status": None}) for d in snapshot.directories.values()]
    if snapshot.sync is not None:
        resources.append(_with_pins_only(snapshot.sync))
    resources.append(run.model_copy(update={"status": None}))
    bare = [_bare(resource) for resource in resources]
    if lost:
        metadata = bare[-1].metadata
        metadata.annotations[LOST_RESULTS_ANNOTATION] = ",".join(lost)
    return bare


def size_problem(config_map: dict[str, Any], sizes: dict[str, int]) -> tuple[str, str] | None:
    """Reason and message when a snapshot does not fit into a ConfigMap. Pure.

    Args:
        config_map: as it would be made.
        sizes: bytes of each resource in it, by `Kind/name`.
    """
    size = len(config_map["data"][SNAPSHOT_FILE].encode())
    if size <= MOST_BYTES:
        return None
    largest = max(sizes, key=lambda key: sizes[key])
    return (
        "SnapshotTooLarge",
        (
            f"what this run works from takes {size} bytes, and a ConfigMap holds {MOST_BYTES};"
            f" {largest} is the largest part with {sizes[largest]}: keep certificates in a"
            " ConfigMap named by `spec.caProvider` instead of `caBundle`, or shorten filters and"
            " flows"
        ),
    )


def keep_snapshot(gateway: Gateway, config_map: dict[str, Any]) -> str | None:
    """Creates the ConfigMap; what is wrong with one that is there already, else `None`.

    Raises:
        ApiError: it cannot be made.
    """
    namespace, name = config_map["metadata"]["namespace"], config_map["metadata"]["name"]
    if gateway.create(core_path("configmaps", namespace), config_map):
        return None
    found = gateway.get(core_path("configmaps", namespace, name))
    if found is None:
        return f"ConfigMap {name} went away while it was looked at"
    if found.get("data") == config_map["data"] and found.get("immutable"):
        return None
    return f"ConfigMap {name} is not what this run works from; delete it"


def _with_pins_only(sync: DirectorySync) -> DirectorySync:
    """The containers pinned in the status survive a lost volume; the rest is no input."""
    pins = (sync.status or DirectorySyncStatus()).scopes
    status = DirectorySyncStatus(scopes=pins) if pins else None
    return sync.model_copy(update={"status": status})


def _with_last_export_only(tenant: EntraTenant) -> EntraTenant:
    """What was exported last survives a lost volume, and a sync that is deleted and made again."""
    known = tenant.status.last_export if tenant.status else None
    status = EntraTenantStatus(last_export=known) if known else None
    return tenant.model_copy(update={"status": status})


def _bare(resource: Resource) -> Resource:
    """The resource without annotations, of which kubectl keeps a copy of everything."""
    metadata = resource.metadata.model_copy(update={"annotations": {}, "resource_version": ""})
    return resource.model_copy(update={"metadata": metadata})
