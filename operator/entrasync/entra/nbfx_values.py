"""The typed values of .NET binary XML and their lexical forms."""

from __future__ import annotations

import datetime as dt
import math
import struct
import uuid
from collections.abc import Callable
from typing import Final

from entrasync.entra.infoset import CodecError

_TICK_BITS: Final = 62
_TICKS_PER_SECOND: Final = 10_000_000
_MAX_TICKS: Final = 3_155_378_975_999_999_999
_MAX_SCALE: Final = 28
_KINDS: Final = {0: "", 1: "Z", 2: ""}
"""Unspecified, UTC, and local, whose offset only the sender knows."""


def _integer(layout: str) -> Callable[[bytes], str]:
    unpack = struct.Struct(layout).unpack
    return lambda raw: str(unpack(raw)[0])


def _real(layout: str, digits: int) -> Callable[[bytes], str]:
    form = struct.Struct(layout)

    def render(raw: bytes) -> str:
        value: float = form.unpack(raw)[0]
        if math.isnan(value):
            return "NaN"
        if math.isinf(value):
            return "INF" if value > 0 else "-INF"
        for precision in range(1, digits + 1):
            text = f"{value:.{precision}g}"
            try:
                if form.pack(float(text)) == raw:
                    return text
            except OverflowError:
                continue
        return repr(value)

    return render


def _decimal(raw: bytes) -> str:
    scale, sign, high, low = struct.unpack("<xxBBIQ", raw)
    if scale > _MAX_SCALE or sign not in {0x00, 0x80}:
        raise CodecError("a Decimal record has an impossible scale or sign")
    digits = str(high << 64 | low).rjust(scale + 1, "0")
    text = f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits
    return f"-{text}" if sign else text


def _fraction(ticks: int) -> str:
    return f".{ticks:07d}".rstrip("0") if ticks else ""


def _date_time(raw: bytes) -> str:
    (value,) = struct.unpack("<Q", raw)
    kind, ticks = value >> _TICK_BITS, value & (1 << _TICK_BITS) - 1
    if kind not in _KINDS or ticks > _MAX_TICKS:
        raise CodecError("a DateTime record is out of range")
    seconds, rest = divmod(ticks, _TICKS_PER_SECOND)
    moment = dt.datetime(1, 1, 1) + dt.timedelta(seconds=seconds)  # noqa: DTZ001 - its zone is the kind
    return f"{moment.isoformat()}{_fraction(rest)}{_KINDS[kind]}"


def _time_span(raw: bytes) -> str:
    (ticks,) = struct.unpack("<q", raw)
    seconds, rest = divmod(abs(ticks), _TICKS_PER_SECOND)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    date = f"{days}D" if days else ""
    time = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    if seconds or rest:
        time += f"{seconds}{_fraction(rest)}S"
    if not date and not time:
        return "PT0S"
    return f"{'-' if ticks < 0 else ''}P{date}{'T' if time else ''}{time}"


def _boolean(raw: bytes) -> str:
    if raw == b"\x00":
        return "false"
    if raw == b"\x01":
        return "true"
    raise CodecError("a Bool record is neither false nor true")


def _uuid(raw: bytes) -> str:
    return str(uuid.UUID(bytes_le=raw))


CONSTANTS: Final = {0x80: "0", 0x82: "1", 0x84: "false", 0x86: "true", 0xA8: ""}
"""Records that are a value by themselves."""

FIXED: Final[dict[int, tuple[int, Callable[[bytes], str]]]] = {
    0x88: (1, _integer("<b")),
    0x8A: (2, _integer("<h")),
    0x8C: (4, _integer("<i")),
    0x8E: (8, _integer("<q")),
    0x90: (4, _real("<f", 9)),
    0x92: (8, _real("<d", 17)),
    0x94: (16, _decimal),
    0x96: (8, _date_time),
    0xAC: (16, lambda raw: f"urn:uuid:{_uuid(raw)}"),
    0xAE: (8, _time_span),
    0xB0: (16, _uuid),
    0xB2: (8, _integer("<Q")),
    0xB4: (1, _boolean),
}
"""Size and lexical form of the records of fixed size."""

CHARS: Final = {0x98: 1, 0x9A: 2, 0x9C: 4}
"""UTF-8 text: octets of its length."""
BYTES: Final = {0x9E: 1, 0xA0: 2, 0xA2: 4}
"""Octets: octets of their length."""
UNICODE: Final = {0xB6: 1, 0xB8: 2, 0xBA: 4}
"""UTF-16 text: octets of its length."""
ARRAY_VALUES: Final = frozenset({0x8A, 0x8C, 0x8E, 0x90, 0x92, 0x94, 0x96, 0xAE, 0xB0, 0xB4})
"""Records whose values an Array may hold."""
