"""A cloud that offers V1 only is synced over V1, whole lists and all."""

from __future__ import annotations

import pytest

from entrasync.entra.contracts import LinkChange, SyncObject, SyncObjectType, SyncOperation
from tests.support.hand import Hand
from tests.support.rig import Rig

pytestmark = pytest.mark.integration

TOP = "OU=Contoso,DC=contoso,DC=test"
STAFF = f"OU=Staff,{TOP}"
V1_ONLY = [{"version": "V1", "maxGroupMembers": 50_000}]


@pytest.fixture
def old(fresh: Rig) -> Rig:
    """A sync into a cloud without V2."""
    fresh.azure["spec"]["syncService"]["endpoints"] = V1_ONLY
    fresh.tenant["spec"]["transport"] = "SyncServiceV1"
    return fresh


def test_everything_travels_over_v1(old: Rig, hand: Hand) -> None:
    first = old.run()

    assert first.endpoint_version == "V1"
    assert (len(old.anchors("User")), len(old.anchors("Group"))) == (48, 12)
    group = old.group("All Employees")
    before = set(old.cloud.links(group))
    assert len(before) == 40

    newcomer = hand.add(
        f"CN=Zoë,{STAFF}", "user", sAMAccountName="zoe", userPrincipalName="zoe@contoso.test"
    )
    hand.link(f"CN=All Employees,OU=Groups,{TOP}", newcomer)
    second = old.run()

    assert second.changes is not None
    assert second.changes.links.model_dump() == {"add": 1, "remove": 0, "failed": 0}
    after = set(old.cloud.links(group))
    assert before < after
    assert len(after) == 41
    assert old.run().message == "nothing had changed"
    assert old.run(scope="Full").message == "nothing had changed"
    operations = {each["operation"] for each in old.cloud.requests()}
    assert {"ProvisionAzureADSyncObjects", "ReadBackAzureADSyncObjects"} <= operations
    assert not {each for each in operations if each.endswith("2")}


@pytest.mark.parametrize(
    ("transport", "scope"), [("SyncServiceV2", "Full"), ("SyncServiceV1", None)]
)
def test_a_device_that_another_engine_made_a_member_stays_one(
    fresh: Rig, hand: Hand, transport: str, scope: str | None
) -> None:
    fresh.tenant["spec"]["transport"] = transport
    fresh.run()
    group = fresh.group("All Employees")
    device = SyncObject(
        object_type=SyncObjectType.DEVICE,
        operation=SyncOperation.SET,
        source_anchor="device-1",
        properties={"displayName": "LAPTOP"},
    )
    member = SyncObject(
        object_type=SyncObjectType.GROUP,
        operation=SyncOperation.SET,
        source_anchor=group,
        links=(LinkChange(anchor="device-1", add=True),),
    )
    for each in (device, member):
        fresh.cloud.post(fresh.cloud.export([each]))
    before = set(fresh.cloud.links(group))
    assert len(before) == 41

    leaver = hand.add(f"CN=Zoë,{STAFF}", "user", sAMAccountName="zoe")
    hand.link(f"CN=All Employees,OU=Groups,{TOP}", leaver)
    assert fresh.run(scope=scope).changes.links.model_dump() == {  # type: ignore[union-attr]
        "add": 1,
        "remove": 0,
        "failed": 0,
    }
    hand.unlink(f"CN=All Employees,OU=Groups,{TOP}", leaver)
    fresh.run()

    assert set(fresh.cloud.links(group)) == before


def test_a_cloud_that_offers_v1_no_longer_is_named(old: Rig) -> None:
    old.azure["spec"]["syncService"]["endpoints"] = [{"version": "V2", "maxGroupMembers": 7}]

    result = old.run(code=2)

    assert (result.reason, result.resource) == ("EndpointNotOffered", "EntraTenant/contoso")
    assert "spec.transport" in result.message
    assert "(it offers V2)" in result.message
