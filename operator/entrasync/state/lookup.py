"""Looking one object up in the state, for people: reads only, and keeps nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from entrasync.state.database import Database
from entrasync.state.lookup_rows import (
    CloudRow,
    DriftRow,
    FailureRow,
    LinkCounts,
    PartRow,
    PendingRow,
    PlannedRow,
    SourceRow,
)
from entrasync.state.rows import (
    decode_attributes,
    decode_properties,
    from_storable,
    guid_bytes,
    guid_text,
)
from entrasync.state.schema import Kind, Part

MOST_FOUND: Final = 10
"""Objects that one search gives at most."""
MOST_DRIFT: Final = 100
"""Values and links that somebody else changed, told of one object at most."""
_MEMBER_KEY: Final = "member:"
_SOURCE_COLUMNS: Final = (
    "SELECT o.id, g.guid, s.name, s.rank, o.kind, o.dn, o.attributes, p.kind, p.rule, c.anchor,"
    " p.anchor, p.withheld, p.message"
    " FROM source_objects o JOIN guids g ON g.id = o.id JOIN sources s ON s.id = o.source"
    " LEFT JOIN parts p ON p.object = o.id LEFT JOIN anchors c ON c.id = p.computed"
)


class Lookup:
    """Reads what the state knows of one object.

    Args:
        database: the open state.
    """

    def __init__(self, database: Database) -> None:
        self._connection = database.connection

    # --- finding ---------------------------------------------------------------------------

    def anchor_number(self, anchor: str) -> int | None:
        """The number of an anchor that anything is known of."""
        return self._number("SELECT id FROM anchors WHERE anchor = ?", anchor)

    def anchor_name(self, number: int) -> str:
        """The inverse of `anchor_number`."""
        row = self._connection.execute(
            "SELECT anchor FROM anchors WHERE id = ?", (number,)
        ).fetchone()
        return "" if row is None else str(row[0])

    def pinned(self, guid: str) -> int | None:
        """The anchor that a source object was exported under."""
        return self._number("SELECT anchor FROM pins WHERE guid = ?", guid_bytes(guid))

    def source_by_guid(self, guid: str) -> SourceRow | None:
        """One source object by its objectGUID."""
        return next(self._sources("WHERE g.guid = ?", guid_bytes(guid)), None)

    def sources_of(self, anchor: int) -> list[SourceRow]:
        """The source objects that a cloud object is made of, in order of precedence."""
        order = "WHERE p.anchor = ? ORDER BY s.rank IS NULL, s.rank, o.id"
        return list(self._sources(order, anchor))

    def sources_named(self, name: str) -> Iterator[SourceRow]:
        """Source objects whose DN begins with a component, letter case aside; looks at all."""
        wanted = name.casefold()
        for row in self._sources("WHERE o.dn LIKE ? ESCAPE '\\'", f"{_pattern(name)}%"):
            if row.dn.casefold().startswith(wanted):
                yield row

    def sources_with(self, attributes: Iterable[str], value: str) -> list[SourceRow]:
        """Source objects of which an attribute has a value, letter case aside; looks at all."""
        names = tuple(attributes)
        wanted = value.casefold().encode()
        found = []
        for row in self._sources("WHERE o.attributes LIKE ? ESCAPE '\\'", _holding(value)):
            values = (each for name in names for each in row.attributes.get(name, ()))
            if any(each.lower() == wanted or _folded(each) == wanted for each in values):
                found.append(row)
                if len(found) == MOST_FOUND:
                    break
        return found

    def anchors_with(self, properties: Iterable[str], value: str) -> list[int]:
        """Cloud objects of which a property has a value, letter case aside; looks at all."""
        names = tuple(properties)
        wanted = value.casefold()
        found = []
        for anchor, text in self._connection.execute(
            "SELECT anchor, properties FROM cloud_objects WHERE properties LIKE ? ESCAPE '\\'",
            (_holding(value),),
        ):
            held = decode_properties(text)
            if any(isinstance(v := held.get(n), str) and v.casefold() == wanted for n in names):
                found.append(int(anchor))
                if len(found) == MOST_FOUND:
                    break
        return found

    def containers(self, number: int) -> list[str]:
        """DNs of a source object and its containers as last told, nearest first."""
        rows = self._connection.execute(
            "WITH RECURSIVE path (id, parent, dn, depth) AS ("
            " SELECT id, parent, dn, 0 FROM source_objects WHERE id = ?"
            " UNION SELECT o.id, o.parent, o.dn, path.depth + 1"
            " FROM source_objects o JOIN path ON o.id = path.parent WHERE path.depth < 256)"
            " SELECT dn FROM path ORDER BY depth",
            (number,),
        )
        return [str(dn) for (dn,) in rows]

    # --- what is known ---------------------------------------------------------------------

    def cloud(self, anchor: int) -> CloudRow | None:
        """The cloud object of an anchor."""
        row = self._connection.execute(
            "SELECT type, cloud_anchor, guid, owned, cloud_managed, links, properties"
            " FROM cloud_objects WHERE anchor = ?",
            (anchor,),
        ).fetchone()
        if row is None:
            return None
        return CloudRow(
            type=row[0],
            cloud_anchor=row[1],
            guid=None if row[2] is None else guid_text(row[2]),
            owned=bool(row[3]),
            cloud_managed=bool(row[4]),
            links=int(row[5]),
            properties=decode_properties(row[6]),
        )

    def pending(self, anchor: int) -> list[PendingRow]:
        """What must change of an object, links left out."""
        rows = self._connection.execute(
            "SELECT part, action, properties, why FROM pending WHERE anchor = ? ORDER BY part",
            (anchor,),
        )
        return [
            PendingRow(
                part=Part(part),
                action=action,
                properties=decode_properties(properties),
                why={str(key): str(text) for key, text in json.loads(why).items()},
            )
            for part, action, properties, why in rows
        ]

    def planned(self, anchor: int) -> list[PlannedRow]:
        """What the last plan had of an object; what is let go of for a moment left out."""
        rows = self._connection.execute(
            "SELECT part, action, outcome, braked, held FROM plan"
            " WHERE anchor = ? AND temporary IS NULL ORDER BY position",
            (anchor,),
        )
        return [
            PlannedRow(part=Part(row[0]), action=row[1], outcome=row[2], braked=row[3], held=row[4])
            for row in rows
        ]

    def pending_links(self, anchor: int) -> LinkCounts:
        """How many links must change."""
        execute = self._connection.execute
        count = "SELECT COALESCE(SUM(adds), 0), COUNT(*) FROM pending_links WHERE"
        adds, owned = execute(f"{count} owner = ?", (anchor,)).fetchone()
        joins, held = execute(f"{count} member = ?", (anchor,)).fetchone()
        return LinkCounts(adds=adds, removes=owned - adds, joins=joins, leaves=held - joins)

    def failures(self, anchor: int) -> list[FailureRow]:
        """What the service refused."""
        rows = self._connection.execute(
            "SELECT part, code, message, attempts, first_time, next_try FROM failures"
            " WHERE anchor = ? ORDER BY part",
            (anchor,),
        )
        return [
            FailureRow(
                part=Part(row[0]),
                code=row[1],
                message=row[2],
                attempts=row[3],
                first_time=row[4],
                next_try=row[5],
            )
            for row in rows
        ]

    def conflict(self, anchor: int) -> tuple[str, str] | None:
        """Code and message of what is in the way of an object."""
        row = self._connection.execute(
            "SELECT code, message FROM conflicts WHERE anchor = ?", (anchor,)
        ).fetchone()
        return None if row is None else (str(row[0]), str(row[1]))

    def is_candidate(self, anchor: int) -> tuple[bool, str | None]:
        """Whether an object is wanted no longer, and what evidence there is of why."""
        row = self._connection.execute(
            "SELECT evidence FROM candidates WHERE anchor = ?", (anchor,)
        ).fetchone()
        return (False, None) if row is None else (True, row[0])

    def drift(self, anchor: int) -> list[DriftRow]:
        """What somebody else changed of an object: the first of it, links last."""
        rows = self._connection.execute(
            "SELECT key, told, exported, times FROM drift WHERE anchor = ?"
            " ORDER BY key LIKE ?, key LIMIT ?",
            (anchor, f"{_MEMBER_KEY}%", MOST_DRIFT),
        ).fetchall()
        return [
            DriftRow(
                key=key,
                member=(
                    self.anchor_name(int(key.removeprefix(_MEMBER_KEY)))
                    if key.startswith(_MEMBER_KEY)
                    else None
                ),
                told=from_storable(json.loads(told)),
                exported=from_storable(json.loads(exported)),
                times=times,
            )
            for key, told, exported, times in rows
        ]

    def drift_count(self, anchor: int) -> int:
        """How many values and links somebody else changed of an object."""
        return self._number("SELECT COUNT(*) FROM drift WHERE anchor = ?", anchor) or 0

    def _number(self, query: str, value: str | bytes | int) -> int | None:
        row = self._connection.execute(query, (value,)).fetchone()
        return None if row is None else int(row[0])

    def _sources(self, condition: str, value: object) -> Iterator[SourceRow]:
        rows = self._connection.execute(f"{_SOURCE_COLUMNS} {condition}", (value,))
        return (_source_row(row) for row in rows)


def _source_row(row: tuple[Any, ...]) -> SourceRow:
    number, guid, source, rank, kind, dn, attributes, part_kind, *part = row
    return SourceRow(
        number=number,
        guid=guid_text(guid),
        source=source,
        named=rank is not None,
        kind=Kind(kind),
        dn=dn,
        attributes=decode_attributes(attributes),
        part=(
            None
            if part_kind is None
            else PartRow(
                kind=Kind(part_kind),
                rule=part[0],
                computed=part[1],
                anchor=part[2],
                withheld=part[3],
                message=part[4],
            )
        ),
    )


def _folded(value: bytes) -> bytes:
    try:
        return value.decode().casefold().encode()
    except UnicodeDecodeError:
        return value


def _holding(value: str) -> str:
    """Pattern of JSON that holds a text; what it finds is compared exactly afterwards."""
    return f"%{_pattern(json.dumps(value, ensure_ascii=False)[1:-1])}%"


def _pattern(text: str) -> str:
    """A text for LIKE; letters beyond ASCII match any, because LIKE tells their case apart."""
    escaped = text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return "".join(letter if letter.isascii() else "_" for letter in escaped)
