"""What search entries say, odd ones included."""

from __future__ import annotations

from uuid import UUID

import pytest

from entrasync.directory.ber import RawEntry
from entrasync.directory.entries import (
    Wanted,
    build_change,
    build_full,
    held_values,
    told_in_parts,
    whole_values,
)
from entrasync.directory.errors import MalformedAnswerError
from entrasync.directory.values import sid_from_text

SELF = UUID("11111111-2222-3333-4444-555555555555")
PARENT = UUID("99999999-2222-3333-4444-555555555555")
FIRST = "aaaaaaaa-0000-0000-0000-000000000001"
SECOND = "aaaaaaaa-0000-0000-0000-000000000002"


def name(guid: str) -> bytes:
    return f"<GUID={guid}>;<SID=S-1-5-21-1-2-3-1104>;CN=Zoë,DC=contoso,DC=test".encode()


def entry(**attributes: list[bytes]) -> RawEntry:
    held = {key: tuple(values) for key, values in attributes.items()}
    return RawEntry(dn=name(str(SELF)), attributes={"objectGUID": (SELF.bytes_le,), **held})


def ranged(description: str, *guids: str) -> dict[str, list[bytes]]:
    return {description: [name(guid) for guid in guids]}


def test_added_and_removed_members_come_in_one_answer() -> None:
    raw = entry(**ranged("member;range=1-1", FIRST), **ranged("member;range=0-0", SECOND))
    change = build_change(raw, Wanted(["displayName"]))
    assert change.members_added == (FIRST,)
    assert change.members_removed == (SECOND,)
    assert change.members is None
    assert change.attributes == {}
    assert change.dn == "CN=Zoë,DC=contoso,DC=test"


def test_an_empty_member_beside_the_ranges_says_nothing() -> None:
    change = build_change(entry(member=[], **ranged("member;range=1-1", FIRST)), Wanted([]))
    assert (change.members_added, change.members_removed) == ((FIRST,), ())


@pytest.mark.parametrize("description", ["member", "member;range=0-1499", "member;range=0-*"])
def test_a_list_is_never_taken_for_changes(description: str) -> None:
    with pytest.raises(MalformedAnswerError):
        build_change(entry(**ranged(description, FIRST)), Wanted([]))


def test_cleared_attributes_are_empty_and_unchanged_ones_absent() -> None:
    raw = entry(displayname=[], mail=[b"a@contoso.test"], title=[b"not asked for"])
    change = build_change(raw, Wanted(["displayName", "mail", "department"]))
    assert change.attributes == {"displayName": (), "mail": (b"a@contoso.test",)}


def test_a_manager_is_named_by_guid_whichever_way_the_link_changed() -> None:
    wanted = Wanted(["manager"])
    new = ranged("manager;range=1-1", FIRST)
    old = ranged("manager;range=0-0", SECOND)
    assert build_change(entry(**old, **new), wanted).attributes == {"manager": (FIRST.encode(),)}
    assert build_change(entry(**new), wanted).attributes == {"manager": (FIRST.encode(),)}
    assert build_change(entry(**old), wanted).attributes == {"manager": ()}


@pytest.mark.parametrize(
    ("told", "parts"),
    [
        (["authOrig;range=1-1"], ["authOrig"]),
        (["AUTHORIG;range=0-0"], ["authOrig"]),
        (["publicDelegates;range=0-0", "publicDelegates;range=1-1"], ["publicDelegates"]),
        (["authOrig;range=1-1", "publicDelegates;range=1-1"], ["authOrig", "publicDelegates"]),
        (["secretary"], []),
        (["manager;range=1-1"], []),
        (["member;range=1-1"], []),
        (["unauthOrig;range=1-1"], []),
    ],
)
def test_lists_told_value_by_value_are_found(told: list[str], parts: list[str]) -> None:
    wanted = Wanted(["mail", "manager", "authOrig", "publicDelegates", "secretary"])
    raw = entry(**{description: [name(FIRST)] for description in told})
    assert told_in_parts(raw, wanted) == parts


def principal(guid: str, sid: str) -> bytes:
    return f"<GUID={guid}>;<SID={sid}>;CN={sid},CN=ForeignSecurityPrincipals,DC=x".encode()


def test_foreign_principals_are_told_with_their_sids() -> None:
    sid, everyone = "S-1-5-21-11-22-33-1107", "S-1-1-0"
    members = (name(FIRST), principal(SECOND, sid))
    group = {"objectclass": (b"group",), "member": members}
    full = build_full(entry(), group, Wanted([]))
    assert full.members == (FIRST, SECOND)
    assert full.foreign == {SECOND: sid_from_text(sid)}
    raw = entry(
        **{
            "member;range=1-1": [principal(FIRST, everyone)],
            "member;range=0-0": [principal(SECOND, sid)],
        }
    )
    change = build_change(raw, Wanted([]))
    assert change.foreign == {FIRST: sid_from_text(everyone), SECOND: sid_from_text(sid)}


def test_a_member_of_another_domain_is_a_member_like_others() -> None:
    other = f"<GUID={FIRST}>;<SID=S-1-5-21-9-9-9-1104>;CN=Zoë,OU=Staff,DC=emea,DC=contoso,DC=test"
    group = {"objectclass": (b"group",), "member": (other.encode(),)}
    full = build_full(entry(), group, Wanted([]))
    assert (full.members, full.foreign) == ((FIRST,), {})
    change = build_change(entry(**{"member;range=1-1": [other.encode()]}), Wanted([]))
    assert (change.members_added, change.foreign) == ((FIRST,), {})


def test_tombstones_and_moves_are_told() -> None:
    raw = entry(isDeleted=[b"TRUE"], parentGUID=[PARENT.bytes_le])
    change = build_change(raw, Wanted([]))
    assert change.deleted
    assert change.parent_guid == str(PARENT)


def test_groups_have_members_and_others_have_none() -> None:
    group = {"objectclass": (b"top", b"group")}
    assert build_full(entry(), group, Wanted([])).members == ()
    assert build_full(entry(), {**group, "member": (name(FIRST),)}, Wanted([])).members == (FIRST,)
    assert build_full(entry(), {"objectclass": (b"top", b"user")}, Wanted([])).members is None


def test_the_dn_attribute_is_given_without_its_guid() -> None:
    values = {"distinguishedname": (name(FIRST),)}
    full = build_full(entry(), values, Wanted(["distinguishedName"]))
    assert full.attributes == {"distinguishedName": ("CN=Zoë,DC=contoso,DC=test".encode(),)}


@pytest.mark.parametrize(
    "value",
    [
        b"\0",
        b"",
        b"\xff\xfe",
        bytes(range(256)),
        b"\xff\xd8\xff\xe0" * 1000,
        SELF.bytes_le,
        b"<GUID=none of this is read>",
        b"TRUE",
        "Zoë \U0001f600".encode(),
        b"line\r\nbreak",
    ],
)
def test_binary_values_stay_what_they_are(value: bytes) -> None:
    wanted = Wanted(["thumbnailPhoto"])
    full = build_full(entry(), {"thumbnailphoto": (value, value)}, wanted)
    assert full.attributes == {"thumbnailPhoto": (value, value)}
    for description in ("thumbnailPhoto", "thumbnailPhoto;binary"):
        change = build_change(entry(**{description: [value]}), wanted)
        assert change.attributes == {"thumbnailPhoto": (value,)}


def test_the_range_counts_beside_an_empty_attribute() -> None:
    for attributes in (
        {"member": [], "member;range=0-1": [b"a", b"b"]},
        {"member;range=0-1": [b"a", b"b"], "member": []},
    ):
        held = held_values(entry(**attributes))["member"]
        assert held.values == (b"a", b"b")
        assert held.range is not None
        assert held.range.high == 1


def test_values_are_whole_unless_there_is_a_range() -> None:
    assert whole_values(entry(mail=[b"a"], Title=[])) == {
        "objectguid": (SELF.bytes_le,),
        "mail": (b"a",),
        "title": (),
    }
    assert whole_values(entry(member=[], **{"member;range=0-1": [b"a"]})) is None
    assert whole_values(entry(**{"member;range=0-*": [b"a"]})) is None
    assert whole_values(entry(mail=[b"a"], Mail=[b"b"])) is None


def test_each_attribute_is_asked_for_once() -> None:
    asked = Wanted(["objectclass", "mail", "MEMBER"]).request("name")
    assert [item.lower() for item in asked] == [
        "objectclass",
        "mail",
        "objectguid",
        "parentguid",
        "isdeleted",
        "name",
    ]
