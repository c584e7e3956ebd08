"""What the chart tells the operator of the pods of all runs: credentials, proxy, trust."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from entrasync.errors import ConfigurationError

PULL_SECRETS: Final = "ENTRASYNC_RUNNER_PULL_SECRETS"
HTTPS_PROXY: Final = "ENTRASYNC_RUNNER_HTTPS_PROXY"
NO_PROXY: Final = "ENTRASYNC_RUNNER_NO_PROXY"
EXTRA_CA: Final = "ENTRASYNC_RUNNER_EXTRA_CA"
RUNNER_VARIABLES: Final = frozenset({PULL_SECRETS, HTTPS_PROXY, NO_PROXY, EXTRA_CA})
"""Every environment variable that is read here."""
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_KEY: Final = re.compile(r"[-._a-zA-Z0-9]{1,253}")


@dataclass(slots=True, frozen=True, kw_only=True)
class ConfigMapKey:
    """A key of a ConfigMap of the namespace a run is in."""

    name: str
    key: str


@dataclass(slots=True, frozen=True, kw_only=True)
class RunnerSettings:
    """What holds for the pods of all runs, whatever their syncs say.

    Attributes:
        pull_secrets: Secrets with credentials of the image's registry
            (`ENTRASYNC_RUNNER_PULL_SECRETS`, by commas); each namespace has its own of these names.
        https_proxy: URL of the proxy to the cloud (`ENTRASYNC_RUNNER_HTTPS_PROXY`); empty for none.
            Directories are asked without it.
        no_proxy: hosts, by commas, that are asked without it (`ENTRASYNC_RUNNER_NO_PROXY`).
        extra_ca: certificates to trust for the cloud beside the system's
            (`ENTRASYNC_RUNNER_EXTRA_CA`, `<ConfigMap>/<key>`).
    """

    pull_secrets: tuple[str, ...] = ()
    https_proxy: str = ""
    no_proxy: str = ""
    extra_ca: ConfigMapKey | None = None


def read_runner_settings(variables: Mapping[str, str]) -> RunnerSettings:
    """Reads them from environment variables.

    Raises:
        ConfigurationError: one is not what it must be; the value of a proxy is not repeated.
    """
    secrets = tuple(filter(None, variables.get(PULL_SECRETS, "").split(",")))
    if not all(map(_NAME.fullmatch, secrets)):
        raise _wrong(PULL_SECRETS, "must be names of Secrets, with commas between them")
    proxy = variables.get(HTTPS_PROXY, "")
    if proxy and not _is_proxy(proxy):
        raise _wrong(
            HTTPS_PROXY,
            "must be a URL such as `http://proxy.example:3128`, without user and password: all who"
            " may read pods could read them",
        )
    return RunnerSettings(
        pull_secrets=secrets,
        https_proxy=proxy,
        no_proxy=variables.get(NO_PROXY, ""),
        extra_ca=_config_map_key(variables.get(EXTRA_CA, "")),
    )


def _config_map_key(text: str) -> ConfigMapKey | None:
    if not text:
        return None
    name, _, key = text.partition("/")
    if not _NAME.fullmatch(name) or not _KEY.fullmatch(key) or key in {".", ".."}:
        raise _wrong(EXTRA_CA, f"must be `<ConfigMap>/<key>`, not {text!r}")
    return ConfigMapKey(name=name, key=key)


def _is_proxy(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc


def _wrong(name: str, what: str) -> ConfigurationError:
    return ConfigurationError("ConfigurationInvalid", f"the environment variable {name} {what}")
