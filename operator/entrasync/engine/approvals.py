"""Approvals of braked changes: each names exactly what was braked, and works once.

What is braked is remembered under its digest. An approval of it lets exactly those changes through
that are still pending, whatever else is planned by then, change by change and member by member: a
run killed half-way, or a group sent in part, goes on with the rest without asking again. What is
done is struck off, and after a week the rest expires.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from entrasync.engine.brakes import spent_by
from entrasync.engine.changes import Action, PlannedChange, digest_of
from entrasync.state.store import Store

GOOD_FOR: Final = dt.timedelta(days=7)
"""How long an approval is good, from when it was first offered, and again from when it was used."""
SETS_KEPT: Final = dt.timedelta(days=30)


class Approvals:
    """Approvals of one sync, kept in its state.

    Args:
        store: the state.
        now: the time of this run.
    """

    def __init__(self, store: Store, now: dt.datetime) -> None:
        self._plan = store.plan
        self._brakes = store.plan.brakes
        self._space = store.plan.approvals
        self._now = now.astimezone(dt.UTC)

    # --- before the brakes -----------------------------------------------------------------

    def begin(self, offered: Sequence[str]) -> None:
        """Lets through what was approved earlier; notes what is offered.

        Args:
            offered: digests that the configuration approves now.
        """
        self._space.offer(offered, self._until)
        self._space.expire(self._now.isoformat())

    def usable(self, offered: Iterable[str]) -> list[str]:
        """Digests of sets known here that were neither used nor offered too long ago."""
        now = self._now.isoformat()
        return [
            each
            for each in dict.fromkeys(offered)
            if self._space.knows_set(each) and self._space.usable(each, now)
        ]

    def let_through(self, digest: str, *, use: bool) -> None:
        """Lets through what of a set is still pending.

        Args:
            digest: of the set.
            use: whether the approval is used up; else this run only looks.
        """
        self._space.cover(digest)
        if use:
            self._space.use(digest, self._now.isoformat(), self._until)

    def remember(self) -> str:
        """Remembers what is braked now; returns its digest.

        What is braked once more after an approval of it was used up, or expired, has another name:
        by the old one nobody could let it through.
        """
        now = self._now.isoformat()
        digest = digest_of(self._brakes.fingerprints(_name_of_removal))
        while not self._space.usable(digest, now):
            digest = digest_of([digest.encode()])
        oldest = self._now - SETS_KEPT
        self._space.remember_set(digest, now, oldest.isoformat())
        return digest

    @property
    def _until(self) -> str:
        return (self._now + GOOD_FOR).isoformat()

    # --- during the export -----------------------------------------------------------------

    def covers(self, change: PlannedChange) -> bool:
        """Whether an approval lets this through: of links, all that are removed here."""
        if change.action is not Action.LINKS:
            return self._space.covered(change.fingerprint)
        removed = {link.anchor for link in change.message.links if not link.add}
        return bool(removed) and removed <= self._space.covered_members(change.number)

    def spent_by(self, done: Iterable[PlannedChange]) -> dict[str, int]:
        """What changes, or parts of the links of one, count against the window."""
        if self._space.anything_covered():
            done = (self._uncovered(each) for each in done if not self.covers(each))
        return spent_by(done, self._plan.stays)

    def strike(self, done: Iterable[PlannedChange]) -> None:
        """Strikes off what was done: whole changes, or parts of the links of one."""
        fingerprints: list[bytes] = []
        links: list[tuple[int, str]] = []
        for change in done:
            if change.action is Action.LINKS:
                links += [
                    (change.number, link.anchor) for link in change.message.links if not link.add
                ]
            elif not change.temporary:
                fingerprints.append(change.fingerprint)
        self._space.strike(fingerprints, links)

    def settle(self, done: Sequence[PlannedChange]) -> dict[str, int]:
        """Strikes off what was done; returns what of it counts against the window."""
        self.strike(done)
        return self.spent_by(done)

    def _uncovered(self, change: PlannedChange) -> PlannedChange:
        if change.action is not Action.LINKS:
            return change
        covered = self._space.covered_members(change.number)
        links = tuple(
            link for link in change.message.links if link.add or link.anchor not in covered
        )
        return replace(change, message=replace(change.message, links=links))


def _name_of_removal(group: str, members: list[str]) -> bytes:
    line = json.dumps(["unlink", group, members], separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(line.encode()).digest()
