"""The data file: what a restart must not lose, in SQLite, written before a request is answered."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

from entrasync.emulator.objects import Attributes, CloudObject, Value
from entrasync.emulator.store import TenantStore, Writes
from entrasync.entra.contracts import SyncObjectType
from entrasync.errors import ConfigurationError

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    tenant TEXT, anchor TEXT, body TEXT NOT NULL, PRIMARY KEY (tenant, anchor));
CREATE TABLE IF NOT EXISTS links (
    tenant TEXT, grp TEXT, member TEXT, PRIMARY KEY (tenant, grp, member)) WITHOUT ROWID;
"""
_BINARY: Final = "$binary"


class DataFile:
    """Facts and tenants on disk; in memory only when no file is given.

    Args:
        file: the SQLite file, made when it is not there; nobody else may read it, because it
            keeps private keys.

    Raises:
        ConfigurationError: it cannot be opened, or is something else.
    """

    def __init__(self, file: Path | None) -> None:
        try:
            if file is not None:
                file.touch(mode=0o600)
            self._connection = sqlite3.connect(file or ":memory:", check_same_thread=False)
            self._connection.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise ConfigurationError(
                "StateVolumeUnsuitable", f"{file} cannot be used: {error}. Check --data."
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def fact(self, name: str, make: Callable[[], Any]) -> Any:
        """A JSON value kept under a name, made the first time."""
        found = self._connection.execute(
            "SELECT value FROM facts WHERE name = ?", (name,)
        ).fetchone()
        if found is not None:
            return json.loads(found[0])
        value = make()
        with self._connection:
            self._connection.execute("INSERT INTO facts VALUES (?, ?)", (name, json.dumps(value)))
        return value

    def load(self, tenant_id: str, store: TenantStore) -> bool:
        """Fills an empty store with what was written; whether there was anything."""
        rows = self._connection.execute(
            "SELECT body FROM objects WHERE tenant = ?", (tenant_id,)
        ).fetchall()
        found = sorted((_object_of(json.loads(row[0])) for row in rows), key=lambda o: o.version)
        by_anchor = {each.cloud_anchor: each for each in found}
        for group, member in self._connection.execute(
            "SELECT grp, member FROM links WHERE tenant = ?", (tenant_id,)
        ):
            by_anchor[group].members.add(member)
        for each in found:
            store.restore(each)
        return bool(found)

    def write(self, tenant_id: str, writes: Writes) -> None:
        """Writes what changed, wholly or not at all."""
        if not writes.objects and not writes.links:
            return
        with self._connection as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?)",
                (
                    (tenant_id, each.cloud_anchor, json.dumps(_body_of(each)))
                    for each in writes.objects
                ),
            )
            for change in writes.links:
                connection.executemany(
                    "INSERT OR IGNORE INTO links VALUES (?, ?, ?)",
                    ((tenant_id, change.group, member) for member in change.added),
                )
                connection.executemany(
                    "DELETE FROM links WHERE tenant = ? AND grp = ? AND member = ?",
                    ((tenant_id, change.group, member) for member in change.removed),
                )


def _body_of(each: CloudObject) -> dict[str, Any]:
    return {
        "type": each.object_type.value,
        "cloudAnchor": each.cloud_anchor,
        "sourceAnchor": each.source_anchor,
        "attributes": [[name, _plain(value)] for name, value in each.attributes.items()],
        "deleted": each.deleted,
        "version": each.version,
        "userPrincipalName": each.user_principal_name,
        "claims": sorted(each.claims),
        "quarantined": each.quarantined,
    }


def _object_of(body: dict[str, Any]) -> CloudObject:
    return CloudObject(
        object_type=SyncObjectType(body["type"]),
        cloud_anchor=body["cloudAnchor"],
        source_anchor=body["sourceAnchor"],
        attributes=Attributes((name, _rich(value)) for name, value in body["attributes"]),
        deleted=body["deleted"],
        version=body["version"],
        user_principal_name=body["userPrincipalName"],
        claims=frozenset(body["claims"]),
        quarantined=body["quarantined"],
    )


def _plain(value: Value) -> Any:
    if isinstance(value, bytes):
        return {_BINARY: base64.b64encode(value).decode()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _rich(value: Any) -> Any:
    if isinstance(value, dict):
        return base64.b64decode(value[_BINARY])
    return tuple(_rich(item) for item in value) if isinstance(value, list) else value
