"""Memberships by primary group: kept on the member, never in `member`, and not synced.

Entra Connect does not sync them either. They are counted, so that whoever misses people in a group
finds out why.
"""

from __future__ import annotations

from collections.abc import Iterable

from entrasync.directory.values import sid_from_bytes
from entrasync.engine.source import SourceKind, SourceObject


def count_primary_members(taking_part: Iterable[SourceObject]) -> int:
    """How many take part whose primary group does as well."""
    groups: set[str] = set()
    wanted: list[str] = []
    for each in taking_part:
        sid = sid_from_bytes(each.raw("objectSid") or b"") or ""
        if each.kind is SourceKind.GROUP:
            groups.add(sid)
        elif sid and (relative := each.text("primaryGroupID")):
            wanted.append(f"{sid.rpartition('-')[0]}-{relative}")
    return sum(sid in groups for sid in wanted)
