"""When the next run is due. Pure: schedules are state, computed anew each time."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from typing import Final, Self

from entrasync.api.schedule import Schedule
from entrasync.controller.cron import Cron
from entrasync.controller.durations import format_time, parse_duration
from entrasync.controller.windows import Windows
from entrasync.errors import ConfigurationError

DEFAULT_INTERVAL: Final = dt.timedelta(minutes=30)
SHORTEST_INTERVAL: Final = dt.timedelta(seconds=10)
DEFAULT_JITTER: Final = dt.timedelta(minutes=1)
JITTER_SHARE: Final = 10
"""By default the jitter is at most this part of the interval, and that of a wait for a retry."""
FIRST_RETRY: Final = dt.timedelta(minutes=1)
LONGEST_RETRY: Final = dt.timedelta(minutes=30)
QUARANTINE_AFTER: Final = 10
"""Failures in a row from which on hardly anything mends itself."""
QUARANTINE_RETRY: Final = dt.timedelta(days=1)
SKEW: Final = dt.timedelta(minutes=5)
"""How far clocks of two operators may be apart: a time further in the future is none."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Due:
    """When a run is to start.

    Attributes:
        at: the time; in the past when it is late.
        held: what lets it start no sooner, in a sentence; `None` when no window does.
    """

    at: dt.datetime
    held: str | None = None


@dataclass(slots=True, frozen=True, kw_only=True)
class Timetable:
    """The schedule of one sync.

    Attributes:
        interval: time from one start to the next; with `cron` only how soon a retry may be.
        cron: slots by the clock, instead of the interval; `None` with an interval.
        offset: how much later each start of this sync comes.
        opening_offset: how much later one comes that waited for a window; below a minute, since
            windows may be as short as that.
        seed: what tells this sync from all others.
        windows: when runs may start.
        deadline: how late a start may be; `None` for any time.
    """

    interval: dt.timedelta
    cron: Cron | None
    offset: dt.timedelta
    opening_offset: dt.timedelta
    seed: str
    windows: Windows
    deadline: dt.timedelta | None

    @classmethod
    def of(cls, schedule: Schedule | None, seed: str) -> Self:
        """Reads a schedule.

        Args:
            schedule: of the sync; `None` for the default interval.
            seed: the uid of the sync.

        Raises:
            ConfigurationError: a cron expression or a time zone is not valid (`ScheduleInvalid`).
        """
        given = schedule or Schedule()
        cron = None
        if given.cron is not None:
            cron = Cron.parse(given.cron, given.time_zone, "spec.schedule")
        interval = parse_duration(given.interval) if given.interval else DEFAULT_INTERVAL
        interval = max(interval, SHORTEST_INTERVAL)
        jitter = DEFAULT_JITTER if cron else min(DEFAULT_JITTER, interval / JITTER_SHARE)
        jitter = parse_duration(given.jitter) if given.jitter else jitter
        late = given.starting_deadline
        return cls(
            interval=interval,
            cron=cron,
            offset=spread(seed, jitter),
            opening_offset=spread(seed, min(jitter, DEFAULT_JITTER)),
            seed=seed,
            windows=Windows.of(given),
            deadline=parse_duration(late) if late else None,
        )

    def period(self, now: dt.datetime) -> dt.timedelta | None:
        """Time from the next start to the one after it, windows aside; `None` if none comes."""
        if self.cron is None:
            return self.interval + self.offset
        first = self.cron.after(now)
        second = self.cron.after(first) if first is not None else None
        return second - first if first is not None and second is not None else None

    def at_once(self, now: dt.datetime) -> Due:
        """When a run may start that is wanted now."""
        return self._due(now, now)

    def by_slot(self, started: dt.datetime, now: dt.datetime) -> Due:
        """When the run after one that started then is due by interval or cron.

        However many slots were missed, one run makes up for them.

        Raises:
            ConfigurationError: the cron expression or the windows never let a run start.
        """
        if started > now + SKEW:
            return self.at_once(now)  # the clock was set back: nothing is known of that start
        slot = self._slot_after(started, started)
        due = self._admitted(slot)
        if self.deadline is not None and due <= now:
            latest = self._admitted(self._latest_slot(started, now))
            if latest < now - self.deadline:
                slot = self._slot_after(started, now)
        return self._due(slot, now)

    def after_failure(self, failures: int, ended: dt.datetime, now: dt.datetime) -> Due:
        """When it is tried again after so many failures in a row, the last of which ended then."""
        if ended > now + SKEW:
            return self.at_once(now)
        delay = retry_delay(failures, self.interval)
        return self._due(ended + delay + spread(self.seed, delay / JITTER_SHARE), now)

    def _due(self, wanted: dt.datetime, now: dt.datetime) -> Due:
        """When a run wanted at a time starts, as windows let it."""
        at = self._admitted(wanted)
        if at <= now:
            # it is late: the windows of today decide
            admitted = self._admitted(now)
            at = admitted if admitted > now else at
        closed = self.windows.closed_by(now)
        if closed is None or at <= wanted:
            return Due(at=at)
        return Due(
            at=at,
            held=f"{closed}: no run starts by itself before {format_time(at)}; a SyncRun, or the"
            " annotation entrasync.dev/run-requested-at, starts one at any time",
        )

    def _admitted(self, moment: dt.datetime) -> dt.datetime:
        """The moment, or when windows let a run start after it.

        What waited for an opening comes shortly after it, each sync at a time of its own, and what
        is wanted just then not sooner: so a later wish never comes before an earlier one.
        """
        opening = self.windows.first_open(moment)
        if opening == moment:
            before = moment - self.opening_offset
            if self.windows.closed_by(before) is None:
                return moment
            opening = self.windows.first_open(before)
        later = opening + self.opening_offset
        return max(moment, opening if self.windows.closed_by(later) else later)

    def _slot_after(self, started: dt.datetime, moment: dt.datetime) -> dt.datetime:
        """The first slot after a moment, counted from a start; windows aside."""
        if self.cron is None:
            period = self.interval + self.offset
            return started + (max((moment - started) // period, 0) + 1) * period
        slot = self.cron.after(moment - self.offset)
        if slot is None:
            raise ConfigurationError(
                "ScheduleInvalid", "the time it names never comes", field="spec.schedule.cron"
            )
        return slot + self.offset

    def _latest_slot(self, started: dt.datetime, now: dt.datetime) -> dt.datetime:
        """The last slot that has passed, one having passed since a start."""
        if self.cron is None:
            period = self.interval + self.offset
            return started + (now - started) // period * period
        slot = self.cron.before(now - self.offset)
        return slot + self.offset if slot is not None else started


def retry_delay(failures: int, interval: dt.timedelta) -> dt.timedelta:
    """Wait after so many failures in a row: it doubles up to half an hour, later it is a day."""
    if failures >= QUARANTINE_AFTER:
        return QUARANTINE_RETRY
    doubled: dt.timedelta = min(FIRST_RETRY, interval) * (2 ** max(failures - 1, 0))
    return min(doubled, LONGEST_RETRY)


def spread(seed: str, within: dt.timedelta) -> dt.timedelta:
    """A time below a bound, in whole seconds, always the same for one seed."""
    seconds = int(within.total_seconds())
    if seconds < 1:
        return dt.timedelta()
    number = int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8])
    return dt.timedelta(seconds=number % seconds)
