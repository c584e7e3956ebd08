"""Methods other than the best, and what becomes of a cookie when the server is not the same."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from entrasync.directory.errors import CookieRejectedError
from entrasync.errors import TransientError
from tests.integration.directory.conftest import config_of
from tests.support.front import NO_DIRSYNC, fronting
from tests.support.hand import Hand
from tests.support.samba import SambaServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from entrasync.directory.model import SourceEntry
    from entrasync.directory.session import DirectorySession
    from tests.integration.directory.conftest import Sessions
    from tests.support.front import Front

pytestmark = pytest.mark.integration

STAFF = "OU=Staff,OU=Contoso,DC=contoso,DC=test"
ATTRIBUTES = ("sAMAccountName", "displayName", "objectClass")


@pytest.fixture
def hand(samba_fresh: SambaServer) -> Iterator[Hand]:
    with Hand(samba_fresh) as hand:
        yield hand


@pytest.fixture
def front(samba_fresh: SambaServer) -> Iterator[Front]:
    """Offer everything but DirSync."""
    with fronting(samba_fresh, [NO_DIRSYNC]) as front:
        yield front


@pytest.fixture
def numbered(samba_fresh: SambaServer, front: Front, sessions: Sessions) -> DirectorySession:
    """Read changes by their numbers."""
    session = sessions(config_of(samba_fresh), servers=(front.url,))
    assert session.delta_method == ("UsnChanged", "DirSyncNotOffered")
    return session


def look(session: DirectorySession, cookie: bytes) -> tuple[dict[str, SourceEntry], bytes]:
    """Read to the end; give what came by RDN, and the next cookie."""
    found: dict[str, SourceEntry] = {}
    more = True
    for page in session.changes(cookie, ATTRIBUTES):
        found |= {entry.dn.partition(",")[0]: entry for entry in page.entries}
        cookie, more = page.cookie, page.more
    assert not more
    return found, cookie


def user(hand: Hand, name: str, **attributes: str) -> str:
    return hand.add(f"CN={name},{STAFF}", "user", sAMAccountName=name, **attributes)


def test_numbers_tell_whole_objects_and_what_they_lost(
    numbered: DirectorySession, hand: Hand
) -> None:
    cookie = numbered.current_cookie()
    assert look(numbered, cookie) == ({}, cookie)

    anna = user(hand, "anna", displayName="Anna")
    found, cookie = look(numbered, cookie)
    assert set(found) == {"CN=anna"}
    assert found["CN=anna"].attributes["displayName"] == (b"Anna",)
    assert found["CN=anna"].parent_guid == numbered.resolve_container(STAFF).guid

    hand.replace(anna, "displayName")
    found, cookie = look(numbered, cookie)
    assert found["CN=anna"].attributes["displayName"] == ()
    assert found["CN=anna"].attributes["sAMAccountName"] == (b"anna",)

    guid = found["CN=anna"].guid
    hand.delete(anna)
    found, cookie = look(numbered, cookie)
    assert [(entry.guid, entry.deleted) for entry in found.values()] == [(guid, True)]
    assert look(numbered, cookie) == ({}, cookie)


def test_a_changed_group_comes_with_all_its_members_however_many_at_once(
    numbered: DirectorySession, hand: Hand
) -> None:
    members = [user(hand, f"member{number}") for number in range(8)]
    group = hand.add(f"CN=team,{STAFF}", "group", sAMAccountName="team")
    hand.link(group, *members[:7])
    cookie = numbered.current_cookie()
    numbered._reader._value_step = 3
    hand.link(group, members[7])
    hand.unlink(group, members[0])

    found, _ = look(numbered, cookie)

    assert set(found) == {"CN=team"}
    wanted = {numbered.resolve_container(member).guid for member in members[1:]}
    assert found["CN=team"].members is not None
    assert set(found["CN=team"].members) == wanted
    one = numbered.read_guid(min(wanted), ("memberOf",))
    assert one is not None
    assert one.attributes["memberOf"] == (found["CN=team"].guid.encode(),)


@pytest.mark.parametrize("lacking", [[], [NO_DIRSYNC]], ids=["DirSync", "UsnChanged"])
def test_a_server_that_was_set_back_needs_a_full_read(
    samba_fresh: SambaServer,
    sessions: Sessions,
    tmp_path: Path,
    lacking: list[tuple[bytes, bytes]],
) -> None:
    samba_fresh.stop()
    samba_fresh.keep(tmp_path / "kept")
    samba_fresh.start()
    with fronting(samba_fresh, lacking) as front:
        config = replace(config_of(samba_fresh), servers=(front.url,))
        with Hand(samba_fresh) as hand:
            user(hand, "forgotten")
        cookie = sessions(config).current_cookie()
        samba_fresh.stop()
        samba_fresh.set_back(tmp_path / "kept")
        samba_fresh.start()
        with pytest.raises(CookieRejectedError, match="set back"):
            look(sessions(config), cookie)


def test_the_next_domain_controller_goes_on_from_a_cookie_of_dirsync_only(
    samba_fresh: SambaServer, sessions: Sessions, tmp_path: Path
) -> None:
    samba_fresh.stop()
    samba_fresh.keep(tmp_path / "kept")
    samba_fresh.change("new-identity")
    samba_fresh.start()
    with SambaServer(tmp_path / "first", data=tmp_path / "kept") as first:
        both = replace(
            config_of(samba_fresh),
            servers=(first.url, samba_fresh.url),
            ca_pem=first.ca_pem + samba_fresh.ca_pem,
        )
        session = sessions(both)
        assert session.root.server == first.url
        cookie = session.current_cookie()
        with fronting(first, [NO_DIRSYNC]) as front:
            number = sessions(both, servers=(front.url,)).current_cookie()
    with Hand(samba_fresh) as hand:
        user(hand, "anna")

    session = sessions(both)
    assert session.root.server == samba_fresh.url
    found, cookie = look(session, cookie)
    assert set(found) == {"CN=anna"}
    assert look(session, cookie)[0] == {}

    with (
        fronting(samba_fresh, [NO_DIRSYNC]) as front,
        pytest.raises(CookieRejectedError, match="another domain controller"),
    ):
        look(sessions(both, servers=(front.url,)), number)


def test_a_server_that_lets_in_and_falls_silent_is_left_for_the_next(
    samba_fresh: SambaServer, sessions: Sessions
) -> None:
    config = config_of(samba_fresh)
    with fronting(samba_fresh, most=1) as front:
        session = sessions(config, servers=(front.url, samba_fresh.url))
        assert session.root.server == samba_fresh.url
        with pytest.raises(TransientError) as caught:
            sessions(config, servers=(front.url,))
    assert (caught.value.reason, caught.value.field) == ("ServerUnreachable", "spec.servers")
