"""Four eyes on a real API server: who writes a sync does not thereby approve what it braked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import rights, samples
from tests.support.control_plane import CONTROLLERS, ControlPlane, eventually
from tests.support.kube import Kube, RefusedError

pytestmark = pytest.mark.integration

PLACE = "identity"
RBAC = "rbac.authorization.k8s.io"
PLAN = f"sha256:{'1' * 64}"
OTHER = f"sha256:{'2' * 64}"
ON = "--set=approval.fourEyes.enabled=true"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """With the policy, an editor, an approver, and one who is both."""
    folder = tmp_path_factory.mktemp("four-eyes")
    controllers = (*CONTROLLERS, "clusterrole-aggregation-controller")
    with ControlPlane(folder, controllers=controllers) as found:
        found.namespace(PLACE)
        notes = rights.install(found.kubeconfig, "entrasync", ON)
        assert "--clusterrole=entrasync-approver" in notes
        _bind(found.kube, "entrasync-edit", "eve", "both")
        _bind(found.kube, "entrasync-view", "eve", "both")
        _bind(found.kube, "entrasync-approver", "ann", "both")
        eventually(
            lambda: (found.kube.get(f"ClusterRole.{RBAC}/v1", "entrasync-approver") or {})["rules"],
            "the approver's rights are not gathered",
        )
        eventually(lambda: _is_in_force(found), "the policy does not refuse anything")
        yield found


@pytest.fixture
def sync(plane: ControlPlane) -> Iterator[str]:
    """A sync without an approved plan."""
    manifest = samples.sync().to_manifest()
    manifest["metadata"] = {"name": "contoso", "namespace": PLACE}
    manifest.pop("status", None)
    plane.kube.create(manifest)
    yield "contoso"
    plane.kube.delete("DirectorySync", "contoso", PLACE)


def test_an_editor_changes_everything_but_the_approval(plane: ControlPlane, sync: str) -> None:
    eve = plane.kube.as_user("eve")
    eve.patch("DirectorySync", sync, PLACE, {"spec": {"suspend": True}})

    with pytest.raises(RefusedError) as refused:
        eve.patch("DirectorySync", sync, PLACE, {"spec": {"approvedPlan": PLAN}})

    assert refused.value.status == 403
    assert "`spec.approvedPlan` may be changed only by who holds the verb approve" in str(
        refused.value
    )
    assert "eve does not hold it on contoso in namespace identity" in str(refused.value)
    assert "bind them the ClusterRole entrasync-approver" in str(refused.value)


def test_an_approver_approves_by_a_run_and_writes_nothing_else(
    plane: ControlPlane, sync: str
) -> None:
    ann = plane.kube.as_user("ann")
    made = ann.create(_run(sync, PLAN))
    assert made["spec"]["approvedPlan"] == PLAN

    with pytest.raises(RefusedError) as refused:
        ann.patch("DirectorySync", sync, PLACE, {"spec": {"suspend": True}})
    assert "cannot patch resource" in refused.value.message


def test_an_editor_cannot_approve_by_a_run_either(plane: ControlPlane, sync: str) -> None:
    eve = plane.kube.as_user("eve")
    assert eve.create(_run(sync))["spec"]["directorySyncRef"] == {"name": sync}

    with pytest.raises(RefusedError) as refused:
        eve.create(_run(sync, PLAN))
    assert "eve does not hold it on contoso" in refused.value.message


def test_who_holds_both_approves_in_the_sync(plane: ControlPlane, sync: str) -> None:
    both = plane.kube.as_user("both")
    both.patch("DirectorySync", sync, PLACE, {"spec": {"approvedPlan": PLAN}})
    eve = plane.kube.as_user("eve")

    # what is approved already stays when others go on writing
    eve.patch("DirectorySync", sync, PLACE, {"spec": {"suspend": True}})
    for change in (OTHER, None):
        with pytest.raises(RefusedError):
            eve.patch("DirectorySync", sync, PLACE, {"spec": {"approvedPlan": change}})


def test_a_sync_cannot_be_created_approved(plane: ControlPlane) -> None:
    manifest = samples.sync(approvedPlan=PLAN).to_manifest()
    manifest["metadata"] = {"name": "sneaky", "namespace": PLACE}
    manifest.pop("status", None)
    with pytest.raises(RefusedError) as refused:
        plane.kube.as_user("eve").create(manifest)
    assert "eve does not hold it on sneaky" in refused.value.message


def test_the_verb_can_be_given_for_one_sync_alone(plane: ControlPlane, sync: str) -> None:
    role = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "Role",
        "metadata": {"name": "approve-contoso", "namespace": PLACE},
        "rules": [
            {
                "apiGroups": ["entrasync.dev"],
                "resources": ["directorysyncs"],
                "resourceNames": [sync],
                "verbs": ["approve"],
            },
            {"apiGroups": ["entrasync.dev"], "resources": ["syncruns"], "verbs": ["create"]},
        ],
    }
    plane.kube.apply(role)
    _bind(plane.kube, "approve-contoso", "one", kind="Role")
    one = plane.kube.as_user("one")

    one.create(_run(sync, PLAN))
    with pytest.raises(RefusedError) as refused:
        one.create(_run("another", PLAN))
    assert "one does not hold it on another" in refused.value.message


def _is_in_force(plane: ControlPlane) -> bool:
    """Policies are in force some seconds after they were made."""
    probe = _run("probe", PLAN)
    try:
        made = plane.kube.as_user("eve").create(probe)
    except RefusedError as refused:
        return "approve" in refused.message
    plane.kube.delete("SyncRun", made["metadata"]["name"], PLACE)
    return False


def _run(sync: str, plan: str | None = None) -> dict[str, Any]:
    spec: dict[str, Any] = {"directorySyncRef": {"name": sync}}
    if plan is not None:
        spec["approvedPlan"] = plan
    return {
        "apiVersion": "entrasync.dev/v1alpha1",
        "kind": "SyncRun",
        "metadata": {"generateName": f"{sync}-", "namespace": PLACE},
        "spec": spec,
    }


def _bind(kube: Kube, role: str, *users: str, kind: str = "ClusterRole") -> None:
    kube.apply(
        {
            "apiVersion": f"{RBAC}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": role, "namespace": PLACE},
            "roleRef": {"apiGroup": RBAC, "kind": kind, "name": role},
            "subjects": [{"apiGroup": RBAC, "kind": "User", "name": user} for user in users],
        }
    )
