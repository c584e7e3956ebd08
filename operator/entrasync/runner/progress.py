"""Progress of a run as structured log lines, not more often than somebody would read them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRESS_EVENT: Final = "progress"
"""`event` of the log line; beside it `stage`, `done` and, once known, `total`."""
_LEAST_SECONDS: Final = 1.0


@dataclass(slots=True, kw_only=True)
class ProgressLog:
    """Writes a line when a stage begins or ends, and at most one a second in between.

    Attributes:
        monotonic: clock in seconds.
    """

    monotonic: Callable[[], float]
    _last_stage: str = ""
    _last_time: float = field(default=float("-inf"))

    def __call__(self, stage: str, done: int, total: int | None) -> None:
        """Tells that `done` of `total` steps of a stage are done."""
        now = self.monotonic()
        ended = total is not None and done >= total
        if stage == self._last_stage and not ended and now - self._last_time < _LEAST_SECONDS:
            return
        self._last_stage, self._last_time = stage, now
        extra = {} if total is None else {"total": total}
        structlog.get_logger().info(PROGRESS_EVENT, stage=stage, done=done, **extra)
