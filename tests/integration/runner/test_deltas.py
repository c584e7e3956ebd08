"""The lives of objects, told by each way a directory tells its changes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest

from entrasync.api.result import RunResult
from entrasync.engine.importing import META_FULL_READ, key_of
from entrasync.state.store import Store
from tests.support.front import NO_DIRSYNC, NO_USN, fronting
from tests.support.hand import Hand
from tests.support.rig import Rig
from tests.support.samba import SambaServer

pytestmark = pytest.mark.integration

BASE = "DC=contoso,DC=test"
TOP = f"OU=Contoso,{BASE}"
STAFF = f"OU=Staff,{TOP}"
OUTSIDE = f"CN=Users,{BASE}"
PASSWORD = "Test-Plain-Passw0rd"
DOMAIN_LOCAL_SECURITY = str(4 - 0x80000000)

REASONS = {
    "ReplicationRightGranted": "DirSync",
    "ObjectSecurity": "DirSync",
    "DirSyncNotOffered": "UsnChanged",
    "UsnNotReadable": "FullComparison",
}


@pytest.fixture(params=list(REASONS))
def reason(request: pytest.FixtureRequest, fresh: Rig, samba_fresh: SambaServer) -> Iterator[str]:
    """Make a directory tell its changes in one way, and name the reason it does."""
    reason: str = request.param
    spec = fresh.active_directory["spec"]
    lacks = {"DirSyncNotOffered": [NO_DIRSYNC], "UsnNotReadable": [NO_DIRSYNC, NO_USN]}
    if reason == "ObjectSecurity":
        samba_fresh.change("add-reader", f"plain={PASSWORD}")
        fresh.put_secret("reader", username="plain@contoso.test", password=PASSWORD)
    if reason not in lacks:
        yield reason
        return
    with fronting(samba_fresh, lacks[reason]) as front:
        spec["servers"] = [front.url]
        yield reason


class Life:
    """What happens in the directory, and what of it arrives."""

    def __init__(self, rig: Rig, hand: Hand, reason: str) -> None:
        self.rig = rig
        self.hand = hand
        self.method = REASONS[reason]
        self.reason = reason
        first = rig.run()
        facts = first.facts_of("contoso")
        assert facts is not None
        told = (facts.delta_method, facts.delta_method_reason)
        assert told == (self.method, reason)

    def arrives(self) -> dict[str, dict[str, int]]:
        """Sync; tell what changed, once sure that a full run would find nothing else."""
        result = self.rig.run()
        assert result.outcome == "Succeeded", result.message
        assert result.source is not None
        assert result.source.method == self.method
        assert result.scope == ("Full" if self.method == "FullComparison" else "Delta")
        if result.scope == "Delta":
            assert changed(self.rig.run(scope="Full")) == {}
        return changed(result)

    def user(self, name: str, parent: str = STAFF) -> str:
        return self.hand.add(
            f"CN={name},{parent}",
            "user",
            sAMAccountName=name,
            userPrincipalName=f"{name}@contoso.test",
            displayName=name.capitalize(),
        )

    def group(self, name: str, *members: str) -> str:
        dn = self.hand.add(
            f"CN={name},{STAFF}",
            "group",
            sAMAccountName=name,
            displayName=name,
            groupType=DOMAIN_LOCAL_SECURITY,
        )
        if members:
            self.hand.link(dn, *members)
        return dn

    def members(self, name: str) -> int:
        return len(self.rig.cloud.links(self.rig.group(name)))


@pytest.fixture
def life(fresh: Rig, hand: Hand, reason: str) -> Life:
    return Life(fresh, hand, reason)


def changed(result: RunResult) -> dict[str, dict[str, int]]:
    """The changes of a result, what is nothing left out."""
    assert result.changes is not None
    return {
        kind: {name: count for name, count in counts.items() if count}
        for kind, counts in result.changes.model_dump().items()
        if any(counts.values())
    }


def test_members_come_and_go(life: Life) -> None:
    anna, bert = life.user("anna"), life.user("bert")
    inner = life.group("inner", anna)
    life.group("outer", inner, bert)
    assert life.arrives() == {"users": {"add": 2}, "groups": {"add": 2}, "links": {"add": 3}}

    life.hand.link(inner, bert)
    life.hand.unlink(inner, anna)
    assert life.arrives() == {"links": {"add": 1, "remove": 1}}

    # a group of a group goes: its link ends, and those in it
    life.hand.delete(inner)
    assert life.arrives() == {"groups": {"delete": 1}}
    assert life.members("outer") == 1


def test_the_deleted_leave_their_groups_and_the_restored_are_read_again(life: Life) -> None:
    anna, bert = life.user("anna"), life.user("bert")
    team = life.group("team", anna, bert)
    life.hand.replace(bert, "manager", anna)
    life.arrives()
    guid = life.hand.guid_of(anna)

    life.hand.delete(anna)
    assert life.arrives()["users"]["delete"] == 1
    assert life.members("team") == 1

    life.hand.restore(guid, anna)
    life.hand.link(team, anna)
    assert life.arrives() == {"users": {"add": 1}, "links": {"add": 1}}
    assert life.members("team") == 2

    # gone and back between two runs: nothing is told of the group, which has lost its member
    life.hand.delete(anna)
    life.hand.restore(guid, anna)
    assert life.arrives() == {"links": {"remove": 1}}
    assert life.members("team") == 1

    # the same, and a member again before anybody looked
    life.hand.link(team, anna)
    life.arrives()
    life.hand.delete(anna)
    life.hand.restore(guid, anna)
    life.hand.link(team, anna)
    assert life.arrives() == {}
    assert life.members("team") == 2


def test_a_restored_group_has_the_members_it_has_now(life: Life) -> None:
    anna, bert = life.user("anna"), life.user("bert")
    team = life.group("team", anna, bert)
    life.arrives()
    guid = life.hand.guid_of(team)

    life.hand.delete(team)
    life.hand.restore(guid, team)
    life.hand.replace(team, "displayName", "team")
    life.hand.link(team, bert)

    assert life.arrives() == {"links": {"remove": 1}}
    assert life.members("team") == 1


def test_entering_the_scope_adds_links_and_leaving_it_removes_them(life: Life) -> None:
    anna = life.user("anna", OUTSIDE)
    life.group("team", anna)
    assert life.arrives() == {"groups": {"add": 1}}

    life.hand.move(anna, parent=STAFF)
    assert life.arrives() == {"users": {"add": 1}, "links": {"add": 1}}

    life.hand.move(f"CN=anna,{STAFF}", parent=OUTSIDE)
    assert life.arrives() == {"users": {"delete": 1}}
    assert life.members("team") == 0

    life.hand.move(anna, parent=STAFF)
    life.hand.replace(f"CN=anna,{STAFF}", "displayName", "Anna again")
    assert life.arrives() == {"users": {"add": 1}, "links": {"add": 1}}


def test_containers_move_with_all_that_is_in_them(life: Life) -> None:
    upper, middle, lower = (f"OU={name}" for name in ("upper", "middle", "lower"))
    life.hand.add(f"{upper},{STAFF}", "organizationalUnit")
    life.hand.add(f"{middle},{upper},{STAFF}", "organizationalUnit")
    place = life.hand.add(f"{lower},{middle},{upper},{STAFF}", "organizationalUnit")
    anna, bert = life.user("anna", place), life.user("bert", place)
    team = life.group("team", anna, bert)
    life.arrives()

    # three levels up
    life.hand.move(f"{upper},{STAFF}", name="OU=Upper House")
    assert life.arrives() == {"users": {"update": 2}}

    elsewhere = life.hand.add(f"OU=Elsewhere,{BASE}", "organizationalUnit")
    life.hand.move(f"OU=Upper House,{STAFF}", parent=elsewhere)
    assert life.arrives() == {"users": {"delete": 2}}
    # what changes out of sight comes with it when it is back
    place = f"{lower},{middle},OU=Upper House,{elsewhere}"
    life.hand.replace(f"CN=anna,{place}", "title", "Chief")
    life.hand.unlink(team, f"CN=bert,{place}")
    life.hand.delete(f"CN=bert,{place}")
    life.arrives()
    life.hand.move(f"OU=Upper House,{elsewhere}", parent=TOP)
    assert life.arrives() == {"users": {"add": 1}, "links": {"add": 1}}
    (found,) = [
        each["attributes"]
        for each in life.rig.cloud.objects("User")
        if each["attributes"]["onPremisesSamAccountName"] == "anna"
    ]
    assert found["title"] == "Chief"
    assert f"{lower},{middle},OU=Upper House,{TOP}" in found["onPremisesDistinguishedName"]


def test_two_swap_their_names(life: Life) -> None:
    anna, bert = life.user("anna"), life.user("bert")
    life.arrives()

    life.hand.move(anna, name="CN=between")
    life.hand.move(bert, name="CN=anna")
    life.hand.move(f"CN=between,{STAFF}", name="CN=bert")
    for attribute in ("userPrincipalName", "sAMAccountName"):
        suffix = "@contoso.test" if attribute == "userPrincipalName" else ""
        life.hand.replace(anna, attribute, f"between{suffix}")
        life.hand.replace(bert, attribute, f"anna{suffix}")
        life.hand.replace(anna, attribute, f"bert{suffix}")

    assert life.arrives() == {"users": {"update": 2}}


def test_who_sees_no_deleted_objects_deletes_nobody_and_is_told_the_remedy(
    fresh: Rig, hand: Hand, samba_fresh: SambaServer
) -> None:
    samba_fresh.change("add-plain-reader", f"plain={PASSWORD}")
    fresh.put_secret("reader", username="plain@contoso.test", password=PASSWORD)
    told = fresh.run(mode="Check").check_of("contoso")
    assert told is not None
    assert told.ok
    assert f'dsacls "CN=Deleted Objects,{BASE}" /G <account>:LCRP' in told.message
    assert f'dsacls "{BASE}" /G "<account>:CA;Replicating Directory Changes"' in told.message

    life = Life(fresh, hand, "ObjectSecurity")
    anna = life.user("anna")
    team = life.group("team", anna)
    life.arrives()
    life.hand.delete(anna)
    # nothing is told of it, until everything is read
    assert changed(fresh.run()) == {}
    for scope in ("Full", None):
        result = fresh.run(code=4, scope=scope)
        assert (result.outcome, result.reason) == ("SucceededWithErrors", "ObjectsUnaccounted")
        assert changed(result) == {}
        assert life.members("team") == 1

    with fronting(samba_fresh, [NO_DIRSYNC]) as front:
        fresh.active_directory["spec"]["servers"] = [front.url]
        life.hand.delete(team)
        result = fresh.run(code=4)
        facts = result.facts_of("contoso")
        assert facts is not None
        assert (facts.delta_method, facts.delta_method_reason) == (
            "FullComparison",
            "DeletedObjectsNotReadable",
        )
        assert (result.scope, result.error_count) == ("Full", 2)
        assert changed(result) == {}


def test_a_cookie_that_cannot_be_gone_on_from_is_said(fresh: Rig, samba_fresh: SambaServer) -> None:
    fresh.run()
    samba_fresh.change("add-reader", f"plain={PASSWORD}")
    fresh.put_secret("reader", username="plain@contoso.test", password=PASSWORD)

    result = fresh.run()

    assert (result.scope, changed(result)) == ("Full", {})
    assert "The cookie of the last run cannot be used" in result.message
    assert fresh.run().scope == "Delta"


def test_a_full_read_once_a_day_where_not_every_change_is_told(life: Life) -> None:
    def age(hours: float) -> None:
        then = dt.datetime.now(dt.UTC) - dt.timedelta(hours=hours)
        with Store(life.rig.state) as store:
            store.put(key_of(META_FULL_READ, "contoso"), then.isoformat())

    tells_all = life.reason == "ReplicationRightGranted"
    age(22)
    assert life.rig.run().scope == ("Full" if life.method == "FullComparison" else "Delta")
    age(24)
    result = life.rig.run()
    assert result.scope == ("Delta" if tells_all else "Full")
    if life.method != "FullComparison" and not tells_all:
        assert "once a day" in result.message
        # and then not before the next day
        assert life.rig.run().scope == "Delta"
