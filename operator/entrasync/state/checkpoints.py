"""What was sent to the tenant and what became of it, noted before and after each call."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Final, NamedTuple

from entrasync.entra.contracts import PropertyValue
from entrasync.state.database import Database
from entrasync.state.plan_rows import PlanRow, RowReader
from entrasync.state.rows import decode_properties, encode_properties
from entrasync.state.schema import Part

META_PENDING: Final = "pending-batch"
META_PACING: Final = "write-quota"
"""What was written to the tenant within the last minutes."""
META_BATCH_SIZE: Final = "batch-size"
"""Objects a request had in the end."""

_CHUNK: Final = 500
"""Names looked up together."""
_PAGE: Final = 1_000
_OF_INTERRUPTED: Final = (
    "anchors.anchor IN (SELECT value FROM json_each("  # noqa: S608  - a name of ours
    f"(SELECT value FROM meta WHERE key = '{META_PENDING}')))"
)
_STRIKE_WHOLE: Final = (
    "DELETE FROM pending WHERE anchor = ? AND part = ?"
    " AND (SELECT COUNT(*) FROM json_each(properties)) <= ?"
)
_OF_CHANGE: Final = "plan.anchor = ? AND plan.part = ? AND plan.temporary IS NULL"


@dataclass(slots=True, frozen=True, kw_only=True)
class Failure:
    """What the service refused, until it takes it.

    Attributes:
        anchor: SourceAnchor of the object.
        part: what of it.
        code: why.
        message: what to do about it.
        attempts: how often the same was refused.
        first_time: when it was refused first.
        next_try: from when on it is tried again.
        wanted: fingerprint of what was refused.
    """

    anchor: str
    part: Part
    code: str
    message: str
    attempts: int
    first_time: dt.datetime
    next_try: dt.datetime
    wanted: bytes


class Taken(NamedTuple):
    """What the service took of a change; see `Checkpoints.strike`."""

    anchor: int
    part: int
    properties: Mapping[str, PropertyValue]
    whole: bool


class Checkpoints:
    """Notes of exports.

    Args:
        database: the state's file.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection = database.connection

    # --- calls -----------------------------------------------------------------------------

    def record_intent(self, anchors: Iterable[str], facts: Mapping[str, str] | None = None) -> None:
        """Remembers, before an export call, which objects it may change, and facts with it."""
        with self._database.transaction():
            self._database.put(META_PENDING, json.dumps(sorted(anchors)))
            for key, value in (facts or {}).items():
                self._database.put(key, value)

    def pending(self) -> list[str]:
        """Anchors of an export call whose results were never recorded."""
        value = self._database.get(META_PENDING)
        return [] if value is None else [str(anchor) for anchor in json.loads(value)]

    def forget_intent(self) -> None:
        """Says that what an interrupted call did is known, from reading the tenant back."""
        self._database.put(META_PENDING, None)

    @contextmanager
    def results(self) -> Iterator[None]:
        """One transaction for the results of an export call; clears the intent.

        Whatever else is written to the state meanwhile is part of it.
        """
        with self._database.transaction():
            yield
            self.forget_intent()

    def interrupted(self) -> Iterator[PlanRow]:
        """What was planned of the objects of such a call: of links, what is left to be done."""
        reader, after = RowReader(self._connection, _OF_INTERRUPTED), 0
        while rows := reader.page(after, _PAGE):
            yield from rows
            after = rows[-1].position

    # --- what was planned ------------------------------------------------------------------

    def sizes(self) -> dict[tuple[int, int], tuple[int, int]]:
        """Changes of the plan that are not held back, and their links, by phase and step."""
        rows = self._connection.execute(
            "SELECT phase, step, COUNT(*), SUM(links) FROM plan WHERE held IS NULL"
            " GROUP BY phase, step"
        )
        return {(phase, step): (changes, links) for phase, step, changes, links in rows}

    def is_planned(self, anchor: int, part: Part) -> bool:
        """Whether a change of an object is to be sent in this run."""
        row = self._connection.execute(
            f"SELECT 1 FROM plan WHERE {_OF_CHANGE} AND held IS NULL LIMIT 1",  # noqa: S608  - ours
            (anchor, part),
        ).fetchone()
        return row is not None

    def phase_digest(self, phase: int) -> str:
        """Names exactly the changes of one phase of the plan, whatever their order."""
        total = hashlib.sha256()
        for (fingerprint,) in self._connection.execute(
            "SELECT fingerprint FROM plan WHERE phase = ? ORDER BY fingerprint", (phase,)
        ):
            total.update(fingerprint)
        return total.hexdigest()

    def was_taken(self, anchor: int, part: Part, action: str | None = None) -> bool:
        """Whether a change of this plan was sent and taken, only such with an action if given."""
        row = self._connection.execute(
            f"SELECT 1 FROM plan WHERE {_OF_CHANGE} AND plan.held IS NULL"  # noqa: S608  - ours
            " AND (?3 IS NULL OR plan.action = ?3) AND NOT EXISTS (SELECT 1 FROM pending"
            " WHERE pending.anchor = plan.anchor AND pending.part = plan.part) LIMIT 1",
            (anchor, part, action),
        ).fetchone()
        return row is not None

    def taken_objects(self, anchors: Iterable[int]) -> set[int]:
        """Of some objects, by number, those whose own change was sent in this run and taken."""
        rows = self._connection.execute(
            "SELECT plan.anchor FROM json_each(?) AS each CROSS JOIN plan"
            " ON plan.anchor = each.value AND plan.part = 0 AND plan.temporary IS NULL"
            " AND plan.held IS NULL AND NOT EXISTS (SELECT 1 FROM pending"
            " WHERE pending.anchor = plan.anchor AND pending.part = 0)",
            (json.dumps(list(anchors)),),
        )
        return {anchor for (anchor,) in rows}

    def absent_members(self, owner: int) -> frozenset[str]:
        """SourceAnchors of the members to be added to a group that the tenant does not hold."""
        rows = self._connection.execute(
            "SELECT anchors.anchor FROM pending_links JOIN anchors ON anchors.id = member"
            " WHERE owner = ? AND adds AND NOT EXISTS"
            " (SELECT 1 FROM cloud_objects WHERE cloud_objects.anchor = member)",
            (owner,),
        )
        return frozenset(anchor for (anchor,) in rows)

    # --- names -----------------------------------------------------------------------------

    def names(self, numbers: Iterable[int]) -> list[str]:
        """Anchors of numbers, in no order."""
        found: list[str] = []
        rest = iter(numbers)
        while chunk := list(islice(rest, _CHUNK)):
            rows = self._connection.execute(
                "SELECT anchor FROM anchors WHERE id IN (SELECT value FROM json_each(?))",
                (json.dumps(chunk),),
            )
            found += [str(name) for (name,) in rows]
        return found

    # --- what was taken --------------------------------------------------------------------

    def strike(
        self, anchor: int, part: Part, properties: Mapping[str, PropertyValue], *, whole: bool
    ) -> None:
        """Strikes off what the service took of a change; what is left of it stays pending.

        Args:
            anchor: number of the object's anchor.
            part: what of the object it is about.
            properties: what was taken.
            whole: whether each value is the planned one.
        """
        of_change = (anchor, part)
        with self._database.transaction():
            if (
                whole
                and self._connection.execute(_STRIKE_WHOLE, (*of_change, len(properties))).rowcount
            ):
                return
            row = self._connection.execute(
                "SELECT properties, previous FROM pending WHERE anchor = ? AND part = ?", of_change
            ).fetchone()
            if row is None:
                return
            wanted, previous = map(decode_properties, row)
            left = {
                key: value
                for key, value in wanted.items()
                if key not in properties or properties[key] != value
            }
            previous = {key: value for key, value in previous.items() if key in left}
            self._connection.execute(
                "UPDATE pending SET properties = ?, previous = ?,"
                " action = CASE action WHEN 'add' THEN 'update' ELSE action END"
                " WHERE anchor = ? AND part = ?",
                (encode_properties(left), encode_properties(previous), *of_change),
            )

    def strike_all(self, taken: Sequence[Taken]) -> None:
        """Strikes off what the service took of several changes; see `strike`."""
        whole = [(each.anchor, each.part, len(each.properties)) for each in taken if each.whole]
        with self._database.transaction():
            struck = self._connection.executemany(_STRIKE_WHOLE, whole).rowcount if whole else 0
            if struck < len(taken):  # of some there is something left
                for anchor, part, properties, is_whole in taken:
                    self.strike(anchor, Part(part), properties, whole=is_whole)

    def strike_links(self, owner: int, links: Iterable[tuple[int, bool]]) -> None:
        """Strikes off links that the service took: who, and whether it was added."""
        with self._database.transaction():
            self._connection.executemany(
                "DELETE FROM pending_links WHERE owner = ? AND member = ? AND adds = ?",
                ((owner, member, int(adds)) for member, adds in links),
            )

    def forget_failure(self, anchor: int, part: Part) -> None:
        """Says that the service took what it had refused."""
        with self._database.transaction():
            self._connection.execute(
                "DELETE FROM failures WHERE anchor = ? AND part = ?", (anchor, part)
            )

    # --- what was refused ------------------------------------------------------------------

    def failure(self, anchor: int, part: Part) -> Failure | None:
        """What was refused of an object, `None` when nothing was."""
        row = self._connection.execute(
            f"{_FAILURES} WHERE failures.anchor = ? AND part = ?", (anchor, part)
        ).fetchone()
        return None if row is None else _failure(row)

    def failures(self) -> Iterator[Failure]:
        """Everything that was refused and not taken since, page by page."""
        last = (0, -1)
        while True:
            rows = self._connection.execute(
                f"{_FAILURES} WHERE (failures.anchor, part) > (?, ?)"
                " ORDER BY failures.anchor, part LIMIT ?",
                (*last, _PAGE),
            ).fetchall()
            if not rows:
                return
            yield from map(_failure, rows)
            last = rows[-1][0], rows[-1][1]

    def failure_counts(self) -> Counter[str]:
        """How much was refused and not taken since, by code."""
        rows = self._connection.execute("SELECT code, COUNT(*) FROM failures GROUP BY code")
        return Counter({str(code): int(count) for code, count in rows})

    def record_failure(self, failure: Failure) -> None:
        """Remembers what was refused, in place of what was known of the same."""
        with self._database.transaction():
            self._connection.execute(
                "INSERT OR REPLACE INTO failures"
                " (anchor, part, code, message, attempts, first_time, next_try, wanted)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    self._database.anchor_number(failure.anchor),
                    failure.part,
                    failure.code,
                    failure.message,
                    failure.attempts,
                    _moment(failure.first_time),
                    _moment(failure.next_try),
                    failure.wanted,
                ),
            )

    def forget_unplanned_failures(self) -> int:
        """Forgets what was refused and is planned no longer; returns how much that was."""
        with self._database.transaction():
            return self._connection.execute(
                "DELETE FROM failures WHERE NOT EXISTS (SELECT 1 FROM plan"
                " WHERE plan.anchor = failures.anchor AND plan.part = failures.part)"
            ).rowcount

    def hold_refused(self, now: dt.datetime, reason: str, phase: int) -> int:
        """Holds back changes of which exactly the same was refused, until they are due again.

        Args:
            now: the time.
            reason: why, for the plan.
            phase: whose changes are left alone.

        Returns:
            How many are held back.
        """
        with self._database.transaction():
            return self._connection.execute(
                "UPDATE plan SET held = ?1 FROM failures WHERE plan.anchor = failures.anchor"
                " AND plan.part = failures.part AND plan.fingerprint = failures.wanted"
                " AND failures.next_try > ?2 AND plan.held IS NULL AND plan.phase <> ?3",
                (reason, _moment(now), phase),
            ).rowcount

    # --- brakes' window --------------------------------------------------------------------

    def spend(self, now: dt.datetime, counts: Mapping[str, int]) -> None:
        """Remembers what counts against the brakes' window."""
        with self._database.transaction():
            self._connection.executemany(
                "INSERT INTO spent (time, sort, count) VALUES (?, ?, ?)",
                [(_moment(now), sort, count) for sort, count in counts.items() if count],
            )

    def spent_since(self, start: dt.datetime) -> dict[str, int]:
        """What was spent since a moment, by sort."""
        return dict(
            self._connection.execute(
                "SELECT sort, SUM(count) FROM spent WHERE time >= ? GROUP BY sort",
                (_moment(start),),
            )
        )


_FAILURES: Final = (
    "SELECT failures.anchor, part, anchors.anchor, code, message, attempts, first_time, next_try,"
    " wanted FROM failures JOIN anchors ON anchors.id = failures.anchor"
)


def _failure(row: tuple[int, int, str, str, str, int, str, str, bytes]) -> Failure:
    _, part, anchor, code, message, attempts, first_time, next_try, wanted = row
    return Failure(
        anchor=anchor,
        part=Part(part),
        code=code,
        message=message,
        attempts=attempts,
        first_time=dt.datetime.fromisoformat(first_time),
        next_try=dt.datetime.fromisoformat(next_try),
        wanted=bytes(wanted),
    )


def _moment(time: dt.datetime) -> str:
    """A time as text that sorts as times do."""
    return time.astimezone(dt.UTC).isoformat()
