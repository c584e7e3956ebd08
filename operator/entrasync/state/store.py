"""The state of one sync: both connector spaces, pins, checkpoints, in one SQLite file.

One process at a time: an exclusive lock is held while a store is open. Every public method that
writes is one durable transaction, so a run killed at any step leaves a whole state behind.
"""

from __future__ import annotations

import base64
import datetime as dt
import fcntl
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from entrasync.directory.model import SourceEntry
from entrasync.entra.contracts import PropertyValue
from entrasync.errors import ConfigurationError, TransientError
from entrasync.state.rows import CloudRow, SourceRow, decode_properties, encode_properties
from entrasync.state.schema import MIGRATIONS, VERSION

FILE_NAME: Final = "entrasync.db"
LOCK_NAME: Final = "entrasync.lock"
KEPT_RESULTS: Final = 50

META_TENANT: Final = "tenant"
META_PENDING: Final = "pending-batch"
META_PACING: Final = "write-quota"
"""What was written to the tenant within the last minutes."""
META_BATCH_SIZE: Final = "batch-size"
"""Objects a request had in the end."""


class Store:
    """The open state; a context manager.

    Args:
        folder: where its files lie; made when missing.

    Raises:
        TransientError: another run holds the state.
        ConfigurationError: the file is of a newer entrasync, or no state at all.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(folder / LOCK_NAME)
        try:
            self._database = _open(folder / FILE_NAME)
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file and lets the next run in."""
        self._database.close()
        self._lock.close()

    # --- facts -----------------------------------------------------------------------------

    def get(self, key: str) -> str | None:
        """One remembered fact."""
        row = self._database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, key: str, value: str | None) -> None:
        """Remembers a fact, or with `None` forgets it."""
        with self._transaction():
            self._put(key, value)

    def bind(self, tenant: str) -> None:
        """Ties this state to a tenant at first use.

        Raises:
            ConfigurationError: it is tied to another one.
        """
        known = self.get(META_TENANT)
        if known is None:
            self.put(META_TENANT, tenant)
        elif known != tenant:
            raise ConfigurationError(
                "StateVolumeUnsuitable",
                f"the state volume belongs to tenant {known}; give this sync a volume of its own",
                field="spec.runner.storage",
            )

    # --- source space ----------------------------------------------------------------------

    def replace_source(self, entries: Iterable[SourceEntry], facts: Mapping[str, str]) -> int:
        """Replaces the whole source space by a full read, and remembers facts with it.

        All or nothing: when reading fails midway, the old knowledge stays. Returns the number of
        entries read.
        """
        count = 0
        with self._transaction():
            self._database.execute("DELETE FROM source_links")
            self._database.execute("DELETE FROM source_objects")
            for entry in entries:
                count += 1
                self._write_source(entry.guid, entry.dn, entry.parent_guid, dict(entry.attributes))
                self._add_source_links(entry.guid, entry.members or ())
            for key, value in facts.items():
                self._put(key, value)
        return count

    def apply_source_changes(self, entries: Iterable[SourceEntry], facts: Mapping[str, str]) -> int:
        """Applies one page of changes and remembers facts (the cookie) with it."""
        count = 0
        with self._transaction():
            for entry in entries:
                count += 1
                if entry.deleted:
                    self._forget_source(entry.guid)
                else:
                    self._merge_source(entry)
            for key, value in facts.items():
                self._put(key, value)
        return count

    def load_source(self) -> dict[str, SourceRow]:
        """Every known object of the source, by objectGUID."""
        rows = self._database.execute(
            "SELECT guid, dn, parent_guid, attributes FROM source_objects"
        )
        return {
            guid: SourceRow(
                guid=guid, dn=dn, parent_guid=parent, attributes=_decode_attributes(attributes)
            )
            for guid, dn, parent, attributes in rows
        }

    def load_source_links(self) -> dict[str, frozenset[str]]:
        """ObjectGUIDs of members by objectGUID of the group."""
        return _grouped(self._database.execute("SELECT group_guid, member_guid FROM source_links"))

    def groups_of(self, member: str) -> frozenset[str]:
        """ObjectGUIDs of the known groups that hold a member."""
        rows = self._database.execute(
            "SELECT group_guid FROM source_links WHERE member_guid = ?", (member,)
        )
        return frozenset(group for (group,) in rows)

    # --- cloud space -----------------------------------------------------------------------

    def load_cloud(self) -> dict[str, CloudRow]:
        """Every known object of the tenant, by SourceAnchor."""
        members = _grouped(
            self._database.execute("SELECT group_anchor, member_anchor FROM cloud_links")
        )
        rows = self._database.execute(
            "SELECT anchor, object_type, guid, properties, owned FROM cloud_objects"
        )
        return {
            anchor: CloudRow(
                anchor=anchor,
                object_type=object_type,
                guid=guid,
                properties=decode_properties(properties),
                members=members.get(anchor, frozenset()),
                owned=bool(owned),
            )
            for anchor, object_type, guid, properties, owned in rows
        }

    def replace_cloud(self, rows: Iterable[CloudRow]) -> None:
        """Replaces the whole cloud space by what was read back."""
        with self._transaction():
            self._database.execute("DELETE FROM cloud_links")
            self._database.execute("DELETE FROM cloud_objects")
            for row in rows:
                self._write_cloud(row)
                self._database.executemany(
                    "INSERT OR IGNORE INTO cloud_links VALUES (?, ?)",
                    [(row.anchor, member) for member in row.members],
                )

    def pins(self) -> dict[str, str]:
        """Anchors fixed at first export, by objectGUID."""
        return dict(self._database.execute("SELECT guid, anchor FROM pins"))

    def owned_counts(self) -> dict[str, int]:
        """Owned objects by type, and under `links` the links of owned groups."""
        counts = dict(
            self._database.execute(
                "SELECT object_type, COUNT(*) FROM cloud_objects WHERE owned GROUP BY object_type"
            )
        )
        (links,) = self._database.execute(
            "SELECT COUNT(*) FROM cloud_links JOIN cloud_objects ON anchor = group_anchor"
            " WHERE owned"
        ).fetchone()
        return counts | {"links": links}

    # --- export checkpoints ----------------------------------------------------------------

    def record_intent(self, anchors: Iterable[str], facts: Mapping[str, str] | None = None) -> None:
        """Remembers, before an export call, which objects it may change, and facts with it."""
        with self._transaction():
            self._put(META_PENDING, json.dumps(sorted(anchors)))
            for key, value in (facts or {}).items():
                self._put(key, value)

    def pending(self) -> list[str]:
        """Anchors of an export call whose results were never recorded."""
        value = self.get(META_PENDING)
        return [] if value is None else [str(anchor) for anchor in json.loads(value)]

    @contextmanager
    def results(self) -> Iterator[ResultWriter]:
        """One transaction for the results of an export call; clears the intent.

        Whatever else is written to the store meanwhile is part of it.
        """
        with self._transaction():
            yield ResultWriter(self)
            self._put(META_PENDING, None)

    # --- brakes' window and results --------------------------------------------------------

    def spend(self, now: dt.datetime, counts: Mapping[str, int]) -> None:
        """Remembers what counts against the brakes' window."""
        with self._transaction():
            self._database.executemany(
                "INSERT INTO spent VALUES (?, ?, ?)",
                [(now.isoformat(), sort, count) for sort, count in counts.items() if count],
            )

    def spent_since(self, start: dt.datetime) -> dict[str, int]:
        """What was spent since a moment, by sort."""
        return dict(
            self._database.execute(
                "SELECT sort, SUM(count) FROM spent WHERE time >= ? GROUP BY sort",
                (start.isoformat(),),
            )
        )

    def keep_result(self, run: str, now: dt.datetime, result: str) -> None:
        """Keeps the result of a run; the oldest of more than fifty are dropped."""
        with self._transaction():
            self._database.execute(
                "INSERT OR REPLACE INTO results VALUES (?, ?, ?)", (run, now.isoformat(), result)
            )
            self._database.execute(
                "DELETE FROM results WHERE run NOT IN"
                " (SELECT run FROM results ORDER BY time DESC LIMIT ?)",
                (KEPT_RESULTS,),
            )

    # --- one row at a time, within a transaction -------------------------------------------

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """One durable transaction; within another it is part of that one."""
        if self._database.in_transaction:
            yield
            return
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _put(self, key: str, value: str | None) -> None:
        if value is None:
            self._database.execute("DELETE FROM meta WHERE key = ?", (key,))
        else:
            self._database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def _write_source(
        self, guid: str, dn: str, parent: str | None, attributes: Mapping[str, tuple[bytes, ...]]
    ) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO source_objects VALUES (?, ?, ?, ?)",
            (guid, dn, parent, _encode_attributes(attributes)),
        )

    def _add_source_links(self, group: str, members: Iterable[str]) -> None:
        self._database.executemany(
            "INSERT OR IGNORE INTO source_links VALUES (?, ?)",
            [(group, member) for member in members],
        )

    def _merge_source(self, entry: SourceEntry) -> None:
        row = self._database.execute(
            "SELECT parent_guid, attributes FROM source_objects WHERE guid = ?", (entry.guid,)
        ).fetchone()
        parent, attributes = (None, {}) if row is None else (row[0], _decode_attributes(row[1]))
        for name, values in entry.attributes.items():
            if values:
                attributes[name] = values
            else:
                attributes.pop(name, None)
        self._write_source(entry.guid, entry.dn, entry.parent_guid or parent, attributes)
        if entry.members is not None:
            self._database.execute("DELETE FROM source_links WHERE group_guid = ?", (entry.guid,))
            self._add_source_links(entry.guid, entry.members)
        self._add_source_links(entry.guid, entry.members_added)
        self._database.executemany(
            "DELETE FROM source_links WHERE group_guid = ? AND member_guid = ?",
            [(entry.guid, member) for member in entry.members_removed],
        )

    def _forget_source(self, guid: str) -> None:
        self._database.execute("DELETE FROM source_objects WHERE guid = ?", (guid,))
        self._database.execute(
            "DELETE FROM source_links WHERE group_guid = ? OR member_guid = ?", (guid, guid)
        )

    def _write_cloud(self, row: CloudRow) -> None:
        self._database.execute(
            "INSERT OR REPLACE INTO cloud_objects VALUES (?, ?, ?, ?, ?)",
            (
                row.anchor,
                row.object_type,
                row.guid,
                encode_properties(row.properties),
                int(row.owned),
            ),
        )


class ResultWriter:
    """Writes what an export call did; only within `Store.results`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._database = store._database  # noqa: SLF001  - one class in two halves

    def changed(
        self, anchor: str, object_type: str, guid: str, properties: Mapping[str, PropertyValue]
    ) -> None:
        """An object was created or updated: it is owned from now on, and its anchor pinned."""
        row = self._database.execute(
            "SELECT properties FROM cloud_objects WHERE anchor = ?", (anchor,)
        ).fetchone()
        merged = {} if row is None else decode_properties(row[0])
        for key, value in properties.items():
            if value is None:
                merged.pop(key, None)
            else:
                merged[key] = value
        self._store._write_cloud(  # noqa: SLF001  - as above
            CloudRow(
                anchor=anchor, object_type=object_type, guid=guid, properties=merged, owned=True
            )
        )
        self._database.execute("INSERT OR IGNORE INTO pins VALUES (?, ?)", (guid, anchor))

    def deleted(self, anchor: str) -> None:
        """An object was deleted, and with it its links and its pin."""
        self._database.execute("DELETE FROM cloud_objects WHERE anchor = ?", (anchor,))
        self._database.execute("DELETE FROM pins WHERE anchor = ?", (anchor,))
        self._database.execute(
            "DELETE FROM cloud_links WHERE group_anchor = ? OR member_anchor = ?", (anchor, anchor)
        )

    def linked(self, group: str, added: Iterable[str], removed: Iterable[str]) -> None:
        """Members were added to and removed from a group."""
        self._database.executemany(
            "INSERT OR IGNORE INTO cloud_links VALUES (?, ?)", [(group, one) for one in added]
        )
        self._database.executemany(
            "DELETE FROM cloud_links WHERE group_anchor = ? AND member_anchor = ?",
            [(group, one) for one in removed],
        )


def _lock(path: Path) -> IO[bytes]:
    handle = path.open("ab")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        handle.close()
        raise TransientError(
            "RunActive",
            "another run holds the state of this sync; it goes on when that one has ended",
        ) from None
    return handle


def _open(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None)
    try:
        # one writer, and durable before every export call
        database.execute("PRAGMA journal_mode = DELETE")
        database.execute("PRAGMA synchronous = FULL")
        _migrate(database)
    except sqlite3.DatabaseError as error:
        database.close()
        raise ConfigurationError(
            "StateVolumeUnsuitable",
            f"the state file cannot be used ({error}); give the sync an empty volume: everything in"
            " the tenant is then adopted again by its anchor",
            field="spec.runner.storage",
        ) from None
    except BaseException:
        database.close()
        raise
    return database


def _migrate(database: sqlite3.Connection) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise ConfigurationError(
            "StateVolumeUnsuitable",
            f"the state is of version {version}, this entrasync knows {VERSION}; run the newer"
            " image again",
            field="spec.runner.storage",
        )
    for number in range(version, VERSION):
        database.executescript(
            f"BEGIN;{MIGRATIONS[number]};PRAGMA user_version = {number + 1};COMMIT;"
        )


def _grouped(rows: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for key, value in rows:
        found.setdefault(key, set()).add(value)
    return {key: frozenset(values) for key, values in found.items()}


def _encode_attributes(attributes: Mapping[str, tuple[bytes, ...]]) -> str:
    return json.dumps(
        {name: [_encode_value(v) for v in values] for name, values in attributes.items()},
        ensure_ascii=False,
        separators=(",", ":"),
    )


def _encode_value(value: bytes) -> str | dict[str, str]:
    """Text as it is, anything else as base64."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b": base64.b64encode(value).decode()}


def _decode_attributes(text: str) -> dict[str, tuple[bytes, ...]]:
    return {
        name: tuple(
            value.encode() if isinstance(value, str) else base64.b64decode(value["b"])
            for value in values
        )
        for name, values in json.loads(text).items()
    }
