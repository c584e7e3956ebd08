"""What GitOps tools rely on: any order, no drift, pruning in any order, suspending, renaming."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.demo.waiting import wait_for
from tests.support.control_plane import ControlPlane
from tests.support.kube import Kube, Manifest
from tests.support.kubelet import Kubelet
from tests.support.operator_process import OperatorProcess
from tests.support.tools import program

pytestmark = pytest.mark.integration

OVERLAYS = Path(__file__).parents[3] / "gitops" / "kustomize" / "overlays"
TOOL = "argocd-controller"
CREATED = ["DirectorySync", "ActiveDirectory", "EntraTenant"]
"""The order in which nothing finds what it names."""


class Repository:
    """What a tool would have in git for one tenant, applied to a namespace of the test's own."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.kube = kube
        self.namespace = namespace
        rendered = subprocess.run(
            [str(program("kubectl")), "kustomize", str(OVERLAYS / "azure-commercial")],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        self.manifests: dict[str, Manifest] = {}
        for manifest in yaml.safe_load_all(rendered):
            if manifest["kind"] != "Namespace":
                manifest["metadata"]["namespace"] = namespace
                self.manifests[manifest["kind"]] = manifest
        self.manifests["EntraTenant"]["spec"]["tenantId"] = str(uuid.uuid4())

    def apply(self, *kinds: str) -> None:
        """Server-side apply, as Argo CD and Flux do."""
        self.kube.apply(*(self.manifests[kind] for kind in kinds), manager=TOOL)

    def prune(self, *kinds: str) -> None:
        """Deletes what is no longer in git."""
        for kind in kinds:
            self.kube.delete(kind, self.manifests[kind]["metadata"]["name"], self.namespace)

    def found(self, kind: str) -> Manifest | None:
        """The object in the cluster."""
        return self.kube.get(kind, self.manifests[kind]["metadata"]["name"], self.namespace)

    def until_seen(self, kind: str) -> None:
        """Waits until the operator has said something of it."""
        wait_until(f"{kind} to be seen", lambda: condition(self.found(kind), "Ready"))

    def until_ready(self, kind: str = "DirectorySync", reason: str = "Synchronized") -> Manifest:
        """Waits until it is Ready for a reason."""

        def probe() -> Manifest | None:
            found = self.found(kind)
            ready = condition(found, "Ready")
            fits = ready.get("status") == "True" and ready.get("reason") == reason
            return found if fits else None

        found: Manifest = wait_until(f"{kind} to be Ready", probe)
        return found


@pytest.fixture
def repository(
    control_plane: ControlPlane,
    namespace: str,
    start_operator: Callable[..., OperatorProcess],
) -> Iterator[Repository]:
    start_operator(namespace)
    with Kubelet(control_plane.kube, namespace=namespace):
        yield Repository(control_plane.kube, namespace)


def condition(found: Manifest | None, kind: str) -> Manifest:
    """A condition; empty when it is not there."""
    conditions = (found or {}).get("status", {}).get("conditions", [])
    return next((each for each in conditions if each["type"] == kind), {})


def assert_as_written(found: Any, written: Any) -> None:
    """Defaults stand beside what was written, never within a list: there they would be drift."""
    if isinstance(written, dict):
        for name, value in written.items():
            assert_as_written(found[name], value)
    else:
        assert found == written


def wait_until(what: str, probe: Callable[[], Any]) -> Any:
    """Waits until something is there."""
    return wait_for(what, probe, usually="seconds", seconds=90, hint="Look at the operator's log.")


def test_in_any_order_nobody_is_called_and_all_becomes_ready(repository: Repository) -> None:
    stalled = []
    for kind in CREATED:
        repository.apply(kind)
        repository.until_seen(kind)
        stalled += [each for each in CREATED if condition(repository.found(each), "Stalled")]
    repository.until_ready()
    assert stalled == []


def test_nothing_drifts(repository: Repository) -> None:
    repository.apply(*CREATED)
    repository.until_ready()
    before = {kind: repository.found(kind) for kind in CREATED}

    repository.apply(*CREATED)

    for kind in CREATED:
        found, first = repository.found(kind), before[kind]
        assert found is not None
        assert first is not None
        assert_as_written(found["spec"], repository.manifests[kind]["spec"])
        assert found["metadata"]["generation"] == first["metadata"]["generation"] == 1
        assert not found["metadata"].get("annotations")
        owners = {each["manager"] for each in _spec_fields(found)}
        assert owners == {TOOL}


@pytest.mark.parametrize("order", [CREATED, CREATED[::-1]], ids=["sync-first", "tenant-first"])
def test_pruned_in_any_order_nothing_hangs(repository: Repository, order: list[str]) -> None:
    repository.apply(*CREATED)
    repository.until_ready()

    repository.prune(*order)

    wait_until("all of it to be gone", lambda: not any(map(repository.found, CREATED)))
    # and back again, as after a reverted commit
    repository.apply(*CREATED)
    repository.until_ready()


def test_suspending_and_resuming_by_a_commit(repository: Repository) -> None:
    sync = repository.manifests["DirectorySync"]
    sync["spec"]["suspend"] = True
    repository.apply(*CREATED)
    wait_until(
        "the tenant to be checked", lambda: repository.until_ready("EntraTenant", "Accepted")
    )
    wait_until(
        "it to be suspended", lambda: condition(repository.found("DirectorySync"), "Suspended")
    )
    assert repository.kube.list("SyncRun", repository.namespace, labelSelector=_of(sync)) == []

    del sync["spec"]["suspend"]
    repository.apply("DirectorySync")

    found = repository.until_ready()
    assert condition(found, "Suspended") == {}


def test_a_renamed_sync_takes_the_tenant_over(repository: Repository) -> None:
    repository.apply(*CREATED)
    repository.until_ready()
    old = repository.manifests["DirectorySync"]
    repository.manifests["DirectorySync"] = {
        **old,
        "metadata": {**old["metadata"], "name": "renamed"},
    }

    # tools apply first and prune afterwards
    repository.apply("DirectorySync")
    wait_until(
        "the new one to say who owns the tenant",
        lambda: (
            condition(repository.found("DirectorySync"), "Ready").get("reason") == "TenantClaimed"
        ),
    )
    repository.kube.delete("DirectorySync", old["metadata"]["name"], repository.namespace)

    repository.until_ready()


def _spec_fields(found: Manifest) -> list[Manifest]:
    """Managers that own a field of the spec."""
    return [each for each in found["metadata"]["managedFields"] if "f:spec" in each["fieldsV1"]]


def _of(sync: Manifest) -> str:
    return f"entrasync.dev/sync={sync['metadata']['name']}"
