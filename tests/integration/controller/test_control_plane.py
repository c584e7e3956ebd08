"""The control plane itself: what the tests beside this one rest on."""

from __future__ import annotations

import pytest

from tests.support.control_plane import ControlPlane, eventually
from tests.support.kube import Kube, RefusedError

pytestmark = pytest.mark.integration


def config_map(name: str, namespace: str) -> dict[str, object]:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}


def test_users_have_no_more_rights_than_they_were_given(
    control_plane: ControlPlane, namespace: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        control_plane.kube.as_user("alice", "people").list("DirectorySync", namespace)
    assert refused.value.status == 403
    with pytest.raises(RefusedError) as refused:
        control_plane.client_of("bob", "people").list("DirectorySync", namespace)
    assert "bob" in refused.value.message


def test_calls_are_audited(control_plane: ControlPlane, namespace: str) -> None:
    control_plane.kube.create(config_map("audited", namespace))

    def told() -> bool:
        return any(
            entry["verb"] == "create" and entry["objectRef"].get("namespace") == namespace
            for entry in control_plane.audited()
            if entry["objectRef"]["resource"] == "configmaps"
        )

    eventually(told, "the audit log does not tell of the call")


def test_old_places_expire_once_etcd_is_compacted_and_the_server_was_restarted(
    control_plane: ControlPlane, namespace: str
) -> None:
    kube: Kube = control_plane.kube
    old = kube.create(config_map("first", namespace))["metadata"]["resourceVersion"]
    kube.create(config_map("second", namespace))
    control_plane.compact()
    control_plane.apiserver.restart(kill=True)
    events = list(kube.watch("ConfigMap", namespace, seconds=2, resourceVersion=old))
    assert [(kind, found["code"]) for kind, found in events] == [("ERROR", 410)]
