"""The cloud space: what the tenant holds, which of it is owned, and what it was exported as."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple

from entrasync.entra.contracts import PropertyValue
from entrasync.state.cloud_read_back import FullReadBack
from entrasync.state.cloud_reading import ReadBackRules, Reading
from entrasync.state.cloud_rows import EMPTY, KEY_IDENTIFIER, comparable, identifier_of
from entrasync.state.database import Database
from entrasync.state.drift import DriftSpace
from entrasync.state.rows import decode_properties, encode_properties, from_storable

META_READ_BACK: Final = "cloud-read-back"
"""Says that the tenant was read back in full, and that nothing told otherwise since."""
META_COOKIE: Final = "cloud-cookie"
"""Where the last read-back ended."""
META_KEPT: Final = "evaluation-kept"
"""Numbers of the kinds that are not synced, joined by commas, as evaluation notes them."""

_GUID_OF_PART: Final = (
    "(SELECT guids.guid FROM parts JOIN source_objects ON source_objects.id = parts.object"
    " JOIN guids ON guids.id = parts.object JOIN sources ON sources.id = source_objects.source"
    " WHERE parts.anchor = cloud_objects.anchor AND parts.withheld IS NULL"
    " ORDER BY sources.rank IS NULL, sources.rank, parts.object LIMIT 1)"
)
"""The first source's object that a cloud object belongs to."""

_PAGE: Final = 1000
"""Objects recorded together."""


class Exported(NamedTuple):
    """An object that was created or updated; see `CloudSpace.record_set`."""

    anchor: int
    type: str
    guid: bytes | None
    properties: Mapping[str, PropertyValue]


class CloudSpace:
    """Last knowledge of the tenant.

    What is read back and differs is marked as changed; what is recorded of an export is not, unless
    the tenant remembers another object of the sources now.

    Args:
        database: the open state.

    Attributes:
        drift: of what a read-back said something else than was exported.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.connection
        self.drift = DriftSpace(database)

    # --- reading back ----------------------------------------------------------------------

    def full_read_back(self, rules: ReadBackRules) -> FullReadBack:
        """Begins a read-back of everything; see `FullReadBack`."""
        return FullReadBack(self._database, self.drift, rules)

    def delta_read_back(self, rules: ReadBackRules) -> Reading:
        """Begins a read-back of what changed; see `Reading`."""
        return Reading(self._database, self.drift, rules, changes=True)

    def claim(self, guids: Mapping[str, bytes | None]) -> None:
        """Takes for owned what an export call may have written whose results are unknown.

        All that is known of these objects is marked as changed. What the call was to delete though
        it is not owned stays so.

        Args:
            guids: by SourceAnchor the objectGUID an object most likely comes from.
        """
        with self._database.transaction():
            for anchor, guid in guids.items():
                number = self._database.anchor_number(anchor)
                self._connection.execute(
                    "UPDATE cloud_objects SET owned = 1,"  # noqa: S608  - a query of ours
                    f" guid = COALESCE(guid, {_GUID_OF_PART}, ?) WHERE anchor = ?"
                    " AND NOT EXISTS (SELECT 1 FROM plan"
                    " WHERE plan.anchor = cloud_objects.anchor AND plan.orphan)",
                    (guid, number),
                )
                self._mark_all(number)

    def _mark_all(self, number: int) -> None:
        execute = self._connection.execute
        execute("INSERT OR IGNORE INTO changed_anchors VALUES (?)", (number,))
        for table in ("cloud_links", "pending_links"):
            execute(
                "INSERT OR IGNORE INTO changed_pairs"  # noqa: S608  - tables of ours
                f" SELECT owner, member FROM {table} WHERE owner = ?",
                (number,),
            )

    def compare_again(self, number: int) -> None:
        """Has an object compared by the next run: what is known of it was put right by hand."""
        with self._database.transaction():
            self._connection.execute("INSERT OR IGNORE INTO changed_anchors VALUES (?)", (number,))

    def distrust(self) -> None:
        """Makes the next run read back everything: the tenant holds something else than thought."""
        self._database.put(META_READ_BACK, None)

    # --- what was exported -----------------------------------------------------------------

    def record_set(
        self,
        anchor: int,
        type: str,  # noqa: A002  - what the column is called
        guid: bytes | None,
        properties: Mapping[str, PropertyValue],
    ) -> None:
        """An object was created or updated: it is owned from now on, and its anchor pinned.

        Args:
            anchor: number of its anchor.
            type: its SyncObjectType.
            guid: objectGUID it comes from; `None` leaves what is known.
            properties: what was written; `None` cleared a value, and so did an empty one, which
                does not come back in a read-back.
        """
        self.record_sets((Exported(anchor, type, guid, properties),))

    def record_sets(self, objects: Iterable[Exported]) -> None:
        """Several objects were created or updated, each as `record_set` says; none comes twice."""
        rest = iter(objects)
        while page := list(islice(rest, _PAGE)):
            self._record_page(page)

    def _record_page(self, page: Sequence[Exported]) -> None:
        known = dict(self._stored_of(each.anchor for each in page))
        rows = []
        for each in page:
            text = known.get(each.anchor)
            # what stays as it is need not be understood to be written again
            merged = {} if text is None else json.loads(text)
            for key, value in each.properties.items():
                if value in EMPTY:
                    merged.pop(key, None)
                else:
                    merged[key] = comparable(value) if isinstance(value, tuple) else value
            identifier = merged.get(KEY_IDENTIFIER)
            if isinstance(identifier, dict):
                identifier = from_storable(identifier)
            rows.append(
                (
                    each.anchor,
                    each.type,
                    each.guid,
                    identifier_of({KEY_IDENTIFIER: identifier}),
                    encode_properties(merged),
                )
            )
        with self._database.transaction():
            # whom the tenant remembered before is free to be somebody else
            self._connection.executemany(
                "INSERT OR IGNORE INTO changed_anchors SELECT anchor FROM cloud_objects"
                " WHERE anchor = ? AND identifier <> ?",
                [(row[0], row[3]) for row in rows if row[0] in known],
            )
            self._connection.executemany(
                "INSERT INTO cloud_objects (anchor, type, guid, identifier, owned, properties)"
                " VALUES (?, ?, ?, ?, 1, ?) ON CONFLICT (anchor) DO UPDATE SET"
                " type = excluded.type, guid = COALESCE(excluded.guid, guid), owned = 1,"
                " identifier = excluded.identifier, properties = excluded.properties",
                rows,
            )
            self._connection.executemany(
                "INSERT OR IGNORE INTO pins VALUES (?, ?)",
                [
                    (each.guid, each.anchor)
                    for each in page
                    if each.guid is not None and each.anchor not in known
                ],
            )
            # most of these are pinned; by anchors that is found out side by side
            self._connection.executemany(
                "INSERT OR IGNORE INTO pins SELECT ?1, ?2 WHERE NOT EXISTS"
                " (SELECT 1 FROM pins WHERE anchor = ?2 AND guid = ?1)",
                [
                    (each.guid, each.anchor)
                    for each in page
                    if each.guid is not None and each.anchor in known
                ],
            )

    def record_deleted(self, anchor: int) -> None:
        """An object was deleted, and with it its links, its pin, and all that was to be done.

        The memberships of a user are remembered: when the user is restored, they are back.
        """
        with self._database.transaction():
            self._connection.execute("DELETE FROM deleted_links WHERE owner = ?", (anchor,))
            self._connection.execute(
                "INSERT OR IGNORE INTO deleted_links SELECT l.member, l.owner FROM cloud_links l"
                " JOIN cloud_objects o ON o.anchor = l.member"
                " WHERE l.member = ? AND o.type = 'User'",
                (anchor,),
            )
            self._connection.execute(
                "UPDATE cloud_objects SET links = links - 1"
                " WHERE anchor IN (SELECT owner FROM cloud_links WHERE member = ?)",
                (anchor,),
            )
            for table in ("cloud_links", "pending_links"):
                for end in ("owner", "member"):
                    self._connection.execute(f"DELETE FROM {table} WHERE {end} = ?", (anchor,))  # noqa: S608  - tables of ours
            for table in ("cloud_objects", "pins", "candidates", "pending", "failures", "drift"):
                self._connection.execute(f"DELETE FROM {table} WHERE anchor = ?", (anchor,))  # noqa: S608  - as above

    def record_links(self, owner: int, added: Iterable[int], removed: Iterable[int]) -> None:
        """Members were added to and removed from a group."""
        added, removed = list(added), list(removed)
        with self._database.transaction():
            before = self._connection.total_changes
            self._connection.executemany(
                "INSERT OR IGNORE INTO cloud_links VALUES (?, ?)",
                ((owner, member) for member in added),
            )
            between = self._connection.total_changes
            self._connection.executemany(
                "DELETE FROM cloud_links WHERE owner = ? AND member = ?",
                ((owner, member) for member in removed),
            )
            more = (between - before) - (self._connection.total_changes - between)
            if more:
                self._connection.execute(
                    "UPDATE cloud_objects SET links = links + ? WHERE anchor = ?", (more, owner)
                )
            self._settle_deleted(owner, (*added, *removed))

    def _settle_deleted(self, owner: int, members: Sequence[int]) -> None:
        """Forgets memberships of members that were deleted once: now it is known what they are."""
        execute = self._connection.execute
        if execute("SELECT 1 FROM deleted_links WHERE owner = ? LIMIT 1", (owner,)).fetchone():
            self._connection.executemany(
                "DELETE FROM deleted_links WHERE member = ? AND owner = ?",
                ((member, owner) for member in members),
            )

    def adopt_wanted(self) -> int:
        """Takes what is wanted and not owned for owned, and pins it; returns how many.

        What is left as it is stays so: withheld, in conflict, of a kind that is not synced, or the
        cloud's to manage.
        """
        with self._database.transaction():
            self._connection.execute("DROP TABLE IF EXISTS temp.adopted")
            self._connection.execute(
                f"CREATE TEMP TABLE adopted AS SELECT anchor, {_GUID_OF_PART} AS guid"  # noqa: S608  - a query of ours
                " FROM cloud_objects WHERE owned = 0 AND NOT cloud_managed"
                " AND anchor NOT IN (SELECT anchor FROM conflicts) AND EXISTS (SELECT 1 FROM parts"
                " WHERE parts.anchor = cloud_objects.anchor AND parts.withheld IS NULL"
                " AND parts.kind NOT IN (SELECT value FROM json_each(?)))",
                (f"[{self._database.get(META_KEPT) or ''}]",),
            )
            adopted = self._connection.execute(
                "UPDATE cloud_objects SET owned = 1, guid = adopted.guid FROM temp.adopted"
                " WHERE cloud_objects.anchor = adopted.anchor"
            ).rowcount
            self._connection.execute(
                "INSERT OR IGNORE INTO pins SELECT guid, anchor FROM temp.adopted"
                " WHERE guid IS NOT NULL"
            )
            self._connection.execute("DROP TABLE temp.adopted")
        return adopted

    # --- what is known ---------------------------------------------------------------------

    def holds(self, anchor: int) -> bool:
        """Whether the tenant is known to hold an object."""
        return anchor in self.held((anchor,))

    def held(self, anchors: Iterable[int]) -> set[int]:
        """Which of some objects the tenant is known to hold."""
        rows = self._connection.execute(
            "SELECT anchor FROM cloud_objects WHERE anchor IN (SELECT value FROM json_each(?))",
            (json.dumps(list(anchors)),),
        )
        return {anchor for (anchor,) in rows}

    def properties(self, anchor: int) -> dict[str, PropertyValue] | None:
        """Properties of an object; `None` when the tenant is not known to hold it."""
        return self.properties_of((anchor,)).get(anchor)

    def properties_of(self, anchors: Iterable[int]) -> dict[int, dict[str, PropertyValue]]:
        """Properties of some objects, of those that the tenant is known to hold."""
        return {anchor: decode_properties(text) for anchor, text in self._stored_of(anchors)}

    def _stored_of(self, anchors: Iterable[int]) -> Iterator[tuple[int, str]]:
        return self._connection.execute(
            "SELECT anchor, properties FROM cloud_objects"
            " WHERE anchor IN (SELECT value FROM json_each(?))",
            (json.dumps(list(anchors)),),
        )

    def members(self, owner: int) -> set[int]:
        """Numbers of the members of a group."""
        rows = self._connection.execute("SELECT member FROM cloud_links WHERE owner = ?", (owner,))
        return {member for (member,) in rows}

    def owned_counts(self) -> dict[str, int]:
        """Owned objects by type, and under `links` the links of owned groups."""
        counts: dict[str, int] = {}
        links = 0
        for kind, count, linked in self._connection.execute(
            "SELECT type, COUNT(*), SUM(links) FROM cloud_objects WHERE owned = 1 GROUP BY type"
        ):
            counts[kind] = count
            links += linked
        return counts | {"links": links}

    def orphan_counts(self) -> dict[str, int]:
        """Synced objects by type that are neither ours nor wanted by this sync."""
        return dict(
            self._connection.execute(
                "SELECT type, COUNT(*) FROM cloud_objects WHERE owned = 0 AND NOT cloud_managed"
                " AND NOT EXISTS (SELECT 1 FROM parts WHERE parts.anchor = cloud_objects.anchor)"
                " GROUP BY type"
            )
        )

    # --- drift -----------------------------------------------------------------------------

    def drifted(self, anchor: int) -> Mapping[str, int]:
        """By key of an object that is not as it was exported: how often it did not stay so."""
        return self.drift.of(anchor)

    def drift_counts(self) -> dict[str, int]:
        """`objects` with properties that drifted, `links` that did, objects `not_accepted`."""
        return self.drift.counts()

    def not_accepted(self) -> dict[tuple[int, str], int]:
        """Anchors and keys that two repairs did not bring back, and how often they differed."""
        return self.drift.not_accepted()
