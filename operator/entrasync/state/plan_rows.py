"""Rows of the plan as they are read, and which links belong to it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from itertools import starmap
from operator import itemgetter
from typing import Any, Final, NamedTuple

from entrasync.entra.contracts import LinkChange, PropertyValue
from entrasync.state.rows import decode_properties, guid_text
from entrasync.state.schema import Part

MOST_LINKS: Final = 250_000
"""Links of one page: as many as one group may have."""

# an owner that goes, or that nobody knows, has no members to change; the service itself ends the
# links of what is deleted, and who is wanted no longer keeps his otherwise
PLANNED_OWNER: Final = (
    "NOT EXISTS (SELECT 1 FROM candidates WHERE candidates.anchor = links.owner)"
    " AND (EXISTS (SELECT 1 FROM cloud_objects WHERE cloud_objects.anchor = links.owner)"
    " OR EXISTS (SELECT 1 FROM pending WHERE pending.anchor = links.owner"
    " AND pending.part = 0 AND pending.action = 'add'))"
)
_STAYS: Final = (
    "(links.adds OR NOT (EXISTS (SELECT 1 FROM candidates WHERE candidates.anchor = links.member)"
    " OR EXISTS (SELECT 1 FROM pending WHERE pending.anchor = links.member"
    " AND pending.part = 0 AND pending.action = 'delete')))"
)
_NOT_LEFT_OUT: Final = (
    " AND NOT EXISTS (SELECT 1 FROM left_out WHERE left_out.anchor = links.owner"
    " AND left_out.key = 'member:' || links.member)"
)

_NOTHING: Final = "{}"
_EMPTY: Final = (None, _NOTHING)

TEMPORARY_TABLES: Final = """
CREATE TEMP TABLE IF NOT EXISTS left_out (
    anchor INTEGER NOT NULL, key TEXT NOT NULL, PRIMARY KEY (anchor, key)) WITHOUT ROWID;
CREATE TEMP TABLE IF NOT EXISTS removals (
    anchor INTEGER PRIMARY KEY, action TEXT NOT NULL, why TEXT NOT NULL);
CREATE TEMP TABLE IF NOT EXISTS given (value INTEGER NOT NULL, anchor INTEGER NOT NULL,
    PRIMARY KEY (value, anchor)) WITHOUT ROWID;
CREATE TEMP TABLE IF NOT EXISTS taken (value INTEGER NOT NULL, anchor INTEGER NOT NULL,
    PRIMARY KEY (value, anchor)) WITHOUT ROWID;
CREATE TEMP TABLE IF NOT EXISTS releases (anchor INTEGER PRIMARY KEY, step INTEGER NOT NULL);
CREATE TEMP TABLE IF NOT EXISTS temporaries (anchor INTEGER PRIMARY KEY, properties TEXT NOT NULL);
CREATE TEMP TABLE IF NOT EXISTS named (
    anchor INTEGER NOT NULL, part INTEGER NOT NULL, temporary INTEGER NOT NULL,
    action TEXT NOT NULL, type TEXT NOT NULL, fingerprint BLOB NOT NULL,
    disables INTEGER NOT NULL, identity INTEGER NOT NULL, clears INTEGER NOT NULL,
    links INTEGER NOT NULL, removals INTEGER NOT NULL);
CREATE TEMP TABLE IF NOT EXISTS leaving (value TEXT NOT NULL, anchor INTEGER NOT NULL,
    PRIMARY KEY (value, anchor)) WITHOUT ROWID;
CREATE TEMP TABLE IF NOT EXISTS recreated (
    anchor INTEGER PRIMARY KEY, predecessor INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS temp.recreated_predecessor ON recreated (predecessor);
CREATE TEMP TABLE IF NOT EXISTS told (place INTEGER PRIMARY KEY, position INTEGER NOT NULL);
CREATE TEMP TABLE IF NOT EXISTS covered (fingerprint BLOB PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP TABLE IF NOT EXISTS covered_links (
    owner INTEGER NOT NULL, member INTEGER NOT NULL, PRIMARY KEY (owner, member)) WITHOUT ROWID;
"""
"""What a run notes on its way to a plan, and needs until it has ended."""


class PlanRow(NamedTuple):
    """One row of the plan with what it changes.

    Attributes:
        number: of its anchor.
        properties: what is written; for a moment only, where `temporary`.
        previous: what these values replace.
        why: by property, and of the whole under an empty key.
        links: members to add and remove.
        members: numbers of their anchors.
        replaces: SourceAnchor of the deleted object that an addition follows.
    """

    position: int
    number: int
    anchor: str
    part: Part
    action: str
    type: str
    phase: int
    step: int
    temporary: bool
    guid: str | None
    properties: dict[str, PropertyValue]
    previous: dict[str, PropertyValue]
    why: dict[str, str]
    fingerprint: bytes
    outcome: str | None
    braked: str | None
    held: str | None
    links: tuple[LinkChange, ...]
    replaces: str | None
    members: Mapping[str, int]


def any_row(connection: sqlite3.Connection, table: str) -> bool:
    """Whether a table has a row."""
    return bool(
        connection.execute(f"SELECT EXISTS (SELECT 1 FROM {table})").fetchone()[0]  # noqa: S608  - a name of ours
    )


def planned_link(connection: sqlite3.Connection) -> str:
    """Condition of rows of `pending_links AS links` that are part of the plan, owners aside."""
    return _STAYS + (_NOT_LEFT_OUT if any_row(connection, "left_out") else "")


def left_out(connection: sqlite3.Connection, anchor: str) -> str:
    """Expression of the properties that are left out of a change, as a JSON list, or NULL."""
    if not any_row(connection, "left_out"):
        return "NULL"
    return f"(SELECT json_group_array(key) FROM left_out WHERE left_out.anchor = {anchor})"  # noqa: S608  - a column of ours


def effective(properties: str, without: str | None) -> dict[str, PropertyValue]:
    """Properties without those that are left out."""
    found = decode_properties(properties)
    if without is not None:
        for key in json.loads(without):
            found.pop(key, None)
    return found


Columns = tuple[Any, ...]
"""A row of `RowReader`: SQLite gives no types."""
Pairs = dict[int, list[tuple[str, bool]]]
"""SourceAnchors of members and whether they are added, by the number of their group."""
Members = dict[int, dict[str, int]]
"""Numbers of the anchors of members, likewise."""
_REMOVALS_FIRST: Final = itemgetter(1, 0)
_LINKS: Final = int(Part.LINKS)


class RowReader:
    """Reads pages of the plan.

    Args:
        connection: to the state.
        where: further condition on rows of `plan`, in SQL of this package.
        links: further condition on `links` of a group, as above.
        listed: whether they come as `told` lists them, and have their places there as positions.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        where: str = "1",
        links: str = "1",
        *,
        listed: bool = False,
    ) -> None:
        self._connection = connection
        place = "told.place" if listed else "plan.position"
        origin = "told CROSS JOIN plan ON plan.position = told.position" if listed else "plan"
        self._rows = (
            f"SELECT {place}, plan.anchor, anchors.anchor, plan.part, plan.action, plan.type,"  # noqa: S608  - fragments of ours
            " plan.phase, plan.step, plan.temporary, COALESCE(pending.guid, cloud_objects.guid),"
            " pending.properties, pending.previous, pending.why, plan.fingerprint, plan.outcome,"
            " plan.braked, plan.held, plan.links, former.anchor,"
            f" {left_out(connection, 'plan.anchor')}"
            f" FROM {origin} JOIN anchors ON anchors.id = plan.anchor"
            " LEFT JOIN pending ON pending.anchor = plan.anchor AND pending.part = plan.part"
            " LEFT JOIN cloud_objects ON cloud_objects.anchor = plan.anchor"
            " LEFT JOIN recreated ON recreated.anchor = plan.anchor AND plan.action = 'add'"
            " LEFT JOIN anchors AS former ON former.id = recreated.predecessor"
            f" WHERE {place} > ? AND ({where}) ORDER BY {place} LIMIT ?"
        )
        self._links = (
            "SELECT links.owner, anchors.anchor, links.adds, links.member"  # noqa: S608  - as above
            " FROM pending_links AS links JOIN anchors ON anchors.id = links.member"
            " WHERE links.owner IN (SELECT value FROM json_each(?))"
            f" AND {planned_link(connection)} AND ({links})"
        )

    def page(self, after: int, size: int) -> list[PlanRow]:
        """Rows behind a position; fewer than asked for where groups have many links."""
        rows, pairs, members = self._page(self._rows, 17, after, size)
        links: dict[int, tuple[LinkChange, ...]] = {}
        for owner, found in pairs.items():
            found.sort(key=_REMOVALS_FIRST)
            links[owner] = tuple(starmap(LinkChange, found))
        return [_row(row, links, members) for row in rows]

    def _page(
        self, query: str, counted: int, after: int, size: int
    ) -> tuple[list[Columns], Pairs, Members]:
        """Rows of a page, and links of its groups; the number is the column of how many."""
        rows: list[Columns] = []
        count = 0
        for row in self._connection.execute(query, (after, size)).fetchall():
            count += row[counted]
            if rows and count > MOST_LINKS:
                break
            rows.append(row)
        return rows, *self._pairs_of([row[1] for row in rows if row[3] == _LINKS])

    def _pairs_of(self, owners: list[int]) -> tuple[Pairs, Members]:
        pairs: Pairs = {owner: [] for owner in owners}
        members: Members = {owner: {} for owner in owners}
        if owners:
            for owner, anchor, adds, number in self._connection.execute(
                self._links, (json.dumps(owners),)
            ):
                pairs[owner].append((anchor, adds != 0))
                members[owner][anchor] = number
        return pairs, members


def _row(row: Columns, links: Mapping[int, tuple[LinkChange, ...]], members: Members) -> PlanRow:
    properties = {} if row[10] in _EMPTY else effective(row[10], row[19])
    previous = {} if row[11] in _EMPTY else decode_properties(row[11])
    if row[8] is not None:
        properties = decode_properties(row[8])
    if len(previous) > len(properties):
        previous = {key: value for key, value in previous.items() if key in properties}
    return PlanRow(
        position=row[0],
        number=row[1],
        anchor=row[2],
        part=Part(row[3]),
        action=row[4],
        type=row[5],
        phase=row[6],
        step=row[7],
        temporary=row[8] is not None,
        guid=None if row[9] is None else guid_text(row[9]),
        properties=properties,
        previous=previous,
        why={} if row[12] in _EMPTY else json.loads(row[12]),
        fingerprint=row[13],
        outcome=row[14],
        braked=row[15],
        held=row[16],
        links=links[row[1]] if row[3] == _LINKS else (),
        replaces=row[18],
        members=members[row[1]] if row[3] == _LINKS else {},
    )
