"""The source space: what the directories of the sync hold, all of them together."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from entrasync.directory.model import SourceEntry
from entrasync.state.database import Database
from entrasync.state.rows import guid_bytes, guid_text
from entrasync.state.schema import MEMBER, Kind
from entrasync.state.source_references import make_tables
from entrasync.state.source_writes import Describe, FullRead, Merge

__all__ = ["FullRead", "KnownObject", "SourceSpace"]


@dataclass(slots=True, frozen=True, kw_only=True)
class KnownObject:
    """Where an object of a source lies, and what it is.

    Attributes:
        guid: objectGUID.
        source: number of the source it belongs to.
        dn: DN as last told; stale below a renamed container.
        parent_guid: objectGUID of its container, `None` at the root.
        kind: what it is.
    """

    guid: str
    source: int
    dn: str
    parent_guid: str | None
    kind: Kind


class SourceSpace:
    """What is known of the sources, and what of it changed since it was last evaluated.

    An object belongs to the source that told of it last: one that moves to another domain keeps its
    objectGUID, and with it all links.

    Args:
        database: the open state.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.connection
        make_tables(database.connection)

    # --- sources ---------------------------------------------------------------------------

    def open_sources(self, names: Sequence[str]) -> Mapping[str, int]:
        """Numbers of the sources of a sync, in order of precedence; those of others lose theirs.

        The objects of a source whose place changed are marked, since joins go by precedence.
        """
        execute = self._connection.execute
        with self._database.transaction():
            known = {name: (number, rank) for number, name, rank in self._sources()}
            for name, (number, rank) in known.items():
                if name not in names and rank is not None:
                    execute("UPDATE sources SET rank = NULL WHERE id = ?", (number,))
            for rank, name in enumerate(names):
                if name not in known:
                    execute("INSERT INTO sources (name, rank) VALUES (?, ?)", (name, rank))
                elif known[name][1] != rank:
                    number = known[name][0]
                    execute("UPDATE sources SET rank = ? WHERE id = ?", (rank, number))
                    self._mark_source(number)
            numbers = {name: number for number, name, _ in self._sources()}
        return {name: numbers[name] for name in names}

    def set_domain(self, source: int, domain: str) -> None:
        """Remembers the DNS name of a source's domain; marks its objects when it is another."""
        execute = self._connection.execute
        with self._database.transaction():
            (before,) = execute("SELECT domain FROM sources WHERE id = ?", (source,)).fetchone()
            if before != domain:
                execute("UPDATE sources SET domain = ? WHERE id = ?", (domain, source))
                self._mark_source(source)

    def names(self) -> list[str]:
        """Names of all sources there ever were."""
        return [name for _, name, _ in self._sources()]

    def _sources(self) -> list[tuple[int, str, int | None]]:
        return self._connection.execute("SELECT id, name, rank FROM sources").fetchall()

    def _mark_source(self, source: int) -> None:
        self._connection.execute(
            "INSERT OR IGNORE INTO changed_objects SELECT id FROM source_objects WHERE source = ?",
            (source,),
        )

    # --- what is told ----------------------------------------------------------------------

    @contextmanager
    def full_read(self, source: int) -> Iterator[FullRead]:
        """One transaction that brings a source up to a full read of it.

        Only what differs is written and marked; what was not seen by its end is forgotten. When it
        fails midway the old knowledge stays. Whatever else is written meanwhile is part of it.

        Args:
            source: number of the source.
        """
        with self._database.transaction():
            reading = FullRead(self._database, source)
            yield reading
            reading.finish()

    def merge(
        self,
        source: int,
        entries: Iterable[SourceEntry],
        facts: Mapping[str, str],
        *,
        describe: Describe,
    ) -> int:
        """Merges changes, and remembers facts (the cookie) with them; gives the number of entries.

        Deleted objects are forgotten, and with them their links. What lies below a container that
        was renamed, moved or removed is marked.

        Args:
            source: number of the source.
            entries: what changed; of an object that the source did not have, all there is.
            facts: remembered in the same transaction.
            describe: what an object is, by its attributes.
        """
        count = 0
        with self._database.transaction():
            merge = Merge(self._database, source, describe)
            for entry in entries:
                count += 1
                merge.take(entry)
            merge.finish()
            for key, value in facts.items():
                self._database.put(key, value)
        return count

    # --- what is known ---------------------------------------------------------------------

    def find(self, guid: str) -> KnownObject | None:
        """An object of any source."""
        row = self._connection.execute(
            "SELECT o.source, o.dn, o.kind, p.guid FROM guids g"
            " JOIN source_objects o ON o.id = g.id LEFT JOIN guids p ON p.id = o.parent"
            " WHERE g.guid = ?",
            (guid_bytes(guid),),
        ).fetchone()
        if row is None:
            return None
        source, dn, kind, parent = row
        return KnownObject(
            guid=guid,
            source=source,
            dn=dn,
            parent_guid=None if parent is None else guid_text(parent),
            kind=Kind(kind),
        )

    def groups_of(self, source: int, member: str) -> frozenset[str]:
        """ObjectGUIDs of the known groups of a source that hold a member."""
        rows = self._connection.execute(
            "SELECT o.guid FROM guids m JOIN source_references r"
            " ON r.target = m.id AND r.attribute = ? JOIN source_objects s"
            " ON s.id = r.owner AND s.source = ? JOIN guids o ON o.id = r.owner WHERE m.guid = ?",
            (MEMBER, source, guid_bytes(member)),
        )
        return frozenset(guid_text(guid) for (guid,) in rows)

    def naming(self, source: int, target: str) -> frozenset[str]:
        """ObjectGUIDs of known objects of a source that name another, as manager for example."""
        rows = self._connection.execute(
            "SELECT o.guid FROM guids t JOIN source_references r"
            " ON r.target = t.id AND r.attribute != ? JOIN source_objects s"
            " ON s.id = r.owner AND s.source = ? JOIN guids o ON o.id = r.owner WHERE t.guid = ?",
            (MEMBER, source, guid_bytes(target)),
        )
        return frozenset(guid_text(guid) for (guid,) in rows)

    def unknown_within(self, groups: Iterable[str]) -> list[str]:
        """ObjectGUIDs of members of groups, at any depth, of which nothing else is known."""
        numbers = [self._database.guid_number(guid_bytes(group)) for group in groups]
        rows = self._connection.execute(
            "WITH RECURSIVE reached (id) AS ("
            " SELECT value FROM json_each(?)"
            " UNION SELECT r.target FROM reached JOIN source_references r"
            " ON r.owner = reached.id AND r.attribute = ?)"
            " SELECT guid FROM reached JOIN guids USING (id)"
            " WHERE NOT EXISTS (SELECT 1 FROM source_objects o WHERE o.id = reached.id)",
            (json.dumps(numbers), MEMBER),
        )
        return [guid_text(guid) for (guid,) in rows]
