"""What the source space of a state holds, by short names instead of objectGUIDs."""

from __future__ import annotations

import uuid
from collections import defaultdict
from dataclasses import dataclass

from entrasync.state.database import Database
from entrasync.state.rows import decode_attributes, guid_text

_NAMES: dict[str, str] = {}


def guid(name: str) -> str:
    """An objectGUID that stands for a name."""
    found = str(uuid.uuid5(uuid.NAMESPACE_OID, name))
    _NAMES[found] = name
    return found


def name_of(value: str | bytes) -> str:
    """The inverse of `guid`."""
    return _NAMES[value if isinstance(value, str) else guid_text(value)]


@dataclass(slots=True, frozen=True, kw_only=True)
class Row:
    """One object of the source space."""

    source: int
    dn: str
    parent: str | None
    kind: int
    sid: bytes | None
    attributes: dict[str, tuple[bytes, ...]]


def objects(database: Database) -> dict[str, Row]:
    """All objects by name."""
    rows = database.connection.execute(
        "SELECT g.guid, o.source, o.dn, p.guid, o.kind, o.sid, o.attributes FROM source_objects o"
        " JOIN guids g ON g.id = o.id LEFT JOIN guids p ON p.id = o.parent"
    )
    return {
        name_of(key): Row(
            source=source,
            dn=dn,
            parent=None if parent is None else name_of(parent),
            kind=kind,
            sid=sid,
            attributes=decode_attributes(attributes),
        )
        for key, source, dn, parent, kind, sid, attributes in rows
    }


def references(database: Database, attribute: str = "member") -> dict[str, set[str]]:
    """Names of the targets of one attribute, by name of the owner."""
    rows = database.connection.execute(
        "SELECT o.guid, t.guid FROM source_references r"
        " JOIN reference_attributes a ON a.id = r.attribute"
        " JOIN guids o ON o.id = r.owner JOIN guids t ON t.id = r.target WHERE a.name = ?",
        (attribute,),
    )
    found: defaultdict[str, set[str]] = defaultdict(set)
    for owner, target in rows:
        found[name_of(owner)].add(name_of(target))
    return dict(found)


def take_changes(database: Database) -> tuple[set[str], set[tuple[str, str]]]:
    """Names of the objects and links that are marked as changed; forgets the marks."""
    execute = database.connection.execute
    changed = execute("SELECT guid FROM changed_objects JOIN guids ON id = object").fetchall()
    links = execute(
        "SELECT o.guid, t.guid FROM changed_links JOIN guids o ON o.id = owner"
        " JOIN guids t ON t.id = target"
    ).fetchall()
    execute("DELETE FROM changed_objects")
    execute("DELETE FROM changed_links")
    return (
        {name_of(key) for (key,) in changed},
        {(name_of(owner), name_of(target)) for owner, target in links},
    )


def foreign(database: Database) -> dict[str, bytes]:
    """SIDs of foreign security principals by name."""
    rows = database.connection.execute(
        "SELECT guid, sid FROM foreign_principals JOIN guids USING (id)"
    )
    return {name_of(key): sid for key, sid in rows}
