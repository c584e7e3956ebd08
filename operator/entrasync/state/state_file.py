"""The state's file on its volume: one run at a time has it, and a broken one is set aside."""

from __future__ import annotations

import datetime as dt
import errno
import fcntl
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Final

from entrasync.errors import EntrasyncError, TransientError
from entrasync.state.volume import not_suitable

FILE_NAME: Final = "entrasync.db"
LOCK_NAME: Final = "entrasync.lock"
KEPT_ASIDE: Final = 2
"""Broken files that are kept for people to look at."""

_JOURNAL: Final = "-journal"
_CLOSED: Final = "closed"
_OPEN: Final = "open"
_BROKEN: Final = "broken: "
_PRIMARY: Final = 0xFF
"""The part of SQLite's extended codes that says what kind of error it is."""
_CORRUPT: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_VOLUME: Final = frozenset(
    {
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_READONLY,
    }
)
_LITTLE: Final = 1 << 20
"""Octets free on a volume that is as good as full."""
_FIELD: Final = "spec.runner.storage"


class StateLock:
    """The exclusive lock of a state, and what the last run said of its file.

    Args:
        folder: of the state.

    Attributes:
        was_closed: whether the last run closed the file as it should.
        broken: why the last run took the file for broken; `None` when it did not.

    Raises:
        TransientError: another run holds the state.
        ConfigurationError: the volume cannot lock.
    """

    def __init__(self, folder: Path) -> None:
        self._handle = (folder / LOCK_NAME).open("a+b")
        try:
            self._lock(folder / LOCK_NAME)
            self._handle.seek(0)
            said = self._handle.read(1024).decode(errors="replace")
            self.was_closed = said == _CLOSED
            self.broken = said.removeprefix(_BROKEN) if said.startswith(_BROKEN) else None
        except BaseException:
            self._handle.close()
            raise

    def _lock(self, path: Path) -> None:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in {errno.EWOULDBLOCK, errno.EACCES}:
                raise not_suitable(os.strerror(error.errno or 0)) from None
            raise TransientError(
                "RunActive",
                "another run holds the state of this sync; it goes on when that one has ended",
            ) from None
        if not _keeps_away(path):
            raise not_suitable("a second lock of the same file was granted")

    def opened(self) -> None:
        """The file is about to be written."""
        self._say(_OPEN)

    def mark_broken(self, why: str) -> None:
        """The file was found broken: the next run sets it aside."""
        self._say(_BROKEN + why)
        self.broken = why

    def release(self) -> None:
        """The file is closed; lets the next run in."""
        if self.broken is None:
            self._say(_CLOSED)
        self._handle.close()

    def abandon(self) -> None:
        """Lets the next run in, which looks at the file more closely."""
        self._handle.close()

    def _say(self, what: str) -> None:
        """Notes it where it outlives a crash."""
        self._handle.truncate(0)
        self._handle.write(what.encode()[:1024])
        self._handle.flush()
        os.fsync(self._handle.fileno())


def _keeps_away(path: Path) -> bool:
    """Whether the kernel refuses the lock to another handle."""
    with path.open("ab") as second:
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        return False


def set_aside(path: Path, now: dt.datetime) -> Path:
    """Renames a broken file and its journal, and drops the oldest of those kept before.

    Returns:
        The file's new place.
    """
    aside = path.with_name(f"{path.name}.corrupt-{now:%Y%m%dT%H%M%SZ}")
    journal = path.with_name(path.name + _JOURNAL)
    if journal.exists():
        # left where it is, it would be played back into the new file
        journal.rename(aside.with_name(aside.name + _JOURNAL))
    path.rename(aside)
    kept = sorted(
        each
        for each in path.parent.glob(f"{path.name}.corrupt-*")
        if not each.name.endswith(_JOURNAL)
    )
    for old in kept[:-KEPT_ASIDE]:
        old.unlink()
        old.with_name(old.name + _JOURNAL).unlink(missing_ok=True)
    return aside


def is_corrupt(error: BaseException) -> bool:
    """Whether an error of SQLite says that the file is broken."""
    return isinstance(error, sqlite3.DatabaseError) and _code(error) in _CORRUPT


def corrupted(error: BaseException) -> TransientError:
    """What a run says that found the file broken."""
    return TransientError(
        "StateVolumeUnsuitable",
        f"the state file is damaged ({error}); the next run sets it aside and rebuilds the state"
        " from the directories and the tenant, where everything is adopted again by its anchor",
        field=_FIELD,
    )


def unusable(error: BaseException, folder: Path) -> EntrasyncError | None:
    """What a run says that the volume failed; `None` for an error of another kind."""
    if not isinstance(error, sqlite3.DatabaseError | OSError) or not _of_volume(error):
        return None
    if _is_full(error, folder):
        return TransientError(
            "StateVolumeUnsuitable",
            "the state volume is full; enlarge its claim (spec.runner.storage.size) or free space"
            " on it. Nothing is lost: the next run goes on where this one stopped",
            field=_FIELD,
        )
    return TransientError(
        "StateVolumeUnsuitable",
        f"the state volume could not be read or written ({error}); look at the volume and at the"
        " node. Nothing is lost: the next run goes on where this one stopped",
        field=_FIELD,
    )


def _of_volume(error: sqlite3.DatabaseError | OSError) -> bool:
    return isinstance(error, OSError) or _code(error) in _VOLUME


def _is_full(error: sqlite3.DatabaseError | OSError, folder: Path) -> bool:
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    return _code(error) == sqlite3.SQLITE_FULL or shutil.disk_usage(folder).free < _LITTLE


def _code(error: sqlite3.DatabaseError) -> int:
    """SQLite's own code, 0 when the error has none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & _PRIMARY
