"""Everything that comparing some anchors needs, read a page of anchors at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from entrasync.state.plan_rows import any_row
from entrasync.state.schema import MEMBER, Kind

PAGE: Final = 1000
"""Anchors compared at a time."""
_GROUP: Final = int(Kind.GROUP)


class ContributorRow(NamedTuple):
    """An object of a source that belongs to an anchor."""

    anchor: int
    object: int
    kind: int
    withheld: str | None
    gives_anchor: int
    rank: int | None
    domain: str
    parent: int | None
    dn: str
    attributes: str
    guid: bytes


class ReferenceRow(NamedTuple):
    """Another object that an object names; `settled` when the cloud holds it or will."""

    owner: int
    attribute: str
    guid: bytes
    anchor: str | None
    settled: int


class CloudRow(NamedTuple):
    """What the tenant holds under an anchor."""

    anchor: int
    properties: str
    cloud_managed: int


@dataclass(slots=True, kw_only=True)
class AnchorPage:
    """Everything that comparing some anchors needs, rows by number.

    Attributes:
        anchors: in order.
        contributors: by anchor, in order of their sources.
        references: by object.
        cloud: by anchor.
        sizes: members of groups as their sources have them, by anchor.
        claims: values claimed so far and the property of each, by anchor.
    """

    anchors: list[int]
    contributors: dict[int, list[ContributorRow]]
    references: dict[int, list[ReferenceRow]]
    cloud: dict[int, CloudRow]
    sizes: dict[int, int]
    claims: dict[int, dict[int, int]]


_Bounds = tuple[int, int]
"""The first and the last anchor of a page that holds all there are between them."""
_LISTED: Final = {
    "parts": "temp.anchor_page x CROSS JOIN parts p ON p.anchor = x.anchor",
    "within": "true",
}
_BETWEEN: Final = {"parts": "parts p", "within": "p.anchor BETWEEN ? AND ?"}
_CONTRIBUTORS: Final = (
    "SELECT p.anchor, p.object, p.kind, p.withheld, p.computed IS p.anchor, s.rank, s.domain,"
    " o.parent, o.dn, o.attributes, g.guid FROM {parts}"
    " CROSS JOIN source_objects o ON o.id = p.object"
    " CROSS JOIN guids g ON g.id = p.object CROSS JOIN sources s ON s.id = o.source"
    " WHERE {within} ORDER BY p.anchor"
)
_REFERENCES: Final = (
    "SELECT r.owner, r.attribute, g.guid, a.anchor, t.withheld IS NULL AND ("  # noqa: S608  - a query of ours
    " t.kind NOT IN {kept} AND t.anchor NOT IN (SELECT anchor FROM conflicts)"
    " AND t.anchor NOT IN (SELECT anchor FROM temp.resting)"
    " OR EXISTS (SELECT 1 FROM cloud_objects c WHERE c.anchor = t.anchor)) FROM {parts}"
    f" CROSS JOIN source_references r ON r.owner = p.object AND r.attribute > {MEMBER}"
    " CROSS JOIN guids g ON g.id = r.target"
    " LEFT JOIN parts t ON t.object = r.target LEFT JOIN anchors a ON a.id = t.anchor"
    " WHERE {within}"
)
_CLOUD: Final = (
    "SELECT c.anchor, c.properties, c.cloud_managed FROM {parts}"
    " CROSS JOIN cloud_objects c ON c.anchor = p.anchor WHERE {within}"
)
_SIZES: Final = (
    "SELECT p.anchor, COUNT(*) FROM {parts} CROSS JOIN source_references r"  # noqa: S608  - as above
    f" ON r.owner = p.object AND r.attribute = {MEMBER}"
    f" WHERE p.kind = {_GROUP} AND {{within}} GROUP BY p.anchor"
)


class AnchorPages:
    """Reads what belongs to anchors.

    Works within the transaction of one evaluation, with temporary tables of `ComparisonSpace`.

    Args:
        connection: to the state.
        kept: numbers of the kinds that are not synced, as a list in SQL.
    """

    def __init__(self, connection: sqlite3.Connection, kept: str) -> None:
        self._connection = connection
        self._kept = kept
        self._names: dict[int, str] = dict(
            connection.execute("SELECT id, name FROM reference_attributes")
        )
        self._any_cloud = True

    def all(self) -> Iterator[AnchorPage]:
        """All anchors of parts."""
        self._any_cloud = any_row(self._connection, "cloud_objects")
        last = -1
        while True:
            # what lies between two anchors is a page: its anchors need not be listed before
            (upto,) = self._connection.execute(
                "SELECT MAX(anchor) FROM (SELECT anchor FROM parts WHERE anchor > ?"
                " ORDER BY anchor LIMIT ?)",
                (last, PAGE),
            ).fetchone()
            if upto is None:
                return
            page = self._page((last + 1, upto))
            page.anchors = list(page.contributors)
            yield page
            last = upto

    def of_round(self) -> Iterator[AnchorPage]:
        """The anchors of this round, with what they claimed before."""
        execute = self._connection.execute
        last = -1
        while rows := execute(
            "SELECT anchor FROM temp.round WHERE anchor > ? ORDER BY anchor LIMIT ?", (last, PAGE)
        ).fetchall():
            execute("DELETE FROM temp.anchor_page")
            self._connection.executemany("INSERT INTO temp.anchor_page VALUES (?)", rows)
            page = self._page()
            page.anchors = [row[0] for row in rows]
            for anchor, value, held in execute(
                "SELECT c.anchor, c.value, c.property"
                " FROM temp.anchor_page x CROSS JOIN claims c ON c.anchor = x.anchor"
            ):
                page.claims.setdefault(anchor, {})[value] = held
            yield page
            last = rows[-1][0]

    def _page(self, bounds: _Bounds | None = None) -> AnchorPage:
        """What belongs to all anchors between two, or to those in `temp.anchor_page`."""

        def rows(query: str) -> sqlite3.Cursor:
            words = _BETWEEN if bounds else _LISTED
            return self._connection.execute(query.format(kept=self._kept, **words), bounds or ())

        page = AnchorPage(anchors=[], contributors={}, references={}, cloud={}, sizes={}, claims={})
        for row in map(ContributorRow._make, rows(_CONTRIBUTORS)):
            page.contributors.setdefault(row.anchor, []).append(row)
        for owner, attribute, guid, anchor, settled in rows(_REFERENCES):
            reference = ReferenceRow(owner, self._names[attribute], guid, anchor, settled)
            page.references.setdefault(owner, []).append(reference)
        if self._any_cloud:
            page.cloud = {row[0]: CloudRow._make(row) for row in rows(_CLOUD)}
        if any(row.kind == _GROUP for found in page.contributors.values() for row in found):
            page.sizes = dict(rows(_SIZES))
        return page
