"""Several clouds in one configuration."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from entrasync.api.azure_cloud import AzureCloud
from entrasync.emulator.config import EmulatorConfig
from entrasync.emulator.persistence import DataFile
from entrasync.emulator.preparation import describe, prepare
from entrasync.emulator.switches import Switches, bare_host

NOW = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
CLIENT = "7d444840-9dc0-11d1-b245-5ffdce74fad2"
FIRST = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
SECOND = "3f2504e0-4f89-41d3-9a0c-0305e82c3302"
GERMANY = {"name": "germany", "hostnames": ["azure.de.test"], "endpointVersions": ["V1"]}
SHARED = {"name": "shared"}


def tenant(tenant_id: str, cloud: str | None = None, **members: Any) -> dict[str, Any]:
    application = {"clientId": CLIENT, "clientSecret": "s"}
    return {"tenantId": tenant_id, "cloud": cloud, "applications": [application]} | members


def config(*tenants: dict[str, Any], **members: Any) -> EmulatorConfig:
    return EmulatorConfig.model_validate({"tenants": list(tenants)} | members)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"clouds": [GERMANY, GERMANY]}, "the same `name`"),
        ({"clouds": [GERMANY, GERMANY | {"name": "x"}]}, "same host name"),
        ({"clouds": [GERMANY, {"name": "x", "hostnames": ["AZURE.de.test"]}]}, "same host name"),
        ({"clouds": [SHARED], "name": "shared"}, "the same `name`"),
        ({"hostnames": ["azure.de.test"], "clouds": [GERMANY]}, "same host name"),
        ({"tenants": [tenant(FIRST, "nowhere")], "clouds": [GERMANY]}, "`cloud` nowhere"),
    ],
)
def test_clouds_that_cannot_be_told_apart_are_refused(
    members: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        config(tenant(FIRST), **members)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("azure.de.test", [SECOND]),
        ("AZURE.de.test:8443", [SECOND]),
        ("localhost:8443", [FIRST]),
        ("[::1]:8443", [FIRST]),
        ("elsewhere", [FIRST]),
    ],
)
def test_a_cloud_with_hosts_of_its_own_has_its_tenants_there(
    host: str, expected: list[str]
) -> None:
    both = config(tenant(FIRST), tenant(SECOND, "germany"), clouds=[GERMANY])

    assert [t.tenant_id for t in both.tenants if both.is_served(t, host, Switches())] == expected


def test_the_host_a_tenant_redirects_to_is_its_own() -> None:
    one = config(tenant(FIRST, "germany"), clouds=[GERMANY])
    own = Switches(redirect_host="scale-unit.de.test:1")

    assert one.is_served(one.tenants[0], "scale-unit.de.test:8443", own)
    assert not one.is_served(one.tenants[0], "scale-unit.de.test:8443", Switches())


def test_all_clouds_are_printed_and_tenants_name_theirs() -> None:
    several = config(
        tenant(FIRST),
        tenant(SECOND, "germany", initialDomain="fabrikam.onmicrosoft.de"),
        clouds=[GERMANY | {"redirectSuffixes": [".de.test"]}],
        faults={"maxGroupMembers": {"V1": 7}},
    )
    with DataFile(None) as data:
        text = describe(prepare(several, data, (), NOW), 8443)
    top, germany, first, _, second, _ = yaml.safe_load_all(text)

    spec = AzureCloud.model_validate(germany).spec
    assert (top["metadata"]["name"], germany["metadata"]["name"]) == ("emulator", "germany")
    assert top["spec"]["loginAuthority"] == "https://localhost:8443"
    assert top["spec"]["caBundle"] == germany["spec"]["caBundle"]
    assert spec.login_authority == spec.microsoft_graph == "https://azure.de.test:8443"
    assert [(e.version, e.max_group_members) for e in spec.sync_service.endpoints] == [("V1", 7)]
    assert spec.sync_service.redirect_suffixes == [".de.test"]
    assert [t["spec"]["cloudRef"]["name"] for t in (first, second)] == ["emulator", "germany"]
    assert [t["spec"].get("transport", "SyncServiceV2") for t in (first, second)] == [
        "SyncServiceV2",
        "SyncServiceV1",
    ]


def test_a_cloud_at_the_top_without_tenants_is_not_printed() -> None:
    one = config(tenant(FIRST, "shared"), clouds=[SHARED, GERMANY])
    assert [cloud.name for cloud in one.served_clouds] == ["shared", "germany"]

    named = config(tenant(FIRST, "emulator"), clouds=[SHARED])
    assert [cloud.name for cloud in named.served_clouds] == ["emulator", "shared"]


def test_the_certificate_names_the_hosts_of_all_clouds() -> None:
    with DataFile(None) as data:
        prepared = prepare(config(tenant(FIRST), clouds=[GERMANY]), data, (), NOW)

    assert prepared.config.tls.hostnames == ["localhost", "127.0.0.1", "azure.de.test"]


@pytest.mark.parametrize(
    ("host", "bare"),
    [
        ("Azure.test", "azure.test"),
        ("azure.test:443", "azure.test"),
        ("127.0.0.1:8443", "127.0.0.1"),
        ("[::1]:8443", "::1"),
        ("[::1]", "::1"),
        ("::1", "::1"),
    ],
)
def test_a_port_is_no_part_of_a_host(host: str, bare: str) -> None:
    assert bare_host(host) == bare


def test_a_service_account_is_printed_as_workload_identity() -> None:
    credential = {
        "issuer": "https://oidc.test",
        "subject": "system:serviceaccount:identity:contoso-sync",
        "jwks": {"keys": []},
    }
    application = {"clientId": CLIENT, "federatedCredentials": [credential]}
    with DataFile(None) as data:
        prepared = prepare(config(tenant(FIRST, applications=[application])), data, (), NOW)
        _, printed = yaml.safe_load_all(describe(prepared, 443))

    assert printed["spec"]["application"] == {
        "clientId": CLIENT,
        "workloadIdentity": {"serviceAccountName": "contoso-sync"},
    }
