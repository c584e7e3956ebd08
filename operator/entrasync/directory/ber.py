"""A lean decoder for the LDAP messages that answer a search, and the few encoders beside it.

ldap3 decodes every attribute several times over and stumbles over DirSync answers in which
`member;range=1-1` and `member;range=0-0` come together. Here a message is walked once and values
stay the bytes they are. LDAP uses definite lengths only (RFC 4511, 5.1), which keeps this short.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from entrasync.directory.errors import MalformedAnswerError

if TYPE_CHECKING:
    from collections.abc import Mapping

SEARCH_ENTRY = 0x64
SEARCH_DONE = 0x65
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
MAX_MESSAGE = 1 << 30
"""One GiB; a group of 250,000 members in one message takes about 50 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One LDAP message, its operation still encoded."""

    message_id: int
    operation: int
    """The tag, for example `SEARCH_ENTRY`."""
    body: bytes
    controls: Mapping[str, bytes] = field(default_factory=dict)
    """Values of the controls, by OID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawEntry:
    """A search result entry as it came: attribute descriptions with their options."""

    dn: bytes
    attributes: Mapping[str, tuple[bytes, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """How an operation ended."""

    code: int
    diagnostic: str
    """The server's words: they may hold names, so they are for debug logs only."""


def frame_length(buffer: bytes | bytearray, start: int) -> int | None:
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
        raise MalformedAnswerError("The server announced an LDAP message above 1 GiB.")
    return 2 + count + length


def decode_message(frame: bytes) -> Message:
    """Take one whole message apart, as far as its operation and controls.

    Raises:
        MalformedAnswerError: the bytes are no LDAP message.
    """
    start, stop = _expect(frame, 0, len(frame), _SEQUENCE)
    number, position = _expect(frame, start, stop, _INTEGER)
    message_id = int.from_bytes(frame[number:position], "big", signed=True)
    operation, start, position = _header(frame, position, stop)
    return Message(
        message_id=message_id,
        operation=operation,
        body=frame[start:position],
        controls=_decode_controls(frame, position, stop) if position < stop else {},
    )


def decode_entry(body: bytes) -> RawEntry:
    """Decode the body of a search result entry.

    Raises:
        MalformedAnswerError: the bytes are no such entry.
    """
    end = len(body)
    start, position = _expect(body, 0, end, _OCTETS)
    dn = body[start:position]
    position, end = _expect(body, position, end, _SEQUENCE)
    attributes: dict[str, tuple[bytes, ...]] = {}
    while position < end:
        inner, position = _expect(body, position, end, _SEQUENCE)
        start, inner = _expect(body, inner, position, _OCTETS)
        name = _text(body[start:inner])
        inner, stop = _expect(body, inner, position, _SET)
        values = []
        while inner < stop:
            start, inner = _expect(body, inner, stop, _OCTETS)
            values.append(body[start:inner])
        attributes[name] = tuple(values)
    return RawEntry(dn=dn, attributes=attributes)


def decode_result(body: bytes) -> Result:
    """Decode the body of an LDAPResult, such as a search result done.

    Raises:
        MalformedAnswerError: the bytes are no such result.
    """
    end = len(body)
    start, position = _expect(body, 0, end, _ENUMERATED)
    code = int.from_bytes(body[start:position], "big", signed=True)
    _, position = _expect(body, position, end, _OCTETS)
    start, position = _expect(body, position, end, _OCTETS)
    diagnostic = body[start:position].decode("utf-8", "replace")
    return Result(code=code, diagnostic=diagnostic)


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
        raise MalformedAnswerError("The server sent a truncated LDAP message.")
    length = data[position + 1]
    if length > _SHORT_FORM:
        count = length & _SHORT_FORM
        if not 1 <= count <= _LONGEST_LENGTH or start + count > end:
            raise MalformedAnswerError("The server sent an LDAP message of unknown length.")
        length = int.from_bytes(data[start : start + count], "big")
        start += count
    stop = start + length
    if stop > end:
        raise MalformedAnswerError("The server sent a truncated LDAP message.")
    return data[position], start, stop


def _expect(data: bytes, position: int, end: int, tag: int) -> tuple[int, int]:
    """Like `_header`, for a known tag: give where the content starts and stops."""
    found, start, stop = _header(data, position, end)
    if found != tag:
        raise MalformedAnswerError("The server sent an LDAP message with parts out of place.")
    return start, stop


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
