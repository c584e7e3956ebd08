"""A queue of keys with due times: each key once, the earliest first, one worker a key.

Pure of Kubernetes. Waiting is a due time, never a sleeping task a key.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

FIRST_BACKOFF: Final = dt.timedelta(seconds=1)
LONGEST_BACKOFF: Final = dt.timedelta(minutes=2)
QUEUE_LOOK: Final = dt.timedelta(seconds=10)
"""When what waits for something else is looked at again, should no event wake it."""
JOB_LOOK: Final = dt.timedelta(seconds=15)
"""The same, for what has a Job under way."""


@dataclass(slots=True, frozen=True, order=True)
class Key:
    """One resource: its plural, namespace (empty for cluster-scoped) and name."""

    plural: str
    namespace: str
    name: str


@dataclass(slots=True)
class WorkQueue:
    """Keys and when they are due.

    Attributes:
        clock: aware now.
    """

    clock: Callable[[], dt.datetime]
    _due: dict[Key, dt.datetime] = field(default_factory=dict)
    _heap: list[tuple[dt.datetime, Key]] = field(default_factory=list)
    _failures: dict[Key, int] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, key: Key, due: dt.datetime | None = None) -> None:
        """Wants a key at a time, or now; an earlier wish stands."""
        wanted = due or self.clock()
        known = self._due.get(key)
        if known is not None and known <= wanted:
            return
        self._due[key] = wanted
        heapq.heappush(self._heap, (wanted, key))
        self._changed.set()

    def pop_due(self) -> Key | None:
        """The key that is due first, taken out; `None` when none is due."""
        while self._heap:
            due, key = self._heap[0]
            if self._due.get(key) != due:
                heapq.heappop(self._heap)
                continue
            if due > self.clock():
                return None
            heapq.heappop(self._heap)
            del self._due[key]
            return key
        return None

    def next_due(self) -> dt.datetime | None:
        """When the next key is due."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def succeeded(self, key: Key) -> None:
        """Forgets earlier failures of a key."""
        self._failures.pop(key, None)

    def failed(self, key: Key) -> dt.timedelta:
        """Wants a key again after a back-off that doubles; returns it."""
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        delay: dt.timedelta = min(FIRST_BACKOFF * (2 ** min(count, 20)), LONGEST_BACKOFF)
        self.add(key, self.clock() + delay)
        return delay

    async def wait(self) -> None:
        """Returns when a key may be due."""
        self._changed.clear()
        due = self.next_due()
        if due is None:
            await self._changed.wait()
            return
        remaining = (due - self.clock()).total_seconds()
        if remaining > 0:
            try:
                async with asyncio.timeout(remaining):
                    await self._changed.wait()
            except TimeoutError:
                return
