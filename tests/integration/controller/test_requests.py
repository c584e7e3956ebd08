"""What starts runs, with a real operator on a real API server."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from entrasync.api.sync_run import REQUEST_ANNOTATION
from entrasync.controller.inputs import INPUTS_ANNOTATION
from tests.support import samples
from tests.support.control_plane import ControlPlane, eventually
from tests.support.kube import Kube, Manifest
from tests.support.kubelet import GOOD, Kubelet
from tests.support.operator_process import OperatorProcess

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

FAILED = GOOD.model_copy(update={"outcome": "Failed", "reason": "RunFailed", "message": "no luck"})
OPEN = {"Queued", "Running", None}
_TENANTS = itertools.count(1)


class Place:
    """A namespace with one sync."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.kube = kube
        self.namespace = namespace
        tenant_id = f"3f2504e0-4f89-41d3-9a0e-{next(_TENANTS):012x}"
        for each in (samples.tenant(tenantId=tenant_id), samples.directory(), samples.sync()):
            manifest = each.to_manifest()
            manifest.pop("status", None)
            manifest["metadata"] = {"name": "contoso", "namespace": namespace}
            kube.apply(manifest)

    @property
    def status(self) -> Manifest:
        found = self.kube.get("DirectorySync", "contoso", self.namespace)
        assert found is not None
        status: Manifest = found.get("status", {})
        return status

    def change(self, part: str, **change: Any) -> None:
        self.kube.patch("DirectorySync", "contoso", self.namespace, {part: change})

    def triggers(self) -> list[str]:
        """Why runs of the sync were made, the oldest first; once all have ended."""
        runs = [
            run
            for run in self.kube.list("SyncRun", self.namespace)
            if "directorySyncRef" in run["spec"]
        ]
        if any(run.get("status", {}).get("phase") in OPEN for run in runs):
            return []
        runs.sort(key=lambda run: str(run["status"]["completionTime"]))
        return [run["status"]["trigger"] for run in runs]

    def ask(self, value: str) -> None:
        self.change("metadata", annotations={REQUEST_ANNOTATION: value})

    def come(self, *triggers: str) -> None:
        eventually(lambda: self.triggers() == list(triggers), f"{triggers} never came", seconds=60)


def test_a_sync_runs_at_once_on_request_and_when_its_spec_matters(
    control_plane: ControlPlane, namespace: str, start_operator: Callable[..., OperatorProcess]
) -> None:
    place = Place(control_plane.kube, namespace)
    with Kubelet(control_plane.kube, namespace=namespace) as kubelet:
        start_operator(namespace)
        place.come("SpecChange")
        eventually(lambda: "nextScheduleTime" in place.status, "the next start is not told")
        first = place.status
        run = place.kube.get("SyncRun", first["lastRun"]["name"], namespace)
        assert run is not None
        assert first["lastRun"]["inputs"] == run["status"]["inputs"]
        assert run["metadata"]["annotations"][INPUTS_ANNOTATION] == run["status"]["inputs"]

        # the schedule affects no result: what comes next is the request made after it
        place.change("spec", schedule={"interval": "2h"})
        place.ask("one")
        place.come("SpecChange", "Annotation")
        assert place.status["lastHandledRequest"] == "one"

        place.change("spec", drift="Report")
        place.come("SpecChange", "Annotation", "SpecChange")

        kubelet.answer = lambda _: FAILED
        place.change("spec", schedule={"interval": "2h", "fullEvery": 1})
        place.ask("two")
        eventually(lambda: place.status.get("consecutiveFailures") == 1, "no failure is counted")
        assert place.status["failingSince"] == place.status["lastRun"]["completionTime"]
        full = place.kube.get("SyncRun", place.status["lastRun"]["name"], namespace)
        assert full is not None
        assert full["spec"]["scope"] == "Full"

        # a shorter interval brings the next try nearer
        kubelet.answer = lambda _: GOOD
        place.change("spec", schedule={"interval": "10s", "jitter": "0s"})
        eventually(lambda: place.status.get("consecutiveFailures") == 0, "it is not tried again")
        assert not kubelet.doubled


def test_a_suspended_sync_answers_requests_and_keeps_still_otherwise(
    control_plane: ControlPlane, namespace: str, start_operator: Callable[..., OperatorProcess]
) -> None:
    place = Place(control_plane.kube, namespace)
    place.change("spec", suspend=True)
    with Kubelet(control_plane.kube, namespace=namespace):
        start_operator(namespace)
        place.ask("one")
        place.come("Annotation")
        place.ask("two")
        place.come("Annotation", "Annotation")
        assert place.status["lastHandledRequest"] == "two"
        assert "nextScheduleTime" not in place.status
