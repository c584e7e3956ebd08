"""What holds for the pods of all runs: read from the environment, put into pods."""

from __future__ import annotations

from dataclasses import replace

import pytest

from entrasync.controller.runner_settings import (
    RUNNER_VARIABLES,
    ConfigMapKey,
    RunnerSettings,
    read_runner_settings,
)
from entrasync.errors import ConfigurationError

ALL = {
    "ENTRASYNC_RUNNER_PULL_SECRETS": "registry,mirror.example",
    "ENTRASYNC_RUNNER_HTTPS_PROXY": "http://proxy.example:3128",
    "ENTRASYNC_RUNNER_NO_PROXY": ".svc,10.0.0.1",
    "ENTRASYNC_RUNNER_EXTRA_CA": "extra-ca/ca.crt",
}


def test_nothing_by_default() -> None:
    assert read_runner_settings({}) == RunnerSettings()
    assert read_runner_settings(dict.fromkeys(ALL, "")) == RunnerSettings()


def test_everything_can_be_said() -> None:
    assert set(ALL) == RUNNER_VARIABLES
    assert read_runner_settings(ALL) == RunnerSettings(
        pull_secrets=("registry", "mirror.example"),
        https_proxy="http://proxy.example:3128",
        no_proxy=".svc,10.0.0.1",
        extra_ca=ConfigMapKey(name="extra-ca", key="ca.crt"),
    )
    assert replace(read_runner_settings(ALL), extra_ca=None).extra_ca is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENTRASYNC_RUNNER_PULL_SECRETS", "No_Name"),
        ("ENTRASYNC_RUNNER_HTTPS_PROXY", "proxy.example:3128"),
        ("ENTRASYNC_RUNNER_HTTPS_PROXY", "socks5://proxy.example"),
        ("ENTRASYNC_RUNNER_HTTPS_PROXY", "http://"),
        ("ENTRASYNC_RUNNER_HTTPS_PROXY", "http://proxy.example:port"),
        ("ENTRASYNC_RUNNER_HTTPS_PROXY", "http://user:hidden@proxy.example"),
        ("ENTRASYNC_RUNNER_EXTRA_CA", "extra-ca"),
        ("ENTRASYNC_RUNNER_EXTRA_CA", "../ca/ca.crt"),
        ("ENTRASYNC_RUNNER_EXTRA_CA", "ca/.."),
        ("ENTRASYNC_RUNNER_EXTRA_CA", "ca/a/b"),
    ],
)
def test_nonsense_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name) as caught:
        read_runner_settings({name: value})
    assert "hidden" not in str(caught.value)
