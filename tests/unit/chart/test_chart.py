"""The chart renders, says what it means, and gives the operator no more than it needs."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from entrasync.api.crds import render_files
from tests.support.tools import program

CHART = Path(__file__).parents[3] / "helm" / "entrasync"


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program("helm")), *arguments], capture_output=True, text=True, check=False
    )


def render(*options: str) -> list[dict[str, Any]]:
    done = helm(
        "template", "entrasync", str(CHART), "--namespace=ns", "--kube-version=1.31.0", *options
    )
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    return render()


def test_every_object_is_valid_kubernetes(objects: list[dict[str, Any]]) -> None:
    for document in objects:
        kubernetes_validate.validate(document, "1.31", strict=True)


def test_it_installs_exactly_the_generated_definitions(objects: list[dict[str, Any]]) -> None:
    generated = [d for text in render_files().values() for d in yaml.safe_load_all(text)]
    installed = {(o["kind"], o["metadata"]["name"]): o for o in objects}
    for document in generated:
        found = installed[document["kind"], document["metadata"]["name"]]
        assert found["spec"] == document["spec"]
        assert found["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def test_definitions_can_be_left_out() -> None:
    kinds = {o["kind"] for o in render("--set=crds.install=false")}
    assert "CustomResourceDefinition" not in kinds
    assert "ValidatingAdmissionPolicy" not in kinds


def test_no_role_reads_secrets(objects: list[dict[str, Any]]) -> None:
    roles = [o for o in objects if o["kind"] in {"Role", "ClusterRole"}]
    assert roles
    for role in roles:
        for rule in role["rules"]:
            assert not {"secrets", "*"} & set(rule["resources"]), role["metadata"]["name"]
            assert "*" not in rule["verbs"], role["metadata"]["name"]


def test_service_accounts_are_only_looked_at(objects: list[dict[str, Any]]) -> None:
    roles = [o for o in objects if o["kind"] in {"Role", "ClusterRole"}]
    rules = [r for role in roles for r in role["rules"] if "serviceaccounts" in r["resources"]]

    assert [rule["verbs"] for rule in rules] == [["get"]]


def test_the_operator_pod_is_restricted(objects: list[dict[str, Any]]) -> None:
    (deployment,) = [o for o in objects if o["kind"] == "Deployment"]
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("option", ["--set=imagee.tag=x", "--set=logLevel=chatty"])
def test_the_values_schema_refuses_what_it_does_not_know(option: str) -> None:
    done = helm("template", "entrasync", str(CHART), "--kube-version=1.31.0", option)
    assert done.returncode != 0
    assert "schema" in done.stderr


def test_kubernetes_before_1_31_is_refused() -> None:
    done = helm("template", "entrasync", str(CHART), "--kube-version=1.30.0")
    assert done.returncode != 0
    assert "kubeVersion" in done.stderr
