"""Several clouds behind one address: each host has its own tenants."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from entrasync.entra.clouds import Cloud
from entrasync.entra.contracts import ACCESS_DENIED_TEXT, SyncVersion
from entrasync.entra.faults import SoapFaultError
from entrasync.entra.responses import open_response
from entrasync.entra.tokens import MsalTokenSource, SecretCredential
from entrasync.errors import ConfigurationError
from tests.support.emulator import CLIENT_ID, CLIENT_SECRET, TENANT_ID, EmulatorServer

pytestmark = pytest.mark.integration
GERMAN_ID = "3f2504e0-4f89-41d3-9a0c-0305e82c3302"
APPLICATION = {"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET}


def tenant(tenant_id: str, cloud: str | None) -> dict[str, Any]:
    return {"tenantId": tenant_id, "cloud": cloud, "applications": [APPLICATION]}


@pytest.fixture(scope="module")
def server() -> Iterator[EmulatorServer]:
    """Commercial is at every name of this host but 127.0.0.1, where Germany is."""
    germany = {"name": "germany", "hostnames": ["127.0.0.1"], "endpointVersions": ["V1"]}
    tenants = [tenant(TENANT_ID, None), tenant(GERMAN_ID, "germany")]
    with EmulatorServer(clouds=[germany], tenants=tenants) as running:
        yield running


@pytest.fixture
def germany(server: EmulatorServer) -> Iterator[httpx.Client]:
    url = server.url.replace("localhost", "127.0.0.1")
    with httpx.Client(base_url=url, verify=server.trust, timeout=60, trust_env=False) as client:
        yield client


def token_answer(client: httpx.Client, tenant_id: str) -> dict[str, Any]:
    form = {
        "grant_type": "client_credentials",
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "scope": "6bf85cfa-ac8a-4be5-b5de-425a0d0dc016/.default",
    }
    found: dict[str, Any] = client.post(f"/{tenant_id}/oauth2/v2.0/token", data=form).json()
    return found


@pytest.mark.parametrize("at_germany", [False, True])
@pytest.mark.parametrize("tenant_id", [TENANT_ID, GERMAN_ID])
def test_a_tenant_is_found_in_its_own_cloud_only(
    server: EmulatorServer, germany: httpx.Client, tenant_id: str, *, at_germany: bool
) -> None:
    client = germany if at_germany else server.http
    discovery = client.get(f"/{tenant_id}/v2.0/.well-known/openid-configuration")
    answer = token_answer(client, tenant_id)

    if at_germany is (tenant_id == GERMAN_ID):
        assert discovery.json()["issuer"] == f"{str(client.base_url).rstrip('/')}/{tenant_id}/v2.0"
        assert answer["access_token"]
    else:
        assert discovery.status_code == 400
        assert discovery.json()["error_codes"] == answer["error_codes"] == [90002]


def test_a_token_of_one_cloud_opens_no_other(server: EmulatorServer, germany: httpx.Client) -> None:
    token = token_answer(germany, GERMAN_ID)["access_token"]

    with pytest.raises(SoapFaultError) as caught:
        open_response(server.post(server.reading(token=token)).content)
    assert caught.value.fault.text == ACCESS_DENIED_TEXT


def test_germany_offers_v1_only(server: EmulatorServer, germany: httpx.Client) -> None:
    token = token_answer(germany, GERMAN_ID)["access_token"]
    headers = {"content-type": "application/soap+msbin1"}
    for version, status in ((SyncVersion.V1, 200), (SyncVersion.V2, 500)):
        body = server.export([], version=version, token=token)
        answer = germany.post("/provisioningservice.svc", content=body, headers=headers)
        assert answer.status_code == status
    with pytest.raises(SoapFaultError) as caught:
        open_response(answer.content)
    assert caught.value.fault.code == "ActionNotSupported"


def test_the_client_says_that_the_tenant_is_of_another_cloud(server: EmulatorServer) -> None:
    tokens = MsalTokenSource(
        Cloud(
            name="emulator",
            login_authority=server.url,
            sync_service_url=server.url,
            ca_bundle_pem=server.ca_pem,
        ),
        GERMAN_ID,
        CLIENT_ID,
        SecretCredential(secret=CLIENT_SECRET),
        resource="EntraTenant/fabrikam",
        clock=lambda: dt.datetime.now(dt.UTC),
    )
    with pytest.raises(ConfigurationError) as caught:
        tokens.token()
    tokens.close()
    assert caught.value.reason == "TenantNotFound"
