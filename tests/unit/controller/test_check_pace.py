"""Very many checks that are due together begin one after the other."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from entrasync.controller.check_pace import BURST, GAP, CheckPace
from tests.support.samples import NOW

SECOND = dt.timedelta(seconds=1)


def test_a_few_begin_at_once() -> None:
    pace = CheckPace()
    assert all(pace.moment_for(number, NOW) <= NOW for number in range(BURST))
    assert pace.moment_for("one more", NOW) == NOW + GAP


def test_a_thousand_begin_within_five_minutes_and_never_more_than_a_burst_at_once() -> None:
    pace = CheckPace()
    places = sorted(pace.moment_for(number, NOW) for number in range(1000))
    assert places[-1] - NOW < dt.timedelta(minutes=5)
    for place in places[BURST:]:
        assert sum(place - SECOND < other <= place for other in places) <= SECOND / GAP


def test_a_place_is_kept_for_whoever_was_told_it_and_given_away_once() -> None:
    pace = CheckPace()
    for number in range(BURST):
        pace.moment_for(number, NOW)
    place = pace.moment_for("late", NOW)
    assert pace.moment_for("late", NOW) == place
    assert pace.moment_for("late", place) == place
    assert pace.moment_for("late", place) > place - GAP


def test_after_a_rest_a_few_begin_at_once_again() -> None:
    pace = CheckPace()
    for number in range(100):
        pace.moment_for(number, NOW)
    later = NOW + dt.timedelta(hours=1)
    assert pace.moment_for("new", later) <= later


def test_places_of_what_is_gone_are_forgotten() -> None:
    pace = CheckPace()
    for number in range(100):
        pace.moment_for(number, NOW)
    later = NOW + dt.timedelta(hours=1)
    for number in range(1000, 1000 + 2 * BURST):
        pace.moment_for(number, later)
    assert len(pace._places) <= BURST


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(-600, 600)), max_size=60))
def test_no_jump_of_the_clock_lets_anybody_wait_for_ever(steps: list[tuple[int, int]]) -> None:
    pace, now = CheckPace(), NOW
    for key, seconds in steps:
        now += dt.timedelta(seconds=seconds)
        pace.moment_for(key, now)
    place = pace.moment_for("last", now)
    assert place - now <= GAP * (len(steps) + 1)
    if place > now:
        assert pace.moment_for("last", place) <= place
