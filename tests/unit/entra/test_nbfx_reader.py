"""The reader: what the specification's samples mean, and that nothing else gets through."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.entra.infoset import (
    END,
    XML_NAMESPACE,
    Attribute,
    CodecError,
    CodecLimits,
    Event,
    Namespace,
    StartElement,
    Text,
)
from entrasync.entra.nbfs_dictionary import STATIC_STRINGS
from entrasync.entra.nbfx_reader import NbfxReader, Node, Source, read_events
from tests.unit.entra.samples import MODERATE, damaged, documents, write

SOAP = "http://www.w3.org/2003/05/soap-envelope"
ADDRESSING = "http://www.w3.org/2005/08/addressing"
XSI = "http://www.w3.org/2001/XMLSchema-instance"
XSD = "http://www.w3.org/2001/XMLSchema"
X = StartElement("", "x", "")
TYPED: list[Event] = [
    StartElement("b", "Value", "b"),
    Namespace("d", XSD),
    Namespace("i", XSI),
    Attribute("i", "type", "d:string"),
    Text("x"),
    END,
]

WHOLE: list[tuple[str, list[Event]]] = [
    (
        "56 02 0B 01 73 04 0B 01 61 06 56 08 44 0A 1E 00 82 99 01 78 01 01",
        [
            StartElement("s", "Envelope", SOAP),
            Namespace("s", SOAP),
            Namespace("a", ADDRESSING),
            StartElement("s", "Header", SOAP),
            StartElement("a", "Action", ADDRESSING),
            Attribute("s", "mustUnderstand", "1"),
            Text("x"),
            END,
            END,
            END,
        ],
    ),
    ("40 01 78 9E 03 01 02 03 9F 01 04", [X, Text("AQIDBA=="), END]),
    ("40 01 78 9E 01 01 A0 01 00 02 A3 01 00 00 00 03", [X, Text("AQID"), END]),
    ("40 01 78 9E 01 01 98 01 2D 9E 01 01 01", [X, Text("AQ=="), Text("-"), Text("AQ=="), END]),
    (
        "40 01 78 95 00 00 02 00 00 00 00 00 39 30 00 00 00 00 00 00",
        [X, Text("123.45"), END],
    ),
]
"""Documents of the reference's table, and some like them."""

INNER: list[tuple[str, list[Event]]] = [
    ("98 01 78", [Text("x")]),
    ("BC 03 96 07", [Text("d:string")]),
    # what encoders by the old text of the specification write
    ("BC 03 00 03 96", [Text("d:string")]),
    ("40 01 78 BD 03 96 07", [X, Text("d:string"), END]),
    ("40 01 78 BD 03 00 03 96", [X, Text("d:string"), END]),
    ("5F 05 56 61 6C 75 65 0B 01 64 F4 06 0B 01 69 F2 06 14 F8 06 BC 03 96 07 99 01 78", TYPED),
    ("5F 05 56 61 6C 75 65 0B 01 64 F4 06 0B 01 69 F2 06 14 F8 06 BC 03 00 03 96 99 01 78", TYPED),
    (
        (
            "5F 05 56 61 6C 75 65 0B 01 64 F4 06 0B 01 69 F2 06"
            " 14 F8 06 98 08 64 3A 73 74 72 69 6E 67 99 01 78"
        ),
        TYPED,
    ),
    (
        "5F 05 56 61 6C 75 65 0B 01 69 F2 06 14 F6 06 86 01",
        [
            StartElement("b", "Value", "b"),
            Namespace("i", XSI),
            Attribute("i", "nil", "true"),
            END,
        ],
    ),
    ("03 40 01 78 01 B5 02 01 00", [X, Text("true"), END, X, Text("false"), END]),
    (
        "44 1A AD 33 22 11 00 55 44 77 66 88 99 AA BB CC DD EE FF",
        [
            StartElement("a", "MessageID", "a"),
            Text("urn:uuid:00112233-4455-6677-8899-aabbccddeeff"),
            END,
        ],
    ),
    ("03 40 01 78 04 01 6B 98 01 76 01 8B 01 FE FF", [X, Attribute("", "k", "v"), Text("-2"), END]),
    ("A4 82 98 01 78 9E 01 00 A6", [Text("1 x AA==")]),
    ("40 01 78 A4 82 A7", [X, Text("1"), END]),
    ("02 02 68 69 98 01 78 02 00", [Text("x")]),
    ("B6 04 3D D8 00 DE", [Text("😀")]),
    ("AA 0A", [Text("Action")]),
    ("40 01 78 A9", [X, Text(""), END]),
    (
        "41 02 6E 73 01 78 09 02 6E 73 01 75 01",
        [StartElement("ns", "x", "u"), Namespace("ns", "u"), END],
    ),
    (
        "43 01 61 02 08 01 75 07 01 61 F6 06 82 01",
        [
            StartElement("a", "Envelope", "a"),
            Namespace("", "u"),
            Attribute("a", "nil", "1"),
            END,
        ],
    ),
]
"""Pieces that stand in `<r xmlns:a="a" xmlns:b="b">`, whose prefixes they use."""


def inside(piece: str) -> bytes:
    return bytes.fromhex(f"40 01 72 09 01 61 01 61 09 01 62 01 62 {piece} 01")


@pytest.mark.parametrize(("data", "events"), WHOLE)
def test_documents_mean_what_the_reference_says(data: str, events: list[Event]) -> None:
    assert list(read_events(bytes.fromhex(data))) == events


@pytest.mark.parametrize(("piece", "events"), INNER)
def test_pieces_mean_what_the_reference_says(piece: str, events: list[Event]) -> None:
    found = list(read_events(inside(piece)))

    assert found[:3] == [StartElement("", "r", ""), Namespace("a", "a"), Namespace("b", "b")]
    assert found[3:-1] == events
    assert found[-1] == END


@pytest.mark.parametrize(
    "data",
    [
        pytest.param("", id="nothing"),
        pytest.param("98 01 78", id="text without an element"),
        pytest.param("01", id="an end without a start"),
        pytest.param("40 01 78", id="no end"),
        pytest.param("40 01 78 01 01", id="an end too many"),
        pytest.param("40 01 78 01 40 01 79 01", id="two roots"),
        pytest.param("40 01 78 01 00", id="something after the end"),
        pytest.param("03 40 01 78 01 B5 02 01 00", id="an array as the root"),
        pytest.param("40 00 01", id="an empty name"),
        pytest.param("40 02 61 62 63 01", id="a name cut short"),
        pytest.param("40 01 20 01", id="a blank as a name"),
        pytest.param("40 03 61 3A 62 01", id="a colon in a name"),
        pytest.param("40 01 FF 01", id="a name that is no UTF-8"),
        pytest.param("42 A2 01 01", id="the empty string of the dictionary as a name"),
        pytest.param("42 04 01", id="a namespace as a name"),
        pytest.param("42 01 01", id="a string of a session"),
        pytest.param("42 CE 07 01", id="a number beyond the dictionary"),
        pytest.param("42 FF FF FF FF FF 01 01", id="a number of six octets"),
        pytest.param("42 FF FF FF FF 0F 01", id="a number of 32 bits"),
        pytest.param("5F 01 78 01", id="a prefix not declared"),
        pytest.param("40 01 78 27 01 6B 82 01", id="an attribute's prefix not declared"),
        pytest.param("40 01 78 09 03 78 6D 6C 01 75 01", id="xml declared"),
        pytest.param("40 01 78 09 05 78 6D 6C 6E 73 01 75 01", id="xmlns declared"),
        pytest.param("40 01 78 09 01 61 00 01", id="a prefix bound to nothing"),
        pytest.param("40 01 78 04 01 6B 82 04 01 6B 82 01", id="an attribute twice"),
        pytest.param("40 01 78 08 01 75 08 01 76 01", id="a namespace twice"),
        pytest.param("40 01 78 04 01 6B 99 01 78", id="an attribute's value that ends an element"),
        pytest.param("40 01 78 04 01 6B 40 01 79 01 01", id="an element as an attribute's value"),
        pytest.param("40 01 78 A8 04 01 6B 82 01", id="an attribute after text"),
        pytest.param("40 01 78 98 02 78", id="text cut short"),
        pytest.param("40 01 78 99 01 C3", id="text that is no UTF-8"),
        pytest.param("40 01 78 B7 02 00 D8", id="half a surrogate pair"),
        pytest.param("40 01 78 B7 01 41", id="half a unit of UTF-16"),
        pytest.param("40 01 78 9D FF FF FF FF", id="a length of four gigabytes"),
        pytest.param("40 01 78 BD 1A 96 07", id="a prefix beyond z"),
        pytest.param("40 01 78 BD 03 97 07", id="a qualified name of a session"),
        pytest.param("40 01 78 BD 03 00 FF FE", id="an old qualified name beyond the dictionary"),
        pytest.param("40 01 78 BF", id="a text record there is not"),
        pytest.param("40 01 78 A6 01", id="a list's end without a start"),
        pytest.param("40 01 78 A5 82 A7", id="a list that ends where it starts"),
        pytest.param("40 01 78 A4 A4 A6 A7", id="a list in a list"),
        pytest.param("40 01 78 A4 83 A7", id="a list's value that ends an element"),
        pytest.param("40 01 78 A4 40 01 79 01 A7", id="an element in a list"),
        pytest.param("40 01 78 B5 02", id="a truth value of two"),
        pytest.param("40 01 72 03 98 01 78 01", id="an array of no element"),
        pytest.param("40 01 72 03 40 01 78 82 B5 01 01 01", id="an array's element with content"),
        pytest.param("40 01 72 03 40 01 78 01 B4 01 01 01", id="an array's values without an end"),
        pytest.param("40 01 72 03 40 01 78 01 99 01 01 01", id="an array of texts"),
        pytest.param("40 01 72 03 40 01 78 01 B5 00 01", id="an array of nothing"),
        pytest.param("40 01 72 03 40 01 78 01 8F 02 00 00 01", id="an array cut short"),
        pytest.param("40 01 72 78 01", id="a record there is not"),
        pytest.param("40 01 72 7F 01 61 01 01", id="the last record there is not"),
        pytest.param("40 01 72 00 01", id="record zero"),
    ],
)
def test_what_is_no_document_is_refused(data: str) -> None:
    with pytest.raises(CodecError):
        list(read_events(bytes.fromhex(data)))


def nested(depth: int) -> bytes:
    return b"\x40\x01x" * depth + b"\x01" * depth


def text_of(size: int) -> bytes:
    return b"\x40\x01x\x9b" + size.to_bytes(2, "little") + b"a" * size


def attributes_of(count: int) -> bytes:
    names = (b"\x04\x02" + b"a%c" % (0x41 + each) + b"\x82" for each in range(count))
    return b"\x40\x01x" + b"".join(names) + b"\x01"


def array_of(*counts: int) -> bytes:
    rows = (b"\x03\x40\x01x\x01\xb5" + bytes((count,)) + b"\x00" * count for count in counts)
    return b"\x40\x01r" + b"".join(rows) + b"\x01"


@pytest.mark.parametrize(
    ("limits", "fits", "exceeds"),
    [
        (CodecLimits(max_bytes=50), nested(12), nested(13)),
        (CodecLimits(max_depth=4), nested(4), nested(5)),
        (CodecLimits(max_text=300), text_of(300), text_of(301)),
        (CodecLimits(max_name=3), b"\x40\x03xyz\x01", b"\x40\x04wxyz\x01"),
        (
            CodecLimits(max_name=3),
            b"\x40\x01x\x08\x03uri\x01",
            b"\x40\x01x\x08\x04urii\x01",
        ),
        (CodecLimits(max_attributes=3), attributes_of(3), attributes_of(4)),
        (CodecLimits(max_array=3), array_of(3), array_of(4)),
        (CodecLimits(max_array=3), array_of(1, 2), array_of(2, 2)),
        (CodecLimits(max_text=3), b"\x40\x01x\x02\x03abc\x01", b"\x40\x01x\x02\x04abcd\x01"),
        # a list's length counts as a whole: a blank after each part
        (CodecLimits(max_text=4), b"\x40\x01x\xa4\x82\x82\xa7", b"\x40\x01x\xa4\x82\x82\x82\xa7"),
        (
            CodecLimits(max_text=4),
            b"\x40\x01x\x9e\x02ab\x9f\x02cd",
            b"\x40\x01x\x9e\x03abc\x9f\x02de",
        ),
    ],
)
def test_limits_hold_to_the_last_octet(limits: CodecLimits, fits: bytes, exceeds: bytes) -> None:
    assert list(read_events(fits, limits))[-1] == END
    with pytest.raises(CodecError):
        list(read_events(exceeds, limits))


def test_events_come_before_the_end_is_seen() -> None:
    # so that a large answer needs no memory of its size
    events = read_events(nested(2)[:-1] + b"\x00")

    assert [next(events), next(events), next(events)] == [X, X, END]
    with pytest.raises(CodecError):
        next(events)


def test_the_prefix_xml_is_always_known() -> None:
    data = bytes.fromhex("41 03 78 6D 6C 01 78 01")

    assert list(read_events(data)) == [StartElement("xml", "x", XML_NAMESPACE), END]


@MODERATE
@given(st.binary(max_size=200))
def test_rubbish_is_decoded_or_refused(data: bytes) -> None:
    with suppress(CodecError):
        list(read_events(data))
    with suppress(CodecError):
        list(read_events(b"\x40\x01x" + data))


@MODERATE
@given(st.data(), documents())
def test_damaged_documents_are_decoded_or_refused(data: st.DataObject, events: list[Event]) -> None:
    with suppress(CodecError):
        list(read_events(data.draw(damaged(write(events)))))


@MODERATE
@given(st.data(), documents())
def test_a_document_cut_off_is_always_refused(data: st.DataObject, events: list[Event]) -> None:
    whole = write(events)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(CodecError):
        list(read_events(whole[:cut]))


@MODERATE
@given(st.data(), documents())
def test_whatever_is_read_keeps_the_limits(data: st.DataObject, events: list[Event]) -> None:
    limits = CodecLimits(max_depth=2, max_text=5, max_name=8, max_attributes=2)
    found: list[Event] = []
    with suppress(CodecError):
        found.extend(
            read_events(data.draw(st.just(write(events)) | damaged(write(events))), limits)
        )

    depth = 0
    for event in found:
        depth += isinstance(event, StartElement) - (event == END)
        assert depth <= 2
        if isinstance(event, StartElement):
            # words of the dictionary are known beforehand, however long
            assert len(event.name) <= 8 or event.name in STATIC_STRINGS


@MODERATE
@given(st.data(), documents())
def test_a_document_means_the_same_in_whatever_pieces_it_comes(
    data: st.DataObject, events: list[Event]
) -> None:
    whole = data.draw(st.just(write(events)) | damaged(write(events)))
    sizes = data.draw(st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any))

    assert outcome_of(pieces_of(whole, sizes)) == outcome_of(whole)


def pieces_of(whole: bytes, sizes: list[int]) -> Iterator[bytes]:
    at = 0
    for size in itertools.cycle(sizes):
        if at >= len(whole):
            return
        yield whole[at : at + size]
        at += size


def outcome_of(source: Source) -> tuple[list[Event], str]:
    """What was read, and what was said at the end."""
    found: list[Event] = []
    try:
        found.extend(read_events(source))
    except CodecError as error:
        return [], error.message
    return found, ""


def test_no_more_of_a_document_is_held_than_the_pieces_at_hand() -> None:
    piece = b"\x40\x01x\x99\x0f" + b"y" * 15
    reader = NbfxReader(itertools.chain([b"\x40\x01r"], itertools.repeat(piece, 10_000), [b"\x01"]))
    held = 0
    while reader.read() is not Node.NOTHING:
        held = max(held, len(reader.upcoming()[0]))

    assert reader.position == 10_000 * len(piece) + 4
    assert held <= 2 * len(piece)
