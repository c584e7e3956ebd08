"""Label sets by resource: they add up, are replaced, and go together."""

from __future__ import annotations

import datetime as dt
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from entrasync.controller.metric_families import (
    CHANGES,
    CONDITION,
    LATENCY,
    OF_RESOURCES,
    OUT_OF_SCHEDULE,
    OWNED,
)
from entrasync.controller.metric_series import COUNTED, Owner, ResourceSeries
from tests.support.scraped import Scraped

NOW = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)
OWNERS = [Owner("DirectorySync", "identity", name) for name in ("a", "b")]
ONE = OWNERS[0]

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["know", "forget", "set", "add", "spread"]),
        st.sampled_from(OWNERS),
        st.sampled_from(["users", "groups"]),
        st.integers(0, 9),
    ),
    max_size=40,
)


def series() -> ResourceSeries:
    return ResourceSeries(OF_RESOURCES, lambda: NOW)


def scrape(found: ResourceSeries) -> Scraped:
    registry = CollectorRegistry()
    registry.register(found)
    return Scraped(registry)


class Model:
    """What should be shown, by the simplest means."""

    def __init__(self) -> None:
        self.owned: dict[str, dict[str, int]] = {}
        self.added: dict[str, Counter[str]] = {}
        self.measured: Counter[str] = Counter()

    def know(self, name: str) -> None:
        self.owned.setdefault(name, {})
        self.added.setdefault(name, Counter())

    def forget(self, name: str) -> None:
        self.owned.pop(name, None)
        self.added.pop(name, None)
        del self.measured[name]

    def tell(self, what: str, name: str, kind: str, number: int) -> None:
        if name not in self.owned:
            return
        if what == "set":
            self.owned[name] = {kind: number}
        elif what == "add":
            self.added[name][kind] += number
        else:
            self.measured[name] += number


def take(found: ResourceSeries, what: str, owner: Owner, kind: str, number: int) -> None:
    match what:
        case "know":
            found.know(owner)
        case "forget":
            found.forget(owner)
        case "set":
            found.set(owner, OWNED, {(kind,): number})
        case "add":
            found.add(owner, CHANGES, {(kind, "add"): number})
        case _:
            found.spread(owner, LATENCY, [number], number * 10)


@given(STEPS)
def test_what_is_shown_is_what_was_told_since_it_was_last_forgotten(
    steps: list[tuple[str, Owner, str, int]],
) -> None:
    found, model = series(), Model()
    for what, owner, kind, number in steps:
        take(found, what, owner, kind, number)
        if what in {"know", "forget"}:
            getattr(model, what)(owner.name)
        else:
            model.tell(what, owner.name, kind, number)

    scraped = scrape(found)

    assert {owner.name for owner in found.owners()} == set(model.owned)
    for metric, expected in (
        ("entrasync_owned_objects", model.owned),
        ("entrasync_changes_total", model.added),
    ):
        assert scraped.by(metric, "name", "kind") == {
            (name, kind): value
            for name, values in expected.items()
            for kind, value in values.items()
            if value
        }
    measured = scraped.by("entrasync_change_latency_seconds_count", "name")
    assert measured == {name: count for name, count in model.measured.items() if count}
    for owner in OWNERS:
        found.forget(owner)
    assert scrape(found).samples == []


def test_the_kind_is_a_label_only_where_several_kinds_share_a_metric() -> None:
    found = series()
    found.know(ONE)
    found.set(ONE, CONDITION, {("Ready", "True"): 1})
    found.set(ONE, OWNED, {("users",): 1})
    kinds = {name: labels.get("kind") for name, labels, _ in scrape(found).samples}
    assert kinds == {"entrasync_condition": "DirectorySync", "entrasync_owned_objects": "users"}


def test_time_passes_without_anybody_telling() -> None:
    moments = [NOW]
    found = ResourceSeries(OF_RESOURCES, lambda: moments[-1])
    found.know(ONE)
    found.set(ONE, OUT_OF_SCHEDULE, {(): NOW.timestamp()})
    assert scrape(found).value(OUT_OF_SCHEDULE.name) == 0
    moments.append(NOW + dt.timedelta(seconds=7))
    assert scrape(found).value(OUT_OF_SCHEDULE.name) == 7


def test_counts_beyond_the_buckets_of_today_are_left_out() -> None:
    found = series()
    found.know(ONE)
    found.spread(ONE, LATENCY, [1] * (len(LATENCY.buckets) + 5), 100)
    shown = scrape(found).value("entrasync_change_latency_seconds_count")
    assert shown == len(LATENCY.buckets) + 1


def test_an_event_counts_first_once_and_anew_when_its_resource_comes_again() -> None:
    found = series()
    assert not found.counts_first(ONE, "run")
    found.know(ONE)
    assert [found.counts_first(ONE, "run") for _ in range(2)] == [True, False]
    found.forget(ONE)
    found.know(ONE)
    assert found.counts_first(ONE, "run")


def test_what_is_remembered_as_counted_is_bounded() -> None:
    found = series()
    found.know(ONE)
    for number in range(COUNTED + 1):
        assert found.counts_first(ONE, str(number))
    assert found.counts_first(ONE, "0")
    assert not found.counts_first(ONE, str(COUNTED))
