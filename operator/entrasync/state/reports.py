"""Results and plans of the last runs, for the operator and for people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from entrasync.state.database import Database

KEPT_RESULTS: Final = 50
KEPT_PLANS: Final = 20
MOST_LINES: Final = 50_000
"""Lines of a plan that are kept."""
_PAGE: Final = 1_000


@dataclass(slots=True, frozen=True, kw_only=True)
class KeptResult:
    """The result of a run.

    Attributes:
        run: its name.
        time: when it ended, RFC 3339.
        result: JSON.
    """

    run: str
    time: str
    result: str


@dataclass(slots=True, frozen=True, kw_only=True)
class KeptPlan:
    """The plan of a run; its lines are read by `Reports.plan_lines`.

    Attributes:
        run: its name.
        time: when it was planned, RFC 3339.
        digest: of all its changes.
        head: JSON.
    """

    run: str
    time: str
    digest: str
    head: str


class Reports:
    """What is kept of earlier runs.

    Args:
        database: the open state.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.connection

    # --- results ---------------------------------------------------------------------------

    def keep_result(self, run: str, now: dt.datetime, result: str) -> None:
        """Keeps the result of a run; the oldest of more than fifty are dropped."""
        with self._database.transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO results (run, time, result) VALUES (?, ?, ?)",
                (run, now.isoformat(), result),
            )
            self._connection.execute(
                "DELETE FROM results WHERE run NOT IN"
                " (SELECT run FROM results ORDER BY time DESC, run DESC LIMIT ?)",
                (KEPT_RESULTS,),
            )

    def result(self, run: str) -> str | None:
        """The result of a run."""
        row = self._connection.execute(
            "SELECT result FROM results WHERE run = ?", (run,)
        ).fetchone()
        return None if row is None else str(row[0])

    def results(self) -> list[KeptResult]:
        """Results, newest first."""
        return [
            KeptResult(run=run, time=time, result=result)
            for run, time, result in self._connection.execute(
                "SELECT run, time, result FROM results ORDER BY time DESC, run DESC"
            )
        ]

    # --- plans -----------------------------------------------------------------------------

    def keep_plan(
        self, run: str, time: dt.datetime, digest: str, head: str, lines: Iterable[str]
    ) -> int:
        """Keeps a plan; returns how many of its lines are kept.

        The oldest of more than twenty plans are dropped.

        Args:
            run: name of the run.
            time: when it was planned.
            digest: of all its changes.
            head: JSON.
            lines: JSON, the most important ones first; no more than 50,000 are kept.
        """
        execute = self._connection.execute
        numbered = enumerate(islice(lines, MOST_LINES))
        with self._database.transaction():
            self._drop(run)
            execute("INSERT INTO plans VALUES (?, ?, ?, ?)", (run, time.isoformat(), digest, head))
            self._connection.executemany(
                "INSERT INTO plan_lines VALUES (?, ?, ?)",
                ((run, number, line) for number, line in numbered),
            )
            for (old,) in execute(
                "SELECT run FROM plans ORDER BY time DESC, run DESC LIMIT -1 OFFSET ?",
                (KEPT_PLANS,),
            ).fetchall():
                self._drop(old)
        (count,) = execute("SELECT COUNT(*) FROM plan_lines WHERE run = ?", (run,)).fetchone()
        return int(count)

    def plan(self, run: str) -> KeptPlan | None:
        """The plan of a run, as far as it is kept."""
        return next((plan for plan in self.plans() if plan.run == run), None)

    def plans(self) -> list[KeptPlan]:
        """All plans that are kept, newest first."""
        return [
            KeptPlan(run=run, time=time, digest=digest, head=head)
            for run, time, digest, head in self._connection.execute(
                "SELECT run, time, digest, head FROM plans ORDER BY time DESC, run DESC"
            )
        ]

    def plan_lines(self, run: str) -> Iterator[str]:
        """Lines of a plan, page by page."""
        after = -1
        while rows := self._connection.execute(
            "SELECT number, line FROM plan_lines WHERE run = ? AND number > ?"
            " ORDER BY number LIMIT ?",
            (run, after, _PAGE),
        ).fetchall():
            yield from (str(line) for _, line in rows)
            after = rows[-1][0]

    def _drop(self, run: str) -> None:
        for table in ("plans", "plan_lines"):
            self._connection.execute(f"DELETE FROM {table} WHERE run = ?", (run,))  # noqa: S608  - names of ours
