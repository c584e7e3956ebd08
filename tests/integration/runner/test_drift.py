"""What somebody else changes in the tenant is repaired, or told, and not fought for."""

from __future__ import annotations

from typing import Any

import pytest

from entrasync.entra.contracts import (
    LinkChange,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)
from entrasync.entra.responses import decode_provision_response
from tests.support.branch import Branch
from tests.support.emulator import EmulatorServer
from tests.support.rig import Rig

pytestmark = pytest.mark.integration

EXPORT = "ProvisionAzureADSyncObjects2"


def meddle(
    cloud: EmulatorServer,
    anchor: str,
    *,
    kind: SyncObjectType = SyncObjectType.USER,
    delete: bool = False,
    links: tuple[LinkChange, ...] = (),
    **properties: PropertyValue,
) -> None:
    """Changes the tenant behind the back of the sync, as another engine would."""
    change = SyncObject(
        object_type=kind,
        operation=SyncOperation.DELETE if delete else SyncOperation.SET,
        source_anchor=anchor,
        properties=properties,
        links=links,
    )
    (told,) = decode_provision_response(cloud.post(cloud.export([change])).content)
    assert told.success, told


@pytest.fixture
def team(local: Rig, branch: Branch) -> Rig:
    """Two people, of whom one is in a group, in the tenant."""
    branch.person("bob")
    branch.group("team", branch.person("ann", department="Sales"))
    local.run()
    return local


def user(rig: Rig, name: str) -> dict[str, Any]:
    (found,) = [
        each for each in rig.cloud.objects("User") if each["attributes"]["displayName"] == name
    ]
    return found


def anchor(rig: Rig, name: str) -> str:
    return str(user(rig, name)["sourceAnchor"])


def value(rig: Rig, name: str, key: str = "title") -> Any:
    return user(rig, name)["attributes"].get(key)


def drift(result: object) -> dict[str, int]:
    told: dict[str, int] = result.drift.model_dump()  # type: ignore[attr-defined]  # a RunResult
    return told


NONE = {"objects": 0, "links": 0, "not_accepted": 0}


def test_a_changed_and_a_cleared_property_are_written_again(team: Rig) -> None:
    meddle(team.cloud, anchor(team, "ann"), title="Meddled", department=None)

    repaired = team.run()

    assert (repaired.scope, repaired.outcome) == ("Delta", "Succeeded")
    assert (value(team, "ann"), value(team, "ann", "department")) == ("Clerk", "Sales")
    assert repaired.changes is not None
    assert repaired.changes.users.model_dump() == {"add": 0, "update": 1, "delete": 0, "failed": 0}
    quiet = team.run()
    assert quiet.message == "nothing had changed"
    assert drift(quiet) == NONE


def test_a_property_the_directory_does_not_have_is_cleared(team: Rig) -> None:
    meddle(team.cloud, anchor(team, "bob"), department="Meddled")

    team.run()

    assert value(team, "bob", "department") is None
    assert team.run().message == "nothing had changed"


def test_members_are_put_back_and_strangers_of_the_same_sync_taken_out(team: Rig) -> None:
    group, ann, bob = team.group("team"), anchor(team, "ann"), anchor(team, "bob")
    meddle(
        team.cloud,
        group,
        kind=SyncObjectType.GROUP,
        links=(LinkChange(ann, add=False), LinkChange(bob, add=True)),
    )
    assert team.cloud.links(group) == [bob]

    repaired = team.run()

    assert team.cloud.links(group) == [ann]
    assert repaired.changes is not None
    assert repaired.changes.links.model_dump() == {"add": 1, "remove": 1, "failed": 0}
    assert team.run().message == "nothing had changed"


@pytest.mark.parametrize("kind", ["User", "Group"])
def test_a_deleted_object_is_there_again_with_its_links(team: Rig, kind: str) -> None:
    group, ann = team.group("team"), anchor(team, "ann")
    gone = ann if kind == "User" else group
    before = team.cloud.object(gone)["attributes"]
    meddle(team.cloud, gone, kind=SyncObjectType(kind), delete=True)

    repaired = team.run()

    assert repaired.outcome == "Succeeded", repaired.message
    assert repaired.objects is not None
    assert repaired.objects.model_dump() == {"users": 2, "groups": 1, "contacts": 0, "links": 1}
    assert team.cloud.object(gone)["attributes"] == before
    assert not team.cloud.object(gone)["deleted"]
    assert team.cloud.links(group) == [ann]
    assert team.run().message == "nothing had changed"


def test_report_counts_and_leaves_alone(team: Rig, branch: Branch) -> None:
    team.sync["spec"]["drift"] = "Report"
    group, ann, bob = team.group("team"), anchor(team, "ann"), anchor(team, "bob")
    meddle(team.cloud, ann, title="Meddled")
    meddle(team.cloud, group, kind=SyncObjectType.GROUP, links=(LinkChange(ann, add=False),))
    written = team.writes()

    for scope in (None, "Full", None):
        told = team.run(scope=scope)
        assert told.outcome == "Succeeded", told.message
        assert drift(told) == {"objects": 1, "links": 1, "not_accepted": 0}
    assert team.writes() == written
    assert (value(team, "ann"), team.cloud.links(group)) == ("Meddled", [])

    # what else is to be done goes on meanwhile, and Repair mends it at once
    branch.hand.replace(f"CN=bob,{branch.dn}", "title", "Chair")
    team.run()
    assert (value(team, "bob"), value(team, "ann")) == ("Chair", "Meddled")
    team.sync["spec"]["drift"] = "Repair"
    assert team.run().outcome == "Succeeded"
    assert (value(team, "ann"), team.cloud.links(group)) == ("Clerk", [ann])
    assert bob in team.anchors("User")
    assert drift(team.run()) == NONE


def test_report_writes_what_the_directory_changes(team: Rig, branch: Branch) -> None:
    team.sync["spec"]["drift"] = "Report"
    meddle(team.cloud, anchor(team, "ann"), title="Meddled")
    assert drift(team.run())["objects"] == 1

    branch.hand.replace(f"CN=ann,{branch.dn}", "title", "Chair")
    team.run()

    assert value(team, "ann") == "Chair"
    assert drift(team.run()) == NONE


def test_a_value_that_does_not_stick_twice_is_not_fought_for(team: Rig, branch: Branch) -> None:
    ann = anchor(team, "ann")
    for _ in range(2):
        meddle(team.cloud, ann, title="Meddled")
        assert team.run().error_count == 0
        assert value(team, "ann") == "Clerk"
    meddle(team.cloud, ann, title="Meddled")
    written = team.writes()

    for scope in (None, "Full", None):
        told = team.run(code=4, scope=scope)
        assert (told.outcome, told.reason) == ("SucceededWithErrors", "NotAccepted")
        assert [(each.anchor, each.code) for each in told.errors] == [(ann, "NotAccepted")]
        assert drift(told) == {"objects": 1, "links": 0, "not_accepted": 1}
    assert team.writes() == written
    assert value(team, "ann") == "Meddled"

    # until something else is wanted
    branch.hand.replace(f"CN=ann,{branch.dn}", "title", "Chair")
    assert team.run().error_count == 0
    assert value(team, "ann") == "Chair"
    quiet = team.run()
    assert (quiet.message, drift(quiet)) == ("nothing had changed", NONE)


def test_a_member_that_does_not_stay_twice_is_not_fought_for(team: Rig, branch: Branch) -> None:
    group, ann = team.group("team"), anchor(team, "ann")
    away = (LinkChange(ann, add=False),)
    for _ in range(2):
        meddle(team.cloud, group, kind=SyncObjectType.GROUP, links=away)
        assert team.run().error_count == 0
        assert team.cloud.links(group) == [ann]
    meddle(team.cloud, group, kind=SyncObjectType.GROUP, links=away)
    written = team.writes()

    for _ in range(2):
        told = team.run(code=4)
        assert [(each.anchor, each.code) for each in told.errors] == [(group, "NotAccepted")]
        assert drift(told) == {"objects": 0, "links": 1, "not_accepted": 1}
    assert team.writes() == written

    # wanted no longer: there is nothing left to tell
    branch.hand.unlink(f"CN=team,{branch.dn}", f"CN=ann,{branch.dn}")
    assert team.run().error_count == 0
    assert drift(team.run()) == NONE


def test_what_else_is_wrong_with_such_an_object_is_still_written(team: Rig, branch: Branch) -> None:
    ann = anchor(team, "ann")
    for _ in range(2):
        meddle(team.cloud, ann, title="Meddled")
        team.run()
    meddle(team.cloud, ann, title="Meddled", department="Meddled")

    team.run(code=4)
    branch.hand.replace(f"CN=ann,{branch.dn}", "mobile", "555")
    team.run(code=4)

    found = {key: value(team, "ann", key) for key in ("title", "department", "mobile")}
    assert found == {"title": "Meddled", "department": "Sales", "mobile": "555"}
