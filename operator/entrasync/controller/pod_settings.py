"""What holds for the pods of all runs, put into one: registry, proxy, trust."""

from __future__ import annotations

from typing import Any, Final

from entrasync.api.snapshot import EXTRA_CA_VARIABLE
from entrasync.controller.runner_settings import RunnerSettings

EXTRA_CA_PATH: Final = "/etc/entrasync/extra-ca"
EXTRA_CA_VOLUME: Final = "extra-ca"


def with_settings(pod: dict[str, Any], settings: RunnerSettings) -> dict[str, Any]:
    """The pod with the settings of the operator; what is not set leaves it as it is.

    Args:
        pod: specification of a pod with one container, which is changed.
        settings: what holds for all runs.
    """
    (container,) = pod["containers"]
    environment = {"HTTPS_PROXY": settings.https_proxy, "NO_PROXY": settings.no_proxy}
    container["env"] += [
        {"name": name, "value": value} for name, value in environment.items() if value
    ]
    if settings.extra_ca is not None:
        name, key = settings.extra_ca.name, settings.extra_ca.key
        folder = f"{EXTRA_CA_PATH}/{name}"
        container["env"].append({"name": EXTRA_CA_VARIABLE, "value": f"{folder}/{key}"})
        container["volumeMounts"].append(
            {"name": EXTRA_CA_VOLUME, "mountPath": folder, "readOnly": True}
        )
        # optional as the Secrets are: the run says that it is missing, a waiting pod would not
        source = {"name": name, "optional": True, "items": [{"key": key, "path": key}]}
        pod["volumes"].append({"name": EXTRA_CA_VOLUME, "configMap": source})
    if settings.pull_secrets:
        pod["imagePullSecrets"] = [{"name": name} for name in settings.pull_secrets]
    return pod
