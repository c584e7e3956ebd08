"""Statuses on a real API server: kept as written, shown by kubectl, judged by kstatus itself."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dev.cluster import binaries
from entrasync.api.common import Resource
from entrasync.controller.decisions import Decision
from entrasync.controller.resources import Resources
from entrasync.controller.sync_status import sync_status
from tests.support import kstatus, samples, situations, statuses
from tests.support.control_plane import ControlPlane
from tests.support.samples import NOW
from tests.support.situations import ALL, Situation

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def judge() -> Path:
    """The program that asks the kstatus library; built once."""
    binaries.ensure(("kstatus",))
    return binaries.path_of("kstatus")


@pytest.fixture
def resources(control_plane: ControlPlane) -> Resources:
    return Resources(control_plane.gateway())


def stored(
    control_plane: ControlPlane, resources: Resources, situation: Situation, name: str, place: str
) -> Resource:
    """Makes a resource as somebody would, and writes the status of a situation as we do."""
    resource = situation.resource
    manifest = resource.to_manifest()
    manifest.pop("status", None)
    clustered = resource.definition.cluster_scoped
    manifest["metadata"] = {"name": name} | ({} if clustered else {"namespace": place})
    control_plane.kube.apply(manifest)
    found = resources.get(type(resource), None if clustered else place, name)
    assert found is not None
    assert resources.publish(found, getattr(found, "status", None), situation.after, NOW)
    return found


@pytest.mark.parametrize("kind", ALL)
def test_what_is_written_is_kept_and_written_once(
    kind: str, control_plane: ControlPlane, resources: Resources, namespace: str
) -> None:
    for number, situation in enumerate(ALL[kind]().values()):
        one = stored(control_plane, resources, situation, f"{kind}-{number}", namespace)
        wanted = statuses.written(one, situation.after)["status"]
        kept = control_plane.kube.get(one.kind, one.metadata.name, one.metadata.namespace)
        assert kept is not None
        assert kept["status"] == wanted

        again = resources.get(type(one), one.metadata.namespace, one.metadata.name)
        assert again is not None
        assert resources.publish(again, getattr(again, "status", None), situation.after, NOW)
        after = control_plane.kube.get(one.kind, one.metadata.name, one.metadata.namespace)
        assert after is not None
        assert after["metadata"]["resourceVersion"] == kept["metadata"]["resourceVersion"]
        if one.definition.cluster_scoped:
            control_plane.kube.delete(one.kind, one.metadata.name)


def test_a_new_object_is_in_progress_for_kstatus(
    control_plane: ControlPlane, namespace: str, judge: Path
) -> None:
    manifest = samples.sync().to_manifest()
    manifest["metadata"] = {"name": "contoso", "namespace": namespace}
    control_plane.kube.apply(manifest)
    found = control_plane.kube.get("DirectorySync", "contoso", namespace)
    assert found is not None
    assert judged(judge, [found]) == ["InProgress"]


def test_kubectl_waits_gets_and_describes(
    control_plane: ControlPlane, resources: Resources, namespace: str
) -> None:
    told = situations.syncs()
    stored(control_plane, resources, told["all is well"], "good", namespace)
    stored(control_plane, resources, told["a brake stopped the plan"], "braked", namespace)

    def kubectl(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [binaries.path_of("kubectl"), "--namespace", namespace, *arguments],
            env=os.environ | {"KUBECONFIG": str(control_plane.kubeconfig)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    good = kubectl("wait", "--for=condition=Ready", "dsync/good", "--timeout=10s")
    assert good.returncode == 0, good.stderr
    bad = kubectl("wait", "--for=condition=Ready", "dsync/braked", "--timeout=1s")
    assert bad.returncode != 0

    header, *rows = kubectl("get", "dsync").stdout.splitlines()
    assert header.split("  ")[0] == "NAME"
    assert [word.strip() for word in header.split("  ") if word.strip()] == [
        "NAME",
        "READY",
        "STATUS",
        "LAST SUCCESS",
        "NEXT",
        "USERS",
        "GROUPS",
        "AGE",
    ]
    assert [row.split()[:3] for row in rows] == [
        ["braked", "False", "DeletionThresholdExceeded"],
        ["good", "True", "Synchronized"],
    ]
    assert "Mend the source" in kubectl("get", "dsync", "braked", "-o", "wide").stdout

    described = kubectl("describe", "dsync", "braked").stdout
    assert "changes wait for an approval (users: delete 612)" in described
    assert "Warning  DeletionThresholdExceeded" in described
    assert "Scopes:" not in described, "what is empty fills no line"


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.tuples(statuses.syncs(), statuses.decisions()), min_size=1, max_size=20))
def test_kstatus_judges_as_we_say(judge: Path, syncs: list[tuple[Any, Decision]]) -> None:
    found = [
        {"apiVersion": "entrasync.dev/v1alpha1", "kind": "DirectorySync"}
        | statuses.written(sync, sync_status(sync, decision, None, NOW))
        for sync, decision in syncs
    ]
    assert judged(judge, found) == [str(kstatus.status_of(each)) for each in found]


def test_kstatus_judges_every_situation_as_we_say(judge: Path) -> None:
    found = [
        {"apiVersion": "entrasync.dev/v1alpha1", "kind": each.resource.kind}
        | statuses.written(each.resource, each.after)
        for each in all_situations()
    ]
    assert judged(judge, found) == [str(kstatus.status_of(each)) for each in found]


def all_situations() -> Iterator[Situation]:
    for of_kind in ALL.values():
        yield from of_kind().values()


def judged(program: Path, found: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the kstatus library makes of resources."""
    whole = {"apiVersion": "v1", "kind": "List", "items": list(found)}
    done = subprocess.run(
        [program], input=json.dumps(whole), capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.split()
