"""Times and durations as Kubernetes writes them."""

from __future__ import annotations

import datetime as dt
from typing import Final

import durationpy

CLOCKS: Final = dt.timedelta(seconds=10)
"""How far the clocks of several API servers of one cluster may be apart."""


def parse_duration(text: str) -> dt.timedelta:
    """A GEP-2257 duration such as `1h30m`."""
    found: dt.timedelta = durationpy.from_str(text)
    return found


def format_duration(value: dt.timedelta) -> str:
    """A duration in whole seconds, as GEP-2257 writes it: `1h2m3s`."""
    seconds = max(int(value.total_seconds()), 0)
    parts = ((seconds // 3600, "h"), (seconds % 3600 // 60, "m"), (seconds % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number) or "0s"


def parse_time(text: str | None) -> dt.datetime | None:
    """An RFC 3339 time as aware UTC; `None` for nothing or nonsense."""
    if not text:
        return None
    try:
        found = dt.datetime.fromisoformat(text)
        return found.astimezone(dt.UTC) if found.tzinfo else found.replace(tzinfo=dt.UTC)
    except (ValueError, OverflowError):
        return None


def format_time(value: dt.datetime) -> str:
    """An aware time as RFC 3339 in UTC, whole seconds."""
    return value.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def is_older(one: str | None, other: str | None) -> bool:
    """Whether one object was made before another, beyond doubt; false where that is not known.

    Args:
        one: its `creationTimestamp`.
        other: that of the other one.
    """
    made, later = parse_time(one), parse_time(other)
    return made is not None and later is not None and made < later - CLOCKS
