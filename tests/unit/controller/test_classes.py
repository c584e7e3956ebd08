"""Which operator serves what: each resource one alone, and a run what it names."""

from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.common import Resource
from entrasync.controller.classes import class_problem
from entrasync.controller.gateway import Gateway
from entrasync.controller.resources import Resources
from tests.support import samples
from tests.support.memory_cluster import Cluster

CLASSES = ("", "blue", "green")


def serving(cluster: Cluster, resource: Resource) -> list[str]:
    """Classes whose operators serve a resource."""
    gateway = cast("Gateway", cluster)
    return [each for each in CLASSES if Resources(gateway, class_name=each).is_own(resource)]


@pytest.mark.parametrize("name", [*CLASSES, None])
def test_each_resource_is_served_by_one_operator(name: str | None) -> None:
    cluster = Cluster()
    for make in (samples.sync, samples.tenant, samples.directory):
        resource = make(className=name)
        assert serving(cluster, resource) == [name or ""]


def test_clouds_are_served_by_all() -> None:
    assert serving(Cluster(), samples.cloud()) == list(CLASSES)


@pytest.mark.parametrize(
    "spec",
    [
        {"directorySyncRef": {"name": "contoso"}},
        {"directorySyncRef": None, "entraTenantRef": {"name": "contoso"}, "mode": "Check"},
        {"directorySyncRef": None, "activeDirectoryRef": {"name": "contoso"}, "mode": "Check"},
    ],
    ids=["sync", "tenant", "directory"],
)
def test_a_run_follows_what_it_names(spec: dict[str, Any]) -> None:
    blue: dict[str, Any] = {"className": "blue"}
    cluster = Cluster(samples.sync(**blue), samples.tenant(**blue), samples.directory(**blue))
    assert serving(cluster, samples.run(spec=spec)) == ["blue"]


def test_a_run_of_nothing_is_told_so_once() -> None:
    assert serving(Cluster(), samples.run()) == [""]


@given(*[st.sampled_from([*CLASSES, None])] * 3)
def test_a_sync_runs_only_with_parts_of_its_own_class(
    sync: str | None, tenant: str | None, directory: str | None
) -> None:
    problem = class_problem(
        samples.sync(className=sync),
        [samples.tenant(className=tenant), samples.directory(className=directory), None],
    )
    assert (problem is None) == ((sync or "") == (tenant or "") == (directory or ""))


def test_what_differs_is_named_with_the_remedy() -> None:
    problem = class_problem(samples.sync(className="blue"), [samples.tenant()])
    assert problem is not None
    assert problem.startswith("`spec.target`: EntraTenant/contoso is of no class, and this sync of")
    assert "class blue" in problem
    assert "`spec.className`" in problem


def test_a_sync_of_a_mixed_class_claims_no_tenant_and_waits() -> None:
    cluster = Cluster(
        samples.sync(),
        samples.tenant(className="blue"),
        samples.directory(),
        samples.cloud(),
    )

    cluster.reconcile("directorysyncs", "contoso")

    conditions = cluster.conditions("directorysyncs", "contoso")
    assert conditions["Ready"]["reason"] == "ClassMismatch"
    assert conditions["Stalled"]["status"] == "True"
    assert cluster.of_kind("Lease") == []
    assert cluster.of_kind("SyncRun") == []


@pytest.mark.parametrize("mode", ["Check", "Preview", None])
def test_no_run_looks_at_what_another_operator_serves(mode: str | None) -> None:
    cluster = Cluster(
        samples.sync(),
        samples.tenant(className="blue"),
        samples.directory(),
        samples.cloud(),
    )

    cluster.start(**({} if mode is None else {"mode": mode}))

    assert cluster.made_jobs() == []
    assert cluster.conditions("syncruns", "manual")["Ready"]["reason"] == "ClassMismatch"


@pytest.mark.parametrize(
    ("plural", "resource"),
    [
        ("directorysyncs", samples.sync(className="blue")),
        ("entratenants", samples.tenant(ready=False, className="blue")),
        ("activedirectories", samples.directory(ready=False, className="blue")),
    ],
    ids=["sync", "tenant", "directory"],
)
def test_what_another_operator_serves_is_left_alone(plural: str, resource: Resource) -> None:
    cluster = Cluster(resource, samples.run())
    before = dict(cluster.objects)

    cluster.reconcile(plural, "contoso")
    cluster.reconcile("syncruns", "contoso-1")

    touched = {at for at in cluster.objects if cluster.objects[at] != before.get(at)}
    assert not {at for at in touched if plural in at}
