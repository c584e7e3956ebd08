"""States of other versions, for tests of what becomes of them."""

from __future__ import annotations

import json
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from entrasync.state.state_file import FILE_NAME

FIRST: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE source_objects (
    guid TEXT PRIMARY KEY, dn TEXT NOT NULL, parent_guid TEXT, attributes TEXT NOT NULL
);
CREATE TABLE source_links (
    group_guid TEXT NOT NULL, member_guid TEXT NOT NULL, PRIMARY KEY (group_guid, member_guid)
) WITHOUT ROWID;
CREATE INDEX source_links_member ON source_links (member_guid);
CREATE TABLE cloud_objects (
    anchor TEXT PRIMARY KEY, object_type TEXT NOT NULL, guid TEXT,
    properties TEXT NOT NULL, owned INTEGER NOT NULL
);
CREATE TABLE cloud_links (
    group_anchor TEXT NOT NULL, member_anchor TEXT NOT NULL,
    PRIMARY KEY (group_anchor, member_anchor)
) WITHOUT ROWID;
CREATE INDEX cloud_links_member ON cloud_links (member_anchor);
CREATE TABLE pins (guid TEXT PRIMARY KEY, anchor TEXT NOT NULL);
CREATE TABLE spent (time TEXT NOT NULL, sort TEXT NOT NULL, count INTEGER NOT NULL);
CREATE TABLE results (
    run TEXT PRIMARY KEY, time TEXT NOT NULL, result TEXT NOT NULL
);
PRAGMA user_version = 1;
"""
"""The tables of version 1, as they were."""


def downgrade(folder: Path) -> None:
    """Writes what today's state knows of the tenant as version 1 wrote it."""
    path = folder / FILE_NAME
    with closing(sqlite3.connect(path)) as today:

        def rows(query: str) -> list[tuple[Any, ...]]:
            return today.execute(query).fetchall()

        (tenant,) = rows("SELECT value FROM meta WHERE key = 'tenant'")[0]
        objects = rows(
            "SELECT anchors.anchor, type, guid, properties, owned FROM cloud_objects"
            " JOIN anchors ON anchors.id = cloud_objects.anchor"
        )
        links = rows(
            "SELECT owners.anchor, members.anchor FROM cloud_links"
            " JOIN anchors AS owners ON owners.id = owner"
            " JOIN anchors AS members ON members.id = member"
        )
        pins = rows("SELECT guid, anchors.anchor FROM pins JOIN anchors ON id = pins.anchor")
    path.unlink()
    with closing(sqlite3.connect(path)) as old, old:
        old.executescript(FIRST)
        old.executemany(
            "INSERT INTO meta VALUES (?, ?)",
            [
                ("tenant", tenant),
                ("cloud-read-back", "1"),
                ("source-cookie", "old"),
                ("source-read", json.dumps("old")),
            ],
        )
        old.executemany(
            "INSERT INTO cloud_objects VALUES (?, ?, ?, ?, ?)",
            [
                (anchor, kind, _text(guid), text, owned)
                for anchor, kind, guid, text, owned in objects
            ],
        )
        old.executemany("INSERT INTO cloud_links VALUES (?, ?)", links)
        old.executemany("INSERT INTO pins VALUES (?, ?)", [(_text(g), a) for g, a in pins])


def _text(guid: bytes | None) -> str | None:
    return None if guid is None else str(uuid.UUID(bytes=guid))
