"""What a run works from is what its ConfigMap says, whatever was there before."""

from __future__ import annotations

import pytest

from entrasync.api.snapshot import SNAPSHOT_FILE
from entrasync.controller.gateway import Manifest
from entrasync.controller.snapshots import MOST_BYTES, size_problem
from tests.support import samples
from tests.support.memory_cluster import Cluster, resource_at


def cluster() -> Cluster:
    return Cluster(samples.cloud(), samples.tenant(), samples.directory(), samples.sync())


def mounted(place: Cluster) -> Manifest:
    """The ConfigMap that the Job's pod mounts."""
    (job,) = place.made_jobs()
    volumes = {each["name"]: each for each in job["spec"]["template"]["spec"]["volumes"]}
    name = volumes["config"]["projected"]["sources"][0]["configMap"]["name"]
    return place.objects[f"/api/v1/namespaces/identity/configmaps/{name}"]


class KilledError(Exception):
    """The operator was killed."""


def kill_before_job(verb: str, path: str, body: Manifest | None) -> None:
    del body
    if verb == "create" and path.endswith("/jobs"):
        raise KilledError


def test_a_killed_attempt_is_taken_up_where_nothing_changed() -> None:
    place = cluster()
    place.watchers.append(kill_before_job)
    with pytest.raises(KilledError):
        place.start()
    place.watchers.clear()

    place.reconcile("syncruns", "manual")

    assert len(place.of_kind("ConfigMap")) == 1
    assert "mode: Apply" in mounted(place)["data"][SNAPSHOT_FILE]


def test_after_a_change_the_next_attempt_works_from_what_is_new() -> None:
    place = cluster()
    place.watchers.append(kill_before_job)
    with pytest.raises(KilledError):
        place.start()
    place.watchers.clear()
    place.change(resource_at("directorysyncs", "contoso"), {"spec": {"mode": "Preview"}})

    place.reconcile("syncruns", "manual")

    assert len(place.of_kind("ConfigMap")) == 2
    assert "mode: Preview" in mounted(place)["data"][SNAPSHOT_FILE]
    assert place.status("syncruns", "manual")["mode"] == "Preview"


@pytest.mark.parametrize("forged", [{"data": {SNAPSHOT_FILE: "kind: Evil"}}, {"immutable": False}])
def test_a_config_map_somebody_put_in_its_place_is_not_used(forged: Manifest) -> None:
    place = cluster()
    place.watchers.append(kill_before_job)
    with pytest.raises(KilledError):
        place.start()
    place.watchers.clear()
    place.of_kind("ConfigMap")[0].update(forged)

    place.reconcile("syncruns", "manual")

    assert place.made_jobs() == []
    ready = place.conditions("syncruns", "manual")["Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "JobCannotStart")
    assert "delete it" in ready["message"]


def test_it_must_fit_and_what_is_large_is_named() -> None:
    config_map = {"data": {SNAPSHOT_FILE: "x" * MOST_BYTES}}
    assert size_problem(config_map, {}) is None

    config_map = {"data": {SNAPSHOT_FILE: "x" * (MOST_BYTES + 1)}}
    problem = size_problem(config_map, {"ActiveDirectory/a": 900_000, "DirectorySync/b": 7})

    assert problem is not None
    assert problem[0] == "SnapshotTooLarge"
    assert "ActiveDirectory/a is the largest part with 900000" in problem[1]


def test_a_run_that_does_not_fit_fails_with_the_remedy() -> None:
    pem = "-----BEGIN CERTIFICATE-----\n" + "A" * 65_000
    place = cluster()
    sources = []
    for number in range(16):
        directory = samples.directory(caBundle=pem, caProvider=None)
        directory.metadata.name = f"forest-{number}"
        place.add(directory)
        sources.append({"name": f"s{number}", "activeDirectoryRef": {"name": f"forest-{number}"}})
    place.add(samples.sync(sources=sources))

    place.start()

    assert place.status("syncruns", "manual")["phase"] == "Failed"
    ready = place.conditions("syncruns", "manual")["Ready"]
    assert ready["reason"] == "SnapshotTooLarge"
    assert "ActiveDirectory/forest-" in ready["message"]
    assert "`spec.caProvider`" in ready["message"]
    assert place.of_kind("ConfigMap") == []
