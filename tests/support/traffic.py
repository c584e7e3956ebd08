"""Traffic for exports in tests: time passes only where it is told to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from entrasync.engine.delivery import Traffic
from entrasync.entra.batches import START_OBJECTS, BatchSize
from entrasync.entra.pacing import Pacer

NOW = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)


class Passing:
    """A clock that passes by sleeping, and by being told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


def traffic(
    clock: Passing | None = None,
    *,
    quota: int = 5_600,
    memory: str | None = None,
    max_links: int = 15_000,
    start: int = START_OBJECTS,
    cancelled: Callable[[], bool] = lambda: False,
    waiting: Callable[[float], None] = lambda _: None,
) -> Traffic:
    """Traffic that starts with a whole quota."""
    passing = clock or Passing()
    return Traffic(
        pacer=Pacer(
            quota,
            started=NOW + dt.timedelta(seconds=passing()),
            monotonic=passing,
            sleep=passing.sleep,
            memory=memory,
        ),
        size=BatchSize(passing, start=start, most=min(500, quota)),
        max_links=max_links,
        cancelled=cancelled,
        waiting=waiting,
    )
