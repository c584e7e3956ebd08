"""Links other than memberships, and members that are of another forest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from entrasync.directory.values import sid_from_bytes, sid_from_text
from tests.integration.directory.conftest import config_of
from tests.support.samba import SambaServer

if TYPE_CHECKING:
    from entrasync.directory.model import SourceEntry
    from entrasync.directory.session import DirectorySession
    from tests.integration.directory.conftest import People, Sessions
    from tests.support.hand import Hand

pytestmark = pytest.mark.integration

LISTS = ("authOrig", "unauthOrig", "publicDelegates", "msExchCoManagedByLink", "secretary")
ATTRIBUTES = ("displayName", "altRecipient", *LISTS)
STRANGER = "S-1-5-21-1111111111-2222222222-3333333333-1107"


def look(session: DirectorySession, cookie: bytes) -> tuple[dict[str, SourceEntry], bytes]:
    """Read to the end; give what came by objectGUID, and the next cookie."""
    found: dict[str, SourceEntry] = {}
    for page in session.changes(cookie, ATTRIBUTES):
        found |= {entry.guid: entry for entry in page.entries}
        cookie = page.cookie
    return found, cookie


def named(session: DirectorySession, *dns: str) -> set[bytes]:
    return {session.resolve_container(dn).guid.encode() for dn in dns}


def test_lists_of_links_are_read_whole(
    either: DirectorySession, hand: Hand, people: People
) -> None:
    anna, ben, cleo = (people.add(name) for name in ("anna", "ben", "cleo"))
    dora = people.add("dora", altRecipient=anna)
    for name in LISTS:
        hand.replace(dora, name, anna, ben, cleo)
    either._reader._value_step = 2
    guid = hand.guid_of(dora)
    for found in (
        either.read_guid(guid, ATTRIBUTES),
        next(iter(either.read_all(dora, ATTRIBUTES))),
    ):
        assert found is not None
        everybody = named(either, anna, ben, cleo)
        assert all(set(found.attributes[name]) == everybody for name in LISTS)
        assert set(found.attributes["altRecipient"]) == named(either, anna)


@pytest.mark.parametrize("name", LISTS)
def test_a_change_of_a_list_tells_all_of_it(
    either: DirectorySession, hand: Hand, people: People, name: str
) -> None:
    anna, ben, cleo = (people.add(who) for who in ("anna", "ben", "cleo"))
    dora = people.add("dora", "user", **{name: [anna, ben]})
    guid = hand.guid_of(dora)
    cookie = either.current_cookie()

    hand.replace(dora, name, anna, ben, cleo)
    found, cookie = look(either, cookie)
    assert set(found[guid].attributes[name]) == named(either, anna, ben, cleo)

    hand.replace(dora, name, cleo)
    found, cookie = look(either, cookie)
    assert set(found[guid].attributes[name]) == named(either, cleo)

    hand.replace(dora, name)
    found, cookie = look(either, cookie)
    assert found[guid].attributes[name] == ()


def test_a_change_of_members_stays_one_of_single_links(
    either: DirectorySession, hand: Hand, people: People
) -> None:
    anna, ben = people.add("anna"), people.add("ben")
    team = people.add("team", "group", member=[anna])
    guid = hand.guid_of(team)
    cookie = either.current_cookie()
    hand.link(team, ben)
    hand.replace(team, "authOrig", anna, ben)
    found, _ = look(either, cookie)
    changed = found[guid]
    assert set(changed.attributes["authOrig"]) == named(either, anna, ben)
    if either.delta_method[0] == "DirSync":
        assert changed.members is None
        assert changed.members_added == (hand.guid_of(ben),)


def test_a_list_of_somebody_deleted_meanwhile(
    either: DirectorySession, hand: Hand, people: People
) -> None:
    anna = people.add("anna")
    dora = people.add("dora")
    guid = hand.guid_of(dora)
    cookie = either.current_cookie()
    hand.replace(dora, "authOrig", anna)
    hand.delete(dora)
    found, _ = look(either, cookie)
    assert found[guid].deleted
    assert not found[guid].attributes.get("authOrig")


@pytest.mark.parametrize(
    ("sid", "written"),
    [
        (STRANGER, f"<SID={STRANGER}>"),
        ("S-1-5-11", "CN=S-1-5-11,CN=ForeignSecurityPrincipals,DC=contoso,DC=test"),
    ],
)
def test_members_of_another_forest_are_told_with_their_sids(
    either: DirectorySession, hand: Hand, people: People, sid: str, written: str
) -> None:
    anna = people.add("anna")
    team = people.add("team", "group", groupType=str(4 - 0x80000000), member=[anna])
    guid = hand.guid_of(team)
    cookie = either.current_cookie()

    hand.link(team, written)
    found, cookie = look(either, cookie)
    whole = either.read_guid(guid, ATTRIBUTES)
    assert whole is not None
    assert whole.members is not None
    (principal,) = whole.foreign
    assert whole.foreign == {principal: sid_from_text(sid)}
    assert set(whole.members) == {hand.guid_of(anna), principal}
    assert found[guid].foreign == whole.foreign
    if either.delta_method[0] == "DirSync":
        assert found[guid].members_added == (principal,)

    hand.unlink(team, written)
    found, cookie = look(either, cookie)
    if either.delta_method[0] == "DirSync":
        assert found[guid].members_removed == (principal,)
        assert found[guid].foreign == {principal: sid_from_text(sid)}
    else:
        assert found[guid].foreign == {}


def test_a_foreign_principal_elsewhere_is_one_too(
    either: DirectorySession, hand: Hand, people: People
) -> None:
    team = people.add("team", "group", groupType=str(4 - 0x80000000))
    hand.link(team, f"<SID={STRANGER}>")
    found = either.read_guid(hand.guid_of(team), ATTRIBUTES)
    assert found is not None
    (principal,) = found.foreign
    home = f"CN={STRANGER},CN=ForeignSecurityPrincipals,DC=contoso,DC=test"
    away = "CN=Users,DC=contoso,DC=test"
    assert hand.guid_of(home) == principal
    hand.move(home, parent=away)
    again = either.read_guid(found.guid, ATTRIBUTES)
    assert again is not None
    assert again.foreign == found.foreign
    hand.move(f"CN={STRANGER},{away}", parent=home.partition(",")[2])


def test_a_member_of_a_second_forest(
    exchange: SambaServer,
    hand: Hand,
    people: People,
    sessions: Sessions,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("ad") / "fabrikam"
    with SambaServer(folder, domain="fabrikam.test") as other:
        beyond = sessions(config_of(other))
        assert beyond.root.domain == "fabrikam.test"
        entries = beyond.read_all(beyond.root.base_dn, ("objectSid", "sAMAccountName"))
        user = next(
            entry for entry in entries if entry.attributes.get("sAMAccountName") == (b"u00001",)
        )
    (value,) = user.attributes["objectSid"]
    team = people.add("team", "group", groupType=str(4 - 0x80000000))
    hand.link(team, f"<SID={sid_from_bytes(value)}>")
    found = sessions(config_of(exchange)).read_guid(hand.guid_of(team), ATTRIBUTES)
    assert found is not None
    assert list(found.foreign.values()) == [value]
