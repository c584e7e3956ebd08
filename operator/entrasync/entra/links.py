"""Changes of references on the wire: the one thing that comes by the hundred thousand.

Each change is the same octets around another anchor. Writing puts the anchors between octets made
once; reading learns from the first change how its sender writes them and takes what looks alike in
one go. Whatever looks different goes through the general codec, and both mean the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice, repeat
from operator import itemgetter
from typing import Final

from entrasync.entra.contracts import (
    CHANGE_ADD,
    CHANGE_REMOVE,
    NS_SERVICE,
    REFERENCE_BY_CLOUD_ANCHOR,
    REFERENCE_BY_SOURCE_ANCHOR,
    ContractError,
    LinkChange,
)
from entrasync.entra.envelope import integer_of, leaf
from entrasync.entra.infoset import CodecError
from entrasync.entra.nbfx import NbfxReader, NbfxWriter
from entrasync.entra.nbfx_writer import ending_text, fragment, utf8
from entrasync.entra.tree import ElementReader

_TOGETHER: Final = 4096
"""Changes handled at a time: enough to be quick, few enough to keep memory flat."""
_SHORT: Final = 255
"""Octets of the longest text that a record with a length of one octet holds."""
_MOST_PATTERNS: Final = 16
"""Ways to write a change that are looked for: a sender has one or two of each kind, and who has
more is not helped by it."""
_LONGEST_PATTERN: Final = 1024
"""Octets of a change that is worth an expression of its own; a usual one has a good hundred."""
_SHORT_TEXTS: Final = frozenset({0x98, 0x99})
_ENDING_TEXT: Final = 0x99


def write_link(writer: NbfxWriter, link: LinkChange) -> None:
    """Write one change, element by element; the service's namespace must be the default one."""
    kind = REFERENCE_BY_CLOUD_ANCHOR if link.by_cloud_anchor else REFERENCE_BY_SOURCE_ANCHOR
    writer.start("", "SyncReferenceChange")
    writer.start("", "Reference")
    leaf(writer, "", "Anchor", link.anchor)
    leaf(writer, "", "referenceTypeInt", str(kind))
    writer.end()
    leaf(writer, "", "operationInt", str(CHANGE_ADD if link.add else CHANGE_REMOVE))
    writer.end()


def _surroundings(link: LinkChange) -> tuple[bytes, bytes]:
    """What stands before and after the anchor of a change, its length left out."""
    head, tail = fragment(lambda writer: write_link(writer, link)).split(ending_text(link.anchor))
    return head + bytes((_ENDING_TEXT,)), tail


_SURROUNDINGS: Final = {
    (add, by_cloud): _surroundings(LinkChange(anchor="anchor", add=add, by_cloud_anchor=by_cloud))
    for add in (False, True)
    for by_cloud in (False, True)
}


def write_links(writer: NbfxWriter, links: Iterable[LinkChange]) -> None:
    """Write changes as `write_link` would, one after the other.

    Raises:
        CodecError: an anchor cannot travel.
    """
    rest = iter(links)
    while together := list(islice(rest, _TOGETHER)):
        anchors = list(map(itemgetter(0), together))
        if _alike(together, anchors):
            head, tail = _SURROUNDINGS[together[0].add, together[0].by_cloud_anchor]
            length = bytes((len(anchors[0]),))
            between = tail + head + length
            writer.raw(
                b"".join((head, length, between.join(map(str.encode, anchors)), tail)),
            )
        else:
            for link in together:
                _write_short(writer, link)


def _alike(links: list[LinkChange], anchors: list[str]) -> bool:
    """Whether nothing but the letters of the anchors differs, each an octet."""
    sizes = set(map(len, anchors))
    letters = "".join(anchors)
    return (
        len(sizes) == 1
        and 1 < sizes.pop() <= _SHORT  # of one letter some have records of their own
        and len(set(map(itemgetter(1, 2), links))) == 1
        and letters.isascii()
        and "://" not in letters  # may be words of the dictionary
    )


def _write_short(writer: NbfxWriter, link: LinkChange) -> None:
    anchor = utf8(link.anchor)
    if not 1 < len(anchor) <= _SHORT or "://" in link.anchor:
        write_link(writer, link)
        return
    head, tail = _SURROUNDINGS[link.add, link.by_cloud_anchor]
    writer.raw(b"".join((head, bytes((len(anchor),)), anchor, tail)))


@dataclass(slots=True)
class _Pattern:
    """How a sender writes changes of one kind: what stands before and after an anchor."""

    head: bytes
    tail: bytes
    add: bool
    by_cloud_anchor: bool
    _runs: dict[int, tuple[re.Pattern[bytes], re.Pattern[bytes]]] = field(default_factory=dict)

    def run(self, size: int) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
        """Expressions for many changes with anchors of so many octets, and for one of them."""
        found = self._runs.get(size)
        if found is None:
            before = re.escape(self.head + bytes((size,)))
            after = re.escape(self.tail)
            one = b"(?s:%s(.{%d})%s)" % (before, size, after)
            many = b"(?s:%s.{%d}%s){1,%d}+" % (before, size, after, _TOGETHER)
            found = self._runs[size] = re.compile(many), re.compile(one)
        return found


def read_links(reader: ElementReader) -> Iterator[list[LinkChange]]:
    """Read changes out of the element that is open, some at a time.

    Raises:
        CodecError: one of them does not keep to the contract.
    """
    records = reader.records
    patterns: list[_Pattern] = []
    children = reader.children()
    while True:
        yield from _known(records, patterns, reader.limits.max_text)
        start, held_from = records.position, records.position - records.upcoming()[1]
        change = next(children, None)
        if change is None:
            return
        if (change.namespace, change.name) != (NS_SERVICE, "SyncReferenceChange"):
            continue
        link, anchor_at = _read_link(reader)
        yield [link]
        data, at = records.upcoming()
        if len(patterns) >= _MOST_PATTERNS:
            continue
        if records.position - at == held_from:  # else it came in pieces that are no more at hand
            pattern = _learn(data[start - held_from : at], anchor_at - start, link)
            if pattern is not None:
                patterns.append(pattern)


def _read_link(reader: ElementReader) -> tuple[LinkChange, int]:
    """A change that has just begun, and the position of what its anchor says."""
    anchor: str | None = None
    kind = operation = 0
    anchor_at = 0
    for member in reader.members(NS_SERVICE, ("Reference", "operationInt")):
        if member.name == "operationInt":
            operation = integer_of(reader.text(member))
            continue
        for part in reader.members(NS_SERVICE, ("Anchor", "referenceTypeInt")):
            if part.name == "Anchor":
                anchor_at = reader.records.position
                anchor = reader.text(part)
            else:
                kind = integer_of(reader.text(part))
    if anchor is None:
        raise ContractError("Reference or Anchor is missing or out of order")
    if kind not in {REFERENCE_BY_CLOUD_ANCHOR, REFERENCE_BY_SOURCE_ANCHOR}:
        raise ContractError("referenceTypeInt has a value that is not known")
    if operation not in {CHANGE_ADD, CHANGE_REMOVE}:
        raise ContractError("operationInt has a value that is not known")
    link = LinkChange(
        anchor=anchor,
        add=operation == CHANGE_ADD,
        by_cloud_anchor=kind == REFERENCE_BY_CLOUD_ANCHOR,
    )
    return link, anchor_at


def _learn(octets: bytes, anchor_at: int, link: LinkChange) -> _Pattern | None:
    """How a change was written, `None` where its anchor is not one short text record."""
    if len(octets) > _LONGEST_PATTERN:
        return None
    anchor = link.anchor.encode()
    end = anchor_at + 2 + len(anchor)
    if octets[anchor_at] not in _SHORT_TEXTS or octets[anchor_at + 1 : end] != (
        bytes((min(len(anchor), _SHORT),)) + anchor
    ):
        return None
    return _Pattern(octets[: anchor_at + 1], octets[end:], link.add, link.by_cloud_anchor)


def _known(
    records: NbfxReader, patterns: list[_Pattern], max_text: int
) -> Iterator[list[LinkChange]]:
    """Changes at hand that are written as others before them."""
    taken = bool(patterns)
    while taken:
        data, at = records.upcoming()
        taken = False
        for pattern in patterns:
            size_at = at + len(pattern.head)
            if size_at >= len(data) or data[size_at] > max_text:
                continue
            if not data.startswith(pattern.head, at):
                continue
            many, one = pattern.run(data[size_at])
            match = many.match(data, at)
            if match is not None:
                records.skip(match.end() - at)
                yield _links_of(one.findall(data, at, match.end()), pattern)
                taken = True
                break


def _links_of(anchors: list[bytes], pattern: _Pattern) -> list[LinkChange]:
    try:
        texts = list(map(bytes.decode, anchors))
    except UnicodeDecodeError:
        raise CodecError("text is not valid utf-8") from None
    return list(map(LinkChange, texts, repeat(pattern.add), repeat(pattern.by_cloud_anchor)))
