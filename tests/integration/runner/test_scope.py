"""Who takes part: filters, scoping groups and kinds, from a real directory to the emulated tenant.

Every run after the first is a delta run, unless a test says otherwise.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.front import NO_DIRSYNC, NO_USN, Replacement, fronting
from tests.support.hand import Hand
from tests.support.rig import Rig
from tests.support.samba import SambaServer

pytestmark = pytest.mark.integration

BASE = "DC=contoso,DC=test"
TOP = f"OU=Contoso,{BASE}"
STAFF = f"OU=Staff,{TOP}"
# beside the containers of the sync: what decides who takes part need not take part
OUTSIDE = f"CN=Users,{BASE}"
PILOT = f"CN=Pilot,{OUTSIDE}"
NESTED_PILOT = {"group": PILOT, "nested": True}
GLOBAL_SECURITY = "-2147483646"


def where(*clauses: Mapping[str, str]) -> dict[str, Any]:
    return {"anyOf": [{"allOf": [dict(clause) for clause in clauses]}]}


NOT_EXTERNAL = where({"attribute": "employeeType", "operator": "NotEqual", "value": "NoSync"})


class People:
    """Adds people and groups, and tells who of them the tenant has."""

    def __init__(self, rig: Rig, hand: Hand) -> None:
        self.rig = rig
        self.hand = hand
        self.made: set[str] = set()

    def person(self, name: str, **more: str) -> str:
        self.made.add(name)
        return self.hand.add(
            f"CN={name},{STAFF}",
            "user",
            sAMAccountName=name,
            userPrincipalName=f"{name}@contoso.test",
            **more,
        )

    def group(self, name: str, *members: str, parent: str = OUTSIDE) -> str:
        dn = self.hand.add(
            f"CN={name},{parent}", "group", sAMAccountName=name, groupType=GLOBAL_SECURITY
        )
        if members:
            self.hand.link(dn, *members)
        return dn

    def in_tenant(self) -> set[str]:
        """Accounts of those added here that the tenant has."""
        accounts = {
            each["attributes"]["onPremisesSamAccountName"]
            for each in self.rig.cloud.objects("User")
        }
        return accounts & self.made

    def run(self, **options: Any) -> set[str]:
        """A delta run; gives who is there afterwards."""
        result = self.rig.run(**options)
        assert result.scope == options.get("scope", "Delta")
        return self.in_tenant()


@pytest.fixture
def people(fresh: Rig, hand: Hand) -> People:
    # nothing but the staff, to be quick; the brakes are tried elsewhere
    fresh.source["include"] = [STAFF]
    fresh.sync["spec"]["safety"] = {"users": {"count": 500, "percent": 100}}
    return People(fresh, hand)


def users(rig: Rig, **spec: Any) -> None:
    rig.sync["spec"]["objects"] = {"users": spec}


def test_people_enter_and_leave_by_an_attribute(people: People) -> None:
    ann = people.person("ann", employeeType="nosync")
    people.person("bob")  # who has no such attribute is no external
    users(people.rig, where=NOT_EXTERNAL)

    first = people.rig.run()

    assert people.in_tenant() == {"bob"}
    assert ("AttributeFilter", 1) in [(each.rule, each.count) for each in first.excluded]
    assert first.objects is not None
    assert first.objects.users == 49
    people.hand.replace(ann, "employeeType", "Internal")
    assert people.run() == {"ann", "bob"}
    people.hand.replace(ann, "employeeType", "NoSync")
    assert people.run() == {"bob"}
    # nothing is left to do, and a full run agrees
    assert people.rig.run().message == "nothing had changed"
    assert people.run(scope="Full") == {"bob"}


def test_a_filter_may_go_by_what_is_not_exported(people: People) -> None:
    ann = people.person("ann", roomNumber="7", userAccountControl="514")
    people.person("bob", roomNumber="12", userAccountControl="514")
    users(
        people.rig,
        where=where(
            {"attribute": "ROOMNUMBER", "operator": "LessThan", "value": "10"},
            {"attribute": "userAccountControl", "operator": "IsBitSet", "value": "0x2"},
        ),
    )

    people.rig.run()

    assert people.in_tenant() == {"ann"}
    people.hand.replace(ann, "roomNumber", "10")
    bob_too = people.rig.sync["spec"]["objects"]["users"]["where"]["anyOf"][0]["allOf"][0]
    bob_too["value"] = "13"
    assert people.run() == {"ann", "bob"}


def test_a_filter_changed_to_another_attribute_reads_everything(people: People) -> None:
    people.person("ann", roomNumber="7")
    people.rig.run()

    users(people.rig, where=where({"attribute": "roomNumber", "operator": "IsNotNull"}))

    assert people.run(scope="Full") == {"ann"}


def test_people_enter_and_leave_by_a_group(people: People) -> None:
    ann, bob = people.person("ann"), people.person("bob")
    people.group("Pilot", ann)
    users(people.rig, memberOf={"group": PILOT})

    first = people.rig.run()

    assert people.in_tenant() == {"ann"}
    assert first.objects is not None
    assert first.objects.users == 1
    assert [(s.dn, s.current_dn) for s in first.scopes] == [(STAFF, STAFF), (PILOT, PILOT)]
    people.hand.link(PILOT, bob)
    assert people.run() == {"ann", "bob"}
    people.hand.unlink(PILOT, ann)
    assert people.run() == {"bob"}
    assert people.rig.run().message == "nothing had changed"


def test_filter_and_group_must_both_hold(people: People) -> None:
    ann, bob = people.person("ann", employeeType="NoSync"), people.person("bob")
    people.person("cid")
    people.group("Pilot", ann, bob)
    users(people.rig, memberOf={"group": PILOT}, where=NOT_EXTERNAL)

    people.rig.run()

    assert people.in_tenant() == {"bob"}


def test_members_of_groups_in_the_group_count_only_when_asked_for(people: People) -> None:
    ann, bob = people.person("ann"), people.person("bob")
    inner = people.group("Inner", bob)
    people.group("Pilot", ann, inner)
    users(people.rig, memberOf={"group": PILOT})

    people.rig.run()
    assert people.in_tenant() == {"ann"}

    users(people.rig, memberOf=NESTED_PILOT)
    assert people.run() == {"ann", "bob"}


def test_people_enter_and_leave_by_groups_in_the_group(people: People) -> None:
    ann, bob, cid = people.person("ann"), people.person("bob"), people.person("cid")
    inner = people.group("Inner", bob)
    people.group("Pilot", ann, inner)
    # a circle is no harm
    people.hand.link(inner, PILOT)
    users(people.rig, memberOf=NESTED_PILOT)

    people.rig.run()
    assert people.in_tenant() == {"ann", "bob"}

    people.hand.link(inner, cid)
    assert people.run() == {"ann", "bob", "cid"}
    people.hand.unlink(inner, bob)
    assert people.run() == {"ann", "cid"}
    # a group that comes in brings its members, and one that goes takes them along
    late = people.group("Late", bob)
    people.hand.link(inner, late)
    assert people.run() == {"ann", "bob", "cid"}
    people.hand.unlink(PILOT, inner)
    assert people.run() == {"ann"}
    assert people.run(scope="Full") == {"ann"}


@pytest.mark.parametrize(
    ("lacks", "scope"),
    [
        pytest.param([NO_DIRSYNC], "Delta", id="UsnChanged"),
        pytest.param([NO_DIRSYNC, NO_USN], "Full", id="FullComparison"),
    ],
)
def test_without_dirsync_filters_and_groups_hold_as_well(
    people: People, samba_fresh: SambaServer, lacks: list[Replacement], scope: str
) -> None:
    ann, bob, cid = people.person("ann"), people.person("bob"), people.person("cid")
    inner = people.group("Inner", bob)
    people.group("Pilot", ann, inner)
    users(people.rig, memberOf=NESTED_PILOT, where=NOT_EXTERNAL)
    with fronting(samba_fresh, lacks) as front:
        people.rig.active_directory["spec"]["servers"] = [front.url]
        people.rig.run()
        assert people.in_tenant() == {"ann", "bob"}

        late = people.group("Late", cid)
        people.hand.link(inner, late)
        people.hand.replace(ann, "employeeType", "NoSync")
        assert people.rig.run().scope == scope
        assert people.in_tenant() == {"bob", "cid"}

        people.hand.unlink(late, cid)
        people.hand.replace(ann, "employeeType")
        assert people.rig.run().scope == scope
        assert people.in_tenant() == {"ann", "bob"}


def test_a_group_that_is_deleted_within_the_group_takes_its_members_along(people: People) -> None:
    ann, bob = people.person("ann"), people.person("bob")
    inner = people.group("Inner", bob)
    people.group("Pilot", ann, inner)
    users(people.rig, memberOf=NESTED_PILOT)
    people.rig.run()

    people.hand.delete(inner)

    assert people.run() == {"ann"}


def test_a_renamed_and_moved_group_keeps_its_people(people: People) -> None:
    ann, bob = people.person("ann"), people.person("bob")
    people.group("Pilot", ann)
    users(people.rig, memberOf={"group": PILOT})
    people.rig.run()

    people.hand.move(PILOT, name="CN=Renamed", parent=TOP)
    result = people.rig.run()

    assert result.scope == "Delta"
    assert people.in_tenant() == {"ann"}
    assert (result.scopes[1].dn, result.scopes[1].current_dn) == (PILOT, f"CN=Renamed,{TOP}")
    # not even when all that this sync knew is lost, and another group has taken its name
    people.group("Pilot2", bob)
    people.hand.move(f"CN=Pilot2,{OUTSIDE}", name="CN=Pilot")
    people.rig.sync["status"] = {"scopes": [s.model_dump(by_alias=True) for s in result.scopes]}
    shutil.rmtree(people.rig.state)
    assert people.run(scope="Full") == {"ann"}


def test_a_deleted_group_stops_the_run(people: People) -> None:
    ann = people.person("ann")
    people.group("Pilot", ann)
    users(people.rig, memberOf={"group": PILOT})
    people.rig.run()
    written = people.rig.writes()

    people.hand.delete(PILOT)

    for scope in (None, "Full"):
        result = people.rig.run(code=2, scope=scope)
        assert result.reason == "ScopeGroupNotFound"
        assert "`spec.objects.users.memberOf.group`" in result.message
        assert result.resource == "DirectorySync/contoso"
    assert people.rig.writes() == written
    assert people.in_tenant() == {"ann"}


@pytest.mark.parametrize("mode", ["Apply", "Check"])
def test_a_group_that_is_none_stops_the_run(fresh: Rig, mode: str) -> None:
    for dn in (PILOT, STAFF):
        users(fresh, memberOf={"group": dn})
        result = fresh.run(code=2, mode=mode)
        assert result.reason == "ScopeGroupNotFound"
        assert "`spec.objects.users.memberOf.group`" in result.message
    assert fresh.writes() == 0


def test_a_group_without_members_stops_the_run(people: People) -> None:
    ann = people.person("ann")
    people.group("Pilot", ann)
    users(people.rig, memberOf={"group": PILOT})
    people.rig.run()
    written = people.rig.writes()

    people.hand.unlink(PILOT, ann)
    result = people.rig.run(code=3)

    assert result.reason == "SourceEmpty"
    assert "`spec.objects.users.memberOf.group`" in result.message
    # nor does a group do that has members, but none of the kind
    people.hand.link(PILOT, people.group("Other"))
    assert people.rig.run(code=3).reason == "SourceEmpty"
    assert people.rig.writes() == written
    # and it goes on by itself
    people.hand.link(PILOT, ann, people.person("bob"))
    assert people.run() == {"ann", "bob"}


def test_leaving_by_filter_or_group_is_braked_like_any_deletion(people: People) -> None:
    ann, bob = people.person("ann", employeeType="NoSync"), people.person("bob")
    people.group("Pilot", ann, bob)
    users(people.rig, memberOf={"group": PILOT})
    people.rig.run()
    people.rig.sync["spec"]["safety"] = {"users": {"count": 0, "percent": 0}}

    people.hand.unlink(PILOT, ann)
    result = people.rig.run(code=3)

    assert result.reason == "DeletionThresholdExceeded"
    assert result.blocked_plan is not None
    assert result.blocked_plan.users == {"delete": 1}
    people.hand.link(PILOT, ann)
    users(people.rig, memberOf={"group": PILOT}, where=NOT_EXTERNAL)
    assert people.rig.run(code=3).reason == "DeletionThresholdExceeded"
    assert people.in_tenant() == {"ann", "bob"}


def test_a_filter_by_memberships(people: People) -> None:
    ann, bob = people.person("ann"), people.person("bob")
    people.group("Pilot", ann)
    users(people.rig, where=where({"operator": "IsNotMemberOf", "value": PILOT}))
    people.rig.run()
    assert people.in_tenant() == {"bob"}

    people.hand.link(PILOT, bob)
    people.hand.unlink(PILOT, ann)

    assert people.run() == {"ann"}


@pytest.mark.parametrize("mode", ["Apply", "Check"])
@pytest.mark.parametrize(
    ("clause", "told"),
    [
        ({"attribute": "noSuchThing", "operator": "IsNull"}, "not in the directory's schema"),
        # its changes are told with the groups, not with the people
        ({"attribute": "memberOf", "operator": "IsNotNull"}, "cannot be followed"),
        ({"attribute": "whenChanged", "operator": "IsNotNull"}, "cannot be followed"),
        ({"attribute": "canonicalName", "operator": "IsNotNull"}, "cannot be followed"),
        (
            {"attribute": "manager", "operator": "Equal", "value": "CN=Chief"},
            "only IsNull and IsNotNull",
        ),
    ],
)
def test_an_attribute_no_filter_can_go_by_stops_the_run(
    rig: Rig, mode: str, clause: dict[str, str], told: str
) -> None:
    users(rig, where=where({"attribute": "title", "operator": "IsNotNull"}, clause))

    result = rig.run(code=2, mode=mode)

    assert result.reason == "SchemaAttributeMissing"
    assert told in result.message
    assert "`spec.objects.users.where.anyOf[0].allOf[1].attribute`" in result.message
    assert clause["attribute"] in result.message
    assert rig.writes() == 0


def test_an_attribute_that_may_not_be_read_stops_the_run(fresh: Rig, hand: Hand) -> None:
    # confidential: readable with a right of its own, which the account has not
    hand.add(
        f"CN=ann,{STAFF}",
        "user",
        sAMAccountName="ann",
        userPrincipalName="ann@contoso.test",
        unixUserPassword="secret",
    )
    users(fresh, where=where({"attribute": "unixUserPassword", "operator": "IsNotNull"}))

    for mode in ("Check", "Apply"):
        result = fresh.run(code=2, mode=mode)
        assert result.reason == "SchemaAttributeMissing"
        assert "the account can read unixUserPassword of no user" in result.message
        assert "`spec.objects.users.where.anyOf[0].allOf[0].attribute`" in result.message
    assert fresh.writes() == 0


def test_a_disabled_kind_stays_as_it_is(fresh: Rig, hand: Hand) -> None:
    ann = hand.add(
        f"CN=ann,{STAFF}", "user", sAMAccountName="ann", userPrincipalName="ann@contoso.test"
    )
    bob = hand.add(
        f"CN=bob,{STAFF}", "user", sAMAccountName="bob", userPrincipalName="bob@contoso.test"
    )
    team = hand.add(f"CN=Team,{TOP}", "group", sAMAccountName="Team", groupType=GLOBAL_SECURITY)
    hand.link(team, ann, bob)
    first = fresh.run()
    assert first.objects is not None
    before = {each["sourceAnchor"]: each for each in fresh.cloud.objects("User")}
    members = set(fresh.cloud.links(fresh.group("Team")))

    users(fresh, synchronize="Disabled")
    hand.replace(ann, "title", "Chair")
    hand.move(bob, parent=OUTSIDE)
    cid = hand.add(
        f"CN=cid,{STAFF}", "user", sAMAccountName="cid", userPrincipalName="cid@contoso.test"
    )
    hand.link(team, cid)
    hand.replace(team, "description", "new")
    result = fresh.run()

    assert result.scope == "Delta"
    assert result.changes is not None
    assert not any(result.changes.users.model_dump().values())
    assert result.changes.groups.update == 1
    assert {each["sourceAnchor"]: each for each in fresh.cloud.objects("User")} == before
    # who left the containers keeps his place, and who was never there gets none
    assert set(fresh.cloud.links(fresh.group("Team"))) == members
    # those in sight leave groups like anybody
    hand.unlink(team, ann)
    assert fresh.run().message == "1 member removed"
    hand.delete(ann)
    assert fresh.run(scope="Full").message == "nothing had changed"
    # switched on again, everything goes on
    del fresh.sync["spec"]["objects"]
    result = fresh.run()
    assert result.changes is not None
    assert (result.changes.users.add, result.changes.users.delete) == (1, 2)


def test_naming_one_kind_leaves_the_others(fresh: Rig) -> None:
    fresh.sync["spec"]["objects"] = {"contacts": {"synchronize": "Disabled"}, "groups": {}}

    result = fresh.run()

    assert result.objects is not None
    assert (result.objects.users, result.objects.groups, result.objects.contacts) == (48, 12, 0)


def test_a_lower_limit_of_members_freezes_a_group(rig: Rig) -> None:
    rig.run()
    group = rig.group("All Employees")
    rig.sync["spec"]["objects"] = {"groups": {"maxMembers": 39}}

    frozen = rig.run(code=4)

    assert [(e.anchor, e.code) for e in frozen.errors] == [(group, "GroupTooLarge")]
    assert len(rig.cloud.links(group)) == 40
    # it is never raised above what the endpoint takes
    rig.azure["spec"]["syncService"]["endpoints"][0]["maxGroupMembers"] = 39
    rig.sync["spec"]["objects"] = {"groups": {"maxMembers": 40}}
    assert [e.code for e in rig.run(code=4).errors] == ["GroupTooLarge"]


def test_default_exclusions_are_named(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    rig.source["include"] = [TOP, OUTSIDE]

    result = rig.run(mode="Preview")

    counts = {each.rule: each.count for each in result.excluded}
    assert counts["SyncServiceAccount"] == 1
    assert counts["WrittenBack"] == 1
    assert counts["CriticalSystemObject"] > 1
    assert f"{counts['CriticalSystemObject']} CriticalSystemObject" in capsys.readouterr().out
