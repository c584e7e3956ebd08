"""Accounts that additions might meet, by their names: kept for one run, outside of the file."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

from entrasync.entra.contracts import SyncObjectType
from entrasync.entra.graph import Account
from entrasync.state.database import Database
from entrasync.state.schema import Part

_MOST_KEYS: Final = 500
"""Keys that one query asks for."""
_TABLES: Final = (
    "CREATE TEMP TABLE met_accounts (id INTEGER PRIMARY KEY, content TEXT NOT NULL)",
    """CREATE TEMP TABLE met_keys (
        key TEXT NOT NULL, account INTEGER NOT NULL, PRIMARY KEY (key, account)
    ) WITHOUT ROWID""",
)


def addition_types(database: Database) -> dict[SyncObjectType, int]:
    """How many additions the plan has, by type; types without any are absent."""
    rows = database.connection.execute(
        "SELECT type, count(*) FROM plan WHERE action = 'add' AND part = ? GROUP BY type",
        (Part.OBJECT,),
    )
    return {SyncObjectType(name): count for name, count in rows}


class MetAccounts:
    """Accounts of the tenant by keys; empty when made.

    Args:
        database: the open file, whose temporary tables hold them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._number = 0
        self.close()
        for table in _TABLES:
            database.connection.execute(table)

    def close(self) -> None:
        """Forgets them."""
        for name in ("met_accounts", "met_keys"):
            self._database.connection.execute(f"DROP TABLE IF EXISTS temp.{name}")

    def add(self, accounts: Iterable[tuple[Account, Sequence[str]]]) -> None:
        """Keeps accounts, each with the keys it is found by."""
        rows, keys = [], []
        for account, names in accounts:
            self._number += 1
            rows.append((self._number, _encode(account)))
            keys += [(name, self._number) for name in names]
        connection = self._database.connection
        with self._database.transaction():
            connection.executemany("INSERT INTO met_accounts VALUES (?, ?)", rows)
            connection.executemany("INSERT OR IGNORE INTO met_keys VALUES (?, ?)", keys)

    def found(self, keys: Iterable[str]) -> Mapping[str, list[Account]]:
        """Accounts by those of the keys that some have; each account once a key."""
        found: defaultdict[str, dict[str, Account]] = defaultdict(dict)
        remaining = iter(keys)
        while some := list(islice(remaining, _MOST_KEYS)):
            marks = ",".join("?" * len(some))
            rows = self._database.connection.execute(
                "SELECT key, content FROM met_keys JOIN met_accounts ON id = account"  # noqa: S608  - question marks
                f" WHERE key IN ({marks}) ORDER BY account",
                some,
            )
            for key, content in rows:
                account = _decode(content)
                found[key][account.id] = account
        return {key: list(accounts.values()) for key, accounts in found.items()}


def _encode(account: Account) -> str:
    return json.dumps(
        [
            account.id,
            account.object_type,
            account.synced,
            account.immutable_id,
            account.user_principal_name,
            account.addresses,
            account.deleted,
        ],
        separators=(",", ":"),
        ensure_ascii=False,
    )


def _decode(content: str) -> Account:
    found, object_type, synced, immutable_id, name, addresses, deleted = json.loads(content)
    return Account(
        id=found,
        object_type=SyncObjectType(object_type),
        synced=synced,
        immutable_id=immutable_id,
        user_principal_name=name,
        addresses=tuple(addresses),
        deleted=deleted,
    )
