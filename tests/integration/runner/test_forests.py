"""Two forests that know nothing of each other in one sync: who is one, and whose values count.

All tests share the two directories, in which each has containers of its own; every run after the
first is a delta run, unless a test says otherwise.
"""

from __future__ import annotations

import base64
import copy
import uuid
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from entrasync.api.result import RunResult
from entrasync.directory.values import sid_from_bytes
from tests.support.emulator import EmulatorServer
from tests.support.hand import Hand
from tests.support.rig import Rig
from tests.support.samba import SambaServer

pytestmark = pytest.mark.integration

GLOBAL_SECURITY = "-2147483646"
DOMAIN_LOCAL_SECURITY = str(4 - 0x80000000)
ENABLED, DISABLED = "544", "546"
CONTOSO, FABRIKAM = "contoso", "fabrikam"

_numbers = count(1)


def changed(result: RunResult) -> dict[str, dict[str, int]]:
    """The changes of a result, what is nothing left out."""
    assert result.changes is not None
    return {
        kind: {name: number for name, number in counts.items() if number}
        for kind, counts in result.changes.model_dump().items()
        if any(counts.values())
    }


class Forest:
    """A directory, a hand that changes it, and a container in it that is in scope."""

    def __init__(self, name: str, server: SambaServer, hand: Hand, number: int) -> None:
        self.name = name
        self.server = server
        self.hand = hand
        self.number = number
        self.place = hand.add(f"OU=Place {number},{server.base_dn}", "organizationalUnit")

    def user(self, name: str, *, enabled: bool = True, **more: Any) -> str:
        account = f"{name}{self.number}"
        return self.hand.add(
            f"CN={name},{self.place}",
            "user",
            sAMAccountName=account,
            userPrincipalName=f"{account}@{self.server.domain}",
            userAccountControl=ENABLED if enabled else DISABLED,
            **more,
        )

    def receives(self, name: str, guid: str, **more: str) -> str:
        """Somebody who comes from the other one, and keeps the GUID."""
        account = f"{name}{self.number}"
        return self.server.receive(
            guid,
            f"CN={name},{self.place}",
            sAMAccountName=account,
            userPrincipalName=f"{account}@{self.server.domain}",
            userAccountControl=ENABLED,
            **more,
        )

    def group(self, name: str, *members: str, kind: str = GLOBAL_SECURITY) -> str:
        dn = self.hand.add(
            f"CN={name},{self.place}",
            "group",
            sAMAccountName=f"{name}{self.number}",
            displayName=f"{name}{self.number}",
            groupType=kind,
        )
        if members:
            self.hand.link(dn, *members)
        return dn

    def anchor_of(self, dn: str) -> str:
        """The SourceAnchor that an object's objectGUID makes."""
        return base64.b64encode(uuid.UUID(self.hand.guid_of(dn)).bytes_le).decode()


class World:
    """Two forests and the tenant they are synced to."""

    def __init__(self, rig: Rig, contoso: Forest, fabrikam: Forest) -> None:
        self.rig = rig
        self.contoso = contoso
        self.fabrikam = fabrikam
        self.sources: dict[str, dict[str, Any]] = {}
        rig.put_secret(
            "reader-fabrikam",
            username=fabrikam.server.bind_user,
            password=fabrikam.server.bind_password,
        )
        other = copy.deepcopy(rig.active_directory)
        other["metadata"]["name"] = FABRIKAM
        other["spec"] = {
            "servers": [fabrikam.server.url],
            "bindSecretRef": {"name": "reader-fabrikam"},
            "caBundle": fabrikam.server.ca_pem,
        }
        rig.further.append(other)
        self.directory = other
        """The second ActiveDirectory."""
        for forest in (contoso, fabrikam):
            self.sources[forest.name] = {
                "name": forest.name,
                "activeDirectoryRef": {"name": forest.name},
                "include": [forest.place],
            }
        rig.sync["spec"]["safety"] = {"users": {"count": 500, "percent": 100}}
        self.reads(CONTOSO, FABRIKAM)

    def reads(self, *names: str) -> None:
        """Makes these the sources, in this order of precedence."""
        self.rig.sync["spec"]["sources"] = [self.sources[name] for name in names]

    def joins(self, users: str) -> None:
        self.rig.sync["spec"]["join"] = {"users": users}

    def arrives(self, *, scope: str | None = None) -> dict[str, dict[str, int]]:
        """Sync; tell what changed, once sure that nothing is left to do."""
        result = self.rig.run(scope=scope)
        assert result.outcome == "Succeeded", result.message
        written = self.rig.writes()
        again = self.rig.run()
        assert (again.message, again.scope) == ("nothing had changed", "Delta")
        assert self.rig.writes() == written
        return changed(result)

    def a_full_run_finds_nothing(self) -> None:
        assert changed(self.rig.run(scope="Full")) == {}

    def users(self) -> dict[str, dict[str, Any]]:
        """Attributes of the tenant's users by SourceAnchor."""
        return {each["sourceAnchor"]: each["attributes"] for each in self.rig.cloud.objects("User")}

    def only_user(self) -> tuple[str, dict[str, Any]]:
        (found,) = self.users().items()
        return found


@pytest.fixture(scope="module")
def contoso(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaServer]:
    with SambaServer(tmp_path_factory.mktemp("ad") / CONTOSO, exchange=True) as server:
        yield server


@pytest.fixture(scope="module")
def fabrikam(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaServer]:
    folder = tmp_path_factory.mktemp("ad") / FABRIKAM
    with SambaServer(folder, domain="fabrikam.test", exchange=True) as server:
        yield server


@pytest.fixture(scope="module")
def hands(contoso: SambaServer, fabrikam: SambaServer) -> Iterator[tuple[Hand, Hand]]:
    with Hand(contoso) as first, Hand(fabrikam) as second:
        yield first, second


@pytest.fixture
def cloud() -> Iterator[EmulatorServer]:
    domains = ["contoso.test", "fabrikam.test"]
    with EmulatorServer({"verifiedDomains": domains}) as server:
        yield server


@pytest.fixture
def world(
    tmp_path: Path,
    contoso: SambaServer,
    fabrikam: SambaServer,
    hands: tuple[Hand, Hand],
    cloud: EmulatorServer,
) -> World:
    number = next(_numbers)
    rig = Rig(tmp_path, contoso, cloud)
    return World(
        rig,
        Forest(CONTOSO, contoso, hands[0], number),
        Forest(FABRIKAM, fabrikam, hands[1], number),
    )


def test_users_of_both_arrive_and_each_change_is_read_where_it_was_made(world: World) -> None:
    anna = world.contoso.user("anna", mail="same@contoso.test")
    bert = world.fabrikam.user("bert", mail="other@fabrikam.test")
    world.contoso.group("team", anna)
    world.fabrikam.group("team", bert)

    first = world.rig.run()

    assert changed(first) == {"users": {"add": 2}, "groups": {"add": 2}, "links": {"add": 2}}
    users = world.users()
    assert users[world.contoso.anchor_of(anna)]["dnsDomainName"] == "contoso.test"
    assert users[world.fabrikam.anchor_of(bert)]["dnsDomainName"] == "fabrikam.test"
    for name in (CONTOSO, FABRIKAM):
        facts = first.facts_of(name)
        assert facts is not None
        assert (facts.domain, facts.delta_method) == (f"{name}.test", "DirSync")
    assert changed(world.rig.run()) == {}
    world.fabrikam.hand.replace(bert, "title", "Chief")
    second = world.rig.run()
    assert second.source is not None
    assert (second.scope, second.source.read, second.source.method) == ("Delta", 1, "DirSync")
    assert changed(second) == {"users": {"update": 1}}
    world.contoso.hand.replace(anna, "title", "Chair")
    assert world.arrives() == {"users": {"update": 1}}
    world.a_full_run_finds_nothing()


@pytest.mark.parametrize("order", [(CONTOSO, FABRIKAM), (FABRIKAM, CONTOSO)])
def test_one_person_of_two_forests_has_the_account_of_one_and_the_mailbox_of_the_other(
    world: World, order: tuple[str, str]
) -> None:
    world.reads(*order)
    world.joins("Mail")
    mail = f"person{world.contoso.number}@contoso.test"
    mailbox = world.contoso.user(
        "anna",
        enabled=False,
        mail=mail.upper(),
        title="Of the mailbox",
        proxyAddresses=[f"SMTP:{mail}"],
        msExchMailboxGuid=uuid.uuid4().bytes_le,
        msExchRecipientTypeDetails="1",
    )
    account = world.fabrikam.user("anna", mail=mail, title="Of the account")

    assert world.arrives() == {"users": {"add": 1}}

    anchor, person = world.only_user()
    first = {CONTOSO: world.contoso.anchor_of(mailbox), FABRIKAM: world.fabrikam.anchor_of(account)}
    assert anchor == first[order[0]]
    number = world.contoso.number
    assert person["userPrincipalName"] == f"anna{number}@fabrikam.test"
    assert person["accountEnabled"] is True
    assert person["onPremisesSamAccountName"] == f"anna{number}"
    assert person["dnsDomainName"] == "fabrikam.test"
    assert person["title"] == "Of the mailbox"
    assert person["proxyAddresses"] == [f"SMTP:{mail}"]
    world.a_full_run_finds_nothing()


@pytest.mark.parametrize("order", [(CONTOSO, FABRIKAM), (FABRIKAM, CONTOSO)])
def test_of_equals_the_first_source_gives_the_values(world: World, order: tuple[str, str]) -> None:
    world.reads(*order)
    world.joins("Mail")
    mail = f"person{world.contoso.number}@contoso.test"
    world.contoso.user("anna", mail=mail, title="contoso", department="Only there")
    world.fabrikam.user("anna", mail=mail, title="fabrikam", company="Only here")

    assert world.arrives() == {"users": {"add": 1}}

    _, person = world.only_user()
    assert person["title"] == order[0]
    assert person["dnsDomainName"] == f"{order[0]}.test"
    # what the first has no value for, the other gives
    assert (person["department"], person["company"]) == ("Only there", "Only here")
    world.a_full_run_finds_nothing()


@pytest.mark.parametrize("first", [CONTOSO, FABRIKAM])
def test_it_does_not_matter_which_forest_was_filled_first(world: World, first: str) -> None:
    world.joins("Mail")
    mail = f"person{world.contoso.number}@contoso.test"
    # somebody to be read at all
    for forest in (world.contoso, world.fabrikam):
        forest.user("stays")
    fill = {
        CONTOSO: lambda: world.contoso.user("anna", mail=mail, title="contoso"),
        FABRIKAM: lambda: world.fabrikam.user("anna", mail=mail, title="fabrikam"),
    }
    second = FABRIKAM if first == CONTOSO else CONTOSO
    world.arrives()
    fill[first]()
    assert world.arrives() == {"users": {"add": 1}}
    before = set(world.users())

    fill[second]()
    told = world.arrives()

    # who is there stays who they are, under their anchor; only values may change
    assert told == ({} if first == CONTOSO else {"users": {"update": 1}})
    assert set(world.users()) == before
    (person,) = [each for each in world.users().values() if each.get("mail") == mail]
    assert person["title"] == CONTOSO
    assert person["dnsDomainName"] == "contoso.test"
    world.a_full_run_finds_nothing()


def test_a_linked_mailbox_joins_its_account_by_sid(world: World) -> None:
    world.joins("ObjectSid")
    account = world.fabrikam.user("anna", title="Of the account", department="Only there")
    sid = world.fabrikam.hand.sid_of(account)
    linked = {"msExchMailboxGuid": uuid.uuid4().bytes_le, "msExchRecipientTypeDetails": "2"}
    world.contoso.user("stays")
    mailbox = world.contoso.user(
        "anna", enabled=False, title="Of the mailbox", msExchMasterAccountSid=sid, **linked
    )
    # nobody's: it has no anchor of its own, and is left out
    world.contoso.user("nobody", enabled=False, **linked)

    first = world.rig.run()

    assert changed(first) == {"users": {"add": 2}}
    assert [(each.rule, each.count) for each in first.excluded] == [
        ("LinkedMailboxWithoutAnchor", 1)
    ]
    person = world.users()[world.fabrikam.anchor_of(account)]
    assert (person["title"], person["department"]) == ("Of the mailbox", "Only there")
    assert person["userPrincipalName"].endswith("@fabrikam.test")
    assert person["accountEnabled"] is True
    assert changed(world.rig.run()) == {}
    world.a_full_run_finds_nothing()

    # a change of either half arrives
    world.contoso.hand.replace(mailbox, "title", "Chief")
    world.fabrikam.hand.replace(account, "userAccountControl", DISABLED)
    assert world.arrives() == {"users": {"update": 1}}
    person = world.users()[world.fabrikam.anchor_of(account)]
    assert (person["title"], person["accountEnabled"]) == ("Chief", False)

    # without its account the mailbox is nobody's again
    world.fabrikam.user("stays")
    world.fabrikam.hand.delete(account)
    assert world.arrives() == {"users": {"add": 1, "delete": 1}}
    world.a_full_run_finds_nothing()


def test_an_equal_anchor_joins_whatever_else_is_said(world: World) -> None:
    own = uuid.uuid4().bytes_le
    preset: dict[str, Any] = {"mS-DS-ConsistencyGuid": own}
    world.contoso.user("anna", title="contoso", **preset)
    bert = world.fabrikam.user("bert", company="fabrikam", **preset)

    assert world.arrives() == {"users": {"add": 1}}

    anchor, person = world.only_user()
    assert anchor == base64.b64encode(own).decode()
    assert (person["title"], person["company"]) == ("contoso", "fabrikam")

    # the second half goes: nobody is deleted, and its values go
    world.fabrikam.user("stays")
    world.fabrikam.hand.delete(bert)
    assert world.arrives() == {"users": {"add": 1, "update": 1}}
    assert not world.users()[anchor].get("company")
    world.a_full_run_finds_nothing()


@pytest.mark.parametrize("scope", [None, "Full"])
def test_who_gave_the_anchor_goes_and_the_other_half_keeps_the_person(
    world: World, scope: str | None
) -> None:
    world.joins("Mail")
    mail = f"person{world.contoso.number}@contoso.test"
    for forest in (world.contoso, world.fabrikam):
        forest.user("stays")
    first = world.contoso.user("anna", mail=mail, title="contoso")
    other = world.fabrikam.user("anna", mail=mail, title="fabrikam")
    assert world.arrives() == {"users": {"add": 3}}
    before = set(world.users())
    anchor = world.contoso.anchor_of(first)

    world.contoso.hand.delete(first)
    result = world.rig.run(code=4, scope=scope)

    # one and the same person, under the anchor that was pinned; never made anew
    assert changed(result) == {}
    assert [(each.anchor, each.code) for each in result.errors] == [(anchor, "AnchorChanged")]
    assert set(world.users()) == before
    # the remedy: who is left says the anchor, too
    world.fabrikam.hand.replace(other, "mS-DS-ConsistencyGuid", base64.b64decode(anchor))
    assert world.arrives() == {"users": {"update": 1}}
    assert set(world.users()) == before
    assert world.users()[anchor]["title"] == "fabrikam"
    world.a_full_run_finds_nothing()


def test_a_member_of_the_other_forest_is_a_link(world: World) -> None:
    anna = world.contoso.user("anna")
    bert = world.fabrikam.user("bert")
    sid = sid_from_bytes(world.fabrikam.hand.sid_of(bert))
    team = world.contoso.group("team", anna, kind=DOMAIN_LOCAL_SECURITY)
    world.fabrikam.user("stays")
    world.contoso.hand.link(team, f"<SID={sid}>")

    first = world.rig.run()

    assert changed(first) == {"users": {"add": 3}, "groups": {"add": 1}, "links": {"add": 2}}
    group = world.rig.group(f"team{world.contoso.number}")
    bert_anchor = world.fabrikam.anchor_of(bert)
    assert set(world.rig.cloud.links(group)) == {world.contoso.anchor_of(anna), bert_anchor}
    assert changed(world.rig.run()) == {}
    world.contoso.hand.unlink(team, f"<SID={sid}>")
    assert world.arrives() == {"links": {"remove": 1}}
    world.contoso.hand.link(team, f"<SID={sid}>")
    assert world.arrives() == {"links": {"add": 1}}
    world.fabrikam.hand.delete(bert)
    assert world.arrives() == {"users": {"delete": 1}}
    assert world.rig.cloud.links(group) == [world.contoso.anchor_of(anna)]
    world.a_full_run_finds_nothing()


def test_one_forest_that_does_not_answer_stops_the_run(world: World) -> None:
    anna = world.contoso.user("anna")
    bert = world.fabrikam.user("bert")
    world.contoso.user("stays")
    world.fabrikam.user("stays")
    world.arrives()
    before = set(world.users())
    world.contoso.hand.delete(anna)
    world.fabrikam.hand.delete(bert)
    servers = world.directory["spec"]["servers"]

    world.directory["spec"]["servers"] = ["ldaps://127.250.250.250"]
    for scope in ("Full", None):
        failed = world.rig.run(code=1, scope=scope)
        assert (failed.outcome, failed.reason) == ("Failed", "ServerUnreachable")
    assert set(world.users()) == before

    world.directory["spec"]["servers"] = servers
    assert world.arrives() == {"users": {"delete": 2}}
    world.a_full_run_finds_nothing()


def test_a_source_that_is_named_no_longer_changes_nothing_and_goes_on_later(world: World) -> None:
    anna = world.contoso.user("anna")
    bert = world.fabrikam.user("bert")
    carl = world.fabrikam.user("carl")
    world.contoso.group("team", anna)
    team = world.fabrikam.group("team", bert, carl)
    world.arrives()
    before = world.users()

    world.reads(CONTOSO)
    assert world.arrives() == {}
    world.a_full_run_finds_nothing()
    # nor does what happens there meanwhile
    world.fabrikam.hand.replace(bert, "title", "Chief")
    world.fabrikam.hand.delete(carl)
    world.contoso.hand.replace(anna, "title", "Chair")
    assert world.arrives() == {"users": {"update": 1}}
    world.a_full_run_finds_nothing()
    assert set(world.users()) == set(before)
    owned = world.rig.run().objects
    assert owned is not None
    assert (owned.users, owned.groups, owned.links) == (3, 2, 3)

    world.reads(CONTOSO, FABRIKAM)
    assert world.arrives() == {"users": {"update": 1, "delete": 1}}
    assert world.users()[world.fabrikam.anchor_of(bert)]["title"] == "Chief"
    group = world.rig.cloud.links(world.fabrikam.anchor_of(team))
    assert group == [world.fabrikam.anchor_of(bert)]
    world.a_full_run_finds_nothing()


def test_the_half_of_a_source_that_is_named_no_longer_keeps_the_person(world: World) -> None:
    world.joins("Mail")
    mail = f"person{world.contoso.number}@contoso.test"
    first = world.contoso.user("anna", mail=mail, title="contoso", department="Only there")
    world.fabrikam.user("anna", mail=mail, title="fabrikam")
    world.fabrikam.user("stays")
    world.arrives()
    anchor = world.contoso.anchor_of(first)
    before = set(world.users())

    world.reads(FABRIKAM)
    world.arrives()

    assert set(world.users()) == before
    # whose half is read goes on; what only the other gave stays
    person = world.users()[anchor]
    assert (person["title"], person["department"]) == ("fabrikam", "Only there")
    world.a_full_run_finds_nothing()
    world.reads(CONTOSO, FABRIKAM)
    world.arrives()
    assert set(world.users()) == before
    assert world.users()[anchor]["title"] == "contoso"
    world.a_full_run_finds_nothing()


def test_a_source_added_later_joins_who_is_there(world: World) -> None:
    world.joins("Mail")
    mail = f"person{world.contoso.number}@contoso.test"
    world.reads(FABRIKAM)
    other = world.fabrikam.user("anna", mail=mail, company="Fabrikam", title="fabrikam")
    team = world.fabrikam.group("team", other)
    world.arrives()
    anchor = world.fabrikam.anchor_of(other)
    world.contoso.user("anna", mail=mail, title="contoso")
    bert = world.contoso.user("bert")

    # added as the first: its values count more, the person stays who they are
    world.reads(CONTOSO, FABRIKAM)
    result = world.rig.run()

    assert changed(result) == {"users": {"add": 1, "update": 1}}
    assert set(world.users()) == {anchor, world.contoso.anchor_of(bert)}
    person = world.users()[anchor]
    assert (person["title"], person["company"]) == ("contoso", "Fabrikam")
    assert world.rig.cloud.links(world.fabrikam.anchor_of(team)) == [anchor]
    assert changed(world.rig.run()) == {}
    world.a_full_run_finds_nothing()


def test_two_of_one_forest_with_the_same_mail_join_nobody(world: World) -> None:
    world.joins("Mail")
    mail = f"person{world.contoso.number}@contoso.test"
    anna = world.contoso.user("anna", mail=mail)
    bert = world.contoso.user("bert", mail=mail)
    other = world.fabrikam.user("anna", mail=mail)

    result = world.rig.run(code=4)

    # the service has an address but once: one goes, the others wait
    assert changed(result) == {"users": {"add": 1}}
    assert [each.code for each in result.errors] == ["DuplicateMail", "DuplicateMail"]
    # beyond doubt again: one of those is the same person as the other forest's
    world.contoso.hand.replace(bert, "mail", f"bert.{mail}")
    result = world.rig.run()
    assert set(world.users()) == {
        world.contoso.anchor_of(bert),
        *(set(world.users()) & {world.contoso.anchor_of(anna), world.fabrikam.anchor_of(other)}),
    }
    assert len(world.users()) == 2
    assert changed(world.rig.run()) == {}
    world.a_full_run_finds_nothing()


def test_two_that_are_in_the_tenant_already_do_not_become_one(world: World) -> None:
    world.joins("Mail")
    mail = f"person{world.contoso.number}@contoso.test"
    world.contoso.user("anna", mail=mail, title="contoso")
    other = world.fabrikam.user("anna", title="fabrikam")
    assert world.arrives() == {"users": {"add": 2}}
    before = world.users()

    world.fabrikam.hand.replace(other, "mail", mail)
    result = world.rig.run(code=4)

    assert [(each.anchor, each.code) for each in result.errors] == [
        (world.fabrikam.anchor_of(other), "AmbiguousJoin")
    ]
    assert world.users() == before
    world.fabrikam.hand.replace(other, "mail")
    assert world.arrives() == {}
    world.a_full_run_finds_nothing()


def test_joined_ones_are_parted_when_their_mail_differs(world: World) -> None:
    world.joins("Mail")
    mail = f"person{world.contoso.number}@contoso.test"
    first = world.contoso.user("anna", mail=mail, title="contoso")
    other = world.fabrikam.user("anna", mail=mail, company="fabrikam")
    world.arrives()
    anchor = world.contoso.anchor_of(first)

    world.fabrikam.hand.replace(other, "mail", f"other.{mail}")

    assert world.arrives() == {"users": {"add": 1, "update": 1}}
    assert set(world.users()) == {anchor, world.fabrikam.anchor_of(other)}
    assert not world.users()[anchor].get("company")
    world.a_full_run_finds_nothing()


@pytest.mark.parametrize("policy", ["Delete", "Disable", "Keep"])
@pytest.mark.parametrize("scope", [None, "Full"])
@pytest.mark.parametrize("looks_between", [False, True])
def test_who_moves_between_the_domains_keeps_the_account(
    world: World, policy: str, scope: str | None, *, looks_between: bool
) -> None:
    world.rig.sync["spec"]["objects"] = {"users": {"onRemoval": policy}}
    for forest in (world.contoso, world.fabrikam):
        forest.user("stays")
    old = world.contoso.user("anna", title="Chief")
    world.arrives()
    # these two are of two forests: what a group of one forest keeps of its members is not tried
    guid, anchor = world.contoso.hand.guid_of(old), world.contoso.anchor_of(old)

    new = world.fabrikam.receives("anna", guid, title="Head")
    if looks_between:  # the new domain has told of it, and the old one not yet
        world.rig.run(scope=scope)
    world.contoso.hand.delete(old)
    world.rig.run(scope=scope)

    assert len(world.users()) == 3
    assert world.users()[anchor]["title"] == "Head"
    assert world.users()[anchor]["dnsDomainName"] == "fabrikam.test"
    assert world.users()[anchor]["accountEnabled"] is True
    world.a_full_run_finds_nothing()
    world.fabrikam.hand.delete(new)
    gone = {"Delete": {"users": {"delete": 1}}, "Disable": {"users": {"update": 1}}, "Keep": {}}
    assert world.arrives(scope=scope) == gone[policy]


@pytest.mark.parametrize("scope", [None, "Full"])
def test_who_moves_to_the_other_forest_with_the_anchor_stays_who_they_are(
    world: World, scope: str | None
) -> None:
    for forest in (world.contoso, world.fabrikam):
        forest.user("stays")
    old = world.contoso.user("anna", title="Chief")
    team = world.contoso.group("team", old, kind=DOMAIN_LOCAL_SECURITY)
    world.arrives()
    anchor = world.contoso.anchor_of(old)

    # as a migration does it: the new account says the anchor of the old one
    preset: dict[str, Any] = {"mS-DS-ConsistencyGuid": base64.b64decode(anchor)}
    new = world.fabrikam.user("anna", title="Chief", **preset)
    assert world.arrives(scope=scope) == {}
    world.contoso.hand.replace(old, "mS-DS-ConsistencyGuid", base64.b64decode(anchor))
    assert world.arrives(scope=scope) == {}
    world.contoso.hand.delete(old)

    # the group lost its member, the old account; the new one is no member until somebody says so
    assert world.arrives(scope=scope) == {"users": {"update": 1}, "links": {"remove": 1}}
    assert world.users()[anchor]["dnsDomainName"] == "fabrikam.test"
    assert len(world.users()) == 3
    world.a_full_run_finds_nothing()
    world.contoso.hand.link(team, f"<SID={sid_from_bytes(world.fabrikam.hand.sid_of(new))}>")
    assert world.arrives(scope=scope) == {"links": {"add": 1}}
    # and one day the new one goes, too
    world.fabrikam.hand.delete(new)
    assert world.arrives(scope=scope) == {"users": {"delete": 1}}
