"""The codec as a whole, against itself and against one that shares no code with it."""

from __future__ import annotations

import base64
import datetime as dt
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynettcp import BinaryXmlReader, BinaryXmlWriter, events_to_element

from entrasync.entra.contracts import SyncVersion
from entrasync.entra.infoset import Event
from entrasync.entra.nbfx import read_events
from entrasync.entra.requests import encode_provision_request
from entrasync.entra.tree import Element, parse_document
from tests.unit.entra.samples import (
    HEADER,
    MIXED,
    MODERATE,
    TOKEN,
    check_golden,
    documents,
    sync_objects,
    write,
)
from tests.unit.entra.test_nbfx_reader import INNER, WHOLE, inside

Shape = tuple[str, str, dict[str, str], list[Any]]


def theirs(data: bytes) -> Shape:
    """What the other codec sees: names with namespaces, texts, attributes, children."""
    root = events_to_element(BinaryXmlReader(data).read())
    assert root is not None

    def shape(element: ET.Element) -> Shape:
        return element.tag, element.text or "", dict(element.attrib), [*map(shape, element)]

    return shape(root)


def ours(data: bytes) -> Shape:
    def name(namespace: str, local: str) -> str:
        return f"{{{namespace}}}{local}" if namespace else local

    def shape(element: Element) -> Shape:
        attributes = {name(*key): value for key, value in element.attributes.items()}
        children = [*map(shape, element.children)]
        return name(element.namespace, element.name), element.text, attributes, children

    return shape(parse_document(data))


@MODERATE
@given(documents())
def test_an_infoset_comes_back_as_it_was(events: list[Event]) -> None:
    assert list(read_events(write(events))) == events


@MODERATE
@given(documents())
def test_another_codec_reads_what_we_write(events: list[Event]) -> None:
    data = write(events)

    assert theirs(data) == ours(data)


@pytest.mark.parametrize("version", list(SyncVersion))
@MODERATE
@given(data=st.data())
def test_another_codec_reads_our_requests(version: SyncVersion, data: st.DataObject) -> None:
    objects = data.draw(st.lists(sync_objects(version), max_size=3))
    request = encode_provision_request(HEADER, version, objects)

    assert theirs(request) == ours(request)


def test_another_codec_sees_the_whole_of_an_export() -> None:
    request = encode_provision_request(HEADER, SyncVersion.V2, MIXED)
    tag, _, _, (header, body) = theirs(request)

    assert tag == "{http://www.w3.org/2003/05/soap-envelope}Envelope"
    assert TOKEN in [text for _, text, _, _ in header[3][1][3]]
    (operation,) = body[3]
    assert operation[0].endswith("}ProvisionAzureADSyncObjects2")
    objects = operation[3][0][3][0][3]
    assert [each[3][1][1] for each in objects] == ["User", "Group", "Device"]
    assert theirs(request) == ours(request)


def test_the_octets_of_an_export_do_not_change_unnoticed() -> None:
    check_golden("provision2", encode_provision_request(HEADER, SyncVersion.V2, MIXED))


# The other codec keeps no difference between UniqueId and Uuid, makes base64 of each octet record
# instead of the whole, has no values for lists, forgets an array's attributes, and reads 0xBC by
# the corrected specification alone.
_OTHERWISE = {
    "40 01 78 9E 01 01 A0 01 00 02 A3 01 00 00 00 03",
    "44 1A AD 33 22 11 00 55 44 77 66 88 99 AA BB CC DD EE FF",
    "A4 82 98 01 78 9E 01 00 A6",
    "40 01 78 A4 82 A7",
    "BC 03 00 03 96",
    "40 01 78 BD 03 00 03 96",
    "5F 05 56 61 6C 75 65 0B 01 64 F4 06 0B 01 69 F2 06 14 F8 06 BC 03 00 03 96 99 01 78",
    "03 40 01 78 04 01 6B 98 01 76 01 8B 01 FE FF",
}


@pytest.mark.parametrize(
    "data",
    [
        *(bytes.fromhex(whole) for whole, _ in WHOLE if whole not in _OTHERWISE),
        *(inside(piece) for piece, _ in INNER if piece not in _OTHERWISE),
    ],
)
def test_another_codec_reads_the_samples_alike(data: bytes) -> None:
    assert theirs(data) == ours(data)


def test_a_unique_id_is_the_same_number_to_another_codec() -> None:
    # it drops `urn:uuid:`, so that the number alone is compared
    data = bytes.fromhex("40 01 78 AD 33 22 11 00 55 44 77 66 88 99 AA BB CC DD EE FF")

    assert f"urn:uuid:{theirs(data)[1]}" == ours(data)[1]


@MODERATE
@given(
    st.text(max_size=300),
    st.binary(max_size=300),
    st.integers(-(2**63), 2**64 - 1),
    st.booleans(),
    st.uuids(),
    st.datetimes(),
)
def test_we_read_what_another_codec_writes(
    text: str,
    octets: bytes,
    number: int,
    truth: bool,  # noqa: FBT001 - drawn
    ident: object,
    moment: dt.datetime,
) -> None:
    writer = BinaryXmlWriter()
    writer.start_element("b", "root", "urn:b")
    values = (text, octets, number, truth, ident, moment)
    for value in values:
        writer.start_element("b", "v")
        writer.attribute("", "k", text)
        writer.value(value)
        writer.end_element()
    writer.end_element()

    found = parse_document(writer.getvalue())

    assert [each.text for each in found.children[:5]] == [
        text,
        base64.b64encode(octets).decode(),
        str(number),
        str(truth).lower(),
        str(ident),
    ]
    assert dt.datetime.fromisoformat(found.children[5].text) == moment
    assert {each.attributes["", "k"] for each in found.children} == {text}
