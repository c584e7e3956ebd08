"""The element tree the contracts are read from."""

from __future__ import annotations

import pytest
from hypothesis import given

from entrasync.entra.infoset import (
    END,
    Attribute,
    CodecError,
    CodecLimits,
    Event,
    Namespace,
    StartElement,
    Text,
)
from entrasync.entra.tree import parse_document
from tests.unit.entra.samples import MODERATE, documents, write

ROOT = StartElement("", "r", "")


def start(name: str) -> StartElement:
    return StartElement("", name, "")


@MODERATE
@given(documents())
def test_a_tree_holds_every_element_and_all_text(events: list[Event]) -> None:
    root = parse_document(write(events))

    assert [each.name for each in root.walk()] == [
        event.name for event in events if isinstance(event, StartElement)
    ]
    assert [each.namespace for each in root.walk()] == [
        event.namespace for event in events if isinstance(event, StartElement)
    ]
    texts = sum(len(event.value) for event in events if isinstance(event, Text))
    assert sum(len(each.text) for each in root.walk()) == texts


def test_text_around_children_is_joined() -> None:
    events: list[Event] = [ROOT, Text("a"), Text("b"), start("c"), Text("x"), END, Text("d"), END]
    root = parse_document(write(events))

    assert (root.text, root.child_text("c")) == ("abd", "x")


def test_attributes_have_the_namespace_of_their_prefix_and_none_without_one() -> None:
    events: list[Event] = [
        StartElement("", "r", "u"),
        Attribute("p", "k", "1"),
        Attribute("", "k", "2"),
        Namespace("", "u"),
        Namespace("p", "v"),
        END,
    ]
    root = parse_document(write(events))

    assert root.attributes == {("v", "k"): "1", ("", "k"): "2"}


def test_namespaces_hold_inside_their_element_only() -> None:
    events: list[Event] = [
        ROOT,
        start("a"),
        Namespace("p", "u"),
        start("b"),
        END,
        END,
        start("c"),
        END,
        END,
    ]
    a, c = parse_document(write(events)).children

    assert a.children[0].qualified("p:x") == ("u", "x")
    assert a.qualified(" x ") == ("", "x")
    with pytest.raises(CodecError):
        c.qualified("p:x")


@pytest.mark.parametrize("name", ["", ":", "p:", ":x", "q:x", "a:b:c"])
def test_a_qualified_name_needs_a_declared_prefix(name: str) -> None:
    root = parse_document(write([ROOT, Namespace("p", "u"), END]))

    with pytest.raises(CodecError):
        root.qualified(name)


def test_elements_are_found_by_their_local_name() -> None:
    inner: list[Event] = [StartElement("b", "x", "u"), Text("2"), END]
    events: list[Event] = [
        ROOT,
        start("a"),
        Namespace("b", "u"),
        *inner,
        END,
        start("x"),
        END,
        start("x"),
        END,
        END,
    ]
    root = parse_document(write(events))

    first = root.descend("x")
    assert first is not None
    assert (first.namespace, first.text) == ("u", "2")
    assert root.find("x") is root.children[1]
    assert len(root.find_all("x")) == 2
    assert root.descend("r") is None
    assert (root.find("none"), root.child_text("none")) == (None, None)


def test_a_value_of_many_records_is_limited_as_one() -> None:
    limits = CodecLimits(max_text=4)
    whole: list[Event] = [ROOT, Text("ab"), start("c"), Text("abcd"), END, Text("cd")]

    assert parse_document(write([*whole, END]), limits).text == "abcd"
    with pytest.raises(CodecError):
        parse_document(write([*whole, Text("e"), END]), limits)


@pytest.mark.parametrize("events", [[], [ROOT], [ROOT, END, ROOT, END]])
def test_events_without_one_root_are_refused(events: list[Event]) -> None:
    with pytest.raises(CodecError):
        parse_document(write(events))
