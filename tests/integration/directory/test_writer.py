"""Anchors written to a real Active Directory, with and without the right to."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from entrasync.directory.writer import ATTRIBUTE, Stamp, open_writer
from entrasync.engine.stamping import stamp
from tests.integration.directory.conftest import config_of
from tests.support.hand import Hand
from tests.support.samba import SambaServer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.directory.conftest import Sessions

pytestmark = pytest.mark.integration

STAFF = "OU=Staff,OU=Contoso,DC=contoso,DC=test"
ACCOUNT = "svc-entrasync"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaServer]:
    """Give a directory whose service account may write anchors in the end."""
    with SambaServer(tmp_path_factory.mktemp("ad") / "stamped") as server:
        yield server


def test_without_the_right_nothing_is_written_and_the_command_is_told(
    samba_small: SambaServer, sessions: Sessions
) -> None:
    session = sessions(config_of(samba_small))
    assert not session.can_stamp()
    users = [
        entry.guid
        for entry in session.read_all(STAFF, (ATTRIBUTE, "objectClass"))
        if b"user" in entry.attributes["objectClass"] and ATTRIBUTE not in entry.attributes
    ]
    with open_writer(config_of(samba_small)) as writer:
        tally = stamp(writer, [(guid, False) for guid in users], lambda *_: None)
    assert (tally.stamped, tally.refused, tally.left) == (0, len(users), False)
    (why,) = tally.why
    assert 'dsacls "DC=contoso,DC=test" /I:S /G "<account>:WP;mS-DS-ConsistencyGuid;user"' in why
    assert all(
        ATTRIBUTE not in found.attributes
        for guid in users
        if (found := session.read_guid(guid, (ATTRIBUTE,)))
    )


def test_that_right_alone_is_enough(server: SambaServer, sessions: Sessions) -> None:
    session = sessions(config_of(server))
    server.change("grant-stamping", ACCOUNT)
    assert session.can_stamp()
    kinds = {
        entry.guid: entry
        for entry in session.read_all(session.root.base_dn, (ATTRIBUTE, "objectClass"))
    }
    staff = {entry.guid for entry in session.read_all(STAFF, ())}
    users = {
        guid: ATTRIBUTE in entry.attributes
        for guid, entry in kinds.items()
        if b"user" in entry.attributes["objectClass"] and guid in staff
    }
    group = next(
        guid for guid, entry in kinds.items() if b"group" in entry.attributes["objectClass"]
    )
    preset = {guid: kinds[guid].attributes[ATTRIBUTE] for guid, held in users.items() if held}
    assert preset
    cookie = session.current_cookie()
    with open_writer(config_of(server)) as writer:
        first = stamp(writer, users.items(), lambda *_: None)
        again = stamp(writer, users.items(), lambda *_: None)
        assert writer.stamp(group).outcome is Stamp.NO_USER
        assert writer.stamp("00000000-0000-0000-0000-00000000abcd").outcome is Stamp.GONE
    assert (first.stamped, first.already, first.refused) == (
        len(users) - len(preset),
        len(preset),
        0,
    )
    assert (again.stamped, again.already) == (0, len(users))
    told = {
        entry.guid: entry.attributes.get(ATTRIBUTE)
        for page in session.changes(cookie, (ATTRIBUTE,))
        for entry in page.entries
    }
    assert told == {guid: (UUID(guid).bytes_le,) for guid, held in users.items() if not held}
    for guid, value in preset.items():
        found = session.read_guid(guid, (ATTRIBUTE,))
        assert found is not None
        assert found.attributes[ATTRIBUTE] == value


@pytest.mark.parametrize("same", [True, False])
def test_whoever_writes_between_look_and_write_wins(
    server: SambaServer, monkeypatch: pytest.MonkeyPatch, *, same: bool
) -> None:
    with Hand(server) as hand, open_writer(config_of(server)) as writer:
        server.change("grant-stamping", ACCOUNT)
        name = f"race{int(same)}"
        dn = hand.add(f"CN={name},{STAFF}", "user", sAMAccountName=name)
        guid = hand.guid_of(dn)
        value = UUID(guid).bytes_le if same else b"somebody else's!"
        look = writer._look_at
        seen: list[str] = []

        def look_and_lose(guid: str) -> dict[str, tuple[bytes, ...]] | None:
            found = look(guid)
            if not seen:
                hand.replace(dn, ATTRIBUTE, value)
            seen.append(guid)
            return found

        monkeypatch.setattr(writer, "_look_at", look_and_lose)
        assert writer.stamp(guid).outcome is Stamp.ALREADY
        found = look(guid)
        assert found is not None
        assert found[ATTRIBUTE.lower()] == (value,)


def test_somebody_deleted_is_gone(server: SambaServer) -> None:
    with Hand(server) as hand, open_writer(config_of(server)) as writer:
        dn = hand.add(f"CN=leaver,{STAFF}", "user", sAMAccountName="leaver")
        guid = hand.guid_of(dn)
        hand.delete(dn)
        assert writer.stamp(guid).outcome is Stamp.GONE
