"""Reading .NET binary XML from a peer that is not trusted.

Every length is compared with its limit before anything is taken, and each step consumes at least
one octet or one value of a counted array: a reader ends, with what it read or with `CodecError`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import Final, NoReturn

from entrasync.entra.infoset import (
    DEFAULT_LIMITS,
    END,
    XML_NAMESPACE,
    Attribute,
    CodecError,
    CodecLimits,
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

Source = bytes | bytearray | memoryview | Iterable[bytes]
"""A document in one piece, or in pieces as they arrive."""

_END_ELEMENT: Final = 0x01
_COMMENT: Final = 0x02
_ARRAY: Final = 0x03
_FIRST_ATTRIBUTE: Final = 0x04
_FIRST_ELEMENT: Final = 0x40
_FIRST_UNUSED: Final = 0x78
_FIRST_TEXT: Final = 0x80
_CHARS8: Final = 0x98
_START_LIST: Final = 0xA4
_END_LIST: Final = 0xA6
_DICTIONARY: Final = 0xAA
_QNAME: Final = 0xBC
_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz"
_MAX_INT31: Final = 0x7FFF_FFFF
_MAX_INT31_BYTES: Final = 5
_ROOT_SCOPE: Final[Mapping[str, str]] = {"": "", "xml": XML_NAMESPACE}
_KEPT_NAMES: Final = 4096
"""Names remembered, so that a peer cannot make us remember without bound."""


class Node(IntEnum):
    """What a reader has come to."""

    START = 0
    """An element began; see `element` and `followers`."""
    TEXT = 1
    """Character content; see `text`. An element may have several in a row."""
    END = 2
    """The innermost open element ended."""
    NOTHING = 3
    """The document ended, and nothing follows it."""


START, TEXT, CLOSED, NOTHING = Node.START, Node.TEXT, Node.END, Node.NOTHING


def read_events(source: Source, limits: CodecLimits = DEFAULT_LIMITS) -> Iterator[Event]:
    """Hand out the events of one document.

    Adjacent octet records are joined before they become base64. Comments are skipped.

    Raises:
        CodecError: the data is malformed, cut off, too large or followed by something else.
    """
    reader = NbfxReader(source, limits)
    while (node := reader.read()) is not NOTHING:
        if node is START:
            yield reader.element
            yield from reader.followers
        elif node is TEXT:
            yield Text(reader.text)
        else:
            yield END


class NbfxReader:
    """Reads a document forward, node by node, holding no more of it than its caller keeps.

    Args:
        source: the document.
        limits: what is accepted at most.

    Attributes:
        element: the element that began last.
        followers: its namespace declarations and attributes, in their order.
        scopes: the namespaces by prefix that hold in each open element, outermost first.
        text: the character content read last, in its lexical form.
    """

    def __init__(self, source: Source, limits: CodecLimits = DEFAULT_LIMITS) -> None:
        whole = isinstance(source, bytes | bytearray | memoryview)
        self._more: Iterator[bytes] = iter(() if whole else source)  # type: ignore[arg-type]  # pieces
        self._data = bytes(source) if whole else b""  # type: ignore[arg-type]  # one piece
        self._size = len(self._data)
        self._at = 0
        self._before = 0
        """Octets of the document before `_data`."""
        self._limits = limits
        self._array_values = limits.max_array
        self._names: dict[bytes, str] = {}
        self._row: Iterator[Node] | None = None
        self._ends = False
        """Whether the innermost element ends with the text that was read last."""
        self._begun = False
        self.scopes: list[Mapping[str, str]] = []
        self.element = StartElement("", "", "")
        self.followers: list[Namespace | Attribute] = []
        self.text = ""
        self._check_size()

    @property
    def depth(self) -> int:
        """How many elements are open."""
        return len(self.scopes)

    @property
    def position(self) -> int:
        """Octets read."""
        return self._before + self._at

    def read(self) -> Node:  # noqa: C901 - one branch per kind of record, in the hottest loop
        """Go to the next node.

        Raises:
            CodecError: the data is malformed, cut off, too large or followed by something else.
        """
        if self._ends:
            self._ends = False
            self.scopes.pop()
            return CLOSED
        if self._row is not None:
            node = next(self._row, None)
            if node is not None:
                return node
            self._row = None
        if not self.scopes:
            return self._outside()
        while True:
            record = self._byte()
            if record >= _FIRST_TEXT:
                self._content(record)
                return TEXT
            if _FIRST_ELEMENT <= record < _FIRST_UNUSED:
                self._begin(record)
                return START
            if record == _END_ELEMENT:
                self.scopes.pop()
                return CLOSED
            if record == _ARRAY:
                self._row = self._array()
                return next(self._row)
            if record != _COMMENT:
                raise CodecError(f"record {record:#04x} may not stand here")
            self._skip_comment()

    # Looking at the octets themselves, for readers that know what repeats in them

    def upcoming(self) -> tuple[bytes, int]:
        """The octets at hand, and where among them the next node begins.

        Only where an element's content goes on, that is not after a text that ends its element.
        """
        if self._ends or self._row is not None:
            return b"", 0
        return self._data, self._at

    def skip(self, octets: int) -> None:
        """Pass over whole, balanced elements that the caller has read out of `upcoming`."""
        self._at += octets

    def refill(self) -> bool:
        """Take in another piece of the document; `False` when there is none."""
        for piece in self._more:
            self._data = self._data[self._at :] + piece
            self._before += self._at
            self._at = 0
            self._size = len(self._data)
            self._check_size()
            if piece:
                return True
        return False

    # Elements

    def _outside(self) -> Node:
        """The root's start, or what stands after its end: comments."""
        while self._at < self._size or self.refill():
            record = self._byte()
            if record == _COMMENT:
                self._skip_comment()
            elif self._begun:
                raise CodecError("something follows the end of the document")
            elif not _FIRST_ELEMENT <= record < _FIRST_UNUSED:
                raise CodecError(
                    f"a document starts with an element, not with record {record:#04x}"
                )
            else:
                self._begun = True
                self._begin(record)
                return START
        if not self._begun:
            self._cut_off()
        return NOTHING

    def _begin(self, record: int) -> None:
        """An element's start with its namespaces and attributes."""
        scopes = self.scopes
        if len(scopes) >= self._limits.max_depth:
            raise CodecError(f"elements are nested deeper than {self._limits.max_depth}")
        if record >= 0x5E:  # noqa: PLR2004 - PrefixElement a-z
            prefix, name = _LETTERS[record - 0x5E], self._name()
        elif record >= 0x44:  # noqa: PLR2004 - PrefixDictionaryElement a-z
            prefix, name = _LETTERS[record - 0x44], self._dictionary_name()
        else:
            prefix = self._name() if record & 1 else ""
            name = self._dictionary_name() if record & 2 else self._name()
        scope = scopes[-1] if scopes else _ROOT_SCOPE
        if self._at >= self._size and not self.refill():
            self._cut_off()
        self.followers = []
        if _FIRST_ATTRIBUTE <= self._data[self._at] < _FIRST_ELEMENT:
            scope = self._read_followers(scope)
        if prefix not in scope:
            raise CodecError("an element has a prefix that is not declared")
        scopes.append(scope)
        self.element = StartElement(prefix, name, scope[prefix])

    def _read_followers(self, outer: Mapping[str, str]) -> Mapping[str, str]:
        """Namespaces and attributes; gives the namespaces that hold inside the element."""
        followers = self.followers
        declared: dict[str, str] = {}
        seen: set[tuple[str, str]] = set()
        while _FIRST_ATTRIBUTE <= (record := self._peek()) < _FIRST_ELEMENT:
            if len(followers) >= self._limits.max_attributes:
                raise CodecError("an element has too many attributes")
            self._at += 1
            follower = self._follower(record)
            if isinstance(follower, Namespace):
                key = ("xmlns", follower.prefix)
                declared[follower.prefix] = follower.uri
            else:
                key = ("@" + follower.prefix, follower.name)
            if key in seen:
                raise CodecError("an element has the same attribute twice")
            seen.add(key)
            followers.append(follower)
        scope = {**outer, **declared} if declared else outer
        for each in followers:
            if isinstance(each, Attribute) and each.prefix not in scope:
                raise CodecError("an attribute has a prefix that is not declared")
        return scope

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

    def _array(self) -> Iterator[Node]:
        """One element for each value of a counted row."""
        record = self._byte()
        if not _FIRST_ELEMENT <= record < _FIRST_UNUSED:
            raise CodecError("an array begins with an element")
        self._begin(record)
        opening, followers, scope = self.element, self.followers, self.scopes.pop()
        if self._byte() != _END_ELEMENT:
            raise CodecError("the element of an array is not closed")
        kind = self._byte()
        if not kind & 1 or kind & 0xFE not in ARRAY_VALUES:
            raise CodecError("an array holds values of a kind it cannot hold")
        size, render = FIXED[kind & 0xFE]
        count = self._int31()
        if not 0 < count <= self._array_values:
            raise CodecError("an array has no values, or the document's arrays have too many")
        self._array_values -= count
        for _ in range(count):
            value = render(self._take(size))
            self.element, self.followers = opening, followers
            self.scopes.append(scope)
            yield START
            self.text = value
            yield TEXT
            self.scopes.pop()
            yield CLOSED

    # Values

    def _content(self, record: int) -> None:
        """Text within an element, and the element's end where the record says so."""
        kind = record & 0xFE
        self._ends = bool(record & 1)
        if kind == _CHARS8:
            self.text = self._decoded(self._take(self._byte()), "utf-8")
        elif kind in BYTES:
            self._ends, self.text = self._octets(record)
        elif kind == _START_LIST:
            if self._ends:
                raise CodecError("a list does not end where it starts")
            self.text = self._list()
            self._ends = bool(self._data[self._at - 1] & 1)
        else:
            self.text = self._text(kind)

    def _attribute_value(self) -> str:
        record = self._byte()
        if record < _FIRST_TEXT or record & 1:
            raise CodecError("an attribute's value is no text record")
        if record in BYTES:
            return base64.b64encode(self._sized(BYTES[record])).decode()
        return self._text(record)

    def _octets(self, record: int) -> tuple[bool, str]:
        """Octet records in a row, joined before they become base64."""
        chunks = [self._sized(BYTES[record & 0xFE])]
        length = len(chunks[0])
        while not record & 1 and self._peek() & 0xFE in BYTES:
            record = self._byte()
            chunks.append(self._sized(BYTES[record & 0xFE]))
            length += len(chunks[-1])
            if length > self._limits.max_text:
                raise CodecError("a value is too long")
        return bool(record & 1), base64.b64encode(b"".join(chunks)).decode()

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
        if self._peek() == 0:
            name = self._static(int.from_bytes(self._take(3), "big"))
        else:
            name = self._dictionary()
        return f"{_LETTERS[letter]}:{name}"

    def _skip_comment(self) -> None:
        self._string(self._limits.max_text)

    # Names

    def _name(self) -> str:
        raw = self._take_string(self._limits.max_name)
        name = self._names.get(raw)
        if name is None:
            name = self._decoded(raw, "utf-8")
            if not name or not name.isprintable() or " " in name or ":" in name:
                raise CodecError("a name is empty or holds characters no name has")
            if len(self._names) < _KEPT_NAMES:
                self._names[raw] = name
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

    # Octets

    def _string(self, limit: int) -> str:
        return self._decoded(self._take_string(limit), "utf-8")

    def _take_string(self, limit: int) -> bytes:
        size = self._int31()
        if size > limit:
            raise CodecError("a name or comment is too long")
        return self._take(size)

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
        value = self._byte()
        if not value & 0x80:
            return value
        value &= 0x7F
        for position in range(1, _MAX_INT31_BYTES):
            octet = self._byte()
            value |= (octet & 0x7F) << 7 * position
            if not octet & 0x80:
                if value > _MAX_INT31:
                    break
                return value
        raise CodecError("a number does not fit 31 bits")

    def _peek(self) -> int:
        if self._at >= self._size and not self.refill():
            self._cut_off()
        return self._data[self._at]

    def _byte(self) -> int:
        at = self._at
        if at >= self._size:
            if not self.refill():
                self._cut_off()
            at = self._at
        self._at = at + 1
        return self._data[at]

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > self._size:
            self._gather(size)
            end = self._at + size
        raw = self._data[self._at : end]
        self._at = end
        return raw

    def _gather(self, size: int) -> None:
        """Have `size` octets at hand; joined once, however small the pieces are."""
        pieces = [self._data[self._at :]]
        have = len(pieces[0])
        while have < size:
            piece = next(self._more, None)
            if piece is None:
                self._cut_off()
            pieces.append(piece)
            have += len(piece)
        self._before += self._at
        self._at = 0
        self._data = b"".join(pieces)
        self._size = len(self._data)
        self._check_size()

    def _check_size(self) -> None:
        if self._before + self._size > self._limits.max_bytes:
            raise CodecError(f"the document is larger than {self._limits.max_bytes} bytes")

    def _cut_off(self) -> NoReturn:
        raise CodecError("the document is cut off")
