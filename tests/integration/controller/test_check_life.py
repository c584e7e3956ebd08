"""Checks on a real API server: an operator of its own, the real Job controller, pods by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from entrasync.api.result import CheckOutcome, RunResult
from tests.support import samples
from tests.support.control_plane import ControlPlane, eventually
from tests.support.kube import Kube, Manifest
from tests.support.kubelet import Kubelet
from tests.support.operator_process import OperatorProcess

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]
NAME = "contoso"


def verdict(reason: str) -> RunResult:
    good = reason == "Accepted"
    check = CheckOutcome(ok=good, reason=reason, message=f"{reason} it is")
    return RunResult(
        outcome="Succeeded" if good else "Failed",
        reason=reason,
        mode="Check",
        directory_checks={NAME: check},
    )


class Place:
    """A directory in a namespace, and what is said of it."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.kube = kube
        self.namespace = namespace
        self.reason = "Accepted"
        self.add(NAME)

    def add(self, name: str) -> None:
        manifest = samples.directory(ready=False).to_manifest()
        manifest["metadata"] = {"name": name, "namespace": self.namespace}
        self.kube.apply(manifest)

    def answer(self, _: Manifest) -> RunResult:
        return verdict(self.reason)

    def status(self) -> dict[str, Any]:
        found = self.kube.get("ActiveDirectory", NAME, self.namespace)
        assert found is not None
        told: dict[str, Any] = found.get("status", {})
        return told

    def says(self, kind: str, status: str, reason: str) -> bool:
        return any(
            (each["type"], each["status"], each["reason"]) == (kind, status, reason)
            for each in self.status().get("conditions", [])
        )

    def ask(self, value: str) -> None:
        told = {"metadata": {"annotations": {"entrasync.dev/run-requested-at": value}}}
        self.kube.patch("ActiveDirectory", NAME, self.namespace, told)

    def events(self) -> list[str]:
        found = self.kube.list("Event", self.namespace)
        return [
            f"{each['type']} {each['reason']}"
            for each in sorted(found, key=lambda each: each["metadata"]["creationTimestamp"])
            if each["involvedObject"]["kind"] == "ActiveDirectory"
            and each["involvedObject"]["name"] == NAME
        ]

    def checks(self) -> int:
        return len(self.kube.list("SyncRun", self.namespace))


@pytest.fixture
def place(control_plane: ControlPlane, namespace: str) -> Place:
    return Place(control_plane.kube, namespace)


def test_a_directory_is_checked_refused_forced_once_and_good(
    place: Place, start_operator: Callable[..., OperatorProcess]
) -> None:
    place.reason = "BindRejected"
    with Kubelet(place.kube, place.answer, place.namespace):
        operator = start_operator(place.namespace)
        eventually(lambda: place.says("Stalled", "True", "BindRejected"), "it is not Stalled")
        status = place.status()
        assert status["observedGeneration"] == status["lastCheckGeneration"] == 1
        assert status["consecutiveFailures"] == 1
        eventually(lambda: "nextCheckTime" in place.status(), "it does not say when it is next")

        place.ask("first")
        eventually(lambda: place.status().get("consecutiveFailures") == 2, "it was not forced")
        assert "lastForcedCheckTime" in place.status()

        # a restart forgets nothing: the second request within fifteen minutes waits
        operator.kill()
        place.ask("second")
        place.reason = "Accepted"
        before = place.checks()
        place.add("another")
        start_operator(place.namespace)
        eventually(lambda: place.checks() > before, "nothing was looked at")
        assert place.checks() == before + 1, "it is the one of the other directory"
        assert place.status().get("lastHandledRequest") == "first"
        assert place.says("Ready", "False", "BindRejected")

    assert place.events() == ["Normal Checking", "Warning BindRejected"]


def test_a_directory_that_comes_to_be_good_is_good(
    place: Place, start_operator: Callable[..., OperatorProcess]
) -> None:
    place.reason = "SecretNotFound"
    with Kubelet(place.kube, place.answer, place.namespace):
        start_operator(place.namespace)
        eventually(lambda: place.says("Ready", "False", "SecretNotFound"), "it is not told")
        assert place.says("Reconciling", "True", "SecretNotFound")

        place.reason = "Accepted"
        place.ask("now")
        eventually(lambda: place.says("Ready", "True", "Accepted"), "it is not good")

    told = [each["type"] for each in place.status()["conditions"]]
    assert told == ["Ready"]
    assert place.status()["lastHandledRequest"] == "now"
    assert place.events() == ["Normal Checking", "Warning SecretNotFound", "Normal Accepted"]
