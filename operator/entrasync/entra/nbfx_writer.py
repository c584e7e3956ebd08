"""Writing .NET binary XML."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from typing import Final

from entrasync.entra.infoset import CodecError
from entrasync.entra.nbfs_dictionary import STATIC_IDS

_MAX_INT31: Final = 0x7FFF_FFFF
_PIECE: Final = 64 * 1024
"""Octets that are given to a sink at a time, about."""
_ONE_BYTE: Final = 0xFF
_TWO_BYTES: Final = 0xFFFF
_COMPACT_ATTRIBUTES: Final = {"0": 0x80, "1": 0x82, "false": 0x84, "true": 0x86}
_COMPACT_TEXTS: Final = {"0": 0x80, "1": 0x82, "": 0xA8}
_INTEGERS: Final = (("<b", 0x88), ("<h", 0x8A), ("<i", 0x8C), ("<q", 0x8E))


def multi_byte_int31(value: int) -> bytes:
    """Seven bits a byte, the low ones first."""
    if not 0 <= value <= _MAX_INT31:
        raise CodecError(f"a length of {value} does not fit the encoding")
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


_IDS: Final = {word: multi_byte_int31(number) for word, number in STATIC_IDS.items()}


def utf8(value: str) -> bytes:
    """Octets of a text.

    Raises:
        CodecError: it is none.
    """
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise CodecError("a value holds half a surrogate pair and is no text") from None


def _string(value: str) -> bytes:
    data = utf8(value)
    return multi_byte_int31(len(data)) + data


def _letter(prefix: str) -> int | None:
    return ord(prefix) - ord("a") if len(prefix) == 1 and "a" <= prefix <= "z" else None


class NbfxWriter:
    """Appends the records of one document to a buffer.

    Attributes and namespaces follow the `start` of their element at once. Names and namespaces
    go by their number where the static dictionary has them. Content always travels literally,
    but for addresses of the dictionary: a display name that happens to be a word of it stays text.

    Args:
        sink: takes the document in pieces as it is written, so that none of it need be held;
            without one it is kept for `getvalue`.
    """

    def __init__(self, sink: Callable[[bytes], object] | None = None) -> None:
        self._sink = sink
        self._out = bytearray()
        self._depth = 0
        self._text_at = -1
        """Where the record of the text written last stands, -1 when something else came last."""
        self._in_tag = False

    def start(self, prefix: str, name: str) -> None:
        """Begin an element."""
        self._hand_over(_PIECE)
        self._name(prefix, name, short=0x40, by_letter=(0x44, 0x5E))
        self._depth += 1
        self._text_at = -1
        self._in_tag = True

    def namespace(self, prefix: str, uri: str) -> None:
        """Declare a namespace on the element begun last; the prefix may be empty."""
        self._need_tag()
        number = _IDS.get(uri)
        self._out.append((0x0A if number else 0x08) + (1 if prefix else 0))
        if prefix:
            self._out += _string(prefix)
        self._out += number or _string(uri)

    def attribute(self, prefix: str, name: str, value: str) -> None:
        """Set an attribute on the element begun last."""
        self._need_tag()
        self._name(prefix, name, short=0x04, by_letter=(0x0C, 0x26))
        compact = _COMPACT_ATTRIBUTES.get(value)
        self._out += _characters(value) if compact is None else bytes((compact,))

    def text(self, value: str) -> None:
        """Write text."""
        self._begin_text()
        self._out += _text(value)

    def boolean(self, value: bool) -> None:  # noqa: FBT001 - the value itself
        """Write a truth value as a typed record."""
        self._begin_text()
        self._out.append(0x86 if value else 0x84)

    def integer(self, value: int) -> None:
        """Write a signed integer of up to 64 bits as a typed record."""
        self._begin_text()
        for layout, record in _INTEGERS:
            try:
                packed = struct.pack(layout, value)
            except struct.error:
                continue
            self._out.append(record)
            self._out += packed
            return
        raise CodecError("an integer of more than 64 bits does not fit the encoding")

    def binary(self, value: bytes) -> None:
        """Write octets as a typed record; readers see base64."""
        self._begin_text()
        self._out += _sized(0x9E, value)

    def unique_id(self, value: uuid.UUID) -> None:
        """Write `urn:uuid:...` as a typed record."""
        self._begin_text()
        self._out.append(0xAC)
        self._out += value.bytes_le

    def end(self) -> None:
        """End the innermost element; merged into its text where there is one."""
        if self._depth == 0:
            raise CodecError("no element is open")
        if self._text_at >= 0:
            self._out[self._text_at] |= 1
            self._text_at = -1
        else:
            self._out.append(0x01)
        self._depth -= 1
        self._in_tag = False

    def raw(self, records: bytes | bytearray) -> None:
        """Append whole, balanced elements encoded before."""
        if self._depth == 0:
            raise CodecError("no element is open")
        self._hand_over(_PIECE)
        self._out += records
        self._text_at = -1
        self._in_tag = False

    def getvalue(self) -> bytes:
        """The document; every element must have ended."""
        if self._depth:
            raise CodecError(f"{self._depth} elements are still open")
        return bytes(self._out)

    def finish(self) -> None:
        """Give the sink what is left; every element must have ended."""
        if self._depth:
            raise CodecError(f"{self._depth} elements are still open")
        self._hand_over(1)

    def getvalue_so_far(self) -> bytes:
        """The records up to now, to cut pieces for `raw` out of."""
        return bytes(self._out)

    def _hand_over(self, least: int) -> None:
        """Give the sink what there is, if it is worth it and nothing in it can change any more."""
        if self._sink is not None and len(self._out) >= least:
            self._sink(bytes(self._out))
            self._out.clear()

    def _need_tag(self) -> None:
        if not self._in_tag:
            raise CodecError("attributes and namespaces follow the start of their element")

    def _begin_text(self) -> None:
        if self._depth == 0:
            raise CodecError("text stands inside an element")
        self._text_at = len(self._out)
        self._in_tag = False

    def _name(self, prefix: str, name: str, *, short: int, by_letter: tuple[int, int]) -> None:
        if not name:
            raise CodecError("a name is empty")
        number = _IDS.get(name)
        letter = _letter(prefix)
        if letter is not None:
            self._out.append(by_letter[0 if number else 1] + letter)
        else:
            self._out.append(short + (2 if number else 0) + (1 if prefix else 0))
            if prefix:
                self._out += _string(prefix)
        self._out += number or _string(name)


def _characters(value: str) -> bytes:
    """A record of text, or of a word of the dictionary where it is an address."""
    if "://" in value and (number := _IDS.get(value)):
        return b"\xaa" + number
    return _sized(0x98, utf8(value))


def _text(value: str) -> bytes:
    compact = _COMPACT_TEXTS.get(value)
    return _characters(value) if compact is None else bytes((compact,))


def _sized(record: int, data: bytes) -> bytes:
    size = len(data)
    if size <= _ONE_BYTE:
        return bytes((record, size)) + data
    if size <= _TWO_BYTES:
        return struct.pack("<BH", record + 2, size) + data
    if size <= _MAX_INT31:
        return struct.pack("<Bi", record + 4, size) + data
    raise CodecError("a value is too long for the encoding")


def ending_text(value: str) -> bytes:
    """Text as its record, which ends the element it stands in."""
    record = _text(value)
    return bytes((record[0] | 1,)) + record[1:]


def fragment(write: Callable[[NbfxWriter], object]) -> bytes:
    """What is written inside an element, to be written again by `raw`; it may leave some open."""
    writer = NbfxWriter()
    writer.start("", "r")
    before = len(writer.getvalue_so_far())
    write(writer)
    return writer.getvalue_so_far()[before:]
