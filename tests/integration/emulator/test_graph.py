"""Microsoft Graph as the runner and an administrator use it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from entrasync.entra.contracts import (
    FINALIZE_EXPORT,
    LinkChange,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)
from entrasync.entra.requests import (
    CompanyConfigurationRequest,
    FinalizeExportRequest,
    encode_company_configuration_request,
    encode_finalize_export_request,
)
from entrasync.entra.responses import decode_company_configuration_response
from tests.support.emulator import GRAPH_SCOPE, TENANT_ID, EmulatorServer

pytestmark = pytest.mark.integration
SYNCHRONIZATION = f"directory/onPremisesSynchronization/{TENANT_ID}"
USERS = 7
NOBODY = "00000000-0000-0000-0000-000000000001"


@pytest.fixture(scope="module")
def server() -> Iterator[EmulatorServer]:
    with EmulatorServer({"seed": {"users": USERS}}) as running:
        anchors = sorted(each["sourceAnchor"] for each in running.objects("User"))
        running.post(running.export([group("g", anchors)]))
        yield running


def group(anchor: str, members: list[str]) -> SyncObject:
    return SyncObject(
        object_type=SyncObjectType.GROUP,
        operation=SyncOperation.SET,
        source_anchor=anchor,
        properties={"displayName": "All people", "securityEnabled": True},
        links=tuple(LinkChange(anchor=each, add=True) for each in members),
    )


def pages(server: EmulatorServer, path: str) -> list[list[dict[str, Any]]]:
    found = []
    url = f"{server.url}/v1.0/{path}"
    headers = {"authorization": f"Bearer {server.token(GRAPH_SCOPE)}"}
    while url:
        page = server.http.get(url, headers=headers).raise_for_status().json()
        found.append(page["value"])
        url = page.get("@odata.nextLink", "")
    return found


def error_of(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    assert error["message"]
    assert error["innerError"]["request-id"]
    return answer.status_code, error["code"]


def test_the_organization_tells_its_domains_and_whether_it_syncs(server: EmulatorServer) -> None:
    (listed,) = server.graph("GET", "organization").json()["value"]
    one = server.graph("GET", f"organization/{TENANT_ID}").json()

    assert one == listed | {"@odata.context": one["@odata.context"]}
    assert one["@odata.context"].endswith("#organization/$entity")
    assert (one["id"], one["displayName"]) == (TENANT_ID, "Contoso")
    assert one["onPremisesSyncEnabled"] is True
    domains = {each["name"]: each["isInitial"] for each in one["verifiedDomains"]}
    assert domains["contoso.onmicrosoft.com"] is True
    assert domains["contoso.test"] is False


def test_sync_is_switched_and_the_switch_lasts(tmp_path: Path) -> None:
    data = tmp_path / "data.sqlite"
    address = f"organization/{TENANT_ID}"
    with EmulatorServer(data=data) as server:
        changed = server.graph("PATCH", address, json={"onPremisesSyncEnabled": False})
        assert (changed.status_code, changed.content) == (204, b"")
        assert server.post(server.reading()).status_code == 500
        assert server.requests()[-1]["outcome"] == "NotActivated"
    with EmulatorServer(data=data) as server:
        assert server.graph("GET", address).json()["onPremisesSyncEnabled"] is False
        server.graph("PATCH", address, json={"onPremisesSyncEnabled": True})
        assert server.post(server.reading()).status_code == 200


def test_the_end_of_an_export_is_the_last_sync() -> None:
    with EmulatorServer() as server:
        address = f"organization/{TENANT_ID}?$select=onPremisesLastSyncDateTime"
        assert server.graph("GET", address).json()["onPremisesLastSyncDateTime"] is None
        done = FinalizeExportRequest(total_exported=0, successful_export_count=0)
        server.post(encode_finalize_export_request(server.header(), done))
        (logged,) = server.requests(FINALIZE_EXPORT)
        told = server.graph("GET", address).json()["onPremisesLastSyncDateTime"]

    assert told == logged["time"][:19] + "Z"


def test_sync_settings_are_read_and_changed(tmp_path: Path) -> None:
    data = tmp_path / "data.sqlite"
    guard = {"synchronizationPreventionType": "enabledForPercentage", "alertThreshold": 7}
    change = {
        "configuration": {
            "accidentalDeletionPrevention": guard,
            "customerRequestedSynchronizationInterval": "PT1H",
        },
        "features": {"blockSoftMatchEnabled": True, "softMatchOnUpnEnabled": False},
    }
    with EmulatorServer(data=data) as server:
        (before,) = server.graph("GET", "directory/onPremisesSynchronization").json()["value"]
        assert server.graph("PATCH", SYNCHRONIZATION, json=change).status_code == 204
    with EmulatorServer(data=data) as server:
        after = server.graph("GET", SYNCHRONIZATION).json()

    assert len(before["features"]) == 19
    assert before["configuration"]["accidentalDeletionPrevention"] == {
        "synchronizationPreventionType": "enabledForCount",
        "alertThreshold": 500,
    }
    assert after["configuration"]["accidentalDeletionPrevention"] == guard
    assert after["configuration"]["synchronizationInterval"] == "PT1H"
    expected = before["features"] | change["features"]
    assert after["features"] == expected


def test_the_sync_service_tells_what_graph_was_told(server: EmulatorServer) -> None:
    change = {"configuration": {"accidentalDeletionPrevention": {"alertThreshold": 42}}}
    server.graph("PATCH", SYNCHRONIZATION, json=change)
    request = encode_company_configuration_request(server.header(), CompanyConfigurationRequest())
    told = decode_company_configuration_response(server.post(request).content)
    assert told.deletion_threshold == 42


@pytest.mark.parametrize(
    ("path", "sizes"),
    [
        ("users", [USERS]),
        ("users?$top=3", [3, 3, 1]),
        ("users?$top=999", [USERS]),
        ("users?$top=7", [7]),
        ("groups", [1]),
    ],
)
def test_lists_come_in_pages(server: EmulatorServer, path: str, sizes: list[int]) -> None:
    found = pages(server, path)

    assert [len(page) for page in found] == sizes
    assert len({each["id"] for page in found for each in page}) == sum(sizes)


def test_members_come_in_pages_with_their_type(server: EmulatorServer) -> None:
    (everyone,) = server.graph("GET", "groups").json()["value"]
    found = pages(server, f"groups/{everyone['id']}/members?$top=3&$select=id,userPrincipalName")

    assert [len(page) for page in found] == [3, 3, 1]
    members = [each for page in found for each in page]
    assert {each["@odata.type"] for each in members} == {"#microsoft.graph.user"}
    assert all(set(each) == {"@odata.type", "id", "userPrincipalName"} for each in members)
    users = server.graph("GET", "users").json()["value"]
    assert {each["id"] for each in members} == {each["id"] for each in users}


def test_a_user_is_found_by_id_and_by_name(server: EmulatorServer) -> None:
    first = server.graph("GET", "users?$top=1").json()["value"][0]
    assert "onPremisesImmutableId" not in first
    names = "id,onPremisesImmutableId,onPremisesSyncEnabled,proxyAddresses"
    for name in (first["id"], first["userPrincipalName"].upper()):
        found = server.graph("GET", f"users/{name}", params={"$select": names}).json()
        assert found["id"] == first["id"]
        assert found["onPremisesImmutableId"].startswith("somebody-else-")
        assert found["onPremisesSyncEnabled"] is True
        assert isinstance(found["proxyAddresses"], list)


def test_an_object_is_converted_to_cloud_managed_and_back(tmp_path: Path) -> None:
    data = tmp_path / "data.sqlite"
    with EmulatorServer({"seed": {"users": 1}}, data=data) as server:
        (user,) = server.graph("GET", "users").json()["value"]
        address = f"users/{user['id']}/onPremisesSyncBehavior"
        assert server.graph("GET", address).json()["isCloudManaged"] is False
        change = server.graph("PATCH", address, json={"isCloudManaged": True})
        assert change.status_code == 204
    with EmulatorServer({"seed": {"users": 1}}, data=data) as server:
        assert server.graph("GET", address).json()["isCloudManaged"] is True
        names = {"$select": "onPremisesSyncEnabled"}
        found = server.graph("GET", f"users/{user['id']}", params=names).json()
        assert found["onPremisesSyncEnabled"] is None
        wrong = server.graph("GET", address.replace("users", "groups"))
        assert error_of(wrong) == (404, "Request_ResourceNotFound")


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        ("GET", "organization/" + NOBODY, None, (404, "Request_ResourceNotFound")),
        ("GET", "users/" + NOBODY, None, (404, "Request_ResourceNotFound")),
        ("GET", "users/nobody@contoso.test", None, (404, "Request_ResourceNotFound")),
        ("GET", "groups/" + NOBODY, None, (404, "Request_ResourceNotFound")),
        ("GET", f"groups/{NOBODY}/members", None, (404, "Request_ResourceNotFound")),
        ("GET", "directory/onPremisesSynchronization/x", None, (404, "Request_ResourceNotFound")),
        ("GET", "robots", None, (400, "BadRequest")),
        ("GET", "", None, (400, "BadRequest")),
        ("GET", "users/x/robots", None, (400, "BadRequest")),
        ("GET", "users/x/y/z", None, (400, "BadRequest")),
        ("GET", "users?$top=0", None, (400, "Request_BadRequest")),
        ("GET", "users?$top=1000", None, (400, "Request_BadRequest")),
        ("GET", "users?$skiptoken=%C3%BC", None, (400, "Request_BadRequest")),
        ("GET", "users?$skiptoken=YWJj", None, (400, "Request_BadRequest")),
        ("GET", "users?$filter=x", None, (400, "Request_UnsupportedQuery")),
        ("POST", "users", {}, (405, "Request_BadRequest")),
        ("DELETE", "organization", None, (405, "Request_BadRequest")),
        ("PATCH", f"organization/{TENANT_ID}", {}, (400, "Request_BadRequest")),
        ("PATCH", f"organization/{TENANT_ID}", [], (400, "Request_BadRequest")),
        (
            "PATCH",
            f"organization/{TENANT_ID}",
            {"displayName": "x"},
            (400, "Request_BadRequest"),
        ),
        ("PATCH", SYNCHRONIZATION, {"features": {"noSuch": True}}, (400, "Request_BadRequest")),
        (
            "PATCH",
            SYNCHRONIZATION,
            {"configuration": {"accidentalDeletionPrevention": {"alertThreshold": -1}}},
            (400, "Request_BadRequest"),
        ),
    ],
)
def test_refusals_have_the_form_of_graph(
    server: EmulatorServer, method: str, path: str, body: Any, expected: tuple[int, str]
) -> None:
    content = {} if body is None else {"json": body}
    assert error_of(server.graph(method, path, **content)) == expected


def test_a_token_for_somebody_else_is_none(server: EmulatorServer) -> None:
    cases = {
        "no token": {},
        "of the sync service": {"authorization": f"Bearer {server.token()}"},
        "no JWT": {"authorization": "Bearer x"},
        "another scheme": {"authorization": "Basic eDp5"},
    }
    for headers in cases.values():
        answer = server.http.get("/v1.0/organization", headers=headers)
        assert error_of(answer) == (401, "InvalidAuthenticationToken")


def test_graph_is_asked_under_its_own_address_too(server: EmulatorServer) -> None:
    token = server.token(f"{server.url}/.default")
    headers = {"authorization": f"Bearer {token}"}
    assert server.http.get("/v1.0/organization", headers=headers).status_code == 200


@pytest.mark.parametrize(
    ("roles", "allowed"),
    [
        ([], set()),
        (["Organization.Read.All"], {"organization"}),
        (["Directory.Read.All"], {"organization", "users", "groups"}),
        (["OnPremDirectorySynchronization.Read.All"], {"directory/onPremisesSynchronization"}),
    ],
)
def test_permissions_decide(roles: list[str], allowed: set[str]) -> None:
    application = {
        "clientId": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
        "clientSecret": "test-secret-of-the-emulated-tenant",
        "graphRoles": roles,
    }
    paths = {"organization", "users", "groups", "directory/onPremisesSynchronization"}
    with EmulatorServer({"applications": [application]}) as server:
        statuses = {path: server.graph("GET", path).status_code for path in paths}
        change = {"onPremisesSyncEnabled": True}
        written = server.graph("PATCH", f"organization/{TENANT_ID}", json=change)

    assert statuses == {path: 200 if path in allowed else 403 for path in paths}
    assert error_of(written) == (403, "Authorization_RequestDenied")
