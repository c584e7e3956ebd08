"""Memberships by primary group are counted."""

from __future__ import annotations

import pytest

from entrasync.engine.primary_groups import count_primary_members, primary_group_sid
from entrasync.engine.source import SourceObject

DOMAIN = bytes((1, 5, 0, 0, 0, 0, 0, 5)) + bytes(16)


def source(kind: str, sid: bytes | None, primary: str | None) -> SourceObject:
    attributes: dict[str, tuple[bytes, ...]] = {"objectClass": (b"top", kind.encode())}
    if sid is not None:
        attributes["objectSid"] = (sid,)
    if primary is not None:
        attributes["primaryGroupID"] = (primary.encode(),)
    return SourceObject(guid="g", dn="CN=x", parent_guid=None, attributes=attributes)


@pytest.mark.parametrize(
    ("kind", "sid", "primary", "expected"),
    [
        ("user", DOMAIN + b"\x01\x00\x00\x00", "513", DOMAIN + b"\x01\x02\x00\x00"),
        ("user", DOMAIN + b"\x01\x00\x00\x00", None, None),
        ("user", DOMAIN + b"\x01\x00\x00\x00", "-1", None),
        ("user", DOMAIN + b"\x01\x00\x00\x00", "words", None),
        ("user", None, "513", None),
        ("user", b"\x01", "513", None),
        ("group", DOMAIN + b"\x01\x00\x00\x00", "513", None),
        ("contact", None, None, None),
    ],
)
def test_primary_groups_are_of_the_same_domain(
    kind: str, sid: bytes | None, primary: str | None, expected: bytes | None
) -> None:
    assert primary_group_sid(source(kind, sid, primary)) == expected


def test_users_count_whose_primary_group_takes_part() -> None:
    assert count_primary_members({b"a": 3, b"b": 4}, lambda sid: sid == b"a") == 3
