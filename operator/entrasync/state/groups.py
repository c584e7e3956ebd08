"""Who is in the groups that decide what takes part, by the links of the sources."""

from __future__ import annotations

from typing import Final

from entrasync.state.database import Database
from entrasync.state.schema import MEMBER, Kind

_REACH: Final = f"""
    WITH RECURSIVE reached (id) AS (
        SELECT ?1 UNION
        SELECT r.target FROM reached x
        CROSS JOIN source_references r ON r.owner = x.id AND r.attribute = {MEMBER}
        CROSS JOIN source_objects o ON o.id = r.target AND o.kind = {Kind.GROUP:d}
    ) SELECT ?1, id FROM reached
"""  # noqa: S608  - a query of ours


class GroupSpace:
    """Looks up memberships; nested ones once their groups were reached.

    Args:
        database: the open state.
    """

    def __init__(self, database: Database) -> None:
        self._connection = database.connection

    def kind_of(self, guid: bytes) -> int | None:
        """The `Kind` of an object, `None` when it was never seen."""
        row = self._connection.execute(
            "SELECT o.kind FROM guids g JOIN source_objects o ON o.id = g.id WHERE g.guid = ?",
            (guid,),
        ).fetchone()
        return None if row is None else int(row[0])

    def has_members(self, group: bytes) -> bool:
        """Whether a group has any member."""
        row = self._connection.execute(
            "SELECT 1 FROM guids g JOIN source_references r ON r.owner = g.id"  # noqa: S608  - a query of ours
            f" AND r.attribute = {MEMBER} WHERE g.guid = ? LIMIT 1",
            (group,),
        ).fetchone()
        return row is not None

    def is_member(self, group: int, guid: bytes) -> bool:
        """Whether an object is in a group itself."""
        row = self._connection.execute(
            "SELECT 1 FROM guids g CROSS JOIN source_references r ON r.owner = ?"  # noqa: S608  - as above
            f" AND r.attribute = {MEMBER} AND r.target = g.id WHERE g.guid = ?",
            (group, guid),
        ).fetchone()
        return row is not None

    def reach(self, group: int) -> list[bytes]:
        """Finds all groups within a group, itself included; gives their GUIDs."""
        execute = self._connection.execute
        execute(
            "CREATE TEMP TABLE IF NOT EXISTS reached (origin INTEGER, id INTEGER,"
            " PRIMARY KEY (origin, id)) WITHOUT ROWID"
        )
        execute("DELETE FROM temp.reached WHERE origin = ?", (group,))
        execute(f"INSERT INTO temp.reached {_REACH}", (group,))
        rows = execute(
            "SELECT g.guid FROM temp.reached x JOIN guids g ON g.id = x.id WHERE x.origin = ?",
            (group,),
        )
        return [row[0] for row in rows]

    def is_within(self, group: int, guid: bytes) -> bool:
        """Whether an object is in a group at any depth, once that group's groups were reached."""
        row = self._connection.execute(
            "SELECT 1 FROM guids g CROSS JOIN source_references r ON r.target = g.id"  # noqa: S608  - as above
            f" AND r.attribute = {MEMBER}"
            " CROSS JOIN temp.reached x ON x.origin = ? AND x.id = r.owner"
            " WHERE g.guid = ? LIMIT 1",
            (group, guid),
        ).fetchone()
        return row is not None

    def all_seen(self, group: int) -> bool:
        """Whether every member of the reached groups was seen: what was not might be a group."""
        row = self._connection.execute(
            "SELECT 1 FROM temp.reached x CROSS JOIN source_references r ON r.owner = x.id"  # noqa: S608  - as above
            f" AND r.attribute = {MEMBER} LEFT JOIN source_objects o ON o.id = r.target"
            " WHERE x.origin = ? AND o.id IS NULL LIMIT 1",
            (group,),
        ).fetchone()
        return row is None

    def mark_members(self, group: int, *, nested: bool) -> bool:
        """Marks objects whose membership changed; tells whether that is enough.

        Args:
            group: a group that decides what takes part.
            nested: whether groups in it count; they were reached.

        Returns:
            Whether none of them was a group that brings or takes members of its own.
        """
        execute = self._connection.execute
        owners = "SELECT id FROM temp.reached WHERE origin = ?" if nested else "SELECT ?"
        execute(
            "INSERT OR IGNORE INTO changed_objects SELECT x.target FROM changed_links x"  # noqa: S608  - as above
            f" WHERE x.owner IN ({owners})",
            (group,),
        )
        if not nested:
            return True
        row = execute(
            "SELECT 1 FROM changed_links x LEFT JOIN source_objects o ON o.id = x.target"  # noqa: S608  - as above
            f" WHERE x.owner IN ({owners}) AND (o.id IS NULL OR o.kind = {Kind.GROUP:d}) LIMIT 1",
            (group,),
        ).fetchone()
        return row is None
