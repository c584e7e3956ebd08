"""A state of version 1 becomes today's in one step, and keeps what would be dear to lose."""

from __future__ import annotations

import base64
import json
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from entrasync.errors import ConfigurationError
from entrasync.state import migrations
from entrasync.state.cloud import CloudSpace
from entrasync.state.database import FILE_NAME, Database
from entrasync.state.migrations import statements
from entrasync.state.schema import TABLES, VERSION
from tests.support.state import FIRST

USER = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")
GROUP = uuid.UUID("0f0f0f0f-4455-6677-8899-aabbccddeeff")
USER_ANCHOR = base64.b64encode(USER.bytes_le).decode()
GROUP_ANCHOR = base64.b64encode(GROUP.bytes_le).decode()
IDENTIFIER = {"b": base64.b64encode(USER.bytes_le).decode()}


def make_first(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    with closing(sqlite3.connect(folder / FILE_NAME)) as file, file:
        file.executescript(FIRST)
        file.executemany(
            "INSERT INTO meta VALUES (?, ?)",
            [
                ("tenant", "t1"),
                ("pending-batch", f'["{USER_ANCHOR}"]'),
                ("write-quota", "[]"),
                ("batch-size", "250"),
                ("in-scope", "2"),
                ("scopes", "[]"),
                ("source-cookie", "c"),
                ("source-read", "d"),
                ("source-full-read", "f"),
                ("approval-active", "a"),
                ("approvals-used", "[]"),
                ("cloud-read-back", "1"),
            ],
        )
        file.execute("INSERT INTO source_objects VALUES ('g', 'CN=x', NULL, '{}')")
        file.execute("INSERT INTO source_links VALUES ('g', 'h')")
        file.executemany(
            "INSERT INTO cloud_objects VALUES (?, ?, ?, ?, ?)",
            [
                (
                    USER_ANCHOR,
                    "User",
                    str(USER),
                    json.dumps({"title": "t", "onPremisesObjectIdentifier": IDENTIFIER}),
                    1,
                ),
                (GROUP_ANCHOR, "Group", str(GROUP), '{"mail":"x"}', 1),
                ("orphan", "Contact", None, "{}", 0),
                ("odd", "User", "", "no JSON", 1),
            ],
        )
        file.executemany(
            "INSERT INTO cloud_links VALUES (?, ?)",
            [(GROUP_ANCHOR, USER_ANCHOR), (GROUP_ANCHOR, "Device_1")],
        )
        file.executemany(
            "INSERT INTO pins VALUES (?, ?)",
            [(str(USER), USER_ANCHOR), (str(uuid.UUID(int=7)), "pinned"), ("", "odd")],
        )
        file.execute("INSERT INTO spent VALUES ('2026-03-14T00:00:00+00:00', 'deletions:User', 3)")
        file.execute("INSERT INTO results VALUES ('run', '2026-03-14T00:00:00+00:00', '{}')")


def test_what_would_be_dear_to_lose_is_kept(tmp_path: Path) -> None:
    make_first(tmp_path)

    with closing(Database(tmp_path)) as database:
        cloud = CloudSpace(database)
        user, group = map(database.anchor_number, (USER_ANCHOR, GROUP_ANCHOR))
        execute = database.connection.execute
        assert database.set_aside is None
        assert cloud.owned_counts() == {"User": 2, "Group": 1, "links": 2}
        assert cloud.orphan_counts() == {"Contact": 1}
        assert cloud.properties(user) == {
            "title": "t",
            "onPremisesObjectIdentifier": USER.bytes_le,
        }
        assert cloud.members(group) == {user, database.anchor_number("Device_1")}
        assert execute(
            "SELECT guid, identifier, cloud_managed FROM cloud_objects WHERE anchor = ?", (user,)
        ).fetchall() == [(USER.bytes, USER.bytes, 0)]
        assert execute(
            "SELECT guid, anchors.anchor FROM pins JOIN anchors ON id = pins.anchor ORDER BY guid"
        ).fetchall() == [(uuid.UUID(int=7).bytes, "pinned"), (USER.bytes, USER_ANCHOR)]
        assert execute("SELECT * FROM spent").fetchall() == [
            ("2026-03-14T00:00:00+00:00", "deletions:User", 3)
        ]
        assert execute("SELECT run, result FROM results").fetchall() == [("run", "{}")]
        assert dict(execute("SELECT key, value FROM meta")) == {
            "tenant": "t1",
            "pending-batch": f'["{USER_ANCHOR}"]',
            "write-quota": "[]",
            "batch-size": "250",
            "in-scope": "2",
            "scopes": "[]",
        }


def tables(folder: Path) -> set[tuple[str, str]]:
    with closing(sqlite3.connect(folder / FILE_NAME)) as file:
        return set(file.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


def test_the_tables_are_those_of_a_new_state(tmp_path: Path) -> None:
    make_first(tmp_path / "old")
    for folder in ("old", "new"):
        with closing(Database(tmp_path / folder)) as database:
            assert database.connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
            assert database.connection.execute("PRAGMA quick_check").fetchone() == ("ok",)

    assert tables(tmp_path / "old") == tables(tmp_path / "new")


def test_a_conversion_that_breaks_off_leaves_the_old_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_first(tmp_path)
    before = tables(tmp_path)

    def killed(_: str | None) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(migrations, "_recoded", killed)
        with pytest.raises(ConfigurationError, match="cannot be used"):
            Database(tmp_path)
    assert tables(tmp_path) == before
    with closing(Database(tmp_path)) as database:
        assert CloudSpace(database).owned_counts() == {"User": 2, "Group": 1, "links": 2}


def test_a_script_is_split_where_its_statements_end() -> None:
    found = list(statements("-- one; two\nCREATE TABLE a (b TEXT);\nSELECT ';'; -- end\n"))

    assert len(found) == 2
    with closing(sqlite3.connect(":memory:")) as file:
        for statement in (*found, *statements(TABLES)):
            file.execute(statement)
