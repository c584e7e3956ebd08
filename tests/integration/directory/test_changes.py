"""Changes by DirSync."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from entrasync.directory.errors import CookieRejectedError

if TYPE_CHECKING:
    from entrasync.directory.model import DirectoryConfig, SourceEntry
    from entrasync.directory.session import DirectorySession
    from tests.integration.directory.conftest import Domain, Place, Sessions

pytestmark = pytest.mark.integration
ATTRIBUTES = ("sAMAccountName", "displayName", "mail", "manager", "objectClass")


class Watch:
    """Reads what changed since it last looked."""

    def __init__(self, session: DirectorySession) -> None:
        self.session = session
        self.cookie = session.current_cookie()

    def look(self) -> dict[str, SourceEntry]:
        found: dict[str, SourceEntry] = {}
        more = True
        for page in self.session.changes(self.cookie, ATTRIBUTES):
            found |= {entry.guid: entry for entry in page.entries}
            self.cookie, more = page.cookie, page.more
        assert not more
        return found


def guid_of(session: DirectorySession, dn: str) -> str:
    return session.resolve_container(dn, field="spec.baseDN").guid


def test_the_service_account_has_the_replication_right(session: DirectorySession) -> None:
    assert session.delta_method == ("DirSync", "ReplicationRightGranted")


def test_nothing_changed_gives_nothing(session: DirectorySession, place: Place) -> None:
    place.add("user", "user")
    watch = Watch(session)
    assert watch.look() == {}
    assert watch.look() == {}


def test_a_new_user_comes_whole(session: DirectorySession, place: Place) -> None:
    watch = Watch(session)
    dn = place.add("user", "user", mail="user@contoso.test")
    place.add("computer", "pc")
    (entry,) = watch.look().values()
    assert entry.dn == dn
    assert entry.guid == guid_of(session, dn)
    assert entry.parent_guid == guid_of(session, place.dn)
    assert entry.attributes["mail"] == (b"user@contoso.test",)
    assert b"user" in entry.attributes["objectClass"]
    assert not entry.deleted


def test_a_change_during_a_full_read_is_told_afterwards(
    session: DirectorySession, place: Place
) -> None:
    dn = place.add("user", "user")
    watch = Watch(session)
    reading = session.read_all(place.dn, ATTRIBUTES)
    next(reading)
    place.replace(dn, "displayName", "New")
    list(reading)
    (entry,) = watch.look().values()
    assert entry.attributes == {"displayName": (b"New",)}


def test_members_come_one_by_one_both_ways_at_once(session: DirectorySession, place: Place) -> None:
    stays, leaves, comes = (place.add("user", name) for name in ("stays", "leaves", "comes"))
    group = place.add("group", "group", member=[stays, leaves])
    watch = Watch(session)
    place.link(group, comes)
    place.unlink(group, leaves)
    (entry,) = watch.look().values()
    assert entry.guid == guid_of(session, group)
    assert entry.members is None
    assert entry.members_added == (guid_of(session, comes),)
    assert entry.members_removed == (guid_of(session, leaves),)
    place.link(group, leaves)
    (entry,) = watch.look().values()
    assert entry.members_added == (guid_of(session, leaves),)
    assert entry.members_removed == ()


def test_cleared_attributes_and_managers_are_told(session: DirectorySession, place: Place) -> None:
    one, two = place.add("user", "one"), place.add("user", "two")
    user = place.add("user", "user", displayName="User", manager=one)
    watch = Watch(session)
    place.replace(user, "manager", two)
    place.replace(user, "displayName")
    (entry,) = watch.look().values()
    assert entry.attributes == {"displayName": (), "manager": (guid_of(session, two).encode(),)}
    place.replace(user, "manager")
    (entry,) = watch.look().values()
    assert entry.attributes == {"manager": ()}


def test_a_renamed_and_a_moved_user_keep_their_guid(
    session: DirectorySession, place: Place
) -> None:
    user = place.add("user", "user")
    guid = guid_of(session, user)
    watch = Watch(session)
    place.rename(user, f"CN=Zoë {place.name}")
    (entry,) = watch.look().values()
    assert (entry.guid, entry.dn) == (guid, f"CN=Zoë {place.name},{place.dn}")
    assert entry.parent_guid == guid_of(session, place.dn)
    unit = f"OU=Sub,{place.dn}"
    place.connection.add(unit, "organizationalUnit")
    watch.look()
    place.rename(entry.dn, f"CN=Zoë {place.name}", parent=unit)
    (entry,) = watch.look().values()
    assert (entry.guid, entry.parent_guid) == (guid, guid_of(session, unit))


def test_a_renamed_container_comes_alone_and_its_children_stay_where_they_are(
    session: DirectorySession, place: Place
) -> None:
    user = guid_of(session, place.add("user", "user"))
    unit = guid_of(session, place.dn)
    watch = Watch(session)
    place.rename(place.dn, f"OU=People {place.name}")
    found = watch.look()
    assert set(found) == {unit}
    assert found[unit].dn.startswith(f"OU=People {place.name},")
    child = session.read_guid(user, ATTRIBUTES)
    assert child is not None
    assert child.parent_guid == unit
    assert child.dn.endswith(found[unit].dn)


def test_a_deleted_user_is_a_tombstone_and_its_group_is_silent(
    session: DirectorySession, place: Place
) -> None:
    user = place.add("user", "user", mail="user@contoso.test")
    group = place.add("group", "group", member=[user])
    guid = guid_of(session, user)
    watch = Watch(session)
    place.delete(user)
    (entry,) = watch.look().values()
    assert (entry.guid, entry.deleted) == (guid, True)
    left = session.read_guid(guid_of(session, group), ATTRIBUTES)
    assert left is not None
    assert left.members == ()


def spoilt(cookie: bytes) -> list[bytes]:
    foreign = bytearray(cookie)
    foreign[8] ^= 0xFF  # within the GUID of the naming context
    return [b"", b"rubbish", bytes(foreign), cookie[:-30], cookie[:40] + b"\xff" * 40]


def test_a_cookie_that_cannot_be_used_asks_for_a_full_read(session: DirectorySession) -> None:
    for cookie in spoilt(session.current_cookie()):
        with pytest.raises(CookieRejectedError) as caught:
            list(session.changes(cookie, ATTRIBUTES))
        assert caught.value.reason == "CookieRejected"


@pytest.fixture
def reader(domain: Domain, place: Place) -> DirectoryConfig:
    """Give an account that may do no more than every user may."""
    name = f"reader{place.name}@contoso.test"
    dn = place.add("user", "reader", userPrincipalName=name)
    place.connection.extend.microsoft.modify_password(dn, "Reader Secret!1")
    place.replace(dn, "userAccountControl", "512")
    return replace(domain.service, bind_user=name, bind_password="Reader Secret!1")


def test_an_ordinary_account_reads_changes_by_object_security(
    sessions: Sessions, reader: DirectoryConfig, place: Place
) -> None:
    user, other = place.add("user", "user"), place.add("user", "other")
    group = place.add("group", "group", member=[user])
    session = sessions(reader)
    assert session.delta_method == ("DirSync", "ObjectSecurity")
    watch = Watch(session)
    place.link(group, other)
    (entry,) = watch.look().values()
    assert entry.members_added == (guid_of(session, other),)


def test_an_ordinary_account_knows_that_it_sees_no_tombstones(
    sessions: Sessions, reader: DirectoryConfig, place: Place
) -> None:
    guid = guid_of(sessions(), place.add("user", "leaver"))
    place.delete(place.dn_of("leaver"))
    session = sessions(reader)
    assert not session.can_read_deleted()
    assert session.read_guid(guid, ATTRIBUTES) is None


def test_a_cookie_made_with_more_rights_is_not_used_with_fewer(
    sessions: Sessions, session: DirectorySession, reader: DirectoryConfig
) -> None:
    with pytest.raises(CookieRejectedError):
        list(sessions(reader).changes(session.current_cookie(), ATTRIBUTES))
