"""The pod of a run: no rights in Kubernetes, everything mounted as files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from entrasync.api.active_directory import CaProviderType
from entrasync.api.runner import Runner
from entrasync.api.snapshot import (
    CONFIG_MAP_FOLDER,
    TOKEN_AUDIENCE,
    TOKEN_FILE_VARIABLE,
    Snapshot,
)
from entrasync.controller.environment import Environment
from entrasync.controller.pod_settings import with_settings

RUNNER_USER: Final = 10001
CONTAINER: Final = "run"
CONFIG_PATH: Final = "/etc/entrasync/config"
SECRETS_PATH: Final = "/etc/entrasync/secrets"
STATE_PATH: Final = "/var/lib/entrasync"
IDENTITY_PATH: Final = "/var/run/secrets/entrasync.dev/workload-identity"
IDENTITY_FILE: Final = "token"
IDENTITY_VOLUME: Final = "workload-identity"
TOKEN_SECONDS: Final = 3600
"""How long a token of the pod's ServiceAccount lasts; the kubelet renews it long before."""
GRACE_SECONDS: Final = 300
"""How long a runner that is asked to end may take to come to its next checkpoint: most calls of the
service are answered by then. What is cut off is found out by the next run."""
DEFAULT_RESOURCES: Final = {"requests": {"cpu": "100m", "memory": "256Mi"}}


def build_pod(
    snapshot: Snapshot,
    runner: Runner,
    environment: Environment,
    *,
    config_map: str,
    claim: str | None,
) -> dict[str, Any]:
    """The pod of a run, without rights in Kubernetes.

    Args:
        snapshot: what the run works from.
        runner: what its sync wants of the pod.
        environment: settings of the operator.
        config_map: name of the ConfigMap that holds the snapshot.
        claim: name of the claim that keeps the state; `None` when it is not kept.
    """
    resources = runner.resources
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
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
        "volumes": [
            _config_volume(config_map, snapshot),
            *_secret_volumes(snapshot),
            _state_volume(claim),
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
    }
    return _with_identity(with_settings(_placed(pod, runner), environment.runner), snapshot)


def _placed(pod: dict[str, Any], runner: Runner) -> dict[str, Any]:
    """The pod with what its sync says of where it may run."""
    wanted = runner.model_dump(
        mode="json",
        by_alias=True,
        exclude_none=True,
        include={"node_selector", "tolerations", "affinity", "priority_class_name"},
    )
    return {**pod, **wanted}


def _with_identity(pod: dict[str, Any], snapshot: Snapshot) -> dict[str, Any]:
    """The pod under the ServiceAccount that proves the tenant's application, where one does.

    It gets a token for Entra only, none for Kubernetes.
    """
    if snapshot.tenant is None or snapshot.tenant.spec.application.workload_identity is None:
        return pod
    identity = snapshot.tenant.spec.application.workload_identity
    (container,) = pod["containers"]
    path = f"{IDENTITY_PATH}/{IDENTITY_FILE}"
    container["env"].append({"name": TOKEN_FILE_VARIABLE, "value": path})
    container["volumeMounts"].append(
        {"name": IDENTITY_VOLUME, "mountPath": IDENTITY_PATH, "readOnly": True}
    )
    token = {"audience": TOKEN_AUDIENCE, "expirationSeconds": TOKEN_SECONDS, "path": IDENTITY_FILE}
    source = {"serviceAccountToken": token}
    pod["volumes"].append({"name": IDENTITY_VOLUME, "projected": {"sources": [source]}})
    return {"serviceAccountName": identity.service_account_name, **pod}


def _config_volume(config_map: str, snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot, and the ConfigMaps that hold CA certificates beside it."""
    sources: list[dict[str, Any]] = [{"configMap": {"name": config_map}}]
    # directories may share one; a path may be named once only
    used: dict[tuple[str, str], None] = {}
    for directory in snapshot.directories.values():
        provider = directory.spec.ca_provider
        if provider is not None and provider.type is CaProviderType.CONFIG_MAP:
            used[provider.name, provider.key] = None
    for name, key in used:
        items = [{"key": key, "path": f"{CONFIG_MAP_FOLDER}/{name}/{key}"}]
        sources.append({"configMap": {"name": name, "items": items, "optional": True}})
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
        if directory.spec.bind_secret_ref is not None:
            use(directory.spec.bind_secret_ref.name, ("username", "password"))
        if directory.spec.keytab_secret_ref is not None:
            use(directory.spec.keytab_secret_ref.name, (directory.spec.keytab_secret_ref.key,))
        provider = directory.spec.ca_provider
        if provider is not None and provider.type is CaProviderType.SECRET:
            use(provider.name, (provider.key,))
    return found


def _state_volume(claim: str | None) -> dict[str, Any]:
    if claim is None:
        return {"name": "state", "emptyDir": {}}
    return {"name": "state", "persistentVolumeClaim": {"claimName": claim}}
