"""What the chart puts into the namespaces of syncs, and tells the operator of their pods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from entrasync.api.snapshot import Snapshot
from entrasync.controller.environment import Environment, read_environment
from entrasync.controller.manifests import build_job
from tests.support import samples
from tests.support.chart import render

VALUES = Path(__file__).parent / "values"
PORTS_OF_DIRECTORIES = {(port, "TCP") for port in (88, 389, 636, 3268, 3269)} | {(88, "UDP")}
DNS = {(53, "UDP"), (53, "TCP")}


def rendered(file: str, *options: str) -> list[dict[str, Any]]:
    return render("--set=crds.install=false", f"--values={VALUES / file}.yaml", *options)


def of(objects: list[dict[str, Any]], kind: str, namespace: str) -> list[dict[str, Any]]:
    return [
        each
        for each in objects
        if each["kind"] == kind and each["metadata"].get("namespace") == namespace
    ]


def settings(objects: list[dict[str, Any]]) -> Environment:
    """As the operator reads them."""
    (operator,) = [
        container
        for each in objects
        if each["kind"] == "Deployment"
        for container in each["spec"]["template"]["spec"]["containers"]
        if container["name"] == "operator"
    ]
    variables = {each["name"]: each.get("value", "x") for each in operator["env"]}
    return read_environment(variables)


def pod_of_a_run(objects: list[dict[str, Any]]) -> dict[str, Any]:
    run = samples.run("contoso-1")
    snapshot = Snapshot(
        run=run,
        sync=samples.sync(),
        directories={"contoso": samples.directory()},
        tenant=samples.tenant(),
        cloud=samples.cloud(),
        config_maps={},
    )
    template = build_job(run, snapshot, settings(objects), config_map="snapshot")["spec"]
    found: dict[str, Any] = template["template"]
    return found


def test_pods_of_runs_get_what_the_values_say() -> None:
    pod = pod_of_a_run(rendered("airgap"))["spec"]
    (container,) = pod["containers"]
    variables = {each["name"]: each["value"] for each in container["env"]}
    assert variables["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert variables["NO_PROXY"] == ".svc,10.0.0.1"
    assert variables["ENTRASYNC_EXTRA_CA_FILE"].endswith("/entrasync-extra-ca/ca.crt")
    assert pod["imagePullSecrets"] == [{"name": "mirror"}, {"name": "registry.example"}]
    assert container["image"] == "registry.example/mirror/entrasync:v1"


def test_the_operator_itself_goes_through_no_proxy() -> None:
    (operator,) = of(rendered("airgap"), "Deployment", "ns")
    (container,) = operator["spec"]["template"]["spec"]["containers"]
    names = {each["name"].upper() for each in container["env"]}
    assert not names & {"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE"}


def test_certificates_are_written_where_pods_look_for_them() -> None:
    objects = rendered("airgap")
    wanted = settings(objects).runner.extra_ca
    assert wanted is not None
    for namespace in ("identity", "subsidiary"):
        (found,) = of(objects, "ConfigMap", namespace)
        assert found["metadata"]["name"] == wanted.name
        assert found["data"][wanted.key].startswith("-----BEGIN CERTIFICATE-----\n")


def test_certificates_that_something_else_brings_are_named_only() -> None:
    objects = rendered("trust-manager")
    wanted = settings(objects).runner.extra_ca
    assert wanted is not None
    assert (wanted.name, wanted.key) == ("company-trust", "bundle.pem")
    assert "ConfigMap" not in {each["kind"] for each in objects}


def test_accounts_of_runs_carry_the_label_and_no_token() -> None:
    accounts = of(rendered("airgap"), "ServiceAccount", "identity")
    assert [each["metadata"]["name"] for each in accounts] == ["contoso-sync", "fabrikam-sync"]
    for each in accounts:
        assert each["metadata"]["labels"]["entrasync.dev/runner"] == "true"
        assert each["automountServiceAccountToken"] is False
    assert accounts[0]["metadata"]["annotations"] == {"example.org/owner": "identity"}


# --- network -----------------------------------------------------------------------------------


def test_there_are_no_policies_unless_they_are_asked_for() -> None:
    for file in ("standing-by", "emulator-own-certificate"):
        assert "NetworkPolicy" not in {each["kind"] for each in rendered(file)}
    off = rendered("airgap", "--set=networkPolicy.enabled=false")
    assert "NetworkPolicy" not in {each["kind"] for each in off}


def ports_of(rules: list[dict[str, Any]]) -> set[tuple[Any, str]]:
    return {(port["port"], port["protocol"]) for rule in rules for port in rule["ports"]}


def selects(policy: dict[str, Any], labels: dict[str, str]) -> bool:
    return bool(policy["spec"]["podSelector"]["matchLabels"].items() <= labels.items())


def test_the_operator_reaches_the_api_server_only() -> None:
    objects = rendered("airgap")
    (policy,) = of(objects, "NetworkPolicy", "ns")
    (operator,) = of(objects, "Deployment", "ns")
    assert selects(policy, operator["spec"]["template"]["metadata"]["labels"])
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
    names, api, extra = policy["spec"]["egress"]
    assert ports_of([names]) == DNS
    assert api == {
        "ports": [{"port": 6443, "protocol": "TCP"}],
        "to": [{"ipBlock": {"cidr": "192.0.2.10/32"}}, {"ipBlock": {"cidr": "2001:db8::10/128"}}],
    }
    assert extra == {"ports": [{"port": 5353, "protocol": "UDP"}]}


def test_who_reads_metrics_may_be_said() -> None:
    (policy,) = of(rendered("airgap"), "NetworkPolicy", "ns")
    health, metrics = policy["spec"]["ingress"]
    assert health == {"ports": [{"port": "health", "protocol": "TCP"}]}
    assert metrics["ports"] == [{"port": "metrics", "protocol": "TCP"}]
    assert metrics["from"][0]["namespaceSelector"]["matchLabels"]


def test_without_metrics_nobody_reads_them() -> None:
    (policy,) = of(rendered("airgap", "--set=metrics.enabled=false"), "NetworkPolicy", "ns")
    assert ports_of(policy["spec"]["ingress"]) == {("health", "TCP")}


def test_runs_reach_directories_the_cloud_and_the_proxy() -> None:
    objects = rendered("airgap")
    for namespace in ("identity", "subsidiary"):
        (policy,) = of(objects, "NetworkPolicy", namespace)
        assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
        assert "ingress" not in policy["spec"]
        *own, extra = policy["spec"]["egress"]
        assert ports_of(own) == DNS | PORTS_OF_DIRECTORIES | {(443, "TCP"), (3128, "TCP")}
        assert extra["to"] == [{"ipBlock": {"cidr": "192.0.2.0/24"}}]


def test_policies_of_runs_select_their_pods_and_neither_operator_nor_emulator() -> None:
    objects = rendered("emulator")
    (policy,) = of(objects, "NetworkPolicy", "identity")
    assert selects(policy, pod_of_a_run(objects)["metadata"]["labels"])
    for each in of(objects, "Deployment", "ns"):
        assert not selects(policy, each["spec"]["template"]["metadata"]["labels"])


@pytest.mark.parametrize(
    ("proxy", "port"),
    [
        ("http://proxy.example:8080/", 8080),
        ("https://proxy.example:8443", 8443),
        ("http://proxy.example", 80),
        ("https://proxy.example", 443),
        ("http://192.0.2.7", 80),
        ("", 443),
    ],
)
def test_the_port_of_the_proxy_is_open(proxy: str, port: int) -> None:
    objects = rendered("airgap", f"--set=proxy.httpsProxy={proxy}")
    (policy,) = of(objects, "NetworkPolicy", "identity")
    found = ports_of(policy["spec"]["egress"][:-1])
    assert found == DNS | PORTS_OF_DIRECTORIES | {(443, "TCP"), (port, "TCP")}
