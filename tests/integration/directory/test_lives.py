"""What happens to objects in their lives, told by one method and by the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.directory.conftest import STAFF

if TYPE_CHECKING:
    from entrasync.directory.model import SourceEntry
    from entrasync.directory.session import DirectorySession
    from tests.integration.directory.conftest import People
    from tests.support.hand import Hand

pytestmark = pytest.mark.integration

ATTRIBUTES = ("sAMAccountName", "displayName", "mail", "objectClass")


def look(session: DirectorySession, cookie: bytes) -> dict[str, SourceEntry]:
    """Read to the end; the last word on each object, by objectGUID."""
    found: dict[str, SourceEntry] = {}
    for page in session.changes(cookie, ATTRIBUTES):
        for entry in page.entries:
            found.pop(entry.guid, None)
            found[entry.guid] = entry
    return found


def unit(hand: Hand, people: People, name: str, parent: str = STAFF) -> str:
    return hand.add(f"OU={name}{people.mark},{parent}", "organizationalUnit")


def test_deleted_and_restored(either: DirectorySession, hand: Hand, people: People) -> None:
    anna = people.add("anna", displayName="Anna", mail="anna@contoso.test")
    team = people.add("team", "group", member=[anna])
    guid = hand.guid_of(anna)
    cookie = either.current_cookie()
    hand.delete(anna)
    assert look(either, cookie)[guid].deleted

    cookie = either.current_cookie()
    hand.restore(guid, anna)
    restored = look(either, cookie)[guid]
    assert not restored.deleted
    assert restored.dn == anna
    assert restored.parent_guid == hand.guid_of(STAFF)
    if either.delta_method[0] == "DirSync":
        assert restored.attributes["isDeleted"] == ()

    whole = either.read_guid(guid, (*ATTRIBUTES, "memberOf"))
    assert whole is not None
    # a tombstone keeps little; what it has got now is what counts, its groups among it
    held = either.read_guid(hand.guid_of(team), ())
    assert held is not None
    assert held.members is not None
    groups = whole.attributes.get("memberOf", ())
    assert (guid in held.members) is (held.guid.encode() in groups)


def test_deleted_and_restored_between_two_looks(
    either: DirectorySession, hand: Hand, people: People
) -> None:
    anna = people.add("anna", displayName="Anna")
    guid = hand.guid_of(anna)
    cookie = either.current_cookie()
    hand.delete(anna)
    hand.restore(guid, anna)
    found = look(either, cookie)[guid]
    assert not found.deleted
    if either.delta_method[0] == "DirSync":
        assert found.attributes["isDeleted"] == ()
    else:
        assert "memberOf" in found.attributes


def test_a_new_object_under_the_name_of_a_deleted_one(
    either: DirectorySession, hand: Hand, people: People
) -> None:
    anna = people.add("anna")
    first = hand.guid_of(anna)
    cookie = either.current_cookie()
    hand.delete(anna)
    people.add("anna")
    second = hand.guid_of(anna)
    found = look(either, cookie)
    assert first != second
    assert found[first].deleted
    assert (found[second].deleted, found[second].dn) == (False, anna)


def test_two_swap_their_names(either: DirectorySession, hand: Hand, people: People) -> None:
    anna, ben = people.add("anna"), people.add("ben")
    names = {hand.guid_of(anna): ben, hand.guid_of(ben): anna}
    cookie = either.current_cookie()
    spare = f"CN=spare{people.mark}"
    hand.move(anna, name=spare)
    hand.move(ben, name=anna.partition(",")[0])
    hand.move(f"{spare},{STAFF}", name=ben.partition(",")[0])
    found = look(either, cookie)
    assert {guid: found[guid].dn for guid in names} == names


def test_moved_in_and_moved_out(either: DirectorySession, hand: Hand, people: People) -> None:
    inside, outside = unit(hand, people, "inside"), unit(hand, people, "outside")
    comes, leaves = people.add("comes"), people.add("leaves")
    hand.move(comes, parent=outside)
    hand.move(leaves, parent=inside)
    comes, leaves = (
        f"{name.partition(',')[0]},{parent}"
        for name, parent in ((comes, outside), (leaves, inside))
    )
    cookie = either.current_cookie()
    hand.move(comes, parent=inside)
    hand.move(leaves, parent=outside)
    found = look(either, cookie)
    told = {entry.dn: entry.parent_guid for entry in found.values()}
    assert told[f"{comes.partition(',')[0]},{inside}"] == hand.guid_of(inside)
    assert told[f"{leaves.partition(',')[0]},{outside}"] == hand.guid_of(outside)


def test_a_container_three_levels_up_is_renamed(
    either: DirectorySession, hand: Hand, people: People
) -> None:
    top = unit(hand, people, "top")
    middle = unit(hand, people, "middle", top)
    low = unit(hand, people, "low", middle)
    anna = people.add("anna")
    hand.move(anna, parent=low)
    guid = hand.guid_of(f"{anna.partition(',')[0]},{low}")
    renamed = hand.guid_of(top)
    cookie = either.current_cookie()
    hand.move(top, name=f"OU=new{people.mark}")
    found = look(either, cookie)
    assert set(found) == {renamed}
    assert found[renamed].dn == f"OU=new{people.mark},{STAFF}"
    # who stays where it is comes by its container only, and lies at the new place
    whole = either.read_guid(guid, ATTRIBUTES)
    assert whole is not None
    assert whole.dn.endswith(found[renamed].dn)


def test_a_container_moves_with_all_that_is_in_it(
    either: DirectorySession, hand: Hand, people: People
) -> None:
    first, second = unit(hand, people, "first"), unit(hand, people, "second")
    box = unit(hand, people, "box", first)
    anna = people.add("anna")
    hand.move(anna, parent=box)
    cookie = either.current_cookie()
    hand.move(box, parent=second)
    (entry,) = look(either, cookie).values()
    assert entry.parent_guid == hand.guid_of(second)
    below = [found.dn for found in either.read_all(entry.dn, ATTRIBUTES)]
    assert f"{anna.partition(',')[0]},{entry.dn}" in below


def test_a_container_is_deleted_with_all_that_is_in_it(
    either: DirectorySession, hand: Hand, people: People
) -> None:
    box = unit(hand, people, "box")
    anna = people.add("anna")
    hand.move(anna, parent=box)
    inside = f"{anna.partition(',')[0]},{box}"
    guids = {hand.guid_of(box), hand.guid_of(inside)}
    cookie = either.current_cookie()
    hand.delete(inside)
    hand.delete(box)
    found = look(either, cookie)
    assert set(found) == guids
    assert all(entry.deleted for entry in found.values())
