"""Memberships by primary group: kept on the member, never in `member`, and not synced.

Entra Connect does not sync them either. They are counted, so that whoever misses people in a group
finds out why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from entrasync.engine.source import SourceKind, SourceObject

_RELATIVE_BYTES: Final = 4
_MOST: Final = 1 << 32
_SID_CHARACTERS: Final = 40
"""Of the SID of an account, 28 octets as base64."""
_DOMAIN_CHARACTERS: Final = 32
"""Of those, the SID of its domain: 24 octets end where a group of four characters does."""


def primary_group_sid(source: SourceObject) -> bytes | None:
    """SID of a user's primary group, as bytes: the one of its own domain with that number."""
    if source.kind is not SourceKind.USER:
        return None
    sid, relative = source.raw("objectSid"), source.integer("primaryGroupID")
    if sid is None or len(sid) <= _RELATIVE_BYTES or relative is None or not 0 < relative < _MOST:
        return None
    return sid[:-_RELATIVE_BYTES] + relative.to_bytes(_RELATIVE_BYTES, "little")


class PrimaryGroups:
    """Counts users by the SID of their primary group.

    Nearly all users of a domain have the same one: it is worked out once for each domain and
    number, told apart as the state keeps them.

    Attributes:
        members: how many users have each primary group, by its SID.
    """

    def __init__(self) -> None:
        self.members: Counter[bytes] = Counter()
        self._known: dict[tuple[str, object], bytes | None] = {}

    def add(self, source: SourceObject) -> None:
        """Counts a user; what is none has no primary group."""
        if source.kind is not SourceKind.USER:
            return
        key = _as_kept(source)
        if key is None:
            primary = primary_group_sid(source)
        elif key in self._known:
            primary = self._known[key]
        else:
            primary = self._known[key] = primary_group_sid(source)
        if primary is not None:
            self.members[primary] += 1


def _as_kept(source: SourceObject) -> tuple[str, object] | None:
    """Domain and number of a primary group as the state keeps them; `None` for rare forms."""
    stored = source.stored
    if stored is None:
        return None
    sids, numbers = stored.get("objectSid"), stored.get("primaryGroupID")
    if not sids or not numbers or not isinstance(sids[0], dict):
        return None
    sid, number = sids[0]["b"], numbers[0]
    if len(sid) != _SID_CHARACTERS or not isinstance(number, str):
        return None
    return sid[:_DOMAIN_CHARACTERS], number


def count_primary_members(users: Mapping[bytes, int], takes_part: Callable[[bytes], bool]) -> int:
    """How many users take part whose primary group does as well.

    Args:
        users: how many have each primary group, by its SID.
        takes_part: whether a group with a SID does.
    """
    return sum(count for sid, count in users.items() if takes_part(sid))
