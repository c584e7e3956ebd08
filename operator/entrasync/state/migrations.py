"""How an older state becomes today's: in one transaction, or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Final

from entrasync.entra.contracts import PropertyValue
from entrasync.state.cloud_rows import identifier_of
from entrasync.state.rows import decode_properties, encode_properties, guid_bytes
from entrasync.state.schema import TABLES, VERSION

_FIRST: Final = 1
_GUID_BYTES: Final = 16
_OLD_TABLES: Final = (
    "meta",
    "source_objects",
    "source_links",
    "cloud_objects",
    "cloud_links",
    "pins",
    "spent",
    "results",
)
_OLD_INDEXES: Final = ("source_links_member", "cloud_links_member")
_FORGOTTEN: Final = (
    "approval-active",
    "approvals-used",
    "cloud-read-back",
    "source-cookie",
    "source-full-read",
    "source-read",
)
"""Facts that mean nothing without the sources' objects, or in another form now."""


def bring_up(connection: sqlite3.Connection, version: int) -> None:
    """Makes the tables of a new state, or converts those of an older one.

    Args:
        connection: in autocommit mode.
        version: of the file; 0 for a new one, at most today's.
    """
    if version == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        if version == _FIRST:
            _convert_first(connection)
        else:
            _create(connection)
        connection.execute(f"PRAGMA user_version = {VERSION}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def statements(script: str) -> Iterator[str]:
    """The statements of a script, which `executescript` would not run within a transaction."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""


def _create(connection: sqlite3.Connection) -> None:
    for statement in statements(TABLES):
        connection.execute(statement)


def _convert_first(connection: sqlite3.Connection) -> None:
    """Keeps pins, what is known of the tenant, the window of the brakes, and results.

    The sources are read again, and so is the tenant, whose knowledge tells until then what is ours.
    """
    for index in _OLD_INDEXES:
        connection.execute(f"DROP INDEX IF EXISTS {index}")
    for table in _OLD_TABLES:
        connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
    _create(connection)
    functions: dict[str, Callable[[str | None], str | bytes | None]] = {
        "guid_octets": _guid_octets,
        "recoded": _recoded,
        "told_identifier": _told_identifier,
    }
    for name, function in functions.items():
        connection.create_function(name, 1, function, deterministic=True)
    for statement in statements(_CONVERSION):
        connection.execute(statement)
    connection.executemany("DELETE FROM meta WHERE key = ?", [(key,) for key in _FORGOTTEN])
    for table in _OLD_TABLES:
        connection.execute(f"DROP TABLE old_{table}")


_CONVERSION: Final = """
INSERT INTO meta SELECT key, value FROM old_meta;
INSERT OR IGNORE INTO anchors (anchor)
    SELECT anchor FROM old_cloud_objects
    UNION SELECT group_anchor FROM old_cloud_links UNION SELECT member_anchor FROM old_cloud_links
    UNION SELECT anchor FROM old_pins;
INSERT INTO cloud_links
    SELECT owners.id, members.id FROM old_cloud_links
    JOIN anchors AS owners ON owners.anchor = group_anchor
    JOIN anchors AS members ON members.anchor = member_anchor;
INSERT INTO cloud_objects (anchor, type, guid, identifier, owned, links, properties)
    SELECT anchors.id, object_type, guid_octets(guid), told_identifier(properties), owned,
    (SELECT COUNT(*) FROM cloud_links WHERE owner = anchors.id), recoded(properties)
    FROM old_cloud_objects JOIN anchors ON anchors.anchor = old_cloud_objects.anchor;
INSERT OR IGNORE INTO pins
    SELECT guid_octets(guid), anchors.id FROM old_pins
    JOIN anchors ON anchors.anchor = old_pins.anchor WHERE guid_octets(guid) IS NOT NULL;
INSERT INTO spent SELECT time, sort, count FROM old_spent;
INSERT INTO results (run, time, result) SELECT run, time, result FROM old_results;
"""


def _guid_octets(guid: str | None) -> bytes | None:
    """The octets; nothing of what is no GUID: such a row tells of no object of a source."""
    try:
        octets = guid_bytes(guid or "")
    except ValueError:
        return None
    return octets if len(octets) == _GUID_BYTES else None


def _recoded(properties: str | None) -> str:
    return encode_properties(_decoded(properties))


def _told_identifier(properties: str | None) -> bytes | None:
    return identifier_of(_decoded(properties))


def _decoded(properties: str | None) -> dict[str, PropertyValue]:
    try:
        return decode_properties(properties or "{}")
    except (AttributeError, TypeError, ValueError):
        return {}  # the next run reads them again
