"""Full reads: pages, members, containers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from entrasync.directory.errors import ReadFailedError
from entrasync.errors import ConfigurationError

if TYPE_CHECKING:
    from entrasync.directory.entries import Held
    from entrasync.directory.model import SourceEntry
    from entrasync.directory.session import DirectorySession
    from tests.integration.directory.conftest import Domain, Place, Sessions

pytestmark = pytest.mark.integration
ATTRIBUTES = ("sAMAccountName", "displayName", "mail", "manager", "objectClass")


def read(session: DirectorySession, place: Place) -> dict[str, SourceEntry]:
    return {entry.dn: entry for entry in session.read_all(place.dn, ATTRIBUTES)}


def members(entry: SourceEntry | None) -> set[str]:
    assert entry is not None
    assert entry.members is not None
    assert len(entry.members) == len(set(entry.members))
    return set(entry.members)


def test_users_groups_contacts_and_containers_are_read(
    session: DirectorySession, place: Place
) -> None:
    boss = place.add("user", "boss", displayName="Zoë O'Neill, 山田")
    user = place.add("inetOrgPerson", "user", mail="user@contoso.test", manager=boss)
    contact = place.add("contact", "contact", mail="contact@contoso.test")
    computer = place.add("computer", "pc")
    group = place.add("group", "group", member=[boss, contact])
    found = read(session, place)
    assert set(found) == {place.dn, boss, user, contact, group}
    assert computer not in found
    unit = session.resolve_container(place.dn, field="spec.include[0]")
    assert {found[dn].parent_guid for dn in (boss, user, contact, group)} == {unit.guid}
    assert found[place.dn].guid == unit.guid
    assert found[boss].attributes["displayName"] == ("Zoë O'Neill, 山田".encode(),)
    assert found[user].attributes["manager"] == (found[boss].guid.encode(),)
    assert "displayName" not in found[user].attributes
    assert members(found[group]) == {found[boss].guid, found[contact].guid}
    assert found[user].members is None
    assert not any(entry.deleted for entry in found.values())


@pytest.mark.parametrize("page_size", [1, 3, 10, 11, 1000])
def test_pages_of_any_size_give_the_same(sessions: Sessions, place: Place, page_size: int) -> None:
    added = {place.add("user", f"u{number}") for number in range(10)}
    assert set(read(sessions(page_size=page_size), place)) == {place.dn, *added}


@pytest.mark.parametrize("step", [2, 4, 9, 10, 11, None])
def test_members_are_read_to_the_last(
    session: DirectorySession, place: Place, step: int | None
) -> None:
    users = [place.add("user", f"u{number}") for number in range(10)]
    group = place.add("group", "group", member=users)
    session._reader._value_step = step
    found = read(session, place)
    assert members(found[group]) == {found[user].guid for user in users}
    again = session.read_guid(found[group].guid, ATTRIBUTES)
    assert members(again) == members(found[group])


def test_a_member_removed_while_members_are_read_hides_no_other(
    session: DirectorySession, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [place.add("user", f"u{number}") for number in range(10)]
    group = place.add("group", "group", member=users)
    reader = session._reader
    reader._value_step = 4
    held = {entry.guid: entry.dn for entry in session.read_all(place.dn, ATTRIBUTES)}
    known = session.read_guid(session.resolve_container(group).guid, ATTRIBUTES)
    assert known is not None
    assert known.members is not None
    first = held[known.members[0]]
    original = reader._read_range
    calls: list[int] = []

    def remove_one_meanwhile(guid: str, name: str, low: int) -> Held | None:
        calls.append(low)
        if len(calls) == 1:
            place.unlink(group, first)
        return original(guid, name, low)

    monkeypatch.setattr(reader, "_read_range", remove_one_meanwhile)
    entry = session.read_guid(known.guid, ATTRIBUTES)
    assert members(entry) == members(known) - {known.members[0]}
    assert 0 in calls  # begun anew


def test_a_group_that_never_rests_is_an_error_not_a_guess(
    session: DirectorySession, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [place.add("user", f"u{number}") for number in range(6)]
    group = session.resolve_container(place.add("group", "group", member=users))
    session._reader._value_step = 2
    monkeypatch.setattr(session._reader, "_values_from", lambda *_: None)
    with pytest.raises(ReadFailedError):
        session.read_guid(group.guid, ATTRIBUTES)


def test_two_reads_may_run_side_by_side(sessions: Sessions, place: Place) -> None:
    added = {place.add("user", f"u{number}") for number in range(9)}
    session = sessions(page_size=2)
    first = session.read_all(place.dn, ATTRIBUTES)
    second = session.read_all(place.dn, ATTRIBUTES)
    pairs = list(zip(first, second, strict=True))
    assert {one.dn for one, _ in pairs} == {two.dn for _, two in pairs} == {place.dn, *added}


def test_a_read_given_up_half_way_disturbs_nothing(sessions: Sessions, place: Place) -> None:
    for number in range(9):
        place.add("user", f"u{number}")
    session = sessions(page_size=2)
    for _ in range(3):
        iterator = session.read_all(place.dn, ATTRIBUTES)
        next(iterator)
        iterator.close()  # type: ignore[attr-defined]  # a generator
    assert len(read(session, place)) == 10
    assert session._link._pending == {}


def test_a_container_is_followed_by_its_guid(session: DirectorySession, place: Place) -> None:
    container = session.resolve_container(place.dn.upper(), field="spec.baseDN")
    place.rename(place.dn, f"OU=People {place.name}")
    moved = session.resolve_container_guid(container.guid)
    assert moved is not None
    assert moved.guid == container.guid
    assert moved.dn.startswith(f"OU=People {place.name},")
    place.delete(moved.dn)
    assert session.resolve_container_guid(container.guid) is None


def test_a_container_that_is_not_there_names_its_field(
    session: DirectorySession, domain: Domain
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        session.resolve_container(f"OU=Nowhere,{domain.base_dn}", field="spec.include[0]")
    assert caught.value.reason == "BaseNotFound"
    assert caught.value.field == "spec.include[0]"


def test_a_read_below_a_container_that_is_gone_is_no_empty_list(
    session: DirectorySession, place: Place
) -> None:
    place.delete(place.dn)
    with pytest.raises(ConfigurationError):
        list(session.read_all(place.dn, ATTRIBUTES))


def test_the_tree_of_containers_is_read(session: DirectorySession, domain: Domain) -> None:
    tree = {entry.guid: entry for entry in session.containers(domain.base_dn)}
    roots = [entry for entry in tree.values() if entry.parent_guid is None]
    assert [entry.dn for entry in roots] == [domain.base_dn]
    assert f"CN=Users,{domain.base_dn}" in {entry.dn for entry in tree.values()}


def test_attributes_the_schema_lacks_are_found(session: DirectorySession) -> None:
    names = ("mail", "MANAGER", "extensionAttribute99", "parentGUID", "a*)(b")
    assert session.schema_attributes(names).keys() == {"mail", "manager", "parentguid"}
    assert session.schema_attributes(()) == {}


def test_gone_living_and_never_seen_are_told_apart(session: DirectorySession, place: Place) -> None:
    guid = session.resolve_container(place.add("user", "leaver")).guid
    living = session.read_guid(guid, ATTRIBUTES)
    assert living is not None
    assert not living.deleted
    place.delete(living.dn)
    gone = session.read_guid(guid, ATTRIBUTES)
    assert gone is not None
    assert gone.deleted
    assert session.can_read_deleted()
    assert session.read_guid("00000000-0000-0000-0000-00000000abcd", ATTRIBUTES) is None
