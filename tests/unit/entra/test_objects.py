"""`AzureADSyncObject`: every kind of value, and the shape the service expects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.entra.contracts import (
    NS_ARRAYS,
    NS_OBJECTS,
    NS_SERVICE,
    NS_XSD,
    NS_XSI,
    ContractError,
    LinkChange,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
    SyncVersion,
)
from entrasync.entra.envelope import is_nil, leaf
from entrasync.entra.infoset import XML_NAMESPACE, CodecError
from entrasync.entra.nbfx import NbfxWriter
from entrasync.entra.objects import ObjectReader, write_object
from entrasync.entra.tree import Element, ElementReader, parse_document
from tests.unit.entra.samples import MODERATE, sync_objects

USER = SyncObject(
    object_type=SyncObjectType.USER, operation=SyncOperation.SET, source_anchor="YW5u"
)
GROUP = replace(USER, object_type=SyncObjectType.GROUP)
Write = Callable[[NbfxWriter], object]


def wrapped(write: Write) -> Element:
    """What `write` writes, with the prefixes an object relies on."""
    writer = NbfxWriter()
    writer.start("", "r")
    writer.namespace("", NS_SERVICE)
    writer.namespace("b", NS_OBJECTS)
    writer.namespace("i", NS_XSI)
    write(writer)
    writer.end()
    return parse_document(writer.getvalue()).children[0]


def octets_of(element: Element) -> bytes:
    """An element as octets, whatever was done to it, with all prefixes it knows."""
    writer = NbfxWriter()

    def write(each: Element) -> None:
        prefix = next(p for p, uri in each.scope.items() if uri == each.namespace)
        writer.start(prefix, each.name)
        for declared in each.scope.items():
            if declared not in {("", ""), ("xml", XML_NAMESPACE)}:
                writer.namespace(*declared)
        for (namespace, name), value in each.attributes.items():
            writer.attribute(
                next(p for p, uri in each.scope.items() if p and uri == namespace), name, value
            )
        if each.text:
            writer.text(each.text)
        for child in each.children:
            write(child)
        writer.end()

    write(element)
    return writer.getvalue()


def read(element: Element, *, strict: bool) -> SyncObject:
    """The object an element is."""
    reader = ElementReader(octets_of(element))
    next(reader.children())
    back = ObjectReader(reader, strict=strict).read()
    reader.finish()
    return back


def tree_of(each: SyncObject) -> Element:
    return wrapped(lambda writer: write_object(writer, each))


def value_of(value: PropertyValue) -> Element:
    """The element `Value` of one property."""
    entries = tree_of(replace(USER, properties={"k": value})).children[0].children
    return entries[-1].children[1]


def entry(key: str, write: Write) -> Element:
    """An object of one property that somebody else wrote."""

    def whole(writer: NbfxWriter) -> None:
        writer.start("b", "AzureADSyncObject")
        writer.start("b", "PropertyValues")
        writer.namespace("c", NS_ARRAYS)
        writer.namespace("d", NS_XSD)
        writer.start("c", "KeyValueOfstringanyType")
        leaf(writer, "c", "Key", key)
        writer.start("c", "Value")
        write(writer)
        writer.end()
        writer.end()
        writer.end()
        leaf(writer, "b", "SyncObjectType", "Group")
        leaf(writer, "b", "SyncOperation", "Add")
        writer.end()

    return wrapped(whole)


def typed(kind: str, text: str) -> Write:
    def write(writer: NbfxWriter) -> None:
        writer.attribute("i", "type", kind)
        writer.text(text)

    return write


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("version", list(SyncVersion))
@MODERATE
@given(data=st.data())
def test_an_object_comes_back_as_it_was(
    version: SyncVersion, *, strict: bool, data: st.DataObject
) -> None:
    each = data.draw(sync_objects(version))

    back = read(tree_of(each), strict=strict)

    assert back == each
    # equality alone takes True for 1
    assert [*map(repr, back.properties.values())] == [*map(repr, each.properties.values())]


def test_members_stand_in_the_documented_order() -> None:
    element = tree_of(replace(USER, cloud_anchor="User_1", properties={"a": "x", "b": None}))

    assert [(each.namespace, each.name) for each in element.children] == [
        (NS_OBJECTS, "PropertyValues"),
        (NS_OBJECTS, "SyncObjectType"),
        (NS_OBJECTS, "SyncOperation"),
    ]
    entries = element.children[0].children
    assert {(each.namespace, each.name) for each in entries} == {
        (NS_ARRAYS, "KeyValueOfstringanyType")
    }
    assert {tuple(each.name for each in one.children) for one in entries} == {("Key", "Value")}
    assert [one.child_text("Key") for one in entries] == ["SourceAnchor", "CloudAnchor", "a", "b"]


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        ("x", (NS_XSD, "string"), "x"),
        ("", (NS_XSD, "string"), ""),
        (True, (NS_XSD, "boolean"), "true"),
        (False, (NS_XSD, "boolean"), "false"),
        (276, (NS_XSD, "long"), "276"),
        (-(2**63), (NS_XSD, "long"), "-9223372036854775808"),
        (b"\x00\xff", (NS_XSD, "base64Binary"), "AP8="),
        (("a",), (NS_ARRAYS, "ArrayOfstring"), ""),
        ((), (NS_ARRAYS, "ArrayOfstring"), ""),
        ((b"a",), (NS_ARRAYS, "ArrayOfbase64Binary"), ""),
    ],
)
def test_a_value_has_its_type(value: PropertyValue, kind: tuple[str, str], text: str) -> None:
    element = value_of(value)

    # the name's prefix is resolved where it stands, as the service does
    assert element.qualified(element.attributes[NS_XSI, "type"]) == kind
    assert element.text == text


def test_a_cleared_value_is_nil_and_has_no_type() -> None:
    element = value_of(None)

    assert is_nil(element)
    assert (NS_XSI, "type") not in element.attributes
    assert (element.text, element.children) == ("", [])


def test_lists_hold_an_element_for_each_value() -> None:
    strings, octets = value_of(("a", "")), value_of((b"\x00", b""))

    assert [(e.namespace, e.name, e.text) for e in strings.children] == [
        (NS_ARRAYS, "string", "a"),
        (NS_ARRAYS, "string", ""),
    ]
    assert [(e.namespace, e.name, e.text) for e in octets.children] == [
        (NS_ARRAYS, "base64Binary", "AA=="),
        (NS_ARRAYS, "base64Binary", ""),
    ]


@pytest.mark.parametrize("anchor", ["YW5u", "0", "", "Ü" * 127, "Ü" * 128])
def test_changes_of_members_have_the_shape_the_service_knows(anchor: str) -> None:
    links = (
        LinkChange(anchor=anchor, add=True),
        LinkChange(anchor=anchor, add=False),
        LinkChange(anchor=anchor, add=True, by_cloud_anchor=True),
    )
    entries = tree_of(replace(GROUP, links=links)).children[0].children
    key, value = entries[-1].children
    (changes,) = value.children

    assert key.text == "member"
    # without a prefix the name lies in the default namespace, which is the service's
    assert value.attributes == {(NS_XSI, "type"): "SyncReferenceChangeCollection"}
    assert value.qualified("SyncReferenceChangeCollection")[0] == NS_SERVICE
    assert {each.namespace for each in changes.walk()} == {NS_SERVICE}
    assert [[each.name for each in change.walk()] for change in changes.children] == 3 * [
        ["SyncReferenceChange", "Reference", "Anchor", "referenceTypeInt", "operationInt"]
    ]
    texts = [
        [each.text for each in change.walk() if not each.children] for change in changes.children
    ]
    assert texts == [[anchor, "2", "1"], [anchor, "2", "2"], [anchor, "1", "1"]]


def test_a_deletion_carries_its_anchor_alone() -> None:
    element = tree_of(replace(USER, operation=SyncOperation.DELETE))

    assert [each.child_text("Key") for each in element.children[0].children] == ["SourceAnchor"]
    assert element.child_text("SyncOperation") == "Delete"


@pytest.mark.parametrize(
    "each",
    [
        replace(USER, properties={"k": 2**63}),
        replace(USER, properties={"k": -(2**63) - 1}),
        replace(USER, properties={"k": "\ud800"}),
        replace(USER, properties={"\udfff": "x"}),
        replace(USER, source_anchor="\ud800"),
        replace(USER, properties={"sourceanchor": "x"}),
        replace(USER, properties={"CLOUDANCHOR": "x"}),
        replace(GROUP, links=(LinkChange(anchor="\ud800", add=True),)),
        replace(GROUP, links=(LinkChange(anchor="a", add=True),), properties={"Member": ("a",)}),
    ],
)
def test_what_cannot_travel_is_refused(each: SyncObject) -> None:
    with pytest.raises(CodecError):
        tree_of(each)


def test_a_list_of_text_and_octets_is_refused() -> None:
    mixed: object = ("a", b"b")
    with pytest.raises(ContractError):
        tree_of(replace(USER, properties={"k": mixed}))  # type: ignore[dict-item]  # on purpose


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("d:int", "7", 7),
        ("d:long", " 7 ", 7),
        ("d:boolean", "1", True),
        ("d:base64Binary", "AA\n ==", b"\x00"),
        ("d:string", " x ", " x "),
    ],
)
def test_other_forms_of_a_value_are_understood(
    kind: str, text: str, expected: PropertyValue
) -> None:
    assert read(entry("k", typed(kind, text)), strict=True).properties == {"k": expected}


@pytest.mark.parametrize("kind", ["d:dateTime", "c:string", "SyncThing", "d:ArrayOfstring"])
def test_a_type_not_known_is_an_error_to_the_service_and_text_to_the_client(kind: str) -> None:
    element = entry("k", typed(kind, "x"))

    assert read(element, strict=False).properties == {"k": "x"}
    with pytest.raises(ContractError, match="syncRequest"):
        read(element, strict=True)


def test_a_value_without_a_type_is_text_to_the_client() -> None:
    element = entry("k", lambda writer: writer.text("x"))

    assert read(element, strict=False).properties == {"k": "x"}
    with pytest.raises(ContractError):
        read(element, strict=True)


@pytest.mark.parametrize("key", ["SourceAnchor", "cloudanchor"])
def test_an_anchor_without_a_value_is_no_anchor(key: str) -> None:
    back = read(entry(key, lambda w: w.attribute("i", "nil", "true")), strict=False)

    assert (back.source_anchor, back.cloud_anchor, back.properties) == ("", None, {})


def test_add_is_the_same_as_set() -> None:
    assert read(entry("k", typed("d:string", "x")), strict=True).operation == "Set"


def test_members_may_be_nil() -> None:
    def nil(writer: NbfxWriter) -> None:
        writer.attribute("i", "type", "SyncReferenceChangeCollection")
        writer.attribute("i", "nil", "true")

    back = read(entry("member", nil), strict=True)

    assert (back.links, back.properties) == ((), {"member": None})


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("d:long", "many"),
        ("d:long", str(2**63)),
        ("d:boolean", "perhaps"),
        ("d:base64Binary", "A"),
        ("d:base64Binary", "Ä==="),
        ("q:string", "x"),
    ],
)
def test_a_value_that_is_not_of_its_type_is_refused(kind: str, text: str) -> None:
    with pytest.raises(CodecError):
        read(entry("k", typed(kind, text)), strict=False)


def change(
    writer: NbfxWriter, kind: str = "2", operation: str = "1", *, turned: bool = False
) -> None:
    parts = [("Anchor", "a"), ("referenceTypeInt", kind)]
    writer.start("", "SyncReferenceChange")
    writer.start("", "Reference")
    for name, text in reversed(parts) if turned else parts:
        leaf(writer, "", name, text)
    writer.end()
    leaf(writer, "", "operationInt", operation)
    writer.end()


def collection(inner: Write, name: str = "referenceChanges") -> Write:
    def write(writer: NbfxWriter) -> None:
        writer.attribute("i", "type", "SyncReferenceChangeCollection")
        writer.start("", name)
        inner(writer)
        writer.end()

    return write


@pytest.mark.parametrize(
    ("key", "inner", "name"),
    [
        ("member", lambda w: change(w, kind="3"), "referenceChanges"),
        ("member", lambda w: change(w, operation="0"), "referenceChanges"),
        ("member", lambda w: change(w, operation="add"), "referenceChanges"),
        ("member", lambda w: change(w, turned=True), "referenceChanges"),
        ("member", change, "ReferenceChanges"),
        ("member", lambda w: (w.start("", "SyncReferenceChange"), w.end()), "referenceChanges"),
        ("owner", change, "referenceChanges"),
    ],
)
def test_changes_of_another_shape_are_refused(key: str, inner: Write, name: str) -> None:
    with pytest.raises(ContractError):
        read(entry(key, collection(inner, name)), strict=True)


def without(element: Element, name: str) -> Element:
    element.children = [each for each in element.children if each.name != name]
    return element


@pytest.mark.parametrize("name", ["PropertyValues", "SyncObjectType", "SyncOperation"])
def test_an_object_needs_all_its_members(name: str) -> None:
    with pytest.raises(ContractError):
        read(without(tree_of(USER), name), strict=False)


@pytest.mark.parametrize(("at", "text"), [(1, "PublicFolder"), (1, "user"), (2, "Purge")])
def test_kinds_and_operations_not_known_are_refused(at: int, text: str) -> None:
    element = tree_of(USER)
    element.children[at].text = text
    with pytest.raises(ContractError):
        read(element, strict=False)


def test_a_property_comes_once_whatever_its_case() -> None:
    element = tree_of(replace(USER, properties={"Mail": "a", "mail": "b"}))
    with pytest.raises(ContractError, match="twice"):
        read(element, strict=False)


def test_something_else_among_the_properties_is_refused() -> None:
    element = tree_of(USER)
    element.children[0].children[0].name = "Entry"
    with pytest.raises(ContractError):
        read(element, strict=False)


def test_a_property_without_a_value_is_refused() -> None:
    element = tree_of(USER)
    without(element.children[0].children[0], "Value")
    with pytest.raises(ContractError, match="Value"):
        read(element, strict=False)
