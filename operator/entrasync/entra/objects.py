"""`AzureADSyncObject` on the wire: the bag of properties both directions share."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Final

from entrasync.entra.contracts import (
    CHANGE_ADD,
    CHANGE_REMOVE,
    KEY_CLOUD_ANCHOR,
    KEY_MEMBER,
    KEY_SOURCE_ANCHOR,
    NS_ARRAYS,
    NS_OBJECTS,
    NS_SERVICE,
    NS_XSD,
    NS_XSI,
    OBJECT_TYPES,
    OPERATIONS,
    REFERENCE_BY_CLOUD_ANCHOR,
    REFERENCE_BY_SOURCE_ANCHOR,
    ContractError,
    LinkChange,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)
from entrasync.entra.envelope import boolean_of, integer_of, is_nil, leaf, members, text_of
from entrasync.entra.nbfx import NbfxWriter
from entrasync.entra.nbfx_writer import utf8
from entrasync.entra.tree import Element

_COLLECTION: Final = "SyncReferenceChangeCollection"
_SHORT_ANCHOR: Final = 255


def _link_pattern(*, add: bool) -> tuple[bytes, bytes]:
    """What stands before and after the anchor of a change: encoded once, used for every link."""
    marker = "anchor"
    writer = NbfxWriter()
    writer.start("", "r")
    before = len(writer.getvalue_so_far())
    _write_link(writer, LinkChange(anchor=marker, add=add))
    fragment = writer.getvalue_so_far()[before:]
    head, tail = fragment.split(bytes((0x99, len(marker))) + marker.encode())
    return head, tail


def _write_link(writer: NbfxWriter, link: LinkChange) -> None:
    kind = REFERENCE_BY_CLOUD_ANCHOR if link.by_cloud_anchor else REFERENCE_BY_SOURCE_ANCHOR
    writer.start("", "SyncReferenceChange")
    writer.start("", "Reference")
    leaf(writer, "", "Anchor", link.anchor)
    leaf(writer, "", "referenceTypeInt", str(kind))
    writer.end()
    leaf(writer, "", "operationInt", str(CHANGE_ADD if link.add else CHANGE_REMOVE))
    writer.end()


_LINK_PATTERNS: Final = {add: _link_pattern(add=add) for add in (False, True)}


def write_object(writer: NbfxWriter, each: SyncObject) -> None:
    """Write an object; `b` (objects), `i` (xsi) and the service as default must be declared.

    Raises:
        CodecError: a value cannot travel, or the members are given twice.
    """
    if each.links and any(key.lower() == KEY_MEMBER for key in each.properties):
        raise ContractError("an object has both a list of members and changes of members")
    writer.start("b", "AzureADSyncObject")
    writer.start("b", "PropertyValues")
    writer.namespace("c", NS_ARRAYS)
    if each.source_anchor:
        _write_property(writer, KEY_SOURCE_ANCHOR, each.source_anchor)
    if each.cloud_anchor is not None:
        _write_property(writer, KEY_CLOUD_ANCHOR, each.cloud_anchor)
    for key, value in each.properties.items():
        if key.lower() in {KEY_SOURCE_ANCHOR.lower(), KEY_CLOUD_ANCHOR.lower()}:
            raise ContractError("an anchor stands among the properties")
        _write_property(writer, key, value)
    if each.links:
        _write_links(writer, each.links)
    writer.end()
    leaf(writer, "b", "SyncObjectType", each.object_type.value)
    leaf(writer, "b", "SyncOperation", each.operation.value)
    writer.end()


def _begin_value(writer: NbfxWriter, key: str) -> None:
    writer.start("c", "KeyValueOfstringanyType")
    leaf(writer, "c", "Key", key)
    writer.start("c", "Value")


def _end_value(writer: NbfxWriter) -> None:
    writer.end()
    writer.end()


def _write_links(writer: NbfxWriter, links: tuple[LinkChange, ...]) -> None:
    _begin_value(writer, KEY_MEMBER)
    writer.attribute("i", "type", _COLLECTION)
    writer.start("", "referenceChanges")
    for link in links:
        anchor = utf8(link.anchor)
        if link.by_cloud_anchor or len(anchor) > _SHORT_ANCHOR:
            _write_link(writer, link)
        else:
            head, tail = _LINK_PATTERNS[link.add]
            writer.raw(b"".join((head, bytes((0x99, len(anchor))), anchor, tail)))
    writer.end()
    _end_value(writer)


def _write_property(writer: NbfxWriter, key: str, value: PropertyValue) -> None:
    _begin_value(writer, key)
    if value is None:
        writer.attribute("i", "nil", "true")
    elif isinstance(value, tuple):
        _write_list(writer, value)
    else:
        kind, text = _scalar(value)
        writer.attribute("i", "type", f"d:{kind}")
        writer.namespace("d", NS_XSD)
        writer.text(text)
    _end_value(writer)


def _scalar(value: str | bool | int | bytes) -> tuple[str, str]:  # noqa: FBT001 - a value
    if isinstance(value, bool):
        return "boolean", "true" if value else "false"
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ContractError("an integer does not fit 64 bits")
        return "long", str(value)
    if isinstance(value, bytes):
        return "base64Binary", base64.b64encode(value).decode()
    return "string", value


def _write_list(writer: NbfxWriter, values: tuple[str, ...] | tuple[bytes, ...]) -> None:
    kinds = {bytes if isinstance(value, bytes) else str for value in values}
    if len(kinds) > 1:
        raise ContractError("a list mixes text and octets")
    item = "base64Binary" if kinds == {bytes} else "string"
    writer.attribute("i", "type", f"c:ArrayOf{item}")
    for value in values:
        leaf(writer, "c", item, _scalar(value)[1])


def read_object(element: Element, *, strict: bool) -> SyncObject:
    """Read an object.

    Args:
        element: the `AzureADSyncObject`.
        strict: refuse values of unknown types, as the service does; otherwise their text is kept.

    Raises:
        ContractError: it does not keep to the contract.
    """
    found = members(element, NS_OBJECTS, ("PropertyValues", "SyncObjectType", "SyncOperation"))
    kind, operation = text_of(found, "SyncObjectType"), text_of(found, "SyncOperation")
    if kind not in OBJECT_TYPES:
        raise ContractError("SyncObjectType has a value that is not known")
    if operation not in OPERATIONS:
        raise ContractError("SyncOperation has a value that is not known")
    if "PropertyValues" not in found:
        raise ContractError("PropertyValues is missing or out of order")
    anchors: dict[str, str] = {}
    properties: dict[str, PropertyValue] = {}
    links: tuple[LinkChange, ...] = ()
    seen: set[str] = set()
    for entry in found["PropertyValues"].children:
        key, value = _read_entry(entry)
        if key.lower() in seen:
            raise ContractError("an object has the same property twice")
        seen.add(key.lower())
        if key.lower() in {KEY_SOURCE_ANCHOR.lower(), KEY_CLOUD_ANCHOR.lower()}:
            if not is_nil(value):
                anchors[key.lower()] = value.text
        elif _type_of(value) == (NS_SERVICE, _COLLECTION) and not is_nil(value):
            if key.lower() != KEY_MEMBER or links:
                raise ContractError("changes of references stand at another key than member")
            links = _read_links(value)
        else:
            properties[key] = _read_value(value, strict=strict)
    return SyncObject(
        object_type=SyncObjectType(kind),
        operation=SyncOperation.DELETE if operation == "Delete" else SyncOperation.SET,
        source_anchor=anchors.get(KEY_SOURCE_ANCHOR.lower(), ""),
        cloud_anchor=anchors.get(KEY_CLOUD_ANCHOR.lower()),
        properties=properties,
        links=links,
    )


def _read_entry(entry: Element) -> tuple[str, Element]:
    if (entry.namespace, entry.name) != (NS_ARRAYS, "KeyValueOfstringanyType"):
        raise ContractError("PropertyValues holds something that is no KeyValueOfstringanyType")
    found = members(entry, NS_ARRAYS, ("Key", "Value"))
    key = text_of(found, "Key")
    if "Value" not in found:
        raise ContractError("Value is missing or out of order")
    return key, found["Value"]


def _type_of(value: Element) -> tuple[str, str] | None:
    name = value.attributes.get((NS_XSI, "type"))
    return None if name is None else value.qualified(name)


def _read_links(value: Element) -> tuple[LinkChange, ...]:
    changes = members(value, NS_SERVICE, ("referenceChanges",)).get("referenceChanges")
    if changes is None:
        raise ContractError("referenceChanges is missing")
    return tuple(
        _read_link(each)
        for each in changes.children
        if (each.namespace, each.name) == (NS_SERVICE, "SyncReferenceChange")
    )


def _read_link(change: Element) -> LinkChange:
    found = members(change, NS_SERVICE, ("Reference", "operationInt"))
    if "Reference" not in found:
        raise ContractError("Reference is missing or out of order")
    reference = members(found["Reference"], NS_SERVICE, ("Anchor", "referenceTypeInt"))
    kind = integer_of(text_of(reference, "referenceTypeInt"))
    operation = integer_of(text_of(found, "operationInt"))
    if kind not in {REFERENCE_BY_CLOUD_ANCHOR, REFERENCE_BY_SOURCE_ANCHOR}:
        raise ContractError("referenceTypeInt has a value that is not known")
    if operation not in {CHANGE_ADD, CHANGE_REMOVE}:
        raise ContractError("operationInt has a value that is not known")
    return LinkChange(
        anchor=text_of(reference, "Anchor"),
        add=operation == CHANGE_ADD,
        by_cloud_anchor=kind == REFERENCE_BY_CLOUD_ANCHOR,
    )


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, binascii.Error):
        raise ContractError("a binary value is not base64") from None


def _strings(value: Element) -> tuple[str, ...]:
    return tuple(each.text for each in value.find_all("string"))


def _binaries(value: Element) -> tuple[bytes, ...]:
    return tuple(_octets(each.text) for each in value.find_all("base64Binary"))


_READERS: Final[dict[tuple[str, str], Callable[[Element], PropertyValue]]] = {
    (NS_XSD, "string"): lambda value: value.text,
    (NS_XSD, "boolean"): lambda value: boolean_of(value.text),
    (NS_XSD, "long"): lambda value: integer_of(value.text),
    (NS_XSD, "int"): lambda value: integer_of(value.text),
    (NS_XSD, "base64Binary"): lambda value: _octets(value.text),
    (NS_ARRAYS, "ArrayOfstring"): _strings,
    (NS_ARRAYS, "ArrayOfbase64Binary"): _binaries,
}


def _read_value(value: Element, *, strict: bool) -> PropertyValue:
    if is_nil(value):
        return None
    kind = _type_of(value)
    reader = None if kind is None else _READERS.get(kind)
    if reader is None:
        if strict:
            raise ContractError(
                "The formatter threw an exception while trying to deserialize the message:"
                " syncRequest contains data from a type that maps to no known name"
            )
        return value.text
    return reader(value)
