"""The chart on a real API server: a first installation, an upgrade, an end."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from entrasync.api.common import API_VERSION, GROUP
from entrasync.controller.app import apply_clouds
from entrasync.controller.brought_clouds import read_clouds
from tests.support.chart import CHART
from tests.support.control_plane import ControlPlane, eventually, namespaced
from tests.support.golden import GOLDEN
from tests.support.kube import RefusedError
from tests.support.tools import program

VALUES = CHART.parents[1] / "tests" / "unit" / "chart" / "values"
OWN = "entrasync-system"
SYNCS = "identity"
LABEL = "app.kubernetes.io/instance=entrasync"
EMULATOR = f"/api/v1/namespaces/{OWN}/secrets/entrasync-emulator"
CLOUDS = f"/apis/{API_VERSION}/azureclouds"
Run = Callable[..., str]


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """An API server that knows nothing of the chart, and starts no pods."""
    found = ControlPlane(tmp_path_factory.mktemp("chart"), controllers=())
    try:
        found.etcd.start()
        found.apiserver.start()
        found.kube.apply(namespaced(SYNCS))
        yield found
    finally:
        found.stop()


@pytest.fixture
def helm(plane: ControlPlane, tmp_path: Path) -> Run:
    """Runs Helm on it; gives what it says, notes included."""
    environment = os.environ | {
        "KUBECONFIG": str(plane.kubeconfig),
        "KUBECACHEDIR": str(tmp_path / "kube"),
        "HELM_CACHE_HOME": str(tmp_path / "cache"),
        "HELM_CONFIG_HOME": str(tmp_path / "config"),
        "HELM_DATA_HOME": str(tmp_path / "data"),
    }

    def run(command: str, *options: str) -> str:
        chart = [str(CHART)] if command in {"install", "upgrade"} else []
        done = subprocess.run(
            [
                *(str(program("helm")), *command.split(), "entrasync", *chart),
                *(f"--namespace={OWN}", *options),
            ],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def get(plane: ControlPlane, path: str, **query: str) -> dict[str, Any]:
    found: dict[str, Any] = plane.kube.call("GET", path, **query)
    return found


def of_the_release(plane: ControlPlane) -> set[tuple[str, str, str]]:
    """Everything that carries the release's label: kind, namespace, name."""
    found = set()
    groups = ["/api/v1"]
    for group in get(plane, "/apis")["groups"]:
        if group["name"] == GROUP:  # nothing of it comes with the release
            continue
        groups.append(f"/apis/{group['preferredVersion']['groupVersion']}")
    for group_path in groups:
        for resource in get(plane, group_path)["resources"]:
            if "/" in resource["name"] or "list" not in resource["verbs"]:
                continue
            listed = get(plane, f"{group_path}/{resource['name']}", labelSelector=LABEL)
            for each in listed["items"]:
                metadata = each["metadata"]
                found.add((resource["kind"], metadata.get("namespace", ""), metadata["name"]))
    return found


def is_served(plane: ControlPlane) -> bool:
    try:
        get(plane, CLOUDS)
    except RefusedError:
        return False
    return True


def test_installed_upgraded_and_removed(plane: ControlPlane, helm: Run, tmp_path: Path) -> None:
    said = helm("install", "--create-namespace", f"--values={VALUES / 'emulator.yaml'}")
    assert "AzureCloud/try" in said
    made = of_the_release(plane)
    assert {kind for kind, _, _ in made} >= {"Deployment", "NetworkPolicy", "Secret", "ClusterRole"}
    assert ("NetworkPolicy", SYNCS, "entrasync-runner") in made

    clouds = get(plane, f"/api/v1/namespaces/{OWN}/configmaps/entrasync-clouds")
    (tmp_path / "emulator.yaml").write_text(clouds["data"]["emulator.yaml"])
    eventually(lambda: is_served(plane), "AzureClouds are not served")
    apply_clouds(plane.gateway(), read_clouds(tmp_path))
    assert get(plane, f"{CLOUDS}/try")["spec"]["caBundle"]

    before = get(plane, EMULATOR)["data"]
    operator = f"/apis/apps/v1/namespaces/{OWN}/deployments/entrasync"
    pod_before = get(plane, operator)["spec"]["template"]["metadata"]
    helm("upgrade", f"--values={VALUES / 'emulator.yaml'}", "--set=logLevel=debug")
    for kept in ("--reset-then-reuse-values", "--reuse-values"):
        helm("upgrade", kept)
        assert get(plane, EMULATOR)["data"] == before
        assert get(plane, operator)["spec"]["template"]["metadata"] == pod_before
    assert "PRIVATE KEY" not in helm("get values", "--all")

    helm("upgrade", "--reset-values")
    assert not [name for _, _, name in of_the_release(plane) if "emulator" in name]

    helm("uninstall")
    assert of_the_release(plane) == set()
    # with the definitions, what people wrote stays
    assert get(plane, f"{CLOUDS}/try")["metadata"]["name"] == "try"


def test_values_of_the_version_before_can_be_upgraded(plane: ControlPlane, helm: Run) -> None:
    helm("install", "--create-namespace", f"--values={GOLDEN / 'chart' / 'values-0.1.0.yaml'}")
    helm(
        "upgrade",
        "--reset-then-reuse-values",
        f"--values={VALUES / 'standing-by.yaml'}",
        "--set=metrics.serviceMonitor.enabled=false,metrics.prometheusRule.enabled=false,watchNamespaces={identity},lockNamespace=identity,crds.keep=true",
    )
    helm("uninstall")
    assert of_the_release(plane) == set()
