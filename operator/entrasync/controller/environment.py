"""What the chart tells the operator, by environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from entrasync.errors import ConfigurationError


@dataclass(slots=True, frozen=True, kw_only=True)
class Environment:
    """Settings of the operator.

    Attributes:
        runner_image: image of the sync Jobs (`ENTRASYNC_RUNNER_IMAGE`).
        pull_policy: its pull policy (`ENTRASYNC_RUNNER_PULL_POLICY`).
        lock_namespace: where Leases lie (`ENTRASYNC_LOCK_NAMESPACE`, default `POD_NAMESPACE`).
    """

    runner_image: str
    pull_policy: str
    lock_namespace: str


def read_environment(variables: Mapping[str, str]) -> Environment:
    """Reads the settings.

    Raises:
        ConfigurationError: one that is needed is missing.
    """
    image = variables.get("ENTRASYNC_RUNNER_IMAGE", "")
    namespace = variables.get("ENTRASYNC_LOCK_NAMESPACE") or variables.get("POD_NAMESPACE", "")
    for name, value in (("ENTRASYNC_RUNNER_IMAGE", image), ("POD_NAMESPACE", namespace)):
        if not value:
            raise ConfigurationError(
                "RunFailed", f"the environment variable {name} is not set; the chart sets it"
            )
    return Environment(
        runner_image=image,
        pull_policy=variables.get("ENTRASYNC_RUNNER_PULL_POLICY", "IfNotPresent"),
        lock_namespace=namespace,
    )
