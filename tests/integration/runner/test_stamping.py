"""Anchors of users stamped by whole runs, with and without the right to."""

from __future__ import annotations

import base64
from uuid import UUID

import pytest

from entrasync.api.result import RunResult
from entrasync.directory.session import open_session
from entrasync.directory.writer import ATTRIBUTE
from tests.integration.directory.conftest import config_of
from tests.support.hand import Hand
from tests.support.rig import Rig
from tests.support.samba import READER, SambaServer

pytestmark = pytest.mark.integration

COMMAND = 'dsacls "DC=contoso,DC=test" /I:S /G "<account>:WP;mS-DS-ConsistencyGuid;user"'
STAFF = "OU=Staff,OU=Contoso,DC=contoso,DC=test"


@pytest.fixture
def stamping(fresh: Rig) -> Rig:
    """A sync that stamps, if it may."""
    fresh.sync["spec"]["sourceAnchor"] = {"stamp": True}
    return fresh


def values(server: SambaServer) -> dict[str, bytes | None]:
    """By objectGUID what everybody and everything of the directory is stamped with."""
    with open_session(config_of(server)) as session:
        return {
            entry.guid: next(iter(entry.attributes.get(ATTRIBUTE, ())), None)
            for entry in session.read_all(server.base_dn, (ATTRIBUTE,))
        }


def wanted(before: dict[str, bytes | None], users: set[str]) -> dict[str, bytes | None]:
    """What stamping makes of `before`: users of these anchors have their objectGUID."""
    return {
        guid: UUID(guid).bytes_le if value is None and anchor_of(guid) in users else value
        for guid, value in before.items()
    }


def anchor_of(guid: str) -> str:
    return base64.b64encode(UUID(guid).bytes_le).decode()


def changes(result: RunResult) -> int:
    assert result.changes is not None
    return sum(sum(counts.values()) for counts in result.changes.model_dump().values())


def test_without_the_right_nobody_is_stamped_and_everybody_is_synced(
    stamping: Rig, samba_fresh: SambaServer
) -> None:
    before = values(samba_fresh)

    check = stamping.run(mode="Check").directory_checks["contoso"]
    assert check.ok
    assert COMMAND in check.message

    result = stamping.run()
    assert result.outcome == "Succeeded"
    assert "users were not stamped" in result.message
    assert COMMAND in result.message
    assert stamping.anchors("User")
    assert values(samba_fresh) == before


def test_with_that_right_alone_users_are_stamped_once_and_nothing_changes(
    stamping: Rig, samba_fresh: SambaServer, hand: Hand
) -> None:
    samba_fresh.change("grant-stamping", READER)
    before = values(samba_fresh)
    assert COMMAND not in stamping.run(mode="Check").directory_checks["contoso"].message

    preview = stamping.run(mode="Preview")
    assert "stamped" not in preview.message
    assert values(samba_fresh) == before

    first = stamping.run()
    users = stamping.anchors("User")
    expected = wanted(before, users)
    count = sum(expected[guid] != before[guid] for guid in before)
    assert count > 1
    assert f"{count} users were stamped" in first.message
    assert values(samba_fresh) == expected
    assert any(value is None for value in expected.values())  # groups, contacts, those left out

    # what was written comes back, and is nothing new
    writes = stamping.writes()
    second = stamping.run()
    assert second.source is not None
    assert (second.scope, second.source.read >= count, changes(second)) == ("Delta", True, 0)
    assert "stamped" not in second.message
    full = stamping.run(scope="Full")
    assert (changes(full), "stamped" in full.message) == (0, False)
    assert (stamping.anchors("User"), stamping.writes()) == (users, writes)
    assert values(samba_fresh) == expected

    # somebody new is stamped with the run that adds them
    hand.add(f"CN=newcomer,{STAFF}", "user", sAMAccountName="newcomer", displayName="New")
    third = stamping.run()
    assert "1 user was stamped" in third.message
    assert changes(third) == 1


def test_who_was_synced_before_keeps_its_anchor(fresh: Rig, samba_fresh: SambaServer) -> None:
    samba_fresh.change("grant-stamping", READER)
    fresh.run()
    users, before = fresh.anchors("User"), values(samba_fresh)
    writes = fresh.writes()

    fresh.sync["spec"]["sourceAnchor"] = {"stamp": True}
    result = fresh.run()

    assert (result.scope, changes(result)) == ("Delta", 0)
    assert values(samba_fresh) == wanted(before, users) != before
    assert (fresh.anchors("User"), fresh.writes()) == (users, writes)
