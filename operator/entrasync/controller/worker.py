"""The one worker: takes due keys and reconciles them, and never dies of one."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from entrasync.controller.queue import Key, WorkQueue
from entrasync.controller.reconcile import Reconcile
from entrasync.controller.resources import KINDS, Resources
from entrasync.errors import EntrasyncError

RESYNC: Final = dt.timedelta(minutes=5)
RECONCILE_SECONDS: Final = 120


@dataclass(slots=True, kw_only=True)
class Worker:
    """Reconciles one key at a time.

    One at a time keeps two runs of a sync from being started at once; a key takes milliseconds.

    Attributes:
        queue: keys and when they are due.
        reconcilers: what is done with one, by its plural.
        resources: for the full resync.
        namespaces: watched namespaces; empty for all.
        clock: aware now.
    """

    queue: WorkQueue
    reconcilers: Mapping[str, Reconcile]
    resources: Resources
    namespaces: tuple[str, ...]
    clock: Callable[[], dt.datetime]
    last_tick: dt.datetime = field(default=dt.datetime.min.replace(tzinfo=dt.UTC))
    _next_resync: dt.datetime = field(default=dt.datetime.min.replace(tzinfo=dt.UTC))

    async def run(self) -> None:
        """Works until it is cancelled."""
        while True:
            self.last_tick = self.clock()
            try:
                if self.clock() >= self._next_resync:
                    await self._resync()
                key = self.queue.pop_due()
                if key is not None:
                    await self._handle(key)
                    continue
            except EntrasyncError as error:
                structlog.get_logger().warning("resync_failed", error=error.message)
            except Exception:  # noqa: BLE001  - a bug must not end the operator
                structlog.get_logger().exception("worker_failed")
            await self._wait()

    async def _wait(self) -> None:
        """Waits for work; wakes now and then without, so that the probe sees it alive."""
        try:
            async with asyncio.timeout(10):
                await self.queue.wait()
        except TimeoutError:
            return

    async def _handle(self, key: Key) -> None:
        reconcile = self.reconcilers[key.plural]
        try:
            async with asyncio.timeout(RECONCILE_SECONDS):
                due = await asyncio.to_thread(
                    reconcile, key.namespace or None, key.name, self.clock()
                )
        except EntrasyncError as error:
            delay = self.queue.failed(key)
            structlog.get_logger().warning(
                "reconcile_failed",
                kind=key.plural,
                namespace=key.namespace,
                name=key.name,
                error=error.message,
                again_in=str(delay),
            )
        except Exception:  # noqa: BLE001  - one resource must not stop the others
            delay = self.queue.failed(key)
            structlog.get_logger().exception(
                "reconcile_crashed",
                kind=key.plural,
                namespace=key.namespace,
                name=key.name,
                again_in=str(delay),
            )
        else:
            self.queue.succeeded(key)
            if due is not None:
                self.queue.add(key, due)

    async def _resync(self) -> None:
        """Wants every resource: a missed event costs five minutes at most."""
        for key in await asyncio.to_thread(self._all_keys):
            self.queue.add(key)
        self._next_resync = self.clock() + RESYNC

    def _all_keys(self) -> list[Key]:
        return [
            Key(plural, resource.metadata.namespace or "", resource.metadata.name)
            for plural, kind in KINDS.items()
            for namespace in self.namespaces or (None,)
            for resource in self.resources.list(kind, namespace)
        ]
