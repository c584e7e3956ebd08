"""Values as a real Active Directory holds them come byte by byte, and mean what they should."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest

from entrasync.directory.values import moment_from_generalized_time, sid_from_bytes
from entrasync.engine.flow_computations import account_enabled, password_changed, security_enabled
from entrasync.engine.flow_values import Contributor, as_integer, as_text
from entrasync.engine.source import SourceObject
from tests.integration.directory.conftest import STAFF

if TYPE_CHECKING:
    from entrasync.directory.model import SourceEntry
    from entrasync.directory.session import DirectorySession
    from tests.integration.directory.conftest import People
    from tests.support.hand import Hand

pytestmark = pytest.mark.integration

EVERY_BYTE = bytes(range(256))
NEVER = {0, 0x7FFFFFFFFFFFFFFF}
"""How a Windows file time says that there is none."""


@pytest.mark.parametrize(
    ("attribute", "values"),
    [
        ("thumbnailPhoto", [EVERY_BYTE]),
        ("thumbnailPhoto", [b"\xff\xd8\xff\xe0" * 25_000]),
        ("userCertificate", [EVERY_BYTE, b"0\x82\x01\x00"]),
        ("mS-DS-ConsistencyGuid", [EVERY_BYTE[:16]]),
        ("msExchMailboxGuid", [bytes(16)]),
        ("displayName", ["Zoë O'Neill, 山田 \U0001f600".encode()]),
        ("displayName", [b" leading and trailing "]),
        ("proxyAddresses", [b"SMTP:a@contoso.test", b"smtp:b@contoso.test", b"X500:/o=a/cn=b"]),
        ("msExchRecipientTypeDetails", [b"-9223372036854775808"]),
        ("msExchHideFromAddressLists", [b"TRUE"]),
        ("accountExpires", [b"133500000000000001"]),
        ("msExchLitigationHoldDate", [b"20260131235959.0Z"]),
    ],
)
def test_what_was_written_is_what_is_read(
    either: DirectorySession, hand: Hand, people: People, attribute: str, values: list[bytes]
) -> None:
    anna = people.add("anna", mailNickname="anna")
    guid = hand.guid_of(anna)
    cookie = either.current_cookie()
    hand.replace(anna, attribute, *values)
    whole = either.read_guid(guid, (attribute,))
    assert whole is not None
    told = [entry for page in either.changes(cookie, (attribute,)) for entry in page.entries]
    assert told[-1].guid == guid
    for found in (whole, told[-1]):
        assert sorted(found.attributes[attribute]) == sorted(values)


def test_values_of_the_server_mean_what_they_should(
    either: DirectorySession, hand: Hand, people: People
) -> None:
    anna = people.add("anna")
    team = people.add("team", "group", groupType=str(8 - 0x80000000))
    asked = ("objectSid", "whenCreated", "accountExpires", "pwdLastSet", "userAccountControl")
    user = either.read_guid(hand.guid_of(anna), asked)
    group = either.read_guid(hand.guid_of(team), ("groupType",))
    assert user is not None
    assert group is not None
    sid = sid_from_bytes(user.attributes["objectSid"][0])
    assert sid is not None
    assert sid.startswith("S-1-5-21-")
    created = moment_from_generalized_time(user.attributes["whenCreated"][0].decode())
    assert created is not None
    assert created > dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    assert as_integer(user.attributes["accountExpires"]) in NEVER
    assert as_integer(user.attributes["pwdLastSet"]) == 0
    assert password_changed(contributor(user)) is None
    assert not account_enabled(contributor(user))
    assert as_integer(group.attributes["groupType"]) == 8 - 0x80000000
    assert security_enabled(contributor(group))


def contributor(entry: SourceEntry) -> Contributor:
    source = SourceObject(
        guid=entry.guid, dn=entry.dn, parent_guid=None, attributes=entry.attributes
    )
    return Contributor(source=source, dn=entry.dn, domain="contoso.test")


def test_text_that_is_none_is_no_text_and_stops_nobody(
    either: DirectorySession, hand: Hand, people: People
) -> None:
    anna = people.add("anna")
    hand.replace(anna, "thumbnailPhoto", b"\xff\xfe")
    found = either.read_guid(hand.guid_of(anna), ("thumbnailPhoto",))
    assert found is not None
    assert as_text(found.attributes["thumbnailPhoto"]) is None


@pytest.mark.parametrize(
    "name",
    [
        "Müller\\, Jörg",
        "plus\\+sign",
        'quo\\"te',
        "back\\\\slash",
        "less\\<more\\>",
        "semi\\;colon",
        "equals\\=sign",
        "\\#hash",
        "\\ space first",
        "山田",
        "slash/slash",
        "new\\0Aline",
    ],
)
def test_names_with_escapes_are_found_again(
    either: DirectorySession, hand: Hand, people: People, name: str
) -> None:
    dn = f"CN={name} {people.mark},{STAFF}"
    hand.add(dn, "user", sAMAccountName=f"n{people.mark}")
    guid = hand.guid_of(dn)
    found = either.read_guid(guid, ())
    assert found is not None
    assert found.parent_guid == hand.guid_of(STAFF)
    assert either.resolve_container(found.dn).guid == guid
    hand.delete(dn)
