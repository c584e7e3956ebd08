"""Entries of a bag of properties that a sender writes again and again.

An object has some twenty properties, and each travels as the same hundred octets around another
value. What stands around a value is learnt from the first entry of its kind and recognized from
then on; whatever looks different goes through the general codec, and both mean the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from entrasync.entra.contracts import PropertyValue
from entrasync.entra.infoset import CodecError
from entrasync.entra.nbfx import NbfxReader
from entrasync.entra.nbfx_values import CONSTANTS

_CHARS8_END: Final = 0x99
_CHARS16_END: Final = 0x9B
_CONSTANTS_END: Final = {record | 1: text for record, text in CONSTANTS.items()}
_MOST_PATTERNS: Final = 256
"""A sender with more kinds of entries than that is not helped by looking for them."""


@dataclass(slots=True, frozen=True, kw_only=True)
class _Entry:
    """An entry as somebody writes it."""

    key: str
    head: bytes
    """Octets up to the value's record; all of them where there is no value."""
    tail: bytes
    convert: Callable[[str], PropertyValue] | None
    """`None` where the value is nil."""


class EntryMemory:
    """What is known of the sender of one document.

    Args:
        max_text: longest value that is taken.
    """

    def __init__(self, max_text: int) -> None:
        self._max_text = max_text
        self._scope: Mapping[str, str] = {}
        self._entries: list[_Entry] = []
        self._next = 0
        """Where the entry is looked for first: senders keep an order."""

    def enter(self, scope: Mapping[str, str]) -> None:
        """Begin a bag; what was learnt holds where prefixes mean the same."""
        if scope != self._scope:
            self._scope = scope
            self._entries.clear()
        self._next = 0

    def take(self, records: NbfxReader) -> tuple[str, PropertyValue] | None:
        """The next entry's key and value if it looks like one known, `None` otherwise.

        Raises:
            CodecError: its value is none of its type.
        """
        data, at = records.upcoming()
        entries = self._entries
        count = len(entries)
        for offset in range(count):
            number = (self._next + offset) % count
            entry = entries[number]
            if data.startswith(entry.head, at):
                end, text = self._value(entry, data, at + len(entry.head))
                if end:
                    records.skip(end - at)
                    self._next = number + 1
                    convert = entry.convert
                    return entry.key, None if convert is None else convert(text)
        return None

    def _value(self, entry: _Entry, data: bytes, at: int) -> tuple[int, str]:
        """Where the entry ends, and the value's text; 0 where it is written differently."""
        if entry.convert is None:
            return at, ""
        read = _text_at(data, at)
        if read is None or not data.startswith(entry.tail, read[0]):
            return 0, ""
        end, text = read
        return (0, "") if len(text) > self._max_text else (end + len(entry.tail), text)

    def learn(
        self,
        key: str,
        octets: bytes,
        value_at: int,
        text: str,
        convert: Callable[[str], PropertyValue] | None,
    ) -> None:
        """Remember how an entry was written.

        Args:
            key: the property's key.
            octets: the whole entry.
            value_at: where in it the value's content begins.
            text: the value's text.
            convert: makes the value of a text, `None` where it is nil.
        """
        if len(self._entries) >= _MOST_PATTERNS:
            return
        if convert is None:
            entry = _Entry(key=key, head=octets, tail=b"", convert=None)
        else:
            try:
                read = _text_at(octets, value_at)
            except CodecError:
                return
            if read is None or read[1] != text:
                return
            head, tail = octets[:value_at], octets[read[0] :]
            entry = _Entry(key=key, head=head, tail=tail, convert=convert)
        self._entries.insert(self._next, entry)
        self._next += 1


def _text_at(data: bytes, at: int) -> tuple[int, str] | None:
    """Where a text record that ends its element ends, and what it says.

    `None` for records of other kinds, and where not all of it is at hand.
    """
    record = data[at] if at < len(data) else 0
    if record == _CHARS8_END:
        begin = at + 2
        end = begin + data[at + 1] if begin <= len(data) else begin
    elif record == _CHARS16_END:
        begin = at + 3
        end = begin + int.from_bytes(data[at + 1 : begin], "little")
    elif record in _CONSTANTS_END:
        return at + 1, _CONSTANTS_END[record]
    else:
        return None
    if end > len(data) or begin > len(data):
        return None
    try:
        return end, data[begin:end].decode()
    except UnicodeDecodeError:
        raise CodecError("text is not valid utf-8") from None
