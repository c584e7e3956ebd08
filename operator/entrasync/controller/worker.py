"""The worker: takes due keys and reconciles them, several at once, and never dies of one."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

import structlog

from entrasync.controller.interest import Facts, Interest
from entrasync.controller.metrics import OperatorMetrics
from entrasync.controller.queue import Key, WorkQueue
from entrasync.controller.reconcile import Reconcile
from entrasync.controller.resync import Found, Resync
from entrasync.controller.transport import ApiError
from entrasync.errors import EntrasyncError, TransientError

LANES: Final = 8
"""How many keys are worked on at once; most of the time goes into waiting for the API server."""
SPARE_THREADS: Final = 24
"""Threads beyond the lanes, for keys that are overdue."""
RECONCILE_SECONDS: Final = 120.0
"""After so long a key is overdue: its lane goes to others, its namespace stays taken."""
RESYNC_SECONDS: Final = 300.0
RESYNC_AGAIN_SECONDS: Final = 15.0
"""The same after a resync that could not see everything."""
RELISTED_SECONDS: Final = 5.0
"""The same after a watch had to begin anew: what was deleted meanwhile is told by nobody."""
LOOK_SECONDS: Final = 5.0
"""Longest time between two ticks."""
AFTER_BUG_SECONDS: Final = 1.0
NAMESPACE_TERMINATING: Final = "NamespaceTerminating"
TERMINATING_LOOK: Final = dt.timedelta(minutes=1)
"""When what could not be worked on because its namespace ends is looked at again."""
JUMP_SECONDS: Final = 5.0
"""A clock that moved so much more or less than time passed has jumped."""
TELL_SECONDS: Final = 1.0
"""Shortest time between two looks at how long the queue is, which takes as long as it is."""
SHORTEST_WAIT: Final = dt.timedelta(seconds=1)
"""Earliest time at which a key that was just worked on is worked on again by its own wish."""


@dataclass(slots=True, kw_only=True)
class Worker:
    """Reconciles several keys at once, of each namespace one.

    A reconcile that does not end keeps its namespace, because its thread may still write. It does
    not keep others from their work.

    Attributes:
        queue: keys and when they are due.
        reconcilers: what is done with one, by its plural.
        resync: looks through everything, now and then.
        tidy: cleans up once, at the start, what was left while nobody watched.
        interest: what was seen of each resource.
        metrics: told how the work goes.
        clock: aware now; it may jump.
        monotonic: seconds that only run forward.
        patience: seconds after which a key is overdue.
    """

    queue: WorkQueue
    reconcilers: Mapping[str, Reconcile]
    resync: Resync
    clock: Callable[[], dt.datetime]
    tidy: Callable[[], None] = lambda: None
    interest: Interest = field(default_factory=Interest)
    metrics: OperatorMetrics = field(default_factory=OperatorMetrics)
    monotonic: Callable[[], float] = time.monotonic
    patience: float = RECONCILE_SECONDS
    _tick: float = 0.0
    _told: float = -math.inf
    _offset: float | None = None
    _next_resync: float = 0.0
    _relisted: bool = False
    _started: dict[Key, float] = field(default_factory=dict)
    _overdue: set[Key] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def last_beat(self) -> float:
        """Since when nothing has moved, by the monotonic clock: the tick, or the oldest work."""
        return min((self._tick, *(at + self.patience for at in self._started.values())))

    def saw(self, key: Key, facts: Facts) -> None:
        """A resource is there; only from the event loop."""
        for each in self.interest.saw(key, facts):
            self.queue.add(each)

    def gone(self, key: Key) -> None:
        """A resource is gone; only from the event loop. It is looked at once more."""
        for each in self.interest.gone(key):
            self.queue.add(each)

    def ended(self, key: Key) -> None:
        """A run is over; only from the event loop. Others are looked at."""
        for each in self.interest.gone(key) - {key}:
            self.queue.add(each)

    def relisted(self) -> None:
        """A watch began anew; only from the event loop."""
        self._relisted = True
        self._next_resync = min(self._next_resync, self.monotonic() + RELISTED_SECONDS)

    async def run(self) -> None:
        """Works until it is cancelled; then it waits until no thread works any more."""
        threads = ThreadPoolExecutor(LANES + SPARE_THREADS, thread_name_prefix="reconcile")
        self._next_resync = self.monotonic()
        self._spawn(self._tidy(threads))
        try:
            while True:
                try:
                    self._tick_once(threads)
                except Exception:  # noqa: BLE001  - a bug must not end the operator
                    structlog.get_logger().exception("worker_failed")
                    await asyncio.sleep(AFTER_BUG_SECONDS)
                await self.queue.wait(LOOK_SECONDS, for_due=self._has_room())
        finally:
            await self._end(threads)

    def _tick_once(self, threads: ThreadPoolExecutor) -> None:
        self._tick = self.monotonic()
        if self._tick - self._told >= TELL_SECONDS:
            self._told = self._tick
            self.metrics.queue(*self.queue.backlog(), self.clock())
        if self._clock_jumped():
            structlog.get_logger().warning("clock_jumped")
            self.queue.add_all()
        if self._tick >= self._next_resync:
            self._next_resync = math.inf
            self._relisted = False
            self._spawn(self._resync(threads))
        while self._has_room() and (key := self.queue.take()) is not None:
            self._started[key] = self.monotonic()
            self._spawn(self._work(threads, key))

    def _has_room(self) -> bool:
        in_lanes = len(self._started) - len(self._overdue)
        return in_lanes < LANES and len(self._overdue) < SPARE_THREADS

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self, threads: ThreadPoolExecutor, key: Key) -> None:
        result = "Succeeded"
        thread = asyncio.get_running_loop().run_in_executor(threads, self._reconcile, key)
        try:
            done, _ = await asyncio.wait({thread}, timeout=self.patience)
            if not done:
                self._overdue.add(key)
                self.queue.nudge()
                structlog.get_logger().error("reconcile_overdue", **_named(key))
            self._conclude(key, await thread)
        except EntrasyncError as error:
            result = "Failed"
            self._put_off(key, error)
        except Exception:  # noqa: BLE001  - one resource must not stop the others
            result = "Crashed"
            delay = self.queue.failed(key)
            structlog.get_logger().exception(
                "reconcile_crashed", **_named(key), again_in=str(delay)
            )
        finally:
            self._overdue.discard(key)
            seconds = self.monotonic() - self._started.pop(key)
            self.metrics.reconciled(key.plural, result, seconds)
            self.queue.finish(key)

    def _put_off(self, key: Key, error: EntrasyncError) -> None:
        if isinstance(error, ApiError) and NAMESPACE_TERMINATING in error.causes:
            # nothing can be made there any more, and nothing is wrong
            self.queue.add(key, self.clock() + TERMINATING_LOOK)
            return
        asked = error.retry_after if isinstance(error, TransientError) else None
        delay = self.queue.failed(key, dt.timedelta(seconds=asked or 0))
        structlog.get_logger().warning(
            "reconcile_failed", **_named(key), error=error.message, again_in=str(delay)
        )

    def _reconcile(self, key: Key) -> dt.datetime | None:
        return self.reconcilers[key.plural](key.namespace or None, key.name, self.clock())

    def _conclude(self, key: Key, due: dt.datetime | None) -> None:
        self.queue.succeeded(key)
        if due is not None:
            self.queue.add(key, max(due, self.clock() + SHORTEST_WAIT))

    async def _tidy(self, threads: ThreadPoolExecutor) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(threads, self.tidy)
        except Exception as error:  # noqa: BLE001  - what is left over hurts nobody
            structlog.get_logger().warning("tidying_failed", error=str(error))

    async def _resync(self, threads: ThreadPoolExecutor) -> None:
        delay = RESYNC_AGAIN_SECONDS
        loop = asyncio.get_running_loop()
        try:
            known = self.interest.versions()
            found = await loop.run_in_executor(threads, self.resync.look, known)
            self._take_in(found, known)
            if found.complete:
                delay = RESYNC_SECONDS
        except Exception:  # noqa: BLE001  - a bug must not end the operator
            structlog.get_logger().exception("resync_crashed")
        finally:
            if self._relisted:
                delay = RELISTED_SECONDS
            self._next_resync = self.monotonic() + delay

    def _take_in(self, found: Found, known: Mapping[Key, str]) -> None:
        """Wakes whom watches should have woken; what they told meanwhile is newer."""
        now_known = self.interest.versions()
        for key, facts in found.changed.items():
            if now_known.get(key) == known.get(key):
                self.saw(key, facts)
        for key, version in found.gone.items():
            if now_known.get(key) == version:
                self.gone(key)

    def _clock_jumped(self) -> bool:
        """Whether the clock moved otherwise than time did since it was last asked."""
        offset = self.clock().timestamp() - self.monotonic()
        before, self._offset = self._offset, offset
        return before is not None and abs(offset - before) > JUMP_SECONDS

    async def _end(self, threads: ThreadPoolExecutor) -> None:
        """Waits for the threads, which nothing can stop, and takes up nothing new."""
        waiting = asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            await asyncio.shield(waiting)
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


def _named(key: Key) -> dict[str, str]:
    return {"kind": key.plural, "namespace": key.namespace, "name": key.name}
