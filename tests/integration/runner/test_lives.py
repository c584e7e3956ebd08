"""The lives of users and groups, under each answer to what becomes of what is removed.

All tests share a directory, in which each has a container of its own; every run after the first is
a delta run, unless a test says otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from entrasync.api.result import RunResult
from tests.support.emulator import EmulatorServer
from tests.support.hand import Hand
from tests.support.rig import Rig
from tests.support.samba import SambaServer

pytestmark = pytest.mark.integration

BASE = "DC=contoso,DC=test"
GLOBAL_SECURITY = "-2147483646"
DELETE, DISABLE, KEEP = "Delete", "Disable", "Keep"

_numbers = count(1)


def changed(result: RunResult) -> dict[str, dict[str, int]]:
    """The changes of a result, what is nothing left out."""
    assert result.changes is not None
    return {
        kind: {name: number for name, number in counts.items() if number}
        for kind, counts in result.changes.model_dump().items()
        if any(counts.values())
    }


class Life:
    """A container in scope and one beside it, and what of them arrives in the tenant."""

    def __init__(self, rig: Rig, hand: Hand, policy: str) -> None:
        self.rig = rig
        self.hand = hand
        self.policy = policy
        self.number = next(_numbers)
        self.inside = hand.add(f"OU=Inside {self.number},{BASE}", "organizationalUnit")
        self.outside = hand.add(f"OU=Outside {self.number},{BASE}", "organizationalUnit")
        self.place = self.inside
        for name in ("Upper", "Middle", "Lower"):
            self.place = hand.add(f"OU={name},{self.place}", "organizationalUnit")
        rig.source["include"] = [self.inside]
        groups = KEEP if policy == KEEP else DELETE
        rig.sync["spec"]["objects"] = {
            "users": {"onRemoval": policy},
            "groups": {"onRemoval": groups},
        }

    def account(self, name: str) -> str:
        return f"{name}{self.number}"

    def user(self, name: str, parent: str | None = None, **more: Any) -> str:
        account = self.account(name)
        return self.hand.add(
            f"CN={name},{parent or self.place}",
            "user",
            sAMAccountName=account,
            userPrincipalName=f"{account}@contoso.test",
            displayName=name.capitalize(),
            userAccountControl="544",
            **more,
        )

    def group(self, name: str, *members: str, parent: str | None = None) -> str:
        dn = self.hand.add(
            f"CN={name},{parent or self.place}",
            "group",
            sAMAccountName=self.account(name),
            displayName=self.account(name),
            groupType=GLOBAL_SECURITY,
        )
        if members:
            self.hand.link(dn, *members)
        return dn

    # --- runs --------------------------------------------------------------------------------

    def arrives(self, *, scope: str | None = None) -> dict[str, dict[str, int]]:
        """Sync; tell what changed, once sure that nothing is left to do."""
        result = self.rig.run(scope=scope)
        assert result.outcome == "Succeeded", result.message
        assert (result.scope, result.error_count) == (scope or "Delta", 0)
        written = self.rig.writes()
        again = self.rig.run()
        assert (again.message, again.scope) == ("nothing had changed", "Delta")
        assert self.rig.writes() == written
        return changed(result)

    def begins(self) -> None:
        """Fills the tenant."""
        result = self.rig.run()
        assert (result.outcome, result.scope) == ("Succeeded", "Full")

    def a_full_run_finds_nothing(self) -> None:
        assert changed(self.rig.run(scope="Full")) == {}

    # --- the tenant ----------------------------------------------------------------------------

    def held(self, name: str) -> dict[str, Any] | None:
        """What the tenant has of a user or group; None when it has none."""
        account = self.account(name)
        found = [
            each
            for kind in ("User", "Group")
            for each in self.rig.cloud.objects(kind)
            if each["attributes"].get("onPremisesSamAccountName") == account
        ]
        assert len(found) < 2
        return found[0] if found else None

    def attributes(self, name: str) -> dict[str, Any]:
        held = self.held(name)
        assert held is not None
        found: dict[str, Any] = held["attributes"]
        return found

    def anchor(self, name: str) -> str:
        held = self.held(name)
        assert held is not None
        return str(held["sourceAnchor"])

    def members(self, name: str) -> set[str]:
        """Names of a group's members."""
        by_anchor = {
            each["sourceAnchor"]: each["attributes"]["onPremisesSamAccountName"]
            for kind in ("User", "Group")
            for each in self.rig.cloud.objects(kind)
        }
        return {
            by_anchor[anchor].removesuffix(str(self.number))
            for anchor in self.rig.cloud.links(self.anchor(name))
        }

    def owned(self) -> tuple[int, int]:
        """Users and groups that the last run told it owns."""
        found = self.rig.run().objects
        assert found is not None
        return found.users, found.groups


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaServer]:
    with SambaServer(tmp_path_factory.mktemp("ad") / "lives") as server:
        yield server


@pytest.fixture(scope="module")
def a_hand(directory: SambaServer) -> Iterator[Hand]:
    with Hand(directory) as found:
        yield found


@pytest.fixture(params=[DELETE, DISABLE, KEEP])
def life(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    directory: SambaServer,
    cloud: EmulatorServer,
    a_hand: Hand,
) -> Life:
    return Life(Rig(tmp_path, directory, cloud), a_hand, request.param)


class Family:
    """Anna, who is in groups and somebody's manager, and others who stay."""

    def __init__(self, life: Life, parent: str | None = None) -> None:
        self.anna = life.user("anna", parent, title="Chief")
        self.bert = life.user("bert")
        self.team = life.group("team", self.anna, self.bert)
        life.hand.replace(self.bert, "manager", self.anna)
        life.begins()
        self.guid = life.hand.guid_of(self.anna)
        self.anchor = life.anchor("anna")


def is_gone(life: Life, family: Family) -> None:
    """What is true of Anna once she was removed."""
    if life.policy == DELETE:
        assert life.held("anna") is None
        assert life.rig.cloud.object(family.anchor)["deleted"] is True
        assert life.members("team") == {"bert"}
        assert not life.attributes("bert").get("manager")
        assert life.owned() == (1, 1)
        return
    # the object stays, and with it its memberships
    anna = life.attributes("anna")
    assert anna["accountEnabled"] is (life.policy == KEEP)
    assert (anna["title"], anna["displayName"]) == ("Chief", "Anna")
    assert life.anchor("anna") == family.anchor
    assert life.members("team") == {"anna", "bert"}
    assert life.owned() == (2, 1)


def removal(life: Life) -> dict[str, dict[str, int]]:
    """What a run does about Anna when she is removed; Bert has no manager then, in any case."""
    return {
        DELETE: {"users": {"update": 1, "delete": 1}},
        DISABLE: {"users": {"update": 2}},
        KEEP: {"users": {"update": 1}},
    }[life.policy]


@pytest.mark.parametrize("scope", [None, "Full"])
def test_deleted_and_restored(life: Life, scope: str | None) -> None:
    family = Family(life)

    life.hand.delete(family.anna)
    assert life.arrives(scope=scope) == removal(life)
    is_gone(life, family)
    life.a_full_run_finds_nothing()

    life.hand.restore(family.guid, family.anna)
    life.hand.replace(family.anna, "title", "Chair")
    # the directory forgot her groups and who called her a manager: so does the tenant, wherever it
    # kept them
    assert (
        life.arrives(scope=scope)
        == {
            DELETE: {"users": {"add": 1}, "links": {"remove": 1}},
            DISABLE: {"users": {"update": 1}, "links": {"remove": 1}},
            KEEP: {"users": {"update": 1}, "links": {"remove": 1}},
        }[life.policy]
    )
    anna = life.attributes("anna")
    assert (life.anchor("anna"), anna["title"]) == (family.anchor, "Chair")
    assert anna["accountEnabled"] is True
    assert life.members("team") == {"bert"}
    life.a_full_run_finds_nothing()


def test_deleted_and_restored_before_anybody_looked(life: Life) -> None:
    family = Family(life)

    life.hand.delete(family.anna)
    life.hand.restore(family.guid, family.anna)

    # both ends of what named her are right, although nobody told of Bert
    assert life.arrives() == {"users": {"update": 2}, "links": {"remove": 1}}
    # what a tombstone does not keep is lost in the directory, and so in the tenant
    anna = life.attributes("anna")
    assert (life.anchor("anna"), anna["accountEnabled"]) == (family.anchor, True)
    assert not anna.get("title")
    assert life.members("team") == {"bert"}
    assert not life.attributes("bert").get("manager")
    life.a_full_run_finds_nothing()


@pytest.mark.parametrize("life", [DELETE], indirect=True)
def test_a_restored_account_has_only_the_values_it_has_now(life: Life) -> None:
    family = Family(life)
    life.hand.delete(family.anna)
    life.arrives()
    life.hand.restore(family.guid, family.anna)

    life.rig.run()

    # what the tenant's recycle bin kept, too, is told by the next read-back and taken back
    life.rig.run()
    assert not life.attributes("anna").get("title")
    assert changed(life.rig.run()) == {}
    life.a_full_run_finds_nothing()


def test_moved_out_and_in(life: Life) -> None:
    family = Family(life)
    away = f"CN=anna,{life.outside}"

    life.hand.move(family.anna, parent=life.outside)
    assert life.arrives() == removal(life)
    is_gone(life, family)
    # nobody looks at what she does there
    life.hand.replace(away, "title", "Chair")
    assert life.arrives() == {}
    life.a_full_run_finds_nothing()
    is_gone(life, family)

    life.hand.move(away, parent=life.place)
    assert (
        life.arrives()
        == {
            DELETE: {"users": {"add": 1, "update": 1}, "links": {"add": 1}},
            DISABLE: {"users": {"update": 2}},
            KEEP: {"users": {"update": 2}},
        }[life.policy]
    )
    anna = life.attributes("anna")
    assert (life.anchor("anna"), anna["title"]) == (family.anchor, "Chair")
    assert anna["accountEnabled"] is True
    assert life.members("team") == {"anna", "bert"}
    assert life.attributes("bert")["manager"] == family.anchor
    life.a_full_run_finds_nothing()


def test_deleted_where_nobody_looked(life: Life) -> None:
    family = Family(life)
    life.hand.move(family.anna, parent=life.outside)
    life.arrives()

    life.hand.unlink(family.team, f"CN=anna,{life.outside}")
    life.hand.delete(f"CN=anna,{life.outside}")

    assert life.arrives() == {}
    is_gone(life, family)
    life.a_full_run_finds_nothing()
    is_gone(life, family)


@pytest.mark.parametrize("life", [DELETE], indirect=True)
def test_moved_in(life: Life) -> None:
    family = Family(life, life.inside)
    cleo = life.user("cleo", life.outside)
    life.hand.link(family.team, cleo)
    life.hand.replace(family.anna, "manager", cleo)
    assert life.arrives() == {}

    life.hand.move(cleo, parent=life.place)

    assert life.arrives() == {"users": {"add": 1, "update": 1}, "links": {"add": 1}}
    assert life.members("team") == {"anna", "bert", "cleo"}
    assert life.attributes("anna")["manager"] == life.anchor("cleo")
    life.a_full_run_finds_nothing()


@pytest.mark.parametrize("life", [DISABLE], indirect=True)
def test_a_disabled_account_that_comes_back_stays_disabled_if_it_is(life: Life) -> None:
    family = Family(life)
    life.hand.move(family.anna, parent=life.outside)
    life.arrives()

    life.hand.replace(f"CN=anna,{life.outside}", "userAccountControl", "546")
    life.hand.move(f"CN=anna,{life.outside}", parent=life.place)

    life.arrives()
    assert life.attributes("anna")["accountEnabled"] is False
    life.a_full_run_finds_nothing()


def test_a_container_three_levels_up_is_renamed(life: Life) -> None:
    Family(life)

    life.hand.move(f"OU=Upper,{life.inside}", name="OU=Upper House")

    assert life.arrives() == {"users": {"update": 2}, "groups": {"update": 1}}
    place = f"OU=Lower,OU=Middle,OU=Upper House,{life.inside}"
    for name in ("anna", "bert", "team"):
        assert life.attributes(name)["onPremisesDistinguishedName"] == f"CN={name},{place}"
    assert life.members("team") == {"anna", "bert"}
    life.a_full_run_finds_nothing()


def test_a_container_leaves_and_comes_back(life: Life) -> None:
    family = Family(life)
    life.user("cleo", life.inside)
    life.group("board", family.anna, f"CN=cleo,{life.inside}", parent=life.inside)
    life.hand.link(f"CN=board,{life.inside}", family.team)
    life.arrives()

    life.hand.move(f"OU=Upper,{life.inside}", parent=life.outside)

    told = life.arrives()
    if life.policy == DELETE:
        assert told == {"users": {"delete": 2}, "groups": {"delete": 1}}
        assert (life.held("anna"), life.held("team")) == (None, None)
        assert life.members("board") == {"cleo"}
        assert life.owned() == (1, 1)
    elif life.policy == DISABLE:
        # groups cannot be disabled
        assert told == {"users": {"update": 2}, "groups": {"delete": 1}}
        assert life.attributes("anna")["accountEnabled"] is False
        assert life.attributes("bert")["accountEnabled"] is False
        assert life.held("team") is None
        assert life.members("board") == {"anna", "cleo"}
        assert life.owned() == (3, 1)
    else:
        assert told == {}
        assert life.members("team") == {"anna", "bert"}
        assert life.members("board") == {"anna", "cleo", "team"}
        assert life.owned() == (3, 2)
    life.a_full_run_finds_nothing()

    life.hand.move(f"OU=Upper,{life.outside}", parent=life.inside)

    told = life.arrives()
    assert (
        told
        == {
            DELETE: {"users": {"add": 2}, "groups": {"add": 1}, "links": {"add": 4}},
            DISABLE: {"users": {"update": 2}, "groups": {"add": 1}, "links": {"add": 3}},
            KEEP: {},
        }[life.policy]
    )
    assert life.attributes("anna")["accountEnabled"] is True
    assert life.attributes("bert")["manager"] == life.anchor("anna")
    assert life.members("team") == {"anna", "bert"}
    assert life.members("board") == {"anna", "cleo", "team"}
    life.a_full_run_finds_nothing()


@pytest.mark.parametrize(
    ("life", "scope"),
    [(DELETE, None), (DELETE, "Full"), (DISABLE, None), (KEEP, None)],
    indirect=["life"],
)
def test_two_swap_their_names(life: Life, scope: str | None) -> None:
    family = Family(life)
    number = life.number
    names = {
        "userPrincipalName": "{}@contoso.test",
        "mail": "{}@contoso.test",
        "proxyAddresses": "SMTP:{}@contoso.test",
        "sAMAccountName": "{}",
    }
    for name, dn in (("anna", family.anna), ("bert", family.bert)):
        for attribute in ("mail", "proxyAddresses"):
            life.hand.replace(dn, attribute, names[attribute].format(f"{name}{number}"))
    assert life.arrives() == {"users": {"update": 2}}
    bert_anchor = life.anchor("bert")

    # all of one before the other's: Active Directory holds names unique, too
    for dn, name in (
        (family.anna, "between"),
        (family.bert, "anna"),
        (family.anna, "bert"),
    ):
        for attribute, pattern in names.items():
            life.hand.replace(dn, attribute, pattern.format(f"{name}{number}"))

    assert life.arrives(scope=scope) == {"users": {"update": 2}}
    for name, anchor in (("bert", family.anchor), ("anna", bert_anchor)):
        found = life.rig.cloud.object(anchor)["attributes"]
        address = f"{name}{number}@contoso.test"
        assert found["userPrincipalName"] == address
        assert found["mail"] == address
        assert set(found["proxyAddresses"]) == {f"SMTP:{address}"}
        assert found["onPremisesSamAccountName"] == f"{name}{number}"
    assert life.members("team") == {"anna", "bert"}
    life.a_full_run_finds_nothing()


def test_the_name_of_one_that_went_is_taken_by_another(life: Life) -> None:
    family = Family(life)
    name = f"anna{life.number}"
    life.hand.move(family.anna, parent=life.outside)
    away = f"CN=anna,{life.outside}"
    life.hand.replace(away, "userPrincipalName", f"old{name}@contoso.test")
    life.hand.replace(away, "sAMAccountName", f"old{name}")
    life.hand.replace(family.bert, "userPrincipalName", f"{name}@contoso.test")

    if life.policy == DELETE:
        assert life.arrives()["users"]["delete"] == 1
        assert life.attributes("bert")["userPrincipalName"] == f"{name}@contoso.test"
        return
    # who stays keeps it: the service takes the other with a reservation, which is said once
    result = life.rig.run()
    assert changed(result) == {"users": {"update": 2 if life.policy == DISABLE else 1}}
    assert "taken with a reservation" in result.message
    for scope in (None, "Full"):
        assert changed(life.rig.run(scope=scope)) == {}
    assert life.rig.cloud.object(family.anchor)["attributes"]["userPrincipalName"].startswith(name)


def test_a_group_leaves_and_comes_back(life: Life) -> None:
    family = Family(life)
    outer = life.group("outer", family.team, parent=life.inside)
    life.arrives()
    anchor = life.anchor("team")

    life.hand.move(family.team, parent=life.outside)
    away = f"CN=team,{life.outside}"
    if life.policy == KEEP:
        assert life.arrives() == {}
        assert life.members("outer") == {"team"}
        assert life.members("team") == {"anna", "bert"}
    else:
        assert life.arrives() == {"groups": {"delete": 1}}
        assert life.held("team") is None
        assert life.members("outer") == set()
    life.a_full_run_finds_nothing()

    life.hand.unlink(away, family.anna)
    assert life.arrives() == {}
    life.hand.move(away, parent=life.place)
    if life.policy == KEEP:
        assert life.arrives() == {"links": {"remove": 1}}
    else:
        assert life.arrives() == {"groups": {"add": 1}, "links": {"add": 2}}
    assert life.anchor("team") == anchor
    assert life.members("team") == {"bert"}
    assert life.members("outer") == {"team"}
    life.a_full_run_finds_nothing()
    life.hand.delete(outer)
