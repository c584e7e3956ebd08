"""Conditions keep the API conventions."""

from __future__ import annotations

import datetime as dt

import pytest

from entrasync.api.common import Condition
from entrasync.controller.conditions import FALSE, MESSAGE_LENGTH, TRUE, Wanted, merge
from tests.support.samples import NOW

LATER = NOW + dt.timedelta(minutes=1)
GOOD = Wanted(status=TRUE, reason="Synchronized")


def test_the_transition_time_moves_only_with_the_status() -> None:
    first = merge([], {"Ready": GOOD}, managed=["Ready"], generation=1, now=NOW)
    again = merge(
        first,
        {"Ready": Wanted(status=TRUE, reason="Degraded")},
        managed=["Ready"],
        generation=2,
        now=LATER,
    )
    assert again[0].last_transition_time == first[0].last_transition_time
    assert again[0].reason == "Degraded"
    assert again[0].observed_generation == 2
    bad = Wanted(status=FALSE, reason="RunFailed")
    changed = merge(again, {"Ready": bad}, managed=["Ready"], generation=2, now=LATER)
    assert changed[0].last_transition_time != first[0].last_transition_time


def test_conditions_of_others_stay_and_ours_go_when_they_no_longer_hold() -> None:
    foreign = Condition(type="Approved", status=TRUE)
    stalled = Condition(type="Stalled", status=TRUE)
    found = merge(
        [foreign, stalled], {"Ready": GOOD}, managed=["Ready", "Stalled"], generation=1, now=NOW
    )
    assert [condition.type for condition in found] == ["Ready", "Approved"]


def test_the_verdict_is_read_first_whenever_it_came() -> None:
    stalled = [Condition(type="Stalled", status=TRUE), Condition(type="Ready", status=FALSE)]
    wanted = {"Stalled": GOOD, "Ready": GOOD}
    found = merge(stalled, wanted, managed=["Ready", "Stalled"], generation=1, now=NOW)
    assert [condition.type for condition in found] == ["Ready", "Stalled"]


def test_others_cannot_take_the_room_of_ours() -> None:
    others = [Condition(type=f"Other{number}", status=TRUE) for number in range(40)]
    found = merge(others, {"Ready": GOOD}, managed=["Ready"], generation=1, now=NOW)
    assert len(found) == 32
    assert found[0].type == "Ready"


def test_a_long_message_is_cut_between_words() -> None:
    long = Wanted(status=TRUE, reason="RunFailed", message="words " * 400)
    (found,) = merge([], {"Ready": long}, managed=["Ready"], generation=1, now=NOW)
    assert len(found.message) <= MESSAGE_LENGTH
    assert found.message.endswith("words…")


def test_nothing_is_reconciling_and_stalled_at_once() -> None:
    with pytest.raises(ValueError, match="never"):
        merge([], {"Reconciling": GOOD, "Stalled": GOOD}, managed=[], generation=1, now=NOW)


def test_a_condition_that_nobody_would_take_away_is_refused() -> None:
    with pytest.raises(ValueError, match="Paused"):
        merge([], {"Paused": GOOD}, managed=["Ready"], generation=1, now=NOW)
