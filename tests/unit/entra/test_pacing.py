"""Pacing: never over the share, nearly all of it used, small work never slowed down."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.entra.batches import BatchLimits
from entrasync.entra.pacing import LINK_WEIGHTS, TENANT_WRITES, WINDOW_SECONDS, Pacer, share_of
from tests.unit.entra.samples import MODERATE

STARTED = dt.datetime(2026, 3, 14, 15, 9, 26, 535000, tzinfo=dt.UTC)


class World:
    """Time that passes only where it is told to, and what the service saw."""

    def __init__(self, started: dt.datetime = STARTED) -> None:
        self.started = started
        self.passed = 0.0
        self.served: list[tuple[float, float]] = []
        self.naps: list[float] = []

    def monotonic(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.passed += seconds

    def pacer(self, quota: int, memory: str | None = None, *, late: float = 0.0) -> Pacer:
        return Pacer(
            quota,
            started=self.started + dt.timedelta(seconds=self.passed + late),
            monotonic=self.monotonic,
            sleep=self.sleep,
            memory=memory,
        )

    def send(self, pacer: Pacer, objects: int, links: int = 0, *, seconds: float = 0.0) -> None:
        """One call; the service counts its writes at any time while it lasts."""
        cost = pacer.cost(objects, links)
        assert pacer.wait(cost, lambda: False, lambda _: None)
        pacer.reserve(objects, links)
        with pacer.call():
            for part in (0.0, seconds):
                self.passed += part
                self.served.append((self.passed, cost / 2))

    def largest_window(self) -> float:
        """Most writes in any five minutes, both ends included."""
        found = total = 0.0
        first = 0
        for end, writes in self.served:
            total += writes
            while self.served[first][0] < end - WINDOW_SECONDS:
                total -= self.served[first][1]
                first += 1
            found = max(found, total)
        return found


def fill(world: World, pacer: Pacer, total: int, size: int, seconds: float = 0.0) -> None:
    while total:
        assert pacer.make_room(total, lambda: False, lambda _: None)
        objects = min(total, pacer.limits(size, 15_000).objects)
        world.send(pacer, objects, seconds=seconds)
        total -= objects


@pytest.mark.parametrize(
    ("percent", "writes"), [(80, 5_600), (100, TENANT_WRITES), (1, 70), (0, 1)]
)
def test_a_share_of_the_tenants_writes(percent: int, writes: int) -> None:
    assert share_of(percent) == writes


def test_what_is_within_the_share_is_never_slowed_down() -> None:
    world = World()
    pacer = world.pacer(5_600)

    for _ in range(56):
        world.send(pacer, 100)

    assert world.naps == []
    assert (pacer.paced_seconds, pacer.room()) == (0.0, 0)


def test_what_was_spent_comes_back_after_five_minutes() -> None:
    world = World()
    pacer = world.pacer(10)
    world.send(pacer, 6)
    world.passed = 100
    world.send(pacer, 4)

    assert 300 < pacer.seconds_until(1) + 100 <= 301
    assert pacer.seconds_until(6) == pacer.seconds_until(1)
    assert 400 < pacer.seconds_until(7) + 100 <= 401
    world.send(pacer, 1)
    assert pacer.room() == 5
    assert pacer.paced_seconds == pytest.approx(world.passed - 100)
    assert max(world.naps) <= 1.0


def test_more_than_the_whole_quota_waits_for_all_of_it_and_goes() -> None:
    world = World()
    pacer = world.pacer(10)
    world.send(pacer, 1)

    world.send(pacer, 25)

    assert 300 < world.passed <= 301
    assert pacer.room() == 0
    assert pacer.seconds_until(1) > 299


@pytest.mark.parametrize("seconds", [0.0, 0.2])
@pytest.mark.parametrize(
    ("percent", "size"), [(1, 1), (1, 500), (10, 100), (10, 500), (80, 100), (80, 500), (100, 500)]
)
def test_a_long_fill_uses_nearly_all_of_the_share(percent: int, size: int, seconds: float) -> None:
    world = World()
    quota = share_of(percent)
    fill(world, world.pacer(quota), quota * 40, size, seconds)

    allowed = quota * (1 + world.passed / WINDOW_SECONDS)
    assert sum(writes for _, writes in world.served) >= 0.95 * allowed
    assert world.largest_window() <= quota


work = st.lists(
    st.tuples(
        st.integers(1, 60),
        st.integers(0, 200),
        st.floats(0, 90),
        st.floats(0, 200),
        st.sampled_from(["", "", "busy", "again", "back"]),
    ),
    max_size=25,
)


@MODERATE
@given(st.integers(40, 120), work, st.floats(0, 1e6))
def test_no_five_minutes_hold_more_than_the_share(
    quota: int, calls: list[tuple[int, int, float, float, str]], passed: float
) -> None:
    world = World()
    world.passed = passed
    pacer, late = world.pacer(quota), 0.0
    for objects, links, seconds, pause, then in calls:
        limits = pacer.limits(objects, links)
        world.send(pacer, min(objects, limits.objects), min(links, limits.links), seconds=seconds)
        world.passed += pause
        if then == "busy":
            pacer.busy()
        elif then:
            # another run: from what this one left, and by a clock that may have been set back
            late -= 4000 if then == "back" else 0
            pacer = world.pacer(quota, pacer.memory(), late=late)

    if world.served:
        assert world.largest_window() <= quota


@MODERATE
@given(st.integers(1, 6_000), st.integers(0, 40_000), st.integers(0, 9), st.integers(0, 4))
def test_a_request_is_never_larger_than_the_quota(
    quota: int, links: int, spent: int, raised: int
) -> None:
    world = World()
    pacer = world.pacer(quota)
    for _ in range(raised):
        world.send(pacer, 1, 1)
        pacer.busy()
        world.passed += WINDOW_SECONDS + 2
    world.send(pacer, min(spent + 1, quota))

    limits = pacer.limits(500, max(1, links))

    assert limits.objects >= 1
    assert 1 <= limits.links <= max(1, links)
    if quota > 1:
        assert pacer.cost(limits.objects, limits.links) <= quota


def test_a_request_is_made_smaller_rather_than_to_wait() -> None:
    world = World()
    pacer = world.pacer(4_000)
    assert pacer.limits(500, 9) == BatchLimits(objects=500, links=9)
    world.send(pacer, 3_700)
    assert pacer.limits(500, 9) == BatchLimits(objects=300, links=9)


@pytest.mark.parametrize(("wanted", "waits"), [(30, False), (31, True), (5_000, True)])
def test_crumbs_are_sent_only_when_they_are_all_there_is(wanted: int, *, waits: bool) -> None:
    world = World()
    pacer = world.pacer(4_000)
    world.send(pacer, 3_970)

    assert pacer.make_room(wanted, lambda: False, lambda _: None)

    assert bool(world.naps) is waits


def test_waiting_ends_within_a_second_of_being_cancelled() -> None:
    world = World()
    pacer = world.pacer(10)
    world.send(pacer, 10)
    told: list[float] = []

    assert not pacer.wait(1, lambda: world.passed > 5, told.append)

    assert 5 < world.passed <= 6
    assert told == sorted(told, reverse=True)
    assert len(told) == 6


class TestBusy:
    def test_links_count_more_each_time_the_service_is_busy(self) -> None:
        world = World()
        pacer = world.pacer(5_600)
        seen = []
        for _ in range(6):
            world.send(pacer, 1, 200)
            pacer.busy()
            pacer.busy()  # the same five minutes tell nothing new
            seen.append(pacer.link_weight_percent)
            world.passed += WINDOW_SECONDS + 1

        assert seen == [10, 25, 50, 100, 100, 100]
        assert pacer.throttled == 12
        assert pacer.cost(3, 7) == 10

    def test_without_links_they_are_not_to_blame(self) -> None:
        world = World()
        pacer = world.pacer(5_600)
        world.send(pacer, 100)
        pacer.busy()

        assert (pacer.throttled, pacer.link_weight_percent) == (1, 0)

    def test_the_weight_is_remembered_and_falls_day_by_day(self) -> None:
        world = World()
        pacer = world.pacer(100)
        for _ in range(2):
            world.send(pacer, 1, 1)
            pacer.busy()
            world.passed += WINDOW_SECONDS + 1
        memory = pacer.memory()

        weights = [
            world.pacer(100, memory, late=days * 86_400).link_weight_percent for days in range(4)
        ]

        assert weights == [25, 10, 0, 0]


class TestMemory:
    def test_runs_share_the_quota(self) -> None:
        world = World()
        first = world.pacer(100)
        world.send(first, 90)
        world.passed += 60

        second = world.pacer(100, first.memory())

        assert second.room() == 10
        assert 240 < second.seconds_until(11) <= 241

    def test_a_call_under_way_is_remembered(self) -> None:
        pacer = World().pacer(100)
        pacer.reserve(70, 0)

        assert World().pacer(100, pacer.memory()).room() == 30

    @pytest.mark.parametrize("hours", [-1, -24 * 365])
    def test_a_clock_set_back_costs_at_most_five_minutes(self, hours: int) -> None:
        world = World()
        pacer = world.pacer(100)
        world.send(pacer, 100)

        later = world.pacer(100, pacer.memory(), late=hours * 3600)

        assert 299 < later.seconds_until(1) <= 301

    @pytest.mark.parametrize(
        "memory",
        [
            "",
            "{",
            "[]",
            "null",
            '{"spent":3}',
            '{"spent":[[1]]}',
            '{"spent":[["x",1,2]]}',
            '{"linkWeight":"x"}',
            '{"raised":Infinity}',
            '{"linkWeight":7}',
            None,
        ],
    )
    def test_nonsense_is_taken_for_nothing(self, memory: str | None) -> None:
        pacer = World().pacer(100, memory)

        assert (pacer.room(), pacer.link_weight_percent) == (100, 0)

    def test_it_stays_small(self) -> None:
        world = World()
        pacer = world.pacer(5_600)
        fill(world, pacer, 12_000, 1, 0.03)

        assert len(json.loads(pacer.memory())["spent"]) <= WINDOW_SECONDS + 1


class TestForecast:
    def test_what_is_within_the_share_needs_no_time(self) -> None:
        assert World().pacer(5_600).forecast(5_600, 250_000) == 0.0

    @pytest.mark.parametrize("total", [5_601, 11_200, 11_201, 28_000, 67_200])
    def test_it_is_what_a_fill_takes(self, total: int) -> None:
        world = World()
        pacer = world.pacer(5_600)
        told = pacer.forecast(total, 0)
        fill(world, pacer, total, 500)

        assert told == pytest.approx(world.passed, abs=2 + told * 0.05)

    def test_it_knows_what_was_spent(self) -> None:
        world = World()
        pacer = world.pacer(100)
        world.send(pacer, 60)
        world.passed = 200

        assert pacer.forecast(40, 0) == 0.0
        assert 100 < pacer.forecast(100, 0) <= 101
        # the second hundred waits for the 40 that are spent first
        assert pacer.forecast(140, 0) == pytest.approx(300, abs=1)
        assert pacer.forecast(200, 0) == pytest.approx(401, abs=1)

    def test_links_count_once_they_do(self) -> None:
        world = World()
        pacer = world.pacer(5_600)
        world.send(pacer, 1, 1)
        pacer.busy()
        assert pacer.link_weight_percent == LINK_WEIGHTS[1]

        assert pacer.forecast(17, 250_000) == pytest.approx(4 * WINDOW_SECONDS, abs=2)


def test_a_call_that_takes_longer_than_the_window_is_counted_from_its_end() -> None:
    # a busy tenant is waited for within a call, and each answer asks what was spent
    world = World()
    pacer = world.pacer(100)
    world.send(pacer, 10)
    pacer.reserve(60, 0)
    with pacer.call():
        world.passed += WINDOW_SECONDS + 100
        pacer.busy()
        assert json.loads(pacer.memory())["spent"] != []

    assert pacer.room() == 40
    world.passed += WINDOW_SECONDS + 1
    assert pacer.room() == 100
