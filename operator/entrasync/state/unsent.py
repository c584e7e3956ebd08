"""Whether anything of an object of the sources is still to be sent."""

from __future__ import annotations

from typing import Final

from entrasync.state.database import Database
from entrasync.state.rows import guid_bytes

# what is deleted takes part no longer, but its anchor was pinned when it was exported
_UNSENT: Final = """
    SELECT EXISTS (
        SELECT 1 FROM guids
        LEFT JOIN parts ON parts.object = guids.id
        LEFT JOIN pins ON pins.guid = guids.guid
        WHERE guids.guid = ? AND (
            EXISTS (SELECT 1 FROM pending WHERE pending.anchor IN (parts.anchor, pins.anchor))
            OR EXISTS (
                SELECT 1 FROM pending_links
                WHERE pending_links.owner IN (parts.anchor, pins.anchor))
            OR EXISTS (
                SELECT 1 FROM candidates WHERE candidates.anchor IN (parts.anchor, pins.anchor))))
    """


def has_unsent(database: Database, guid: str) -> bool:
    """Whether changes of an object, or of a group's members, are pending.

    Args:
        database: the open state.
        guid: objectGUID, canonical.
    """
    return bool(database.connection.execute(_UNSENT, (guid_bytes(guid),)).fetchone()[0])
