"""How the plan is filled from what is pending: its order, and what is known of each change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from entrasync.entra.contracts import PropertyValue
from entrasync.state.database import Database, drop_index
from entrasync.state.naming import NamingSpace
from entrasync.state.plan_rows import any_row, effective, left_out
from entrasync.state.rows import decode_properties, encode_properties

_PAGE: Final = 1_000


class UniqueRow(NamedTuple):
    """An object that is to be written, as far as unique values go.

    Attributes:
        number: of its anchor.
        before: what the tenant holds of it; empty for an addition.
        written: what is to be written.
    """

    number: int
    anchor: str
    type: str
    before: dict[str, PropertyValue]
    written: dict[str, PropertyValue]


class Mergeable(NamedTuple):
    """An object and its references, all of whose ends are in the tenant."""

    number: int
    anchor: str
    action: str
    type: str
    properties: dict[str, PropertyValue]
    references: str


@dataclass(slots=True, frozen=True, kw_only=True)
class PhaseNumbers:
    """In which phase what is sent.

    Attributes:
        deletions: of all types.
        releases: what is sent ahead of its own phase.
        objects: by type.
        references: what could not travel with its object.
        links: of groups.
    """

    deletions: int
    releases: int
    objects: Mapping[str, int]
    references: int
    links: int


class PlanFilling:
    """Fills the plan; every method is called in the order it stands here, in one transaction.

    Args:
        database: the open state.

    Attributes:
        naming: reads what is pending, and keeps what is told of it; between `release` and `order`.
    """

    def __init__(self, database: Database) -> None:
        self._connection = database.connection
        self.naming = NamingSpace(database.connection)

    def begin(self) -> None:
        """Empties the plan, and what was noted for it."""
        for table in (
            "plan", "left_out", "given", "taken", "releases", "temporaries", "named", "leaving",
            "recreated",
        ):  # fmt: skip
            self._connection.execute(f"DELETE FROM {table}")  # noqa: S608  - names of ours

    def leave_out(self, more_often_than: int) -> int:
        """Leaves out what drifted more often than that; returns how much."""
        return self._connection.execute(
            "INSERT INTO left_out SELECT anchor, key FROM drift WHERE times > ?",
            (more_often_than,),
        ).rowcount

    # --- references that travel with their object ------------------------------------------

    def mergeable(self) -> Iterator[list[Mergeable]]:
        """Objects to be written whose references, to be written too, have all ends in the tenant.

        Page by page; what is given may be merged meanwhile.
        """
        after = -1
        while any_row(self._connection, "cloud_objects"):
            rows = self._connection.execute(
                "SELECT p.anchor, anchors.anchor, p.action, p.type, p.properties, r.properties"
                " FROM pending AS r CROSS JOIN pending AS p ON p.anchor = r.anchor AND p.part = 0"
                " JOIN anchors ON anchors.id = p.anchor"
                " WHERE r.part = 1 AND p.action IN ('add', 'update') AND r.anchor > ?"
                " AND NOT EXISTS (SELECT 1 FROM json_tree(r.properties) AS value"
                " LEFT JOIN anchors AS ends ON ends.anchor = value.atom"
                " WHERE value.type = 'text' AND (NOT EXISTS (SELECT 1 FROM cloud_objects"
                " WHERE cloud_objects.anchor = ends.id) OR EXISTS (SELECT 1 FROM pending AS gone"
                " WHERE gone.anchor = ends.id AND gone.part = 0 AND gone.action = 'delete')))"
                " ORDER BY r.anchor LIMIT ?",
                (after, _PAGE),
            ).fetchall()
            if not rows:
                return
            after = rows[-1][0]
            yield [
                Mergeable(number, anchor, action, kind, decode_properties(properties), references)
                for number, anchor, action, kind, properties, references in rows
            ]

    def merge(self, merged: Iterable[Mergeable]) -> None:
        """Makes references part of their objects' changes."""
        execute = self._connection.execute
        for each in merged:
            properties = each.properties | decode_properties(each.references)
            execute(
                "UPDATE pending SET properties = ? WHERE anchor = ? AND part = 0",
                (encode_properties(properties), each.number),
            )
            for column in ("previous", "why"):
                execute(
                    f"UPDATE pending SET {column} = json_patch({column}, (SELECT {column}"  # noqa: S608  - columns of ours
                    " FROM pending AS r WHERE r.anchor = pending.anchor AND r.part = 1))"
                    " WHERE anchor = ? AND part = 0",
                    (each.number,),
                )
            execute("DELETE FROM pending WHERE anchor = ? AND part = 1", (each.number,))

    # --- unique values that change hands ---------------------------------------------------

    def updates(self, keys: Iterable[str]) -> Iterator[UniqueRow]:
        """Updates of any of these properties; nothing but `give` may be called meanwhile."""
        return self._unique("pending.action = 'update'", keys)

    def deletions(self) -> Iterator[UniqueRow]:
        """What is deleted, with all it holds; nothing but `give` may be called meanwhile."""
        return self._unique("pending.action = 'delete'", ())

    def give(self, values: Iterable[tuple[int, int]]) -> None:
        """Notes values that are given up, with the numbers of those who hold them."""
        self._connection.executemany("INSERT OR IGNORE INTO given VALUES (?, ?)", values)

    def any_given(self) -> bool:
        """Whether a value is given up."""
        return any_row(self._connection, "given")

    def writes(self, keys: Iterable[str]) -> Iterator[UniqueRow]:
        """Additions and updates of any of these; nothing but `take` may be called meanwhile."""
        return self._unique("pending.action IN ('add', 'update')", keys)

    def take(self, values: Iterable[tuple[int, int]]) -> None:
        """Notes values that are taken, of those that are given up."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO taken SELECT ?1, ?2"
            " WHERE EXISTS (SELECT 1 FROM given WHERE value = ?1 AND anchor <> ?2)",
            values,
        )

    def exchanging(self) -> Iterator[UniqueRow]:
        """Who gives a value to somebody else or takes one, in order of anchors."""
        pairs = "given JOIN taken ON taken.value = given.value AND taken.anchor <> given.anchor"
        return self._unique(
            "pending.action IN ('add', 'update') AND pending.anchor IN"  # noqa: S608  - fragments of ours
            f" (SELECT given.anchor FROM {pairs} UNION SELECT taken.anchor FROM {pairs})",
            (),
        )

    def _unique(self, where: str, keys: Iterable[str]) -> Iterator[UniqueRow]:
        named = " OR ".join(f"instr(pending.properties, '\"{key}\":')" for key in keys) or "1"
        for number, anchor, type_, before, written, without in self._connection.execute(
            "SELECT pending.anchor, anchors.anchor, pending.type, cloud_objects.properties,"  # noqa: S608  - fragments of ours
            f" pending.properties, {left_out(self._connection, 'pending.anchor')}"
            " FROM pending JOIN anchors ON anchors.id = pending.anchor"
            " LEFT JOIN cloud_objects ON cloud_objects.anchor = pending.anchor"
            f" WHERE pending.part = 0 AND {where} AND ({named})"
        ):
            known = {} if before is None else decode_properties(before)
            yield UniqueRow(number, anchor, type_, known, effective(written, without))

    def release(
        self,
        steps: Iterable[tuple[int, int]],
        temporaries: Iterable[tuple[int, Mapping[str, PropertyValue]]],
    ) -> None:
        """Says what is sent ahead, and what is let go of for a moment before."""
        self._connection.executemany("INSERT INTO releases VALUES (?, ?)", steps)
        self._connection.executemany(
            "INSERT INTO temporaries VALUES (?, ?)",
            ((number, encode_properties(properties)) for number, properties in temporaries),
        )

    # --- the order, and what is known of each ----------------------------------------------

    def order(self, phases: PhaseNumbers) -> None:
        """Fills the plan with what was named, in the order in which it is sent.

        Args:
            phases: which come one after the other.
        """
        objects = " ".join(
            f"WHEN '{kind}' THEN {number:d}" for kind, number in phases.objects.items()
        )
        index = drop_index(self._connection, "plan_anchor")  # the order is no order of anchors
        self._connection.execute(
            "INSERT INTO plan (anchor, part, action, type, phase, step, temporary, fingerprint,"  # noqa: S608  - numbers and types of ours
            " deletes, disables, identity, clears, orphan, links, removals)"
            " SELECT w.anchor, w.part, w.action, w.type, w.phase, w.step, w.lets_go,"
            " w.fingerprint, w.action = 'delete', w.disables, w.identity, w.clears, w.orphan,"
            " w.links, w.removals FROM (SELECT named.*,"
            f" CASE WHEN named.temporary THEN {phases.releases:d}"
            f" WHEN named.action = 'delete' THEN {phases.deletions:d}"
            f" WHEN named.part = 1 THEN {phases.references:d}"
            f" WHEN named.part = 2 THEN {phases.links:d}"
            f" WHEN releases.anchor IS NOT NULL THEN {phases.releases:d}"
            f" ELSE CASE named.type {objects} END END AS phase,"
            " CASE WHEN named.temporary THEN 0 ELSE COALESCE(releases.step, 0) END AS step,"
            " temporaries.properties AS lets_go,"
            " named.action = 'delete' AND NOT COALESCE(cloud_objects.owned, 0) AS orphan"
            " FROM named"
            " LEFT JOIN releases ON releases.anchor = named.anchor AND named.part = 0"
            " LEFT JOIN temporaries ON temporaries.anchor = named.anchor AND named.temporary"
            " LEFT JOIN cloud_objects ON cloud_objects.anchor = named.anchor"
            " AND named.action = 'delete') AS w"
            # by number, which is the order in which all of it lies in the state: one after the
            # other, what a request is about would be looked for all over the file
            " ORDER BY w.phase, w.step, w.action <> 'add', w.anchor, w.part",
        )
        self._connection.execute(index)

    def recreations(self, keys: Iterable[str]) -> None:
        """Finds additions that follow a deleted object with the same value of one of these."""
        execute = self._connection.execute
        for action in ("delete", "add"):
            if not execute(
                "SELECT EXISTS (SELECT 1 FROM pending WHERE action = ?)", (action,)
            ).fetchone()[0]:
                return
        for key in keys:
            execute(
                "INSERT OR IGNORE INTO leaving"
                " SELECT :key || lower(cloud_objects.properties -> :path), pending.anchor"
                " FROM pending JOIN cloud_objects"
                " ON cloud_objects.anchor = pending.anchor WHERE pending.action = 'delete'"
                " AND cloud_objects.properties -> :path IS NOT NULL",
                {"key": key, "path": f"$.{key}"},
            )
            execute(
                "INSERT OR IGNORE INTO recreated SELECT pending.anchor, MIN(leaving.anchor)"
                " FROM pending JOIN leaving"
                " ON leaving.value = :key || lower(pending.properties -> :path)"
                " WHERE pending.action = 'add' AND pending.part = 0 GROUP BY pending.anchor",
                {"key": key, "path": f"$.{key}"},
            )
        execute(
            "UPDATE plan SET outcome = 'recreate' WHERE action = 'add' AND part = 0"
            " AND anchor IN (SELECT anchor FROM recreated)"
        )
