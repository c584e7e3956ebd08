"""Approvals of braked changes: each names exactly what was braked, and works once.

An approval in use is remembered change by change, so that a run killed half-way goes on with the
rest without asking again; what is done is struck off, and after the window the rest expires.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable
from typing import Final

from entrasync.engine.plan import PlannedChange
from entrasync.state.store import Store

META_USED: Final = "approvals-used"
META_ACTIVE: Final = "approval-active"
_KEPT: Final = 100


def fingerprint(change: PlannedChange) -> str:
    """Short name of exactly this change."""
    return hashlib.sha256(change.canonical().encode()).hexdigest()


class Approvals:
    """Approvals of one sync, kept in its store.

    Args:
        store: the state.
        now: the time of this run.
        window: how long an approval in use stays good.
    """

    def __init__(self, store: Store, now: dt.datetime, window: dt.timedelta) -> None:
        self._store = store
        self._now = now
        self._used: list[str] = json.loads(store.get(META_USED) or "[]")
        active = json.loads(store.get(META_ACTIVE) or '{"until": "", "changes": []}')
        fresh = active["until"] > now.isoformat()
        self._active: set[str] = set(active["changes"]) if fresh else set()
        self._until: str = active["until"] if fresh else (now + window).isoformat()

    def unused(self, digests: Iterable[str | None]) -> frozenset[str]:
        """Those of the digests that were not used before."""
        return frozenset(each for each in digests if each and each not in self._used)

    def covers(self, change: PlannedChange) -> bool:
        """Whether an approval in use lets this change through."""
        return bool(self._active) and fingerprint(change) in self._active

    def use(self, digest: str, changes: Iterable[PlannedChange]) -> None:
        """Uses an approval up for these changes; done before the first of them is sent."""
        self._used = [*self._used, digest][-_KEPT:]
        self._active |= {fingerprint(change) for change in changes}
        self._store.put(META_USED, json.dumps(self._used))
        self._save()

    def strike(self, done: Iterable[PlannedChange]) -> None:
        """Strikes off what was done."""
        if self._active:
            self._active -= {fingerprint(change) for change in done}
            self._save()

    def _save(self) -> None:
        value = {"until": self._until, "changes": sorted(self._active)} if self._active else None
        self._store.put(META_ACTIVE, None if value is None else json.dumps(value))
