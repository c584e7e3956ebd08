"""The examples: each folder is a whole configuration, as the API server and a run would take it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.common import API_VERSION
from entrasync.api.directory_sync import SyncMode
from entrasync.api.snapshot import load_snapshot
from entrasync.engine.facts import AttributeRules
from entrasync.runner.inputs import cycle_inputs
from tests.support.known_kinds import schemas, unknown

EXAMPLES = Path(__file__).parents[3] / "examples"
FOLDERS = sorted(path for path in EXAMPLES.iterdir() if path.is_dir())
FILES = sorted(EXAMPLES.glob("*/*.yaml"))
EMULATED = """
apiVersion: entrasync.dev/v1alpha1
kind: AzureCloud
metadata: {name: contoso-emulator}
spec:
  environment: Custom
  loginAuthority: https://login.emulator.test
  syncService:
    url: https://sync.emulator.test
    endpoints: [{version: V2, maxGroupMembers: 250000}]
"""
"""The demo's cloud, which the demo makes by itself."""


def documents(path: Path) -> Iterator[dict[str, Any]]:
    yield from yaml.safe_load_all(path.read_text())


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_every_document_is_of_a_known_kind_and_shape(path: Path) -> None:
    for document in documents(path):
        if document["apiVersion"] == API_VERSION:
            assert not list(unknown(document, schemas()[document["kind"]], ""))
        else:
            kubernetes_validate.validate(document, "1.31", strict=True)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_a_run_takes_it(folder: Path, tmp_path: Path) -> None:
    cloud = tmp_path / "cloud.yaml"
    cloud.write_text(EMULATED)
    ca = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"ca.crt": "-"}}
    authorities = [ca | {"metadata": {"name": f"{name}-ca"}} for name in ("contoso", "fabrikam")]
    (tmp_path / "ca.yaml").write_text(yaml.safe_dump_all(authorities))

    snapshot = load_snapshot([folder, tmp_path])
    inputs = cycle_inputs(
        snapshot, run_name="run", mode=SyncMode.PREVIEW, scope=None, max_group_members=250_000
    )

    assert isinstance(snapshot.cloud, AzureCloud)
    assert [source.name for source in inputs.sources] == list(snapshot.directories)
    assert AttributeRules(flows=inputs.flows, selection=inputs.selection).required


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_everything_lies_in_the_namespace_it_makes(folder: Path) -> None:
    found = [each for path in sorted(folder.glob("*.yaml")) for each in documents(path)]
    (namespace,) = [each["metadata"]["name"] for each in found if each["kind"] == "Namespace"]

    assert {each["metadata"].get("namespace", namespace) for each in found} == {namespace}
