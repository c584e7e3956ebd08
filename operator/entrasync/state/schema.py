"""Tables of the state, and how older ones become newer ones."""

from __future__ import annotations

from typing import Final

MIGRATIONS: Final = (
    """
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
    """,
)
"""Migration n takes a store from version n to n + 1; they are only ever added."""

VERSION: Final = len(MIGRATIONS)
