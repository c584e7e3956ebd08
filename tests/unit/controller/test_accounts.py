"""No pod under a ServiceAccount that does not say it may be used, whoever asks for it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import samples
from tests.support.memory_cluster import Cluster

APPLICATION = {
    "clientId": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
    "workloadIdentity": {"serviceAccountName": "contoso-sync"},
}
ACCOUNT = "/api/v1/namespaces/identity/serviceaccounts/contoso-sync"
CHECK_OF_TENANT = {"directorySyncRef": None, "entraTenantRef": {"name": "contoso"}}


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


@pytest.mark.parametrize("spec", [{}, {"mode": "Check"}, {"mode": "Check"} | CHECK_OF_TENANT])
@pytest.mark.parametrize(
    ("labels", "reason"),
    [(None, "ReferenceNotFound"), ({}, "ServiceAccountNotAllowed")],
)
def test_no_run_works_under_an_account_that_is_not_marked(
    spec: dict[str, Any], labels: dict[str, str] | None, reason: str
) -> None:
    cluster = made(labels=labels)

    cluster.start(**spec)

    assert cluster.made_jobs() == []
    assert cluster.conditions("syncruns", "manual")["Ready"]["reason"] == reason


@pytest.mark.parametrize("spec", [{}, {"mode": "Check"}, {"mode": "Check"} | CHECK_OF_TENANT])
def test_a_run_works_under_an_account_that_is(spec: dict[str, Any]) -> None:
    cluster = made(labels={"entrasync.dev/runner": "true"})

    cluster.start(**spec)

    (job,) = cluster.made_jobs()
    assert job["spec"]["template"]["spec"]["serviceAccountName"] == "contoso-sync"


def test_the_tenant_says_which_label_is_missing_and_is_stalled() -> None:
    cluster = made(ready=False, labels={})

    cluster.reconcile("entratenants", "contoso")

    found = cluster.conditions("entratenants", "contoso")
    assert found["Ready"]["reason"] == "ServiceAccountNotAllowed"
    assert 'entrasync.dev/runner: "true"' in found["Stalled"]["message"]


def test_an_account_that_may_still_come_stalls_nobody_yet() -> None:
    cluster = made(ready=False, labels=None)

    cluster.reconcile("entratenants", "contoso")
    cluster.reconcile("directorysyncs", "contoso")

    for plural in ("entratenants", "directorysyncs"):
        found = cluster.conditions(plural, "contoso")
        assert found["Ready"]["reason"] == "ReferenceNotFound"
        assert "Stalled" not in found
