"""Every object the operator makes, as pure functions of what it is made for."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final

from entrasync.api.active_directory import ActiveDirectory, CaProviderType
from entrasync.api.common import API_VERSION, Resource
from entrasync.api.directory_sync import (
    AccessMode,
    DirectorySync,
    DirectorySyncStatus,
    Runner,
    Storage,
    StorageType,
)
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.snapshot import CONFIG_MAP_FOLDER, SNAPSHOT_FILE, Snapshot, dump_snapshot
from entrasync.api.sync_run import (
    GENERATION_ANNOTATION,
    RUN_LABEL,
    SYNC_LABEL,
    TRIGGER_LABEL,
    SyncRun,
    Trigger,
)
from entrasync.controller.environment import Environment

MANAGED_BY: Final = {
    "app.kubernetes.io/managed-by": "entrasync",
    "app.kubernetes.io/part-of": "entrasync",
}
MANAGED_SELECTOR: Final = "app.kubernetes.io/managed-by=entrasync"
JOB_NAME_LENGTH: Final = 52
"""Pods of a Job get a suffix, and a label holds at most 63 characters."""
RUNNER_USER: Final = 10001
CONTAINER: Final = "run"
CONFIG_PATH: Final = "/etc/entrasync/config"
SECRETS_PATH: Final = "/etc/entrasync/secrets"
STATE_PATH: Final = "/var/lib/entrasync"
EXIT_CONFIGURATION: Final = 2
DEFAULT_DEADLINE_SECONDS: Final = 86_400
CHECK_DEADLINE_SECONDS: Final = 300
TTL_SECONDS: Final = 86_400
DEFAULT_RESOURCES: Final = {"requests": {"cpu": "100m", "memory": "256Mi"}}


def build_sync_run(sync: DirectorySync, name: str, trigger: Trigger) -> dict[str, Any]:
    """A SyncRun the operator makes for a DirectorySync."""
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
            "annotations": {GENERATION_ANNOTATION: str(sync.metadata.generation)},
            "ownerReferences": [owner_reference(sync)],
        },
        "spec": {"directorySyncRef": {"name": sync.metadata.name}},
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
    return f"entrasync-{sync.metadata.name}"


def build_snapshot(run: SyncRun, snapshot: Snapshot) -> dict[str, Any]:
    """The immutable ConfigMap that holds what a run works from."""
    resources: list[Resource] = []
    if snapshot.cloud is not None:
        resources.append(snapshot.cloud.model_copy(update={"status": None}))
    if snapshot.tenant is not None:
        resources.append(snapshot.tenant.model_copy(update={"status": None}))
    resources += [d.model_copy(update={"status": None}) for d in snapshot.directories.values()]
    if snapshot.sync is not None:
        resources.append(_with_pins_only(snapshot.sync))
    resources.append(run.model_copy(update={"status": None}))
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": job_name(run),
            "namespace": run.metadata.namespace,
            "labels": _run_labels(run),
            "ownerReferences": [owner_reference(run)],
        },
        "immutable": True,
        "data": {SNAPSHOT_FILE: dump_snapshot([_bare(resource) for resource in resources])},
    }


def build_claim(sync: DirectorySync) -> dict[str, Any] | None:
    """The claim that keeps state between runs; `None` when it is not to be kept."""
    storage = _storage(sync)
    if storage.type is StorageType.EPHEMERAL:
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
            "ownerReferences": [owner_reference(sync)],
        },
        "spec": spec,
    }


def build_job(run: SyncRun, snapshot: Snapshot, environment: Environment) -> dict[str, Any]:
    """The Job of a run: one pod without rights in Kubernetes, everything mounted as files."""
    runner = (snapshot.sync.spec.runner if snapshot.sync else None) or Runner()
    deadline = runner.active_deadline_seconds or DEFAULT_DEADLINE_SECONDS
    labels = _run_labels(run)
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(run),
            "namespace": run.metadata.namespace,
            "labels": labels,
            "ownerReferences": [owner_reference(run)],
        },
        "spec": {
            # trying again is the operator's, with its own visible back-off
            "backoffLimit": 0,
            "completions": 1,
            "parallelism": 1,
            "activeDeadlineSeconds": deadline if snapshot.sync else CHECK_DEADLINE_SECONDS,
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
                "metadata": {"labels": labels},
                "spec": _pod(run, snapshot, runner, environment),
            },
        },
    }


def _pod(
    run: SyncRun, snapshot: Snapshot, runner: Runner, environment: Environment
) -> dict[str, Any]:
    resources = runner.resources
    volumes = [_config_volume(run, snapshot), *_secret_volumes(snapshot), _state_volume(snapshot)]
    return {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": RUNNER_USER,
            "runAsGroup": RUNNER_USER,
            "fsGroup": RUNNER_USER,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [
            {
                "name": CONTAINER,
                "image": environment.runner_image,
                "imagePullPolicy": environment.pull_policy,
                "args": [
                    "run",
                    "--config",
                    CONFIG_PATH,
                    "--secrets",
                    SECRETS_PATH,
                    "--state",
                    STATE_PATH,
                ],
                "env": [{"name": "ENTRASYNC_IN_JOB", "value": "1"}],
                "terminationMessagePolicy": "File",
                "securityContext": {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                },
                "resources": (
                    DEFAULT_RESOURCES
                    if resources is None
                    else resources.model_dump(by_alias=True, exclude_none=True)
                ),
                "volumeMounts": [
                    {"name": "config", "mountPath": CONFIG_PATH, "readOnly": True},
                    *(
                        {
                            "name": volume["name"],
                            "mountPath": f"{SECRETS_PATH}/{volume['secret']['secretName']}",
                            "readOnly": True,
                        }
                        for volume in _secret_volumes(snapshot)
                    ),
                    {"name": "state", "mountPath": STATE_PATH},
                    {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  - a volume of the pod's own
                ],
            }
        ],
        "volumes": [*volumes, {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}}],
    }


def _config_volume(run: SyncRun, snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot, and the ConfigMaps that hold CA certificates beside it."""
    sources: list[dict[str, Any]] = [{"configMap": {"name": job_name(run)}}]
    for directory in snapshot.directories.values():
        provider = directory.spec.ca_provider
        if provider is not None and provider.type is CaProviderType.CONFIG_MAP:
            path = f"{CONFIG_MAP_FOLDER}/{provider.name}/{provider.key}"
            items = [{"key": provider.key, "path": path}]
            sources.append({"configMap": {"name": provider.name, "items": items, "optional": True}})
    return {"name": "config", "projected": {"sources": sources}}


def _secret_volumes(snapshot: Snapshot) -> list[dict[str, Any]]:
    """One volume per Secret, with only the keys used.

    Optional, because a pod whose required Secret is missing waits without ever saying why; the run
    itself says `SecretNotFound` instead.
    """
    return [
        {
            "name": f"secret-{index}",
            "secret": {
                "secretName": name,
                "optional": True,
                "items": [{"key": key, "path": key} for key in sorted(keys)],
            },
        }
        for index, (name, keys) in enumerate(sorted(_used_secrets(snapshot).items()))
    ]


def _used_secrets(snapshot: Snapshot) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}

    def use(name: str, keys: Iterable[str]) -> None:
        found.setdefault(name, set()).update(keys)

    if snapshot.tenant is not None:
        application = snapshot.tenant.spec.application
        if application.certificate_secret_ref is not None:
            use(application.certificate_secret_ref.name, ("tls.crt", "tls.key"))
        if application.client_secret_secret_ref is not None:
            use(
                application.client_secret_secret_ref.name,
                (application.client_secret_secret_ref.key,),
            )
    for directory in snapshot.directories.values():
        use(directory.spec.bind_secret_ref.name, ("username", "password"))
        provider = directory.spec.ca_provider
        if provider is not None and provider.type is CaProviderType.SECRET:
            use(provider.name, (provider.key,))
    return found


def _state_volume(snapshot: Snapshot) -> dict[str, Any]:
    if snapshot.sync is None or _storage(snapshot.sync).type is StorageType.EPHEMERAL:
        return {"name": "state", "emptyDir": {}}
    claim = {"claimName": claim_name(snapshot.sync)}
    return {"name": "state", "persistentVolumeClaim": claim}


def _storage(sync: DirectorySync) -> Storage:
    runner = sync.spec.runner
    return (runner.storage if runner else None) or Storage()


def _run_labels(run: SyncRun) -> dict[str, str]:
    labels = {**MANAGED_BY, RUN_LABEL: job_name(run)}
    if run.spec.directory_sync_ref is not None:
        labels[SYNC_LABEL] = run.spec.directory_sync_ref.name
    return labels


def _with_pins_only(sync: DirectorySync) -> DirectorySync:
    """The containers pinned in the status survive a lost volume; the rest is no input."""
    pins = (sync.status or DirectorySyncStatus()).scopes
    status = DirectorySyncStatus(scopes=pins) if pins else None
    return sync.model_copy(update={"status": status})


def _bare(resource: Resource) -> Resource:
    """The resource without annotations, of which kubectl keeps a copy of everything."""
    metadata = resource.metadata.model_copy(update={"annotations": {}, "resource_version": ""})
    return resource.model_copy(update={"metadata": metadata})
