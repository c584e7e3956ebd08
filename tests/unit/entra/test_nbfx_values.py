"""Typed values and the lexical forms XML Schema gives them."""

from __future__ import annotations

import datetime as dt
import math
import re
import struct
import uuid
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.entra.infoset import CodecError
from entrasync.entra.nbfx_values import ARRAY_VALUES, CONSTANTS, FIXED
from tests.unit.entra.samples import MODERATE

EPOCH = dt.datetime(1, 1, 1)  # noqa: DTZ001 - its zone is the kind
DURATION = re.compile(r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d+))?S)?)?")


def lexical(record: int, raw: bytes) -> str:
    size, render = FIXED[record]
    assert len(raw) == size
    return render(raw)


@pytest.mark.parametrize(
    ("record", "layout"), [(0x88, "<b"), (0x8A, "<h"), (0x8C, "<i"), (0x8E, "<q"), (0xB2, "<Q")]
)
@given(data=st.data())
def test_integers_are_decimal(record: int, layout: str, data: st.DataObject) -> None:
    bits = 8 * struct.calcsize(layout)
    low = 0 if layout == "<Q" else -(2 ** (bits - 1))
    number = data.draw(st.integers(low, low + 2**bits - 1))

    assert lexical(record, struct.pack(layout, number)) == str(number)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.1, "0.1"),
        (-2.5, "-2.5"),
        (1.0, "1"),
        (-0.0, "-0"),
        (math.inf, "INF"),
        (-math.inf, "-INF"),
        (math.nan, "NaN"),
    ],
)
def test_reals_have_the_shortest_form(number: float, text: str) -> None:
    assert lexical(0x90, struct.pack("<f", number)) == text
    assert lexical(0x92, struct.pack("<d", number)) == text


@MODERATE
@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, width=32))
def test_reals_lose_nothing(double: float, single: float) -> None:
    assert struct.pack("<d", float(lexical(0x92, struct.pack("<d", double)))) == struct.pack(
        "<d", double
    )
    text = lexical(0x90, struct.pack("<f", single))
    assert struct.pack("<f", float(text.replace("INF", "inf"))) == struct.pack("<f", single)


@pytest.mark.parametrize("raw", [b"\xff\xff\x7f\x7f", b"\x01\x00\x00\x00", b"\xff\xff\x7f\xff"])
def test_the_outermost_singles_are_written(raw: bytes) -> None:
    text = lexical(0x90, raw)

    assert struct.pack("<f", float(text.replace("INF", "inf"))) == raw


@MODERATE
@given(st.integers(0, 2**96 - 1), st.integers(0, 28), st.booleans())
def test_decimals_keep_their_scale(number: int, scale: int, negative: bool) -> None:  # noqa: FBT001 - drawn
    raw = struct.pack("<xxBBIQ", scale, 0x80 * negative, number >> 64, number & 2**64 - 1)
    expected = Decimal((int(negative), tuple(map(int, str(number))), -scale))

    text = lexical(0x94, raw)

    assert Decimal(text) == expected
    assert len(text.partition(".")[2]) == scale


@pytest.mark.parametrize(("scale", "sign"), [(29, 0), (255, 0), (0, 1), (2, 0x7F)])
def test_decimals_that_cannot_be_are_refused(scale: int, sign: int) -> None:
    with pytest.raises(CodecError):
        lexical(0x94, struct.pack("<xxBBIQ", scale, sign, 0, 1))


@pytest.mark.parametrize(
    ("ticks", "kind", "text"),
    [
        (0, 0, "0001-01-01T00:00:00"),
        (0, 1, "0001-01-01T00:00:00Z"),
        (10_000_000, 2, "0001-01-01T00:00:01"),
        (1, 1, "0001-01-01T00:00:00.0000001Z"),
        (3_155_378_975_999_999_999, 0, "9999-12-31T23:59:59.9999999"),
    ],
)
def test_moments_have_the_form_of_their_kind(ticks: int, kind: int, text: str) -> None:
    assert lexical(0x96, struct.pack("<Q", kind << 62 | ticks)) == text


@MODERATE
@given(st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)))  # noqa: DTZ001 - as above
def test_moments_are_read_by_the_standard_library(moment: dt.datetime) -> None:
    ticks = (moment - EPOCH) // dt.timedelta(microseconds=1) * 10

    text = lexical(0x96, struct.pack("<Q", 1 << 62 | ticks))

    # the standard library reads six digits of a second at most; the seventh is zero here
    assert dt.datetime.fromisoformat(text) == moment.replace(tzinfo=dt.UTC)


@pytest.mark.parametrize("value", [3 << 62, 3_155_378_976_000_000_000, (1 << 62) - 1])
def test_moments_outside_the_calendar_are_refused(value: int) -> None:
    with pytest.raises(CodecError):
        lexical(0x96, struct.pack("<Q", value))


@pytest.mark.parametrize(
    ("ticks", "text"),
    [
        (0, "PT0S"),
        (1, "PT0.0000001S"),
        (18_000_000_000, "PT30M"),
        (-864_000_000_000, "-P1D"),
        (864_000_000_000 + 36_000_000_000 + 15_000_000, "P1DT1H1.5S"),
    ],
)
def test_spans_are_durations(ticks: int, text: str) -> None:
    assert lexical(0xAE, struct.pack("<q", ticks)) == text


@MODERATE
@given(st.integers(-(2**63), 2**63 - 1))
def test_spans_lose_nothing(ticks: int) -> None:
    match = DURATION.fullmatch(lexical(0xAE, struct.pack("<q", ticks)))

    assert match is not None
    sign, days, hours, minutes, seconds, fraction = match.groups(default="0")
    whole = ((int(days) * 24 + int(hours)) * 60 + int(minutes)) * 60 + int(seconds)
    back = whole * 10_000_000 + int(fraction.ljust(7, "0"))
    assert (-back if sign == "-" else back) == ticks


def test_ids_are_in_the_order_of_dotnet() -> None:
    value = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
    raw = bytes.fromhex("33221100554477668899aabbccddeeff")

    assert lexical(0xB0, raw) == str(value)
    assert lexical(0xAC, raw) == f"urn:uuid:{value}"


def test_truth_is_one_octet_and_no_other() -> None:
    assert [lexical(0xB4, b"\x00"), lexical(0xB4, b"\x01")] == ["false", "true"]
    with pytest.raises(CodecError):
        lexical(0xB4, b"\x02")


def test_what_is_a_value_by_itself() -> None:
    assert CONSTANTS == {0x80: "0", 0x82: "1", 0x84: "false", 0x86: "true", 0xA8: ""}


def test_an_array_holds_values_of_fixed_size_only() -> None:
    assert set(FIXED) >= ARRAY_VALUES
    assert not ARRAY_VALUES & {0x88, 0xAC, 0xB2}  # [MC-NBFX] lists neither
