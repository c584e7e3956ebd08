"""Every object the operator makes, as pure functions of what it is made for; but for snapshots."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.common import API_VERSION, Resource
from entrasync.api.directory_sync import DELETION_FINALIZER, DirectorySync
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.runner import AccessMode, Runner, Storage, StorageType
from entrasync.api.snapshot import Snapshot
from entrasync.api.sync_run import (
    GENERATION_ANNOTATION,
    RUN_LABEL,
    SYNC_LABEL,
    TRIGGER_LABEL,
    RunMode,
    RunScope,
    SyncRun,
    Trigger,
)
from entrasync.controller.environment import Environment
from entrasync.controller.inputs import INPUTS_ANNOTATION
from entrasync.controller.pods import CONTAINER, build_pod

MANAGED_BY: Final = {
    "app.kubernetes.io/managed-by": "entrasync",
    "app.kubernetes.io/part-of": "entrasync",
}
MANAGED_SELECTOR: Final = "app.kubernetes.io/managed-by=entrasync"
JOB_NAME_LENGTH: Final = 52
"""Pods of a Job get a suffix, and a label holds at most 63 characters."""
EXIT_CONFIGURATION: Final = 2
DEFAULT_DEADLINE_SECONDS: Final = 86_400
CHECK_DEADLINE_SECONDS: Final = 300
REPORT_DEADLINE_SECONDS: Final = 1_800
"""No run of the sync starts while a report is printed."""
TTL_SECONDS: Final = 86_400


def build_sync_run(
    sync: DirectorySync,
    name: str,
    trigger: Trigger,
    *,
    scope: RunScope | None = None,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """A SyncRun the operator makes for a DirectorySync.

    Args:
        sync: what it is a run of.
        name: its name.
        trigger: why it is made.
        scope: what it reads; `None` for what it finds necessary.
        annotations: what is kept on it besides.
    """
    spec: dict[str, Any] = {"directorySyncRef": {"name": sync.metadata.name}}
    if scope is not None:
        spec["scope"] = str(scope)
    return {
        "apiVersion": API_VERSION,
        "kind": "SyncRun",
        "metadata": {
            "name": name,
            "namespace": sync.metadata.namespace,
            "labels": {
                **MANAGED_BY,
                SYNC_LABEL: sync.metadata.name,
                TRIGGER_LABEL: str(trigger),
            },
            "annotations": {
                GENERATION_ANNOTATION: str(sync.metadata.generation),
                **(annotations or {}),
            },
            "ownerReferences": [owner_reference(sync)],
        },
        "spec": spec,
    }


def build_check(part: EntraTenant | ActiveDirectory, name: str) -> dict[str, Any]:
    """A SyncRun that checks a tenant or a directory on its own."""
    field = "entraTenantRef" if isinstance(part, EntraTenant) else "activeDirectoryRef"
    return {
        "apiVersion": API_VERSION,
        "kind": "SyncRun",
        "metadata": {
            "name": name,
            "namespace": part.metadata.namespace,
            "labels": {**MANAGED_BY, TRIGGER_LABEL: str(Trigger.CHECK)},
            "annotations": {GENERATION_ANNOTATION: str(part.metadata.generation)},
            "ownerReferences": [owner_reference(part)],
        },
        "spec": {field: {"name": part.metadata.name}, "mode": "Check"},
    }


def owner_reference(owner: Resource) -> dict[str, Any]:
    """The reference by which Kubernetes removes what belongs to an owner that is gone."""
    return {
        "apiVersion": API_VERSION,
        "kind": owner.kind,
        "name": owner.metadata.name,
        "uid": owner.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def job_name(run: SyncRun) -> str:
    """Name of a run's Job: the run's own, or a shortened one with a hash."""
    name = run.metadata.name.replace(".", "-")
    if len(name) <= JOB_NAME_LENGTH and name == run.metadata.name:
        return name
    digest = hashlib.sha256(run.metadata.name.encode()).hexdigest()[:8]
    return f"{name[: JOB_NAME_LENGTH - 9].rstrip('-')}-{digest}"


def claim_name(sync: DirectorySync) -> str:
    """Name of the claim that keeps the state of a sync."""
    return storage_of(sync).claim_name or f"entrasync-{sync.metadata.name}"


def build_claim(sync: DirectorySync) -> dict[str, Any] | None:
    """The claim that keeps state between runs; `None` when none is to be made."""
    storage = storage_of(sync)
    if storage.type is StorageType.EPHEMERAL or storage.claim_name is not None:
        return None
    spec: dict[str, Any] = {
        "accessModes": [str(storage.access_mode or AccessMode.READ_WRITE_ONCE_POD)],
        "resources": {"requests": {"storage": storage.size or "10Gi"}},
    }
    if storage.storage_class_name is not None:
        spec["storageClassName"] = storage.storage_class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": claim_name(sync),
            "namespace": sync.metadata.namespace,
            "labels": {**MANAGED_BY, SYNC_LABEL: sync.metadata.name},
            # that of a sync whose last run needs it is given to it when that is done
            "ownerReferences": (
                [] if DELETION_FINALIZER in sync.metadata.finalizers else [owner_reference(sync)]
            ),
        },
        "spec": spec,
    }


def build_job(
    run: SyncRun,
    snapshot: Snapshot,
    environment: Environment,
    *,
    config_map: str,
    inputs: str | None = None,
) -> dict[str, Any]:
    """The Job of a run: one pod without rights in Kubernetes, everything mounted as files.

    Args:
        run: what it is for.
        snapshot: what the run works from.
        environment: settings of the operator.
        config_map: name of the ConfigMap that holds the snapshot.
        inputs: digest of what the run works from.
    """
    runner = (snapshot.sync.spec.runner if snapshot.sync else None) or Runner()
    labels = run_labels(run)
    annotations = {RUN_LABEL: run.metadata.name}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(run),
            "namespace": run.metadata.namespace,
            "labels": labels,
            "annotations": annotations | ({} if inputs is None else {INPUTS_ANNOTATION: inputs}),
            "ownerReferences": [owner_reference(run)],
        },
        "spec": {
            # trying again is the operator's, with its own visible back-off
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": _deadline(run, snapshot, runner),
            "ttlSecondsAfterFinished": TTL_SECONDS,
            # a replacement starts only when the old pod is gone: never two writers
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "Ignore",
                        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
                    },
                    {
                        "action": "FailJob",
                        "onExitCodes": {
                            "containerName": CONTAINER,
                            "operator": "In",
                            "values": [EXIT_CONFIGURATION],
                        },
                    },
                ]
            },
            "template": {
                "metadata": {
                    "labels": {**(runner.pod_labels or {}), **labels},
                    "annotations": {**(runner.pod_annotations or {}), **annotations},
                },
                "spec": build_pod(
                    snapshot,
                    runner,
                    environment,
                    config_map=config_map,
                    claim=_kept_in(snapshot),
                ),
            },
        },
    }


def _deadline(run: SyncRun, snapshot: Snapshot, runner: Runner) -> int:
    """Seconds a run may take."""
    if run.spec.mode is RunMode.REPORT:
        return REPORT_DEADLINE_SECONDS
    if snapshot.sync is None:
        return CHECK_DEADLINE_SECONDS
    return runner.active_deadline_seconds or DEFAULT_DEADLINE_SECONDS


def _kept_in(snapshot: Snapshot) -> str | None:
    """The claim a run's state is kept in; `None` when it is not kept."""
    if snapshot.sync is None or storage_of(snapshot.sync).type is StorageType.EPHEMERAL:
        return None
    return claim_name(snapshot.sync)


def storage_of(sync: DirectorySync) -> Storage:
    """Where a sync keeps its state."""
    runner = sync.spec.runner
    return (runner.storage if runner else None) or Storage()


def run_labels(run: SyncRun) -> dict[str, str]:
    """Labels of everything that is made for a run."""
    labels = {**MANAGED_BY, RUN_LABEL: job_name(run)}
    if run.spec.directory_sync_ref is not None:
        labels[SYNC_LABEL] = run.spec.directory_sync_ref.name
    return labels
