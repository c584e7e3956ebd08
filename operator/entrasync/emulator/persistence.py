"""The data file: what a restart must not lose, in SQLite, written before a request is answered."""

from __future__ import annotations

import base64
import json
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, Self

from entrasync.emulator.journal import Writes
from entrasync.emulator.objects import Attributes, CloudObject, Names, Standing, Value
from entrasync.emulator.store import TenantStore
from entrasync.entra.contracts import SyncObjectType
from entrasync.errors import ConfigurationError

_PRAGMAS: Final = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
"""What was answered survives the end of the process; a power cut may cost the last moments."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS objects (
    tenant TEXT, anchor TEXT, body TEXT NOT NULL, PRIMARY KEY (tenant, anchor));
CREATE TABLE IF NOT EXISTS links (
    tenant TEXT, grp TEXT, member TEXT, PRIMARY KEY (tenant, grp, member)) WITHOUT ROWID;
"""
_BINARY: Final = "$binary"
_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


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
            self._keeps = file is not None
            # tenants write at the same time, each in a transaction of its own
            self._lock = threading.Lock()
            if file is not None:
                file.touch(mode=0o600)
            self._connection = sqlite3.connect(file or ":memory:", check_same_thread=False)
            self._connection.executescript(_PRAGMAS + _SCHEMA)
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
        with self._lock, self._connection:
            self._connection.execute("INSERT INTO facts VALUES (?, ?)", (name, json.dumps(value)))
        return value

    def put_fact(self, name: str, value: Any) -> None:
        """Keeps a JSON value under a name instead of the one it had."""
        with self._lock, self._connection:
            self._connection.execute(
                "INSERT OR REPLACE INTO facts VALUES (?, ?)", (name, json.dumps(value))
            )

    def load(self, tenant_id: str, store: TenantStore) -> bool:
        """Fills an empty store with what was written; whether there was anything.

        Raises:
            ConfigurationError: another version of the emulator wrote it.
        """
        rows = self._connection.execute(
            "SELECT body FROM objects WHERE tenant = ?", (tenant_id,)
        ).fetchall()
        try:
            found = sorted((_object_of(json.loads(row[0])) for row in rows), key=_version_of)
        except KeyError as error:
            raise ConfigurationError(
                "StateVolumeUnsuitable",
                f"the data file was written by another version of the emulator: {error} is"
                " missing. Remove it, or give --data another one.",
            ) from error
        by_anchor = {each.cloud_anchor: each for each in found}
        for group, member in self._connection.execute(
            "SELECT grp, member FROM links WHERE tenant = ?", (tenant_id,)
        ):
            by_anchor[group].members.add(member)
        for each in found:
            store.restore(each)
        return bool(found)

    def write(self, tenant_id: str, writes: Writes) -> None:
        """Writes what changed, wholly or not at all; without a file there is nobody to read it."""
        if not self._keeps or not (writes.objects or writes.links):
            return
        with self._lock, self._connection as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO objects VALUES (?, ?, ?)",
                (
                    (tenant_id, each.cloud_anchor, _ENCODER.encode(_body_of(each)))
                    for each in writes.objects
                ),
            )
            for change in writes.links:
                # sorted: neighbours in the table are written together
                connection.executemany(
                    "INSERT OR IGNORE INTO links VALUES (?, ?, ?)",
                    ((tenant_id, change.group, member) for member in sorted(change.added)),
                )
                connection.executemany(
                    "DELETE FROM links WHERE tenant = ? AND grp = ? AND member = ?",
                    ((tenant_id, change.group, member) for member in sorted(change.removed)),
                )


def _version_of(each: CloudObject) -> int:
    return each.version


def _body_of(each: CloudObject) -> dict[str, Any]:
    return {
        "type": each.object_type.value,
        "cloudAnchor": each.cloud_anchor,
        "sourceAnchor": each.source_anchor,
        "synced": each.synced,
        "syncBlocked": each.sync_blocked,
        "roles": sorted(each.standing.roles),
        "eligibleRoles": sorted(each.standing.eligible_roles),
        "licensed": each.standing.licensed,
        "attributes": [[name, _plain(value)] for name, value in each.attributes.items()],
        "deleted": each.deleted,
        "version": each.version,
        "names": {
            "userPrincipalName": each.names.user_principal_name,
            "mailNickname": each.names.mail_nickname,
            "addresses": each.names.addresses,
            "mail": each.names.mail,
            "claims": sorted(each.names.claims),
            "quarantined": dict(each.names.quarantined),
        },
    }


def _object_of(body: dict[str, Any]) -> CloudObject:
    names = body["names"]
    return CloudObject(
        object_type=SyncObjectType(body["type"]),
        cloud_anchor=body["cloudAnchor"],
        source_anchor=body["sourceAnchor"],
        synced=body["synced"],
        sync_blocked=body["syncBlocked"],
        standing=Standing(
            roles=frozenset(body["roles"]),
            eligible_roles=frozenset(body["eligibleRoles"]),
            licensed=body["licensed"],
        ),
        attributes=Attributes((name, _rich(value)) for name, value in body["attributes"]),
        deleted=body["deleted"],
        version=body["version"],
        names=Names(
            user_principal_name=names["userPrincipalName"],
            mail_nickname=names["mailNickname"],
            addresses=tuple(names["addresses"]),
            mail=names["mail"],
            claims=frozenset(names["claims"]),
            quarantined={name: tuple(found) for name, found in names["quarantined"].items()},
        ),
    )


def _plain(value: Value) -> Any:
    if isinstance(value, bytes):
        return {_BINARY: base64.b64encode(value).decode()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def _rich(value: Any) -> Any:
    if isinstance(value, dict):
        return base64.b64decode(value[_BINARY])
    return tuple(_rich(item) for item in value) if isinstance(value, list) else value
