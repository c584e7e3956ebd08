"""How many checks begin at once: after a restart, or an outage, very many may be due together."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Hashable
from typing import Final

BURST: Final = 20
"""Checks that may begin at once."""
GAP: Final = dt.timedelta(milliseconds=250)
"""Time between two checks beyond: a thousand begin within about four minutes."""
_FORGOTTEN_AFTER: Final = dt.timedelta(minutes=10)
"""A place that nobody came for: what it was kept for is gone."""


class CheckPace:
    """Gives each check that is due a moment to begin; safe to call from several threads.

    In memory only: an operator that was restarted begins with an empty queue, and fills it anew.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._places: dict[Hashable, dt.datetime] = {}
        self._next = dt.datetime.min.replace(tzinfo=dt.UTC)

    def moment_for(self, key: Hashable, now: dt.datetime) -> dt.datetime:
        """When the check of a key may begin; at most `now` when it may begin at once.

        A place that was told is kept for whoever comes back for it.
        """
        with self._lock:
            place = self._places.get(key)
            if place is None or place > self._last_place(now):
                place = self._take_place(now)
            if place <= now:
                self._places.pop(key, None)
            else:
                self._forget_old(now)
                self._places[key] = place
            return place

    def _take_place(self, now: dt.datetime) -> dt.datetime:
        earliest = now - GAP * (BURST - 1)
        place = max(min(self._next, self._last_place(now)), earliest)
        self._next = place + GAP
        return place

    def _last_place(self, now: dt.datetime) -> dt.datetime:
        """Where the queue ends; a clock that was set back leaves nobody waiting beyond."""
        return now + GAP * (len(self._places) + 1)

    def _forget_old(self, now: dt.datetime) -> None:
        old = [key for key, place in self._places.items() if now - place > _FORGOTTEN_AFTER]
        for key in old:
            del self._places[key]
