"""The operator's metrics: what it is told of goes here, what Prometheus asks for comes out.

Counters count transitions, each once: a run that is harvested again, since the operator ended
between two writes, counts once as far as one process can know. Gauges follow from statuses, so that
they are there again soon after a restart.
"""

from __future__ import annotations

import datetime as dt
import platform
from collections.abc import Callable, Sequence
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
)
from pydantic import BaseModel

from entrasync import __version__
from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.common import Condition, Resource
from entrasync.api.directory_sync import DirectorySync, DirectorySyncStatus
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.result import RunResult
from entrasync.api.sync_run import RunMode, SyncRun
from entrasync.controller import metric_families as families
from entrasync.controller import sync_metrics
from entrasync.controller.metric_series import Owner, ResourceSeries

STATUSES: Final = ("True", "False", "Unknown")
_KINDS: Final = {
    kind.definition.plural: kind.definition.kind
    for kind in (AzureCloud, EntraTenant, ActiveDirectory, DirectorySync, SyncRun)
} | {"jobs": "Job", "pods": "Pod"}

# else each label set comes with a second sample, which says when it was made
disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped in the library


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class OperatorMetrics:
    """All metrics, in a registry of their own. Safe to use from several threads.

    Args:
        clock: aware now.

    Attributes:
        registry: what is served.
    """

    def __init__(self, clock: Callable[[], dt.datetime] = _now) -> None:
        self.registry = CollectorRegistry()
        self._clock = clock
        self._series = ResourceSeries(families.OF_RESOURCES, clock)
        self.registry.register(self._series)
        self._waiting_since: float | None = None
        self._run_duration = _histogram(families.RUN_DURATION, self.registry)
        self._reconcile_duration = _histogram(families.RECONCILE_DURATION, self.registry)
        self._api_requests = Counter(
            families.API_REQUESTS.name,
            families.API_REQUESTS.help,
            families.API_REQUESTS.labels,
            registry=self.registry,
        )
        self._queue_length = _gauge(families.QUEUE_LENGTH, self.registry)
        self._queue_wait = _gauge(families.QUEUE_WAIT, self.registry)
        self._queue_wait.set_function(self._waited)
        self._last_tick = _gauge(families.LAST_TICK, self.registry)
        self._watch_event = _gauge(families.WATCH_EVENT, self.registry)
        self._leader = _gauge(families.LEADER, self.registry)
        _gauge(families.BUILD_INFO, self.registry).labels(
            __version__, platform.python_version()
        ).set(1)
        ProcessCollector(registry=self.registry)

    # --- the operator itself ---------------------------------------------------------------

    def reconciled(self, plural: str, result: str, seconds: float) -> None:
        """One resource was looked at.

        Args:
            plural: of its kind.
            result: `Succeeded`, `Failed` or `Crashed`.
            seconds: how long it took.
        """
        self._reconcile_duration.labels(_KINDS.get(plural, plural), result).observe(seconds)

    def queue(self, due: int, oldest: dt.datetime | None, now: dt.datetime) -> None:
        """The worker looked at its queue.

        Args:
            due: keys that are due.
            oldest: since when the first of them is; `None` when none is.
            now: the time.
        """
        self._queue_length.set(due)
        self._waiting_since = None if oldest is None else oldest.timestamp()
        self._last_tick.set(now.timestamp())

    def watch_event(self, plural: str, now: dt.datetime) -> None:
        """The API server told of a resource."""
        self._watch_event.labels(_KINDS.get(plural, plural)).set(now.timestamp())

    def leading(self, leads: bool) -> None:  # noqa: FBT001  - the gauge is a yes or no
        """This replica acts, or no longer does."""
        self._leader.set(leads)

    def api_request(self, verb: str, code: int) -> None:
        """A request to the API server was answered; code 0 when it was not."""
        self._api_requests.labels(verb, str(code)).inc()

    def _waited(self) -> float:
        since = self._waiting_since
        return 0.0 if since is None else max(0.0, self._clock().timestamp() - since)

    # --- resources -------------------------------------------------------------------------

    def observed(self, resource: Resource, status: BaseModel | None) -> None:
        """A resource is there, with this status."""
        if isinstance(resource, SyncRun):
            return  # they come and go: what is worth counting is counted at their end
        owner = _owner(resource)
        self._series.know(owner)
        conditions: Sequence[Condition] = getattr(status, "conditions", ())
        values: dict[tuple[str, ...], float] = {
            (condition.type, each): float(condition.status == each)
            for condition in conditions
            for each in STATUSES
        }
        self._series.set(owner, families.CONDITION, values)

    def forget(self, kind: str, namespace: str | None, name: str) -> None:
        """A resource is gone: so are all its label sets."""
        self._series.forget(Owner(kind, namespace or "", name))

    def sync_observed(
        self,
        sync: DirectorySync,
        status: DirectorySyncStatus,
        runs: Sequence[SyncRun],
        now: dt.datetime,
    ) -> None:
        """A sync was looked at.

        Args:
            sync: as it is specified.
            status: as it is now.
            runs: its SyncRuns.
            now: the time.
        """
        owner = _owner(sync)
        self.observed(sync, status)
        for family, values in sync_metrics.gauges(sync, status, runs, now).items():
            self._series.set(owner, family, values)
        for family, values in sync_metrics.NOTHING_YET.items():
            self._series.add(owner, family, values)

    def run_ended(self, run: SyncRun, result: RunResult) -> None:
        """A run ended, as its status says.

        Args:
            run: with the status of its end.
            result: what it told.
        """
        owner = _owner_of_run(run)
        if not self._series.counts_first(owner, f"{run.metadata.uid} ended"):
            return
        if owner.kind != DirectorySync.definition.kind:
            reason = sync_metrics.known_reason(result.reason)
            self._series.add(owner, families.CHECKS, {(reason,): 1})
            return
        for family, values in sync_metrics.counts(run, result).items():
            self._series.add(owner, family, values)
        if sync_metrics.knows_errors(run):
            errors = sync_metrics.errors_by_code(result.errors_by_code)
            self._series.set(owner, families.EXPORT_ERRORS, errors)
        if result.latency is not None:
            latency = result.latency
            self._series.spread(owner, families.LATENCY, latency.counts, latency.sum_seconds)
        took = sync_metrics.duration_of(run.status)
        if took is not None and run.spec.mode not in {RunMode.CHECK, RunMode.REPORT}:
            self._run_duration.labels(*sync_metrics.run_labels(run)).observe(took)

    def run_corrected(self, run: SyncRun, result: RunResult) -> None:
        """What a run did whose own result was lost became known; that it ended was counted."""
        owner = _owner_of_run(run)
        if not self._series.counts_first(owner, f"{run.metadata.uid} corrected"):
            return
        for family, values in sync_metrics.changes(result).items():
            self._series.add(owner, family, values)


def _owner(resource: Resource) -> Owner:
    return Owner(
        resource.definition.kind, resource.metadata.namespace or "", resource.metadata.name
    )


def _owner_of_run(run: SyncRun) -> Owner:
    """The sync, tenant or directory that a run is about."""
    spec = run.spec
    for kind, reference in (
        (DirectorySync, spec.directory_sync_ref),
        (EntraTenant, spec.entra_tenant_ref),
        (ActiveDirectory, spec.active_directory_ref),
    ):
        if reference is not None:
            return Owner(kind.definition.kind, run.metadata.namespace or "", reference.name)
    raise ValueError(f"SyncRun {run.metadata.name} names nothing")


def _gauge(family: families.Family, registry: CollectorRegistry) -> Gauge:
    return Gauge(family.name, family.help, family.labels, registry=registry)


def _histogram(family: families.Family, registry: CollectorRegistry) -> Histogram:
    return Histogram(
        family.name, family.help, family.labels, buckets=family.buckets, registry=registry
    )
