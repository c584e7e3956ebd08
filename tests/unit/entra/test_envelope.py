"""Envelopes, and how a data contract's members are read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from entrasync.entra.contracts import NS_ADDRESSING, NS_SOAP, NS_XSI, ContractError
from entrasync.entra.envelope import (
    answer,
    boolean_leaf,
    boolean_of,
    envelope,
    integer_leaf,
    integer_of,
    is_nil,
    leaf,
    members,
    optional_leaf,
    text_of,
)
from entrasync.entra.infoset import CodecError
from entrasync.entra.nbfx import NbfxWriter
from entrasync.entra.tree import Element, parse_document
from tests.unit.entra.samples import open_whole

YES = True


def body_of(body: Callable[[NbfxWriter], None]) -> Element:
    return open_whole(envelope(lambda _: None, body))[1]


def listed(*children: tuple[str, str, str]) -> Element:
    """An element with children of namespace, name and text."""
    parent = Element("r", "", {})
    parent.children = [Element(name, uri, {}, text=text) for uri, name, text in children]
    return parent


def test_an_envelope_has_a_header_and_a_body_in_soap_1_2() -> None:
    root = parse_document(answer("urn:do", "1", lambda w: leaf(w, "s", "Fault", "x")))

    assert [(each.namespace, each.name) for each in (root, *root.children)] == [
        (NS_SOAP, "Envelope"),
        (NS_SOAP, "Header"),
        (NS_SOAP, "Body"),
    ]
    action, relates = root.children[0].children
    assert (action.namespace, action.name, action.text) == (NS_ADDRESSING, "Action", "urn:do")
    assert action.attributes == {(NS_SOAP, "mustUnderstand"): "1"}
    assert (relates.name, relates.text) == ("RelatesTo", "urn:uuid:1")


def test_an_answer_to_nobody_relates_to_nothing() -> None:
    header, _ = open_whole(answer("a", None, lambda w: leaf(w, "s", "Fault", "x")))

    assert header is not None
    assert header.find("RelatesTo") is None


def root(writer: NbfxWriter, name: str, namespace: str) -> None:
    writer.start("s", name)
    writer.namespace("s", namespace)


def other_name(writer: NbfxWriter) -> None:
    root(writer, "Letter", NS_SOAP)


def soap_1_1(writer: NbfxWriter) -> None:
    root(writer, "Envelope", "http://schemas.xmlsoap.org/soap/envelope/")
    writer.start("s", "Body")
    leaf(writer, "", "x", "")
    writer.end()


def no_body(writer: NbfxWriter) -> None:
    root(writer, "Envelope", NS_SOAP)


def empty_body(writer: NbfxWriter) -> None:
    root(writer, "Envelope", NS_SOAP)
    leaf(writer, "s", "Body", "")


def two_in_the_body(writer: NbfxWriter) -> None:
    root(writer, "Envelope", NS_SOAP)
    writer.start("s", "Body")
    leaf(writer, "", "x", "")
    leaf(writer, "", "x", "")
    writer.end()


@pytest.mark.parametrize("write", [other_name, soap_1_1, no_body, empty_body, two_in_the_body])
def test_what_is_no_envelope_is_refused(write: Callable[[NbfxWriter], None]) -> None:
    writer = NbfxWriter()
    write(writer)
    writer.end()
    with pytest.raises(ContractError):
        open_whole(writer.getvalue())


def test_an_envelope_may_lack_its_header() -> None:
    writer = NbfxWriter()
    root(writer, "Envelope", NS_SOAP)
    writer.start("s", "Body")
    leaf(writer, "", "x", "y")
    writer.end()
    writer.end()

    header, body = open_whole(writer.getvalue())

    assert (header, body.text) == (None, "y")


def test_leaves_hold_their_values() -> None:
    def body(writer: NbfxWriter) -> None:
        writer.start("", "r")
        writer.namespace("i", NS_XSI)
        optional_leaf(writer, "", "none", None)
        optional_leaf(writer, "", "empty", "")
        boolean_leaf(writer, "", "truth", value=YES)
        integer_leaf(writer, "", "number", -5)
        writer.end()

    none, empty, truth, number = body_of(body).children

    assert (is_nil(none), is_nil(empty)) == (True, False)
    assert (none.text, empty.text, truth.text, number.text) == ("", "", "true", "-5")


@pytest.mark.parametrize(
    ("value", "nil"), [("true", True), ("1", True), (" true ", True), ("false", False), ("", False)]
)
def test_nil_is_a_truth_value(value: str, nil: bool) -> None:  # noqa: FBT001 - a table's column
    element = Element("x", "", {}, attributes={(NS_XSI, "nil"): value})

    assert is_nil(element) is nil


def test_members_are_read_in_order() -> None:
    element = listed(("u", "A", "1"), ("u", "C", "3"))

    found = members(element, "u", ("A", "B", "C"))

    assert {name: each.text for name, each in found.items()} == {"A": "1", "C": "3"}


@pytest.mark.parametrize(
    ("children", "expected"),
    [
        ([("u", "B", "2"), ("u", "A", "1")], {"B": "2"}),
        ([("u", "A", "1"), ("u", "A", "2")], {"A": "1"}),
        ([("v", "A", "1"), ("u", "B", "2")], {"B": "2"}),
        ([("u", "Z", "1"), ("u", "B", "2")], {"B": "2"}),
        ([("u", "C", "3"), ("u", "A", "1"), ("u", "B", "2")], {"C": "3"}),
    ],
)
def test_members_out_of_order_are_lost_as_in_the_real_service(
    children: list[tuple[str, str, str]], expected: dict[str, str]
) -> None:
    found = members(listed(*children), "u", ("A", "B", "C"))

    assert {name: each.text for name, each in found.items()} == expected


def test_a_member_that_must_be_there_is_missed_by_name() -> None:
    assert text_of(members(listed(("u", "A", "1")), "u", ("A",)), "A") == "1"
    with pytest.raises(ContractError, match="A is missing or out of order"):
        text_of({}, "A")


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("1", True), (" False ", False), ("0", False)]
)
def test_truth_values_have_these_texts(text: str, value: bool) -> None:  # noqa: FBT001 - a table
    assert boolean_of(text) is value


@pytest.mark.parametrize("text", ["", "yes", "2", "truefalse"])
def test_other_texts_are_no_truth_values(text: str) -> None:
    with pytest.raises(ContractError):
        boolean_of(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), (" -7 ", -7), (str(2**63 - 1), 2**63 - 1), (str(-(2**63)), -(2**63))],
)
def test_integers_have_these_texts(text: str, value: int) -> None:
    assert integer_of(text) == value


@pytest.mark.parametrize(
    "text", ["", "-", "--1", "+1", "1.0", "1e3", "0x1", "1_0", "²", "٣", str(2**63), "9" * 5000]
)
def test_other_texts_are_no_integers(text: str) -> None:
    with pytest.raises(ContractError):
        integer_of(text)


def test_a_contract_error_is_a_codec_error() -> None:
    # so that one `except` tells all that may come of an answer
    assert issubclass(ContractError, CodecError)
