"""Whole value files, as people keep them: everything that is rendered is sound."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from dev.chart_reference import README, chart_readme, rendered_readme
from entrasync.controller.environment import HEALTH_PORT, VARIABLES
from tests.support.chart import CHART, helm, render
from tests.support.golden import GOLDEN

FILES = [*sorted((Path(__file__).parent / "values").glob("*.yaml")), CHART / "values.yaml"]
OLD = GOLDEN / "chart" / "values-0.1.0.yaml"
NAME_LENGTH = 63
WITHOUT_CRDS = "--set=crds.install=false"
FOREIGN = {"ServiceMonitor", "PrometheusRule"}
"""Kinds of the Prometheus operator, which no schema of Kubernetes knows."""


@pytest.fixture(scope="module", params=FILES, ids=lambda path: str(path.stem))
def objects(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return render(f"--values={request.param}")


def pods(objects: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for each in objects:
        if each["kind"] == "Deployment":
            yield each["spec"]["template"]["spec"]


def test_every_object_is_valid_and_named_once(objects: list[dict[str, Any]]) -> None:
    seen = set()
    for each in objects:
        metadata = each["metadata"]
        identity = (each["kind"], metadata.get("namespace"), metadata["name"])
        assert identity not in seen
        seen.add(identity)
        if each["kind"] not in FOREIGN:
            kubernetes_validate.validate(each, "1.31", strict=True)


def test_every_pod_is_restricted(objects: list[dict[str, Any]]) -> None:
    for pod in pods(objects):
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 10_000
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod.keys() & {"hostNetwork", "hostPID", "hostIPC"}
        assert all("hostPath" not in volume for volume in pod["volumes"])
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["requests"]
            assert "memory" in container["resources"]["limits"]
            mounted = {each["name"] for each in container["volumeMounts"]}
            assert mounted == {each["name"] for each in pod["volumes"]}


def test_nothing_may_read_secrets(objects: list[dict[str, Any]]) -> None:
    for each in objects:
        for rule in each.get("rules", ()) if "Role" in each["kind"] else ():
            assert not {"secrets", "*"} & set(rule["resources"]), each["metadata"]["name"]
            assert not {"*", "impersonate", "escalate", "bind"} & set(rule["verbs"])


def test_what_is_the_releases_says_so(objects: list[dict[str, Any]]) -> None:
    for each in objects:
        if each["kind"] == "CustomResourceDefinition":
            continue
        labels = each["metadata"].get("labels", {})
        if "policy" not in each["kind"].lower() or "helm.sh/chart" in labels:
            assert labels["app.kubernetes.io/instance"] == "entrasync", each["metadata"]["name"]
            assert labels["app.kubernetes.io/managed-by"] == "Helm"


def test_selectors_find_the_pods_they_mean_and_no_others(objects: list[dict[str, Any]]) -> None:
    deployments = [each for each in objects if each["kind"] == "Deployment"]
    labels = [each["spec"]["template"]["metadata"]["labels"] for each in deployments]
    for each in deployments:
        selector = each["spec"]["selector"]["matchLabels"].items()
        assert len([found for found in labels if selector <= found.items()]) == 1
    for service in (each for each in objects if each["kind"] == "Service"):
        selector = service["spec"]["selector"].items()
        assert len([found for found in labels if selector <= found.items()]) == 1


def test_the_operator_reads_every_variable_it_is_given(objects: list[dict[str, Any]]) -> None:
    assert variables(objects) <= VARIABLES


def test_the_chart_sets_every_variable_the_operator_reads() -> None:
    given = set().union(*(variables(render(f"--values={file}", WITHOUT_CRDS)) for file in FILES))
    # of use where several operators run on one host only
    assert given == VARIABLES - {HEALTH_PORT}


def variables(objects: list[dict[str, Any]]) -> set[str]:
    (operator,) = [
        container
        for pod in pods(objects)
        for container in pod["containers"]
        if container["name"] == "operator"
    ]
    return {each["name"] for each in operator["env"]}


@pytest.mark.parametrize("release", ["entrasync", "r" * 53, "a-" * 26 + "b"])
@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.stem))
def test_names_fit_whatever_the_release_is_called(file: Path, release: str) -> None:
    done = helm(
        "template",
        release,
        str(CHART),
        "--kube-version=1.31.0",
        f"--values={file}",
        WITHOUT_CRDS,
    )
    assert done.returncode == 0, done.stderr
    for each in yaml.safe_load_all(done.stdout):
        if each and each["kind"] in {
            "Service",
            "Deployment",
            "Secret",
            "ConfigMap",
            "ServiceAccount",
        }:
            assert len(each["metadata"]["name"]) <= NAME_LENGTH
            assert not each["metadata"]["name"].endswith("-")


@pytest.mark.parametrize("file", FILES, ids=lambda path: str(path.stem))
def test_lint_finds_nothing(file: Path) -> None:
    done = helm("lint", str(CHART), "--strict", f"--values={file}")
    assert done.returncode == 0, done.stdout


def test_values_of_the_version_before_are_still_taken() -> None:
    assert {each["kind"] for each in render(f"--values={OLD}")} == {
        each["kind"] for each in render()
    }


@pytest.mark.parametrize(
    "option",
    [
        "--set=networkPolicy.enabeld=true",
        "--set=networkPolicy.apiServer.ports={}",
        "--set=networkPolicy.apiServer.ports={0}",
        "--set=runner.namespaces[0].serviceAccounts[0].name=a",
        "--set=runner.namespaces[0].name=Identity",
        "--set=runner.namespaces[0].name=a,runner.namespaces[0].labels.a=b",
        "--set=proxy.httpsProxy=proxy.example:3128",
        "--set=proxy.httpsProxy=http://user:word@proxy.example",
        "--set=proxy.httpProxy=http://proxy.example",
        '--set-json=proxy.noProxy=["a,b"]',
        "--set=extraCA.certificates=/etc/ca.pem",
        "--set=extraCA.key=a/b",
        "--set=emulator.tenants={}",
        "--set=emulator.replicas=2",
        "--set=emulator.cloudName=Emulator",
        "--set=extraEnv.a=b",
    ],
)
def test_the_schema_refuses_what_it_does_not_know(option: str) -> None:
    done = helm("template", "entrasync", str(CHART), "--kube-version=1.31.0", option)
    assert done.returncode != 0
    assert "schema" in done.stderr


@pytest.mark.parametrize(
    ("option", "complaint"),
    [
        (
            "--set=extraCA.certificates=-----BEGIN CERTIFICATE-----",
            "runner.namespaces; name them",
        ),
        ("--set=emulator.enabled=true,emulator.tls.secretName=azure-tls", "go together"),
        ("--set=emulator.enabled=true,emulator.tls.ca=pem", "go together"),
    ],
)
def test_what_a_schema_cannot_say_is_said_with_the_remedy(option: str, complaint: str) -> None:
    done = helm("template", "entrasync", str(CHART), "--kube-version=1.31.0", option)
    assert done.returncode != 0
    assert complaint in done.stderr


# --- what people read --------------------------------------------------------------------------


def notes(folder: Path, *options: str) -> str:
    """NOTES.txt by Helm itself, which shows it after an installation only."""
    chart = folder / "entrasync"
    shutil.copytree(CHART, chart)
    text = (chart / "templates" / "NOTES.txt").read_text()
    (chart / "templates" / "notes.yaml").write_text(
        '{{ define "notes" }}' + text + "{{ end }}\n"
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\n"
        'data: {notes: {{ include "notes" . | quote }}}\n'
    )
    done = helm(
        "template",
        "entrasync",
        str(chart),
        "--namespace=ns",
        "--kube-version=1.31.0",
        "--show-only=templates/notes.yaml",
        *options,
    )
    assert done.returncode == 0, done.stderr
    (found,) = [each for each in yaml.safe_load_all(done.stdout) if each]
    return str(found["data"]["notes"])


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("airgap", ["mirror registry.example", "ConfigMap entrasync-extra-ca, key ca.crt"]),
        ("trust-manager", ["ConfigMap company-trust, key bundle.pem", "runner.namespaces"]),
        ("emulator", ["AzureCloud/try", "port-forward service/entrasync-emulator 8443:443 -n ns"]),
        ("standing-by", ["namespaces identity, subsidiary", "kubectl get lease"]),
    ],
)
def test_notes_name_the_next_commands(tmp_path: Path, file: str, said: list[str]) -> None:
    text = notes(tmp_path, f"--values={Path(__file__).parent / 'values' / file}.yaml")
    assert "kubectl get etenant,ad,dsync,srun --all-namespaces" in text
    for each in said:
        assert each in text
    assert "\n\n\n" not in text


def test_the_readme_describes_every_value() -> None:
    page = README.read_text()
    assert page == rendered_readme()

    def leaves(values: dict[str, Any], above: str = "") -> Iterator[str]:
        for name, value in values.items():
            if isinstance(value, dict) and value and f"`{above}{name}`" not in page:
                yield from leaves(value, f"{above}{name}.")
            else:
                yield f"{above}{name}"

    for name in leaves(yaml.safe_load((CHART / "values.yaml").read_text())):
        assert f"| `{name}` |" in page


def test_a_page_without_its_marks_is_not_filled_in() -> None:
    with pytest.raises(ValueError, match="marks"):
        chart_readme("# The chart\n", {"properties": {}}, {})
