"""Settings of the operator: what is read, what is the default, and what is refused."""

from __future__ import annotations

import pytest
from typing_extensions import override

from entrasync.controller.environment import VARIABLES, read_environment
from entrasync.errors import ConfigurationError

NEEDED = {"ENTRASYNC_RUNNER_IMAGE": "image:1", "POD_NAMESPACE": "entrasync-system"}


def test_defaults() -> None:
    found = read_environment(NEEDED, hostname=lambda: "host")
    assert found.lock_namespace == "entrasync-system"
    assert found.identity == "host"
    assert found.release == "entrasync"
    assert found.class_name == ""
    assert found.watch_namespaces == ()
    assert (found.health_port, found.metrics_port) == (8080, 8081)
    assert found.pull_policy == "IfNotPresent"


def test_everything_can_be_said() -> None:
    found = read_environment(
        {
            **NEEDED,
            "ENTRASYNC_RUNNER_PULL_POLICY": "Never",
            "ENTRASYNC_LOCK_NAMESPACE": "locks",
            "ENTRASYNC_CLASS_NAME": "blue",
            "ENTRASYNC_RELEASE": "release",
            "ENTRASYNC_HEALTH_PORT": "0",
            "ENTRASYNC_METRICS_PORT": "9100",
            "POD_NAME": "pod",
        },
        namespaces=["a", "b", "a"],
    )
    assert found.pull_policy == "Never"
    assert found.lock_namespace == "locks"
    assert found.class_name == "blue"
    assert found.release == "release"
    assert (found.health_port, found.metrics_port) == (0, 9100)
    assert found.identity == "pod"
    assert found.watch_namespaces == ("a", "b")


def test_an_argument_goes_before_a_variable() -> None:
    blue = {**NEEDED, "ENTRASYNC_CLASS_NAME": "blue"}
    assert read_environment(blue, class_name="green").class_name == "green"
    assert read_environment(blue, class_name="").class_name == ""


@pytest.mark.parametrize("name", sorted(NEEDED))
def test_what_is_needed_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is not set"):
        read_environment({key: value for key, value in NEEDED.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENTRASYNC_CLASS_NAME", "Blue"),
        ("ENTRASYNC_CLASS_NAME", "-blue"),
        ("ENTRASYNC_CLASS_NAME", "b" * 64),
        ("ENTRASYNC_HEALTH_PORT", "http"),
        ("ENTRASYNC_HEALTH_PORT", "-1"),
        ("ENTRASYNC_METRICS_PORT", "65536"),
        ("ENTRASYNC_METRICS_PORT", "²"),
    ],
)
def test_nonsense_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=name):
        read_environment({**NEEDED, name: value})


def test_every_variable_is_listed() -> None:
    names: set[str] = set()

    class Asked(dict[str, str]):
        @override
        def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]  # narrower on purpose
            names.add(name)
            return super().get(name, default)

    read_environment(Asked(NEEDED))
    assert names | {"POD_NAMESPACE", "ENTRASYNC_RUNNER_IMAGE"} == VARIABLES
