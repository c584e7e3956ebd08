"""What must change for the cloud to be as it should be: pages of anchors, and `pending`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from entrasync.state.anchor_pages import AnchorPage, AnchorPages
from entrasync.state.claims import ClaimSpace
from entrasync.state.database import Database, drop_index
from entrasync.state.inserting import insert_all
from entrasync.state.marks import Marks

_PENDING: Final = "pending (anchor, part, action, type, guid, properties, previous)"


class PendingRow(NamedTuple):
    """A change that must be made."""

    anchor: int
    part: int
    action: str
    type: str
    guid: bytes
    properties: str
    previous: str


class ComparisonSpace:
    """Reads what belongs to anchors, writes what must change.

    Works within the transaction of one evaluation, for which it makes temporary tables.

    Args:
        database: the open state.
        marks: what must be compared again.

    Attributes:
        claims: values that what is wanted takes.
    """

    def __init__(self, database: Database, marks: Marks) -> None:
        self._connection = database.connection
        self._marks = marks
        self._pending_index = ""
        self.claims = ClaimSpace(database)

    def begin(self, kept: str, resting: Sequence[int]) -> None:
        """Makes the temporary tables anew.

        Args:
            kept: numbers of the kinds that are not synced, as a list in SQL.
            resting: sources that are named no longer.
        """
        execute = self._connection.execute
        for table, columns in (
            ("round", "anchor INTEGER PRIMARY KEY"),
            ("anchor_page", "anchor INTEGER PRIMARY KEY"),
            ("resting", "anchor INTEGER PRIMARY KEY"),
            ("frozen_before", "anchor INTEGER PRIMARY KEY"),
            ("flipped", "anchor INTEGER PRIMARY KEY"),
            ("settling", "anchor INTEGER PRIMARY KEY"),
        ):
            execute(f"CREATE TEMP TABLE IF NOT EXISTS {table} ({columns})")
            execute(f"DELETE FROM temp.{table}")  # noqa: S608  - tables of ours
        self.claims.begin()
        self._kept = kept
        for source in resting:
            execute(
                "INSERT OR IGNORE INTO temp.resting SELECT p.anchor FROM source_objects o"
                " CROSS JOIN parts p ON p.object = o.id"
                " WHERE o.source = ? AND p.anchor IS NOT NULL AND NOT EXISTS ("
                " SELECT 1 FROM parts q CROSS JOIN source_objects r ON r.id = q.object"
                " CROSS JOIN sources s ON s.id = r.source"
                " WHERE q.anchor = p.anchor AND s.rank IS NOT NULL)",
                (source,),
            )

    # --- pages -----------------------------------------------------------------------------

    def start_over(self) -> None:
        """Forgets all that was pending: everything is compared anew."""
        for table in ("pending", "claims", "conflicts", "pending_links"):
            self._connection.execute(f"DELETE FROM {table}")  # noqa: S608  - tables of ours
        self._pending_index = drop_index(self._connection, "pending_action")

    def settle(self) -> None:
        """Takes over what a comparison of everything found."""
        self.claims.settle()
        self._connection.execute(self._pending_index)

    def start_round(self) -> None:
        """What is marked is compared in the first round."""
        execute = self._connection.execute
        execute("INSERT OR IGNORE INTO temp.round SELECT anchor FROM changed_anchors")
        execute("INSERT OR IGNORE INTO temp.frozen_before SELECT anchor FROM conflicts")

    def pages(self, *, everything: bool) -> Iterator[AnchorPage]:
        """What must be compared: all anchors of parts, or those of this round."""
        pages = AnchorPages(self._connection, self._kept)
        return pages.all() if everything else pages.of_round()

    # --- what follows from a page ----------------------------------------------------------

    def write(
        self,
        pending: Sequence[PendingRow],
        conflicts: Iterable[tuple[int, str, str]],
        codes: Sequence[str],
        *,
        everything: bool,
    ) -> None:
        """Writes what must change of the page's anchors, and what is in the way of some.

        Args:
            pending: what must change.
            conflicts: anchors, codes and messages.
            codes: conflicts about values, which end with the round and not before: pages that
                follow look at who is frozen.
            everything: whether all there is is compared.
        """
        execute, executemany = self._connection.execute, self._connection.executemany
        if not everything:
            execute("DELETE FROM pending WHERE anchor IN (SELECT anchor FROM temp.anchor_page)")
            execute(
                "DELETE FROM conflicts WHERE anchor IN (SELECT anchor FROM temp.anchor_page)"  # noqa: S608  - words of ours
                f" AND code NOT IN ({_listed(codes)})"
            )
        insert_all(self._connection, _PENDING, pending)
        executemany("INSERT OR REPLACE INTO conflicts VALUES (?, ?, ?)", conflicts)

    # --- rounds ---------------------------------------------------------------------------------

    def finish_round(self, codes: Sequence[str], *, everything: bool) -> None:
        """Freezes who lost, and finds out who is frozen since, and who no longer.

        Args:
            codes: conflicts about values.
            everything: whether all there is was compared.
        """
        execute = self._connection.execute
        if not everything:
            execute(
                f"DELETE FROM conflicts WHERE code IN ({_listed(codes)})"  # noqa: S608  - words of ours
                " AND anchor IN (SELECT anchor FROM temp.settling)"
                " AND anchor NOT IN (SELECT anchor FROM temp.losing)"
            )
        execute(
            # of anybody else not all values were looked at, but what was found before still holds
            "INSERT INTO conflicts SELECT anchor, code, message FROM temp.losing WHERE true"
            " ON CONFLICT (anchor) DO UPDATE SET code = excluded.code, message = excluded.message"
            " WHERE anchor IN (SELECT anchor FROM temp.settling)"
        )
        execute("DELETE FROM pending WHERE anchor IN (SELECT anchor FROM temp.losing)")
        execute("DELETE FROM temp.flipped")
        execute(
            "INSERT INTO temp.flipped SELECT anchor FROM conflicts"
            " WHERE anchor NOT IN (SELECT anchor FROM temp.frozen_before)"
        )
        execute(
            "INSERT INTO temp.flipped SELECT anchor FROM temp.frozen_before"
            " WHERE anchor NOT IN (SELECT anchor FROM conflicts)"
        )
        execute("DELETE FROM temp.frozen_before")
        execute("INSERT INTO temp.frozen_before SELECT anchor FROM conflicts")

    def has_round(self) -> bool:
        """Whether anything must be compared in the next round."""
        execute = self._connection.execute
        return execute("SELECT 1 FROM temp.round LIMIT 1").fetchone() is not None

    def free(self, *, everything: bool) -> None:
        """Starts the next round with those of `temp.flipped` that were not compared in this one."""
        execute = self._connection.execute
        if everything:
            execute("DELETE FROM temp.round")
            return
        execute("DELETE FROM temp.settling")
        execute(
            "INSERT INTO temp.settling SELECT anchor FROM temp.flipped WHERE anchor NOT IN"
            " (SELECT anchor FROM conflicts) AND anchor NOT IN (SELECT anchor FROM temp.round)"
        )
        execute("DELETE FROM temp.round")
        execute("INSERT INTO temp.round SELECT anchor FROM temp.settling")

    def follow(self, *, pairs: bool) -> None:
        """Adds to the next round who names those that are frozen since, or no longer.

        Args:
            pairs: whether their links must be marked one by one.
        """
        self._marks.frozen(pairs=pairs)

    # --- what is wanted no longer ----------------------------------------------------------

    def find_candidates(self, types: str, *, everything: bool) -> None:
        """Notes owned objects that are wanted no longer.

        Args:
            types: types that are left as they are, as a list in SQL.
            everything: whether to look at all there is, or at what is marked.
        """
        execute = self._connection.execute
        unwanted = (
            f"o.owned AND NOT o.cloud_managed AND o.type NOT IN {types}"  # noqa: S608  - ours
            " AND NOT EXISTS (SELECT 1 FROM parts p WHERE p.anchor = o.anchor)"
        )
        if everything:
            execute("DELETE FROM candidates")
            origin = "cloud_objects o"
        else:
            execute("DELETE FROM candidates WHERE anchor IN (SELECT anchor FROM changed_anchors)")
            origin = "changed_anchors x CROSS JOIN cloud_objects o ON o.anchor = x.anchor"
        execute(
            "INSERT OR IGNORE INTO candidates (anchor)"  # noqa: S608  - as above
            f" SELECT o.anchor FROM {origin} WHERE {unwanted}"
        )

    def finish(self) -> None:
        """Empties the lists of changes."""
        for table in ("changed_objects", "changed_links", "changed_anchors", "changed_pairs"):
            self._connection.execute(f"DELETE FROM {table}")  # noqa: S608  - tables of ours


def _listed(words: Sequence[str]) -> str:
    return ", ".join(f"'{word}'" for word in words)
