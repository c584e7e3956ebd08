"""The real client against the emulated cloud, over TLS."""

from __future__ import annotations

import datetime as dt
import itertools
import os
import re
import signal
import subprocess
import sys
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa

from entrasync.emulator.certificates import make_application_pair
from entrasync.entra.client import Surroundings, SyncServiceClient
from entrasync.entra.clouds import Cloud
from entrasync.entra.contracts import (
    CONTENT_TYPE,
    LinkChange,
    ObjectResult,
    SyncObject,
    SyncObjectType,
    SyncOperation,
    SyncVersion,
)
from entrasync.entra.responses import decode_provision_response, decode_read_back_response
from entrasync.entra.tokens import CertificateCredential, MsalTokenSource, SecretCredential
from entrasync.errors import ConfigurationError
from tests.support.emulator import CLIENT_ID, CLIENT_SECRET, EmulatorServer

pytestmark = pytest.mark.integration
SECRET_NAME = "client-secret"


@pytest.fixture
def server() -> Iterator[EmulatorServer]:
    with EmulatorServer() as running:
        yield running


def cloud_of(server: EmulatorServer) -> Cloud:
    return Cloud(
        name="emulator",
        login_authority=server.url,
        sync_service_url=server.url,
        endpoint_versions={"V2": 250_000, "V1": 50_000},
        ca_bundle_pem=server.ca_pem,
    )


def tokens_of(
    server: EmulatorServer,
    *,
    credential: CertificateCredential | SecretCredential | None = None,
    tenant_id: str | None = None,
) -> MsalTokenSource:
    return MsalTokenSource(
        cloud_of(server),
        tenant_id or server.tenant_id,
        server.client_id,
        credential or SecretCredential(secret=server.client_secret),
        resource="EntraTenant/contoso",
        clock=lambda: dt.datetime.now(dt.UTC),
    )


@contextmanager
def client_of(
    server: EmulatorServer,
    *,
    version: SyncVersion = SyncVersion.V2,
    waits: list[float] | None = None,
) -> Iterator[SyncServiceClient]:
    surroundings = Surroundings(
        sleep=(waits if waits is not None else []).append,
        new_id=lambda: str(uuid.uuid4()),
        random=lambda: 0.5,
    )
    tokens = tokens_of(server)
    try:
        with SyncServiceClient(
            cloud_of(server), server.tenant_id, tokens, surroundings, version=version
        ) as client:
            yield client
    finally:
        tokens.close()


def user(anchor: str, **properties: Any) -> SyncObject:
    return SyncObject(
        object_type=SyncObjectType.USER,
        operation=SyncOperation.SET,
        source_anchor=anchor,
        properties=properties,
    )


def group(anchor: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> SyncObject:
    links = [LinkChange(anchor=each, add=True) for each in add]
    links += [LinkChange(anchor=each, add=False) for each in remove]
    return SyncObject(
        object_type=SyncObjectType.GROUP,
        operation=SyncOperation.SET,
        source_anchor=anchor,
        properties={"displayName": anchor, "securityEnabled": True},
        links=tuple(links),
    )


def deletion(anchor: str, kind: SyncObjectType = SyncObjectType.USER) -> SyncObject:
    return SyncObject(object_type=kind, operation=SyncOperation.DELETE, source_anchor=anchor)


def failures(results: Sequence[ObjectResult]) -> list[tuple[str, str | None]]:
    return [(each.source_anchor, each.code) for each in results if not each.success]


def read_all(client: SyncServiceClient) -> dict[str, SyncObject]:
    pages = client.read_back()
    return {each.source_anchor: each for page in pages for each in page.objects}


def test_msal_gets_tokens_by_certificate_and_by_secret(server: EmulatorServer) -> None:
    certificate = CertificateCredential(
        certificate=server.certificate.certificate, private_key=server.certificate.key
    )
    for credential in (certificate, SecretCredential(secret=server.client_secret)):
        tokens = tokens_of(server, credential=credential)
        assert tokens.token() == tokens.token()
        tokens.close()


def test_what_the_tenant_refuses_has_its_reason(server: EmulatorServer) -> None:
    other = make_application_pair(server.client_id, dt.datetime.now(dt.UTC))
    certificate = CertificateCredential(certificate=other.certificate, private_key=other.key)
    cases: list[tuple[MsalTokenSource, str]] = [
        (tokens_of(server, credential=SecretCredential(secret="wrong")), "CredentialsRejected"),
        (tokens_of(server, credential=certificate), "CredentialsRejected"),
        (tokens_of(server, tenant_id=str(uuid.UUID(int=1))), "TenantNotFound"),
    ]
    for tokens, reason in cases:
        with pytest.raises(ConfigurationError) as caught:
            tokens.token()
        assert caught.value.reason == reason
        tokens.close()


def test_an_application_without_the_role_is_turned_away() -> None:
    application = {
        "clientId": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
        "clientSecret": "test-secret-of-the-emulated-tenant",
        "roles": [],
    }
    with (
        EmulatorServer({"applications": [application]}) as server,
        client_of(server) as client,
        pytest.raises(ConfigurationError) as caught,
    ):
        client.company_configuration()

    assert caught.value.reason == "RoleMissing"


def test_a_whole_cycle(server: EmulatorServer) -> None:
    server.set_faults(readBackPageSize=2)
    with client_of(server) as client:
        company = client.company_configuration()
        assert (company.tenant_id, company.display_name) == (server.tenant_id, "Contoso")
        assert company.directory_sync_enabled
        assert company.max_links_per_request == 15_000

        people = [
            user("YW5u", userPrincipalName="ann@contoso.test", displayName="Ann Ü", city="Köln"),
            user("Ym9i", userPrincipalName="bob@else.example", accountEnabled=False),
            user("Y2F0", proxyAddresses=("SMTP:cat@contoso.test",), thumbnailPhoto=b"\x00\xff"),
        ]
        assert not failures(client.provision([*people, group("Zzox"), group("Zzoy")]))
        changes = [group("Zzox", add=["YW5u", "Ym9i"]), group("Zzoy", add=["Zzox"])]
        assert not failures(client.provision(changes))
        assert not failures(
            client.provision(
                [group("Zzox", add=["Y2F0"], remove=["Ym9i"]), user("YW5u", city=None)]
            )
        )
        client.finalize_export(8, 8)

        held = read_all(client)
        assert set(held) == {"YW5u", "Ym9i", "Y2F0", "Zzox", "Zzoy"}
        assert held["Zzox"].properties["member"] == ("Y2F0", "YW5u")
        assert held["Y2F0"].properties["ThumbnailPhoto"] == b"\x00\xff"
        assert "City" not in held["YW5u"].properties
        assert held["YW5u"].cloud_anchor is not None

        assert failures(client.provision([deletion("Ym9i"), deletion("bm9i")])) == [("bm9i", "114")]
        assert "Ym9i" not in read_all(client)

    assert [each["sourceAnchor"] for each in server.objects("User")] == ["YW5u", "Y2F0"]
    assert [each["sourceAnchor"] for each in server.objects("User", deleted=True)] == ["Ym9i"]
    assert server.object("Ym9i")["userPrincipalName"] == "bob@contoso.onmicrosoft.com"
    assert server.links("Zzox") == ["Y2F0", "YW5u"]
    (finalized,) = server.requests("FinalizeExport")
    assert finalized["counts"] == {"exported": 8, "succeeded": 8}
    exports = server.requests("ProvisionAzureADSyncObjects2")
    assert [each["counts"]["links"] for each in exports] == [0, 3, 2, 0]
    assert len(server.requests("ReadBackAzureADSyncObjects2")) >= 5


def test_v1_takes_whole_lists_of_members(server: EmulatorServer) -> None:
    with client_of(server, version=SyncVersion.V1) as client:
        members = SyncObject(
            object_type=SyncObjectType.GROUP,
            operation=SyncOperation.SET,
            source_anchor="Zzox",
            properties={"member": ("YW5u", "Ym9i")},
        )
        assert not failures(client.provision([user("YW5u"), user("Ym9i"), members]))
        held = read_all(client)

    assert server.links("Zzox") == ["YW5u", "Ym9i"]
    assert held["YW5u"].properties["DisplayName"] is None


def test_an_unknown_reference_fails_its_group_only(server: EmulatorServer) -> None:
    with client_of(server) as client:
        results = client.provision([user("YW5u"), group("Zzox", add=["bm9i"])])

    assert failures(results) == [("Zzox", "ReferenceNotFound")]
    assert [each["sourceAnchor"] for each in server.objects("User")] == ["YW5u"]
    assert server.objects("Group") == []


def test_redirections_are_followed_on_the_same_host_only(server: EmulatorServer) -> None:
    server.set_faults(redirects=2)
    with client_of(server) as client:
        assert client.company_configuration().display_name == "Contoso"
    outcomes = [each["outcome"] for each in server.requests()]
    assert outcomes == ["Redirected", "Redirected", "Success"]

    server.set_faults(redirectHost="evil.example")
    with client_of(server) as client, pytest.raises(ConfigurationError) as caught:
        client.company_configuration()
    assert caught.value.reason == "EndpointNotOffered"
    assert "evil.example" in caught.value.message


def test_a_busy_tenant_is_asked_again(server: EmulatorServer) -> None:
    server.set_faults(busyEvery=2)
    waits: list[float] = []
    with client_of(server, waits=waits) as client:
        for _ in range(3):
            assert client.company_configuration().display_name == "Contoso"

    assert len(waits) == 2
    outcomes = [each["outcome"] for each in server.requests()]
    assert outcomes == ["Success", "Busy", "Success", "Busy", "Success"]


@pytest.mark.parametrize(
    "switches",
    [
        {"dropBeforeEvery": 2},
        {"dropAfterEvery": 2},
        {"gatewayEvery": 2},
        {"gatewayEvery": 2, "gatewayStatus": 502, "gatewayRetryAfterSeconds": 1},
        {"malformedEvery": 2},
        {"malformedEvery": 2, "malformed": "CutOff"},
        {"malformedEvery": 2, "malformed": "Garbage"},
    ],
    ids=str,
)
def test_what_passes_by_itself_is_tried_again(
    server: EmulatorServer, switches: dict[str, Any]
) -> None:
    server.set_faults(**switches)
    waits: list[float] = []
    with client_of(server, waits=waits) as client:
        for anchor in ("YW5u", "Ym9i", "Y2F0"):
            assert not failures(client.provision([user(anchor)]))

    assert len(waits) == 2
    assert {each["sourceAnchor"] for each in server.objects("User")} == {"YW5u", "Ym9i", "Y2F0"}


@pytest.mark.parametrize(
    ("switches", "reason"),
    [({"v2Off": True}, "EndpointNotOffered"), ({"syncOff": True}, "SyncDisabledInTenant")],
)
def test_what_is_switched_off_has_its_reason(
    server: EmulatorServer, switches: dict[str, Any], reason: str
) -> None:
    server.set_faults(**switches)
    with client_of(server) as client, pytest.raises(ConfigurationError) as caught:
        client.provision([user("YW5u")])

    assert caught.value.reason == reason
    assert server.objects("User") == []


def test_v1_still_works_where_v2_is_not_on_offer() -> None:
    with EmulatorServer(endpointVersions=["V1"]) as server:
        with client_of(server, version=SyncVersion.V1) as client:
            assert not failures(client.provision([user("YW5u")]))
        with client_of(server) as client, pytest.raises(ConfigurationError):
            client.provision([user("YW5u")])


def test_a_group_holds_250_000_members_and_no_more() -> None:
    count, slice_size, seeded = 250_001, 15_000, {"seed": {"users": 250_001}}
    anchors = [f"somebody-else-{number:06}" for number in range(1, count + 1)]
    with EmulatorServer(seeded) as server, client_of(server) as client:
        for begin in range(0, count - 1, slice_size):
            piece = anchors[begin : min(begin + slice_size, count - 1)]
            assert not failures(client.provision([group("big", add=piece)]))
        results = client.provision([group("big", add=anchors[-1:])])
        held = server.object("big")["memberCount"]

    assert [each.success for each in results] == [False]
    assert held == count - 1


def test_a_cloud_without_the_ca_is_not_trusted(server: EmulatorServer) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(server.url, trust_env=False)


def test_addresses_for_people_and_probes(server: EmulatorServer) -> None:
    http = server.http
    assert http.get("/healthz").json() == {"status": "ok"}
    assert http.get("/ProvisioningService.svc").status_code == 200
    assert "Contoso" in http.get("/").text
    (tenant,) = http.get("/admin/tenants").json()["items"]
    assert tenant["tenantId"] == server.tenant_id
    root = f"/admin/tenants/{server.tenant_id}"
    statuses = {
        ("GET", "/nothing/here"): 404,
        ("GET", f"{root}/objects?type=Robot"): 400,
        ("GET", f"{root}/objects?limit=x"): 400,
        ("GET", f"{root}/objects/bm9i"): 404,
        ("GET", f"{root}/links?group=none"): 404,
        ("GET", f"/admin/tenants/{uuid.UUID(int=0)}/objects"): 404,
        ("POST", f"{root}/objects"): 405,
        ("DELETE", "/provisioningservice.svc"): 405,
        ("PUT", f"{root}/faults"): 200,
    }
    for (method, path), status in statuses.items():
        assert http.request(method, path).status_code == status, path
    refused = http.put(f"{root}/faults", json={"busyEvery": "often", "noSuch": 1})
    assert refused.status_code == 400


@pytest.mark.parametrize("body", [b"", b"\x00", b"<s:Envelope/>", b"\x56\x02\x0b\x01s\x04"])
def test_what_is_no_request_is_answered_with_a_fault(server: EmulatorServer, body: bytes) -> None:
    answer = server.http.post(
        "/provisioningservice.svc", content=body, headers={"content-type": CONTENT_TYPE}
    )

    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/soap+msbin1"
    assert server.http.get("/healthz").status_code == 200


def test_a_body_of_more_than_64_mib_is_refused(server: EmulatorServer) -> None:
    chunk = b"\x00" * (1024 * 1024)
    answer = server.http.post("/provisioningservice.svc", content=itertools.repeat(chunk, 65))

    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("what", "query", "count"),
    [
        ("objects", {}, 7),
        ("objects", {"type": "User"}, 5),
        ("links", {"group": "somebody-else-group-000001"}, 5),
        ("requests", {}, 4),
    ],
)
def test_lists_come_in_pages(what: str, query: dict[str, str], count: int) -> None:
    seed = {"users": 5, "groups": 1, "contacts": 1, "membersPerGroup": 5}
    with EmulatorServer({"seed": seed}) as server:
        for _ in range(4):
            server.post(server.reading())
        root = f"/admin/tenants/{server.tenant_id}/{what}"
        whole = server.http.get(root, params=query).json()
        pages = [server.http.get(root, params=query | {"limit": "3"}).json()]
        while proceed := pages[-1].get("continue"):
            more = query | {"limit": "3", "continue": proceed}
            pages.append(server.http.get(root, params=more).json())

    assert len(whole["items"]) == count
    assert "continue" not in whole
    assert [item for page in pages for item in page["items"]] == whole["items"]
    assert [len(page["items"]) for page in pages[:-1]] == [3] * (len(pages) - 1)


@pytest.mark.parametrize("anchor", ["YW5u", "q8vq/+8=", "a/b?c=d#e", "Zo\u00eb", "User_x"])
def test_an_object_is_found_by_its_anchor_in_base64url(server: EmulatorServer, anchor: str) -> None:
    with client_of(server) as client:
        (result,) = client.provision([user(anchor)])
    assert result.success
    assert result.cloud_anchor is not None

    assert server.object(anchor)["sourceAnchor"] == anchor
    assert server.object(result.cloud_anchor)["sourceAnchor"] == anchor
    padded = urlsafe_b64encode(anchor.encode()).decode()
    root = f"/admin/tenants/{server.tenant_id}/objects"
    assert server.http.get(f"{root}/{padded}").json()["sourceAnchor"] == anchor
    nobody = urlsafe_b64encode(b"nobody").decode()
    assert server.http.get(f"{root}/{nobody}").status_code == 404


def test_a_request_is_served_without_http_as_with_it(server: EmulatorServer) -> None:
    found = decode_provision_response(server.serve(server.export([user("c2VydmVk")])))

    assert [each.success for each in found] == [True]
    assert server.object("c2VydmVk")["synced"]
    assert server.requests()[-1]["counts"] == {
        "objects": 1,
        "links": 0,
        "deletions": 0,
        "linkRemovals": 0,
        "succeeded": 1,
        "failed": 0,
    }


def test_a_restart_in_the_middle_of_a_reading_loses_nothing(tmp_path: Path) -> None:
    """Tokens do not outlive it, cookies, links and what is quarantined do."""
    data, seed = tmp_path / "data.sqlite", {"users": 9, "groups": 2, "membersPerGroup": 4}
    faults = {"readBackPageSize": 4}
    taken = {"proxyAddresses": ("smtp:taken@contoso.test",)}
    with EmulatorServer({"seed": seed}, data=data, faults=faults) as server:
        server.serve(server.export([user("b25l", **taken), user("dHdv", **taken)]))
        token = server.token()
        first = decode_read_back_response(server.serve(server.reading(token=token)))
        before = {each["sourceAnchor"]: each for each in server.objects("User")}
    with EmulatorServer({"seed": seed}, data=data, faults=faults) as server:
        assert server.post(server.reading(token=token)).status_code == 500
        pages = [first]
        while pages[-1].more:
            body = server.reading(pages[-1].cookie)
            pages.append(decode_read_back_response(server.serve(body)))
        after = {each["sourceAnchor"]: each for each in server.objects("User")}
        groups = [each["sourceAnchor"] for each in server.objects("Group")]
        links = {anchor: server.links(anchor) for anchor in groups}

    assert after == before
    assert before["dHdv"]["quarantined"]
    read = [each.source_anchor for page in pages for each in page.objects]
    assert sorted(read) == sorted([*before, *links])
    assert {len(found) for found in links.values()} == {4}


def test_the_command_serves_what_it_prints_and_stops_when_told(tmp_path: Path) -> None:
    file = tmp_path / "emulator.yaml"
    file.write_text(
        "tenants: [{tenantId: 3f2504e0-4f89-41d3-9a0c-0305e82c3301, applications: [{clientId:"
        " 7d444840-9dc0-11d1-b245-5ffdce74fad2, clientSecret: printed}]}]"
    )
    command = [sys.executable, "-m", "entrasync", "emulate", "--config", str(file)]
    command += ["--listen", "127.0.0.1:0", "--data", str(tmp_path / "data.sqlite")]
    log = tmp_path / "log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env=os.environ | {}
        ) as process,
    ):
        try:
            assert process.stdout is not None
            text = ""
            while SECRET_NAME + ": printed" not in text:
                line = process.stdout.readline()
                assert line, log.read_text()
                text += line
            cloud, tenant, secret = yaml.safe_load_all(text)
            (tmp_path / "ca.pem").write_text(cloud["spec"]["caBundle"])
            credential = SecretCredential(secret=secret["stringData"][SECRET_NAME])
            tokens = MsalTokenSource(
                Cloud(
                    name="emulator",
                    login_authority=cloud["spec"]["loginAuthority"],
                    sync_service_url=cloud["spec"]["syncService"]["url"],
                    ca_bundle_pem=cloud["spec"]["caBundle"],
                ),
                tenant["spec"]["tenantId"],
                tenant["spec"]["application"]["clientId"],
                credential,
                resource="EntraTenant/contoso",
                clock=lambda: dt.datetime.now(dt.UTC),
            )
            token = tokens.token()
            tokens.close()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, log.read_text()
    assert token not in log.read_text()
    assert not re.search(r"printed|PRIVATE KEY", log.read_text())


def test_a_quarantined_value_is_tried_again(server: EmulatorServer) -> None:
    taken = {"proxyAddresses": ("smtp:ann@contoso.test",)}
    with client_of(server) as client:
        client.provision([user("YW5u", **taken)])
        client.provision([user("Ym9i", **taken)])
        assert server.object("Ym9i")["quarantined"]
        client.provision([user("YW5u", proxyAddresses=None)])

    retry = f"/admin/tenants/{server.tenant_id}/quarantine/retry"
    assert server.http.post(retry).json() == {"quarantined": 0}
    assert not server.object("Ym9i")["quarantined"]


def test_tenants_write_to_one_file_at_the_same_time(tmp_path: Path) -> None:
    data, count, rounds = tmp_path / "data.sqlite", 4, 15
    ids = [str(uuid.UUID(int=number)) for number in range(1, count + 1)]
    application = {"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET}
    tenants = [{"tenantId": each, "applications": [application]} for each in ids]

    def fill(server: EmulatorServer, tenant_id: str) -> None:
        answer = server.ask_token(tenant_id=tenant_id).json()
        for number in range(rounds):
            body = server.export([user(f"u{number}")], token=answer["access_token"])
            assert server.post(body).status_code == 200

    with EmulatorServer(data=data, tenants=tenants) as server, ThreadPoolExecutor(count) as pool:
        list(pool.map(fill, itertools.repeat(server), ids))
    with EmulatorServer(data=data, tenants=tenants) as server:
        for each in server.http.get("/admin/tenants").json()["items"]:
            assert each["objects"]["User"] == rounds


def test_a_tenant_that_is_at_work_holds_up_no_other() -> None:
    application = {"clientId": CLIENT_ID, "clientSecret": CLIENT_SECRET}
    ids = [str(uuid.UUID(int=number)) for number in (1, 2)]
    tenants = [{"tenantId": each, "applications": [application]} for each in ids]
    with EmulatorServer(tenants=tenants) as server:
        token = server.ask_token(tenant_id=ids[1]).json()["access_token"]
        with server._server.app.tenants[ids[0]].lock:
            assert server.post(server.export([user("YW5u")], token=token)).is_success
            assert server.http.get(f"/admin/tenants/{ids[1]}/objects").is_success
            assert server.http.get("/healthz").is_success
            assert server.ask_token(tenant_id=ids[0]).is_success


def test_a_token_of_the_cluster_proves_an_application() -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    issuer, subject = "https://oidc.cluster.test", "system:serviceaccount:identity:contoso-sync"
    credential = {"issuer": issuer, "subject": subject, "jwks": {"keys": [public]}}
    application = {"clientId": CLIENT_ID, "federatedCredentials": [credential]}
    now = int(dt.datetime.now(dt.UTC).timestamp())
    claims = {"iss": issuer, "sub": subject, "aud": ["api://AzureADTokenExchange"]}
    projected = jwt.encode(claims | {"nbf": now, "exp": now + 600}, key, algorithm="RS256")
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    with EmulatorServer({"applications": [application]}) as server:
        answer = server.ask_token(client_assertion_type=kind, client_assertion=projected)
        assert server.post(server.reading(token=answer.json()["access_token"])).is_success
        refused = server.ask_token(
            client_assertion_type=kind, client_assertion=projected[:-8] + "AAAAAAAA"
        )
        assert (refused.status_code, refused.json()["error_codes"]) == (401, [50013])
