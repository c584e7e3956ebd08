"""Syncs that are deleted together with what they own, on a real API server with its controllers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from entrasync.api.directory_sync import DELETION_FINALIZER, OwnedObjects
from entrasync.api.result import RunResult
from tests.support import samples
from tests.support.control_plane import ControlPlane, eventually
from tests.support.kube import Manifest
from tests.support.kubelet import GOOD, Kubelet, run_of
from tests.support.operator_process import OperatorProcess

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

FULL = GOOD.model_copy(update={"objects": OwnedObjects(users=5)})
EMPTY = GOOD.model_copy(update={"objects": OwnedObjects()})
NAME = "contoso"
CLAIM = "entrasync-contoso"
_TENANTS = itertools.count(1)


class Place:
    """A namespace with a sync whose runs all go well, and a kubelet that a test may hold."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.kube = plane.kube
        self.namespace = namespace
        self.held = False

    def answer(self, pod: Manifest) -> RunResult | None:
        if "-last-" not in run_of(pod):
            return FULL
        return None if self.held else EMPTY

    def apply(self, **spec: Any) -> None:
        tenant_id = f"3f2504e0-4f89-41d3-9a0c-{next(_TENANTS):012x}"
        sync = samples.sync(**({"deletionPolicy": "Delete"} | spec))
        for each in (samples.tenant(tenantId=tenant_id), samples.directory(), sync):
            manifest = each.to_manifest()
            manifest.pop("status", None)
            manifest["metadata"] = {"name": NAME, "namespace": self.namespace}
            self.kube.apply(manifest)

    def sync(self) -> Manifest | None:
        return self.kube.get("DirectorySync", NAME, self.namespace)

    def settled(self) -> None:
        """Waits until it has run once."""
        eventually(
            lambda: ((self.sync() or {}).get("status") or {}).get("lastSuccessfulTime"),
            "it never ran",
        )

    def finalizers(self) -> list[str]:
        return list((self.sync() or {}).get("metadata", {}).get("finalizers", []))

    def last_runs(self) -> list[Manifest]:
        runs = self.kube.list("SyncRun", self.namespace)
        return [each for each in runs if "-last-" in each["metadata"]["name"]]

    def leases(self) -> list[str]:
        found = self.kube.list(
            "Lease",
            "entrasync",
            labelSelector=f"entrasync.dev/sync-namespace={self.namespace}",
        )
        return [each["metadata"]["name"] for each in found]

    def told(self) -> list[str]:
        events = self.kube.list("Event", self.namespace)
        return [each["reason"] for each in events if each["involvedObject"].get("name") == NAME]


@pytest.fixture
def place(
    control_plane: ControlPlane, namespace: str, start_operator: Callable[..., OperatorProcess]
) -> Iterator[Place]:
    found = Place(control_plane, namespace)
    start_operator(namespace)
    with Kubelet(control_plane.kube, found.answer, namespace):
        yield found


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_the_last_run_is_made_with_the_state_and_then_everything_goes(
    place: Place, policy: str
) -> None:
    place.apply()
    place.settled()
    assert place.finalizers() == [DELETION_FINALIZER]
    assert len(place.leases()) == 1
    place.held = True

    place.kube.delete("DirectorySync", NAME, place.namespace, policy)
    eventually(
        lambda: any(
            run_of(pod).startswith("contoso-last-")
            for pod in place.kube.list("Pod", place.namespace)
        ),
        "there is no last run",
    )

    claim = place.kube.get("PersistentVolumeClaim", CLAIM, place.namespace)
    assert claim is not None
    assert "deletionTimestamp" not in claim["metadata"]
    (run,) = place.last_runs()
    assert "deletionTimestamp" not in run["metadata"]

    place.held = False
    eventually(lambda: place.sync() is None, "the sync hangs")
    assert "ObjectsDeleted" in place.told()
    eventually(lambda: not place.last_runs(), "the last run stays")
    eventually(
        lambda: (
            (place.kube.get("PersistentVolumeClaim", CLAIM, place.namespace) or {})
            .get("metadata", {"deletionTimestamp": "gone"})
            .get("deletionTimestamp")
        ),
        "the claim stays",
    )
    eventually(lambda: not place.leases(), "the tenant stays claimed")


def test_retain_makes_no_run_and_leaves_no_finalizer(place: Place) -> None:
    place.apply(deletionPolicy="Retain")
    place.settled()
    assert place.finalizers() == []

    place.kube.delete("DirectorySync", NAME, place.namespace)

    eventually(lambda: place.sync() is None, "the sync hangs")
    assert place.last_runs() == []


def test_the_policy_may_change_and_the_finalizer_with_it(place: Place) -> None:
    place.apply()
    eventually(lambda: place.finalizers() == [DELETION_FINALIZER], "no finalizer was set")
    change = {"spec": {"deletionPolicy": "Retain"}}
    place.kube.patch("DirectorySync", NAME, place.namespace, change)
    eventually(lambda: place.finalizers() == [], "the finalizer stays")


def test_a_namespace_with_such_a_sync_can_be_deleted(place: Place) -> None:
    place.apply()
    place.settled()
    place.held = True

    place.kube.delete("Namespace", place.namespace)

    eventually(lambda: place.sync() is None, "the sync hangs in its namespace")


def test_without_its_tenant_it_goes_at_once(place: Place) -> None:
    place.apply()
    place.settled()
    place.held = True

    place.kube.delete("EntraTenant", NAME, place.namespace)
    place.kube.delete("DirectorySync", NAME, place.namespace)

    eventually(lambda: place.sync() is None, "the sync hangs")
    assert "ObjectsLeft" in place.told()
