"""The queue: each key once, the earliest first, back-off that ends."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from entrasync.controller.queue import LONGEST_BACKOFF, Key, WorkQueue
from tests.support.samples import NOW


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> dt.datetime:
        return self.now


def key(number: int) -> Key:
    return Key("syncruns", "identity", f"run-{number}")


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-10, 10))))
def test_keys_come_once_in_order_and_only_when_due(wishes: list[tuple[int, int]]) -> None:
    clock = Clock()
    queue = WorkQueue(clock)
    earliest: dict[Key, dt.datetime] = {}
    for number, seconds in wishes:
        due = NOW + dt.timedelta(seconds=seconds)
        queue.add(key(number), due)
        earliest[key(number)] = min(earliest.get(key(number), due), due)
    now_due = []
    while (found := queue.pop_due()) is not None:
        now_due.append(found)
    assert len(now_due) == len(set(now_due))
    assert set(now_due) == {k for k, due in earliest.items() if due <= NOW}
    assert [earliest[k] for k in now_due] == sorted(earliest[k] for k in now_due)
    clock.now = NOW + dt.timedelta(seconds=11)
    later = []
    while (found := queue.pop_due()) is not None:
        later.append(found)
    assert set(later) == {k for k, due in earliest.items() if due > NOW}
    assert queue.next_due() is None


def test_failures_wait_longer_each_time_and_success_forgets_them() -> None:
    queue = WorkQueue(Clock())
    delays = [queue.failed(key(1)) for _ in range(12)]
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_BACKOFF
    queue.succeeded(key(1))
    assert queue.failed(key(1)) == delays[0]
