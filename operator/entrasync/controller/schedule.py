"""When the next run is due. Pure: schedules are state, computed anew each time."""

from __future__ import annotations

import datetime as dt
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from entrasync.api.directory_sync import Schedule
from entrasync.controller.durations import parse_duration
from entrasync.errors import ConfigurationError

DEFAULT_INTERVAL: Final = dt.timedelta(minutes=30)
FIRST_RETRY: Final = dt.timedelta(minutes=1)


def next_due(schedule: Schedule | None, last_start: dt.datetime) -> dt.datetime:
    """The first due time after the last start.

    However many are missed, there is one: the caller starts one run and asks again from its start.

    Args:
        schedule: interval or cron; `None` for the default interval.
        last_start: when the last run started; aware.

    Raises:
        ConfigurationError: the cron expression or its time zone is not known (`ScheduleInvalid`).
    """
    if schedule is None or schedule.cron is None:
        return last_start + interval_of(schedule)
    try:
        zone = ZoneInfo(schedule.time_zone or "Etc/UTC")
        following = next(CronSim(schedule.cron, last_start.astimezone(zone)))
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigurationError(
            "ScheduleInvalid",
            f"{schedule.time_zone} is no IANA time zone ({type(error).__name__})",
            field="spec.schedule.timeZone",
        ) from None
    except (CronSimError, StopIteration):
        raise ConfigurationError(
            "ScheduleInvalid",
            f"{schedule.cron!r} is no five-field cron expression, or never comes",
            field="spec.schedule.cron",
        ) from None
    return following.astimezone(dt.UTC)


def interval_of(schedule: Schedule | None) -> dt.timedelta:
    """The interval; the default where a cron or nothing is said."""
    if schedule is None or schedule.interval is None:
        return DEFAULT_INTERVAL
    return parse_duration(schedule.interval)


def retry_delay(failures: int, longest: dt.timedelta) -> dt.timedelta:
    """Wait after so many failures in a row: one minute, doubling, up to `longest`."""
    doubled: dt.timedelta = FIRST_RETRY * (2 ** min(max(failures - 1, 0), 20))
    return min(doubled, longest)
