"""A lean decoder for the LDAP messages that answer us, and the few encoders beside it.

ldap3 decodes every attribute several times over and stumbles over DirSync answers in which
`member;range=1-1` and `member;range=0-0` come together. Here a message is walked once and values
stay the bytes they are. LDAP uses definite lengths only (RFC 4511, 5.1), which keeps this short.

Nothing here calls itself, so nesting costs a hostile server more than us, and no length is believed
before its bytes are there. Whatever is not as it should be is a `MalformedAnswerError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from entrasync.directory.errors import MalformedAnswerError

SEARCH_ENTRY = 0x64
SEARCH_DONE = 0x65
MODIFY_RESPONSE = 0x67
SEARCH_REFERENCE = 0x73
EXTENDED_RESPONSE = 0x78

_INTEGER = 0x02
_OCTETS = 0x04
_ENUMERATED = 0x0A
_SEQUENCE = 0x30
_SET = 0x31
_CONTROLS = 0xA0
_BOOLEAN = 0x01

_SHORT_FORM = 0x7F
"""The longest length that fits the first length byte."""
_LONGEST_LENGTH = 4
"""Bytes of a length; four is what Active Directory always sends."""
_LONGEST_NUMBER = 4
"""Bytes of a message id or a result code (RFC 4511, 4.1.1)."""
_LONGEST_DIAGNOSTIC = 1000
"""Bytes of a server's words that are worth a log line."""
MAX_MESSAGE = 1 << 27
"""128 MiB; a group of 250,000 members in one message takes about 50 MiB, Active Directory sends
1,500 or 5,000 of them at a time."""
_NO_CONTROLS: Final[Mapping[str, bytes]] = MappingProxyType({})

_names: Final[dict[bytes, str]] = {}
"""Attribute descriptions seen so far: every entry has the same few."""
_MOST_NAMES = 4096


# tuples, for they are built once an entry: a frozen data class takes five times as long


class Message(NamedTuple):
    """One LDAP message, its operation still encoded."""

    message_id: int
    operation: int
    """The tag, for example `SEARCH_ENTRY`."""
    body: bytes
    controls: Mapping[str, bytes] = _NO_CONTROLS
    """Values of the controls, by OID."""


class RawEntry(NamedTuple):
    """A search result entry as it came: attribute descriptions with their options."""

    dn: bytes
    attributes: Mapping[str, tuple[bytes, ...]]


class Result(NamedTuple):
    """How an operation ended."""

    code: int
    diagnostic: str
    """The server's words: they may hold names, so they are for debug logs only."""


def frame_length(buffer: bytes, start: int) -> int | None:
    """Say how long the message at `start` is, header included.

    Returns:
        The length, or `None` while too few bytes are there to tell.

    Raises:
        MalformedAnswerError: what stands there is no LDAP message.
    """
    if len(buffer) - start < 2:  # noqa: PLR2004  - a tag and a length byte
        return None
    if buffer[start] != _SEQUENCE:
        raise MalformedAnswerError("The server sent bytes that are no LDAP message.")
    first = buffer[start + 1]
    if first <= _SHORT_FORM:
        return 2 + first
    count = first & _SHORT_FORM
    if not 1 <= count <= _LONGEST_LENGTH:
        raise MalformedAnswerError("The server sent an LDAP message of unknown length.")
    if len(buffer) - start < 2 + count:
        return None
    length = int.from_bytes(buffer[start + 2 : start + 2 + count], "big")
    if length > MAX_MESSAGE:
        raise MalformedAnswerError("The server announced an LDAP message above 128 MiB.")
    return 2 + count + length


def decode_message(frame: bytes) -> Message:
    """Take one whole message apart, as far as its operation and controls.

    Raises:
        MalformedAnswerError: the bytes are no LDAP message.
    """
    start, stop = _expect(frame, 0, len(frame), _SEQUENCE)
    message_id, position = _number(frame, start, stop, _INTEGER)
    operation, start, position = _header(frame, position, stop)
    body = frame[start:position]
    if position == stop:
        return Message(message_id, operation, body)
    return Message(message_id, operation, body, _decode_controls(frame, position, stop))


def decode_entry(body: bytes) -> RawEntry:  # noqa: C901, PLR0912, PLR0915  - see below
    """Decode the body of a search result entry.

    The loop that a read spends its time in: headers are read in place, since a call for each of the
    forty of an entry costs more than all else. Whether a part ends where the one around it does is
    looked at when it ends: what a lying length made of it before that goes nowhere.

    Raises:
        MalformedAnswerError: the bytes are no such entry.
    """
    names = _names
    attributes: dict[str, tuple[bytes, ...]] = {}
    try:
        position, length = 2, body[1]
        if length > _SHORT_FORM:
            position, length = _long_length(body, 2, length)
        start = position
        position += length
        dn = body[start:position]
        tag, length = body[position], body[position + 1]
        position += 2
        if length > _SHORT_FORM:
            position, length = _long_length(body, position, length)
        if body[0] != _OCTETS or tag != _SEQUENCE:
            raise _out_of_place()
        end = position + length
        while position < end:
            tag, length = body[position], body[position + 1]
            position += 2
            if length > _SHORT_FORM:
                position, length = _long_length(body, position, length)
            stop = position + length

            name_tag, length = body[position], body[position + 1]
            position += 2
            if length > _SHORT_FORM:
                position, length = _long_length(body, position, length)
            start = position
            position += length
            name = names.get(body[start:position]) or _name(body[start:position])

            set_tag, length = body[position], body[position + 1]
            position += 2
            if length > _SHORT_FORM:
                position, length = _long_length(body, position, length)
            if (
                tag != _SEQUENCE
                or name_tag != _OCTETS
                or set_tag != _SET
                or position + length != stop
                or name in attributes  # the rest of a list, or another: neither is the whole
            ):
                raise _out_of_place()

            if not length:
                attributes[name] = ()
                continue
            tag, length = body[position], body[position + 1]
            if position + 2 + length == stop and length <= _SHORT_FORM and tag == _OCTETS:
                attributes[name] = (body[position + 2 : stop],)  # most have one short value
                position = stop
                continue
            values = []
            while position < stop:
                tag, length = body[position], body[position + 1]
                position += 2
                if length > _SHORT_FORM:
                    position, length = _long_length(body, position, length)
                if tag != _OCTETS:
                    raise _out_of_place()
                start = position
                position += length
                values.append(body[start:position])
            if position != stop:
                raise _truncated()
            attributes[name] = tuple(values)
    except IndexError:
        raise _truncated() from None
    if position != end or end != len(body):
        raise _truncated()
    return RawEntry(dn, attributes)


def decode_result(body: bytes) -> Result:
    """Decode the body of an LDAPResult, such as a search result done.

    Raises:
        MalformedAnswerError: the bytes are no such result.
    """
    end = len(body)
    code, position = _number(body, 0, end, _ENUMERATED)
    _, position = _expect(body, position, end, _OCTETS)
    start, position = _expect(body, position, end, _OCTETS)
    words = body[start : min(position, start + _LONGEST_DIAGNOSTIC)]
    return Result(code=code, diagnostic=words.decode("utf-8", "replace"))


def decode_paged_value(value: bytes) -> bytes:
    """Give the cookie of a paged-results response control (RFC 2696).

    Raises:
        MalformedAnswerError: the bytes are no such value.
    """
    start, stop = _expect(value, 0, len(value), _SEQUENCE)
    _, position = _expect(value, start, stop, _INTEGER)
    start, position = _expect(value, position, stop, _OCTETS)
    return value[start:position]


def decode_dirsync_value(value: bytes) -> tuple[bool, bytes]:
    """Give "more follows" and the cookie of a DirSync response control.

    Raises:
        MalformedAnswerError: the bytes are no such value.
    """
    start, stop = _expect(value, 0, len(value), _SEQUENCE)
    start, position = _expect(value, start, stop, _INTEGER)
    more = any(value[start:position])
    _, position = _expect(value, position, stop, _INTEGER)
    start, position = _expect(value, position, stop, _OCTETS)
    return more, value[start:position]


def encode_integer(number: int) -> bytes:
    """Encode an INTEGER in as few bytes as it takes."""
    size = (number if number >= 0 else ~number).bit_length() // 8 + 1
    return _encode(_INTEGER, number.to_bytes(size, "big", signed=True))


def encode_octets(value: bytes) -> bytes:
    """Encode an OCTET STRING."""
    return _encode(_OCTETS, value)


def encode_sequence(*parts: bytes) -> bytes:
    """Encode a SEQUENCE of what is encoded already."""
    return _encode(_SEQUENCE, b"".join(parts))


def _encode(tag: int, content: bytes) -> bytes:
    length = len(content)
    if length <= _SHORT_FORM:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def _header(data: bytes, position: int, end: int) -> tuple[int, int, int]:
    """Read tag and length at `position`; give the tag, where the content starts and stops."""
    start = position + 2
    if start > end:
        raise _truncated()
    length = data[position + 1]
    if length > _SHORT_FORM:
        start, length = _long_length(data, start, length)
    stop = start + length
    if stop > end:
        raise _truncated()
    return data[position], start, stop


def _expect(data: bytes, position: int, end: int, tag: int) -> tuple[int, int]:
    """Like `_header`, for a known tag: give where the content starts and stops."""
    found, start, stop = _header(data, position, end)
    if found != tag:
        raise _out_of_place()
    return start, stop


def _number(data: bytes, position: int, end: int, tag: int) -> tuple[int, int]:
    """Read a number of at most four bytes; give it, and where it stops.

    No bytes at all are none: as a result code they would pass for success.
    """
    start, stop = _expect(data, position, end, tag)
    if not 1 <= stop - start <= _LONGEST_NUMBER:
        raise MalformedAnswerError("The server sent an LDAP message with a number that is none.")
    return int.from_bytes(data[start:stop], "big", signed=True), stop


def _long_length(data: bytes, position: int, first: int) -> tuple[int, int]:
    """Read the further bytes of a length; give where the content starts, and its length."""
    count = first & _SHORT_FORM
    start = position + count
    if not 1 <= count <= _LONGEST_LENGTH or start > len(data):
        raise MalformedAnswerError("The server sent an LDAP message of unknown length.")
    return start, int.from_bytes(data[position:start], "big")


def _truncated() -> MalformedAnswerError:
    return MalformedAnswerError("The server sent a truncated LDAP message.")


def _out_of_place() -> MalformedAnswerError:
    return MalformedAnswerError("The server sent an LDAP message with parts out of place.")


def _name(value: bytes) -> str:
    name = _text(value)
    if len(_names) < _MOST_NAMES:
        _names[value] = name
    return name


def _decode_controls(frame: bytes, position: int, end: int) -> dict[str, bytes]:
    controls: dict[str, bytes] = {}
    position, end = _expect(frame, position, end, _CONTROLS)
    while position < end:
        inner, position = _expect(frame, position, end, _SEQUENCE)
        start, inner = _expect(frame, inner, position, _OCTETS)
        oid = _text(frame[start:inner])
        controls[oid] = b""
        while inner < position:  # criticality and value, both optional
            tag, start, inner = _header(frame, inner, position)
            if tag == _OCTETS:
                controls[oid] = frame[start:inner]
            elif tag != _BOOLEAN:
                raise MalformedAnswerError("The server sent a control with parts out of place.")
    return controls


def _text(value: bytes) -> str:
    try:
        return value.decode("ascii")
    except UnicodeDecodeError as error:
        raise MalformedAnswerError("The server sent a name that is not ASCII.") from error
