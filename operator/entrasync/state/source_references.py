"""What objects of the sources refer to: told lists compared with known ones, by set operations.

What is told is put into temporary tables first: links come by the million.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from sqlite3 import Connection
from typing import Final

from entrasync.directory.model import DN_ATTRIBUTES, SourceEntry
from entrasync.state.database import Database
from entrasync.state.rows import guid_bytes
from entrasync.state.schema import MEMBER

GUID_BYTES: Final = 16
_NAMING: Final = {name.lower(): name for name in DN_ATTRIBUTES}
_PRINCIPAL: Final = b"foreignSecurityPrincipal"

_PAIR: Final = (
    "owner INTEGER NOT NULL, attribute INTEGER NOT NULL, target INTEGER NOT NULL,"
    " PRIMARY KEY (owner, attribute, target)"
)
_TEMPORARY: Final = {
    "told_objects": "(place INTEGER PRIMARY KEY, id INTEGER NOT NULL, parent INTEGER,"
    " kind INTEGER NOT NULL, dn TEXT NOT NULL, sid BLOB, attributes TEXT NOT NULL)",
    "told_lists": "(owner INTEGER NOT NULL, attribute INTEGER NOT NULL, guids BLOB NOT NULL)",
    "told_pairs": f"({_PAIR}) WITHOUT ROWID",
    "lost_pairs": f"({_PAIR}) WITHOUT ROWID",
    "seen_objects": "(id INTEGER PRIMARY KEY)",
    "lost_objects": "(id INTEGER PRIMARY KEY)",
}
_LISTED: Final = 128
"""GUIDs in one row of `told_lists`, side by side: a row for each would take most of the time."""
_GUID: Final = f"substr(guids, {GUID_BYTES} * places.n + 1, {GUID_BYTES})"
_EACH: Final = f"told_lists CROSS JOIN places ON {GUID_BYTES} * places.n < length(guids)"
_TELL_PAIRS: Final = (
    "INSERT OR IGNORE INTO told_pairs SELECT owner, attribute, id"  # noqa: S608  - expressions of ours
    f" FROM {_EACH} CROSS JOIN guids ON guid = {_GUID}"
)
_OF_TOLD: Final = "owner IN (SELECT id FROM told_objects)"
_OF_ONE: Final = "owner = ? AND attribute = ?"


def make_tables(connection: Connection) -> None:
    """Makes the temporary tables that a read needs."""
    for name, columns in _TEMPORARY.items():
        connection.execute(f"CREATE TEMP TABLE IF NOT EXISTS {name} {columns}")
    connection.execute("CREATE TEMP TABLE IF NOT EXISTS places (n INTEGER PRIMARY KEY)")
    connection.executemany(
        "INSERT OR IGNORE INTO places VALUES (?)", [(place,) for place in range(_LISTED)]
    )


def empty_tables(connection: Connection) -> None:
    """Gives up what the temporary tables hold."""
    for name in _TEMPORARY:
        connection.execute(f"DELETE FROM {name}")  # noqa: S608  - tables of ours


class References:
    """Compares references that are told with those that are known.

    Args:
        database: the open state, within a transaction.
    """

    def __init__(self, database: Database) -> None:
        self._connection = database.connection
        self._attributes: dict[str, int | None] = {"member": MEMBER}

    def number_of(self, name: str) -> int | None:
        """Number of an attribute that names other objects; `None` for any other."""
        if name not in self._attributes:
            self._attributes[name] = self._numbered(_NAMING.get(name.lower()))
        return self._attributes[name]

    def _numbered(self, name: str | None) -> int | None:
        if name is None:
            return None
        execute = self._connection.execute
        execute("INSERT OR IGNORE INTO reference_attributes (name) VALUES (?)", (name,))
        found = execute("SELECT id FROM reference_attributes WHERE name = ?", (name,)).fetchone()
        return int(found[0])

    def tell(self, rows: Iterable[tuple[int, int, Sequence[str]]]) -> None:
        """Takes up what is told: owner, attribute, and the objectGUIDs of all targets."""
        execute = self._connection.execute
        execute("DELETE FROM told_lists")
        execute("DELETE FROM told_pairs")
        lists: list[tuple[int, int, bytes]] = []
        told = 0
        for owner, attribute, guids in rows:
            told += len(guids)
            lists += [(owner, attribute, packed) for packed in _packed(guids)]
        self._connection.executemany("INSERT INTO told_lists VALUES (?, ?, ?)", lists)
        if execute(_TELL_PAIRS).rowcount < told:
            # somebody is named who was not known, or twice; looking for all would take long
            execute(f"INSERT OR IGNORE INTO guids (guid) SELECT {_GUID} FROM {_EACH}")  # noqa: S608  - expressions of ours
            execute(_TELL_PAIRS)

    def add_told(self) -> None:
        """Writes what is told and was not known."""
        execute = self._connection.execute
        execute(
            "INSERT OR IGNORE INTO changed_links SELECT owner, target FROM told_pairs t"
            " WHERE attribute = ? AND NOT EXISTS (SELECT 1 FROM source_references s WHERE"
            " s.owner = t.owner AND s.attribute = t.attribute AND s.target = t.target)",
            (MEMBER,),
        )
        execute("INSERT OR IGNORE INTO source_references SELECT * FROM told_pairs")

    def remove_told(self) -> None:
        """Forgets what is told, where it was known."""
        self._lose(
            "SELECT * FROM told_pairs t WHERE EXISTS (SELECT 1 FROM source_references s WHERE"
            " s.owner = t.owner AND s.attribute = t.attribute AND s.target = t.target)"
        )

    def keep_only_told(self) -> None:
        """Makes what is told all that the objects in `told_objects` refer to."""
        self._lose_untold(_OF_TOLD)
        self.add_told()

    def keep_only_told_of(self, owner: int, attribute: int) -> None:
        """Makes what is told all that one object refers to by one attribute."""
        self._lose_untold(_OF_ONE, (owner, attribute))
        self.add_told()

    def lose_of(self, owner: int) -> None:
        """Forgets everything that an object refers to."""
        self._lose("SELECT * FROM source_references WHERE owner = ?", (owner,))

    def lose_memberships(self, member: int) -> None:
        """Forgets that an object is a member of anything.

        Other references to it stay: they are attributes of those that name it.
        """
        self._lose(
            "SELECT owner, attribute, target FROM source_references"
            " WHERE target = ? AND attribute = ?",
            (member, MEMBER),
        )

    def lose_of_lost(self) -> None:
        """Forgets everything that the objects in `lost_objects` refer to."""
        self._lose(
            "SELECT s.* FROM lost_objects CROSS JOIN source_references s"
            " ON s.owner = lost_objects.id"
        )

    def _lose_untold(self, where: str, values: Sequence[int] = ()) -> None:
        self._lose(
            f"SELECT * FROM source_references s WHERE {where}"  # noqa: S608  - one of ours
            " AND NOT EXISTS (SELECT 1 FROM told_pairs t WHERE"
            " t.owner = s.owner AND t.attribute = s.attribute AND t.target = s.target)",
            values,
        )

    def _lose(self, which: str, values: Sequence[int] = ()) -> None:
        execute = self._connection.execute
        execute("DELETE FROM lost_pairs")
        if execute(f"INSERT INTO lost_pairs {which}", values).rowcount:
            execute(
                "INSERT OR IGNORE INTO changed_links SELECT owner, target FROM lost_pairs"
                " WHERE attribute = ?",
                (MEMBER,),
            )
            execute(
                "DELETE FROM source_references WHERE (owner, attribute, target) IN"
                " (SELECT owner, attribute, target FROM lost_pairs)"
            )


def _packed(guids: Sequence[str]) -> Iterator[bytes]:
    """GUIDs side by side, so many at a time."""
    digits = "".join(guids).replace("-", "")
    if len(digits) != 2 * GUID_BYTES * len(guids):
        raise ValueError("what names an object is no GUID")
    step = 2 * GUID_BYTES * _LISTED
    for start in range(0, len(digits), step):
        yield bytes.fromhex(digits[start : start + step])


class Principals:
    """Notes which members are foreign security principals.

    Args:
        database: the open state, within a transaction.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._told: dict[str, bytes] = {}

    def tell(self, entry: SourceEntry) -> None:
        """Takes up what an entry says."""
        self._told.update(entry.foreign)
        if _PRINCIPAL in entry.attributes.get("objectClass", ()):
            sid = entry.attributes.get("objectSid")
            if sid:
                self._told[entry.guid] = sid[0]

    def stand_for_others(self, number: int, *sids: bytes | None) -> None:
        """Marks the links of an object whose objectSid is another one than before.

        Args:
            number: of the object.
            sids: before and now.
        """
        self._database.connection.execute(
            "INSERT OR IGNORE INTO changed_pairs SELECT o.anchor, p.anchor"
            " FROM foreign_principals f CROSS JOIN source_references r ON r.target = f.id"
            " AND r.attribute = ? CROSS JOIN parts o ON o.object = r.owner"
            " CROSS JOIN parts p ON p.object = ? WHERE f.sid IN (?, ?)"
            " AND o.anchor IS NOT NULL AND p.anchor IS NOT NULL",
            (MEMBER, number, *sids),
        )

    def write(self) -> None:
        """Writes what is new of it, and marks the links of those."""
        execute = self._database.connection.execute
        for guid, sid in self._told.items():
            number = self._database.guid_number(guid_bytes(guid))
            known = execute("SELECT sid FROM foreign_principals WHERE id = ?", (number,)).fetchone()
            if known is None or known[0] != sid:
                execute("INSERT OR REPLACE INTO foreign_principals VALUES (?, ?)", (number, sid))
                execute(
                    "INSERT OR IGNORE INTO changed_links SELECT owner, target"
                    " FROM source_references WHERE target = ? AND attribute = ?",
                    (number, MEMBER),
                )
        self._told.clear()
