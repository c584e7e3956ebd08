"""Memberships by primary group: kept on the member, never in `member`, and not synced.

Entra Connect does not sync them either. They are counted, so that whoever misses people in a group
finds out why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from entrasync.engine.source import SourceKind, SourceObject

_RELATIVE_BYTES: Final = 4
_MOST: Final = 1 << 32


def primary_group_sid(source: SourceObject) -> bytes | None:
    """SID of a user's primary group, as bytes: the one of its own domain with that number."""
    if source.kind is not SourceKind.USER:
        return None
    sid, relative = source.raw("objectSid"), source.integer("primaryGroupID")
    if sid is None or len(sid) <= _RELATIVE_BYTES or relative is None or not 0 < relative < _MOST:
        return None
    return sid[:-_RELATIVE_BYTES] + relative.to_bytes(_RELATIVE_BYTES, "little")


def count_primary_members(users: Mapping[bytes, int], takes_part: Callable[[bytes], bool]) -> int:
    """How many users take part whose primary group does as well.

    Args:
        users: how many have each primary group, by its SID.
        takes_part: whether a group with a SID does.
    """
    return sum(count for sid, count in users.items() if takes_part(sid))
