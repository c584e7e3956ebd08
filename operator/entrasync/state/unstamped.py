"""Users whose anchor is to be written into the directory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from entrasync.state.database import Database
from entrasync.state.rows import guid_bytes, guid_text
from entrasync.state.schema import Kind

META_FOLLOWED: Final = "unstamped-followed"
"""Name of the attribute, while users without it are kept track of."""
META_LAST: Final = "unstamped-last:"
"""Before the name of a source: number of the one that was looked at last."""

PAGE: Final = 500
"""Users looked at at a time."""
_WAITING: Final = (
    "SELECT u.object, g.guid FROM unstamped u CROSS JOIN source_objects o ON o.id = u.object"
    " CROSS JOIN sources s ON s.id = o.source CROSS JOIN parts p ON p.object = u.object"
    " CROSS JOIN guids g ON g.id = u.object"
    " WHERE s.name = ? AND p.rule IS NULL AND p.withheld IS NULL AND p.anchor = p.computed"
    " AND u.object > ? AND u.object <= ? ORDER BY u.object LIMIT ?"
)
_SMALLEST: Final = -1
_LARGEST: Final = (1 << 63) - 1


class Unstamped:
    """The users without an attribute, kept so that a run without changes looks at none of them.

    Args:
        database: the open state.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.connection

    def follow(self, attribute: str) -> None:
        """Takes up who lacks an attribute: what was imported since, at first everybody.

        Before the evaluation, which forgets what was imported.
        """
        lacks = f"kind = {Kind.USER:d} AND json_type(attributes, '$.\"' || ? || '\"') IS NULL"
        execute = self._connection.execute
        with self._database.transaction():
            if self._database.get(META_FOLLOWED) == attribute:
                execute(
                    "DELETE FROM unstamped WHERE object IN (SELECT object FROM changed_objects)"
                )
                execute(
                    "INSERT INTO unstamped SELECT o.id FROM changed_objects x"  # noqa: S608  - as above
                    f" CROSS JOIN source_objects o ON o.id = x.object WHERE {lacks}",
                    (attribute,),
                )
                return
            execute("DELETE FROM unstamped")
            execute(
                f"INSERT INTO unstamped SELECT id FROM source_objects WHERE {lacks}",  # noqa: S608  - as above
                (attribute,),
            )
            self._database.put(META_FOLLOWED, attribute)

    def forget(self) -> None:
        """Keeps track of nobody any longer."""
        if self._database.get(META_FOLLOWED) is None:
            return
        with self._database.transaction():
            self._connection.execute("DELETE FROM unstamped")
            self._database.put(META_FOLLOWED, None)

    def waiting(self, source: str) -> Iterator[str]:
        """Users of a source, by objectGUID, whose anchor is the one their own values give.

        In turn: begins behind the one that was looked at last, so that those who are refused again
        and again do not keep the others from it.
        """
        start = int(self._database.get(f"{META_LAST}{source}") or _SMALLEST)
        for after, end in ((start, _LARGEST), (_SMALLEST, start)):
            last = after
            while rows := self._connection.execute(_WAITING, (source, last, end, PAGE)).fetchall():
                yield from (guid_text(guid) for _, guid in rows)
                last = rows[-1][0]

    def strike_off(self, source: str, guids: Iterable[str], last: str) -> None:
        """Takes users off that need not be looked at again until something of them changes.

        Args:
            source: whose they are.
            guids: their objectGUIDs.
            last: objectGUID of the one that was looked at last.
        """
        with self._database.transaction():
            self._connection.executemany(
                "DELETE FROM unstamped WHERE object = (SELECT id FROM guids WHERE guid = ?)",
                [(guid_bytes(guid),) for guid in guids],
            )
            number = self._database.guid_number(guid_bytes(last))
            self._database.put(f"{META_LAST}{source}", str(number))
