"""The admission policies, as the API server itself understands them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from entrasync.api.shipped_clouds import shipped_clouds
from tests.support import rights, samples
from tests.support.control_plane import CONTROLLERS, ControlPlane, eventually
from tests.support.kube import RefusedError

pytestmark = pytest.mark.integration

PLACE = "identity"
POLICY = "ValidatingAdmissionPolicy.admissionregistration.k8s.io/v1"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One that looks through policies, with the shipped clouds."""
    folder = tmp_path_factory.mktemp("policies")
    controllers = (*CONTROLLERS, "validatingadmissionpolicy-status-controller")
    with ControlPlane(folder, controllers=controllers) as found:
        found.namespace(PLACE)
        rights.install(found.kubeconfig, "entrasync", "--set=approval.fourEyes.enabled=true")
        found.kube.apply(*(cloud.to_manifest() for cloud in shipped_clouds()))
        yield found


def test_no_expression_is_wrong_for_what_it_is_about(plane: ControlPlane) -> None:
    policies = [each["metadata"]["name"] for each in plane.kube.list(POLICY)]
    assert {"entrasync-four-eyes", "entrasync-tenant-endpoint"} <= set(policies)
    for name in policies:
        eventually(lambda name=name: _checked(plane, name), f"{name} is not looked through")  # type: ignore[misc]  # bound at once
        status = (plane.kube.get(POLICY, name) or {})["status"]
        assert status["typeChecking"].get("expressionWarnings", []) == [], name


@pytest.mark.parametrize(
    ("cloud", "told"),
    [
        ("azure-germany", "AzureCloud azure-germany was closed at 2021-10-29T00:00:00Z; set"),
        ("azure-germany", "SyncServiceV2 is not offered by AzureCloud azure-germany"),
    ],
    ids=["closed", "not offered"],
)
def test_a_refusal_says_what_and_what_to_do(plane: ControlPlane, cloud: str, told: str) -> None:
    transport = "SyncServiceV1" if "closed" in told else "SyncServiceV2"
    eventually(
        lambda: told in _refused(plane, cloudRef={"name": cloud}, transport=transport),
        f"nobody says: {told}",
    )


def _checked(plane: ControlPlane, name: str) -> bool:
    status = (plane.kube.get(POLICY, name) or {}).get("status", {})
    return "typeChecking" in status


def _refused(plane: ControlPlane, **spec: Any) -> str:
    """What the API server says of a tenant; nothing when it takes it."""
    manifest = samples.tenant(ready=False, **spec).to_manifest()
    manifest["metadata"] = {"name": "refused", "namespace": PLACE}
    try:
        plane.kube.create(manifest)
    except RefusedError as refused:
        return refused.message
    plane.kube.delete("EntraTenant", "refused", PLACE)
    return ""
