"""The operators of filters: each one's meaning, also for absent and for several values."""

from __future__ import annotations

import re
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.objects import AttributeFilter, FilterClause, FilterOperator
from entrasync.engine.filters import compile_clause, compile_filter, ordered
from entrasync.engine.source import SourceObject
from entrasync.errors import ConfigurationError

PAGE = Path(__file__).parents[3] / "docs" / "scope.md"
PILOT = "CN=Pilot,DC=x"
OPPOSITES = [
    ("Equal", "NotEqual"),
    ("Contains", "NotContains"),
    ("StartsWith", "NotStartsWith"),
    ("EndsWith", "NotEndsWith"),
    ("IsIn", "IsNotIn"),
    ("IsBitSet", "IsNotBitSet"),
]
SID = bytes.fromhex("010500000000000515000000a065cf7e784b9b5fe77c8770091c0000")


def source(*values: str | bytes, name: str = "x") -> SourceObject:
    raw = tuple(value.encode() if isinstance(value, str) else value for value in values)
    return SourceObject(
        guid="g", dn="CN=g,DC=x", parent_guid=None, attributes={name: raw} if raw else {}
    )


def holds(
    operator: str, value: str | None, *values: str | bytes, name: str = "x", member: bool = False
) -> bool:
    membership = operator.endswith("MemberOf")
    clause = compile_clause(
        FilterClause(
            attribute=None if membership else name,
            operator=FilterOperator(operator),
            value=value,
        ),
        field="f",
        resource="r",
    )
    return clause.holds(source(*values, name=name), lambda dn: member and dn == PILOT)


@pytest.mark.parametrize(
    ("operator", "value", "values", "expected"),
    [
        ("Equal", "NoSync", ("nosync",), True),
        ("Equal", "STRASSE", ("Straße",), True),  # letter case is more than two letters
        ("Equal", "NoSync", (" NoSync ",), True),
        ("Equal", "NoSync", ("NoSync2",), False),
        ("Equal", "TRUE", ("true",), True),
        ("Equal", "7", ("07",), False),  # the same text, not the same number
        ("Equal", "b", ("a", "B"), True),
        ("NotEqual", "b", ("a", "B"), False),
        ("NotEqual", "c", ("a", "B"), True),
        ("LessThan", "10", ("9",), True),  # as numbers, not as text
        ("LessThan", "10", ("10",), False),
        ("LessThan", "10", ("-11",), True),
        ("LessThan", "b", ("A",), True),
        ("LessThan", "10", ("9x",), False),  # one is no number: as text
        ("LessThan", "b", ("z", "a"), True),
        ("LessThanOrEqual", "10", ("10",), True),
        ("LessThanOrEqual", "B", ("b",), True),
        ("GreaterThan", "9", ("10",), True),
        ("GreaterThan", "a", ("A",), False),
        ("GreaterThan", "4294967296", ("9223372036854775807",), True),
        ("GreaterThanOrEqual", "10", ("10",), True),
        ("GreaterThanOrEqual", "11", ("10",), False),
        ("LessThan", "2026-03-14", ("20260313235959.0Z",), True),
        ("GreaterThanOrEqual", "2026-03-14T01:00:00+01:00", ("20260314000000.0Z",), True),
        ("GreaterThan", "20260314000000.0Z", ("20260314000001.0Z",), True),
        ("LessThan", "202603141200Z", ("20260314115959.0Z",), True),
        ("Equal", "20260314000000.0Z", ("20260314010000.0+0100",), False),  # the same text only
        ("LessThanOrEqual", "20260314000000.0Z", ("20260314010000.0+0100",), True),
        ("GreaterThan", "20260314000000Z", ("20260314000000.5Z",), True),
        ("LessThan", "2026-99-99", ("2026-12-01",), True),  # no time: as text
        ("Contains", "SYN", ("NoSync",), True),
        ("Contains", "*", ("NoSync",), False),  # there are no wildcards
        ("NotContains", "syn", ("a", "NoSync"), False),
        ("StartsWith", "nos", ("NoSync",), True),
        ("StartsWith", "ync", ("NoSync",), False),
        ("NotStartsWith", "User_", ("Group_1",), True),
        ("EndsWith", "@X.TEST", ("ann@x.test",), True),
        ("NotEndsWith", "@x.test", ("ann@x.test.example",), True),
        ("IsNull", None, (), True),
        ("IsNull", None, (b"\xff",), False),
        ("IsNull", None, (" ",), False),
        ("IsNotNull", None, (), False),
        ("IsNotNull", None, ("x",), True),
        ("IsIn", "b", ("a", "B"), True),
        ("IsIn", "c", ("a", "B"), False),
        ("IsNotIn", "c", ("a", "B"), True),
        ("IsNotIn", "b", ("a", "B"), False),
        ("IsBitSet", "2", ("514",), True),
        ("IsBitSet", "0x2", ("512",), False),
        ("IsBitSet", "0x202", ("514",), True),  # all of them
        ("IsBitSet", "0x202", ("2",), False),
        ("IsBitSet", "0x80000000", ("-2147483646",), True),  # the directory's numbers are signed
        ("IsBitSet", "0x10002", ("66050",), True),
        ("IsBitSet", "0x10002", ("66048",), False),
        ("IsBitSet", "4", ("-2147483646",), False),
        ("IsBitSet", "0x80000000", ("2",), False),
        ("IsBitSet", "0x10000000000", ("1099511627776",), True),  # of an integer8
        ("IsBitSet", "0x8000000000000000", ("-9223372036854775808",), True),
        ("IsBitSet", "2", ("+2",), False),
        ("IsBitSet", "2", ("x",), False),
        ("IsNotBitSet", "2", ("512",), True),
        ("IsNotBitSet", "2", ("x",), True),
    ],
)
def test_operators(
    operator: str, value: str | None, values: tuple[str | bytes, ...], *, expected: bool
) -> None:
    assert holds(operator, value, *values) is expected


@pytest.mark.parametrize("member", [True, False])
def test_memberships(*, member: bool) -> None:
    assert holds("IsMemberOf", PILOT, member=member) is member
    assert holds("IsNotMemberOf", PILOT, member=member) is not member


@pytest.mark.parametrize(
    ("name", "raw", "text"),
    [
        ("objectSid", SID, "S-1-5-21-2127521184-1604012920-1887927527-7177"),
        (
            "mS-DS-ConsistencyGuid",
            uuid.UUID("00112233-4455-6677-8899-aabbccddeeff").bytes_le,
            "00112233-4455-6677-8899-AABBCCDDEEFF",
        ),
        ("mS-DS-ConsistencyGuid", b"\xff", "/w=="),
        ("userCertificate", b"\xff\x00", "/wA="),
    ],
)
def test_binary_values_are_compared_as_people_write_them(name: str, raw: bytes, text: str) -> None:
    assert holds("Equal", text, raw, name=name)


@pytest.mark.parametrize(("operator", "opposite"), OPPOSITES)
@given(
    value=st.integers(1, 2**31).map(str) | st.text(min_size=1, max_size=5).filter(str.strip),
    values=st.lists(
        st.integers(-(2**31), 2**31).map(str) | st.text(max_size=8) | st.binary(max_size=8),
        max_size=3,
    ),
)
def test_an_operator_with_not_is_the_exact_opposite(
    operator: str, opposite: str, value: str, values: list[str | bytes]
) -> None:
    if operator == "IsBitSet" and not value.isdecimal():
        value = "2"
    elif operator == "IsBitSet":
        value = str(int(value) or 1)
    given_values = [v for v in values if not isinstance(v, str) or _encodes(v)]
    assert holds(operator, value, *given_values) is not holds(opposite, value, *given_values)


@given(st.text(max_size=20) | st.integers().map(str) | st.datetimes().map(lambda m: m.isoformat()))
def test_every_value_can_be_put_in_order(value: str) -> None:
    if not _encodes(value) or not value.strip():
        return
    value = value.strip()
    assert ordered(value) == ordered(value)
    assert holds("LessThanOrEqual", value, value)
    assert holds("GreaterThanOrEqual", value, value)
    assert not holds("LessThan", value, value)
    assert not holds("GreaterThan", value, value)


@given(
    st.lists(st.lists(st.booleans(), min_size=1, max_size=4), min_size=1, max_size=4),
)
def test_one_group_must_hold_and_of_it_all(truths: list[list[bool]]) -> None:
    written = AttributeFilter.model_validate(
        {
            "anyOf": [
                {
                    "allOf": [
                        {"attribute": "x", "operator": "IsNotNull" if truth else "IsNull"}
                        for truth in group
                    ]
                }
                for group in truths
            ]
        }
    )
    found = compile_filter(written, field="f", resource="r")

    assert found.holds(source("v"), lambda _: False) is any(map(all, truths))


def test_attributes_are_looked_for_as_the_source_spells_them() -> None:
    written = AttributeFilter.model_validate(
        {"anyOf": [{"allOf": [{"attribute": "EMPLOYEETYPE", "operator": "IsNotNull"}]}]}
    )
    found = compile_filter(written, field="f", resource="r").spelled(
        {"employeetype": "employeeType"}
    )

    assert found.holds(source("x", name="employeeType"), lambda _: False)


@pytest.mark.parametrize(
    ("clause", "told"),
    [
        ({"operator": "Equal", "value": "x"}, "needs an `attribute`"),
        ({"attribute": "x", "operator": "Equal"}, "needs a `value`"),
        ({"attribute": "x", "operator": "IsNull", "value": "x"}, "takes no `value`"),
        ({"attribute": "x", "operator": "IsMemberOf", "value": PILOT}, "leave out `attribute`"),
        ({"operator": "IsMemberOf", "value": "Pilot"}, "distinguished name"),
        ({"operator": "IsNotMemberOf"}, "needs a `value`"),
        ({"attribute": "x", "operator": "IsBitSet", "value": "0"}, "whole number"),
        ({"attribute": "x", "operator": "IsBitSet", "value": "two"}, "whole number"),
        ({"attribute": "x", "operator": "IsNotBitSet", "value": "1_0"}, "whole number"),
    ],
)
def test_what_cannot_be_used_names_its_field(clause: dict[str, str], told: str) -> None:
    good = {"attribute": "x", "operator": "IsNull"}
    written = AttributeFilter.model_validate(
        {"anyOf": [{"allOf": [good]}, {"allOf": [good, clause]}]}
    )

    with pytest.raises(ConfigurationError) as caught:
        compile_filter(written, field="spec.objects.users.where", resource="DirectorySync/contoso")

    assert caught.value.reason == "ExpressionInvalid"
    assert caught.value.field == "spec.objects.users.where.anyOf[1].allOf[1]"
    assert caught.value.resource == "DirectorySync/contoso"
    assert told in caught.value.message


def test_the_page_tells_every_operator_as_it_is() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| ([A-Z_]+) \| .* \| (yes|no) \|$", PAGE.read_text(), re.MULTILINE
    )

    assert [name for name, _, _ in rows] == [str(each) for each in FilterOperator]
    for operator, in_connect, absent in rows:
        assert in_connect.replace("_", "") == operator.upper()
        value = {"IsNull": None, "IsNotNull": None, "IsBitSet": "2", "IsNotBitSet": "2"}.get(
            operator, PILOT
        )
        assert holds(operator, value) is (absent == "yes"), operator


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
