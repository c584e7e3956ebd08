"""The rights that the chart gives are what the operator needs: nothing lacks, nothing is idle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from entrasync.api.result import RunResult
from entrasync.api.sync_run import SYNC_LABEL
from entrasync.controller.manifests import MANAGED_SELECTOR
from tests.support import rights, samples
from tests.support.control_plane import ControlPlane, eventually
from tests.support.kubelet import GOOD, Kubelet, sync_of
from tests.support.operator_process import OperatorProcess
from tests.support.rights import Right

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

PLACE = "identity"
RELEASE = "entrasync"
USER = f"system:serviceaccount:{RELEASE}:{RELEASE}"
OURS = "entrasync.dev"

UNUSED = {
    Right(OURS, f"{plural}/finalizers", "update"): (
        "asked for where OwnerReferencesPermissionEnforcement is on, as on OpenShift"
    )
    for plural in ("activedirectories", "directorysyncs", "entratenants", "syncruns")
} | {
    Right("", "pods/log", "get"): "progress of a run that takes longer than this story",
    Right("", "events", "list"): "why a Job has no pod, after minutes of patience",
    Right("", "configmaps", "get"): "a snapshot that an operator made which was killed then",
    Right(OURS, "azureclouds", "create"): (
        "the API server asks for it when a cloud is applied that is not there; no request shows it"
    ),
}
"""Rights that the story does not come to, and what they are for."""


@dataclass(slots=True, kw_only=True)
class Scene:
    """A control plane with the chart installed, and the operator under its account.

    Attributes:
        plane: the control plane.
        notes: what Helm said.
        operator: it runs.
        locks: where the Leases of tenants lie.
    """

    plane: ControlPlane
    notes: str
    operator: OperatorProcess
    locks: str

    def ready(self, kind: str, name: str, status: str = "True") -> None:
        def holds() -> bool:
            found = self.plane.kube.get(kind, name, PLACE) or {}
            conditions = found.get("status", {}).get("conditions", [])
            return any(c["type"] == "Ready" and c["status"] == status for c in conditions)

        eventually(holds, f"{kind} {name} is not Ready={status}: {self.operator.said()[-2000:]}")

    def gone(self, kind: str, name: str) -> None:
        eventually(
            lambda: self.plane.kube.get(kind, name, PLACE) is None, f"{kind} {name} is still there"
        )

    def apply(self, resource: Any, **spec: Any) -> None:
        manifest = resource.to_manifest()
        manifest.pop("status", None)
        manifest["metadata"] = {"name": resource.metadata.name, "namespace": PLACE}
        manifest["spec"] |= spec
        self.plane.kube.apply(manifest)


@pytest.fixture(params=["cluster-wide", "namespaced"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    namespaced = request.param == "namespaced"
    locks = "locks" if namespaced else RELEASE
    with ControlPlane(tmp_path / "plane", audit=True) as plane:
        plane.namespace(PLACE)
        plane.namespace(locks)
        options = [f"--set=watchNamespaces={{{PLACE}}},lockNamespace={locks}"] if namespaced else []
        notes = rights.install(plane.kubeconfig, RELEASE, *options)
        token = plane.token_of(RELEASE, RELEASE)
        kubeconfig = plane.kubeconfig_of_token(token, "operator")
        places = (PLACE,) if namespaced else ()
        settings = {"ENTRASYNC_LOCK_NAMESPACE": locks}
        with OperatorProcess(kubeconfig, tmp_path / "operator.log", places, settings) as operator:
            yield Scene(plane=plane, notes=notes, operator=operator, locks=locks)


def test_every_right_is_needed_and_none_lacks(scene: Scene) -> None:
    held: set[str] = set()

    def answer(pod: dict[str, Any]) -> RunResult | None:
        return None if sync_of(pod) in held else GOOD

    with Kubelet(scene.plane.kube, answer):
        _tell_the_story(scene, held)
    assert scene.operator.stop() == 0

    roles = [
        *scene.plane.kube.list("ClusterRole.rbac.authorization.k8s.io/v1"),
        *scene.plane.kube.list("Role.rbac.authorization.k8s.io/v1"),
    ]
    granted = rights.rights_of(roles)
    asked = list(rights.requests_of(USER, scene.plane.audited()))
    refused = {
        f"{right} {event['requestURI']}"
        for right, event in asked
        if event["annotations"]["authorization.k8s.io/decision"] != "allow"
    }
    assert not refused
    used = {right for right, _ in asked}
    assert {str(right) for right in granted - used - UNUSED.keys()} == set()
    assert set(UNUSED) <= granted


def _tell_the_story(scene: Scene, held: set[str]) -> None:
    """From the first sync to its removal, with what people do in between."""
    kube = scene.plane.kube
    scene.apply(samples.tenant(ready=False))
    scene.apply(samples.directory(ready=False))
    scene.apply(samples.sync())
    scene.ready("EntraTenant", "contoso")
    scene.ready("ActiveDirectory", "contoso")
    scene.ready("DirectorySync", "contoso")
    assert kube.list("Lease", scene.locks, labelSelector=MANAGED_SELECTOR)
    _runs_by_hand(scene)
    # a run under way is cancelled
    eventually(lambda: _active(scene) is None, "a run does not end")
    held.add("contoso")
    scene.plane.kube.create(_run("cancelled"))
    eventually(lambda: _active(scene) == "cancelled", "the run does not start")
    kube.patch("SyncRun", "cancelled", PLACE, {"spec": {"cancel": True}})
    scene.ready("SyncRun", "cancelled", "False")
    held.clear()
    # an account of the tenant's own, and a larger claim
    kube.patch(
        "DirectorySync",
        "contoso",
        PLACE,
        {"spec": {"runner": {"storage": {"size": "20Gi"}}, "successfulRunsHistoryLimit": 0}},
    )
    eventually(lambda: not _kept(scene), "runs beyond the history limit stay")
    account = {"name": "runner", "namespace": PLACE, "labels": {"entrasync.dev/runner": "true"}}
    kube.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    application = {
        "clientId": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
        "certificateSecretRef": None,
        "workloadIdentity": {"serviceAccountName": "runner"},
    }
    kube.patch("EntraTenant", "contoso", PLACE, {"spec": {"application": application}})
    scene.ready("EntraTenant", "contoso")
    # its tenant is given back, and everything goes
    kube.patch("DirectorySync", "contoso", PLACE, {"spec": {"deletionPolicy": "Delete"}})
    eventually(
        lambda: (kube.get("DirectorySync", "contoso", PLACE) or {})["metadata"].get("finalizers"),
        "no finalizer came",
    )
    held.add("contoso")
    kube.create(_run("last"))
    eventually(lambda: _active(scene) is not None, "the last run does not start")
    kube.delete("DirectorySync", "contoso", PLACE)
    held.clear()
    scene.gone("DirectorySync", "contoso")
    eventually(
        lambda: not kube.list("Lease", scene.locks, labelSelector=MANAGED_SELECTOR),
        "the tenant is not given back",
    )


def _kept(scene: Scene) -> list[str]:
    """Runs of the sync that the operator made and that went well."""
    return [
        run["metadata"]["name"]
        for run in scene.plane.kube.list("SyncRun", PLACE, labelSelector=SYNC_LABEL)
        if run.get("status", {}).get("phase") == "Succeeded"
    ]


def _runs_by_hand(scene: Scene) -> None:
    for number in range(2):
        scene.plane.kube.create(_run(f"manual-{number}"))
        scene.ready("SyncRun", f"manual-{number}")


def _run(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "entrasync.dev/v1alpha1",
        "kind": "SyncRun",
        "metadata": {"name": name, "namespace": PLACE},
        "spec": {"directorySyncRef": {"name": "contoso"}},
    }


def _active(scene: Scene) -> str | None:
    found = scene.plane.kube.get("DirectorySync", "contoso", PLACE) or {}
    active = found.get("status", {}).get("activeRun")
    return None if active is None else str(active["name"])
