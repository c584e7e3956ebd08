"""The plan of a run: what must change, in the order it is sent, read page by page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from entrasync.entra.batches import REFERENCE_KEYS
from entrasync.entra.contracts import PropertyValue, SyncObjectType
from entrasync.state.approvals import ApprovalSpace
from entrasync.state.brakes import BrakeSpace
from entrasync.state.database import Database
from entrasync.state.plan_rows import TEMPORARY_TABLES, PlanRow, RowReader, effective, left_out
from entrasync.state.planning import PlanFilling
from entrasync.state.removals import RemovalSpace

_PAGE: Final = 1_000
_SENDABLE_LINKS: Final = (
    "links.adds OR NOT EXISTS (SELECT 1 FROM plan WHERE plan.anchor = links.owner"
    " AND plan.part = 2 AND plan.braked IS NOT NULL) OR EXISTS (SELECT 1 FROM covered_links"
    " WHERE covered_links.owner = links.owner AND covered_links.member = links.member)"
)
"""Of a group whose removals are braked, what a person let through and who joins go on."""


class Held(NamedTuple):
    """What is not sent in this run."""

    anchor: str
    type: str
    reason: str


class Costs(NamedTuple):
    """What the plan takes: writes, links that travel, and all references."""

    writes: int
    links: int
    references: int


class PlanSpace:
    """The tables of the plan.

    Args:
        database: the open state.

    Attributes:
        removals: turns candidates into pending removals.
        filling: fills the plan.
        brakes: what of it stops.
        approvals: what of it a person let through.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.connection
        self._connection.executescript(TEMPORARY_TABLES)
        self.removals = RemovalSpace(database)
        self.filling = PlanFilling(database)
        self.brakes = BrakeSpace(database)
        self.approvals = ApprovalSpace(database)

    # --- reading ---------------------------------------------------------------------------

    def rows(self) -> Iterator[PlanRow]:
        """All of it in order, objects of one step by their names; what is braked comes first.

        To people a plan is the same whatever order objects were read in.
        """
        self._connection.execute("DELETE FROM told")
        self._connection.execute(
            "INSERT INTO told (position) SELECT plan.position FROM plan"
            " CROSS JOIN anchors ON anchors.id = plan.anchor ORDER BY plan.braked IS NULL,"
            " plan.phase, plan.step, plan.action <> 'add', anchors.anchor, plan.part"
        )
        for page in self._pages(RowReader(self._connection, listed=True)):
            yield from page

    def stays(self, anchor: str) -> bool:
        """Whether the tenant holds an object that the plan does not delete."""
        row = self._connection.execute(
            "SELECT 1 FROM anchors JOIN cloud_objects ON cloud_objects.anchor = anchors.id"
            " WHERE anchors.anchor = ? AND NOT EXISTS (SELECT 1 FROM plan"
            " WHERE plan.anchor = anchors.id AND plan.part = 0 AND plan.action = 'delete')",
            (anchor,),
        ).fetchone()
        return row is not None

    def sendable(self) -> Iterator[list[PlanRow]]:
        """What is not held, page by page in order; pages before may be struck off meanwhile."""
        reader = RowReader(self._connection, "plan.held IS NULL", _SENDABLE_LINKS)
        return self._pages(reader)

    def _pages(self, reader: RowReader) -> Iterator[list[PlanRow]]:
        after = 0
        while rows := reader.page(after, _PAGE):
            yield rows
            after = rows[-1].position

    def fingerprints(self) -> Iterator[bytes]:
        """Names of all changes, in their own order."""
        for (fingerprint,) in self._connection.execute(
            "SELECT fingerprint FROM plan ORDER BY fingerprint"
        ):
            yield bytes(fingerprint)

    # --- figures ---------------------------------------------------------------------------

    def count_objects(self) -> dict[tuple[str, str], int]:
        """Objects that change in this run, by type and action; once where references follow."""
        return {
            (kind, action): count
            for kind, action, count in self._connection.execute(
                "SELECT type, action, COUNT(*) FROM plan WHERE held IS NULL AND temporary IS NULL"
                " AND (part = 0 OR (part = 1 AND NOT EXISTS (SELECT 1 FROM plan AS whole"
                " WHERE whole.anchor = plan.anchor AND whole.part = 0)))"
                " GROUP BY type, action"
            )
        }

    def count_links(self) -> tuple[int, int]:
        """Links added and removed in this run."""
        added, removed = self._connection.execute(
            "SELECT TOTAL(links - removals), TOTAL(removals) FROM plan"
            " WHERE part = 2 AND held IS NULL"
        ).fetchone()
        return int(added), int(removed)

    def count(self) -> tuple[int, int]:
        """Changes of the plan, and those of them that are held."""
        total, held = self._connection.execute("SELECT COUNT(*), COUNT(held) FROM plan").fetchone()
        return int(total), int(held)

    def costs(self, room: int, *, whole: bool) -> Costs:
        """What sending it costs if everything is taken.

        Args:
            room: links of a request.
            whole: whether complete lists of members travel.
        """
        writes, links = self._connection.execute(
            "SELECT TOTAL(CASE WHEN part <> 2 OR :whole THEN 1 ELSE (plan.links + :room - 1)"
            " / :room END), TOTAL(CASE WHEN part <> 2 THEN 0 WHEN :whole THEN"
            " COALESCE(cloud_objects.links, 0) + plan.links - 2 * removals ELSE plan.links END)"
            " FROM plan LEFT JOIN cloud_objects ON cloud_objects.anchor = plan.anchor"
            " AND plan.part = 2 WHERE held IS NULL",
            {"whole": whole, "room": room},
        ).fetchone()
        (references,) = self._connection.execute(
            "SELECT TOTAL(CASE each.type WHEN 'array' THEN json_array_length(each.value)"
            " ELSE each.type <> 'null' END) FROM plan JOIN pending"
            " ON pending.anchor = plan.anchor AND pending.part = plan.part"
            " JOIN json_each(pending.properties) AS each"
            " WHERE held IS NULL AND temporary IS NULL"
            " AND each.key IN (SELECT value FROM json_each(?))",
            (json.dumps(sorted(REFERENCE_KEYS)),),
        ).fetchone()
        return Costs(int(writes), int(links), int(links) + int(references))

    def has_deletions(self) -> bool:
        """Whether objects are deleted."""
        return bool(
            self._connection.execute("SELECT EXISTS (SELECT 1 FROM plan WHERE deletes)").fetchone()[
                0
            ]
        )

    def has_links(self) -> bool:
        """Whether members change."""
        return bool(
            self._connection.execute(
                "SELECT EXISTS (SELECT 1 FROM plan WHERE part = 2)"
            ).fetchone()[0]
        )

    # --- what is held, and what the service will do ----------------------------------------

    def hold(self, where: Iterable[tuple[str, str]]) -> None:
        """Holds additions by their outcome.

        Args:
            where: outcome and reason.
        """
        with self._database.transaction():
            self._connection.executemany(
                "UPDATE plan SET held = ?2 WHERE outcome = ?1 AND takeovers > 0 AND held IS NULL",
                where,
            )

    def hold_dependents(self) -> None:
        """Holds what cannot go without something that is held.

        That is an addition that follows a deletion, what refers from an addition, and what lets go
        of a value for a moment.
        """
        execute = self._connection.execute
        with self._database.transaction():
            execute(
                "UPDATE plan SET held = gone.held FROM recreated JOIN plan AS gone"
                " ON gone.anchor = recreated.predecessor WHERE gone.action = 'delete'"
                " AND gone.held IS NOT NULL AND plan.anchor = recreated.anchor"
                " AND plan.action = 'add' AND plan.held IS NULL"
            )
            execute(
                "UPDATE plan SET held = whole.held FROM plan AS whole WHERE whole.held IS NOT NULL"
                " AND whole.part = 0 AND whole.temporary IS NULL AND plan.anchor = whole.anchor"
                " AND plan.held IS NULL AND (whole.action = 'add' OR plan.temporary IS NOT NULL)"
            )

    def held(self, reason: str | None = None) -> Iterator[Held]:
        """Objects that are held, in order; all, or for one reason."""
        for anchor, kind, why in self._connection.execute(
            "SELECT anchors.anchor, plan.type, plan.held FROM plan"
            " JOIN anchors ON anchors.id = plan.anchor WHERE plan.held IS NOT NULL"
            " AND plan.part = 0 AND plan.temporary IS NULL AND (?1 IS NULL OR plan.held = ?1)"
            " ORDER BY plan.position",
            (reason,),
        ):
            yield Held(anchor, kind, why)

    def count_held(self) -> dict[str, int]:
        """Objects that are held, by reason."""
        return dict(
            self._connection.execute(
                "SELECT held, COUNT(*) FROM plan WHERE held IS NOT NULL AND part = 0"
                " AND temporary IS NULL GROUP BY held"
            )
        )

    def additions(
        self,
    ) -> Iterator[tuple[int, SyncObjectType, str, Mapping[str, PropertyValue]]]:
        """Position, type, SourceAnchor and properties of additions, in order.

        Page by page; rows may be written meanwhile.
        """
        after = 0
        query = (
            "SELECT plan.position, plan.type, anchors.anchor, pending.properties,"  # noqa: S608  - fragments of ours
            f" {left_out(self._connection, 'plan.anchor')} FROM plan"
            " JOIN anchors ON anchors.id = plan.anchor JOIN pending"
            " ON pending.anchor = plan.anchor AND pending.part = 0"
            " WHERE plan.position > ? AND plan.action = 'add' AND plan.part = 0"
            " ORDER BY plan.position LIMIT ?"
        )
        while rows := self._connection.execute(query, (after, _PAGE)).fetchall():
            for position, kind, anchor, properties, without in rows:
                yield position, SyncObjectType(kind), anchor, effective(properties, without)
            after = rows[-1][0]

    def outcome_counts(self) -> dict[str, int]:
        """Additions by what becomes of them, in words of `Outcome`; why is left out."""
        return dict(
            self._connection.execute(
                "SELECT CASE INSTR(outcome, ' ') WHEN 0 THEN outcome"
                " ELSE SUBSTR(outcome, 1, INSTR(outcome, ' ') - 1) END AS word, COUNT(*)"
                " FROM plan WHERE action = 'add' AND part = 0 AND outcome IS NOT NULL"
                " GROUP BY word ORDER BY word"
            )
        )

    def set_outcomes(self, rows: Iterable[tuple[int, str, int]]) -> None:
        """Says what the service will do.

        Args:
            rows: position, outcome, and 1 where an account is taken over. What is known to follow a
                deleted object stays told so.
        """
        with self._database.transaction():
            self._connection.executemany(
                "UPDATE plan SET outcome = CASE WHEN outcome = 'recreate' AND ?3 = 0 THEN outcome"
                " ELSE ?2 END, takeovers = ?3 WHERE position = ?1",
                rows,
            )
