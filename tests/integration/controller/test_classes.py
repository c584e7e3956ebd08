"""Several operators side by side: each serves its class, and clouds are everybody's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from entrasync.api.common import Resource
from tests.support import samples
from tests.support.control_plane import ControlPlane, eventually
from tests.support.kube import RefusedError
from tests.support.kubelet import Kubelet
from tests.support.operator_process import OperatorProcess

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

PLAIN_TENANT = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
BLUE_TENANT = "3f2504e0-4f89-41d3-9a0c-0305e82c3302"
CHANGES = {"create", "update", "patch", "delete"}


def test_each_operator_serves_its_class(
    control_plane: ControlPlane,
    namespace: str,
    start_operator: Callable[..., OperatorProcess],
) -> None:
    kube = control_plane.kube
    for user, class_name in (("operator-plain", ""), ("operator-blue", "blue")):
        start_operator(
            namespace,
            kubeconfig=control_plane.kubeconfig_of(user, "system:masters"),
            ENTRASYNC_CLASS_NAME=class_name,
        )
    _create_all(control_plane, namespace, "plain", None, PLAIN_TENANT)
    _create_all(control_plane, namespace, "blue", "blue", BLUE_TENANT)

    with Kubelet(kube, namespace=namespace):
        for name in ("plain", "blue"):
            eventually(
                lambda name=name: _is_ready(control_plane, "DirectorySync", name, namespace),  # type: ignore[misc]  # bound at once
                f"sync {name} is not Ready",
            )
            kube.create(_run(f"manual-{name}", name, namespace))
            eventually(
                lambda name=name: _is_ready(  # type: ignore[misc]  # bound at once
                    control_plane, "SyncRun", f"manual-{name}", namespace
                ),
                f"run manual-{name} did not end well",
            )

    assert _writers(control_plane, namespace, "plain") == {"operator-plain"}
    assert _writers(control_plane, namespace, "blue") == {"operator-blue"}
    leaders = {lease["metadata"]["name"] for lease in kube.list("Lease", "entrasync")}
    assert {"entrasync-leader", "entrasync-leader.blue"} <= leaders


def test_a_sync_with_a_tenant_of_another_class_waits_and_says_why(
    control_plane: ControlPlane,
    namespace: str,
    start_operator: Callable[..., OperatorProcess],
) -> None:
    start_operator(namespace, ENTRASYNC_RELEASE="mixed")
    _create_all(control_plane, namespace, "plain", None, PLAIN_TENANT)
    sync = samples.sync(target={"entraTenantRef": {"name": "plain"}}, className="green")
    directory = samples.directory(ready=False, className="green")
    _create(control_plane, namespace, "mixed", directory)
    manifest = sync.to_manifest()
    manifest["spec"]["sources"][0]["activeDirectoryRef"]["name"] = "mixed"
    manifest["metadata"] = {"name": "mixed", "namespace": namespace}
    control_plane.kube.create(manifest)
    start_operator(namespace, ENTRASYNC_RELEASE="mixed", ENTRASYNC_CLASS_NAME="green")

    def told() -> str | None:
        found = control_plane.kube.get("DirectorySync", "mixed", namespace) or {}
        conditions = found.get("status", {}).get("conditions", [])
        return next((c["message"] for c in conditions if c["reason"] == "ClassMismatch"), None)

    eventually(told, "nobody says that the classes differ")
    assert "EntraTenant/plain is of no class, and this sync of class green" in str(told())


@pytest.mark.parametrize("make", [samples.sync, samples.tenant, samples.directory])
def test_a_class_never_changes(
    control_plane: ControlPlane, namespace: str, make: Callable[..., Resource]
) -> None:
    kind = make().kind
    _create(control_plane, namespace, "none", make())
    _create(control_plane, namespace, "some", make(className="blue"))
    _create(control_plane, namespace, "empty", make(className=""))

    for name, change in (("none", "blue"), ("some", "green"), ("some", None), ("empty", "blue")):
        with pytest.raises(RefusedError, match="`className` must not change"):
            control_plane.kube.patch(kind, name, namespace, {"spec": {"className": change}})
    # absent and empty say the same
    control_plane.kube.patch(kind, "empty", namespace, {"spec": {"className": None}})


@pytest.mark.parametrize("wrong", ["Blue", "-blue", "blue.green", "b" * 64])
def test_a_class_is_a_dns_label(control_plane: ControlPlane, namespace: str, wrong: str) -> None:
    manifest = samples.tenant(ready=False).to_manifest()
    manifest["metadata"] = {"name": "wrong", "namespace": namespace}
    manifest["spec"]["className"] = wrong
    with pytest.raises(RefusedError, match="className"):
        control_plane.kube.create(manifest)


def _create(plane: ControlPlane, namespace: str, name: str, resource: Resource) -> None:
    manifest = resource.to_manifest()
    manifest.pop("status", None)
    manifest["metadata"] = {"name": name, "namespace": namespace}
    plane.kube.create(manifest)


def _create_all(
    plane: ControlPlane, namespace: str, name: str, class_name: str | None, tenant: str
) -> None:
    """A sync with its tenant and directory, all of one name and class."""
    more: dict[str, Any] = {} if class_name is None else {"className": class_name}
    _create(plane, namespace, name, samples.tenant(ready=False, tenantId=tenant, **more))
    _create(plane, namespace, name, samples.directory(ready=False, **more))
    sync = samples.sync(target={"entraTenantRef": {"name": name}}, **more).to_manifest()
    sync["spec"]["sources"][0]["activeDirectoryRef"]["name"] = name
    sync["metadata"] = {"name": name, "namespace": namespace}
    plane.kube.create(sync)


def _run(name: str, sync: str, namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "entrasync.dev/v1alpha1",
        "kind": "SyncRun",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"directorySyncRef": {"name": sync}},
    }


def _is_ready(plane: ControlPlane, kind: str, name: str, namespace: str) -> bool:
    found = plane.kube.get(kind, name, namespace) or {}
    conditions = found.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _writers(plane: ControlPlane, namespace: str, name: str) -> set[str]:
    """Operators that changed something of ours in a namespace that has a name in its own."""
    return {
        event["user"]["username"]
        for event in plane.audited()
        if event["user"]["username"].startswith("operator-")
        and event["verb"] in CHANGES
        and event["objectRef"].get("namespace") == namespace
        and name in event["objectRef"].get("name", "")
    }
