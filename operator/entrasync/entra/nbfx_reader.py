"""Reading .NET binary XML from a peer that is not trusted.

Every length is compared with what is left before anything is taken, every count with its limit,
and each step consumes at least one octet or one value of a counted array: a reader ends, with
events or with `CodecError`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Final

from entrasync.entra.infoset import (
    DEFAULT_LIMITS,
    END,
    XML_NAMESPACE,
    Attribute,
    CodecError,
    CodecLimits,
    EndElement,
    Event,
    Namespace,
    StartElement,
    Text,
)
from entrasync.entra.nbfs_dictionary import STATIC_STRINGS
from entrasync.entra.nbfx_values import (
    ARRAY_VALUES,
    BYTES,
    CHARS,
    CONSTANTS,
    FIXED,
    UNICODE,
)

_END_ELEMENT: Final = 0x01
_COMMENT: Final = 0x02
_ARRAY: Final = 0x03
_FIRST_ATTRIBUTE: Final = 0x04
_FIRST_ELEMENT: Final = 0x40
_FIRST_UNUSED: Final = 0x78
_FIRST_TEXT: Final = 0x80
_START_LIST: Final = 0xA4
_END_LIST: Final = 0xA6
_DICTIONARY: Final = 0xAA
_QNAME: Final = 0xBC
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_MAX_INT31_BYTES: Final = 5
_ROOT_SCOPE: Final[Mapping[str, str]] = {"": "", "xml": XML_NAMESPACE}


def read_events(data: bytes | memoryview, limits: CodecLimits = DEFAULT_LIMITS) -> Iterator[Event]:
    """Hand out the events of one document.

    Adjacent octet records are joined before they become base64. Comments are skipped.

    Raises:
        CodecError: the data is malformed, cut off, too large or followed by something else.
    """
    reader = _Reader(data, limits)
    remaining = limits.max_events
    for event in reader.document():
        if remaining == 0:
            raise CodecError("the document has too many elements")
        remaining -= 1
        yield event


class _Reader:
    def __init__(self, data: bytes | memoryview, limits: CodecLimits) -> None:
        if len(data) > limits.max_bytes:
            raise CodecError(f"the document is larger than {limits.max_bytes} bytes")
        self._data = bytes(data)
        self._size = len(self._data)
        self._at = 0
        self._limits = limits
        self._scopes: list[Mapping[str, str]] = []

    def document(self) -> Iterator[Event]:  # noqa: C901 - one branch per kind of record
        """The root element with all it holds, and nothing after it."""
        while (record := self._byte()) == _COMMENT:
            self._skip_comment()
        if not _FIRST_ELEMENT <= record < _FIRST_UNUSED:
            raise CodecError(f"a document starts with an element, not with record {record:#04x}")
        yield from self._begin(record)
        while self._scopes:
            record = self._byte()
            if record >= _FIRST_TEXT:
                yield from self._content(record)
            elif _FIRST_ELEMENT <= record < _FIRST_UNUSED:
                yield from self._begin(record)
            elif record == _END_ELEMENT:
                yield self._end()
            elif record == _ARRAY:
                yield from self._array()
            elif record == _COMMENT:
                self._skip_comment()
            else:
                raise CodecError(f"record {record:#04x} may not stand here")
        while self._at < self._size:
            if self._byte() != _COMMENT:
                raise CodecError("something follows the end of the document")
            self._skip_comment()

    def _end(self) -> EndElement:
        self._scopes.pop()
        return END

    def _begin(self, record: int) -> list[Event]:
        """An element's start with its namespaces and attributes."""
        if len(self._scopes) >= self._limits.max_depth:
            raise CodecError(f"elements are nested deeper than {self._limits.max_depth}")
        prefix, name = self._element_name(record)
        outer = self._scopes[-1] if self._scopes else _ROOT_SCOPE
        followers: list[Namespace | Attribute] = []
        declared: dict[str, str] = {}
        seen: set[tuple[str, str]] = set()
        while self._at < self._size and _FIRST_ATTRIBUTE <= self._data[self._at] < _FIRST_ELEMENT:
            if len(followers) >= self._limits.max_attributes:
                raise CodecError("an element has too many attributes")
            follower = self._follower(self._byte())
            key = "xmlns" if isinstance(follower, Namespace) else "@" + follower.prefix
            local = follower.prefix if isinstance(follower, Namespace) else follower.name
            if (key, local) in seen:
                raise CodecError("an element has the same attribute twice")
            seen.add((key, local))
            if isinstance(follower, Namespace):
                declared[follower.prefix] = follower.uri
            followers.append(follower)
        scope = {**outer, **declared} if declared else outer
        for follower in followers:
            if isinstance(follower, Attribute) and follower.prefix not in scope:
                raise CodecError("an attribute has a prefix that is not declared")
        if prefix not in scope:
            raise CodecError("an element has a prefix that is not declared")
        self._scopes.append(scope)
        return [StartElement(prefix, name, scope[prefix]), *followers]

    def _element_name(self, record: int) -> tuple[str, str]:
        if record >= 0x5E:  # noqa: PLR2004 - PrefixElement a-z
            return _LETTERS[record - 0x5E], self._name()
        if record >= 0x44:  # noqa: PLR2004 - PrefixDictionaryElement a-z
            return _LETTERS[record - 0x44], self._dictionary_name()
        prefix = self._name() if record & 1 else ""
        return prefix, self._dictionary_name() if record & 2 else self._name()

    def _follower(self, record: int) -> Namespace | Attribute:
        """A namespace declaration or an attribute."""
        if record >= 0x26:  # noqa: PLR2004 - PrefixAttribute a-z
            prefix, name = _LETTERS[record - 0x26], self._name()
        elif record >= 0x0C:  # noqa: PLR2004 - PrefixDictionaryAttribute a-z
            prefix, name = _LETTERS[record - 0x0C], self._dictionary_name()
        else:
            prefix = self._name() if record & 1 else ""
            if record >= 0x08:  # noqa: PLR2004 - the four kinds of xmlns
                uri = self._dictionary() if record & 2 else self._string(self._limits.max_name)
                if prefix in {"xml", "xmlns"} or (prefix and not uri):
                    raise CodecError("a namespace declaration is not allowed")
                return Namespace(prefix, uri)
            name = self._dictionary_name() if record & 2 else self._name()
        return Attribute(prefix, name, self._attribute_value())

    def _attribute_value(self) -> str:
        record = self._byte()
        if record < _FIRST_TEXT or record & 1:
            raise CodecError("an attribute's value is no text record")
        if record in BYTES:
            return base64.b64encode(self._sized(BYTES[record])).decode()
        return self._text(record)

    def _content(self, record: int) -> Iterator[Event]:
        """Text within an element, and the element's end where the record says so."""
        kind = record & 0xFE
        if kind in BYTES:
            ends, value = self._octets(record)
            yield Text(value)
            if ends:
                yield self._end()
            return
        if kind == _START_LIST and record & 1:
            raise CodecError("a list does not end where it starts")
        value = self._text(kind)
        ends = bool(record & 1)
        if kind == _START_LIST:
            ends = bool(self._data[self._at - 1] & 1)
        yield Text(value)
        if ends:
            yield self._end()

    def _octets(self, record: int) -> tuple[bool, str]:
        """Octet records in a row, joined before they become base64."""
        chunks = [self._sized(BYTES[record & 0xFE])]
        while not record & 1 and self._at < self._size and self._data[self._at] & 0xFE in BYTES:
            record = self._byte()
            chunks.append(self._sized(BYTES[record & 0xFE]))
        joined = b"".join(chunks)
        if len(joined) > self._limits.max_text:
            raise CodecError("a value is too long")
        return bool(record & 1), base64.b64encode(joined).decode()

    def _text(self, kind: int) -> str:
        """The lexical form of a text record."""
        if kind in CHARS:
            return self._decoded(self._sized(CHARS[kind]), "utf-8")
        if kind in CONSTANTS:
            return CONSTANTS[kind]
        if kind in FIXED:
            size, render = FIXED[kind]
            return render(self._take(size))
        if kind == _DICTIONARY:
            return self._dictionary()
        if kind in UNICODE:
            return self._decoded(self._sized(UNICODE[kind]), "utf-16-le")
        if kind == _QNAME:
            return self._qname()
        if kind == _START_LIST:
            return self._list()
        raise CodecError(f"record {kind:#04x} is no value")

    def _list(self) -> str:
        parts: list[str] = []
        length = 0
        while (record := self._byte()) & 0xFE != _END_LIST:
            if record < _FIRST_TEXT or record & 1 or record == _START_LIST:
                raise CodecError("a list holds something that is no value")
            if record in BYTES:
                parts.append(base64.b64encode(self._sized(BYTES[record])).decode())
            else:
                parts.append(self._text(record))
            length += len(parts[-1]) + 1
            if length > self._limits.max_text:
                raise CodecError("a list is too long")
        return " ".join(parts)

    def _qname(self) -> str:
        """A prefix letter and a number of the dictionary.

        The number is a multi-byte integer. Old encoders write three octets, high one first; as no
        name has a number above 65,535 they begin with zero, which as a multi-byte integer would
        be `mustUnderstand`, a name no value has.
        """
        letter = self._byte()
        if letter >= len(_LETTERS):
            raise CodecError("a qualified name has an impossible prefix")
        if self._data[self._at : self._at + 1] == b"\x00":
            name = self._static(int.from_bytes(self._take(3), "big"))
        else:
            name = self._dictionary()
        return f"{_LETTERS[letter]}:{name}"

    def _array(self) -> Iterator[Event]:
        """One element for each value of a counted row."""
        record = self._byte()
        if not _FIRST_ELEMENT <= record < _FIRST_UNUSED:
            raise CodecError("an array begins with an element")
        opening = self._begin(record)
        self._scopes.pop()
        if self._byte() != _END_ELEMENT:
            raise CodecError("the element of an array is not closed")
        kind = self._byte()
        if not kind & 1 or kind & 0xFE not in ARRAY_VALUES:
            raise CodecError("an array holds values of a kind it cannot hold")
        size, render = FIXED[kind & 0xFE]
        count = self._int31()
        if not 0 < count <= self._limits.max_array:
            raise CodecError("an array has no values or too many")
        if count * size > self._size - self._at:
            raise CodecError("an array is cut off")
        for _ in range(count):
            yield from opening
            yield Text(render(self._take(size)))
            yield END

    def _skip_comment(self) -> None:
        self._string(self._limits.max_text)

    def _name(self) -> str:
        name = self._string(self._limits.max_name)
        if not name or not name.isprintable() or " " in name or ":" in name:
            raise CodecError("a name is empty or holds characters no name has")
        return name

    def _dictionary_name(self) -> str:
        name = self._dictionary()
        if not name or ":" in name:
            raise CodecError("a dictionary string that is no name is used as one")
        return name

    def _dictionary(self) -> str:
        return self._static(self._int31())

    def _static(self, number: int) -> str:
        index, session = divmod(number, 2)
        if session or index >= len(STATIC_STRINGS):
            raise CodecError(f"there is no string {number} in the dictionary")
        return STATIC_STRINGS[index]

    def _string(self, limit: int) -> str:
        size = self._int31()
        if size > limit:
            raise CodecError("a name or comment is too long")
        return self._decoded(self._take(size), "utf-8")

    def _decoded(self, raw: bytes, encoding: str) -> str:
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            raise CodecError(f"text is not valid {encoding}") from None

    def _sized(self, octets: int) -> bytes:
        size = int.from_bytes(self._take(octets), "little")
        if size > self._limits.max_text:
            raise CodecError("a value is too long")
        return self._take(size)

    def _int31(self) -> int:
        value = 0
        for position in range(_MAX_INT31_BYTES):
            octet = self._byte()
            value |= (octet & 0x7F) << 7 * position
            if not octet & 0x80:
                if value > 0x7FFF_FFFF:  # noqa: PLR2004 - 31 bits
                    break
                return value
        raise CodecError("a number does not fit 31 bits")

    def _byte(self) -> int:
        at = self._at
        if at >= self._size:
            raise CodecError("the document is cut off")
        self._at = at + 1
        return self._data[at]

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > self._size:
            raise CodecError("the document is cut off")
        raw = self._data[self._at : end]
        self._at = end
        return raw
