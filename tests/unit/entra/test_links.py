"""Changes of members: the quick way means what the general codec says, whoever wrote them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.entra import links as links_module
from entrasync.entra.contracts import NS_SERVICE, LinkChange
from entrasync.entra.infoset import CodecError, CodecLimits
from entrasync.entra.links import read_links, write_link, write_links
from entrasync.entra.nbfx import NbfxWriter
from entrasync.entra.tree import ElementReader
from tests.unit.entra.samples import MODERATE, damaged

Write = Callable[[NbfxWriter, LinkChange], object]

ALIKE = [LinkChange(anchor=f"anchor-{number:06}", add=True) for number in range(10_000)]
anchors = st.one_of(
    st.sampled_from(["", "0", "1", "2", "Anchor", "http://www.w3.org/2001/XMLSchema", "A" * 256]),
    st.text("ab", min_size=2, max_size=2),
    st.text(max_size=300),
)
links = st.lists(
    st.builds(LinkChange, anchor=anchors, add=st.booleans(), by_cloud_anchor=st.booleans())
)


def collection(links: Iterable[LinkChange], write: Write = write_link) -> bytes:
    writer = NbfxWriter()
    writer.start("", "referenceChanges")
    writer.namespace("", NS_SERVICE)
    for link in links:
        write(writer, link)
    writer.end()
    return writer.getvalue()


def read(data: bytes | Iterable[bytes], limits: CodecLimits | None = None) -> list[LinkChange]:
    reader = ElementReader(data, limits or CodecLimits())
    next(reader.children())
    found = [link for some in read_links(reader) for link in some]
    reader.finish()
    return found


def typed(writer: NbfxWriter, link: LinkChange) -> None:
    """As .NET writes a change: numbers as typed records."""
    writer.start("", "SyncReferenceChange")
    writer.start("", "Reference")
    writer.start("", "Anchor")
    writer.text(link.anchor)
    writer.end()
    writer.start("", "referenceTypeInt")
    writer.integer(1 if link.by_cloud_anchor else 2)
    writer.end()
    writer.end()
    writer.start("", "operationInt")
    writer.integer(1 if link.add else 2)
    writer.end()
    writer.end()


def prefixed(writer: NbfxWriter, link: LinkChange) -> None:
    """As somebody writes a change who declares the namespace each time, and has more to say."""
    writer.start("q", "SyncReferenceChange")
    writer.namespace("q", NS_SERVICE)
    writer.attribute("", "note", "1")
    writer.start("q", "Reference")
    for name, text in (("Anchor", link.anchor), ("More", "x")):
        writer.start("q", name)
        writer.text(text)
        writer.end()
    writer.start("q", "referenceTypeInt")
    writer.text(" 1 " if link.by_cloud_anchor else "002")
    writer.end()
    writer.end()
    writer.start("q", "operationInt")
    writer.text("1" if link.add else "2")
    writer.end()
    writer.end()


def test_the_quick_way_writes_the_same_octets_for_masses_of_members() -> None:
    quick = NbfxWriter()
    quick.start("", "referenceChanges")
    quick.namespace("", NS_SERVICE)
    write_links(quick, ALIKE)
    quick.end()

    assert quick.getvalue() == collection(ALIKE)


@MODERATE
@given(links)
def test_the_quick_way_writes_the_same_octets_whatever_the_anchors(links: list[LinkChange]) -> None:
    quick = NbfxWriter()
    quick.start("", "referenceChanges")
    quick.namespace("", NS_SERVICE)
    write_links(quick, iter(links))
    quick.end()

    assert quick.getvalue() == collection(links)


@pytest.mark.parametrize("write", [write_link, typed, prefixed])
def test_masses_of_members_are_read_back(write: Write) -> None:
    changes = [link._replace(add=number % 1000 != 0) for number, link in enumerate(ALIKE)]

    assert read(collection(changes, write)) == changes


@pytest.mark.parametrize("write", [write_link, typed, prefixed])
@MODERATE
@given(links=links, size=st.integers(1, 200))
def test_changes_come_back_as_they_were_in_whatever_pieces(
    write: Write, links: list[LinkChange], size: int
) -> None:
    data = collection(links, write)

    assert read(data) == links
    assert read(data[at : at + size] for at in range(0, len(data), size)) == links


@MODERATE
@given(st.data(), st.lists(st.sampled_from(ALIKE[:9]), min_size=2))
def test_damaged_changes_mean_what_the_general_codec_says(
    data: st.DataObject, links: list[LinkChange]
) -> None:
    octets = data.draw(damaged(collection(links)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(links_module, "_learn", lambda *_: None)
        expected = outcome_of(octets)

    assert outcome_of(octets) == expected


def outcome_of(octets: bytes) -> list[LinkChange] | type[CodecError]:
    try:
        return read(octets)
    except CodecError as error:
        return type(error)


def test_an_anchor_that_is_no_text_is_refused_like_any_other() -> None:
    data = bytearray(collection(ALIKE[:3]))
    at = data.rindex(b"anchor-")
    data[at] = 0xFF
    with pytest.raises(CodecError, match="utf-8"):
        read(bytes(data))


def test_a_change_of_another_size_of_anchor_is_cut_where_it_says() -> None:
    links = [LinkChange(anchor="x" * size, add=True) for size in (5, 9, 5, 255, 256, 2, 5)]

    assert read(collection(links)) == links


def test_limits_hold_for_anchors_as_well() -> None:
    fits = collection([LinkChange(anchor=anchor, add=True) for anchor in ("abcd", "efgh", "ijkl")])
    exceeds = collection([LinkChange(anchor=a, add=True) for a in ("abcd", "efgh", "ijklm")])

    assert len(read(fits, CodecLimits(max_text=4))) == 3
    with pytest.raises(CodecError):
        read(exceeds, CodecLimits(max_text=4))


def test_no_more_than_some_changes_are_held_at_a_time() -> None:
    # a page of memory for a group of any size
    one = re.compile(rb"(?s:@\x13SyncReferenceChange.*?)(?=@\x13SyncReferenceChange|\Z)")
    pieces = one.findall(collection(ALIKE)[:-1])
    opening = collection([])[:-1]
    reader = ElementReader(iter([opening, *pieces, b"\x01"]))
    next(reader.children())
    most = max(len(reader.records.upcoming()[0]) for _ in read_links(reader))

    assert most < 10 * len(pieces[0])


def with_a_note(note: Callable[[LinkChange], str]) -> Write:
    """As somebody writes a change who says something that nobody reads."""

    def write(writer: NbfxWriter, link: LinkChange) -> None:
        writer.start("", "SyncReferenceChange")
        writer.attribute("", "note", note(link))
        writer.start("", "Reference")
        for name, text in (("Anchor", link.anchor), ("referenceTypeInt", "2")):
            writer.start("", name)
            writer.text(text)
            writer.end()
        writer.end()
        writer.start("", "operationInt")
        writer.text("1")
        writer.end()
        writer.end()

    return write


def test_a_sender_who_writes_each_change_differently_is_not_learnt_from_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    learnt: list[object] = []
    learn = links_module._learn

    def spy(octets: bytes, anchor_at: int, link: LinkChange) -> object:
        learnt.append(link)
        return learn(octets, anchor_at, link)

    monkeypatch.setattr(links_module, "_learn", spy)

    odd = with_a_note(lambda link: link.anchor)
    assert read(collection(ALIKE[:1000], odd)) == ALIKE[:1000]
    assert len(learnt) < 50


def test_no_expression_is_made_of_a_change_that_is_far_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[object] = []
    monkeypatch.setattr(re, "compile", made.append)

    long = with_a_note(lambda _: "x" * 4096)
    assert read(collection(ALIKE[:20], long)) == ALIKE[:20]
    assert made == []
