"""Values of which the tenant has each but once, and who wants them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from entrasync.state.database import Database, drop_index
from entrasync.state.inserting import insert_all

_VALUES: Final = 200
"""Contested values looked at at a time."""


class Claimant(NamedTuple):
    """Somebody who wants a value that somebody else wants as well."""

    value: int
    anchor: int
    property: int
    name: str
    properties: str | None


class ClaimSpace:
    """Keeps `claims`, and finds values that several want.

    Works within the transaction of one evaluation, for which it makes temporary tables.

    Args:
        database: the open state.
    """

    def __init__(self, database: Database) -> None:
        self._connection = database.connection

    def begin(self) -> None:
        """Makes the temporary tables anew."""
        execute = self._connection.execute
        for table, columns in (
            ("claims_touched", "value INTEGER PRIMARY KEY"),
            (
                "claims_new",
                "value INTEGER NOT NULL, anchor INTEGER NOT NULL, property INTEGER NOT NULL",
            ),
            ("contested", "value INTEGER PRIMARY KEY"),
            ("losing", "anchor INTEGER PRIMARY KEY, code TEXT NOT NULL, message TEXT NOT NULL"),
        ):
            execute(f"CREATE TEMP TABLE IF NOT EXISTS {table} ({columns})")
            execute(f"DELETE FROM temp.{table}")  # noqa: S608  - tables of ours

    def note(self, rows: Sequence[tuple[int, int, int]]) -> None:
        """Notes (value, anchor, property) of a full comparison; they count once `settle` ran."""
        insert_all(self._connection, "temp.claims_new", rows)

    def change(
        self, added: Sequence[tuple[int, int, int]], removed: Sequence[tuple[int, int]]
    ) -> None:
        """Adds (value, anchor, property), removes (value, anchor), and remembers the values."""
        executemany = self._connection.executemany
        executemany("DELETE FROM claims WHERE value = ? AND anchor = ?", removed)
        executemany("INSERT INTO claims VALUES (?, ?, ?)", added)
        executemany(
            "INSERT OR IGNORE INTO temp.claims_touched VALUES (?)",
            [(row[0],) for row in (*removed, *added)],
        )

    def settle(self) -> None:
        """Takes over the values of a full comparison."""
        execute = self._connection.execute
        # in their order, and the index at once: in random order this would take many times as long
        index = drop_index(self._connection, "claims_anchor")
        execute(
            "INSERT OR IGNORE INTO claims SELECT value, anchor, property FROM temp.claims_new"
            " ORDER BY value, anchor"
        )
        execute("DELETE FROM temp.claims_new")
        execute(index)

    def contested(self, *, everything: bool) -> Iterator[list[Claimant]]:
        """Whoever wants the same value as others, value by value, among what was compared."""
        execute = self._connection.execute
        execute("DELETE FROM temp.settling")
        execute("DELETE FROM temp.losing")
        execute("DELETE FROM temp.contested")
        if everything:
            execute(
                "INSERT INTO temp.contested SELECT value FROM claims"
                " GROUP BY value HAVING COUNT(*) > 1"
            )
        else:
            execute("INSERT OR IGNORE INTO temp.settling SELECT anchor FROM temp.round")
            execute(
                "INSERT OR IGNORE INTO temp.settling SELECT c.anchor FROM temp.claims_touched x"
                " CROSS JOIN claims c ON c.value = x.value"
            )
            self._contest()
            # who wants the same may win now, unless somebody is in the way of something else of it
            execute(
                "INSERT OR IGNORE INTO temp.settling SELECT c.anchor FROM temp.contested x"
                " CROSS JOIN claims c ON c.value = x.value"
            )
            self._contest()
            execute("DELETE FROM temp.claims_touched")
        last = None
        while True:
            values = execute(
                "SELECT value FROM temp.contested WHERE ?1 IS NULL OR value > ?1"
                " ORDER BY value LIMIT ?2",
                (last, _VALUES),
            ).fetchall()
            if not values:
                return
            for (value,) in values:
                rows = execute(
                    "SELECT c.value, c.anchor, c.property, a.anchor, o.properties FROM claims c"
                    " CROSS JOIN anchors a ON a.id = c.anchor"
                    " LEFT JOIN cloud_objects o ON o.anchor = c.anchor WHERE c.value = ?",
                    (value,),
                )
                yield [Claimant(*row) for row in rows]
            last = values[-1][0]

    def _contest(self) -> None:
        """Finds what those in `temp.settling` want and others as well."""
        self._connection.execute(
            "INSERT OR IGNORE INTO temp.contested SELECT c.value FROM temp.settling x"
            " CROSS JOIN claims c ON c.anchor = x.anchor WHERE EXISTS ("
            " SELECT 1 FROM claims d WHERE d.value = c.value AND d.anchor != c.anchor)"
        )

    def lose(self, anchor: int, code: str, message: str) -> None:
        """Notes that an anchor does not get a value it wants."""
        self._connection.execute(
            "INSERT OR IGNORE INTO temp.losing VALUES (?, ?, ?)", (anchor, code, message)
        )
