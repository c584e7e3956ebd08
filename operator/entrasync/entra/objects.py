"""`AzureADSyncObject` on the wire: the bag of properties both directions share."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from entrasync.entra.contracts import (
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
    ContractError,
    LinkChange,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)
from entrasync.entra.entries import EntryMemory
from entrasync.entra.envelope import boolean_of, integer_of, is_nil, leaf
from entrasync.entra.links import read_links, write_links
from entrasync.entra.nbfx import NbfxWriter
from entrasync.entra.nbfx_writer import ending_text, fragment
from entrasync.entra.tree import Element, ElementReader

_COLLECTION: Final = "SyncReferenceChangeCollection"
_ANCHORS: Final = frozenset({KEY_SOURCE_ANCHOR.lower(), KEY_CLOUD_ANCHOR.lower()})


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
        if key.lower() in _ANCHORS:
            raise ContractError("an anchor stands among the properties")
        _write_property(writer, key, value)
    if each.links:
        _write_changes(writer, each.links)
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


def _write_changes(writer: NbfxWriter, links: Iterable[LinkChange]) -> None:
    _begin_value(writer, KEY_MEMBER)
    writer.attribute("i", "type", _COLLECTION)
    writer.start("", "referenceChanges")
    write_links(writer, links)
    writer.end()
    _end_value(writer)


def _write_property(writer: NbfxWriter, key: str, value: PropertyValue) -> None:
    if value is None:
        writer.raw(_nil_entry(key))
    elif isinstance(value, tuple):
        _begin_value(writer, key)
        _write_list(writer, value)
        _end_value(writer)
    else:
        kind, text = _scalar(value)
        writer.raw(_entry_before(key, kind) + ending_text(text) + _ENTRY_END)


_ENTRY_END: Final = b"\x01"


@lru_cache(maxsize=1024)
def _entry_before(key: str, kind: str) -> bytes:
    """What an entry of one value begins with: the same in every object."""

    def write(writer: NbfxWriter) -> None:
        _begin_value(writer, key)
        writer.attribute("i", "type", f"d:{kind}")
        writer.namespace("d", NS_XSD)

    return fragment(write)


@lru_cache(maxsize=1024)
def _nil_entry(key: str) -> bytes:
    def write(writer: NbfxWriter) -> None:
        _begin_value(writer, key)
        writer.attribute("i", "nil", "true")
        _end_value(writer)

    return fragment(write)


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


class UnknownTypeError(ContractError):
    """The object is of a kind this project does not know."""


class ObjectReader:
    """Reads the objects of one document.

    Args:
        reader: the document.
        strict: refuse values of unknown types, as the service does; otherwise their text is kept.
    """

    def __init__(self, reader: ElementReader, *, strict: bool) -> None:
        self._reader = reader
        self._strict = strict
        self._memory = EntryMemory(reader.limits.max_text)

    def read(self) -> SyncObject:
        """Read the rest of an `AzureADSyncObject` that has just begun.

        Raises:
            UnknownTypeError: it is of a kind that is not known.
            ContractError: it does not keep to the contract.
        """
        reader = self._reader
        kind: str | None = None
        operation = ""
        bag: _Bag | None = None
        for member in reader.members(NS_OBJECTS, _MEMBERS):
            if member.name == "PropertyValues":
                bag = self._read_bag(member)
            elif member.name == "SyncObjectType":
                kind = reader.text(member)
            else:
                operation = reader.text(member)
        if kind is None:
            # not an unknown kind: a reader would take what it passes over for gone
            raise ContractError("SyncObjectType is missing or out of order")
        if kind not in OBJECT_TYPES:
            raise UnknownTypeError("SyncObjectType has a value that is not known")
        if operation not in OPERATIONS:
            raise ContractError("SyncOperation has a value that is not known")
        if bag is None:
            raise ContractError("PropertyValues is missing or out of order")
        return SyncObject(
            object_type=SyncObjectType(kind),
            operation=SyncOperation.DELETE if operation == "Delete" else SyncOperation.SET,
            source_anchor=bag.source_anchor,
            cloud_anchor=bag.cloud_anchor,
            properties=bag.properties,
            links=tuple(bag.links),
        )

    def _read_bag(self, element: Element) -> _Bag:
        reader, records, memory = self._reader, self._reader.records, self._memory
        bag = _Bag()
        memory.enter(element.scope)
        entries = reader.children()
        while True:
            while (known := memory.take(records)) is not None:
                bag.add(*known)
            start, held_from = records.position, records.position - records.upcoming()[1]
            entry = next(entries, None)
            if entry is None:
                return bag
            if entry.name != "KeyValueOfstringanyType" or entry.namespace != NS_ARRAYS:
                raise ContractError(
                    "PropertyValues holds something that is no KeyValueOfstringanyType"
                )
            learnable = self._read_entry(bag)
            data, at = records.upcoming()
            if learnable is not None and records.position - at == held_from:
                memory.learn(
                    learnable.key,
                    data[start - held_from : at],
                    learnable.value_at - start,
                    learnable.text,
                    learnable.convert,
                )

    def _read_entry(self, bag: _Bag) -> _Scalar | None:
        """Read an entry into the bag; tells of it where others may look alike."""
        reader = self._reader
        key: str | None = None
        learnable: _Scalar | None = None
        complete = False
        for part in reader.members(NS_ARRAYS, _ENTRY):
            if part.name == "Key":
                key = reader.text(part)
            elif key is not None:
                learnable = self._read_property(bag, key, part)
                complete = True
        if not complete:
            raise ContractError("Key or Value is missing or out of order")
        return learnable

    def _read_property(self, bag: _Bag, key: str, value: Element) -> _Scalar | None:
        value_at = self._reader.records.position
        nil, kind = is_nil(value), _type_of(value)
        if kind == (NS_SERVICE, _COLLECTION) and not nil and key.lower() not in _ANCHORS:
            if key.lower() != KEY_MEMBER:
                raise ContractError("changes of references stand at another key than member")
            bag.links = _read_changes(self._reader)
            bag.add_key(key)
            return None
        content = self._reader.whole(value)
        convert = None if nil else self._converter(key, kind)
        if nil:
            bag.add(key, None)
        elif convert is not None:
            bag.add(key, convert(content.text))
        else:
            bag.add(key, _read_list(content, kind))
        if content.children or (not nil and convert is None) or (nil and content.text):
            return None
        return _Scalar(key, value_at, content.text, convert)

    def _converter(
        self, key: str, kind: tuple[str, str] | None
    ) -> Callable[[str], PropertyValue] | None:
        """What makes a value of a text, `None` for a list.

        Raises:
            ContractError: the type is not known and must be.
        """
        if key.lower() in _ANCHORS:
            return str
        if kind in _LISTS:
            return None
        convert = None if kind is None else _SCALARS.get(kind)
        if convert is None and self._strict:
            raise ContractError(
                "The formatter threw an exception while trying to deserialize the message:"
                " syncRequest contains data from a type that maps to no known name"
            )
        return convert or str


_MEMBERS: Final = ("PropertyValues", "SyncObjectType", "SyncOperation")
_ENTRY: Final = ("Key", "Value")


class _Scalar(NamedTuple):
    """An entry with one value, by which others of its kind are recognized."""

    key: str
    value_at: int
    """Position in the document where the value's content begins."""
    text: str
    convert: Callable[[str], PropertyValue] | None


class _Bag:
    """What the properties of an object say."""

    def __init__(self) -> None:
        self.source_anchor = ""
        self.cloud_anchor: str | None = None
        self.properties: dict[str, PropertyValue] = {}
        self.links: list[LinkChange] = []
        self._seen: set[str] = set()

    def add(self, key: str, value: PropertyValue) -> None:
        """Take in a property, or an anchor where it is one.

        Raises:
            ContractError: it was there already.
        """
        lowered = self.add_key(key)
        if lowered not in _ANCHORS:
            self.properties[key] = value
        elif isinstance(value, str):
            if lowered == KEY_SOURCE_ANCHOR.lower():
                self.source_anchor = value
            else:
                self.cloud_anchor = value

    def add_key(self, key: str) -> str:
        """Note a key, the same whatever its case; gives it in lower case.

        Raises:
            ContractError: it was there already.
        """
        lowered = key.lower()
        if lowered in self._seen:
            raise ContractError("an object has the same property twice")
        self._seen.add(lowered)
        return lowered


def _read_changes(reader: ElementReader) -> list[LinkChange]:
    links: list[LinkChange] | None = None
    for _ in reader.members(NS_SERVICE, ("referenceChanges",)):
        links = []
        for some in read_links(reader):
            links += some
    if links is None:
        raise ContractError("referenceChanges is missing")
    return links


def _type_of(value: Element) -> tuple[str, str] | None:
    name = value.attributes.get((NS_XSI, "type"))
    return None if name is None else value.qualified(name)


def _octets(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (ValueError, binascii.Error):
        raise ContractError("a binary value is not base64") from None


_SCALARS: Final[dict[tuple[str, str], Callable[[str], PropertyValue]]] = {
    (NS_XSD, "string"): str,
    (NS_XSD, "boolean"): boolean_of,
    (NS_XSD, "long"): integer_of,
    (NS_XSD, "int"): integer_of,
    (NS_XSD, "base64Binary"): _octets,
}
_LISTS: Final = {(NS_ARRAYS, "ArrayOfstring"), (NS_ARRAYS, "ArrayOfbase64Binary")}


def _read_list(value: Element, kind: tuple[str, str] | None) -> PropertyValue:
    if kind == (NS_ARRAYS, "ArrayOfstring"):
        return tuple(each.text for each in value.find_all("string"))
    return tuple(_octets(each.text) for each in value.find_all("base64Binary"))
