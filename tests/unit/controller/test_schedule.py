"""Due times: intervals, cron in its time zone, and the days the clocks change."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.directory_sync import Schedule
from entrasync.controller.schedule import next_due, retry_delay
from entrasync.errors import ConfigurationError


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("schedule", "last", "due"),
    [
        (None, "2026-01-01T00:00:00+00:00", "2026-01-01T00:30:00+00:00"),
        (Schedule(interval="90s"), "2026-01-01T00:00:00+00:00", "2026-01-01T00:01:30+00:00"),
        (Schedule(cron="0 6 * * *"), "2026-01-01T06:00:00+00:00", "2026-01-02T06:00:00+00:00"),
        (
            Schedule(cron="0 6 * * *", time_zone="Europe/Berlin"),
            "2026-03-28T05:00:00+00:00",
            "2026-03-29T04:00:00+00:00",
        ),
        (
            # 02:30 does not exist on the day the clocks go forward
            Schedule(cron="30 2 * * *", time_zone="Europe/Berlin"),
            "2026-03-28T01:30:00+00:00",
            "2026-03-29T01:00:00+00:00",
        ),
    ],
)
def test_the_next_due_time(schedule: Schedule | None, last: str, due: str) -> None:
    assert next_due(schedule, at(last)) == at(due)


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        (Schedule(cron="61 * * * *"), "spec.schedule.cron"),
        (Schedule(cron="0 0 * * *", time_zone="Mars/Olympus"), "spec.schedule.timeZone"),
        (Schedule(cron="0 0 * * *", time_zone="../../etc/passwd"), "spec.schedule.timeZone"),
    ],
)
def test_a_bad_schedule_names_its_field(schedule: Schedule, field: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        next_due(schedule, at("2026-01-01T00:00:00+00:00"))
    assert caught.value.reason == "ScheduleInvalid"
    assert caught.value.field == field


@given(st.integers(0, 10_000))
def test_retries_wait_longer_up_to_the_longest(failures: int) -> None:
    longest = dt.timedelta(minutes=30)
    assert retry_delay(failures, longest) <= retry_delay(failures + 1, longest) <= longest
