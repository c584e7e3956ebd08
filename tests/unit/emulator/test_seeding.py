"""What a tenant holds and allows before anybody syncs, and after a restart."""

from __future__ import annotations

import base64
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from entrasync.emulator.config import Tenant
from entrasync.emulator.features import BLOCK_HARD_MATCH, BLOCK_SOFT_MATCH, configured_bits
from entrasync.emulator.persistence import DataFile
from entrasync.emulator.service import feature_bits
from entrasync.emulator.switches import Switches
from entrasync.emulator.tenant import RunningTenant, start_tenant
from entrasync.entra.contracts import (
    LinkChange,
    ObjectResult,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)
from entrasync.errors import ConfigurationError

TENANT = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
CLIENT = "7d444840-9dc0-11d1-b245-5ffdce74fad2"
GUID = b"\x07" * 16


def tenant_of(**members: Any) -> Tenant:
    fixed = {
        "tenantId": TENANT,
        "verifiedDomains": ["contoso.test"],
        "applications": [{"clientId": CLIENT, "clientSecret": "s"}],
    }
    return Tenant.model_validate(fixed | members)


def start(data: DataFile, **members: Any) -> RunningTenant:
    numbers = iter(range(1_000_000))
    return start_tenant(
        tenant_of(**members),
        Switches(),
        data,
        new_id=lambda: f"id-{next(numbers)}",
        digits=lambda: "0000",
    )


def export(tenant: RunningTenant, anchor: str, **properties: PropertyValue) -> ObjectResult:
    change = SyncObject(
        object_type=SyncObjectType.USER,
        operation=SyncOperation.SET,
        source_anchor=anchor,
        properties=properties,
    )
    return tenant.store.apply(change, max_members=0)


OBJECTS = [
    {
        "type": "User",
        "immutableId": "tied",
        "onPremisesObjectIdentifier": base64.b64encode(GUID).decode(),
    },
    {"type": "User", "immutableId": "admin", "roles": ["Global Administrator"]},
    {"type": "User", "immutableId": "eligible", "eligibleRoles": ["User Administrator"]},
    {"type": "User", "immutableId": "free", "attributes": {"mail": "free@contoso.test"}},
    {"type": "User", "sourceAnchor": "licensed", "licensed": True},
    {"type": "User", "sourceAnchor": "converted", "cloudManaged": True},
    {"type": "User", "sourceAnchor": "gone", "deleted": True},
    {"type": "Group", "sourceAnchor": "group", "members": ["licensed"]},
]


@pytest.mark.parametrize("restarted", [False, True])
def test_named_objects_are_what_they_are_said_to_be(tmp_path: Path, *, restarted: bool) -> None:
    with DataFile(tmp_path / "data.sqlite") as data:
        tenant = start(data, objects=OBJECTS)
        if restarted:
            tenant = start(data, objects=OBJECTS)
        found = {each.source_anchor: each for each in tenant.store.objects()}

        assert found["gone"].deleted
        assert found["converted"].sync_blocked
        assert found["licensed"].standing.licensed
        assert found["free"].mail == "free@contoso.test"
        assert tenant.store.member_count(found["group"]) == 1
        assert [name for name, each in found.items() if each.synced] == ["licensed", "group"]
        codes = {
            anchor: export(tenant, anchor, onPremisesObjectIdentifier=b"\x01" * 16).code
            for anchor in found
            if anchor != "group"
        }
    assert codes == {
        "tied": "AttributeUpdateNotAllowed",
        "admin": "AttributeUpdateNotAllowed",
        "eligible": "AttributeUpdateNotAllowed",
        "free": None,
        "licensed": None,
        "converted": "OnPremisesSyncBlocked",
        "gone": None,
    }


@pytest.mark.parametrize(
    "member",
    [
        {"objects": [{"type": "User", "sourceAnchor": "a", "immutableId": "b"}]},
        {"objects": [{"type": "User", "cloudManaged": True}]},
        {"objects": [{"type": "Group", "members": ["a"]}]},
        {"objects": [{"type": "User", "onPremisesObjectIdentifier": "no base64!"}]},
        {"seed": {"users": 1, "groups": 1, "membersPerGroup": 2}},
    ],
)
def test_what_makes_no_sense_is_refused(member: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        tenant_of(**member)


@pytest.mark.parametrize(
    "objects",
    [
        [{"type": "User", "immutableId": "a"}, {"type": "User", "immutableId": "a"}],
        [{"type": "User", "attributes": {"userPrincipalName": "no-at"}}],
        [{"type": "Group", "sourceAnchor": "g", "members": ["nobody"]}],
    ],
)
def test_what_the_tenant_refuses_is_a_configuration_error(objects: list[dict[str, Any]]) -> None:
    with DataFile(None) as data, pytest.raises(ConfigurationError) as caught:
        start(data, objects=objects)
    assert caught.value.field == "tenants.objects"


def test_made_up_objects_that_are_refused_are_a_configuration_error() -> None:
    taken = {"type": "Group", "sourceAnchor": "somebody-else-000001"}
    with DataFile(None) as data, pytest.raises(ConfigurationError, match="ObjectTypeMismatch"):
        start(data, objects=[taken], seed={"users": 1})


def test_a_tenant_is_filled_with_objects_of_another_engine() -> None:
    seed = {"users": 50, "groups": 7, "contacts": 3, "membersPerGroup": 20}
    with DataFile(None) as data:
        tenant = start(data, seed=seed)

    counts = tenant.overview.counts()
    assert counts.live == {
        SyncObjectType.USER: 50,
        SyncObjectType.GROUP: 7,
        SyncObjectType.CONTACT: 3,
        SyncObjectType.DEVICE: 0,
    }
    assert counts.links == 7 * 20
    assert all(each.synced and each.source_anchor for each in tenant.store.objects())
    assert not any(each.quarantined for each in tenant.store.objects())


def test_links_of_a_group_outlive_a_restart(tmp_path: Path) -> None:
    seed = {"users": 4, "groups": 1, "membersPerGroup": 3}
    with DataFile(tmp_path / "data.sqlite") as data:
        tenant = start(data, seed=seed)
        change = SyncObject(
            object_type=SyncObjectType.GROUP,
            operation=SyncOperation.SET,
            source_anchor="somebody-else-group-000001",
            links=(
                LinkChange(anchor="somebody-else-000004", add=True),
                LinkChange(anchor="somebody-else-000001", add=False),
            ),
        )
        assert tenant.store.apply(change, max_members=3).success
        data.write(TENANT, tenant.store.writes())
        again = start(data, seed=seed)
        group = again.store.find("somebody-else-group-000001")
        assert group is not None
        members = {each.source_anchor for each in again.store.members(group)}

    assert members == {f"somebody-else-{number:06}" for number in (2, 3, 4)}
    assert again.store.version == tenant.store.version


def test_a_file_of_another_version_is_not_guessed_at(tmp_path: Path) -> None:
    file = tmp_path / "data.sqlite"
    with DataFile(file) as data:
        start(data, seed={"users": 1})
    with sqlite3.connect(file) as connection:
        (body,) = connection.execute("SELECT body FROM objects").fetchone()
        older = {name: value for name, value in json.loads(body).items() if name != "names"}
        connection.execute("UPDATE objects SET body = ?", (json.dumps(older),))
    connection.close()

    with DataFile(file) as data, pytest.raises(ConfigurationError, match="another version"):
        start(data)


@pytest.mark.parametrize(
    ("members", "bits"),
    [
        ({}, 32768 | 8192 | 32 | 16 | 8),
        ({"duplicateAttributeResiliency": False}, 32768 | 8192 | 16),
        ({"softMatchOnUpn": False}, 32768 | 8192 | 32 | 8),
        ({"synchronizeUpnForManagedUsers": False}, 32768 | 32 | 16 | 8),
        ({"blockSoftMatch": True}, 524288 | 32768 | 8192 | 32 | 16 | 8),
        ({"blockHardMatch": True}, 1048576 | 32768 | 8192 | 32 | 16 | 8),
    ],
)
def test_features_are_told_as_configured(members: dict[str, Any], bits: int) -> None:
    with DataFile(None) as data:
        tenant = start(data, **members)
        assert configured_bits(tenant.config) == feature_bits(tenant) == bits


def test_features_that_are_switched_count_at_once() -> None:
    person = {"type": "User", "immutableId": "a"}
    other = {"type": "User", "attributes": {"mail": "x@contoso.test"}}
    with DataFile(None) as data:
        tenant = start(data, objects=[person, other])
        tenant.company.set_features(BLOCK_HARD_MATCH | BLOCK_SOFT_MATCH, on=True)
        blocked = export(tenant, "a").code, export(tenant, "b", mail="x@contoso.test").code
        tenant.company.set_features(BLOCK_HARD_MATCH | BLOCK_SOFT_MATCH, on=False)
        opened = export(tenant, "a").code, export(tenant, "b", mail="x@contoso.test").code

    assert blocked == ("InvalidHardMatch", "InvalidSoftMatch")
    assert opened == (None, None)
