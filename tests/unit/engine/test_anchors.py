"""Anchors that the attributes of an object give."""

from __future__ import annotations

import base64
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.choices import AnchorSource
from entrasync.engine.anchors import LONGEST, computed_anchor
from entrasync.engine.source import SourceObject

GUID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
PRESET = uuid.UUID(int=99).bytes_le
BY_GUID = base64.b64encode(GUID.bytes_le).decode()
BY_PRESET = base64.b64encode(PRESET).decode()


def source(kind: str = "user", **attributes: bytes) -> SourceObject:
    named = {name.replace("_", "-"): (value,) for name, value in attributes.items()}
    return SourceObject(
        guid=str(GUID),
        dn="CN=x",
        parent_guid=None,
        attributes={"objectClass": (kind.encode(),)} | named,
    )


@pytest.mark.parametrize(
    ("kind", "preset", "anchor_source", "anchor"),
    [
        ("user", PRESET, AnchorSource.CONSISTENCY_GUID, BY_PRESET),
        ("group", PRESET, AnchorSource.CONSISTENCY_GUID, BY_PRESET),
        ("contact", PRESET, AnchorSource.CONSISTENCY_GUID, BY_GUID),
        ("user", PRESET[:15], AnchorSource.CONSISTENCY_GUID, BY_GUID),
        ("user", b"", AnchorSource.CONSISTENCY_GUID, BY_GUID),
        ("user", PRESET, AnchorSource.OBJECT_GUID, BY_GUID),
        # an attribute of one's own is for users
        ("group", PRESET, AnchorSource.ATTRIBUTE, BY_PRESET),
        ("group", b"", AnchorSource.ATTRIBUTE, BY_GUID),
        ("contact", PRESET, AnchorSource.ATTRIBUTE, BY_GUID),
    ],
)
def test_guids(kind: str, preset: bytes, anchor_source: AnchorSource, anchor: str) -> None:
    found = source(kind, mS_DS_ConsistencyGuid=preset)

    assert computed_anchor(found, anchor_source) == anchor


@pytest.mark.parametrize(
    ("value", "anchor"),
    [
        (b"4711", "4711"),
        (b"Case Matters", "Case Matters"),
        ("größe".encode(), "größe"),
        (b"\xff\xfe", "//4="),
        (b"a" * 59, "a" * 59),
        (b"a" * 60, None),
        (b"-" * 19, "-" * 19),
        (b"-" * 20, None),
        (b"", None),
        (b"   ", None),
        (b"ann@contoso.test", None),
        (b"a_b", None),
        (b"a/b", None),
        (b"a\nb", None),
        (None, None),
    ],
)
def test_attributes_of_ones_own(value: bytes | None, anchor: str | None) -> None:
    found = source() if value is None else source(employeeID=value)

    assert computed_anchor(found, AnchorSource.ATTRIBUTE, "employeeID") == anchor


@given(st.binary(max_size=80))
def test_no_value_gives_an_anchor_that_is_too_long(value: bytes) -> None:
    anchor = computed_anchor(source(employeeID=value), AnchorSource.ATTRIBUTE, "employeeID")

    assert anchor is None or 0 < len(anchor) < LONGEST
