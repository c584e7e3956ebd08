from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.emulator import EmulatorServer
from tests.support.hand import Hand
from tests.support.rig import Rig
from tests.support.samba import SambaServer

pytestmark = pytest.mark.integration

TOP = "OU=Contoso,DC=contoso,DC=test"
STAFF = f"OU=Staff,{TOP}"
NOTHING = {"add": 0, "update": 0, "delete": 0, "failed": 0}
NO_LINKS = {"add": 0, "remove": 0, "failed": 0}


def changed(result: object) -> dict[str, dict[str, int]]:
    """The changes of a result, kinds without any left out."""
    changes = result.changes.model_dump()  # type: ignore[attr-defined]  # a RunResult
    return {
        kind: {name: count for name, count in counts.items() if count}
        for kind, counts in changes.items()
        if any(counts.values())
    }


def test_a_first_run_fills_the_tenant_and_a_second_finds_nothing_to_do(rig: Rig) -> None:
    first = rig.run()

    assert (first.outcome, first.reason, first.scope) == ("Succeeded", "Synchronized", "Full")
    assert changed(first) == {
        "users": {"add": 48},
        "groups": {"add": 12},
        "contacts": {"add": 6},
        "links": {"add": 101},
    }
    assert first.objects is not None
    assert first.objects.model_dump() == {"users": 48, "groups": 12, "contacts": 6, "links": 101}
    assert first.company is not None
    assert first.company.display_name == "Contoso"
    facts = first.facts_of("contoso")
    assert facts is not None
    assert (facts.domain, facts.delta_method) == ("contoso.test", "DirSync")
    assert (len(rig.anchors("User")), len(rig.anchors("Contact"))) == (48, 6)
    # nested groups are members like any other
    teams = rig.cloud.links(rig.group("All Teams"))
    assert len(teams) == 6
    assert set(teams) <= rig.anchors("Group")
    assert len(rig.cloud.links(rig.group("All Employees"))) == 40

    written = rig.writes()
    second = rig.run()

    assert second.scope == "Delta"
    assert changed(second) == {}
    assert (first.message, second.message) == (
        "48 users added, 12 groups added, 6 contacts added, 101 members added",
        "nothing had changed",
    )
    assert second.requests is not None
    assert second.requests.export == 0
    assert rig.writes() == written


def test_names_arrive_as_they_are(rig: Rig) -> None:
    rig.run()

    users = {o["attributes"]["onPremisesSamAccountName"]: o for o in rig.cloud.objects("User")}
    assert users["u00000"]["attributes"]["displayName"] == "Γιώργος Παπαδόπουλος"
    assert users["u00002"]["attributes"]["displayName"] == "浩 田中"
    assert users["u00009"]["attributes"]["onPremisesDistinguishedName"].startswith("CN=")
    assert "\\," in users["u00009"]["attributes"]["onPremisesDistinguishedName"]
    assert users["u00007"]["attributes"]["accountEnabled"] is False
    assert users["u00006"]["attributes"]["manager"] == users["u00000"]["sourceAnchor"]
    assert "written-back" not in users
    groups = {o["attributes"]["displayName"] for o in rig.cloud.objects("Group")}
    assert {"Ärzte & Ställe", "Empty, yet here"} <= groups


def test_a_delta_shows_exactly_what_changed(fresh: Rig, samba_fresh: SambaServer) -> None:
    fresh.run()
    big_group = fresh.group("All Employees")
    before = set(fresh.cloud.links(big_group))

    made = samba_fresh.change("demo")
    result = fresh.run()

    assert result.scope == "Delta"
    assert changed(result) == {
        "users": {"update": made["usersUpdated"], "delete": 1},
        "links": {"add": 1},
    }
    after = set(fresh.cloud.links(big_group))
    assert len(after - before) == 1
    assert len(before - after) == 1  # the deleted user's
    users = [each["attributes"] for each in fresh.cloud.objects("User")]
    assert [u for u in users if u["displayName"] == made["renamedTo"]] != []
    assert [u for u in users if u["displayName"] == made["deletedName"]] == []
    inside = [u for u in users if f",OU={made['renamedOU']}," in u["onPremisesDistinguishedName"]]
    assert len(inside) == made["usersInRenamedOU"]

    assert changed(fresh.run()) == {}
    # and a full run finds the tenant exactly as the directory is
    full = fresh.run(scope="Full")
    assert full.scope == "Full"
    assert changed(full) == {}


def test_single_changes_of_groups_and_values(fresh: Rig, hand: Hand) -> None:
    group = hand.add(f"CN=Team,{TOP}", "group", sAMAccountName="Team", displayName="Team")
    user = hand.add(
        f"CN=Zoë,{STAFF}",
        "user",
        sAMAccountName="zoe",
        userPrincipalName="zoe@contoso.test",
        title="Chief",
        department="Sales",
    )
    hand.link(group, user)
    fresh.run()

    hand.replace(user, "title", "Chair")
    hand.replace(user, "department")
    hand.unlink(group, user)
    result = fresh.run()

    assert changed(result) == {"users": {"update": 1}, "links": {"remove": 1}}
    (found,) = [
        each["attributes"]
        for each in fresh.cloud.objects("User")
        if each["attributes"]["onPremisesSamAccountName"] == "zoe"
    ]
    assert found["title"] == "Chair"
    assert not found.get("department")
    assert fresh.cloud.links(fresh.group("Team")) == []


def test_a_renamed_scope_loses_nobody(fresh: Rig, hand: Hand) -> None:
    fresh.source["include"] = [STAFF]
    first = fresh.run()
    assert [scope.current_dn for scope in first.scopes] == [STAFF]

    hand.move(STAFF, name="OU=People")
    result = fresh.run()

    assert set(changed(result)["users"]) == {"update"}
    assert [(s.dn, s.current_dn) for s in result.scopes] == [(STAFF, f"OU=People,{TOP}")]
    assert len(fresh.anchors("User")) == 48


def test_pins_outlive_a_lost_volume(fresh: Rig, hand: Hand) -> None:
    fresh.source["include"] = [STAFF]
    first = fresh.run()
    fresh.sync["status"] = {"scopes": [s.model_dump(by_alias=True) for s in first.scopes]}
    hand.move(STAFF, name="OU=People")
    shutil.rmtree(fresh.state)

    result = fresh.run()

    assert result.scopes[0].guid == first.scopes[0].guid
    assert result.objects is not None
    assert result.objects.users == 48


def test_what_moves_out_of_scope_is_deleted_and_comes_back(fresh: Rig, hand: Hand) -> None:
    fresh.source["exclude"] = [f"OU=Legal,{STAFF}"]
    fresh.run()
    assert len(fresh.anchors("User")) == 40
    user = hand.add(
        f"CN=Mover,{STAFF}", "user", sAMAccountName="mover", userPrincipalName="mover@contoso.test"
    )
    assert changed(fresh.run()) == {"users": {"add": 1}}

    hand.move(user, parent=f"OU=Legal,{STAFF}")
    assert changed(fresh.run()) == {"users": {"delete": 1}}
    hand.move(f"CN=Mover,OU=Legal,{STAFF}", parent=STAFF)
    assert changed(fresh.run()) == {"users": {"add": 1}}
    hand.move(user, parent="CN=Users,DC=contoso,DC=test")
    assert changed(fresh.run()) == {"users": {"delete": 1}}
    hand.move("CN=Mover,CN=Users,DC=contoso,DC=test", parent=STAFF)
    assert changed(fresh.run()) == {"users": {"add": 1}}


def test_a_preview_exports_nothing(rig: Rig) -> None:
    result = rig.run(mode="Preview")

    assert changed(result)["users"] == {"add": 48}
    assert result.plan_digest is not None
    assert rig.writes() == 0
    assert rig.anchors("User") == set()


def test_a_sync_in_preview_exports_nothing(rig: Rig) -> None:
    rig.sync["spec"]["mode"] = "Preview"

    rig.run()

    assert rig.writes() == 0


def test_a_check_tells_both_halves(rig: Rig) -> None:
    result = rig.run(mode="Check", in_job=True)

    assert result.tenant_check is not None
    check = result.check_of("contoso")
    assert check is not None
    assert (result.tenant_check.ok, check.ok) == (True, True)
    assert check.message == f"Signed in to contoso.test at {rig.directory.url}."
    assert result.endpoint_version == "V2"
    assert result.endpoint_url == f"{rig.cloud.url}/provisioningservice.svc"
    assert result.company is not None
    assert result.company.max_links_per_request == 15000
    assert not rig.state.exists()


def test_six_hundred_objects_of_somebody_else_are_left_alone(
    tmp_path: Path, samba_small: SambaServer
) -> None:
    with EmulatorServer({"seed": {"users": 600}}) as cloud:
        rig = Rig(tmp_path, samba_small, cloud)
        first = rig.run()
        shutil.rmtree(rig.state)
        again = rig.run()

        for result in (first, again):
            assert result.orphans is not None
            assert result.orphans.users == 600
            assert result.objects is not None
            assert result.objects.users == 48
        # what this sync made itself is adopted by its anchor
        assert changed(again) == {}
        assert len(cloud.objects("User")) == 648
