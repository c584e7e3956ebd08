"""What the chart tells the operator, by environment variables and arguments."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from entrasync.controller.runner_settings import (
    RUNNER_VARIABLES,
    RunnerSettings,
    read_runner_settings,
)
from entrasync.errors import ConfigurationError

RUNNER_IMAGE: Final = "ENTRASYNC_RUNNER_IMAGE"
RUNNER_PULL_POLICY: Final = "ENTRASYNC_RUNNER_PULL_POLICY"
LOCK_NAMESPACE: Final = "ENTRASYNC_LOCK_NAMESPACE"
CLASS_NAME: Final = "ENTRASYNC_CLASS_NAME"
RELEASE: Final = "ENTRASYNC_RELEASE"
HEALTH_PORT: Final = "ENTRASYNC_HEALTH_PORT"
METRICS_PORT: Final = "ENTRASYNC_METRICS_PORT"
CLOUDS_FOLDER: Final = "ENTRASYNC_CLOUDS"
POD_NAMESPACE: Final = "POD_NAMESPACE"
POD_NAME: Final = "POD_NAME"
VARIABLES: Final = frozenset(
    {
        RUNNER_IMAGE,
        RUNNER_PULL_POLICY,
        LOCK_NAMESPACE,
        CLASS_NAME,
        RELEASE,
        HEALTH_PORT,
        METRICS_PORT,
        POD_NAMESPACE,
        POD_NAME,
        CLOUDS_FOLDER,
        *RUNNER_VARIABLES,
    }
)
"""Every environment variable that is read; the chart sets no others."""
DEFAULT_HEALTH_PORT: Final = 8080
DEFAULT_METRICS_PORT: Final = 8081
HIGHEST_PORT: Final = 65_535
_DNS_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass(slots=True, frozen=True, kw_only=True)
class Environment:
    """Settings of the operator.

    Attributes:
        runner_image: image of the sync Jobs (`ENTRASYNC_RUNNER_IMAGE`).
        pull_policy: its pull policy (`ENTRASYNC_RUNNER_PULL_POLICY`, default `IfNotPresent`).
        lock_namespace: where the Leases of tenants lie (`ENTRASYNC_LOCK_NAMESPACE`, default
            `POD_NAMESPACE`); the same for all operators of a cluster.
        namespace: where the operator and its Lease of leadership are (`POD_NAMESPACE`).
        identity: name of this process for people (`POD_NAME`, default the host's name).
        release: what operators that stand by for each other have in common (`ENTRASYNC_RELEASE`,
            default `entrasync`).
        class_name: class of the objects it serves (`ENTRASYNC_CLASS_NAME` or `--class-name`); empty
            for objects without a class.
        watch_namespaces: namespaces it serves (`--namespace`); empty for all.
        health_port: of `/healthz` (`ENTRASYNC_HEALTH_PORT`, default 8080; 0 for one that is free).
        metrics_port: of `/metrics` (`ENTRASYNC_METRICS_PORT`, default 8081; 0 for none).
        clouds_folder: holds AzureClouds to apply beside the shipped ones (`ENTRASYNC_CLOUDS`).
        runner: what holds for the pods of all runs.
    """

    runner_image: str
    pull_policy: str
    lock_namespace: str
    namespace: str = ""
    identity: str = ""
    release: str = "entrasync"
    class_name: str = ""
    watch_namespaces: tuple[str, ...] = ()
    health_port: int = DEFAULT_HEALTH_PORT
    metrics_port: int = DEFAULT_METRICS_PORT
    clouds_folder: Path | None = None
    runner: RunnerSettings = field(default_factory=RunnerSettings)


def read_environment(
    variables: Mapping[str, str],
    *,
    namespaces: Sequence[str] = (),
    class_name: str | None = None,
    hostname: Callable[[], str] = socket.gethostname,
) -> Environment:
    """Reads the settings.

    Args:
        variables: environment variables.
        namespaces: arguments `--namespace`.
        class_name: argument `--class-name`, `None` when it was not given.
        hostname: the host's name.

    Raises:
        ConfigurationError: one that is needed is missing, or is not what it must be.
    """
    for name in (RUNNER_IMAGE, POD_NAMESPACE):
        if not variables.get(name):
            raise _wrong(name, "is not set; the chart sets it")
    chosen = variables.get(CLASS_NAME, "") if class_name is None else class_name
    if chosen and not _DNS_LABEL.fullmatch(chosen):
        raise _wrong(CLASS_NAME, f"must be a DNS label such as `blue`, not {chosen!r}")
    namespace = variables[POD_NAMESPACE]
    return Environment(
        runner_image=variables[RUNNER_IMAGE],
        pull_policy=variables.get(RUNNER_PULL_POLICY) or "IfNotPresent",
        lock_namespace=variables.get(LOCK_NAMESPACE) or namespace,
        namespace=namespace,
        identity=variables.get(POD_NAME) or hostname(),
        release=variables.get(RELEASE) or "entrasync",
        class_name=chosen,
        watch_namespaces=tuple(dict.fromkeys(namespaces)),
        health_port=_port(variables, HEALTH_PORT, DEFAULT_HEALTH_PORT),
        metrics_port=_port(variables, METRICS_PORT, DEFAULT_METRICS_PORT),
        clouds_folder=Path(variables[CLOUDS_FOLDER]) if variables.get(CLOUDS_FOLDER) else None,
        runner=read_runner_settings(variables),
    )


def _port(variables: Mapping[str, str], name: str, default: int) -> int:
    text = variables.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or int(text) > HIGHEST_PORT:
        raise _wrong(name, f"must be a port number from 0 to {HIGHEST_PORT}, not {text!r}")
    return int(text)


def _wrong(name: str, what: str) -> ConfigurationError:
    return ConfigurationError("ConfigurationInvalid", f"the environment variable {name} {what}")
