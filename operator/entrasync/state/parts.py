"""What of the sources takes part: pages of objects to look at, and the rows of `parts`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, NamedTuple

from entrasync.state.database import Database, drop_index
from entrasync.state.inserting import insert_all
from entrasync.state.schema import Kind

PAGE: Final = 2000
"""Objects looked at at a time."""
_SYNCED: Final = f"({Kind.USER:d}, {Kind.GROUP:d}, {Kind.CONTACT:d})"

PIN: Final = (
    "COALESCE((SELECT anchor FROM pins WHERE pins.guid = g.guid),"
    " (SELECT anchor FROM cloud_objects WHERE identifier = g.guid))"
)
"""Anchor that an object had at its first export; else what the tenant itself remembers."""
_COLUMNS: Final = (
    "g.id, o.source, o.parent, o.kind, o.dn, o.attributes, g.guid, p.kind, p.rule, c.anchor,"
    " k.key, pa.anchor"
)
_JOINS: Final = (
    "LEFT JOIN parts p ON p.object = g.id LEFT JOIN anchors c ON c.id = p.computed"
    f" LEFT JOIN join_keys k ON k.object = g.id LEFT JOIN anchors pa ON pa.id = {PIN}"
)
_ALL_OBJECTS: Final = (
    f"SELECT {_COLUMNS} FROM source_objects o CROSS JOIN guids g ON g.id = o.id {_JOINS}"  # noqa: S608  - a query of ours
    f" WHERE o.id > ? AND o.kind IN {_SYNCED} ORDER BY o.id LIMIT ?"
)
_NEW_OBJECTS: Final = (
    "SELECT g.id, o.source, o.parent, o.kind, o.dn, o.attributes, g.guid, NULL, NULL, NULL, NULL,"  # noqa: S608  - as above
    " pa.anchor FROM source_objects o CROSS JOIN guids g ON g.id = o.id"
    f" LEFT JOIN anchors pa ON pa.id = {PIN}"
    f" WHERE o.id > ? AND o.kind IN {_SYNCED} ORDER BY o.id LIMIT ?"
)
_INDEXES: Final = ("parts_anchor", "parts_computed", "parts_rule")
_CHANGED_OBJECTS: Final = (
    f"SELECT {_COLUMNS} FROM changed_objects x CROSS JOIN guids g ON g.id = x.object"  # noqa: S608  - as above
    f" LEFT JOIN source_objects o ON o.id = g.id {_JOINS}"
    " WHERE x.object > ? ORDER BY x.object LIMIT ?"
)


class Source(NamedTuple):
    """A source of the sync; `rank` is `None` when it is named no longer."""

    number: int
    name: str
    rank: int | None
    domain: str


class ObjectRow(NamedTuple):
    """One object to be looked at, and what was decided about it before."""

    object: int
    source: int | None
    parent: int | None
    kind: int | None
    dn: str
    attributes: str
    guid: bytes
    part_kind: int | None
    rule: str | None
    computed: str | None
    key: str | None
    pin: str | None


class PartChange(NamedTuple):
    """What is decided about an object now."""

    object: int
    kind: int
    rule: str | None
    computed: str | None
    key: str | None
    known: bool


class PartSpace:
    """Reads objects of the sources, writes what of them takes part.

    Works within the transaction of one evaluation, for which it makes temporary tables.

    Args:
        database: the open state.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.connection
        self._first = False

    # --- what there is ---------------------------------------------------------------------

    def sources(self) -> list[Source]:
        """All sources, those named no longer included."""
        rows = self._connection.execute("SELECT id, name, rank, domain FROM sources ORDER BY id")
        return [Source(*row) for row in rows]

    def number_of(self, guid: bytes) -> int | None:
        """The number of an objectGUID, if it has one."""
        row = self._connection.execute("SELECT id FROM guids WHERE guid = ?", (guid,)).fetchone()
        return None if row is None else int(row[0])

    def place(self, number: int) -> tuple[int | None, str] | None:
        """Container and DN of an object."""
        row = self._connection.execute(
            "SELECT parent, dn FROM source_objects WHERE id = ?", (number,)
        ).fetchone()
        return None if row is None else (row[0], row[1])

    def counts(self) -> dict[tuple[str | None, int], int]:
        """Objects by the rule that leaves them out and by kind."""
        rows = self._connection.execute(
            "SELECT rule, kind, COUNT(*) FROM parts GROUP BY rule, kind"
        )
        found = Counter({(rule, kind): count for rule, kind, count in rows})
        # who is left out alone, but belongs to another one that takes part
        for rule, kind, count in self._connection.execute(
            "SELECT rule, kind, COUNT(*) FROM parts"
            " WHERE rule IS NOT NULL AND anchor IS NOT NULL GROUP BY rule, kind"
        ):
            found[(rule, kind)] -= count
            found[(None, kind)] += count
        return dict(+found)

    def is_peopled(self, source: int) -> bool:
        """Whether anything of a source takes part."""
        row = self._connection.execute(
            "SELECT 1 FROM source_objects o CROSS JOIN parts p ON p.object = o.id"
            " WHERE o.source = ? AND p.rule IS NULL LIMIT 1",
            (source,),
        ).fetchone()
        return row is not None

    def has_changes(self) -> bool:
        """Whether anything waits to be evaluated."""
        tables = ("changed_objects", "changed_links", "changed_anchors", "changed_pairs")
        return any(
            self._connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone()  # noqa: S608  - tables of ours
            for table in tables
        )

    # --- selecting -------------------------------------------------------------------------

    def begin(self) -> None:
        """Makes the temporary tables anew."""
        for table, columns in (
            ("former", "object INTEGER PRIMARY KEY, anchor INTEGER, withheld TEXT"),
            ("regroup", "object INTEGER PRIMARY KEY"),
            ("page", "object INTEGER PRIMARY KEY"),
            ("first_parts", "object INTEGER, kind INTEGER, rule TEXT, computed TEXT"),
        ):
            self._connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS {table} ({columns})")
            self._connection.execute(f"DELETE FROM temp.{table}")  # noqa: S608  - tables of ours

    def mark_below(self) -> None:
        """Marks what lies below changed containers: a moved one takes it along, untold."""
        self._connection.execute(
            "INSERT OR IGNORE INTO changed_objects WITH RECURSIVE below (id) AS ("
            " SELECT o.id FROM changed_objects x CROSS JOIN source_objects o ON o.parent = x.object"
            " UNION SELECT o.id FROM below b CROSS JOIN source_objects o ON o.parent = b.id"
            ") SELECT id FROM below"
        )

    @contextmanager
    def selecting(self, *, everything: bool) -> Iterator[None]:
        """While pages are read and written; what is written may be there only at the end.

        The very first parts are put into the state together: their anchors lie in no order, and
        one after the other they would have to be looked for all over the file, the more the larger
        it is.
        """
        parts = self._connection.execute("SELECT EXISTS (SELECT 1 FROM parts)").fetchone()[0]
        self._first = everything and not parts
        yield
        if self._first:
            self._first = False
            self._write_first()

    def pages(self, *, everything: bool) -> Iterator[list[ObjectRow]]:
        """Objects to be looked at: all users, groups and contacts, or what changed."""
        query = _ALL_OBJECTS if everything else _CHANGED_OBJECTS
        query = _NEW_OBJECTS if self._first else query
        last = -1
        while rows := self._connection.execute(query, (last, PAGE)).fetchall():
            yield list(map(ObjectRow._make, rows))
            last = rows[-1][0]

    def vanished(self) -> list[int]:
        """Parts whose object is there no longer, or is neither user, group nor contact."""
        rows = self._connection.execute(
            "SELECT p.object FROM parts p LEFT JOIN source_objects o ON o.id = p.object"  # noqa: S608  - as above
            f" WHERE o.id IS NULL OR o.kind NOT IN {_SYNCED}"
        )
        return [row[0] for row in rows]

    def write(
        self,
        changes: Sequence[PartChange],
        gone: Sequence[int],
        regroup: Iterable[int],
        *,
        remember: bool,
    ) -> None:
        """Writes one page of decisions.

        Args:
            changes: what is decided otherwise than before.
            gone: objects that are nothing to the sync now.
            regroup: objects that may belong to another cloud object now.
            remember: whether to keep what was before, for `Marks`.
        """
        executemany = self._connection.executemany
        known = [(each.object,) for each in changes if each.known] + [(each,) for each in gone]
        if known:
            self._remember(known)
        if remember:
            executemany(
                "INSERT OR IGNORE INTO temp.former VALUES (?, NULL, NULL)",
                [(each.object,) for each in changes if not each.known],
            )
        for table in ("parts", "join_keys") if gone else ():
            executemany(
                f"DELETE FROM {table} WHERE object = ?",  # noqa: S608  - tables of ours
                [(each,) for each in gone],
            )
        rows = [(each.object, each.kind, each.rule, each.computed) for each in changes]
        if self._first:
            insert_all(self._connection, "temp.first_parts", rows)
        else:
            executemany(
                "INSERT OR IGNORE INTO anchors (anchor) VALUES (?)",
                [(each.computed,) for each in changes if each.computed is not None],
            )
            executemany(
                "INSERT INTO parts (object, kind, rule, computed, anchor) SELECT ?1, ?2, ?3, a.id,"
                " a.id FROM (SELECT 1) LEFT JOIN anchors a ON a.anchor = ?4"
                " WHERE true ON CONFLICT (object) DO UPDATE SET kind = excluded.kind,"
                " rule = excluded.rule, computed = excluded.computed, anchor = excluded.anchor,"
                " withheld = NULL, message = NULL",
                rows,
            )
        executemany(
            "DELETE FROM join_keys WHERE object = ?",
            [(each.object,) for each in changes if each.known],
        )
        executemany(
            "INSERT OR IGNORE INTO join_keys VALUES (?, ?)",
            [(each.key, each.object) for each in changes if each.key is not None],
        )
        executemany("INSERT OR IGNORE INTO temp.regroup VALUES (?)", [(each,) for each in regroup])

    def _write_first(self) -> None:
        execute = self._connection.execute
        indexes = [drop_index(self._connection, name) for name in _INDEXES]
        (last,) = execute("SELECT COALESCE(MAX(id), 0) FROM anchors").fetchone()
        new = execute(
            "INSERT OR IGNORE INTO anchors (anchor) SELECT computed FROM temp.first_parts"
            " WHERE computed IS NOT NULL ORDER BY rowid"
        ).rowcount
        (wanted,) = execute("SELECT COUNT(computed) FROM temp.first_parts").fetchone()
        if new == wanted:
            # each is new, so they were numbered one after the other and need not be looked for
            numbered = (
                f"SELECT *, IIF(computed IS NULL, NULL, {last:d} + COUNT(computed)"  # noqa: S608  - a number
                " OVER (ORDER BY rowid)) AS anchor FROM temp.first_parts"
            )
        else:
            numbered = (
                "SELECT f.*, a.id AS anchor FROM temp.first_parts f"
                " LEFT JOIN anchors a ON a.anchor = f.computed ORDER BY f.rowid"
            )
        execute(
            "INSERT INTO parts (object, kind, rule, computed, anchor)"  # noqa: S608  - as above
            f" SELECT object, kind, rule, anchor, anchor FROM ({numbered})"
        )
        execute("DELETE FROM temp.first_parts")
        for index in indexes:
            execute(index)

    def _remember(self, known: Sequence[tuple[int]]) -> None:
        """Keeps what was before, and marks whoever it was shared with."""
        execute, executemany = self._connection.execute, self._connection.executemany
        execute("DELETE FROM temp.page")
        executemany("INSERT OR IGNORE INTO temp.page VALUES (?)", known)
        execute(
            "INSERT OR IGNORE INTO temp.former SELECT p.object, p.anchor, p.withheld"
            " FROM temp.page JOIN parts p USING (object)"
        )
        for column in ("anchor", "computed"):
            for other in ("anchor", "computed"):
                execute(
                    "INSERT OR IGNORE INTO temp.regroup SELECT q.object FROM temp.page x"  # noqa: S608  - columns of ours
                    f" CROSS JOIN parts p ON p.object = x.object CROSS JOIN parts q"
                    f" ON q.{other} = p.{column} WHERE q.object != p.object"
                )
        execute(
            "INSERT OR IGNORE INTO temp.regroup SELECT l.object FROM temp.page x"
            " CROSS JOIN join_keys k ON k.object = x.object"
            " CROSS JOIN join_keys l ON l.key = k.key WHERE l.object != k.object"
        )

    def takes_part(self, sid: bytes) -> bool:
        """Whether a group with a SID takes part."""
        row = self._connection.execute(
            "SELECT 1 FROM source_objects o CROSS JOIN parts p ON p.object = o.id"  # noqa: S608  - a query of ours
            f" WHERE o.sid = ? AND p.kind = {Kind.GROUP:d} AND p.rule IS NULL LIMIT 1",
            (sid,),
        ).fetchone()
        return row is not None

    def unresolved_principals(self) -> int:
        """Foreign principals, well-known ones included, that stand for nothing that takes part."""
        (count,) = self._connection.execute(
            "SELECT COUNT(*) FROM foreign_principals f WHERE NOT EXISTS ("
            " SELECT 1 FROM source_objects o CROSS JOIN parts p ON p.object = o.id"
            " WHERE o.sid = f.sid AND p.anchor IS NOT NULL)"
        ).fetchone()
        return int(count)
