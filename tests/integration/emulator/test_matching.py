"""Matching, names and source of authority, seen from the other end of the TLS connection."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest

from entrasync.entra.contracts import (
    ObjectResult,
    SyncObject,
    SyncObjectType,
    SyncOperation,
    SyncVersion,
)
from entrasync.entra.responses import decode_provision_response, decode_read_back_response
from tests.support.emulator import EmulatorServer

pytestmark = pytest.mark.integration

GUID, OTHER = b"\x01" * 16, b"\x02" * 16
OBJECTS = [
    {
        "type": "User",
        "immutableId": "dGllZA==",
        "onPremisesObjectIdentifier": base64.b64encode(OTHER).decode(),
    },
    {"type": "User", "immutableId": "YWRtaW4=", "eligibleRoles": ["Global Administrator"]},
    {"type": "User", "immutableId": "ZnJlZQ=="},
    {"type": "User", "sourceAnchor": "Y2xvdWQ=", "cloudManaged": True},
    {"type": "User", "attributes": {"mail": "soft@contoso.test"}},
    {
        "type": "User",
        "attributes": {"mail": "boss@contoso.test"},
        "roles": ["User Administrator"],
    },
]


@pytest.fixture
def server() -> Iterator[EmulatorServer]:
    seed = {"users": 5, "groups": 2, "contacts": 1, "membersPerGroup": 3}
    with EmulatorServer({"objects": OBJECTS, "seed": seed}) as server:
        yield server


def user(anchor: str, **properties: Any) -> SyncObject:
    return SyncObject(
        object_type=SyncObjectType.USER,
        operation=SyncOperation.SET,
        source_anchor=anchor,
        properties={"onPremisesObjectIdentifier": GUID} | properties,
    )


def results(
    server: EmulatorServer, *objects: SyncObject, version: SyncVersion = SyncVersion.V2
) -> list[ObjectResult]:
    answer = server.post(server.export(objects, version=version))
    return decode_provision_response(answer.content)


def held(server: EmulatorServer) -> dict[str, SyncObject]:
    page = decode_read_back_response(server.post(server.reading()).content)
    return {each.source_anchor: each for each in page.objects}


@pytest.mark.parametrize("version", list(SyncVersion))
def test_who_is_taken_over_and_who_is_not(server: EmulatorServer, version: SyncVersion) -> None:
    found = results(
        server,
        user("dGllZA=="),
        user("YWRtaW4="),
        user("ZnJlZQ=="),
        user("Y2xvdWQ="),
        user("c29mdA==", mail="soft@contoso.test"),
        user("Ym9zcw==", mail="boss@contoso.test"),
        user("bmV3"),
        version=version,
    )

    assert [each.code for each in found] == [
        "AttributeUpdateNotAllowed",
        "AttributeUpdateNotAllowed",
        None,
        "OnPremisesSyncBlocked",
        None,
        "ExistingAdminRoleConflict",
        None,
    ]
    # Users of another engine, those of the configuration, and one new one: nobody twice.
    assert len(server.objects("User")) == 5 + len(OBJECTS) + 1


def test_read_back_marks_what_the_cloud_manages(server: EmulatorServer) -> None:
    told = held(server)

    assert told["Y2xvdWQ="].properties["BlockOnPremisesSync"] is True
    assert told["ZnJlZQ=="].properties["CloudMastered"] is True
    assert "CloudMastered" not in told["somebody-else-000001"].properties
    assert told["somebody-else-group-000001"].properties["member"] == tuple(
        f"somebody-else-{number:06}" for number in (1, 2, 3)
    )


def test_read_back_has_the_shadow_and_the_admin_view_what_became_of_it(
    server: EmulatorServer,
) -> None:
    exported = ("SMTP:ann@contoso.test", "smtp:ann@contoso.local", "smtp:taken@contoso.test")
    first = user("dGFrZW4=", mail="taken@contoso.test")
    second = user("YW5u", userPrincipalName="ann@contoso.local", proxyAddresses=exported)
    codes = [each.code for each in results(server, first, second)]
    document = server.object("YW5u")

    assert codes == [None, "QuarantinedAttributeValueMustBeUnique"]
    assert held(server)["YW5u"].properties["ProxyAddresses"] == exported
    assert document["attributes"]["userPrincipalName"] == "ann@contoso.local"
    assert document["userPrincipalName"] == "ann@contoso.onmicrosoft.com"
    assert set(document["proxyAddresses"]) == {
        "SMTP:ann@contoso.test",
        "smtp:ann@contoso.onmicrosoft.com",
    }
    assert document["mail"] == "ann@contoso.test"
    assert document["quarantined"] == {"proxyAddresses": ["smtp:taken@contoso.test"]}


def test_an_export_restores_what_was_deleted_unless_that_is_blocked(
    server: EmulatorServer,
) -> None:
    deletion = SyncObject(
        object_type=SyncObjectType.USER,
        operation=SyncOperation.DELETE,
        source_anchor="somebody-else-000001",
    )
    (deleted,) = results(server, deletion)
    path = f"directory/onPremisesSynchronization/{server.tenant_id}"
    feature = "blockCloudObjectTakeoverThroughHardMatchEnabled"
    server.graph("PATCH", path, json={"features": {feature: True}}).raise_for_status()
    (blocked,) = results(server, user("somebody-else-000001"))
    server.graph("PATCH", path, json={"features": {feature: False}}).raise_for_status()
    (restored,) = results(server, user("somebody-else-000001"))

    assert blocked.code == "InvalidHardMatch"
    assert restored.success
    assert restored.cloud_anchor == deleted.cloud_anchor
