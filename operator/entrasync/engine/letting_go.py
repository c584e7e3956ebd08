"""Who let go of a value for a moment, and whether that is worth doing again."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from entrasync.engine.plan import Phase, PlannedChange, digest_of
from entrasync.engine.releases import UNIQUE_KEYS
from entrasync.state.store import Store

META_GIVEN_BACK: Final = "given-back"
RESTS: Final = dt.timedelta(hours=6)
"""How long a swap that was refused is not begun again, unless something about it changed: whoever
lets go cannot sign in meanwhile, and a run may come every half hour."""


class LettingGo:
    """Objects without a value of theirs until their own change is taken.

    Args:
        store: remembers whose swaps were refused.
        changes: the plan.
        now: the time.
    """

    def __init__(self, store: Store, changes: Sequence[PlannedChange], now: dt.datetime) -> None:
        self._store = store
        self._now = now
        self._digest = digest_of(each for each in changes if each.phase is Phase.RELEASES)
        self._open: dict[str, PlannedChange] = {}
        known = json.loads(store.get(META_GIVEN_BACK) or "{}")
        good = known.get("releases") == self._digest and known.get("until", "") > now.isoformat()
        self._resting = frozenset(known["anchors"]) if good else frozenset()

    def __bool__(self) -> bool:
        """Whether anybody is without a value of theirs."""
        return bool(self._open)

    def rests(self, change: PlannedChange) -> bool:
        """Whether a change would begin a swap that was refused not long ago."""
        return change.temporary and change.message.source_anchor in self._resting

    def note(self, change: PlannedChange) -> None:
        """Takes notice of a change that the service took."""
        anchor = change.message.source_anchor
        if change.temporary and anchor not in self._open:
            self._open[anchor] = change
        elif not UNIQUE_KEYS.isdisjoint(change.message.properties):
            self._open.pop(anchor, None)

    def give_back(self) -> list[PlannedChange]:
        """What restores those whose own change was refused; remembered before it is sent."""
        if self._open:
            kept = {
                "releases": self._digest,
                "anchors": sorted(self._open),
                "until": (self._now + RESTS).isoformat(),
            }
            self._store.put(META_GIVEN_BACK, json.dumps(kept))
        return [
            replace(change, message=replace(change.message, properties=change.previous))
            for change in self._open.values()
        ]

    def close(self) -> list[PlannedChange]:
        """What could not be restored; it is left as it is."""
        left = list(self._open.values())
        self._open.clear()
        return left
