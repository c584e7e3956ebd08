"""No pod under a ServiceAccount that does not say it may be used, whoever asks for it."""

from __future__ import annotations

from typing import Any, cast

import pytest

from entrasync.api.common import API_VERSION, Resource
from entrasync.controller.environment import Environment
from entrasync.controller.gateway import Gateway, Manifest
from entrasync.controller.reconcile import build_reconcilers
from entrasync.controller.resources import Resources
from tests.support import samples
from tests.support.samples import NOW

APPLICATION = {
    "clientId": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
    "workloadIdentity": {"serviceAccountName": "contoso-sync"},
}
ACCOUNT = "/api/v1/namespaces/identity/serviceaccounts/contoso-sync"
ENVIRONMENT = Environment(runner_image="image:1", pull_policy="Never", lock_namespace="ns")
CHECK_OF_TENANT = {"directorySyncRef": None, "entraTenantRef": {"name": "contoso"}}


class Cluster:
    """What the gateway does, over objects in memory by their path."""

    def __init__(self, *resources: Resource) -> None:
        self.objects: dict[str, Manifest] = {}
        for each in resources:
            plural = each.definition.plural
            place = f"namespaces/{each.metadata.namespace}/" if each.metadata.namespace else ""
            path = f"/apis/{API_VERSION}/{place}{plural}/{each.metadata.name}"
            self.objects[path] = each.to_manifest()

    def get(self, path: str) -> Manifest | None:
        return self.objects.get(path)

    def create(self, path: str, manifest: Manifest) -> bool:
        return self.objects.setdefault(f"{path}/{manifest['metadata'].get('name')}", manifest) is (
            manifest
        )

    def patch_status(self, path: str, status: Manifest, resource_version: str) -> bool:
        del resource_version
        self.objects[path].setdefault("status", {}).update(status)
        return True

    def made_jobs(self) -> list[Manifest]:
        """Jobs that were made."""
        return [each for each in self.objects.values() if each.get("kind") == "Job"]

    def status(self, plural: str, name: str) -> dict[str, Manifest]:
        """Conditions by type."""
        path = f"/apis/{API_VERSION}/namespaces/identity/{plural}/{name}"
        return {each["type"]: each for each in self.objects[path]["status"]["conditions"]}

    def list(self, path: str, selector: str = "") -> list[Manifest]:
        del selector
        return [found for at, found in self.objects.items() if at.rpartition("/")[0] == path]


def made(*, ready: bool = True, labels: dict[str, str] | None) -> Cluster:
    cluster = Cluster(
        samples.cloud(),
        samples.tenant(ready=ready, application=APPLICATION),
        samples.directory(),
        samples.sync(),
    )
    if labels is not None:
        cluster.objects[ACCOUNT] = {"metadata": {"name": "contoso-sync", "labels": labels}}
    return cluster


def reconcile(cluster: Cluster, plural: str, name: str) -> None:
    gateway = cast("Gateway", cluster)
    resources = Resources(gateway, lambda: "id")
    build_reconcilers(gateway, resources, ENVIRONMENT)[plural]("identity", name, NOW)


def start(cluster: Cluster, **spec: Any) -> None:
    """A SyncRun a person makes, looked at once."""
    run = samples.run("manual", spec=spec).to_manifest()
    cluster.create(f"/apis/{API_VERSION}/namespaces/identity/syncruns", run)
    reconcile(cluster, "syncruns", "manual")


@pytest.mark.parametrize("spec", [{}, {"mode": "Check"}, {"mode": "Check"} | CHECK_OF_TENANT])
@pytest.mark.parametrize(
    ("labels", "reason"),
    [(None, "ReferenceNotFound"), ({}, "ServiceAccountNotAllowed")],
)
def test_no_run_works_under_an_account_that_is_not_marked(
    spec: dict[str, Any], labels: dict[str, str] | None, reason: str
) -> None:
    cluster = made(labels=labels)

    start(cluster, **spec)

    assert cluster.made_jobs() == []
    assert cluster.status("syncruns", "manual")["Ready"]["reason"] == reason


@pytest.mark.parametrize("spec", [{}, {"mode": "Check"}, {"mode": "Check"} | CHECK_OF_TENANT])
def test_a_run_works_under_an_account_that_is(spec: dict[str, Any]) -> None:
    cluster = made(labels={"entrasync.dev/runner": "true"})

    start(cluster, **spec)

    (job,) = cluster.made_jobs()
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "contoso-sync"


def test_the_tenant_says_which_label_is_missing_and_is_stalled() -> None:
    cluster = made(ready=False, labels={})

    reconcile(cluster, "entratenants", "contoso")

    found = cluster.status("entratenants", "contoso")
    assert found["Ready"]["reason"] == "ServiceAccountNotAllowed"
    assert 'entrasync.dev/runner: "true"' in found["Stalled"]["message"]


def test_an_account_that_may_still_come_stalls_nobody_yet() -> None:
    cluster = made(ready=False, labels=None)

    reconcile(cluster, "entratenants", "contoso")
    reconcile(cluster, "directorysyncs", "contoso")

    for plural in ("entratenants", "directorysyncs"):
        found = cluster.status(plural, "contoso")
        assert found["Ready"]["reason"] == "ReferenceNotFound"
        assert "Stalled" not in found
