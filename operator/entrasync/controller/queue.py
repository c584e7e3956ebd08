"""A queue of keys with due times: each key once, the earliest first, one at a time a namespace.

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
CONFLICT_LOOK: Final = dt.timedelta(seconds=1)
"""The same, for what changed while its status was written."""
_STALE_ENTRIES: Final = 256
"""How many outdated entries the heap may hold beside as many as there are keys."""


@dataclass(slots=True, frozen=True, order=True)
class Key:
    """One resource: its plural, namespace (empty for cluster-scoped) and name."""

    plural: str
    namespace: str
    name: str


@dataclass(slots=True)
class WorkQueue:
    """Keys and when they are due.

    Of one namespace one key is out at a time, so that two runs of a sync are never started at
    once. What is due meanwhile is put aside until that one comes back. A key that is wanted again
    while it is out comes again afterwards: nothing is lost.

    Attributes:
        clock: aware now.
    """

    clock: Callable[[], dt.datetime]
    _due: dict[Key, dt.datetime] = field(default_factory=dict)
    _heap: list[tuple[dt.datetime, Key]] = field(default_factory=list)
    _out: dict[str, Key] = field(default_factory=dict)
    _aside: dict[str, list[tuple[dt.datetime, Key]]] = field(default_factory=dict)
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
        if len(self._heap) > 2 * len(self._due) + _STALE_ENTRIES:
            self._drop_stale()
        self._changed.set()

    def add_all(self) -> None:
        """Wants every key now, for example because the clock jumped and no due time can be trusted.

        A key that is out is wanted by whoever has it.
        """
        for key in list(self._due):
            self.add(key)

    def take(self) -> Key | None:
        """The key that is due first and whose namespace is free; its namespace is taken with it.

        `None` when there is none now. Whoever takes a key gives it back by `finish`.
        """
        while self._heap:
            due, key = self._heap[0]
            if self._due.get(key) != due:
                heapq.heappop(self._heap)
                continue
            if due > self.clock():
                return None
            heapq.heappop(self._heap)
            if key.namespace in self._out:
                self._aside.setdefault(key.namespace, []).append((due, key))
                continue
            del self._due[key]
            self._out[key.namespace] = key
            return key
        return None

    def finish(self, key: Key) -> None:
        """Gives a key back; its namespace is free."""
        if self._out.get(key.namespace) != key:
            raise ValueError(f"{key} was not taken")
        del self._out[key.namespace]
        for entry in self._aside.pop(key.namespace, ()):
            heapq.heappush(self._heap, entry)
        self._changed.set()

    def next_due(self) -> dt.datetime | None:
        """When the next key is due; what is put aside does not count."""
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def backlog(self) -> tuple[int, dt.datetime | None]:
        """How many keys are due and not out, and since when the first of them is."""
        now = self.clock()
        late = [due for due in self._due.values() if due <= now]
        return len(late), min(late, default=None)

    def succeeded(self, key: Key) -> None:
        """Forgets earlier failures of a key."""
        self._failures.pop(key, None)

    def failed(self, key: Key, at_least: dt.timedelta = dt.timedelta(0)) -> dt.timedelta:
        """Wants a key again after a back-off that doubles; returns it.

        Args:
            key: what failed.
            at_least: how long the other side asked to wait.
        """
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        delay: dt.timedelta = min(FIRST_BACKOFF * (2 ** min(count, 20)), LONGEST_BACKOFF)
        delay = max(delay, min(at_least, LONGEST_BACKOFF))
        self.add(key, self.clock() + delay)
        return delay

    def nudge(self) -> None:
        """Ends a wait."""
        self._changed.set()

    async def wait(self, longest: float, *, for_due: bool = True) -> None:
        """Returns when a key may be due, when something changed, or after a while.

        Args:
            longest: seconds after which it returns in any case.
            for_due: whether a key that becomes due counts.
        """
        self._changed.clear()
        due = self.next_due() if for_due else None
        if due is not None:
            longest = min(longest, (due - self.clock()).total_seconds())
        if longest <= 0:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(longest):
                await self._changed.wait()
        except TimeoutError:
            return

    def _drop_stale(self) -> None:
        self._heap = [(due, key) for due, key in self._heap if self._due.get(key) == due]
        heapq.heapify(self._heap)
