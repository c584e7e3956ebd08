"""Which links must be added and removed: the memberships of the sources against the tenant's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from entrasync.state.database import Database
from entrasync.state.plan_rows import any_row
from entrasync.state.schema import MEMBER, Kind

_OWNERS: Final = 200
"""Groups whose links are compared at a time."""
_HELD: Final = ("cloud_links", "deleted_links")
"""Links the tenant has, and such as it has again once it restored their member."""
_KEPT: Final = -1
"""How sure a link is that stays where it is, and is added nowhere."""


class PairSpace:
    """Writes `pending_links` within the transaction of one evaluation.

    A link is added when both of its ends take part, unless the member is left as it is and the
    tenant has no such object. It is removed only when we know for certain that the member is no
    member any longer: never when it is unknown to us, not ours, withheld, or wanted no longer; the
    service itself ends the links of what is deleted.

    Args:
        database: the open state.
        kept: numbers of the kinds that are not synced, as a list in SQL.
    """

    def __init__(self, database: Database, kept: str) -> None:
        self._connection = database.connection
        self._regular = (
            f"(p.kind NOT IN {kept} AND"  # noqa: S608  - a condition of ours
            " p.anchor NOT IN (SELECT anchor FROM conflicts)"
            " AND p.anchor NOT IN (SELECT anchor FROM temp.resting))"
        )
        self._connection.execute(
            "CREATE TEMP TABLE IF NOT EXISTS owners (anchor INTEGER PRIMARY KEY)"
        )
        self._connection.execute(
            "CREATE TEMP TABLE IF NOT EXISTS wanted (owner INTEGER, member INTEGER,"
            " sure INTEGER NOT NULL, PRIMARY KEY (owner, member)) WITHOUT ROWID"
        )

    def compare_all(self, progress: Callable[[int], None]) -> None:
        """Compares the links of all groups, some groups at a time.

        Args:
            progress: told how many groups were looked at.
        """
        execute = self._connection.execute
        execute("DELETE FROM pending_links")
        foreign = any_row(self._connection, "foreign_principals")
        first = not any(any_row(self._connection, table) for table in ("cloud_objects", *_HELD))
        last, done = -1, 0
        while True:
            rows = execute(
                "SELECT DISTINCT anchor FROM parts"  # noqa: S608  - a query of ours
                f" WHERE kind = {Kind.GROUP:d} AND anchor > ? ORDER BY anchor LIMIT ?",
                (last, _OWNERS),
            ).fetchall()
            if not rows:
                return
            last, done = rows[-1][0], done + len(rows)
            self._clear()
            listed = ", ".join(f"({row[0]})" for row in rows)
            self._owners(f"SELECT column1 AS anchor FROM (VALUES {listed})")  # noqa: S608  - numbers
            links = (
                f"FROM temp.owners x CROSS JOIN parts o ON o.anchor = x.anchor"
                f" CROSS JOIN source_references r ON r.owner = o.object AND r.attribute = {MEMBER}"
            )
            origins = [f"{links} CROSS JOIN parts p ON p.object = r.target"]
            if foreign:
                origins.append(
                    f"{links} CROSS JOIN foreign_principals f ON f.id = r.target"
                    " CROSS JOIN source_objects s ON s.sid = f.sid"
                    " CROSS JOIN parts p ON p.object = s.id"
                )
            if first:
                for origin in origins:
                    self._add_new(origin)
            else:
                for origin in origins:
                    self._want(origin, "x.anchor")
                self._add("temp.wanted w")
                for table in _HELD:
                    self._remove(f"temp.owners x CROSS JOIN {table} l ON l.owner = x.anchor")
            progress(done)

    def compare_changed(self) -> None:
        """Compares the links in `changed_pairs`."""
        execute = self._connection.execute
        if not execute("SELECT 1 FROM changed_pairs LIMIT 1").fetchone():
            return
        execute(
            "DELETE FROM pending_links WHERE (owner, member) IN"
            " (SELECT owner, member FROM changed_pairs)"
        )
        self._clear()
        self._owners("SELECT DISTINCT owner AS anchor FROM changed_pairs")
        ends = (
            "FROM changed_pairs x CROSS JOIN temp.owners y ON y.anchor = x.owner"
            " CROSS JOIN parts o ON o.anchor = x.owner CROSS JOIN parts p ON p.anchor = x.member"
        )
        reference = (
            f"CROSS JOIN source_references r ON r.owner = o.object AND r.attribute = {MEMBER}"
        )
        self._want(f"{ends} {reference} AND r.target = p.object", "x.owner")
        self._want(
            f"{ends} CROSS JOIN source_objects s ON s.id = p.object"
            f" CROSS JOIN foreign_principals f ON f.sid = s.sid {reference} AND r.target = f.id",
            "x.owner",
        )
        self._add("temp.wanted w")
        for table in _HELD:
            self._remove(
                "changed_pairs x CROSS JOIN temp.owners y ON y.anchor = x.owner"
                f" CROSS JOIN {table} l ON l.owner = x.owner AND l.member = x.member"
            )

    def _clear(self) -> None:
        self._connection.execute("DELETE FROM temp.owners")
        self._connection.execute("DELETE FROM temp.wanted")

    def _owners(self, query: str) -> None:
        """Keeps those of some anchors whose links are ours to change."""
        self._connection.execute(
            f"INSERT INTO temp.owners SELECT x.anchor FROM ({query}) x WHERE EXISTS ("  # noqa: S608  - as above
            f" SELECT 1 FROM parts p WHERE p.anchor = x.anchor AND p.withheld IS NULL"
            f" AND p.kind = {Kind.GROUP:d} AND {self._regular}) AND NOT EXISTS ("
            " SELECT 1 FROM cloud_objects c WHERE c.anchor = x.anchor AND c.cloud_managed)"
        )

    def _want(self, origin: str, owner: str) -> None:
        # who is withheld and shares a cloud object with somebody who is not loses nobody either
        self._connection.execute(
            f"INSERT INTO temp.wanted SELECT {owner}, p.anchor,"
            " CASE WHEN p.withheld IS NULL AND o.withheld IS NULL"
            f" THEN {self._regular} ELSE {_KEPT:d} END {origin} WHERE p.anchor IS NOT NULL"
            " ON CONFLICT (owner, member) DO UPDATE SET sure = excluded.sure"
            " WHERE excluded.sure > sure"
        )

    def _add_new(self, origin: str) -> None:
        """Adds what is wanted in a tenant that holds nothing: there is nothing to compare."""
        self._connection.execute(
            "INSERT OR IGNORE INTO pending_links"
            f" SELECT x.anchor, p.anchor, 1 {origin} WHERE p.anchor IS NOT NULL"
            f" AND p.withheld IS NULL AND o.withheld IS NULL AND {self._regular}"
        )

    def _add(self, origin: str) -> None:
        self._connection.execute(
            "INSERT INTO pending_links SELECT w.owner, w.member, 1"  # noqa: S608  - as above
            f" FROM {origin} WHERE NOT EXISTS (SELECT 1 FROM cloud_links l"
            " WHERE l.owner = w.owner AND l.member = w.member) AND (w.sure > 0 OR w.sure = 0"
            " AND EXISTS (SELECT 1 FROM cloud_objects c WHERE c.anchor = w.member))"
        )

    def _remove(self, origin: str) -> None:
        self._connection.execute(
            f"INSERT OR IGNORE INTO pending_links SELECT l.owner, l.member, 0 FROM {origin}"  # noqa: S608  - as above
            " WHERE NOT EXISTS (SELECT 1 FROM temp.wanted w"
            " WHERE w.owner = l.owner AND w.member = l.member) AND EXISTS ("
            " SELECT 1 FROM parts p WHERE p.anchor = l.member AND p.withheld IS NULL"
            f" AND ({self._regular} OR EXISTS (SELECT 1 FROM cloud_objects c"
            " WHERE c.anchor = l.member AND c.owned)))"
        )
