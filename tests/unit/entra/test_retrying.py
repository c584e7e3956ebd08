"""Patience: by the clock with what is busy, by tries with all else."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.entra.retrying import (
    Attempts,
    BusyError,
    Patience,
    TenantBusyError,
    retry_after_seconds,
)
from entrasync.errors import TransientError
from tests.unit.entra.samples import MODERATE
from tests.unit.entra.service_stage import NOW


class Time:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> dt.datetime:
        return self.now

    def pass_(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)


def attempts(patience: Patience, time: Time, random: float = 1.0) -> Attempts:
    return Attempts(patience, clock=time, random=lambda: random)


def busy(retry_after: float | None = None) -> TransientError:
    return TenantBusyError("Throttled", "busy", retry_after=retry_after)


def failed(retry_after: float | None = None) -> TransientError:
    return TransientError("ServerUnreachable", "gone", retry_after=retry_after)


@pytest.mark.parametrize(
    ("random", "waits"),
    [
        (1.0, [1, 2, 4, 8, 16, 32, 60, 60]),
        (0.0, [0.5, 1, 2, 4, 8, 16, 30, 30]),
    ],
)
def test_waits_double_up_to_the_longest(random: float, waits: list[float]) -> None:
    time = Time()
    tries = attempts(Patience(), time, random)

    assert [tries.wait_after(busy()) for _ in waits] == waits


def test_what_fails_is_tried_so_often_and_no_more() -> None:
    tries = attempts(Patience(most_tries=3), Time())

    assert [tries.wait_after(failed()) for _ in range(3)] == [1, 2, None]


def test_what_is_busy_does_not_count_as_a_try() -> None:
    tries = attempts(Patience(most_tries=2), Time())

    found = [tries.wait_after(each) for each in (busy(), busy(), failed(), busy(), failed())]

    assert found == [1, 2, 1, 4, None]


def test_patience_ends_by_the_clock() -> None:
    # a busy service may take its time to say so
    time = Time()
    tries = attempts(Patience(busy_seconds=100), time)

    assert tries.wait_after(busy()) == 1
    time.pass_(99)
    assert tries.wait_after(busy()) == 1  # not 2: only one second is left
    time.pass_(1)
    assert tries.wait_after(busy()) is None


def test_patience_ends_though_the_clock_stands_still_or_goes_back() -> None:
    time = Time()
    tries = attempts(Patience(busy_seconds=10), time)
    waits = []
    while (wait := tries.wait_after(busy())) is not None:
        waits.append(wait)
        time.pass_(-1)

    assert sum(waits) == 10


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (busy(30), 30),
        (busy(900), 900),
        (busy(901), None),
        (busy(0), 1),
        (failed(30), 30),
        (failed(901), None),
        (BusyError("Throttled", "the login authority", retry_after=45), 45),
    ],
)
def test_what_is_asked_for_is_waited_at_least(error: TransientError, wait: float | None) -> None:
    assert attempts(Patience(), Time()).wait_after(error) == wait


@MODERATE
@given(
    st.lists(
        st.tuples(st.booleans(), st.none() | st.floats(0, 2000), st.floats(0, 100)), min_size=60
    ),
    st.floats(0, 1),
)
def test_any_row_of_failures_comes_to_an_end_in_time(
    row: list[tuple[bool, float | None, float]], random: float
) -> None:
    time = Time()
    patience = Patience()
    tries = attempts(patience, time, random)
    waited = 0.0
    count = 0
    for is_busy, told, took in row:
        wait = tries.wait_after(busy(told) if is_busy else failed(told))
        if wait is None:
            break
        count += 1
        assert wait >= (told or 0)
        waited += wait if is_busy else 0
        time.pass_(wait + took)
    assert count < 60
    assert waited <= patience.busy_seconds + 1e-6


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("9" * 5000, 999_999_999.0),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 12:00:30 -0000", 30.0),
        ("Tue, 24 Nov 2026 12:00:30", 30.0),
        ("Tue, 24 Nov 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("", None),
        ("\u00b2", None),
        ("Tue, 24 Nov 99999 12:00:30 GMT", None),
    ],
)
def test_a_header_says_seconds_or_a_date(text: str, seconds: float | None) -> None:
    assert retry_after_seconds(text, NOW) == seconds


@MODERATE
@given(st.text(max_size=40))
def test_any_header_is_a_wait_or_nothing(text: str) -> None:
    found = retry_after_seconds(text, NOW)

    assert found is None or found >= 0
