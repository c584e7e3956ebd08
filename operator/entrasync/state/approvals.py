"""Sets of changes that were braked, and which of them a person let through."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from entrasync.state.brakes import BRAKED_OWNER, removed_pairs
from entrasync.state.database import Database
from entrasync.state.plan_rows import any_row

KEPT_SETS: Final = 20


class ApprovalSpace:
    """Sets and approvals.

    An approval names changes by their fingerprints, and links that are removed pair by pair: what
    is left of a group that was done in part is still approved. What is let through in this run is
    covered until it ends.

    Args:
        database: the open state.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.connection

    # --- sets that were braked -------------------------------------------------------------

    def remember_set(self, digest: str, now: str, oldest: str) -> None:
        """Keeps what is braked under its digest; drops old sets.

        Args:
            digest: names exactly what is braked.
            now: the time.
            oldest: sets before are dropped.
        """
        execute = self._connection.execute
        with self._database.transaction():
            if self._set(digest) is None:
                (number,) = execute(
                    "INSERT INTO braked_sets (digest, time) VALUES (?, ?) RETURNING id",
                    (digest, now),
                ).fetchone()
                execute(
                    "INSERT INTO braked_changes SELECT DISTINCT ?, fingerprint FROM plan"
                    " WHERE braked IS NOT NULL AND part <> 2 ORDER BY fingerprint",
                    (number,),
                )
                execute(
                    "INSERT INTO braked_links SELECT ?, owner, member FROM"  # noqa: S608  - fragments of ours
                    f" ({removed_pairs(self._connection, BRAKED_OWNER)})",
                    (number,),
                )
            execute("UPDATE braked_sets SET time = ? WHERE digest = ?", (now, digest))
            for (number,) in execute(
                "SELECT id FROM braked_sets WHERE time < ? OR id NOT IN"
                " (SELECT id FROM braked_sets ORDER BY time DESC, id DESC LIMIT ?)",
                (oldest, KEPT_SETS),
            ).fetchall():
                execute("DELETE FROM braked_changes WHERE braked_set = ?", (number,))
                execute("DELETE FROM braked_links WHERE braked_set = ?", (number,))
                execute("DELETE FROM braked_sets WHERE id = ?", (number,))

    def knows_set(self, digest: str) -> bool:
        """Whether a set is kept."""
        return self._set(digest) is not None

    def was_braked(self, fingerprint: bytes) -> bool:
        """Whether a change is part of a set that is kept."""
        return bool(
            self._connection.execute(
                "SELECT EXISTS (SELECT 1 FROM braked_sets JOIN braked_changes"
                " ON braked_set = id AND fingerprint = ?)",
                (fingerprint,),
            ).fetchone()[0]
        )

    def any_set(self) -> bool:
        """Whether any set is kept."""
        return any_row(self._connection, "braked_sets")

    def _set(self, digest: str) -> int | None:
        row = self._connection.execute(
            "SELECT id FROM braked_sets WHERE digest = ?", (digest,)
        ).fetchone()
        return None if row is None else int(row[0])

    # --- approvals -------------------------------------------------------------------------

    def offer(self, digests: Iterable[str], until: str) -> None:
        """Notes when a digest was offered first; it may be used until then."""
        with self._database.transaction():
            self._connection.executemany(
                "INSERT OR IGNORE INTO approvals VALUES (?, '', ?)",
                ((digest, until) for digest in digests),
            )

    def usable(self, digest: str, now: str) -> bool:
        """Whether a digest was neither used nor has expired."""
        row = self._connection.execute(
            "SELECT used, until FROM approvals WHERE digest = ?", (digest,)
        ).fetchone()
        return row is None or (row[0] == "" and row[1] > now)

    def expire(self, now: str) -> None:
        """Forgets what was let through too long ago; covers with the rest."""
        execute = self._connection.execute
        with self._database.transaction():
            for table in ("approved", "approved_links"):
                execute(
                    f"DELETE FROM {table} WHERE digest IN"  # noqa: S608  - names of ours
                    " (SELECT digest FROM approvals WHERE until <= ?)",
                    (now,),
                )
            execute("DELETE FROM covered")
            execute("DELETE FROM covered_links")
            execute("INSERT OR IGNORE INTO covered SELECT fingerprint FROM approved")
            execute("INSERT OR IGNORE INTO covered_links SELECT owner, member FROM approved_links")

    def cover(self, digest: str) -> None:
        """Lets through what of a set is still planned, for this run only."""
        number = self._set(digest)
        with self._database.transaction():
            self._connection.execute(
                "INSERT OR IGNORE INTO covered SELECT plan.fingerprint FROM plan"
                " JOIN braked_changes ON braked_set = ? AND"
                " braked_changes.fingerprint = plan.fingerprint WHERE plan.part <> 2",
                (number,),
            )
            self._connection.execute(
                "INSERT OR IGNORE INTO covered_links SELECT braked_links.owner,"
                " braked_links.member FROM braked_links JOIN pending_links AS links"
                " ON links.owner = braked_links.owner AND links.member = braked_links.member"
                " WHERE braked_set = ? AND NOT links.adds",
                (number,),
            )

    def use(self, digest: str, now: str, until: str) -> None:
        """Uses an approval up: what of its set is still planned is let through until then."""
        number = self._set(digest)
        execute = self._connection.execute
        with self._database.transaction():
            execute("INSERT OR REPLACE INTO approvals VALUES (?, ?, ?)", (digest, now, until))
            execute(
                "INSERT OR IGNORE INTO approved SELECT plan.fingerprint, ? FROM plan"
                " JOIN braked_changes ON braked_set = ? AND"
                " braked_changes.fingerprint = plan.fingerprint WHERE plan.part <> 2",
                (digest, number),
            )
            execute(
                "INSERT OR IGNORE INTO approved_links SELECT braked_links.owner,"
                " braked_links.member, ? FROM braked_links JOIN pending_links AS links"
                " ON links.owner = braked_links.owner AND links.member = braked_links.member"
                " WHERE braked_set = ? AND NOT links.adds",
                (digest, number),
            )

    def covers_any(self) -> bool:
        """Whether something of the plan was let through."""
        return bool(
            self._connection.execute(
                "SELECT EXISTS (SELECT 1 FROM plan JOIN covered"
                " ON covered.fingerprint = plan.fingerprint)"
                " OR EXISTS (SELECT 1 FROM covered_links JOIN pending_links AS links"
                " ON links.owner = covered_links.owner AND links.member = covered_links.member"
                " WHERE NOT links.adds)"
            ).fetchone()[0]
        )

    def count_covered_removals(self) -> int:
        """How many objects that left the scope were let go by a person."""
        (count,) = self._connection.execute(
            "SELECT COUNT(*) FROM plan JOIN covered ON covered.fingerprint = plan.fingerprint"
            " WHERE action IN ('delete', 'disable') AND NOT orphan"
        ).fetchone()
        return int(count)

    def anything_covered(self) -> bool:
        """Whether anything was let through, planned or not."""
        return any_row(self._connection, "covered") or any_row(self._connection, "covered_links")

    def covered(self, fingerprint: bytes) -> bool:
        """Whether a change was let through."""
        return bool(
            self._connection.execute(
                "SELECT EXISTS (SELECT 1 FROM covered WHERE fingerprint = ?)", (fingerprint,)
            ).fetchone()[0]
        )

    def covered_members(self, owner: int) -> frozenset[str]:
        """SourceAnchors whose removal from a group was let through."""
        return frozenset(
            anchor
            for (anchor,) in self._connection.execute(
                "SELECT anchors.anchor FROM covered_links"
                " JOIN anchors ON anchors.id = covered_links.member WHERE owner = ?",
                (owner,),
            )
        )

    def strike(self, fingerprints: Iterable[bytes], links: Iterable[tuple[int, str]]) -> None:
        """Strikes off what was done: changes by fingerprint, links by group and member.

        Until the run ends they still count as let through.
        """
        with self._database.transaction():
            if any_row(self._connection, "approved"):
                self._connection.executemany(
                    "DELETE FROM approved WHERE fingerprint = ?", ((each,) for each in fingerprints)
                )
            if any_row(self._connection, "approved_links"):
                self._connection.executemany(
                    "DELETE FROM approved_links WHERE owner = ?"
                    " AND member = (SELECT id FROM anchors WHERE anchor = ?)",
                    links,
                )
