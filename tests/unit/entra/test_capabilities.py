"""Capabilities: a document in a string, read with care."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.entra.capabilities import (
    MAX_DOCUMENT,
    Capabilities,
    decode_capabilities_response,
    encode_capabilities_request,
    encode_capabilities_response,
    read_capabilities,
    write_capabilities,
)
from entrasync.entra.contracts import ACTION_PREFIX, NS_SERVICE, ContractError
from entrasync.entra.faults import SoapFaultError, encode_fault
from entrasync.entra.infoset import CodecError
from entrasync.entra.requests import decode_envelope
from entrasync.entra.responses import encode_response, open_response
from entrasync.entra.tree import parse_document
from tests.unit.entra.samples import HEADER, MESSAGE, MODERATE, TOKEN, damaged

SAMPLE = (
    "<ServiceCapability><MicrosoftOnline><Protocol><Application>"
    "<LatestProductVersion>3.2</LatestProductVersion>"
    "<MinimumProductVersion>1.0</MinimumProductVersion>"
    "<BlackList><Enabled>false</Enabled><ClientVersion></ClientVersion></BlackList>"
    "</Application></Protocol></MicrosoftOnline></ServiceCapability>"
)
OF_SAMPLE = Capabilities(latest_product_version="3.2", minimum_product_version="1.0")

words = st.text("0123456789.aäß<>&\"'", max_size=12).map(str.strip)
capabilities = st.builds(
    Capabilities,
    latest_product_version=words,
    minimum_product_version=words,
    black_list_enabled=st.booleans(),
    black_listed_versions=st.lists(words.filter(bool), max_size=4).map(tuple),
)


def test_the_sample_is_read_and_written() -> None:
    assert read_capabilities(SAMPLE) == OF_SAMPLE
    assert write_capabilities(OF_SAMPLE) == SAMPLE


@MODERATE
@given(capabilities)
def test_capabilities_come_back_as_they_were(given_: Capabilities) -> None:
    assert decode_capabilities_response(encode_capabilities_response(given_)) == given_


def test_a_request_has_no_members() -> None:
    opened = decode_envelope(encode_capabilities_request(HEADER))

    assert opened.operation == "Capabilities"
    assert opened.token is not None
    assert opened.token.bearer_token == TOKEN
    assert (opened.body.namespace, opened.body.name) == (NS_SERVICE, "Capabilities")
    assert opened.body.children == []


def test_an_answer_holds_the_document_as_text() -> None:
    data = encode_capabilities_response(OF_SAMPLE, relates_to=MESSAGE)
    header = parse_document(data).children[0]

    assert header.child_text("Action") == f"{ACTION_PREFIX}CapabilitiesResponse"
    assert header.child_text("RelatesTo") == f"urn:uuid:{MESSAGE}"
    result = open_response(data)
    assert (result.name, result.text, result.children) == ("CapabilitiesResult", SAMPLE, [])


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ("<a/>", Capabilities()),
        (f'<?xml version="1.0" encoding="utf-16"?>{SAMPLE}', OF_SAMPLE),
        (SAMPLE.replace("<Protocol>", "").replace("</Protocol>", ""), OF_SAMPLE),
        (
            (
                '<s xmlns="urn:x"><BlackList><Enabled> True </Enabled><ClientVersion>1.1'
                "</ClientVersion><ClientVersion/><ClientVersion>1.2</ClientVersion></BlackList>"
                "<ClientVersion>9</ClientVersion></s>"
            ),
            Capabilities(black_list_enabled=True, black_listed_versions=("1.1", "1.2")),
        ),
        ("<a><Enabled>true</Enabled><ClientVersion>9</ClientVersion></a>", Capabilities()),
    ],
)
def test_names_are_found_wherever_they_are(document: str, expected: Capabilities) -> None:
    assert read_capabilities(document) == expected


@pytest.mark.parametrize(
    "document",
    [
        "",
        "3.2",
        "<a>",
        "<a></b>",
        "<a/><b/>",
        "<a>\x00</a>",
        "<a>\ud800</a>",
        "<a>&unknown;</a>",
        '<!DOCTYPE a [<!ENTITY b "bb">]><a>&b;</a>',
        '<!DOCTYPE a SYSTEM "file:///etc/hostname"><a/>',
        '<?xml version="1.0"?><!DOCTYPE a><a/>',
        "<a><!-- a remark --></a>",
        "<a><![CDATA[x]]></a>",
        "<a><BlackList><Enabled>perhaps</Enabled></BlackList></a>",
        f"<a>{'x' * MAX_DOCUMENT}</a>",
    ],
)
def test_anything_else_is_refused(document: str) -> None:
    with pytest.raises(ContractError):
        read_capabilities(document)


def test_a_document_of_the_largest_size_may_be_nothing_but_depth() -> None:
    depth = MAX_DOCUMENT // 7

    assert read_capabilities("<a>" * depth + "</a>" * depth) == Capabilities()


@MODERATE
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(document: str) -> None:
    with suppress(ContractError):
        read_capabilities(document)


def test_an_answer_without_a_document_is_refused() -> None:
    def nil(writer: object) -> None:
        writer.attribute("i", "nil", "true")  # type: ignore[attr-defined]

    contents: list[Callable[..., None]] = [
        nil,
        lambda _: None,
        lambda writer: (writer.start("", "x"), writer.end())[1],
    ]
    for content in contents:
        with pytest.raises(CodecError):
            decode_capabilities_response(encode_response("Capabilities", content, None))


def test_a_fault_is_no_answer() -> None:
    with pytest.raises(SoapFaultError):
        decode_capabilities_response(encode_fault("Receiver", "r"))


@MODERATE
@given(st.data())
def test_a_damaged_answer_is_decoded_or_refused(data: st.DataObject) -> None:
    with suppress(CodecError, SoapFaultError):
        decode_capabilities_response(data.draw(damaged(encode_capabilities_response(OF_SAMPLE))))
