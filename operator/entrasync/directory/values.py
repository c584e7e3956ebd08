"""Pure helpers for what Active Directory puts into names and values.

What the protocol promises and a server breaks, such as a member without a GUID, is an error: the
read cannot be trusted. What one object holds in one attribute is not: a value that is none of its
kind is `None`, and the object takes part without it.
"""

from __future__ import annotations

import datetime as dt
import re
import struct
from dataclasses import dataclass
from functools import lru_cache

from entrasync.directory.errors import MalformedAnswerError

FUNCTIONAL_LEVELS = {
    "0": "2000",
    "1": "2003Interim",
    "2": "2003",
    "3": "2008",
    "4": "2008R2",
    "5": "2012",
    "6": "2012R2",
    "7": "2016",
    "10": "2025",
}
"""`domainFunctionality` of the root DSE, as people know it."""

_RANGE = re.compile(r"range=(\d{1,10})-(\d{1,10}|\*)", re.IGNORECASE)
_GUID_TEXT = re.compile(rb"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_EXTENDED = re.compile(rb"<GUID=" + _GUID_TEXT.pattern + rb">;")
_GUID_BYTES = 16


_INTEGER = re.compile(r"-?[0-9]{1,19}")
_SURE_DIGITS = 18
"""So many decimal digits always fit into 64 bits."""
_INTEGER8 = range(-(1 << 63), 1 << 63)
_GENERALIZED_TIME = re.compile(
    r"(\d{4})(\d\d)(\d\d)(\d\d)(?:(\d\d)(\d\d)?)?(?:[.,](\d{1,12}))?(?:Z|([+-])(\d\d)(\d\d)?)",
    re.ASCII,
)
_SID_HEADER = 8
_SID_REVISION = 1
_SID_MOST_PARTS = 15
_SID_TEXT = re.compile(r"S-1-(0x[0-9A-F]{1,12}|[0-9]{1,15})((?:-[0-9]{1,10})*)", re.IGNORECASE)
_COMMA = re.compile(r"\\.|,", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedName:
    """A DN as the extended-DN control gives it."""

    guid: str | None
    dn: str
    sid: bytes | None = None

    @property
    def is_foreign_principal(self) -> bool:
        """Whether it stands for somebody of another forest, or for a well-known principal.

        Such an object is called by the SID it stands for, wherever it lies.
        """
        return self.sid is not None and self.sid == sid_from_text(self.dn.partition(",")[0][3:])


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueRange:
    """Which of its values an attribute description such as `member;range=0-1499` holds."""

    low: int
    high: int | None
    """`None` when these are the last values (`*`)."""


def guid_from_bytes(value: bytes) -> str:
    """Give an objectGUID as lowercase canonical text.

    Raises:
        MalformedAnswerError: it is not 16 bytes long.
    """
    if len(value) != _GUID_BYTES:
        raise MalformedAnswerError("The server sent an objectGUID that is not 16 bytes long.")
    # the first three fields are little-endian; several times as fast as uuid.UUID(bytes_le=...)
    first, second, third = value[3::-1].hex(), value[5:3:-1].hex(), value[7:5:-1].hex()
    return f"{first}-{second}-{third}-{value[8:10].hex()}-{value[10:].hex()}"


def parse_extended_name(value: bytes) -> ExtendedName:
    """Take `<GUID=...>;<SID=...>;CN=...` apart; a plain DN has neither.

    Raises:
        MalformedAnswerError: it starts like an extended name and is none.
    """
    guid: str | None = None
    sid: bytes | None = None
    while value.startswith(b"<"):
        part, closed, rest = value[1:].partition(b">")
        if not closed or (rest and not rest.startswith(b";")):
            raise MalformedAnswerError("The server sent an extended DN that is not well formed.")
        name, _, text = part.partition(b"=")
        if name.upper() == b"GUID":
            guid = _guid_from_text(text)
        elif name.upper() == b"SID":
            sid = _sid_of_name(text)
        value = rest[1:]
    try:
        return ExtendedName(guid=guid, dn=value.decode("utf-8"), sid=sid)
    except UnicodeDecodeError as error:
        raise MalformedAnswerError("The server sent a DN that is not UTF-8.") from error


def guid_of_name(value: bytes) -> str:
    """Give the GUID of an extended DN.

    Raises:
        MalformedAnswerError: there is none. A member without one could not be told from a member
            that left, so nothing is guessed here.
    """
    if _EXTENDED.match(value):  # a large group has nothing but these
        return value[6:42].decode("ascii").lower()
    name = parse_extended_name(value)
    if name.guid is None:
        raise MalformedAnswerError("The server named an object without its GUID.")
    return name.guid


@lru_cache(maxsize=1024)
def split_description(description: str) -> tuple[str, ValueRange | None]:
    """Split an attribute description into the attribute's name and the range it holds, if any.

    Other options, such as `;binary`, are dropped. Every entry has the same few: hence the cache.

    Raises:
        MalformedAnswerError: a range that is none.
    """
    name, *options = description.split(";")
    for option in options:
        if not option.lower().startswith("range="):
            continue
        match = _RANGE.fullmatch(option)
        if match is None:
            raise MalformedAnswerError("The server sent a range of values that is none.")
        low, high = match.groups()
        return name, ValueRange(low=int(low), high=None if high == "*" else int(high))
    return name, None


@lru_cache(maxsize=1024)
def fold_description(description: str) -> tuple[str, ValueRange | None]:
    """Like `split_description`, the name in lower case."""
    name, value_range = split_description(description)
    return name.lower(), value_range


def is_true(values: tuple[bytes, ...]) -> bool:
    """Read an LDAP Boolean."""
    return values[:1] == (b"TRUE",)


def integer_from_text(text: str) -> int | None:
    """Read an integer or integer8 (64 bits, signed); `None` when it is none.

    Stricter than `int`, which takes a plus, underscores, and digits of other scripts.
    """
    if len(text) <= _SURE_DIGITS and text.isdigit() and text.isascii():
        return int(text)  # most are such, and each user has several
    if not _INTEGER.fullmatch(text):
        return None
    number = int(text)
    return number if number in _INTEGER8 else None


def moment_from_generalized_time(value: str) -> dt.datetime | None:
    """Read a generalized time (RFC 4517, 3.3.13), in UTC, to the microsecond; `None` when none.

    Active Directory writes `20260131235959.0Z`; others leave out seconds or minutes, or give a
    fraction of the last unit given or a zone.
    """
    match = _GENERALIZED_TIME.fullmatch(value)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, sign, hours, minutes = match.groups()
    unit = 1 if second else 60 if minute else 3600
    span = dt.timedelta(seconds=int(second or 0), minutes=int(minute or 0))
    if fraction:
        span += dt.timedelta(microseconds=int(fraction) * unit * 10**6 // 10 ** len(fraction))
    zone = dt.timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    if int(minute or 0) > 59 or int(second or 0) > 60 or int(minutes or 0) > 59:  # noqa: PLR2004
        return None  # a second of 60 is a leap second, and counts as the next
    try:
        start = dt.datetime(int(year), int(month), int(day), int(hour), tzinfo=dt.UTC)
        return start + span + (zone if sign == "-" else -zone)
    except (ValueError, OverflowError):
        return None


def sid_from_bytes(value: bytes) -> str | None:
    """Give an objectSid as `S-1-5-21-...`; `None` when it is none."""
    if len(value) < _SID_HEADER or value[0] != _SID_REVISION:
        return None
    count = value[1]
    if count > _SID_MOST_PARTS or len(value) != _SID_HEADER + 4 * count:
        return None
    authority = int.from_bytes(value[2:_SID_HEADER], "big")
    first = f"0x{authority:012x}" if authority >> 32 else str(authority)
    parts = struct.unpack_from(f"<{count}I", value, _SID_HEADER)
    return "-".join(["S", str(_SID_REVISION), first, *map(str, parts)])


def sid_from_text(text: str) -> bytes | None:
    """Give the bytes of a SID written as `S-1-5-21-...`; `None` when it is none."""
    match = _SID_TEXT.fullmatch(text)
    if match is None:
        return None
    authority, rest = int(match[1], 0 if match[1][:2].lower() == "0x" else 10), match[2]
    parts = [int(part) for part in rest.split("-")[1:]]
    if authority >> 48 or len(parts) > _SID_MOST_PARTS or any(part >> 32 for part in parts):
        return None
    header = bytes((_SID_REVISION, len(parts))) + authority.to_bytes(6, "big")
    return header + struct.pack(f"<{len(parts)}I", *parts)


def split_name(dn: str) -> list[str]:
    """Split a DN into its components, the innermost first; escapes are kept as they are."""
    commas = [match.start() for match in _COMMA.finditer(dn) if match.group() == ","]
    stops = [*commas, len(dn)]
    starts = [0, *(comma + 1 for comma in commas)]
    parts = zip(starts, stops, strict=True)
    return [dn[start:stop].lstrip(" ") for start, stop in parts] if dn else []


def domain_of(dn: str) -> str:
    """Give the DNS name of a naming context such as `DC=contoso,DC=test`."""
    return ".".join(
        part[3:].strip() for part in split_name(dn) if part[:3].upper() == "DC="
    ).lower()


def naming_context_of(dn: str, naming_contexts: tuple[str, ...]) -> str | None:
    """Find the naming context a DN, spelled as the server spells it, lies in."""
    parts = split_name(dn.casefold())
    holders: list[tuple[int, str]] = []
    for context in naming_contexts:
        root = split_name(context.casefold())
        if root and parts[-len(root) :] == root:
            holders.append((len(root), context))
    return max(holders, default=(0, None))[1]


def escape_filter(value: str) -> str:
    """Escape a value for a search filter (RFC 4515)."""
    return "".join(f"\\{ord(char):02x}" if char in "\\*()\0" else char for char in value)


def _sid_of_name(text: bytes) -> bytes | None:
    """Read a SID of an extended DN: as people write it, or its bytes as hexadecimal digits."""
    try:
        written = text.decode("ascii")
        return sid_from_text(written) or bytes.fromhex(written)
    except ValueError:
        return None


def _guid_from_text(text: bytes) -> str:
    """Read a GUID of an extended DN: text with dashes, or the 16 bytes as hexadecimal digits."""
    if _GUID_TEXT.fullmatch(text):
        return text.decode("ascii").lower()
    try:
        return guid_from_bytes(bytes.fromhex(text.decode("ascii")))
    except ValueError as error:
        raise MalformedAnswerError("The server sent a GUID that is none.") from error
