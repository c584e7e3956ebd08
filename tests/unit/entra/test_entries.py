"""Entries recognized by what stands around their value: the same as by the general codec."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from entrasync.entra.contracts import (
    NS_ARRAYS,
    NS_OBJECTS,
    NS_SERVICE,
    NS_XSD,
    NS_XSI,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)
from entrasync.entra.entries import EntryMemory
from entrasync.entra.envelope import leaf
from entrasync.entra.infoset import CodecError, CodecLimits
from entrasync.entra.nbfx import NbfxReader, NbfxWriter
from entrasync.entra.objects import ObjectReader, write_object
from entrasync.entra.tree import ElementReader
from tests.unit.entra.samples import MODERATE, damaged, sync_objects


class Forgetful(EntryMemory):
    """Leaves everything to the general codec."""

    @override
    def learn(self, *_: object) -> None:  # takes whatever it is told
        pass


class Counting(EntryMemory):
    """Counts what it recognizes."""

    taken = 0

    @override
    def take(self, records: NbfxReader) -> tuple[str, PropertyValue] | None:
        found = super().take(records)
        self.taken += found is not None
        return found


def document(objects: Iterable[SyncObject]) -> bytes:
    writer = NbfxWriter()
    writer.start("b", "SyncObjects")
    writer.namespace("", NS_SERVICE)
    writer.namespace("b", NS_OBJECTS)
    writer.namespace("i", NS_XSI)
    for each in objects:
        write_object(writer, each)
    writer.end()
    return writer.getvalue()


def read(
    data: bytes | Iterable[bytes],
    memory: EntryMemory | None = None,
    limits: CodecLimits | None = None,
) -> list[SyncObject]:
    reader = ElementReader(data, limits or CodecLimits())
    next(reader.children())
    contents = ObjectReader(reader, strict=True)
    if memory is not None:
        contents._memory = memory
    objects = [contents.read() for _ in reader.children()]
    reader.finish()
    return objects


def person(number: int, **properties: PropertyValue) -> SyncObject:
    return SyncObject(
        object_type=SyncObjectType.USER,
        operation=SyncOperation.SET,
        source_anchor=f"anchor-{number}",
        properties={"displayName": f"Person {number}"} | properties,
    )


PEOPLE = [
    person(
        number,
        accountEnabled=number % 2 == 0,
        countryCode=number,
        city=None if number % 3 else "Ulm",
        title="t" * (number * 50),
        ThumbnailPhoto=bytes(number),
        proxyAddresses=(f"SMTP:{number}@contoso.test",),
    )
    for number in range(20)
]


def test_entries_are_recognized_from_the_second_of_their_kind_on() -> None:
    memory = Counting(1000)

    assert read(document(PEOPLE), memory) == PEOPLE
    # all but the list of addresses, and the first of each kind
    assert memory.taken > 6 * len(PEOPLE) * 0.8


@MODERATE
@given(st.lists(sync_objects(), max_size=6), st.integers(1, 300))
def test_objects_come_back_as_they_were_in_whatever_pieces(
    objects: list[SyncObject], size: int
) -> None:
    data = document(objects)

    assert read(data) == objects
    assert read(data[at : at + size] for at in range(0, len(data), size)) == objects


@MODERATE
@given(st.data(), st.lists(sync_objects(), min_size=1, max_size=4))
def test_damaged_objects_mean_what_the_general_codec_says(
    data: st.DataObject, objects: list[SyncObject]
) -> None:
    octets = data.draw(damaged(document([*objects, *objects])))
    try:
        expected = read(octets, Forgetful(0))
    except CodecError as error:
        with pytest.raises(type(error)):
            read(octets)
        return
    assert read(octets) == expected


def test_entries_of_senders_with_typed_records_and_other_prefixes_are_recognized_too() -> None:
    writer = NbfxWriter()
    writer.start("o", "SyncObjects")
    writer.namespace("o", NS_OBJECTS)
    for number in range(3):
        writer.start("o", "AzureADSyncObject")
        writer.start("o", "PropertyValues")
        values: dict[str, str | bool] = {
            "SourceAnchor": f"anchor-{number}",
            "accountEnabled": number != 1,
        }
        for key, value in values.items():
            writer.start("k", "KeyValueOfstringanyType")
            writer.namespace("k", NS_ARRAYS)
            leaf(writer, "k", "Key", key)
            writer.start("k", "Value")
            writer.namespace("i", NS_XSI)
            writer.namespace("x", NS_XSD)
            if isinstance(value, bool):
                writer.attribute("i", "type", "x:boolean")
                writer.boolean(value)
            else:
                writer.attribute("i", "type", "x:string")
                writer.text(value)
            writer.end()
            writer.end()
        writer.end()
        leaf(writer, "o", "SyncObjectType", "User")
        leaf(writer, "o", "SyncOperation", "Set")
        writer.end()
    writer.end()
    memory = Counting(1000)

    objects = read(writer.getvalue(), memory)

    assert [each.source_anchor for each in objects] == ["anchor-0", "anchor-1", "anchor-2"]
    enabled = [each.properties for each in objects]
    assert enabled == [{"accountEnabled": value} for value in (True, False, True)]
    assert memory.taken == 4


def test_a_prefix_that_means_something_else_in_the_next_object_is_noticed() -> None:
    def bag(namespace: str) -> bytes:
        writer = NbfxWriter()
        writer.start("b", "SyncObjects")
        writer.namespace("b", NS_OBJECTS)
        for uri in (NS_XSD, namespace):
            writer.start("b", "AzureADSyncObject")
            writer.start("b", "PropertyValues")
            writer.namespace("c", NS_ARRAYS)
            writer.namespace("d", uri)
            writer.namespace("i", NS_XSI)
            writer.start("c", "KeyValueOfstringanyType")
            for name, text in (("Key", "k"), ("Value", "7")):
                writer.start("c", name)
                if name == "Value":
                    writer.attribute("i", "type", "d:long")
                writer.text(text)
                writer.end()
            writer.end()
            writer.end()
            for name, text in (("SyncObjectType", "User"), ("SyncOperation", "Set")):
                writer.start("b", name)
                writer.text(text)
                writer.end()
            writer.end()
        writer.end()
        return writer.getvalue()

    assert [each.properties for each in read(bag(NS_XSD))] == [{"k": 7}, {"k": 7}]
    with pytest.raises(CodecError, match="no known name"):
        read(bag("urn:else"))


def test_limits_hold_for_values_that_are_recognized() -> None:
    fits, exceeds = [person(1, title=title) for title in ("a" * 30, "a" * 31)]
    limits = CodecLimits(max_text=30)

    assert read(document([fits, fits]), limits=limits) == [fits, fits]
    with pytest.raises(CodecError):
        read(document([fits, exceeds]), limits=limits)


@pytest.mark.parametrize("again", ["displayName", "DISPLAYNAME"])
def test_a_property_that_comes_twice_is_refused_though_it_is_recognized(again: str) -> None:
    twice = (
        document([person(1), person(2, **{again: "x"})])
        if again != "displayName"
        else (
            document([person(1, second="x"), person(2, second="x")]).replace(
                b"\x06second", b"\x0bdisplayName"
            )
        )
    )
    with pytest.raises(CodecError, match="twice"):
        read(twice)
