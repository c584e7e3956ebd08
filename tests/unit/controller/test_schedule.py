"""Due times: intervals, cron, jitter, windows, missed starts, retries and clocks that jump."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.schedule import Schedule
from entrasync.controller.schedule import (
    LONGEST_RETRY,
    QUARANTINE_AFTER,
    QUARANTINE_RETRY,
    Timetable,
    retry_delay,
    spread,
)
from entrasync.errors import ConfigurationError

MINUTE = dt.timedelta(minutes=1)
HOUR = dt.timedelta(hours=1)
DAY = dt.timedelta(days=1)
NIGHT: dict[str, Any] = {"kind": "Deny", "cron": "0 2 * * *", "duration": "4h"}


def timetable(seed: str = "u-sync", **schedule: Any) -> Timetable:
    return Timetable.of(Schedule.model_validate(schedule), seed)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("schedule", "started", "due"),
    [
        ({"jitter": "0s"}, "2026-01-01T00:00Z", "2026-01-01T00:30Z"),
        ({"interval": "90s", "jitter": "0s"}, "2026-01-01T00:00Z", "2026-01-01T00:01:30Z"),
        ({"cron": "0 6 * * *", "jitter": "0s"}, "2026-01-01T06:00Z", "2026-01-02T06:00Z"),
        (
            {"cron": "0 6 * * *", "timeZone": "Europe/Berlin", "jitter": "0s"},
            "2026-03-28T05:00Z",
            "2026-03-29T04:00Z",
        ),
        # into the night, in which nothing starts
        ({"interval": "1h", "jitter": "0s", "windows": [NIGHT]}, "2026-01-01T01:30Z", "T06:00"),
        ({"cron": "0 3 * * *", "jitter": "0s", "windows": [NIGHT]}, "2026-01-01T00:00Z", "T06:00"),
    ],
)
def test_the_next_due_time(schedule: dict[str, Any], started: str, due: str) -> None:
    expected = at(f"2026-01-01{due}Z" if due.startswith("T") else due)
    assert timetable(**schedule).by_slot(at(started), at(started)).at == expected


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        ({"cron": "61 * * * *"}, "spec.schedule.cron"),
        ({"cron": "0 0 * * *", "timeZone": "Mars/Olympus"}, "spec.schedule.timeZone"),
        ({"cron": "0 0 * * *", "timeZone": "../../etc/passwd"}, "spec.schedule.timeZone"),
        ({"cron": "0 0 * * *", "timeZone": "Europe"}, "spec.schedule.timeZone"),
    ],
)
def test_a_bad_schedule_names_its_field(schedule: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        timetable(**schedule)
    assert caught.value.reason == "ScheduleInvalid"
    assert caught.value.field == field


def test_a_thousand_syncs_do_not_start_at_once_and_each_keeps_its_time() -> None:
    start = at("2026-01-01T00:01Z")
    for schedule in ({}, {"cron": "*/30 * * * *"}):
        tables = [timetable(f"uid-{number}", **schedule) for number in range(1000)]
        due = [table.by_slot(start, start).at for table in tables]
        assert due == [table.by_slot(start, start).at for table in tables]
        assert len(set(due)) == 60
        assert max(due.count(each) for each in set(due)) < 40
        assert max(due) - min(due) < MINUTE


@pytest.mark.parametrize(
    ("schedule", "bound"),
    [
        ({}, MINUTE),
        ({"interval": "20s"}, dt.timedelta(seconds=2)),
        ({"cron": "0 2 * * *"}, MINUTE),
        ({"interval": "1h", "jitter": "30m"}, 30 * MINUTE),
        ({"jitter": "0s"}, dt.timedelta(seconds=1)),
        ({"jitter": "200ms"}, dt.timedelta(seconds=1)),
    ],
)
def test_the_jitter_has_a_bound(schedule: dict[str, Any], bound: dt.timedelta) -> None:
    offsets = [timetable(f"uid-{n}", **schedule).offset for n in range(200)]
    assert all(dt.timedelta() <= each < bound for each in offsets)


def test_however_many_starts_were_missed_the_first_is_due_and_only_it() -> None:
    started, now = at("2026-01-01T00:00Z"), at("2026-02-01T00:00Z")
    for schedule in ({"interval": "20s"}, {"cron": "* * * * *"}):
        table = timetable(**schedule)
        assert table.by_slot(started, now).at < now
        assert table.by_slot(now, now).at > now


@pytest.mark.parametrize(
    ("schedule", "now", "due"),
    [
        # 06:00 was missed by less than the deadline: it is made up for
        (
            {"cron": "0 6 * * *", "startingDeadline": "10m"},
            "2026-01-02T06:10Z",
            "2026-01-02T06:00Z",
        ),
        # by more: the next one is awaited
        (
            {"cron": "0 6 * * *", "startingDeadline": "10m"},
            "2026-01-02T06:11Z",
            "2026-01-03T06:00Z",
        ),
        # of many the last counts
        ({"interval": "30m", "startingDeadline": "10m"}, "2026-01-05T12:05Z", "2026-01-01T06:30Z"),
        ({"interval": "30m", "startingDeadline": "10m"}, "2026-01-05T12:15Z", "2026-01-05T12:30Z"),
        # a window holds it: it is late only from the end of the window on
        (
            {"cron": "0 3 * * *", "startingDeadline": "10m", "windows": [NIGHT]},
            "2026-01-02T05:00Z",
            "2026-01-02T06:00Z",
        ),
        (
            {"cron": "0 3 * * *", "startingDeadline": "10m", "windows": [NIGHT]},
            "2026-01-02T06:05Z",
            "2026-01-02T06:00Z",
        ),
        (
            {"cron": "0 3 * * *", "startingDeadline": "10m", "windows": [NIGHT]},
            "2026-01-02T06:15Z",
            "2026-01-03T06:00Z",
        ),
        # missed in the evening, too late for its deadline, and now it is night
        (
            {"cron": "0 20 * * *", "startingDeadline": "1h", "windows": [NIGHT]},
            "2026-01-02T03:00Z",
            "2026-01-02T20:00Z",
        ),
    ],
)
def test_a_start_that_was_missed_by_too_much_is_left_out(
    schedule: dict[str, Any], now: str, due: str
) -> None:
    found = timetable(jitter="0s", **schedule).by_slot(at("2026-01-01T06:00Z"), at(now))
    assert found.at == at(due)


def test_a_window_that_opens_late_holds_what_is_overdue_and_says_so() -> None:
    table = timetable(interval="1h", windows=[NIGHT])
    due = table.by_slot(at("2026-01-01T00:30Z"), at("2026-01-01T02:00Z"))
    assert at("2026-01-01T06:00Z") <= due.at < at("2026-01-01T06:01Z")
    assert due.held is not None
    assert "`spec.schedule.windows[0]`" in due.held
    assert "2026-01-01T06:00" in due.held
    # before the window nothing is held, though the time is known
    early = table.by_slot(at("2026-01-01T01:30Z"), at("2026-01-01T01:40Z"))
    assert early.at == due.at
    assert early.held is None


def test_what_a_window_held_is_spread_when_it_ends() -> None:
    now = at("2026-01-01T03:00Z")
    due = {timetable(f"uid-{n}", windows=[NIGHT]).at_once(now).at for n in range(300)}
    assert len(due) > 50
    short = {"kind": "Allow", "cron": "0 5 * * *", "duration": "1m"}
    due = {timetable(f"uid-{n}", windows=[short], jitter="29m").at_once(now).at for n in range(300)}
    assert len(due) > 50
    assert at("2026-01-01T05:00Z") <= min(due)
    assert max(due) < at("2026-01-01T05:01Z")


@given(st.integers(1, 10_000), st.sampled_from([10, 60, 1800, 86_400]))
def test_retries_wait_longer_up_to_half_an_hour_and_then_a_day(failures: int, seconds: int) -> None:
    interval = dt.timedelta(seconds=seconds)
    delay = retry_delay(failures, interval)
    assert delay <= retry_delay(failures + 1, interval)
    assert delay <= LONGEST_RETRY or (failures >= QUARANTINE_AFTER and delay == QUARANTINE_RETRY)


def test_the_first_retry_comes_after_a_minute_or_the_shorter_interval() -> None:
    now = at("2026-01-01T00:00Z")
    first = timetable().after_failure(1, now, now).at - now
    assert MINUTE <= first < MINUTE * 1.1
    assert timetable(interval="20s").after_failure(1, now, now).at - now < MINUTE / 2
    last = timetable().after_failure(QUARANTINE_AFTER, now, now).at - now
    assert DAY <= last < DAY * 1.1


def test_retries_wait_for_windows() -> None:
    now = at("2026-01-01T01:59:30Z")
    due = timetable(windows=[NIGHT]).after_failure(1, now, now)
    assert due.at >= at("2026-01-01T06:00Z")


def test_a_clock_that_was_set_back_lets_a_run_start_and_a_small_difference_does_not() -> None:
    now = at("2026-01-01T00:00Z")
    table = timetable()
    assert table.by_slot(now + 100 * HOUR, now).at == now
    assert table.after_failure(1, now + 100 * HOUR, now).at == now
    assert table.by_slot(now + 3 * MINUTE, now).at > now + 30 * MINUTE


MOMENTS = st.datetimes(
    min_value=dt.datetime(2024, 1, 1),  # noqa: DTZ001  - the zone comes from the strategy
    max_value=dt.datetime(2030, 1, 1),  # noqa: DTZ001  - same
    timezones=st.just(dt.UTC),
).map(lambda moment: moment.replace(microsecond=0))
SCHEDULES = st.fixed_dictionaries(
    {},
    optional={
        "interval": st.sampled_from(["10s", "30m", "25h"]),
        "jitter": st.sampled_from(["0s", "5m"]),
        "startingDeadline": st.sampled_from(["10s", "1h"]),
        "timeZone": st.sampled_from(["Europe/Berlin", "Australia/Lord_Howe"]),
        "windows": st.lists(
            st.sampled_from([NIGHT, {"kind": "Allow", "cron": "30 0 * * *", "duration": "9h"}]),
            min_size=1,
            max_size=3,
        ),
    },
) | st.fixed_dictionaries(
    {"cron": st.sampled_from(["*/7 * * * *", "30 2 * * *", "0 5 1 * MON"])},
    optional={
        "timeZone": st.sampled_from(["Europe/Berlin", "America/New_York"]),
        "startingDeadline": st.sampled_from(["10s", "1h"]),
        "windows": st.just([NIGHT]),
    },
)


@given(SCHEDULES, MOMENTS, st.timedeltas(dt.timedelta(), dt.timedelta(days=40)))
def test_a_run_that_starts_when_it_is_due_is_not_due_again_and_what_is_awaited_comes(
    schedule: dict[str, Any], started: dt.datetime, passed: dt.timedelta
) -> None:
    table = timetable(**schedule)
    now = started + passed
    due = table.by_slot(started, now)
    if due.at <= now:
        assert table.windows.closed_by(now) is None
        assert table.by_slot(now, now).at > now
    else:
        assert table.windows.closed_by(due.at) is None
        # waiting for it does not put it off
        assert table.by_slot(started, due.at).at <= due.at
        assert table.by_slot(started, now + (due.at - now) / 2).at == due.at


@given(st.text(max_size=40), st.timedeltas(dt.timedelta(), dt.timedelta(days=2)))
def test_the_spread_is_whole_seconds_below_its_bound(seed: str, within: dt.timedelta) -> None:
    found = spread(seed, within)
    assert found == spread(seed, within)
    assert found % dt.timedelta(seconds=1) == dt.timedelta()
    assert dt.timedelta() <= found
    assert found < within or within < dt.timedelta(seconds=1)
