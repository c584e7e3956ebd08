"""Cron in time zones: the same slots as CronJob has on the days the clocks are put on and back."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.controller.cron import Cron
from entrasync.errors import ConfigurationError

BERLIN = "Europe/Berlin"
NEW_YORK = "America/New_York"
LORD_HOWE = "Australia/Lord_Howe"


def slots(zone: str, expression: str, after: str, number: int) -> list[str]:
    cron = Cron.parse(expression, zone, "spec.schedule")
    found: list[str] = []
    moment: dt.datetime | None = dt.datetime.fromisoformat(after)
    for _ in range(number):
        assert moment is not None
        moment = cron.after(moment)
        assert moment is not None
        found.append(f"{moment.astimezone(cron.zone):%m-%dT%H:%M%z}")
    return found


# What github.com/robfig/cron/v3 v3.0.1, which the CronJob controller uses, answers.
AS_CRONJOB = [
    # forward: 02:00 becomes 03:00, and what would be in between is left out
    (BERLIN, "30 2 * * *", "2026-03-28T12:00Z", ["03-30T02:30+0200", "03-31T02:30+0200"]),
    (BERLIN, "0 * * * *", "2026-03-28T23:30Z", ["03-29T01:00+0100", "03-29T03:00+0200"]),
    (BERLIN, "*/30 2 * * *", "2026-03-28T23:30Z", ["03-30T02:00+0200", "03-30T02:30+0200"]),
    (BERLIN, "0 3 * * *", "2026-03-28T23:30Z", ["03-29T03:00+0200", "03-30T03:00+0200"]),
    # back: 03:00 becomes 02:00, and what is in between comes twice
    (
        BERLIN,
        "30 2 * * *",
        "2026-10-24T12:00Z",
        ["10-25T02:30+0200", "10-25T02:30+0100", "10-26T02:30+0100"],
    ),
    (
        BERLIN,
        "0 * * * *",
        "2026-10-24T23:30Z",
        ["10-25T02:00+0200", "10-25T02:00+0100", "10-25T03:00+0100"],
    ),
    (BERLIN, "0 3 * * *", "2026-10-24T12:00Z", ["10-25T03:00+0100", "10-26T03:00+0100"]),
    (NEW_YORK, "30 2 * * *", "2026-03-08T00:00Z", ["03-09T02:30-0400", "03-10T02:30-0400"]),
    (NEW_YORK, "0 2 11 3 *", "2026-03-08T00:00Z", ["03-11T02:00-0400", "03-11T02:00-0500"]),
    (
        NEW_YORK,
        "0 1 * * *",
        "2026-11-01T00:00Z",
        ["11-01T01:00-0400", "11-01T01:00-0500", "11-02T01:00-0500"],
    ),
    (
        NEW_YORK,
        "*/30 1 * * *",
        "2026-11-01T05:00Z",
        ["11-01T01:30-0400", "11-01T01:00-0500", "11-01T01:30-0500", "11-02T01:00-0500"],
    ),
    # forward by half an hour: 02:00 becomes 02:30
    (LORD_HOWE, "15 2 * * *", "2026-10-03T12:00Z", ["10-05T02:15+1100", "10-06T02:15+1100"]),
    (LORD_HOWE, "30 2 * * *", "2026-10-03T12:00Z", ["10-04T02:30+1100", "10-05T02:30+1100"]),
    (
        LORD_HOWE,
        "*/15 * * * *",
        "2026-10-03T15:00Z",
        ["10-04T01:45+1030", "10-04T02:30+1100", "10-04T02:45+1100", "10-04T03:00+1100"],
    ),
    # back by half an hour: 02:00 becomes 01:30
    (
        LORD_HOWE,
        "45 1 * * *",
        "2026-04-04T12:00Z",
        ["04-05T01:45+1100", "04-05T01:45+1030", "04-06T01:45+1030"],
    ),
    (LORD_HOWE, "0 1 * * *", "2026-04-04T12:00Z", ["04-05T01:00+1100", "04-06T01:00+1030"]),
    (
        LORD_HOWE,
        "15 * * * *",
        "2026-04-04T13:50Z",
        ["04-05T01:15+1100", "04-05T02:15+1030", "04-05T03:15+1030"],
    ),
    # the clocks leap over midnight
    ("Africa/Cairo", "0 0 * * *", "2026-04-23T12:00Z", ["04-25T00:00+0300", "04-26T00:00+0300"]),
    # a day of month and a day of week: one of them is enough, unless one is any
    ("Etc/UTC", "0 0 1,15 * MON", "2026-01-01T00:00Z", ["01-05T00:00+0000", "01-12T00:00+0000"]),
    ("Etc/UTC", "0 0 */10 * MON", "2026-01-06T00:00Z", ["01-11T00:00+0000", "01-12T00:00+0000"]),
    ("Etc/UTC", "0 0 */1 * MON", "2026-01-01T00:00Z", ["01-05T00:00+0000", "01-12T00:00+0000"]),
    ("Etc/UTC", "0 0 *,5 * MON", "2026-01-01T00:00Z", ["01-05T00:00+0000", "01-12T00:00+0000"]),
    ("Etc/UTC", "0 0 ? * MON", "2026-01-01T00:00Z", ["01-05T00:00+0000", "01-12T00:00+0000"]),
    ("Etc/UTC", "5/15 * * * *", "2026-01-01T00:00Z", ["01-01T00:05+0000", "01-01T00:20+0000"]),
    ("Etc/UTC", "0 0 1 jan-mar/2 *", "2026-01-02T00:00Z", ["03-01T00:00+0000", "01-01T00:00+0000"]),
    ("Etc/UTC", "0 0 29 2 *", "2026-01-01T00:00Z", ["02-29T00:00+0000", "02-29T00:00+0000"]),
]


@pytest.mark.parametrize(("zone", "expression", "after", "expected"), AS_CRONJOB)
def test_slots_are_those_of_cronjob(
    zone: str, expression: str, after: str, expected: list[str]
) -> None:
    assert slots(zone, expression, after, len(expected)) == expected


@pytest.mark.parametrize(
    ("expression", "after", "expected"),
    [
        # robfig/cron counts hours from midnight, finds itself at half past, and leaves the day out
        ("0 3 * * *", "2026-10-03T12:00Z", ["10-04T03:00+1100", "10-05T03:00+1100"]),
        ("0 2 * * *", "2026-04-04T12:00Z", ["04-05T02:00+1030", "04-06T02:00+1030"]),
    ],
)
def test_after_half_an_hour_a_time_that_exists_is_not_left_out_as_it_is_by_cronjob(
    expression: str, after: str, expected: list[str]
) -> None:
    assert slots(LORD_HOWE, expression, after, 2) == expected


@pytest.mark.parametrize(
    "expression",
    ["61 * * * *", "* * * *", "50-10 * * * *", "0 0 30 2 *", "*/0 * * * *", "x * * * *", "5#2/3"],
)
def test_what_is_no_expression_is_refused(expression: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Cron.parse(expression, None, "spec.schedule.windows[1]")
    assert caught.value.reason == "ScheduleInvalid"
    assert caught.value.field == "spec.schedule.windows[1].cron"


ZONES = st.sampled_from(
    [BERLIN, NEW_YORK, LORD_HOWE, "Etc/UTC", "Asia/Kathmandu", "Africa/Casablanca", "Pacific/Apia"]
)
MINUTES = st.sampled_from(["0", "*/15", "7,37", "59", "*"])
HOURS = st.sampled_from(["*", "1", "2", "0,23", "1-3", "*/6"])
DAYS = st.sampled_from([("*", "*"), ("*", "SUN"), ("1,29", "*"), ("13", "FRI"), ("*/2", "MON")])
MOMENTS = st.datetimes(
    min_value=dt.datetime(2005, 1, 1),  # noqa: DTZ001  - the zone comes from the strategy
    max_value=dt.datetime(2040, 1, 1),  # noqa: DTZ001  - same
    timezones=st.just(dt.UTC),
)


@given(ZONES, MINUTES, HOURS, DAYS, MOMENTS)
def test_a_slot_is_a_minute_that_the_clock_shows_and_none_is_left_out(
    zone: str, minute: str, hour: str, days: tuple[str, str], moment: dt.datetime
) -> None:
    cron = Cron.parse(f"{minute} {hour} {days[0]} * {days[1]}", zone, "spec.schedule")
    following = cron.after(moment)
    assert following is not None
    assert following > moment
    assert following.second == 0
    shown = following.astimezone(cron.zone)
    if minute == "7,37":
        assert shown.minute in {7, 37}
    if hour == "1-3":
        assert shown.hour in {1, 2, 3}
    assert cron.before(following) == following
    earlier = cron.before(following - dt.timedelta(seconds=1))
    assert earlier is not None
    assert earlier <= moment
    assert cron.after(earlier - dt.timedelta(seconds=1)) == earlier
