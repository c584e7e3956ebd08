"""The chart renders, says what it means, and gives the operator no more than it needs."""

from __future__ import annotations

import json
from typing import Any

import kopf
import kubernetes_validate
import pytest
import yaml

from entrasync.api.crds import render_files
from entrasync.controller.app import configure
from entrasync.controller.environment import VARIABLES
from entrasync.controller.leadership import lease_name
from entrasync.controller.process import STOP_SECONDS
from tests.support.chart import CHART, helm, render


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


EVERYTHING = (
    "--set=replicas=2,className=blue,lockNamespace=locks,approval.fourEyes.enabled=true",
    "--set=watchNamespaces={first,second},priorityClassName=system-cluster-critical",
    "--set=crds.keep=false,image.tag=v1,image.pullPolicy=Always,imagePullSecrets[0].name=pull",
    "--set=serviceAccount.name=account,serviceAccount.annotations.a=b,logLevel=debug",
    "--set=nodeSelector.a=b,podAnnotations.a=b,podLabels.a=b,tolerations[0].operator=Exists",
    '--set-json=affinity={"nodeAffinity": {}}',
    (
        '--set-json=topologySpreadConstraints=[{"maxSkew": 2, "topologyKey": "zone",'
        ' "whenUnsatisfiable": "DoNotSchedule"}]'
    ),
)


@pytest.fixture(scope="module")
def full() -> list[dict[str, Any]]:
    """With every value set to something else than its default."""
    return render(*EVERYTHING)


def one(objects: list[dict[str, Any]], kind: str, name: str = "") -> dict[str, Any]:
    (found,) = [
        o for o in objects if o["kind"] == kind and name in {"", str(o["metadata"]["name"])}
    ]
    return found


def pod_of(objects: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = one(objects, "Deployment")["spec"]["template"]["spec"]
    return found


def variables_of(objects: list[dict[str, Any]]) -> dict[str, str | None]:
    (container,) = pod_of(objects)["containers"]
    return {each["name"]: each.get("value") for each in container["env"]}


def test_every_object_is_valid_with_every_value_set(full: list[dict[str, Any]]) -> None:
    for document in full:
        kubernetes_validate.validate(document, "1.31", strict=True)


def test_lint_finds_nothing() -> None:
    done = helm("lint", str(CHART), "--strict")
    assert done.returncode == 0, done.stdout


def test_every_value_is_described_and_no_other_taken() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert set(schema["properties"]) - {"global"} == set(values)
    pending = list(schema["properties"].items())
    while pending:
        name, described = pending.pop()
        assert described.get("description"), name
        if "properties" in described:
            assert described["additionalProperties"] is False, name
            pending += [(f"{name}.{k}", v) for k, v in described["properties"].items()]


def test_the_operator_reads_every_variable_it_is_given(full: list[dict[str, Any]]) -> None:
    assert set(variables_of(full)) <= VARIABLES


def test_variables(objects: list[dict[str, Any]], full: list[dict[str, Any]]) -> None:
    plain, rich = variables_of(objects), variables_of(full)
    assert plain["ENTRASYNC_RELEASE"] == "entrasync"
    assert plain["ENTRASYNC_LOCK_NAMESPACE"] == "ns"
    assert "ENTRASYNC_CLASS_NAME" not in plain
    assert rich["ENTRASYNC_LOCK_NAMESPACE"] == "locks"
    assert rich["ENTRASYNC_CLASS_NAME"] == "blue"
    assert rich["ENTRASYNC_RUNNER_IMAGE"] == "ghcr.io/entrasync/entrasync:v1"
    assert rich["ENTRASYNC_RUNNER_PULL_POLICY"] == "Always"


def test_every_variable_that_is_read_is_documented() -> None:
    folder = CHART.parents[1] / "docs"
    page = "".join((folder / name).read_text() for name in ("operator.md", "install.md"))
    assert [name for name in sorted(VARIABLES) if f"`{name}`" not in page] == []


def test_one_replica_makes_room_before_the_next_begins(objects: list[dict[str, Any]]) -> None:
    spec = one(objects, "Deployment")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}
    assert "topologySpreadConstraints" not in pod_of(objects)
    assert "PodDisruptionBudget" not in {o["kind"] for o in objects}


def test_several_replicas_are_rolled_spread_and_protected() -> None:
    objects = render("--set=replicas=2")
    spec = one(objects, "Deployment")["spec"]
    assert spec["replicas"] == 2
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    (constraint,) = pod_of(objects)["topologySpreadConstraints"]
    assert constraint["topologyKey"] == "kubernetes.io/hostname"
    budget = one(objects, "PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == spec["selector"]


def test_the_pod_is_placed_as_the_values_say(full: list[dict[str, Any]]) -> None:
    pod = pod_of(full)
    assert pod["priorityClassName"] == "system-cluster-critical"
    assert [c["topologyKey"] for c in pod["topologySpreadConstraints"]] == ["zone"]
    assert pod["nodeSelector"] == {"a": "b"}
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["affinity"] == {"nodeAffinity": {}}
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    assert pod["serviceAccountName"] == "account"
    assert one(full, "ServiceAccount")["metadata"]["annotations"] == {"a": "b"}
    metadata = one(full, "Deployment")["spec"]["template"]["metadata"]
    assert metadata["annotations"]["a"] == metadata["labels"]["a"] == "b"
    (container,) = pod["containers"]
    assert container["args"] == [
        "operator",
        "--log-level=debug",
        "--namespace=first",
        "--namespace=second",
    ]


def test_the_pod_outlives_the_time_the_operator_takes_to_end(
    objects: list[dict[str, Any]],
) -> None:
    settings = kopf.OperatorSettings()
    configure(settings)
    grace = pod_of(objects)["terminationGracePeriodSeconds"]
    assert max(settings.process.ultimate_exiting_timeout or 0, STOP_SECONDS) < grace


def test_cluster_wide_one_role_has_all_rights(objects: list[dict[str, Any]]) -> None:
    kinds = rules_of(one(objects, "ClusterRole", "entrasync-operator"))
    assert {"azureclouds", "directorysyncs", "jobs", "pods"} <= kinds
    assert {o["metadata"]["namespace"] for o in objects if o["kind"] == "Role"} == {"ns"}


def test_in_namespaces_only_clouds_are_the_clusters(full: list[dict[str, Any]]) -> None:
    wide = one(full, "ClusterRole", "entrasync-operator")
    assert rules_of(wide) == {"azureclouds", "azureclouds/status", "customresourcedefinitions"}
    narrow = [
        o for o in full if o["kind"] == "Role" and o["metadata"]["name"] == "entrasync-operator"
    ]
    assert [o["metadata"]["namespace"] for o in narrow] == ["first", "second"]
    assert all({"directorysyncs", "jobs", "pods"} <= rules_of(o) for o in narrow)
    bound = [o for o in full if o["kind"] in {"RoleBinding", "ClusterRoleBinding"}]
    assert {str(o["subjects"]) for o in bound} == {
        str([{"kind": "ServiceAccount", "name": "account", "namespace": "ns"}])
    }


def test_both_modes_have_the_same_rights_in_a_namespace(
    objects: list[dict[str, Any]], full: list[dict[str, Any]]
) -> None:
    wide = one(objects, "ClusterRole", "entrasync-operator")["rules"]
    narrow = next(
        o["rules"]
        for o in full
        if o["kind"] == "Role" and o["metadata"]["name"] == "entrasync-operator"
    )
    cloudless = one(full, "ClusterRole", "entrasync-operator")["rules"]
    assert wide == [*cloudless, *narrow]


def test_leases_lie_where_the_values_say(
    objects: list[dict[str, Any]], full: list[dict[str, Any]]
) -> None:
    for found, locks in ((objects, "ns"), (full, "locks")):
        for kind in ("Role", "RoleBinding"):
            assert one(found, kind, "entrasync-tenants")["metadata"]["namespace"] == locks
            assert one(found, kind, "entrasync-leadership")["metadata"]["namespace"] == "ns"


@pytest.mark.parametrize("class_name", ["", "blue"])
def test_the_lease_of_leadership_is_the_one_the_operator_takes(class_name: str) -> None:
    objects = render(f"--set=className={class_name}")
    rules = one(objects, "Role", "entrasync-leadership")["rules"]
    release = variables_of(objects)["ENTRASYNC_RELEASE"] or ""
    assert [lease_name(release, class_name)] in [rule.get("resourceNames") for rule in rules]


def test_nobody_approves_by_default(objects: list[dict[str, Any]]) -> None:
    names = {o["metadata"]["name"] for o in objects}
    assert not {name for name in names if "four-eyes" in name or "approv" in name}


def test_only_the_approver_may_approve(full: list[dict[str, Any]]) -> None:
    roles = [o for o in full if o["kind"] in {"Role", "ClusterRole"}]
    approving = [
        o["metadata"]["name"]
        for o in roles
        if any("approve" in rule["verbs"] for rule in o["rules"])
    ]
    assert approving == ["entrasync-approvals"]
    gathered = one(full, "ClusterRole", "entrasync-approver")["aggregationRule"]
    (selector,) = gathered["clusterRoleSelectors"]
    labels = one(full, "ClusterRole", "entrasync-approvals")["metadata"]["labels"]
    assert selector["matchLabels"].items() <= labels.items()


def rules_of(role: dict[str, Any]) -> set[str]:
    return {resource for rule in role["rules"] for resource in rule["resources"]}


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


@pytest.mark.parametrize(
    "option",
    [
        "--set=imagee.tag=x",
        "--set=image.tagg=x",
        "--set=logLevel=chatty",
        "--set=replicas=0",
        "--set=className=Blue",
        "--set=lockNamespace=no_name",
        "--set=watchNamespaces={a,a}",
        "--set=approval.fourEyes.enabled=maybe",
        "--set=approval.sixEyes.enabled=true",
    ],
)
def test_the_values_schema_refuses_what_it_does_not_know(option: str) -> None:
    done = helm("template", "entrasync", str(CHART), "--kube-version=1.31.0", option)
    assert done.returncode != 0
    assert "schema" in done.stderr


def test_kubernetes_before_1_31_is_refused() -> None:
    done = helm("template", "entrasync", str(CHART), "--kube-version=1.30.0")
    assert done.returncode != 0
    assert "kubeVersion" in done.stderr
