"""An upgrade in mid-run: earlier definitions and objects, and a run that an earlier operator made.

What lies in `tests/golden/upgrade` was written by such an operator on a real API server.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from entrasync.api.sync_run import TRIGGER_LABEL
from entrasync.controller.durations import format_time
from tests.support.control_plane import ControlPlane, eventually
from tests.support.kube import Manifest
from tests.support.kubelet import GOOD, Kubelet, sync_of
from tests.support.operator_process import OperatorProcess

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

LEFT = Path(__file__).parents[2] / "golden" / "upgrade"
NAMESPACE = "identity"
SYNCS = f"/apis/entrasync.dev/v1alpha1/namespaces/{NAMESPACE}/directorysyncs"
PATIENCE = 90.0


def documents(file: str) -> list[Manifest]:
    return list(yaml.safe_load_all((LEFT / file).read_text()))


@pytest.fixture
def earlier(tmp_path: Path) -> Iterator[ControlPlane]:
    """A control plane with the earlier definitions, and what the earlier operator left."""
    with ControlPlane(tmp_path / "plane") as plane:
        plane.namespace(NAMESPACE)
        plane.kube.apply(*documents("definitions.yaml"))
        eventually(lambda: are_earlier(plane), "the earlier definitions do not serve")
        put_what_was_left(plane)
        yield plane


def are_earlier(plane: ControlPlane) -> bool:
    """Whether the definitions drop a field that came later."""
    sync = next(each for each in documents("objects.yaml") if each["kind"] == "DirectorySync")
    sync["spec"]["deletionPolicy"] = "Delete"
    made = plane.kube.call("POST", SYNCS, sync, dryRun="All")
    return "deletionPolicy" not in made["spec"]


def put_what_was_left(plane: ControlPlane) -> None:
    """Makes the objects with their statuses, each owned by what owned it."""
    now = format_time(dt.datetime.now(dt.UTC))
    uids: dict[tuple[str, str], str] = {}
    for manifest in documents("objects.yaml"):
        for owner in manifest["metadata"].get("ownerReferences", []):
            owner["uid"] = uids[owner["kind"], owner["name"]]
        status = manifest.pop("status", None)
        made = plane.kube.create(manifest)
        kind, name = made["kind"], made["metadata"]["name"]
        uids[kind, name] = made["metadata"]["uid"]
        if status is not None:
            told = {"status": with_time(status, now)}
            plane.kube.patch(kind, name, NAMESPACE, told, "status")


def with_time(status: Any, now: str) -> Any:
    if isinstance(status, dict):
        return {key: with_time(value, now) for key, value in status.items()}
    if isinstance(status, list):
        return [with_time(each, now) for each in status]
    return now if status == "NOW" else status


def test_objects_are_read_and_a_run_under_way_is_harvested(
    earlier: ControlPlane, start_operator: Callable[..., OperatorProcess]
) -> None:
    kube = earlier.kube

    def get(kind: str, name: str = "contoso") -> Manifest:
        found = kube.get(kind, name, NAMESPACE)
        assert found is not None
        return found

    def phase(run: str) -> str:
        return str(get("SyncRun", run)["status"]["phase"])

    def is_running() -> bool:
        pods = kube.list("Pod", NAMESPACE)
        return any(sync_of(pod) and pod["status"].get("phase") == "Running" for pod in pods)

    held = True
    kubelet = Kubelet(kube, lambda pod: None if held and sync_of(pod) else GOOD, NAMESPACE)
    with kubelet:
        eventually(is_running, "the run is not under way", PATIENCE)
        earlier.install()
        operator = start_operator(kubeconfig=earlier.kubeconfig)
        operator.wait_for_log('"leading"', PATIENCE)
        eventually(
            lambda: get("DirectorySync")["spec"].get("deletionPolicy") == "Retain",
            "the new definitions do not serve",
        )
        eventually(lambda: "consecutiveFailures" in get("DirectorySync")["status"], "not looked at")
        assert phase("by-hand") == "Running"
        held = False
        eventually(lambda: phase("by-hand.queued") == "Succeeded", "the queue stands", PATIENCE)
        eventually(lambda: "activeRun" not in get("DirectorySync")["status"], "not looked at")
        operator.stop()

    assert phase("by-hand") == "Succeeded"
    assert kubelet.ran.total() == 2
    assert not kubelet.doubled
    status = get("DirectorySync")["status"]
    conditions = {each["type"]: each["status"] for each in status["conditions"]}
    assert conditions == {"Ready": "True", "Synchronized": "True"}
    assert [run["name"] for run in status["history"]] == [
        "by-hand.queued",
        "by-hand",
        "contoso-29927970",
    ]
    # nothing but an upgrade has happened: no spec changed, no check and no run is due
    triggers = [run["metadata"].get("labels", {}) for run in kube.list("SyncRun", NAMESPACE)]
    assert [each[TRIGGER_LABEL] for each in triggers if each] == ["SpecChange"]
    for kind in ("DirectorySync", "EntraTenant", "ActiveDirectory"):
        assert get(kind)["metadata"]["generation"] == 1
