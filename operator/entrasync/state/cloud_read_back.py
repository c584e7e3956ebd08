"""Taking a read-back of everything in, at the end of which what was not told of is gone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from typing_extensions import override

from entrasync.state.cloud_reading import ReadBackRules, Reading
from entrasync.state.database import Database
from entrasync.state.drift import DriftSpace

_PAGE: Final = 1000
"""Objects removed together."""


class FullReadBack(Reading):
    """Takes a read-back of everything, page by page.

    Until `finish`, what was not seen yet is still there: a run that is killed in between loses
    nothing, and the next one begins again.

    Args:
        database: the open state.
        drift: told what differs of what is owned.
        rules: how it is taken.
    """

    def __init__(self, database: Database, drift: DriftSpace, rules: ReadBackRules) -> None:
        super().__init__(database, drift, rules, changes=False)
        self._looked_at = 0
        self.restart()

    def restart(self) -> None:
        """Begins again: what was seen belongs to a snapshot that the service gave up."""
        self._connection.execute("DROP TABLE IF EXISTS temp.seen_in_cloud")
        self._connection.execute("CREATE TEMP TABLE seen_in_cloud (anchor INTEGER PRIMARY KEY)")

    @override
    def seen(self, numbers: Iterable[int]) -> None:
        """Remembers what a page names."""
        self._connection.executemany(
            "INSERT OR IGNORE INTO temp.seen_in_cloud VALUES (?)", ((n,) for n in numbers)
        )

    def finish(self) -> int:
        """Removes what was not seen, and its links; returns how many objects that were."""
        gone = 0
        with self._database.transaction():
            while page := self._unseen():
                for number in page:
                    self._links.drop_owner(number)
                self._remove(page)
                gone += len(page)
            self._connection.execute(
                "DELETE FROM cloud_aliases WHERE anchor NOT IN temp.seen_in_cloud"
            )
            self._connection.execute("DROP TABLE temp.seen_in_cloud")
        return gone

    def _unseen(self) -> list[int]:
        rows = self._connection.execute(
            "SELECT anchor FROM cloud_objects WHERE anchor > ? AND anchor NOT IN"
            " (SELECT anchor FROM temp.seen_in_cloud) ORDER BY anchor LIMIT ?",
            (self._looked_at, _PAGE),
        )
        page = [anchor for (anchor,) in rows]
        self._looked_at = page[-1] if page else self._looked_at
        return page

    def _remove(self, numbers: Iterable[int]) -> None:
        rows = [(number,) for number in numbers]
        self._connection.executemany("INSERT OR IGNORE INTO changed_anchors VALUES (?)", rows)
        for table in ("cloud_objects", "drift"):
            self._connection.executemany(f"DELETE FROM {table} WHERE anchor = ?", rows)  # noqa: S608  - tables of ours
