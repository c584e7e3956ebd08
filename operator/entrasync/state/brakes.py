"""What the brakes sum and stop in the plan."""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from entrasync.state.database import Database
from entrasync.state.evaluation import META_KEPT
from entrasync.state.plan_rows import any_row, planned_link

_SAMPLED_PARTS: Final = 3
"""An object may be braked in as many rows."""
_OPEN: Final = "plan.held IS NULL AND plan.temporary IS NULL"
_UNCOVERED: Final = (
    "NOT EXISTS (SELECT 1 FROM covered WHERE covered.fingerprint = plan.fingerprint)"
)
_UNCOVERED_LINK: Final = (
    "NOT EXISTS (SELECT 1 FROM covered_links WHERE covered_links.owner = links.owner"
    " AND covered_links.member = links.member)"
)

BRAKED_OWNER: Final = (
    "links.owner IN (SELECT plan.anchor FROM plan WHERE plan.part = 2 AND plan.braked IS NOT NULL)"
)


class Sort(StrEnum):
    """What a brake stops: conditions on rows of `plan`."""

    DELETIONS = "plan.deletes > 0 AND NOT plan.orphan"
    DISABLES = "plan.disables > 0"
    IDENTITY = "plan.identity > 0"
    CLEARS = "plan.clears > 0"
    ORPHANS = "plan.deletes > 0 AND plan.orphan"
    TAKEOVERS = "plan.takeovers > 0"
    REMOVALS = "plan.removals > 0"


class Sums(NamedTuple):
    """What the plan would do to objects of a type, without what was let through."""

    type: str
    deletions: int
    disables: int
    identity: int
    clears: int
    orphans: int


class BrakeSpace:
    """Sums and brakes.

    What `ApprovalSpace` covers is neither summed nor stopped.

    Args:
        database: the open state.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.connection

    # --- sums ------------------------------------------------------------------------------

    def sums(self) -> list[Sums]:
        """What counts, by type."""
        return [
            Sums(*row)
            for row in self._connection.execute(
                "SELECT type, SUM(deletes * (1 - orphan)), SUM(disables), SUM(identity),"  # noqa: S608  - conditions of ours
                " SUM(clears), SUM(deletes * orphan) FROM plan"
                f" WHERE {_OPEN} AND {self._uncovered()} GROUP BY type ORDER BY type"
            )
        ]

    def removals(self) -> int:
        """Links that would be removed."""
        (count,) = self._connection.execute(
            f"SELECT TOTAL(removals) FROM plan WHERE part = 2 AND {_OPEN}"  # noqa: S608  - as above
        ).fetchone()
        if any_row(self._connection, "covered_links"):
            count -= self._count(
                "covered_links JOIN pending_links AS links ON links.owner = covered_links.owner"
                " AND links.member = covered_links.member JOIN plan ON plan.anchor = links.owner"
                f" AND plan.part = 2 WHERE NOT links.adds AND {_OPEN}"
                f" AND {planned_link(self._connection)}"
            )
        return int(count)

    def takeovers(self) -> dict[str, int]:
        """Accounts that would be taken over, by outcome."""
        return dict(
            self._connection.execute(
                "SELECT outcome, SUM(takeovers) FROM plan WHERE takeovers > 0"  # noqa: S608  - as above
                f" AND {_OPEN} AND {self._uncovered()} GROUP BY outcome"
            )
        )

    def adoptable(self) -> dict[str, tuple[int, int]]:
        """Objects that are owned as soon as the plan is carried out, and their links, by type."""
        return {
            kind: (count, links)
            for kind, count, links in self._connection.execute(
                "SELECT type, COUNT(*), SUM(links) FROM cloud_objects WHERE owned = 0"
                " AND NOT cloud_managed AND EXISTS (SELECT 1 FROM parts"
                " WHERE parts.anchor = cloud_objects.anchor AND parts.withheld IS NULL"
                " AND parts.kind NOT IN (SELECT value FROM json_each(?)))"
                " AND NOT EXISTS (SELECT 1 FROM conflicts"
                " WHERE conflicts.anchor = cloud_objects.anchor) GROUP BY type",
                (f"[{self._database.get(META_KEPT) or ''}]",),
            )
        }

    def _uncovered(self) -> str:
        return _UNCOVERED if any_row(self._connection, "covered") else "1"

    def _count(self, source: str) -> int:
        (count,) = self._connection.execute(f"SELECT COUNT(*) FROM {source}").fetchone()  # noqa: S608  - fragments of ours
        return int(count)

    # --- brakes ----------------------------------------------------------------------------

    def release(self) -> None:
        """Takes all brakes off the plan, and what they held."""
        with self._database.transaction():
            self._connection.execute(
                "UPDATE plan SET held = CASE held WHEN braked THEN NULL ELSE held END,"
                " braked = NULL WHERE braked IS NOT NULL"
            )

    def brake(
        self,
        sort: Sort,
        reason: str,
        *,
        type: str | None = None,  # noqa: A002  - what the column is called
        outcome: str | None = None,
    ) -> None:
        """Stops what another brake does not stop already."""
        if sort is Sort.REMOVALS:
            uncovered = "1"
            if any_row(self._connection, "covered_links"):
                uncovered = (
                    f"EXISTS ({removed_pairs(self._connection, 'links.owner = plan.anchor')})"
                )
        else:
            uncovered = self._uncovered()
        with self._database.transaction():
            self._connection.execute(
                f"UPDATE plan SET braked = :reason WHERE braked IS NULL AND {_OPEN} AND {sort}"  # noqa: S608  - conditions of ours
                f" AND {uncovered} AND (:type IS NULL OR type = :type)"
                " AND (:outcome IS NULL OR outcome = :outcome)",
                {"reason": reason, "type": type, "outcome": outcome},
            )

    def hold_braked(self) -> None:
        """Holds what is braked, for the rest to go on.

        Groups stay: only the removals among their changes wait. Who takes a unique value from
        somebody that is held waits as well: the service would give out a placeholder in its place.
        """
        execute = self._connection.execute
        with self._database.transaction():
            execute(
                "UPDATE plan SET held = braked WHERE braked IS NOT NULL AND held IS NULL"
                " AND (part <> 2 OR links = removals AND NOT EXISTS (SELECT 1 FROM covered_links"
                " WHERE covered_links.owner = plan.anchor))"
            )
            while execute(
                "UPDATE plan SET held = gone.held FROM given JOIN taken"
                " ON taken.value = given.value AND taken.anchor <> given.anchor"
                " JOIN plan AS gone ON gone.anchor = given.anchor AND gone.part = 0"
                " WHERE gone.held IN (SELECT braked FROM plan WHERE braked IS NOT NULL)"
                " AND plan.anchor = taken.anchor AND plan.part = 0 AND plan.held IS NULL"
            ).rowcount:
                pass  # who waits for these waits as well

    def counts(self) -> dict[tuple[str, str], int]:
        """Braked objects by type and action, and under `links` those that would be removed."""
        counts = {
            (kind, action): count
            for kind, action, count in self._connection.execute(
                "SELECT type, action, COUNT(DISTINCT anchor) FROM plan WHERE braked IS NOT NULL"
                " AND part <> 2 GROUP BY type, action"
            )
        }
        links = self._count(f"({removed_pairs(self._connection, BRAKED_OWNER)})")
        return counts | ({("links", "remove"): links} if links else {})

    def sample(self, size: int) -> list[str]:
        """SourceAnchors of the first that are braked."""
        rows = self._connection.execute(
            "SELECT anchors.anchor FROM plan JOIN anchors ON anchors.id = plan.anchor"
            " WHERE braked IS NOT NULL ORDER BY anchors.anchor LIMIT ?",
            (size * _SAMPLED_PARTS,),
        )
        return list(dict.fromkeys(str(anchor) for (anchor,) in rows))[:size]

    def fingerprints(self, name: Callable[[str, list[str]], bytes]) -> Iterator[bytes]:
        """Names of what is braked, in their own order.

        Args:
            name: names the removal of members, in order, from a group.
        """
        objects = self._connection.execute(
            "SELECT DISTINCT fingerprint FROM plan WHERE braked IS NOT NULL AND part <> 2"
            " ORDER BY fingerprint"
        )
        groups = sorted(name(owner, sorted(members)) for owner, members in self._braked_groups())
        return heapq.merge((bytes(fingerprint) for (fingerprint,) in objects), groups)

    def _braked_groups(self) -> Iterator[tuple[str, list[str]]]:
        current, members = "", list[str]()
        for owner, member in self._connection.execute(
            "SELECT owners.anchor, members.anchor FROM"  # noqa: S608  - fragments of ours
            f" ({removed_pairs(self._connection, BRAKED_OWNER)}) AS gone"
            " JOIN anchors AS owners ON owners.id = gone.owner"
            " JOIN anchors AS members ON members.id = gone.member"
        ):
            if owner != current:
                if members:
                    yield current, members
                current, members = owner, []
            members.append(member)
        if members:
            yield current, members


def removed_pairs(connection: sqlite3.Connection, where: str) -> str:
    """Query of the plan's links that are removed and were not let through, in order of groups.

    Args:
        connection: to the state.
        where: condition on `links`, in SQL of this package.
    """
    return (
        "SELECT links.owner, links.member FROM pending_links AS links"  # noqa: S608  - fragments of ours
        f" WHERE NOT links.adds AND {where} AND {planned_link(connection)}"
        f" AND {_UNCOVERED_LINK} ORDER BY links.owner, links.member"
    )
