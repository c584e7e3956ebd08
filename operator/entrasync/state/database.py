"""The one SQLite file of a sync: opened by one process at a time, durable at every commit."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

from entrasync.errors import ConfigurationError, EntrasyncError
from entrasync.state.migrations import bring_up
from entrasync.state.schema import VERSION
from entrasync.state.state_file import (
    FILE_NAME,
    LOCK_NAME,
    StateLock,
    corrupted,
    is_corrupt,
    set_aside,
    unusable,
)
from entrasync.state.volume import require_locking

__all__ = ["FILE_NAME", "LOCK_NAME", "Database", "drop_index"]

CACHE_KIB: Final = 112 * 1024
"""Pages kept in memory; the rest of what a run needs is read again from the file.

Room for the indexes of a million objects that are looked up in no order: GUIDs, anchors, pins.
"""
_TOGETHER: Final = 10_000
"""Names looked up at a time."""


class Database:
    """The open file and its lock.

    A file that is broken is set aside, and a new state begins. That costs one reading of all
    directories and of the tenant, in which everything is adopted again by its anchor.

    Args:
        folder: where its files lie; made when missing.

    Attributes:
        connection: for the modules of this package only.
        set_aside: why the file before was set aside, as a sentence for people; else `None`.

    Raises:
        TransientError: another run holds the state, or the volume failed.
        ConfigurationError: the file is of a newer entrasync, or the volume cannot lock.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / FILE_NAME
        self.set_aside: str | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            require_locking(folder)
            self._lock = StateLock(folder)
        except OSError as error:
            raise unusable(error, folder) or error from None
        try:
            self.connection = self._open()
        except BaseException as error:
            self._lock.abandon()
            explained = unusable(error, folder) or _no_state(error)
            if explained is None:
                raise
            raise explained from error

    def _open(self) -> sqlite3.Connection:
        """Opens the file, or a new one where that is broken."""
        broken = self._lock.broken
        if broken is None:
            try:
                return self._open_file(checks=not self._lock.was_closed)
            except sqlite3.DatabaseError as error:
                if not is_corrupt(error):
                    raise
                broken = str(error)
        if self._file.exists():
            aside = set_aside(self._file, dt.datetime.now(dt.UTC))
            self.set_aside = (
                f"The state file was damaged ({broken}) and is set aside as {aside.name}; the state"
                " is rebuilt from the directories and the tenant."
            )
        self._lock.broken = None
        return self._open_file(checks=False)

    def _open_file(self, *, checks: bool) -> sqlite3.Connection:
        connection = sqlite3.connect(self._file, isolation_level=None, cached_statements=256)
        try:
            _prepare(connection, self._folder)
            if checks:
                _look_through(connection)
            version = _version(connection)
            self._lock.opened()
            bring_up(connection, version)
        except BaseException:
            connection.close()
            raise
        return connection

    def close(self) -> None:
        """Closes the file and lets the next run in."""
        self.connection.execute("PRAGMA temp_store_directory = ''")
        self.connection.close()
        self._lock.release()

    def explain(self, error: BaseException | None) -> EntrasyncError | None:
        """What to say in place of an error of SQLite or of the volume; `None` to leave it.

        A file that is found broken is marked, and the next run sets it aside.
        """
        if error is None:
            return None
        if is_corrupt(error):
            self._lock.mark_broken(str(error))
            return corrupted(error)
        return unusable(error, self._folder) if isinstance(error, sqlite3.Error) else None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One durable transaction; within another it is part of that one.

        Raises:
            TransientError: the file is broken, or the volume failed.
        """
        if self.connection.in_transaction:
            yield
            return
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
        except sqlite3.DatabaseError as error:
            explained = self.explain(error)
            if explained is None:
                raise
            raise explained from error

    # --- facts -----------------------------------------------------------------------------

    def get(self, key: str) -> str | None:
        """One remembered fact."""
        row = self.connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, key: str, value: str | None) -> None:
        """Remembers a fact, or with `None` forgets it."""
        with self.transaction():
            if value is None:
                self.connection.execute("DELETE FROM meta WHERE key = ?", (key,))
            else:
                self.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    # --- numbers ---------------------------------------------------------------------------

    def guid_number(self, guid: bytes) -> int:
        """The number of a GUID; a new one when it has none."""
        return self._number("guids", "guid", guid)

    def anchor_number(self, anchor: str) -> int:
        """The number of an anchor; a new one when it has none."""
        return self._number("anchors", "anchor", anchor)

    def known_anchors(self, anchors: Iterable[str]) -> dict[str, int]:
        """Numbers of anchors; such as have none are left out."""
        found: dict[str, int] = {}
        rest = iter(anchors)
        while some := list(islice(rest, _TOGETHER)):
            found.update(
                self.connection.execute(
                    "SELECT anchor, id FROM anchors"
                    " WHERE anchor IN (SELECT value FROM json_each(?))",
                    (json.dumps(some),),
                )
            )
        return found

    def anchor_numbers(self, anchors: Iterable[str]) -> dict[str, int]:
        """Numbers of anchors; new ones for such as have none."""
        found: dict[str, int] = {}
        rest = iter(anchors)
        while some := list(islice(rest, _TOGETHER)):
            known = self.known_anchors(some)
            new = [(anchor,) for anchor in some if anchor not in known]
            if new:
                with self.transaction():
                    self.connection.executemany(
                        "INSERT OR IGNORE INTO anchors (anchor) VALUES (?)", new
                    )
                known = self.known_anchors(some)
            found |= known
        return found

    def _number(self, table: str, column: str, name: bytes | str) -> int:
        execute = self.connection.execute
        row = execute(f"SELECT id FROM {table} WHERE {column} = ?", (name,)).fetchone()  # noqa: S608  - names of ours
        if row is None:
            row = execute(
                f"INSERT INTO {table} ({column}) VALUES (?) RETURNING id",  # noqa: S608  - as above
                (name,),
            ).fetchone()
        return int(row[0])


def drop_index(connection: sqlite3.Connection, name: str) -> str:
    """Drops an index before its table is filled; returns the statement that makes it again."""
    (statement,) = connection.execute(
        "SELECT sql FROM sqlite_master WHERE name = ?", (name,)
    ).fetchone()
    connection.execute(f"DROP INDEX {name}")
    return str(statement)


def _prepare(connection: sqlite3.Connection, folder: Path) -> None:
    """One writer, and durable before every export call."""
    place = str(folder.resolve()).replace("'", "''")
    for pragma in (
        "journal_mode = DELETE",
        "synchronous = FULL",
        f"cache_size = -{CACHE_KIB}",
        # what is deleted is no secret to the volume it lay on; overwriting it costs as much again
        "secure_delete = FAST",
        "temp_store = FILE",
        # beside the state, where there is room: the other place is memory in a container
        f"temp_store_directory = '{place}'",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _look_through(connection: sqlite3.Connection) -> None:
    """Looks at every page, since the last run did not close the file.

    Raises:
        sqlite3.DatabaseError: the file is broken.
    """
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        error = sqlite3.DatabaseError(found.replace("\n", " "))
        error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
        raise error


def _no_state(error: BaseException) -> ConfigurationError | None:
    """What to say of a file that is sound but nothing of ours."""
    if not isinstance(error, sqlite3.Error):
        return None
    return ConfigurationError(
        "StateVolumeUnsuitable",
        f"the state file cannot be used ({error}); give the sync an empty volume: everything in"
        " the tenant is then adopted again by its anchor",
        field="spec.runner.storage",
    )


def _version(connection: sqlite3.Connection) -> int:
    """The version of a file that is not newer than this program."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise ConfigurationError(
            "StateVolumeUnsuitable",
            f"the state is of version {version}, this entrasync knows {VERSION}; run the newer"
            " image again",
            field="spec.runner.storage",
        )
    return int(version)
