"""The queue: each key once, the earliest first, one at a time a namespace, nothing lost."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from typing_extensions import override

from entrasync.controller.queue import LONGEST_BACKOFF, Key, WorkQueue
from tests.support.samples import NOW


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> dt.datetime:
        return self.now


def key(number: int, namespace: str = "identity") -> Key:
    return Key("syncruns", namespace, f"run-{number}")


def drain(queue: WorkQueue) -> list[Key]:
    found = []
    while (taken := queue.take()) is not None:
        found.append(taken)
        queue.finish(taken)
    return found


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(-10, 10))))
def test_keys_come_once_in_order_and_only_when_due(wishes: list[tuple[int, int]]) -> None:
    clock = Clock()
    queue = WorkQueue(clock)
    earliest: dict[Key, dt.datetime] = {}
    for number, seconds in wishes:
        due = NOW + dt.timedelta(seconds=seconds)
        queue.add(key(number), due)
        earliest[key(number)] = min(earliest.get(key(number), due), due)
    late = [due for due in earliest.values() if due <= NOW]
    assert queue.backlog() == (len(late), min(late, default=None))
    now_due = drain(queue)
    assert len(now_due) == len(set(now_due))
    assert set(now_due) == {k for k, due in earliest.items() if due <= NOW}
    assert [earliest[k] for k in now_due] == sorted(earliest[k] for k in now_due)
    clock.now = NOW + dt.timedelta(seconds=11)
    assert set(drain(queue)) == {k for k, due in earliest.items() if due > NOW}
    assert queue.next_due() is None


class Lanes(RuleBasedStateMachine):
    """Any order of wishes, takes, ends and time: against a plain model."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.queue = WorkQueue(self.clock)
        self.wanted: dict[Key, dt.datetime] = {}
        self.out: dict[str, Key] = {}

    @rule(number=st.integers(0, 3), namespace=st.sampled_from("abc"), seconds=st.integers(-5, 20))
    def add(self, number: int, namespace: str, seconds: int) -> None:
        due = self.clock.now + dt.timedelta(seconds=seconds)
        wished = key(number, namespace)
        self.queue.add(wished, due)
        self.wanted[wished] = min(due, self.wanted.get(wished, due))

    @rule()
    def take(self) -> None:
        free = {
            due: each
            for each, due in sorted(self.wanted.items(), reverse=True)
            if due <= self.clock.now and each.namespace not in self.out
        }
        taken = self.queue.take()
        if not free:
            assert taken is None
            return
        assert taken is not None
        assert self.wanted.pop(taken) == min(free)
        self.out[taken.namespace] = taken

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        if self.out:
            namespace = data.draw(st.sampled_from(sorted(self.out)))
            self.queue.finish(self.out.pop(namespace))

    @rule(seconds=st.integers(-30, 30))
    def time_passes_or_jumps(self, seconds: int) -> None:
        self.clock.now += dt.timedelta(seconds=seconds)

    @rule()
    def add_all(self) -> None:
        self.queue.add_all()
        for each, due in self.wanted.items():
            self.wanted[each] = min(due, self.clock.now)

    @invariant()
    def it_knows_how_much_is_due(self) -> None:
        late = [due for due in self.wanted.values() if due <= self.clock.now]
        assert self.queue.backlog() == (len(late), min(late, default=None))

    @override
    def teardown(self) -> None:
        for taken in self.out.values():
            self.queue.finish(taken)
        self.clock.now += dt.timedelta(days=1)
        assert sorted(drain(self.queue)) == sorted(self.wanted)


TestLanes = Lanes.TestCase


def test_a_key_that_is_wanted_while_it_is_out_comes_again_afterwards() -> None:
    queue = WorkQueue(Clock())
    queue.add(key(1))
    assert queue.take() == key(1)
    queue.add(key(1))
    assert queue.take() is None
    queue.finish(key(1))
    assert drain(queue) == [key(1)]


def test_only_what_was_taken_is_given_back() -> None:
    queue = WorkQueue(Clock())
    with pytest.raises(ValueError, match="was not taken"):
        queue.finish(key(1))


def test_wishes_that_were_overtaken_do_not_pile_up() -> None:
    clock = Clock()
    queue = WorkQueue(clock)
    for _ in range(5000):
        queue.add(key(1), clock.now + dt.timedelta(hours=1))
        queue.add(key(1))
        assert drain(queue) == [key(1)]
    assert len(queue._heap) < 1000


def test_failures_wait_longer_each_time_and_success_forgets_them() -> None:
    queue = WorkQueue(Clock())
    delays = [queue.failed(key(1)) for _ in range(12)]
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_BACKOFF
    queue.succeeded(key(1))
    assert queue.failed(key(1)) == delays[0]


def test_a_failure_waits_as_long_as_it_was_asked_to_within_reason() -> None:
    queue = WorkQueue(Clock())
    assert queue.failed(key(1), dt.timedelta(seconds=20)) == dt.timedelta(seconds=20)
    assert queue.failed(key(2), dt.timedelta(days=1)) == LONGEST_BACKOFF
