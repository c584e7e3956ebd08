"""Memberships by primary group are counted."""

from __future__ import annotations

import binascii
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.engine.primary_groups import (
    PrimaryGroups,
    count_primary_members,
    primary_group_sid,
)
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


def stored(sid: bytes, primary: str, kind: str = "user") -> SourceObject:
    """The same as the state keeps it."""
    text = binascii.b2a_base64(sid, newline=False).decode()
    attributes = {"objectClass": ["top", kind], "objectSid": [{"b": text}]}
    return SourceObject(
        guid="g",
        dn="CN=x",
        parent_guid=None,
        stored=attributes | {"primaryGroupID": [primary]},  # type: ignore[arg-type]  # as JSON has it
    )


@given(
    st.lists(
        st.tuples(
            st.sampled_from([DOMAIN, DOMAIN[:-4] + b"\x01\x02\x03\x04", b"", DOMAIN + b"more"]),
            st.integers(0, 3),
            st.sampled_from(["513", "514", "-1", "words"]),
            st.sampled_from(["user", "group"]),
        )
    )
)
def test_counting_knows_each_group_as_if_it_were_worked_out(
    users: list[tuple[bytes, int, str, str]],
) -> None:
    groups = PrimaryGroups()
    wanted: Counter[bytes] = Counter()
    for domain, number, primary, kind in users:
        each = stored(domain + number.to_bytes(4, "little"), primary, kind)
        groups.add(each)
        found = primary_group_sid(each)
        if found is not None:
            wanted[found] += 1
    assert groups.members == wanted


def test_users_count_whose_primary_group_takes_part() -> None:
    assert count_primary_members({b"a": 3, b"b": 4}, lambda sid: sid == b"a") == 3
