"""Objects that may belong together: who shares an anchor, a pin or a key with whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from entrasync.state.database import Database
from entrasync.state.parts import PIN

_CLUSTERS: Final = 500
"""Objects whose clusters are gathered at a time."""


_JOINS: Final = "(p.rule IS NULL OR EXISTS (SELECT 1 FROM join_keys n WHERE n.object = p.object))"
"""What takes part, or does so with others: what is left out and has a key nevertheless."""


class Member(NamedTuple):
    """One of the objects that may belong together."""

    object: int
    source: int
    rank: int | None
    kind: int
    computed: int | None
    pin: int | None
    key: str | None
    anchor: int | None
    withheld: str | None
    follows: bool = False
    """Whether it is nobody alone: it takes part only with others that it belongs to."""


class Assignment(NamedTuple):
    """The cloud object that an object belongs to."""

    object: int
    anchor: int | None
    withheld: str | None
    message: str | None


class ClusterSpace:
    """Gathers clusters of the objects in `temp.regroup`, which `PartSpace` fills.

    Args:
        database: the open state.
    """

    def __init__(self, database: Database) -> None:
        self._connection = database.connection

    def begin(self) -> None:
        """Makes the temporary tables anew."""
        for table, columns in (
            ("cluster", "object INTEGER PRIMARY KEY, round INTEGER NOT NULL"),
            ("bereft", "anchor INTEGER PRIMARY KEY"),
        ):
            self._connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS {table} ({columns})")
            self._connection.execute(f"DELETE FROM temp.{table}")  # noqa: S608  - tables of ours

    def regroup_shared(self) -> None:
        """Marks all objects that share an anchor or a key."""
        execute = self._connection.execute
        execute(
            "INSERT OR IGNORE INTO temp.regroup SELECT object FROM parts WHERE computed IN ("
            " SELECT computed FROM parts WHERE computed IS NOT NULL"
            " GROUP BY computed HAVING COUNT(*) > 1)"
        )
        execute(
            "INSERT OR IGNORE INTO temp.regroup SELECT object FROM parts WHERE anchor IN ("
            " SELECT anchor FROM parts WHERE anchor IS NOT NULL"
            " GROUP BY anchor HAVING COUNT(*) > 1)"
        )
        execute(
            "INSERT OR IGNORE INTO temp.regroup SELECT object FROM join_keys WHERE key IN ("
            " SELECT key FROM join_keys GROUP BY key HAVING COUNT(*) > 1)"
        )

    def regroup_changed(self) -> None:
        """Marks changed objects that share an anchor or a key: they may be of another source."""
        others = "q.object != p.object"
        self._connection.execute(
            "INSERT OR IGNORE INTO temp.regroup SELECT p.object FROM changed_objects x"  # noqa: S608  - conditions of ours
            f" CROSS JOIN parts p ON p.object = x.object WHERE {_JOINS} AND ("
            f" EXISTS (SELECT 1 FROM parts q WHERE q.computed = p.computed AND {others})"
            f" OR EXISTS (SELECT 1 FROM parts q WHERE q.anchor = p.anchor AND {others})"
            " OR EXISTS (SELECT 1 FROM join_keys k CROSS JOIN join_keys l"
            " ON l.key = k.key AND l.object != k.object WHERE k.object = p.object))"
        )

    def inherit(self) -> None:
        """Pins who was joined with an object that is gone to the cloud object they were.

        That one was exported for both: who is left of them does not become another one, while the
        first is deleted.
        """
        execute = self._connection.execute
        execute(
            "INSERT OR IGNORE INTO temp.bereft SELECT f.anchor FROM temp.former f"
            " WHERE f.anchor IS NOT NULL AND f.withheld IS NULL AND NOT EXISTS ("
            " SELECT 1 FROM parts p WHERE p.object = f.object AND p.rule IS NULL)"
            " AND NOT EXISTS (SELECT 1 FROM parts r WHERE r.computed = f.anchor)"
            " AND EXISTS (SELECT 1 FROM cloud_objects c WHERE c.anchor = f.anchor)"
        )
        for joined in (
            "temp.bereft x CROSS JOIN parts b ON b.anchor = x.anchor",
            "temp.former b CROSS JOIN temp.bereft x ON x.anchor = b.anchor",
        ):
            execute(
                f"INSERT OR IGNORE INTO pins SELECT g.guid, x.anchor FROM {joined}"  # noqa: S608  - tables of ours
                " CROSS JOIN parts q ON q.object = b.object CROSS JOIN guids g ON g.id = q.object"
                f" WHERE b.withheld IS NULL AND q.rule IS NULL AND {PIN} IS NULL"
            )
        execute(
            "INSERT OR IGNORE INTO temp.regroup SELECT q.object FROM temp.bereft x"
            " CROSS JOIN pins n ON n.anchor = x.anchor CROSS JOIN guids g ON g.guid = n.guid"
            " CROSS JOIN parts q ON q.object = g.id"
        )

    def hand_over(self) -> None:
        """Notes whom cloud objects come from whose object is theirs no longer, but others are.

        What becomes of these one day is found out by reading them again, not whom it came from.
        """
        self._connection.execute(
            "UPDATE cloud_objects SET guid = (SELECT g.guid FROM parts q"
            " CROSS JOIN guids g ON g.id = q.object WHERE q.anchor = cloud_objects.anchor"
            " ORDER BY q.rule IS NOT NULL, q.withheld IS NOT NULL, q.object LIMIT 1)"
            " WHERE owned AND anchor IN (SELECT f.anchor FROM temp.former f WHERE NOT EXISTS ("
            " SELECT 1 FROM parts p WHERE p.object = f.object AND p.anchor = f.anchor))"
            " AND EXISTS (SELECT 1 FROM parts q WHERE q.anchor = cloud_objects.anchor)"
            " AND NOT EXISTS (SELECT 1 FROM guids g CROSS JOIN parts p ON p.object = g.id"
            " WHERE g.guid = cloud_objects.guid AND p.anchor = cloud_objects.anchor)"
        )

    def regroup_pinned(self) -> None:
        """Marks objects whose pin the tenant told just now, or tells no longer."""
        execute = self._connection.execute
        execute(
            "INSERT OR IGNORE INTO temp.regroup SELECT p.object FROM changed_anchors x"
            " CROSS JOIN cloud_objects o ON o.anchor = x.anchor"
            " CROSS JOIN guids g ON g.guid = o.identifier CROSS JOIN parts p ON p.object = g.id"
            " WHERE o.identifier IS NOT NULL AND p.rule IS NULL AND p.anchor IS NOT o.anchor"
        )
        execute(
            "INSERT OR IGNORE INTO temp.regroup SELECT p.object FROM changed_anchors x"
            " CROSS JOIN parts p ON p.anchor = x.anchor WHERE p.computed IS NOT p.anchor"
        )

    def clusters(self) -> Iterator[list[Member]]:
        """Objects that may belong together, whole clusters at a time."""
        execute = self._connection.execute
        while True:
            execute("DELETE FROM temp.cluster")
            execute(
                "INSERT INTO temp.cluster SELECT object, 0 FROM temp.regroup LIMIT ?", (_CLUSTERS,)
            )
            if not execute("SELECT 1 FROM temp.cluster LIMIT 1").fetchone():
                return
            number = 0
            while self._grow(number):
                number += 1
            execute("DELETE FROM temp.regroup WHERE object IN (SELECT object FROM temp.cluster)")
            rows = execute(
                f"SELECT p.object, o.source, s.rank, p.kind, p.computed, {PIN}, k.key, p.anchor,"  # noqa: S608  - as above
                " p.withheld, p.rule IS NOT NULL"
                " FROM temp.cluster x CROSS JOIN parts p ON p.object = x.object"
                " CROSS JOIN guids g ON g.id = p.object"
                " LEFT JOIN source_objects o ON o.id = p.object"
                " LEFT JOIN sources s ON s.id = o.source"
                " LEFT JOIN join_keys k ON k.object = p.object"
                f" WHERE {_JOINS} ORDER BY p.object"
            ).fetchall()
            if rows:
                yield [Member(*row) for row in rows]

    def _grow(self, number: int) -> bool:
        """Adds whoever shares something with the objects found in the last round."""
        before = self._connection.total_changes
        origin = "FROM temp.cluster x CROSS JOIN parts p ON p.object = x.object"
        for rest in (
            "CROSS JOIN parts q ON q.computed = p.computed",
            "CROSS JOIN parts q ON q.anchor = p.anchor",
            "CROSS JOIN parts q ON q.anchor = p.computed",
            (
                "CROSS JOIN join_keys k ON k.object = p.object"
                " CROSS JOIN join_keys l ON l.key = k.key CROSS JOIN parts q ON q.object = l.object"
            ),
            f"CROSS JOIN guids g ON g.id = p.object CROSS JOIN parts q ON q.computed = {PIN}",
            (
                "CROSS JOIN pins ON pins.anchor = p.computed"
                " CROSS JOIN guids g ON g.guid = pins.guid CROSS JOIN parts q ON q.object = g.id"
            ),
            (
                "CROSS JOIN cloud_objects c ON c.anchor = p.computed"
                " CROSS JOIN guids g ON g.guid = c.identifier CROSS JOIN parts q ON q.object = g.id"
            ),
        ):
            self._connection.execute(
                f"INSERT OR IGNORE INTO temp.cluster SELECT q.object, ?2 {origin} {rest}"
                f" WHERE x.round = ?1 AND {_JOINS} AND {_JOINS.replace('p.', 'q.')}",
                (number, number + 1),
            )
        return self._connection.total_changes > before

    def assign(self, rows: Sequence[Assignment]) -> None:
        """Writes the cloud objects that objects belong to."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO temp.former SELECT object, anchor, withheld FROM parts"
            " WHERE object = ?",
            [(each.object,) for each in rows],
        )
        self._connection.executemany(
            "UPDATE parts SET anchor = ?2, withheld = ?3, message = ?4 WHERE object = ?1", rows
        )
