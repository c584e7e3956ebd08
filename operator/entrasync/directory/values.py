"""Pure helpers for what Active Directory puts into names and values."""

from __future__ import annotations

import re
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
_GUID_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtendedName:
    """A DN as the extended-DN control gives it."""

    guid: str | None
    dn: str


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
    """Take `<GUID=...>;<SID=...>;CN=...` apart; a plain DN has no GUID.

    Raises:
        MalformedAnswerError: it starts like an extended name and is none.
    """
    guid: str | None = None
    while value.startswith(b"<"):
        part, closed, rest = value[1:].partition(b">")
        if not closed or (rest and not rest.startswith(b";")):
            raise MalformedAnswerError("The server sent an extended DN that is not well formed.")
        name, _, text = part.partition(b"=")
        if name.upper() == b"GUID":
            guid = _guid_from_text(text)
        value = rest[1:]
    try:
        return ExtendedName(guid=guid, dn=value.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise MalformedAnswerError("The server sent a DN that is not UTF-8.") from error


def guid_of_name(value: bytes) -> str:
    """Give the GUID of an extended DN.

    Raises:
        MalformedAnswerError: there is none. A member without one could not be told from a member
            that left, so nothing is guessed here.
    """
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


def is_true(values: tuple[bytes, ...]) -> bool:
    """Read an LDAP Boolean."""
    return values[:1] == (b"TRUE",)


def domain_of(dn: str) -> str:
    """Give the DNS name of a naming context such as `DC=contoso,DC=test`."""
    parts = (part.strip() for part in dn.split(","))
    return ".".join(part[3:] for part in parts if part[:3].upper() == "DC=").lower()


def naming_context_of(dn: str, naming_contexts: tuple[str, ...]) -> str | None:
    """Find the naming context a DN, spelled as the server spells it, lies in."""
    folded = dn.casefold()
    holders = [
        context
        for context in naming_contexts
        if folded == context.casefold() or folded.endswith("," + context.casefold())
    ]
    return max(holders, key=len, default=None)


def escape_filter(value: str) -> str:
    """Escape a value for a search filter (RFC 4515)."""
    return "".join(f"\\{ord(char):02x}" if char in "\\*()\0" else char for char in value)


def _guid_from_text(text: bytes) -> str:
    """Read a GUID of an extended DN: text with dashes, or the 16 bytes as hexadecimal digits."""
    if _GUID_TEXT.fullmatch(text):
        return text.decode("ascii").lower()
    try:
        return guid_from_bytes(bytes.fromhex(text.decode("ascii")))
    except ValueError as error:
        raise MalformedAnswerError("The server sent a GUID that is none.") from error
