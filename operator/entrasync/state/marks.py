"""What must be compared again because of what changed about the parts."""

from __future__ import annotations

from typing import Final

from entrasync.state.database import Database
from entrasync.state.schema import MEMBER, Kind

_NEEDED: Final = (
    ("moved", "object INTEGER PRIMARY KEY, old INTEGER, new INTEGER"),
    ("touched", "anchor INTEGER PRIMARY KEY"),
)
_BY_MEMBER: Final = f"r.attribute = {MEMBER} AND"


class Marks:
    """Fills `changed_anchors` and `changed_pairs` within the transaction of one evaluation.

    Args:
        database: the open state.
    """

    def __init__(self, database: Database) -> None:
        self._connection = database.connection

    def begin(self) -> None:
        """Makes the temporary tables anew."""
        for table, columns in _NEEDED:
            self._connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS {table} ({columns})")
            self._connection.execute(f"DELETE FROM temp.{table}")  # noqa: S608  - tables of ours

    def told_groups(self) -> None:
        """Marks all links of groups of which the tenant told something new."""
        self._connection.execute(
            "INSERT OR IGNORE INTO temp.moved SELECT p.object, p.anchor, p.anchor"  # noqa: S608  - a query of ours
            " FROM changed_anchors x CROSS JOIN parts p ON p.anchor = x.anchor"
            f" WHERE p.kind = {Kind.GROUP:d}"
        )
        self._mark_moved()

    def objects(self, *, resting: bool) -> None:
        """Marks the cloud objects of changed objects.

        Args:
            resting: whether a source is named no longer. An object that another one took over from
                it counts again, with all its links.
        """
        parts = "FROM changed_objects x CROSS JOIN parts p ON p.object = x.object"
        self._connection.execute(
            f"INSERT OR IGNORE INTO changed_anchors SELECT p.anchor {parts}"
            " WHERE p.anchor IS NOT NULL"
        )
        if resting:
            self._connection.execute(
                f"INSERT OR IGNORE INTO temp.moved SELECT p.object, p.anchor, p.anchor {parts}"
            )

    def parts(self) -> None:
        """Marks what follows from objects that belong to other cloud objects than before."""
        self._connection.execute(
            "INSERT OR REPLACE INTO temp.moved SELECT f.object, f.anchor, p.anchor"
            " FROM temp.former f LEFT JOIN parts p ON p.object = f.object"
            " WHERE f.anchor IS NOT p.anchor OR (f.withheld IS NULL) != (p.withheld IS NULL)"
        )
        for column in ("old", "new"):
            self._connection.execute(
                f"INSERT OR IGNORE INTO changed_anchors SELECT {column} FROM temp.moved"  # noqa: S608  - columns of ours
                f" WHERE {column} IS NOT NULL"
            )
        self._mark_referrers("changed_anchors")
        self._mark_moved()

    def links(self) -> None:
        """Marks the pairs of links that changed in the sources, by what their ends were and are."""
        for owners in ("parts", "temp.former"):
            for members in ("parts", "temp.former"):
                origin = (
                    "SELECT p.anchor, q.anchor FROM changed_links x"  # noqa: S608  - tables of ours
                    f" CROSS JOIN {owners} p ON p.object = x.owner"
                )
                wanted = "WHERE p.anchor IS NOT NULL AND q.anchor IS NOT NULL"
                self._pairs(f"{origin} CROSS JOIN {members} q ON q.object = x.target {wanted}")
                self._pairs(
                    f"{origin} CROSS JOIN foreign_principals f ON f.id = x.target"
                    " CROSS JOIN source_objects o ON o.sid = f.sid"
                    f" CROSS JOIN {members} q ON q.object = o.id {wanted}"
                )

    def of_changed_groups(self, limit: int) -> None:
        """Marks groups that grew over the most members there may be, or fit again."""
        self._connection.execute(
            "INSERT OR IGNORE INTO changed_anchors SELECT p.anchor FROM ("  # noqa: S608  - a query of ours
            " SELECT DISTINCT owner FROM changed_links) x"
            " CROSS JOIN parts p ON p.object = x.owner WHERE p.anchor IS NOT NULL AND ("
            " SELECT COUNT(*) FROM parts q CROSS JOIN source_references r ON r.owner = q.object"
            f" AND r.attribute = {MEMBER} WHERE q.anchor = p.anchor) > ? OR EXISTS ("
            " SELECT 1 FROM conflicts c WHERE c.anchor = p.anchor AND c.code = 'GroupTooLarge')",
            (limit,),
        )

    def of_all_groups(self) -> None:
        """Marks all groups: the most members there may be changed."""
        self._connection.execute(
            "INSERT OR IGNORE INTO changed_anchors SELECT anchor FROM parts"  # noqa: S608  - as above
            f" WHERE kind = {Kind.GROUP:d} AND anchor IS NOT NULL"
        )

    def frozen(self, *, pairs: bool) -> None:
        """Marks what follows from anchors in `temp.flipped`, which were frozen or are no longer.

        Args:
            pairs: whether their links must be marked one by one.
        """
        execute = self._connection.execute
        execute("DELETE FROM temp.moved")
        execute(
            "INSERT OR IGNORE INTO temp.moved SELECT p.object, p.anchor, p.anchor"
            " FROM temp.flipped x CROSS JOIN parts p ON p.anchor = x.anchor"
        )
        self._mark_referrers("temp.round")
        if pairs:
            self._mark_moved()

    def held_back(self, kept: str) -> None:
        """Marks links and references to anchors that only count as far as the tenant has them.

        Args:
            kept: numbers of the kinds that are not synced, as a list in SQL.
        """
        self._connection.execute(
            "INSERT OR IGNORE INTO temp.moved SELECT p.object, p.anchor, p.anchor"  # noqa: S608  - a query of ours
            " FROM changed_anchors x CROSS JOIN parts p ON p.anchor = x.anchor"
            f" WHERE p.kind IN {kept} OR p.anchor IN (SELECT anchor FROM conflicts)"
            " OR p.anchor IN (SELECT anchor FROM temp.resting)"
        )
        self._mark_referrers("changed_anchors")
        self._mark_moved()

    def _mark_referrers(self, table: str) -> None:
        self._connection.execute(
            f"INSERT OR IGNORE INTO {table} SELECT p.anchor FROM temp.moved x"  # noqa: S608  - tables of ours
            " CROSS JOIN source_references r ON r.target = x.object"
            " CROSS JOIN parts p ON p.object = r.owner"
            f" WHERE r.attribute != {MEMBER} AND p.anchor IS NOT NULL"
        )

    def _mark_moved(self) -> None:
        """Marks all links of the objects in `temp.moved`, and empties it."""
        execute = self._connection.execute
        if not execute("SELECT 1 FROM temp.moved LIMIT 1").fetchone():
            return
        execute("DELETE FROM temp.touched")
        for column in ("old", "new"):
            execute(
                f"INSERT OR IGNORE INTO temp.touched SELECT {column} FROM temp.moved"  # noqa: S608  - columns of ours
                f" WHERE {column} IS NOT NULL"
            )
        known = "SELECT l.owner, l.member FROM temp.touched x CROSS JOIN"
        self._pairs(f"{known} cloud_links l ON l.owner = x.anchor")
        self._pairs(f"{known} cloud_links l ON l.member = x.anchor")
        self._pairs(f"{known} deleted_links l ON l.member = x.anchor")
        self._pairs(f"{known} pending_links l ON l.owner = x.anchor")
        self._pairs(
            "SELECT owner, member FROM pending_links WHERE member IN"
            " (SELECT anchor FROM temp.touched)"
        )
        reference = f"source_references r ON {_BY_MEMBER}"
        for column in ("old", "new"):
            given = f"WHERE x.{column} IS NOT NULL AND p.anchor IS NOT NULL"
            owned = (
                f"SELECT x.{column}, p.anchor FROM temp.moved x"  # noqa: S608  - as above
                f" CROSS JOIN {reference} r.owner = x.object"
            )
            self._pairs(f"{owned} CROSS JOIN parts p ON p.object = r.target {given}")
            self._pairs(
                f"{owned} CROSS JOIN foreign_principals f ON f.id = r.target"
                " CROSS JOIN source_objects o ON o.sid = f.sid"
                f" CROSS JOIN parts p ON p.object = o.id {given}"
            )
            holds = f"SELECT p.anchor, x.{column} FROM temp.moved x CROSS JOIN"  # noqa: S608  - as above
            owner = "CROSS JOIN parts p ON p.object = r.owner"
            self._pairs(f"{holds} {reference} r.target = x.object {owner} {given}")
            self._pairs(
                f"{holds} source_objects o ON o.id = x.object"
                f" CROSS JOIN foreign_principals f ON f.sid = o.sid"
                f" CROSS JOIN {reference} r.target = f.id {owner} {given}"
            )
        execute("DELETE FROM temp.moved")

    def _pairs(self, query: str) -> None:
        self._connection.execute(f"INSERT OR IGNORE INTO changed_pairs {query}")
