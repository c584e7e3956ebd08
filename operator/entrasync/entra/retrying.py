"""How long to go on: a busy tenant is waited for by the clock, all else is tried a few times."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final

from entrasync.errors import TransientError


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long one call may go on after failures that pass by themselves."""

    busy_seconds: float = 900.0
    """Most seconds to wait in all for a tenant, or a login authority, that says it is busy."""
    most_tries: int = 6
    """Most tries that fail for any other reason."""
    first_wait: float = 1.0
    """Longest first wait in seconds; each next one is twice as long."""
    longest_wait: float = 60.0
    """Longest wait in seconds, unless the other side asks for a longer one."""


DEFAULT_PATIENCE: Final = Patience()
"""Patience where none is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Throttled:
    """What a client spent on waiting for a busy service since it was made."""

    times: int = 0
    """Answers that asked for patience."""
    seconds: float = 0.0
    """Seconds waited because of them."""


class BusyError(TransientError):
    """Whoever was asked is there, but wants to be left alone for a while."""


class TenantBusyError(BusyError):
    """The sync service throttles the tenant: fault 81, or HTTP 429 or 503 of a gateway."""


class Attempts:
    """The tries of one call, and how long to wait between them.

    A busy service is waited for until `Patience.busy_seconds` have passed, by the clock or by the
    waits themselves, whichever is more: a clock that stands still must not make it endless.

    Args:
        patience: limits.
        clock: aware now.
        random: jitter between 0 and 1.
    """

    def __init__(
        self,
        patience: Patience,
        *,
        clock: Callable[[], dt.datetime],
        random: Callable[[], float],
    ) -> None:
        self._patience = patience
        self._clock = clock
        self._random = random
        self._busy = 0
        self._busy_since: dt.datetime | None = None
        self._waited = 0.0
        self._failures = 0

    def wait_after(self, error: TransientError) -> float | None:
        """Seconds to wait before the next try, `None` to give up.

        What the other side asked for is waited at least; where it asks for more than there is
        patience for, it is not asked again too early but given up at once.
        """
        told = error.retry_after or 0.0
        if isinstance(error, BusyError):
            return self._wait_for_busy(told)
        self._failures += 1
        if self._failures >= self._patience.most_tries or told > self._patience.busy_seconds:
            return None
        return max(told, self._backoff(self._failures))

    def _wait_for_busy(self, told: float) -> float | None:
        now = self._clock()
        self._busy_since = self._busy_since or now
        self._busy += 1
        passed = max(self._waited, (now - self._busy_since).total_seconds())
        left = self._patience.busy_seconds - passed
        if left <= 0 or told > left:
            return None
        wait = min(max(told, self._backoff(self._busy)), left)
        self._waited += wait
        return wait

    def _backoff(self, number: int) -> float:
        """Doubling with the number of the failure, less a random part of up to half."""
        doublings = min(number - 1, 32)  # beyond, the longest wait is reached by any limits
        longest: float = min(self._patience.first_wait * 2**doublings, self._patience.longest_wait)
        return longest * (0.5 + self._random() / 2)


def retry_after_seconds(text: str, now: dt.datetime) -> float | None:
    """Seconds a header `Retry-After` asks for, `None` where it says neither seconds nor a date."""
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if moment.tzinfo is None:  # HTTP knows no other zone
        moment = moment.replace(tzinfo=dt.UTC)
    return max(0.0, (moment - now).total_seconds())
