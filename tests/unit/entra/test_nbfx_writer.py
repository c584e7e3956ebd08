"""The writer: the octets of each record, and calls that make no document."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.entra.infoset import END, CodecError, StartElement, Text
from entrasync.entra.nbfx_reader import read_events
from entrasync.entra.nbfx_writer import NbfxWriter, multi_byte_int31
from tests.unit.entra.samples import MODERATE

ID = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
YES = True
Content = Callable[[NbfxWriter], object]


def element(content: Content) -> bytes:
    writer = NbfxWriter()
    writer.start("", "x")
    content(writer)
    writer.end()
    return writer.getvalue()


def value_in(content: Content) -> str:
    start, *texts, end = read_events(element(content))
    assert (start, end) == (StartElement("", "x", ""), END)
    return "".join(text.value for text in texts if isinstance(text, Text))


@pytest.mark.parametrize(
    ("value", "octets"),
    [
        (0, "00"),
        (123, "7b"),
        (127, "7f"),
        (128, "80 01"),
        (205, "cd 01"),
        (884, "f4 06"),
        (2**31 - 1, "ff ff ff ff 07"),
    ],
)
def test_lengths_are_seven_bits_an_octet(value: int, octets: str) -> None:
    assert multi_byte_int31(value) == bytes.fromhex(octets)


@pytest.mark.parametrize("value", [-1, 2**31])
def test_lengths_of_more_than_31_bits_do_not_travel(value: int) -> None:
    with pytest.raises(CodecError):
        multi_byte_int31(value)


@pytest.mark.parametrize(
    ("content", "octets"),
    [
        (lambda _: None, "01"),
        (lambda w: w.text("x"), "99 01 78"),
        (lambda w: w.text("Ü"), "99 02 c3 9c"),
        (lambda w: w.text(""), "a9"),
        (lambda w: w.text("0"), "81"),
        (lambda w: w.text("1"), "83"),
        # as text it stays text: the reader of a display name wants no truth value
        (lambda w: w.text("true"), "99 04 74 72 75 65"),
        (lambda w: w.text("Envelope"), "99 08 45 6e 76 65 6c 6f 70 65"),
        (lambda w: w.text("http://www.w3.org/2001/XMLSchema"), "ab f4 06"),
        (lambda w: w.text("a" * 256), "9b 00 01" + " 61" * 256),
        (lambda w: w.text("a" * 65_536), "9d 00 00 01 00" + " 61" * 65_536),
        (lambda w: w.boolean(YES), "87"),
        (lambda w: w.boolean(not YES), "85"),
        (lambda w: w.integer(-128), "89 80"),
        (lambda w: w.integer(128), "8b 80 00"),
        (lambda w: w.integer(32_768), "8d 00 80 00 00"),
        (lambda w: w.integer(2**31), "8f 00 00 00 80 00 00 00 00"),
        (lambda w: w.binary(b"\x01\x02"), "9f 02 01 02"),
        (lambda w: w.binary(b"\x00" * 256), "a1 00 01" + " 00" * 256),
        (lambda w: w.unique_id(ID), "ad 33 22 11 00 55 44 77 66 88 99 aa bb cc dd ee ff"),
        (lambda w: w.namespace("", "w"), "08 01 77 01"),
        (lambda w: w.namespace("p", "w"), "09 01 70 01 77 01"),
        (lambda w: w.namespace("", "http://www.w3.org/2001/XMLSchema"), "0a f4 06 01"),
        (lambda w: w.namespace("d", "http://www.w3.org/2001/XMLSchema"), "0b 01 64 f4 06 01"),
        (lambda w: w.attribute("", "w", "v"), "04 01 77 98 01 76 01"),
        (lambda w: w.attribute("pq", "w", "v"), "05 02 70 71 01 77 98 01 76 01"),
        (lambda w: w.attribute("", "nil", "true"), "06 f6 06 86 01"),
        (lambda w: w.attribute("pq", "nil", "false"), "07 02 70 71 f6 06 84 01"),
        (lambda w: w.attribute("s", "mustUnderstand", "1"), "1e 00 82 01"),
        (lambda w: w.attribute("i", "w", "0"), "2e 01 77 80 01"),
        (
            lambda w: w.attribute("i", "type", "d:string"),
            "14 f8 06 98 08 64 3a 73 74 72 69 6e 67 01",
        ),
        (lambda w: w.raw(b"\x40\x01y\x01"), "40 01 79 01 01"),
    ],
)
def test_records_have_these_octets(content: Content, octets: str) -> None:
    assert element(content) == bytes.fromhex(f"40 01 78 {octets}")


@pytest.mark.parametrize(
    ("prefix", "name", "octets"),
    [
        ("", "x", "40 01 78 01"),
        ("ns", "x", "41 02 6e 73 01 78 01"),
        ("A", "x", "41 01 41 01 78 01"),
        ("", "Envelope", "42 02 01"),
        ("ns", "Envelope", "43 02 6e 73 02 01"),
        ("a", "Envelope", "44 02 01"),
        ("z", "Envelope", "5d 02 01"),
        ("a", "x", "5e 01 78 01"),
        ("z", "x", "77 01 78 01"),
    ],
)
def test_elements_have_these_octets(prefix: str, name: str, octets: str) -> None:
    writer = NbfxWriter()
    writer.start(prefix, name)
    writer.end()

    assert writer.getvalue() == bytes.fromhex(octets)


def test_only_the_last_text_ends_its_element() -> None:
    writer = NbfxWriter()
    writer.start("", "x")
    writer.text("a")
    writer.text("b")
    writer.start("", "y")
    writer.end()
    writer.end()

    assert writer.getvalue() == bytes.fromhex("40 01 78 98 01 61 98 01 62 40 01 79 01 01")


def test_raw_records_are_not_taken_for_text() -> None:
    writer = NbfxWriter()
    writer.start("", "x")
    writer.text("a")
    writer.raw(b"\x40\x01y\x01")
    writer.end()

    assert writer.getvalue() == bytes.fromhex("40 01 78 98 01 61 40 01 79 01 01")


@MODERATE
@given(st.integers(-(2**63), 2**63 - 1), st.booleans(), st.binary(max_size=300), st.uuids())
def test_typed_values_are_read_as_text(
    number: int,
    truth: bool,  # noqa: FBT001 - drawn
    octets: bytes,
    ident: uuid.UUID,
) -> None:
    assert value_in(lambda w: w.integer(number)) == str(number)
    assert value_in(lambda w: w.boolean(truth)) == str(truth).lower()
    assert value_in(lambda w: w.binary(octets)) == base64.b64encode(octets).decode()
    assert value_in(lambda w: w.unique_id(ident)) == f"urn:uuid:{ident}"


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_integers_of_more_than_64_bits_do_not_travel(number: int) -> None:
    with pytest.raises(CodecError):
        element(lambda w: w.integer(number))


@pytest.mark.parametrize(
    "content",
    [
        lambda w: w.text("\ud800"),
        lambda w: w.attribute("", "k", "\udfff"),
        lambda w: w.start("", "\ud800"),
        lambda w: w.namespace("", "\ud800"),
        lambda w: w.start("", ""),
        lambda w: w.attribute("a", "", "v"),
        lambda w: (w.text("x"), w.attribute("", "k", "v")),
        lambda w: (w.text("x"), w.namespace("", "u")),
        lambda w: (w.raw(b"\x40\x01y\x01"), w.attribute("", "k", "v")),
        lambda w: (w.start("", "y"), w.end(), w.attribute("", "k", "v")),
        lambda w: w.start("", "y"),
        lambda w: (w.end(), w.end()),
        lambda w: (w.end(), w.text("x")),
        lambda w: (w.end(), w.boolean(YES)),
        lambda w: (w.end(), w.raw(b"\x01")),
    ],
)
def test_calls_that_make_no_document_are_refused(content: Content) -> None:
    with pytest.raises(CodecError):
        element(content)


def test_pieces_can_be_cut_out_of_what_was_written() -> None:
    writer = NbfxWriter()
    writer.start("", "x")

    assert writer.getvalue_so_far() == b"\x40\x01x"
    with pytest.raises(CodecError):
        writer.getvalue()
