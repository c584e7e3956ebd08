"""Windows: Deny wins, Allow shuts what is outside, and a way through is found, or none named."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.schedule import Schedule
from entrasync.controller.windows import Windows
from entrasync.errors import ConfigurationError

SATURDAY: dict[str, Any] = {"kind": "Deny", "cron": "0 2 * * 6", "duration": "4h"}
OFFICE: dict[str, Any] = {"kind": "Allow", "cron": "0 8 * * MON-FRI", "duration": "10h"}
LUNCH: dict[str, Any] = {"kind": "Deny", "cron": "0 12 * * *", "duration": "1h"}


def windows(*given: dict[str, Any], zone: str | None = None) -> Windows:
    return Windows.of(Schedule.model_validate({"windows": list(given), "timeZone": zone}))


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("given_windows", "moment", "opens"),
    [
        ([], "2026-01-03T03:00Z", "2026-01-03T03:00Z"),
        ([SATURDAY], "2026-01-03T01:59:59Z", "2026-01-03T01:59:59Z"),
        ([SATURDAY], "2026-01-03T02:00Z", "2026-01-03T06:00Z"),
        ([SATURDAY], "2026-01-03T05:59:59Z", "2026-01-03T06:00Z"),
        ([SATURDAY], "2026-01-03T06:00Z", "2026-01-03T06:00Z"),
        ([OFFICE], "2026-01-02T12:00Z", "2026-01-02T12:00Z"),
        ([OFFICE], "2026-01-02T18:00Z", "2026-01-05T08:00Z"),
        ([OFFICE, LUNCH], "2026-01-02T12:30Z", "2026-01-02T13:00Z"),
        # the denied time reaches beyond the allowed one: the next allowed one counts
        (
            [OFFICE, {"kind": "Deny", "cron": "0 17 * * FRI", "duration": "2h"}],
            "2026-01-02T17:30Z",
            "2026-01-05T08:00Z",
        ),
        # one opens again before it closes
        (
            [{"kind": "Deny", "cron": "0 2,4 * * *", "duration": "3h"}],
            "2026-01-03T02:30Z",
            "2026-01-03T07:00Z",
        ),
    ],
)
def test_the_first_moment_at_which_a_run_may_start(
    given_windows: list[dict[str, Any]], moment: str, opens: str
) -> None:
    found = (windows(*given_windows) if given_windows else Windows()).first_open(at(moment))
    assert found == at(opens)


def test_what_shuts_is_named_by_its_field() -> None:
    both = windows(OFFICE, SATURDAY)
    assert both.closed_by(at("2026-01-03T03:00Z")) == "`spec.schedule.windows[1]`"
    assert both.closed_by(at("2026-01-04T03:00Z")) == "`spec.schedule.windows`"
    assert both.closed_by(at("2026-01-02T09:00Z")) is None


def test_they_open_by_the_clocks_of_their_zone_and_last_as_long_as_they_say() -> None:
    night = {"kind": "Deny", "cron": "0 1 * * *", "duration": "3h"}
    berlin = windows(night, zone="Europe/Berlin")
    # from 01:00 to 05:00 on the day the clocks are put on: three hours nevertheless
    assert berlin.first_open(at("2026-03-29T00:30Z")) == at("2026-03-29T03:00Z")
    assert berlin.first_open(at("2026-03-30T00:30Z")) == at("2026-03-30T02:00Z")
    own = windows(night | {"timeZone": "America/New_York"}, zone="Europe/Berlin")
    assert own.closed_by(at("2026-01-05T06:30Z")) is not None
    assert own.closed_by(at("2026-01-05T00:30Z")) is None


@pytest.mark.parametrize(
    "shut",
    [
        [{"kind": "Deny", "cron": "0 * * * *", "duration": "1h"}],
        [LUNCH, {"kind": "Allow", "cron": "0 12 * * *", "duration": "30m"}],
    ],
)
def test_windows_that_let_nothing_through_are_a_mistake(shut: list[dict[str, Any]]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        windows(*shut).first_open(at("2026-01-01T12:10Z"))
    assert caught.value.reason == "ScheduleInvalid"
    assert caught.value.field == "spec.schedule.windows"


@pytest.mark.parametrize(
    ("broken", "field"),
    [
        (SATURDAY | {"cron": "99 * * * *"}, "spec.schedule.windows[1].cron"),
        (SATURDAY | {"timeZone": "Mars/Olympus"}, "spec.schedule.windows[1].timeZone"),
    ],
)
def test_a_bad_window_names_its_field(broken: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        windows(OFFICE, broken)
    assert caught.value.field == field


@given(
    st.lists(st.sampled_from([SATURDAY, OFFICE, LUNCH]), min_size=1, max_size=4),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Etc/UTC"]),
    st.datetimes(
        min_value=dt.datetime(2020, 1, 1),  # noqa: DTZ001  - the zone comes from the strategy
        max_value=dt.datetime(2035, 1, 1),  # noqa: DTZ001  - same
        timezones=st.just(dt.UTC),
    ),
)
def test_the_first_open_moment_is_open_and_none_before_is(
    given_windows: list[dict[str, Any]], zone: str, moment: dt.datetime
) -> None:
    found = windows(*given_windows, zone=zone)
    opens = found.first_open(moment)
    assert opens >= moment
    assert found.closed_by(opens) is None
    assert found.first_open(opens) == opens
    if opens > moment:
        assert found.closed_by(moment) is not None
        assert found.closed_by(opens - dt.timedelta(seconds=1)) is not None
        assert found.first_open(moment + (opens - moment) / 2) == opens
