"""What is pending in the order in which it lies, read page by page, and what is told of each.

A plan is named before it is put in order: in that order its rows lie all over the state.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from entrasync.state.plan_rows import MOST_LINKS, PLANNED_OWNER, effective, left_out, planned_link
from entrasync.state.rows import encode_properties, to_json
from entrasync.state.schema import Part

NO_PROPERTIES: Final = "{}"
NO_LINKS: Final = "[]"
_PAGE: Final = 1_000
_LINKS: Final = int(Part.LINKS)


class StoredRow(NamedTuple):
    """One change with what it does, as the state keeps it.

    Attributes:
        number: of its anchor.
        temporary: 1 where it lets go of values for a moment only.
        properties: what is written, as `rows.encode_properties` writes it.
        previous: what these values replace, as JSON in any order.
        links: members and whether they are added, as `rows.to_json` writes the sorted pairs.
        changed: how many links these are.
        removals: how many of them are removed.
    """

    number: int
    part: int
    temporary: int
    anchor: str
    action: str
    type: str
    properties: str
    previous: str
    links: str = NO_LINKS
    changed: int = 0
    removals: int = 0


class Named(NamedTuple):
    """What is told of a change once it was looked at."""

    number: int
    part: int
    temporary: int
    action: str
    type: str
    fingerprint: bytes
    disables: int
    identity: int
    clears: int
    links: int
    removals: int


class NamingSpace:
    """Reads what is pending, and keeps what is told of it in `temp.named`.

    Args:
        connection: to the state.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def pages(self) -> Iterator[list[StoredRow]]:
        """All that is pending; pages given may be named meanwhile."""
        yield from self._objects()
        yield self._temporaries()
        yield from self._links()

    def name(self, named: Iterable[Named]) -> None:
        """Says what is known of changes; what is not named is not planned."""
        self._connection.executemany(
            "INSERT INTO named VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", named
        )

    def stays(self, anchor: str) -> bool:
        """Whether the tenant holds an object that is not to be deleted."""
        row = self._connection.execute(
            "SELECT 1 FROM anchors JOIN cloud_objects ON cloud_objects.anchor = anchors.id"
            " WHERE anchors.anchor = ? AND NOT EXISTS (SELECT 1 FROM pending"
            " WHERE pending.anchor = anchors.id AND pending.part = 0"
            " AND pending.action = 'delete')",
            (anchor,),
        ).fetchone()
        return row is not None

    def _objects(self) -> Iterator[list[StoredRow]]:
        query = (
            "SELECT p.anchor, p.part, a.anchor, p.action, p.type, p.properties, p.previous,"  # noqa: S608  - fragments of ours
            f" {left_out(self._connection, 'p.anchor')}"
            " FROM pending AS p CROSS JOIN anchors AS a ON a.id = p.anchor"
            " WHERE (p.anchor, p.part) > (?, ?) ORDER BY p.anchor, p.part LIMIT ?"
        )
        last = (-1, 0)
        while rows := self._connection.execute(query, (*last, _PAGE)).fetchall():
            yield [_of_object(row) for row in rows]
            last = rows[-1][:2]

    def _temporaries(self) -> list[StoredRow]:
        rows = self._connection.execute(
            "SELECT p.anchor, 0, 1, a.anchor, p.action, p.type, t.properties, p.previous"
            " FROM temporaries AS t JOIN pending AS p ON p.anchor = t.anchor AND p.part = 0"
            " JOIN anchors AS a ON a.id = p.anchor"
        )
        return [StoredRow(*row) for row in rows]

    def _links(self) -> Iterator[list[StoredRow]]:
        planned = planned_link(self._connection)
        owners = (
            "SELECT links.owner, a.anchor, COUNT(*), SUM(NOT links.adds)"  # noqa: S608  - as above
            " FROM pending_links AS links CROSS JOIN anchors AS a ON a.id = links.owner"
            f" WHERE links.owner > ? AND {planned} GROUP BY links.owner HAVING {PLANNED_OWNER}"
            " ORDER BY links.owner LIMIT ?"
        )
        members = (
            "SELECT links.owner, a.anchor, links.adds FROM pending_links AS links"  # noqa: S608  - as above
            " CROSS JOIN anchors AS a ON a.id = links.member"
            f" WHERE links.owner IN (SELECT value FROM json_each(?)) AND {planned}"
        )
        last = -1
        while rows := self._connection.execute(owners, (last, _PAGE)).fetchall():
            for page in _in_pieces(rows):
                found: dict[int, list[tuple[str, bool]]] = {row[0]: [] for row in page}
                for owner, member, adds in self._connection.execute(
                    members, (json.dumps(list(found)),)
                ):
                    found[owner].append((member, adds != 0))
                yield [_of_links(row, found[row[0]]) for row in page]
            last = rows[-1][0]


def _of_object(row: tuple[Any, ...]) -> StoredRow:
    number, part, anchor, action, type_, properties, previous, without = row
    if action == "delete":
        properties = previous = NO_PROPERTIES
    elif without is not None:
        properties = encode_properties(effective(properties, without))
    return StoredRow(number, part, 0, anchor, action, type_, properties, previous)


def _of_links(row: tuple[Any, ...], pairs: list[tuple[str, bool]]) -> StoredRow:
    number, anchor, changed, removals = row
    return StoredRow(
        number,
        _LINKS,
        0,
        anchor,
        "links",
        "Group",
        NO_PROPERTIES,
        NO_PROPERTIES,
        to_json(sorted(pairs)),
        changed,
        removals,
    )


def _in_pieces(rows: list[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Groups that together have no more links than one may have."""
    piece: list[tuple[Any, ...]] = []
    count = 0
    for row in rows:
        if piece and count + row[2] > MOST_LINKS:
            yield piece
            piece, count = [], 0
        piece.append(row)
        count += row[2]
    yield piece
