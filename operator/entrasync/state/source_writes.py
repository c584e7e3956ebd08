"""Brings the source space up to what a directory tells, and marks exactly what differs.

What is told is put into temporary tables first, and compared and written by set operations: links
come by the million.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from entrasync.directory.model import SourceEntry
from entrasync.state.database import Database
from entrasync.state.rows import decode_attributes, encode_attributes, guid_bytes
from entrasync.state.schema import MEMBER, Kind
from entrasync.state.source_references import Principals, References, empty_tables

Attributes = Mapping[str, tuple[bytes, ...]]
Describe = Callable[[Attributes], tuple[Kind, bytes | None]]
"""What an object is, and its objectSid, by its attributes."""

_BATCH_ENTRIES: Final = 1000
_BATCH_LINKS: Final = 50_000

_NEW_GUID: Final = "INSERT OR IGNORE INTO guids (guid) VALUES (?)"
_TOLD_OBJECT: Final = """
    INSERT INTO told_objects VALUES (?, (SELECT id FROM guids WHERE guid = ?),
        (SELECT id FROM guids WHERE guid = ?), ?, ?, ?, ?)"""
_OTHER_SIDS: Final = """
    SELECT t.id, o.sid, t.sid FROM told_objects t CROSS JOIN source_objects o ON o.id = t.id
    WHERE o.sid IS NOT t.sid"""
_WRITE_TOLD: Final = """
    INSERT INTO source_objects (id, source, parent, kind, dn, sid, attributes, seen)
    SELECT id, :source, parent, kind, dn, sid, attributes, :number FROM told_objects WHERE true
    ON CONFLICT (id) DO UPDATE SET source = excluded.source, parent = excluded.parent,
        kind = excluded.kind, dn = excluded.dn, sid = excluded.sid,
        attributes = excluded.attributes, seen = excluded.seen
    WHERE source <> excluded.source OR parent IS NOT excluded.parent OR kind <> excluded.kind
        OR dn <> excluded.dn OR sid IS NOT excluded.sid OR attributes <> excluded.attributes
    RETURNING id"""
_WRITE_ONE: Final = """
    INSERT INTO source_objects (source, parent, kind, dn, sid, attributes, id, seen)
    VALUES (?, ?, ?, ?, ?, ?, ?, 0)
    ON CONFLICT (id) DO UPDATE SET source = excluded.source, parent = excluded.parent,
        kind = excluded.kind, dn = excluded.dn, sid = excluded.sid,
        attributes = excluded.attributes"""
_MARK_OBJECT: Final = "INSERT OR IGNORE INTO changed_objects VALUES (?)"
_MARK_BELOW: Final = """
    WITH RECURSIVE below (id) AS (
        SELECT value FROM json_each(?)
        UNION SELECT o.id FROM below CROSS JOIN source_objects o ON o.parent = below.id)
    INSERT OR IGNORE INTO changed_objects SELECT id FROM below"""


class FullRead:
    """Takes the entries of a full read of one source; see `SourceSpace.full_read`."""

    def __init__(self, database: Database, source: int) -> None:
        self._connection = database.connection
        self._source = source
        self._references = References(database)
        self._principals = Principals(database)
        self._waiting: dict[str, tuple[SourceEntry, Kind, bytes | None]] = {}
        self._links = 0
        execute = self._connection.execute
        execute("DELETE FROM seen_objects")
        (self._number,) = execute(
            "SELECT COALESCE(MAX(seen), 0) + 1 FROM source_objects WHERE source = ?", (source,)
        ).fetchone()
        self._indexes = self._drop_indexes()

    def take(self, entry: SourceEntry, kind: Kind, sid: bytes | None) -> None:
        """Takes up one entry, whole.

        Args:
            entry: as it was read.
            kind: what it is.
            sid: its objectSid.
        """
        self._waiting[entry.guid] = (entry, kind, sid)
        self._links += len(entry.members or ())
        if len(self._waiting) >= _BATCH_ENTRIES or self._links >= _BATCH_LINKS:
            self._write()

    def finish(self) -> None:
        """Writes the rest, and forgets what was not seen."""
        self._write()
        for statement in self._indexes:
            self._connection.execute(statement)
        self._forget_unseen()
        self._principals.write()
        empty_tables(self._connection)

    def _drop_indexes(self) -> list[str]:
        """Indexes are made at the end of a first fill, which is much faster; gives how."""
        execute = self._connection.execute
        if execute("SELECT 1 FROM source_objects LIMIT 1").fetchone():
            return []
        found = execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
            " AND tbl_name IN ('source_objects', 'source_references')"
        ).fetchall()
        for name, _ in found:
            execute(f"DROP INDEX {name}")
        return [sql for _, sql in found]

    def _write(self) -> None:
        if not self._waiting:
            return
        numbers = self._tell_objects()
        for number, before, now in self._connection.execute(_OTHER_SIDS).fetchall():
            self._principals.stand_for_others(number, before, now)
        changed = self._connection.execute(
            _WRITE_TOLD, {"source": self._source, "number": self._number}
        ).fetchall()
        self._connection.executemany(_MARK_OBJECT, changed)
        self._connection.execute("INSERT OR IGNORE INTO seen_objects SELECT id FROM told_objects")
        entries = [entry for entry, _, _ in self._waiting.values()]
        self._references.tell(
            (number, attribute, guids)
            for number, entry in zip(numbers, entries, strict=True)
            for attribute, guids in self._named_by(entry)
        )
        self._references.keep_only_told()
        self._waiting.clear()
        self._links = 0

    def _tell_objects(self) -> list[int]:
        """Takes up the entries that wait; gives their numbers."""
        names: set[bytes] = set()
        rows = []
        for place, (entry, kind, sid) in enumerate(self._waiting.values()):
            self._principals.tell(entry)
            guid = guid_bytes(entry.guid)
            parent = None if entry.parent_guid is None else guid_bytes(entry.parent_guid)
            names.add(guid)
            if parent is not None:
                names.add(parent)
            rows.append((place, guid, parent, kind, entry.dn, sid, _encode(entry.attributes)))
        self._connection.executemany(_NEW_GUID, [(name,) for name in sorted(names)])
        self._connection.execute("DELETE FROM told_objects")
        self._connection.executemany(_TOLD_OBJECT, rows)
        numbers = self._connection.execute("SELECT id FROM told_objects ORDER BY place")
        return [number for (number,) in numbers]

    def _named_by(self, entry: SourceEntry) -> Iterable[tuple[int, Sequence[str]]]:
        if entry.members:
            yield MEMBER, entry.members
        for name, values in entry.attributes.items():
            attribute = self._references.number_of(name)
            if attribute is not None:
                yield attribute, [value.decode() for value in values]

    def _forget_unseen(self) -> None:
        execute = self._connection.execute
        execute("DELETE FROM lost_objects")
        lost = execute(
            "INSERT INTO lost_objects SELECT id FROM source_objects o WHERE source = ?"
            " AND NOT EXISTS (SELECT 1 FROM seen_objects s WHERE s.id = o.id)",
            (self._source,),
        ).rowcount
        if lost:
            # who names them goes on doing so: that is how the members out of scope are kept
            self._references.lose_of_lost()
            execute("INSERT OR IGNORE INTO changed_objects SELECT id FROM lost_objects")
            execute("DELETE FROM source_objects WHERE id IN (SELECT id FROM lost_objects)")


class Merge:
    """Merges changes of one source into what is known; see `SourceSpace.merge`."""

    def __init__(self, database: Database, source: int, describe: Describe) -> None:
        self._database = database
        self._connection = database.connection
        self._source = source
        self._describe = describe
        self._references = References(database)
        self._principals = Principals(database)
        self._moved: list[int] = []

    def take(self, entry: SourceEntry) -> None:
        """Takes up what changed of one object."""
        if entry.deleted:
            self._forget(entry.guid)
            return
        self._principals.tell(entry)
        number = self._database.guid_number(guid_bytes(entry.guid))
        self._write(number, entry)
        for name, values in entry.attributes.items():
            attribute = self._references.number_of(name)
            if attribute is not None:
                self._keep_only(number, attribute, [value.decode() for value in values])
        if entry.members is not None:
            self._keep_only(number, MEMBER, entry.members)
        if entry.members_added:
            self._tell(number, MEMBER, entry.members_added)
            self._references.add_told()
        if entry.members_removed:
            self._tell(number, MEMBER, entry.members_removed)
            self._references.remove_told()

    def finish(self) -> None:
        """Marks what lies below everything that was renamed, moved or removed."""
        self._principals.write()
        if self._moved:
            self._connection.execute(_MARK_BELOW, (json.dumps(self._moved),))

    def _write(self, number: int, entry: SourceEntry) -> None:
        known = self._known(number)
        attributes: dict[str, tuple[bytes, ...]] = {}
        parent: int | None = None
        if known is not None and known[0] == self._source:
            parent, attributes = known[1], decode_attributes(known[5])
        elif known is not None:
            if not entry.attributes and entry.parent_guid is None:
                return  # it stays where it is: what is told is only who is in it
            self._references.lose_of(number)  # what it refers to was told by another directory
        for name, values in entry.attributes.items():
            if values:
                attributes[name] = values
            else:
                attributes.pop(name, None)
        if entry.parent_guid is not None:
            parent = self._database.guid_number(guid_bytes(entry.parent_guid))
        kind, sid = self._describe(attributes)
        row = (self._source, parent, int(kind), entry.dn, sid, _encode(attributes))
        if row == known:
            return
        self._connection.execute(_WRITE_ONE, (*row, number))
        self._connection.execute(_MARK_OBJECT, (number,))
        if known is not None and known[4] != sid:
            self._principals.stand_for_others(number, known[4], sid)
        if known is None or (known[1], known[3]) != (parent, entry.dn):
            self._moved.append(number)

    def _known(self, number: int) -> tuple[int, int | None, int, str, bytes | None, str] | None:
        found: tuple[int, int | None, int, str, bytes | None, str] | None
        found = self._connection.execute(
            "SELECT source, parent, kind, dn, sid, attributes FROM source_objects WHERE id = ?",
            (number,),
        ).fetchone()
        return found

    def _forget(self, guid: str) -> None:
        row = self._connection.execute(
            "SELECT g.id, o.source FROM guids g LEFT JOIN source_objects o USING (id)"
            " WHERE guid = ?",
            (guid_bytes(guid),),
        ).fetchone()
        if row is None:
            return
        number, source = row
        if source not in (None, self._source):
            return  # it moved to another domain, and only left this one
        self._references.lose_of(number)
        self._references.lose_memberships(number)
        if source is not None:
            self._connection.execute("DELETE FROM source_objects WHERE id = ?", (number,))
            self._moved.append(number)

    def _keep_only(self, owner: int, attribute: int, guids: Sequence[str]) -> None:
        self._tell(owner, attribute, guids)
        self._references.keep_only_told_of(owner, attribute)

    def _tell(self, owner: int, attribute: int, guids: Sequence[str]) -> None:
        self._references.tell([(owner, attribute, guids)])


def _encode(attributes: Attributes) -> str:
    return encode_attributes({name: values for name, values in attributes.items() if values})
