"""The overlays for each cloud, the objects for Flux and Argo CD, and the workflow for reviews."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.shipped_clouds import shipped_clouds
from entrasync.api.snapshot import load_snapshot
from entrasync.cli.main import build_parser
from tests.support.tools import program

GITOPS = Path(__file__).parents[3] / "gitops"
OVERLAYS = sorted((GITOPS / "kustomize" / "overlays").iterdir())
CA = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "contoso-ca"}}


def rendered(overlay: Path) -> str:
    command = [str(program("kubectl")), "kustomize", str(overlay)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def test_each_cloud_that_is_open_has_an_overlay() -> None:
    open_clouds = [each for each in shipped_clouds() if each.spec.closed_time is None]
    assert [path.name for path in OVERLAYS] == sorted(each.metadata.name for each in open_clouds)


@pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda path: path.name)
def test_a_run_takes_what_an_overlay_renders(overlay: Path, tmp_path: Path) -> None:
    (tmp_path / "rendered.yaml").write_text(rendered(overlay))
    (tmp_path / "ca.yaml").write_text(yaml.safe_dump(CA | {"data": {"ca.crt": "-"}}))

    snapshot = load_snapshot([tmp_path])

    assert isinstance(snapshot.cloud, AzureCloud)
    assert snapshot.cloud.metadata.name == overlay.name
    assert snapshot.tenant is not None
    assert not snapshot.tenant.spec.tenant_id.startswith("00000000")


def test_flux_and_argo_cd_are_shown_paths_that_exist() -> None:
    (_, release) = documents(GITOPS / "flux" / "operator.yaml")
    (_, syncs) = documents(GITOPS / "flux" / "syncs.yaml")
    (application,) = documents(GITOPS / "argocd" / "application.yaml")

    assert (GITOPS.parent / release["spec"]["chart"]["spec"]["chart"] / "Chart.yaml").is_file()
    for path in (syncs["spec"]["path"], application["spec"]["source"]["path"]):
        assert (GITOPS / path / "kustomization.yaml").is_file()


def test_the_workflow_plans_with_a_command_that_exists() -> None:
    (workflow,) = documents(GITOPS / "pull-request" / "plan.yaml")
    scripts = [step.get("run", "") for step in workflow["jobs"]["plan"]["steps"]]
    (plan,) = [script for script in scripts if "entrasync plan" in script]
    (line,) = [each for each in plan.splitlines() if each.startswith("entrasync plan")]
    words = line.partition(">")[0].split()[1:]

    chosen = build_parser().parse_args(words)

    assert (chosen.filename, chosen.secrets) == ([Path("rendered.yaml")], Path("secrets"))
