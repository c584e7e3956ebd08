"""The file of the state: durable, locked, set aside when broken, and never half written."""

from __future__ import annotations

import datetime as dt
import errno
import fcntl
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from entrasync.errors import ConfigurationError, TransientError
from entrasync.state.database import FILE_NAME, LOCK_NAME, Database
from entrasync.state.schema import VERSION
from entrasync.state.state_file import is_corrupt, set_aside, unusable


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path)) as opened:
        yield opened


def corrupt_files(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.glob("*.corrupt-*"))


def fill(folder: Path, rows: int = 2000) -> None:
    with closing(Database(folder)) as database:
        database.anchor_numbers(f"anchor-{number}" for number in range(rows))
        database.put("fact", "known")


def damage(folder: Path, *, pages: int = 8) -> None:
    """Overwrites the last pages of the file, which are the ones filled last."""
    with (folder / FILE_NAME).open("r+b") as file:
        file.seek(-4096 * pages, os.SEEK_END)
        file.write(b"\xa5" * 4096 * pages)


# --- facts and transactions ----------------------------------------------------------------


def test_facts_are_kept_until_forgotten(tmp_path: Path) -> None:
    with closing(Database(tmp_path)) as database:
        database.put("a", "1")
        database.put("b", "2")
        database.put("a", None)
    with closing(Database(tmp_path)) as database:
        assert (database.get("a"), database.get("b")) == (None, "2")


def test_a_transaction_is_all_or_nothing(database: Database) -> None:
    def break_off() -> None:
        with database.transaction():
            database.put("a", "1")
            with database.transaction():
                database.put("b", "2")
            raise OSError("killed")

    with pytest.raises(OSError, match="killed"):
        break_off()
    assert (database.get("a"), database.get("b")) == (None, None)
    with database.transaction():
        database.put("a", "3")
    assert database.get("a") == "3"


def test_names_have_one_number_each(database: Database) -> None:
    first = database.anchor_number("a")
    assert database.anchor_number("a") == first
    assert database.known_anchors(["a", "b"]) == {"a": first}
    both = database.anchor_numbers(["a", "b", "a", "ä"])
    assert both["a"] == first
    assert len(set(both.values())) == 3
    assert database.anchor_number("ä") == both["ä"]
    assert database.guid_number(b"1" * 16) == database.guid_number(b"1" * 16)


def test_many_names_get_numbers(database: Database) -> None:
    names = [f"n{number}" for number in range(25_000)]
    assert len(set(database.anchor_numbers(names).values())) == len(names)
    assert database.known_anchors(names) == database.anchor_numbers(names)


# --- one run at a time ---------------------------------------------------------------------


def test_a_second_run_is_kept_out(tmp_path: Path) -> None:
    with closing(Database(tmp_path)):
        with pytest.raises(TransientError) as caught:
            Database(tmp_path)
        assert caught.value.reason == "RunActive"
    with closing(Database(tmp_path)):
        pass


def test_a_volume_that_grants_two_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)

    with pytest.raises(ConfigurationError, match="second lock") as caught:
        Database(tmp_path)
    assert caught.value.reason == "StateVolumeUnsuitable"


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_volume_without_locks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "no")

    monkeypatch.setattr(fcntl, "flock", refuse)

    with pytest.raises(ConfigurationError, match="cannot be locked"):
        Database(tmp_path)


# --- versions ------------------------------------------------------------------------------


def test_a_newer_state_is_refused_and_left_alone(tmp_path: Path) -> None:
    fill(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
        file.execute("PRAGMA user_version = 999")
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="999"):
            Database(tmp_path)
    assert corrupt_files(tmp_path) == []
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file:
        file.execute(f"PRAGMA user_version = {VERSION}")
    with closing(Database(tmp_path)) as database:
        assert database.get("fact") == "known"


def test_a_database_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as file, file:
        file.execute("CREATE TABLE meta (other)")

    with pytest.raises(ConfigurationError, match="empty volume") as caught:
        Database(tmp_path)
    assert caught.value.reason == "StateVolumeUnsuitable"
    assert corrupt_files(tmp_path) == []


# --- broken files --------------------------------------------------------------------------


def test_what_is_no_state_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_bytes(b"no database at all" * 1000)

    with closing(Database(tmp_path)) as database:
        assert database.set_aside is not None
        assert "file is not a database" in database.set_aside
        assert "rebuilt" in database.set_aside
        database.put("fact", "new")

    (name,) = corrupt_files(tmp_path)
    assert re.fullmatch(r"entrasync\.db\.corrupt-\d{8}T\d{6}Z", name)
    assert (tmp_path / name).read_bytes().startswith(b"no database")
    with closing(Database(tmp_path)) as database:
        assert (database.set_aside, database.get("fact")) == (None, "new")


def test_broken_pages_are_found_when_the_last_run_was_killed(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / LOCK_NAME).write_text("open")
    damage(tmp_path)

    with closing(Database(tmp_path)) as database:
        assert database.set_aside is not None
        assert database.get("fact") is None
    assert len(corrupt_files(tmp_path)) == 1


def test_a_killed_run_loses_nothing(tmp_path: Path) -> None:
    fill(tmp_path)
    (tmp_path / LOCK_NAME).write_text("open")

    with closing(Database(tmp_path)) as database:
        assert (database.set_aside, database.get("fact")) == (None, "known")


def test_a_state_that_was_closed_is_not_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(tmp_path)
    monkeypatch.setattr("entrasync.state.database._look_through", lambda _: pytest.fail("looked"))

    with closing(Database(tmp_path)) as database:
        assert database.get("fact") == "known"


@pytest.mark.parametrize("said", ["", "open"])
def test_otherwise_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    fill(tmp_path)
    (tmp_path / LOCK_NAME).write_text(said)
    looked: list[sqlite3.Connection] = []
    monkeypatch.setattr("entrasync.state.database._look_through", looked.append)

    with closing(Database(tmp_path)):
        assert len(looked) == 1
        assert (tmp_path / LOCK_NAME).read_text() == "open"
    assert (tmp_path / LOCK_NAME).read_text() == "closed"


def test_what_breaks_during_a_run_is_set_aside_by_the_next(tmp_path: Path) -> None:
    fill(tmp_path)
    damage(tmp_path)

    def touch_everything(database: Database) -> None:
        with database.transaction():
            database.connection.execute("SELECT COUNT(anchor || 'x') FROM anchors").fetchall()

    with (
        closing(Database(tmp_path)) as database,
        pytest.raises(TransientError, match="next run sets it aside") as caught,
    ):
        touch_everything(database)
    assert caught.value.reason == "StateVolumeUnsuitable"
    assert (tmp_path / LOCK_NAME).read_text().startswith("broken: ")

    with closing(Database(tmp_path)) as database:
        assert database.set_aside is not None
        assert database.known_anchors(["anchor-1"]) == {}
    with closing(Database(tmp_path)) as database:
        assert database.set_aside is None


def test_what_breaks_outside_of_a_transaction_is_explained(database: Database) -> None:
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT

    assert isinstance(database.explain(error), TransientError)
    assert database.explain(ValueError("another matter")) is None
    assert database.explain(None) is None


def test_a_mistake_of_ours_is_no_broken_file(tmp_path: Path) -> None:
    def mistake(database: Database) -> None:
        with database.transaction():
            database.connection.execute("INSERT INTO meta VALUES ('a', NULL)")

    with closing(Database(tmp_path)) as database, pytest.raises(sqlite3.IntegrityError):
        mistake(database)
    with closing(Database(tmp_path)) as database:
        assert database.set_aside is None


def test_only_the_last_two_broken_files_are_kept_with_their_journals(tmp_path: Path) -> None:
    for day in range(1, 5):
        path = tmp_path / FILE_NAME
        path.write_text(str(day))
        path.with_name(f"{FILE_NAME}-journal").write_text("j")
        set_aside(path, dt.datetime(2026, 3, day, tzinfo=dt.UTC))

    assert corrupt_files(tmp_path) == [
        "entrasync.db.corrupt-20260303T000000Z",
        "entrasync.db.corrupt-20260303T000000Z-journal",
        "entrasync.db.corrupt-20260304T000000Z",
        "entrasync.db.corrupt-20260304T000000Z-journal",
    ]


# --- volumes that fail ---------------------------------------------------------------------


def test_a_full_volume_says_what_to_do_and_loses_nothing(tmp_path: Path) -> None:
    fill(tmp_path)
    with closing(Database(tmp_path)) as database:
        (pages,) = database.connection.execute("PRAGMA page_count").fetchone()
        database.connection.execute(f"PRAGMA max_page_count = {pages}")

        with pytest.raises(TransientError, match="enlarge its claim") as caught:
            database.anchor_numbers(f"more-{number}" for number in range(50_000))
        assert caught.value.reason == "StateVolumeUnsuitable"
        assert database.get("fact") == "known"
    with closing(Database(tmp_path)) as database:
        assert database.set_aside is None
        assert database.known_anchors(["anchor-1"])


@pytest.mark.parametrize(
    ("code", "full"),
    [
        (sqlite3.SQLITE_FULL, True),
        (sqlite3.SQLITE_IOERR_WRITE, False),
        (sqlite3.SQLITE_READONLY, False),
        (sqlite3.SQLITE_CANTOPEN, False),
    ],
)
def test_errors_of_the_volume_are_told_apart(tmp_path: Path, code: int, *, full: bool) -> None:
    error = sqlite3.OperationalError("x")
    error.sqlite_errorcode = code

    explained = unusable(error, tmp_path)

    assert isinstance(explained, TransientError)
    assert ("is full" in explained.message) is full


def test_a_write_that_fails_on_a_volume_without_room_is_for_want_of_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    usage = SimpleNamespace(free=4096)
    monkeypatch.setattr("entrasync.state.state_file.shutil.disk_usage", lambda _: usage)

    explained = unusable(error, tmp_path)

    assert explained is not None
    assert "is full" in explained.message


def test_other_errors_are_not_the_volumes(tmp_path: Path) -> None:
    assert unusable(sqlite3.IntegrityError("x"), tmp_path) is None
    assert unusable(ValueError("x"), tmp_path) is None
    assert not is_corrupt(sqlite3.OperationalError("x"))
    full = unusable(OSError(errno.ENOSPC, "no space"), tmp_path)
    assert full is not None
    assert "is full" in full.message


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(TransientError, match="could not be read or written"):
        Database(tmp_path / "file" / "state")
