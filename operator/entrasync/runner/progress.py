"""Progress of a run as structured log lines, not more often than somebody would read them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRESS_EVENT: Final = "progress"
"""`event` of the log line; beside it `stage`, `done` and, once known, `total`; while it
waits for the tenant's quota of writes `paced_seconds`, the seconds that are left."""
_LEAST_SECONDS: Final = 1.0
_LEAST_WAITING_SECONDS: Final = 30.0


@dataclass(slots=True, kw_only=True)
class ProgressLog:
    """Writes a line when a stage begins or ends, and at most one a second in between.

    Attributes:
        monotonic: clock in seconds.
    """

    monotonic: Callable[[], float]
    _last_stage: str = ""
    _last_time: float = field(default=float("-inf"))
    _last_waiting: float = field(default=float("-inf"))
    _done: int = 0
    _total: int | None = None

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Tells that `done` of `total` steps of a stage are done."""
        self._done, self._total = done, total
        now = self.monotonic()
        ended = total is not None and done >= total
        if stage == self._last_stage and not ended and now - self._last_time < _LEAST_SECONDS:
            return
        self._last_stage, self._last_time = stage, now
        self._last_waiting = float("-inf")
        self._write({})

    def waiting(self, seconds: float) -> None:
        """Tells that the stage goes on in so many seconds, when the write quota has room again.

        Writes a line at first, and one every half minute.
        """
        now = self.monotonic()
        if now - self._last_waiting < _LEAST_WAITING_SECONDS:
            return
        self._last_waiting = now
        self._write({"paced_seconds": math.ceil(seconds)})

    def _write(self, more: dict[str, int]) -> None:
        extra = {} if self._total is None else {"total": self._total}
        structlog.get_logger().info(
            PROGRESS_EVENT, stage=self._last_stage, done=self._done, **extra, **more
        )
