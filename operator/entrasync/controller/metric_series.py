"""Metrics that belong to resources: kept by resource, so that all of one goes with it.

The library's own metrics keep an object for each label set, which a thousand syncs with fifty sets
each make large, and find a resource's sets only by looking at all. Here a set is an entry of a
dictionary; the library still checks, writes and serves what is collected.
"""

from __future__ import annotations

import datetime as dt
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString
from typing_extensions import override

from entrasync.controller.metric_families import Family, MetricType

Labels = tuple[str, ...]
"""Values of the labels that come after those of the resource."""
COUNTED: Final = 128
"""Events of one resource that are remembered as counted: more than runs are ever kept."""
_WITHOUT_KIND: Final = 2


class Owner(NamedTuple):
    """The resource that label sets belong to.

    Attributes:
        kind: such as `DirectorySync`.
        namespace: empty for cluster-scoped ones.
        name: its name.
    """

    kind: str
    namespace: str
    name: str


@dataclass(slots=True)
class Spread:
    """A histogram of one resource.

    Attributes:
        counts: observations by bucket, the last one above all bounds.
        sum: of all observations.
    """

    counts: list[int]
    sum: float = 0


@dataclass(slots=True)
class _Held:
    """All there is of one resource, by name of the metric."""

    values: dict[str, dict[Labels, float]] = field(default_factory=dict)
    spreads: dict[str, Spread] = field(default_factory=dict)
    counted: deque[str] = field(default_factory=lambda: deque(maxlen=COUNTED))


class ResourceSeries(Collector):
    """Collects what is told of resources; safe to use from several threads.

    Of a resource that was never told of, or was forgotten, nothing is taken: a run that ends after
    its sync was deleted brings no label set back.

    Args:
        families: the metrics, in the order they are shown.
        clock: aware now, for those that count since a moment.
    """

    def __init__(self, families: Sequence[Family], clock: Callable[[], dt.datetime]) -> None:
        self._families = tuple(families)
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[Owner, _Held] = {}

    def know(self, owner: Owner) -> None:
        """A resource is there."""
        with self._lock:
            self._held.setdefault(owner, _Held())

    def forget(self, owner: Owner) -> None:
        """A resource is gone, and with it all its label sets."""
        with self._lock:
            self._held.pop(owner, None)

    def set(self, owner: Owner, family: Family, values: Mapping[Labels, float]) -> None:
        """Replaces all label sets of a gauge that a resource has."""
        with self._lock:
            held = self._held.get(owner)
            if held is not None:
                held.values[family.name] = dict(values)

    def add(self, owner: Owner, family: Family, values: Mapping[Labels, float]) -> None:
        """Adds to a counter; adding nothing makes its label set appear."""
        with self._lock:
            held = self._held.get(owner)
            if held is not None:
                known = held.values.setdefault(family.name, {})
                for labels, value in values.items():
                    known[labels] = known.get(labels, 0) + value

    def spread(self, owner: Owner, family: Family, counts: Sequence[int], total: float) -> None:
        """Adds counts by bucket, and the sum of what they counted, to a histogram."""
        with self._lock:
            held = self._held.get(owner)
            if held is not None:
                known = held.spreads.setdefault(
                    family.name, Spread(counts=[0] * (len(family.buckets) + 1))
                )
                for index, count in enumerate(counts[: len(known.counts)]):
                    known.counts[index] += count
                known.sum += total

    def counts_first(self, owner: Owner, event: str) -> bool:
        """Whether an event of a resource is to be counted: it is there, and it was not yet."""
        with self._lock:
            held = self._held.get(owner)
            if held is None or event in held.counted:
                return False
            held.counted.append(event)
            return True

    def owners(self) -> list[Owner]:
        """Resources that are there."""
        with self._lock:
            return list(self._held)

    def describe(self) -> Iterator[Metric]:
        """Names of all metrics, for the registry to tell clashes."""
        return map(_empty, self._families)

    @override
    def collect(self) -> Iterator[Metric]:
        """All metrics with their samples."""
        now = self._clock().timestamp()
        for family in self._families:
            with self._lock:
                yield self._filled(family, now)

    def _filled(self, family: Family, now: float) -> Metric:
        metric = _empty(family)
        for owner, held in self._held.items():
            of_owner = owner if family.labels[0] == "kind" else owner[-_WITHOUT_KIND:]
            if isinstance(metric, HistogramMetricFamily):
                spread = held.spreads.get(family.name)
                if spread is not None:
                    metric.add_metric(of_owner, _cumulative(family, spread), spread.sum)
                continue
            for labels, value in held.values.get(family.name, {}).items():
                shown = max(0.0, now - value) if family.counts_since else value
                metric.add_metric((*of_owner, *labels), shown)
        return metric


def _empty(family: Family) -> CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily:
    match family.type:
        case MetricType.COUNTER:
            return CounterMetricFamily(family.name, family.help, labels=family.labels)
        case MetricType.GAUGE:
            return GaugeMetricFamily(family.name, family.help, labels=family.labels)
        case MetricType.HISTOGRAM:
            return HistogramMetricFamily(family.name, family.help, labels=family.labels)


def _cumulative(family: Family, spread: Spread) -> list[tuple[str, float]]:
    bounds = map(floatToGoString, (*family.buckets, math.inf))
    found: list[tuple[str, float]] = []
    total = 0
    for bound, count in zip(bounds, spread.counts, strict=True):
        total += count
        found.append((bound, total))
    return found
