"""What a sync's life leaves in the metrics: from its first look, through its runs, to its end."""

from __future__ import annotations

import datetime as dt

import pytest

from entrasync.api.directory_sync import BlockedPlan, OrphanCounts, OwnedObjects
from entrasync.api.result import ChangeLatency, RunResult
from entrasync.api.sync_run import (
    Changes,
    CodeCount,
    KindChanges,
    LinkChanges,
    Pacing,
    RequestCounts,
)
from entrasync.controller.metrics import OperatorMetrics
from tests.support import samples
from tests.support.memory_cluster import Cluster, resource_at
from tests.support.samples import NOW
from tests.support.scraped import Scraped

OF_SYNC = {"namespace": "identity", "name": "contoso"}
EXPORTED = RunResult(
    outcome="SucceededWithErrors",
    reason="ExportErrors",
    message="one was refused",
    mode="Apply",
    scope="Delta",
    changes=Changes(users=KindChanges(add=3, failed=1), links=LinkChanges(add=7)),
    requests=RequestCounts(export=2, import_=1),
    pacing=Pacing(quota=5600, paced_time="30s", throttled=1),
    latency=ChangeLatency.of([45, 100]),
    objects=OwnedObjects(users=812, groups=64, links=4211),
    orphans=OrphanCounts(users=3),
    error_count=1,
    errors_by_code=[CodeCount(code="LargeObject", count=1)],
)
BRAKED = RunResult(
    outcome="Blocked",
    reason="DeletionThresholdExceeded",
    message="612 deletions are too many",
    mode="Apply",
    scope="Delta",
    blocked_plan=BlockedPlan(
        digest="sha256:" + "0" * 64, reason="DeletionThresholdExceeded", users={"delete": 612}
    ),
)


@pytest.fixture
def place() -> Cluster:
    return Cluster(samples.cloud(), samples.tenant(), samples.directory(), samples.sync())


def scrape(place: Cluster) -> Scraped:
    return Scraped(place.metrics.registry)


def look_at_all(place: Cluster) -> None:
    for plural, name in (
        ("entratenants", "contoso"),
        ("activedirectories", "contoso"),
        ("directorysyncs", "contoso"),
    ):
        place.reconcile(plural, name)


def run_once(place: Cluster, result: RunResult) -> None:
    """The operator makes a run, its Job ends with a result, and everything is looked at again."""
    place.reconcile("directorysyncs", "contoso")
    name = place.status("directorysyncs", "contoso")["activeRun"]["name"]
    place.reconcile("syncruns", name)
    assert scrape(place).value("entrasync_sync_running", **OF_SYNC) == 1
    place.now += dt.timedelta(seconds=90)
    place.finish(name, result.to_message())
    place.reconcile("directorysyncs", "contoso")


def test_a_new_sync_is_there_before_anything_ran(place: Cluster) -> None:
    look_at_all(place)
    scraped = scrape(place)
    ready = {"type": "Ready", "status": "True", **OF_SYNC}
    assert scraped.value("entrasync_condition", kind="EntraTenant", **ready) == 1
    assert scraped.value("entrasync_condition", kind="ActiveDirectory", **ready) == 1
    assert scraped.values("entrasync_condition", kind="DirectorySync", **OF_SYNC)
    assert scraped.values("entrasync_sync_last_success_timestamp_seconds") == []
    assert not any(scraped.values("entrasync_changes_total", **OF_SYNC))


def test_a_run_and_what_it_did(place: Cluster) -> None:
    run_once(place, EXPORTED)

    scraped = scrape(place)

    runs = scraped.by("entrasync_runs_total", "mode", "phase", "reason", **OF_SYNC)
    assert runs == {("Apply", "Succeeded", "ExportErrors"): 1}
    changes = scraped.by("entrasync_changes_total", "kind", "operation", **OF_SYNC)
    assert changes == {("users", "add"): 3, ("users", "failed"): 1, ("links", "add"): 7}
    assert scraped.value("entrasync_paced_seconds_total", **OF_SYNC) == 30
    assert scraped.value("entrasync_change_latency_seconds_count", **OF_SYNC) == 2
    assert scraped.value("entrasync_change_latency_seconds_sum", **OF_SYNC) == 145
    assert scraped.value("entrasync_run_duration_seconds_sum", phase="Succeeded") == 90
    assert scraped.value("entrasync_sync_last_run_duration_seconds", **OF_SYNC) == 90
    owned = scraped.by("entrasync_owned_objects", "kind", **OF_SYNC)
    assert owned == {"users": 812, "groups": 64, "links": 4211}
    assert scraped.by("entrasync_orphans", "kind", **OF_SYNC) == {"users": 3}
    assert scraped.by("entrasync_export_errors", "code", **OF_SYNC) == {"LargeObject": 1}
    success = scraped.value("entrasync_sync_last_success_timestamp_seconds", **OF_SYNC)
    assert success == (NOW + dt.timedelta(seconds=90)).timestamp()
    due = scraped.value("entrasync_sync_next_schedule_timestamp_seconds", **OF_SYNC)
    assert due > success
    assert scraped.value("entrasync_sync_running", **OF_SYNC) == 0
    degraded = {"type": "Degraded", "status": "True", **OF_SYNC}
    assert scraped.value("entrasync_condition", **degraded) == 1


def test_looking_again_counts_nothing_twice(place: Cluster) -> None:
    run_once(place, EXPORTED)
    name = place.status("directorysyncs", "contoso")["lastRun"]["name"]
    before = scrape(place)
    for _ in range(3):
        place.reconcile("syncruns", name)
        look_at_all(place)
    after = scrape(place)
    for metric in ("entrasync_runs_total", "entrasync_changes_total", "entrasync_throttled_total"):
        assert after.values(metric) == before.values(metric)


def test_a_run_that_is_late_is_seen_though_nobody_looks(place: Cluster) -> None:
    run_once(place, EXPORTED)
    due = scrape(place).value("entrasync_sync_next_schedule_timestamp_seconds", **OF_SYNC)
    place.now = dt.datetime.fromtimestamp(due, dt.UTC) - dt.timedelta(seconds=5)
    assert scrape(place).value("entrasync_sync_out_of_schedule_seconds", **OF_SYNC) == 0
    place.now += dt.timedelta(minutes=20)
    assert scrape(place).value("entrasync_sync_out_of_schedule_seconds", **OF_SYNC) == 1195


def test_braked_changes_are_there_until_they_are_not(place: Cluster) -> None:
    run_once(place, EXPORTED)
    place.now += dt.timedelta(hours=1)
    run_once(place, BRAKED)
    scraped = scrape(place)
    braked = scraped.by("entrasync_braked_changes", "kind", "operation", **OF_SYNC)
    assert braked == {("users", "delete"): 612}
    assert scraped.value("entrasync_condition", type="PlanBlocked", status="True", **OF_SYNC) == 1

    place.now += dt.timedelta(hours=1)
    run_once(place, EXPORTED)
    scraped = scrape(place)
    assert scraped.values("entrasync_braked_changes") == []
    assert scraped.values("entrasync_condition", type="PlanBlocked") == []
    phases = scraped.by("entrasync_runs_total", "phase", **OF_SYNC)
    assert phases == {"Succeeded": 2, "Blocked": 1}


def test_an_operator_that_was_just_started_shows_the_same_gauges(place: Cluster) -> None:
    run_once(place, EXPORTED)
    before = scrape(place)
    place.metrics = OperatorMetrics(lambda: place.now)
    look_at_all(place)
    after = scrape(place)
    for metric in (
        "entrasync_owned_objects",
        "entrasync_orphans",
        "entrasync_export_errors",
        "entrasync_sync_last_success_timestamp_seconds",
        "entrasync_sync_next_schedule_timestamp_seconds",
        "entrasync_sync_last_run_duration_seconds",
    ):
        assert after.values(metric, **OF_SYNC) == before.values(metric, **OF_SYNC) != [], metric
    assert not any(after.values("entrasync_changes_total", **OF_SYNC))


def test_nothing_is_left_of_what_was_deleted(place: Cluster) -> None:
    run_once(place, EXPORTED)
    for plural in ("directorysyncs", "entratenants", "activedirectories"):
        place.remove(resource_at(plural, "contoso"))
        place.reconcile(plural, "contoso")
    scraped = scrape(place)
    assert scraped.naming("contoso") == []
    assert scraped.naming("identity") == []
