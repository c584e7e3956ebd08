"""Metrics: each of them, once for each transition, and nothing of a resource that is gone."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import pytest

from entrasync.api.common import Condition
from entrasync.api.directory_sync import DirectorySync, DirectorySyncStatus
from entrasync.api.entra_tenant import EntraTenantStatus
from entrasync.api.result import LATENCY_BOUNDS, ChangeLatency, RunResult
from entrasync.api.sync_run import SyncRun
from entrasync.controller.metric_families import OF_PROCESS, OF_RESOURCES, MetricType
from entrasync.controller.metrics import OperatorMetrics
from tests.support import samples
from tests.support.samples import NOW
from tests.support.scraped import Scraped

OF_CONTOSO = {"namespace": "identity", "name": "contoso"}
APPLIED: dict[str, Any] = {
    "outcome": "SucceededWithErrors",
    "reason": "ExportErrors",
    "mode": "Apply",
    "scope": "Delta",
    "changes": {
        "users": {"add": 3, "update": 2, "delete": 1, "failed": 4},
        "groups": {"add": 1},
        "links": {"add": 9, "remove": 7, "failed": 5},
    },
    "requests": {"export": 2, "import": 1},
    "pacing": {"quota": 5600, "pacedTime": "4m12s", "throttled": 3},
    "errorsByCode": [
        {"code": "DuplicateProxyAddress", "count": 3},
        {"code": "MadeUpByTheService", "count": 1},
        {"code": "MadeUpToo", "count": 1},
    ],
}


def metrics(now: dt.datetime = NOW) -> OperatorMetrics:
    return OperatorMetrics(lambda: now)


def ended(
    name: str = "contoso-1",
    phase: str = "Succeeded",
    mode: str = "Apply",
    **spec: Any,
) -> SyncRun:
    run = samples.run(name, spec=spec)
    return run.model_copy(
        update={
            "status": run.model_validate(
                run.to_manifest()
                | {
                    "status": {
                        "phase": phase,
                        "mode": mode,
                        "scope": "Delta",
                        "startTime": "2026-03-14T15:00:00Z",
                        "completionTime": "2026-03-14T15:00:40Z",
                        "errorsByCode": APPLIED["errorsByCode"],
                    }
                }
            ).status
        }
    )


def observe(
    told: OperatorMetrics,
    sync: DirectorySync | None = None,
    runs: tuple[SyncRun, ...] = (),
    **status: Any,
) -> None:
    told.sync_observed(
        sync or samples.sync(), DirectorySyncStatus.model_validate(status), runs, NOW
    )


def test_every_metric_has_a_prefix_a_meaning_and_labels_of_its_resource_first() -> None:
    families = (*OF_RESOURCES, *OF_PROCESS)
    assert len({each.name for each in families}) == len(families)
    for each in families:
        assert each.name.startswith("entrasync_")
        assert each.help.endswith(".")
        assert (each.type is MetricType.COUNTER) == each.name.endswith("_total")
        assert (each.type is MetricType.HISTOGRAM) == bool(each.buckets)
    for each in OF_RESOURCES:
        assert each.labels[:3] == ("kind", "namespace", "name") or each.labels[:2] == (
            "namespace",
            "name",
        )


def test_the_registry_holds_exactly_the_table() -> None:
    told = metrics()
    shown = {each.name for each in told.registry.collect() if each.name.startswith("entrasync_")}
    table = {each.name.removesuffix("_total") for each in (*OF_RESOURCES, *OF_PROCESS)}
    assert shown == table


def test_a_standby_says_who_it_is() -> None:
    told = metrics()
    told.leading(leads=False)

    scraped = Scraped(told.registry)

    assert scraped.value("entrasync_leader") == 0
    assert scraped.value("entrasync_build_info") == 1
    assert scraped.value("process_resident_memory_bytes") > 0
    assert not scraped.naming("contoso")


def test_the_operator_itself() -> None:
    told = metrics()
    told.leading(leads=True)
    told.reconciled("directorysyncs", "Succeeded", 0.2)
    told.reconciled("directorysyncs", "Failed", 3)
    told.watch_event("jobs", NOW)
    told.api_request("GET", 200)
    told.api_request("GET", 200)
    told.queue(7, NOW - dt.timedelta(seconds=42), NOW)

    scraped = Scraped(told.registry)

    assert scraped.value("entrasync_leader") == 1
    of_syncs = {"kind": "DirectorySync", "result": "Succeeded"}
    assert scraped.value("entrasync_reconcile_duration_seconds_count", **of_syncs) == 1
    assert scraped.value("entrasync_reconcile_duration_seconds_bucket", le="0.1", **of_syncs) == 0
    assert scraped.value("entrasync_reconcile_duration_seconds_bucket", le="0.25", **of_syncs) == 1
    assert scraped.value("entrasync_reconcile_duration_seconds_sum", result="Failed") == 3
    assert (
        scraped.value("entrasync_watch_last_event_timestamp_seconds", kind="Job") == NOW.timestamp()
    )
    assert scraped.value("entrasync_api_requests_total", verb="GET", code="200") == 2
    assert scraped.value("entrasync_queue_length") == 7
    assert scraped.value("entrasync_queue_oldest_wait_seconds") == 42
    assert scraped.value("entrasync_worker_last_tick_timestamp_seconds") == NOW.timestamp()


def test_an_empty_queue_has_waited_for_nothing() -> None:
    told = metrics()
    told.queue(0, None, NOW)
    assert Scraped(told.registry).value("entrasync_queue_oldest_wait_seconds") == 0


def test_conditions_are_told_as_kube_state_metrics_does() -> None:
    told = metrics()
    told.observed(
        samples.tenant(),
        EntraTenantStatus(conditions=[Condition(type="Ready", status="False", reason="x")]),
    )

    scraped = Scraped(told.registry)

    of_tenant = {"kind": "EntraTenant", "type": "Ready", **OF_CONTOSO}
    assert scraped.by("entrasync_condition", "status", **of_tenant) == {"False": 1}
    assert len(scraped.values("entrasync_condition", **of_tenant)) == 3


def test_a_condition_that_a_resource_lost_is_gone() -> None:
    told = metrics()
    conditions = [Condition(type=each, status="True", reason="x") for each in ("Ready", "Stalled")]
    told.observed(samples.tenant(), EntraTenantStatus(conditions=conditions))
    told.observed(samples.tenant(), EntraTenantStatus(conditions=conditions[:1]))
    assert set(Scraped(told.registry).by("entrasync_condition", "type")) == {"Ready"}


def test_a_sync_as_its_status_says() -> None:
    told = metrics()
    observe(
        told,
        samples.sync(
            schedule={"interval": "10m"},
        ),
        runs=(ended("contoso-0"), ended()),
        lastRun={
            "name": "contoso-1",
            "startTime": "2026-03-14T15:00:00Z",
            "completionTime": "2026-03-14T15:01:30Z",
        },
        lastSuccessfulTime="2026-03-14T15:00:40Z",
        nextScheduleTime="2026-03-14T15:10:00Z",
        consecutiveFailures=2,
        objects={"users": 812, "groups": 64, "contacts": 0, "links": 4211},
        orphans={"users": 3},
        blockedPlan={
            "digest": "sha256:0",
            "users": {"delete": 612},
            "links": {"remove": 5},
            "changes": {"disables": 7},
        },
    )

    scraped = Scraped(told.registry)

    assert scraped.value("entrasync_sync_info", mode="Apply", tenant="contoso", **OF_CONTOSO) == 1
    assert scraped.value("entrasync_sync_suspended", **OF_CONTOSO) == 0
    assert scraped.value("entrasync_sync_running", **OF_CONTOSO) == 0
    # each start comes later by the sync's own jitter
    assert 600 <= scraped.value("entrasync_sync_interval_seconds", **OF_CONTOSO) <= 660
    success = dt.datetime(2026, 3, 14, 15, 0, 40, tzinfo=dt.UTC).timestamp()
    assert scraped.value("entrasync_sync_last_success_timestamp_seconds") == success
    due = dt.datetime(2026, 3, 14, 15, 10, tzinfo=dt.UTC).timestamp()
    assert scraped.value("entrasync_sync_next_schedule_timestamp_seconds") == due
    assert scraped.value("entrasync_sync_out_of_schedule_seconds") == 0
    assert scraped.value("entrasync_sync_last_run_duration_seconds") == 90
    assert scraped.value("entrasync_sync_consecutive_failures", **OF_CONTOSO) == 2
    owned = scraped.by("entrasync_owned_objects", "kind", **OF_CONTOSO)
    assert owned == {"users": 812, "groups": 64, "links": 4211}
    assert scraped.by("entrasync_orphans", "kind") == {"users": 3}
    assert scraped.by("entrasync_braked_changes", "kind", "operation") == {
        ("users", "delete"): 612,
        ("links", "remove"): 5,
        ("any", "disables"): 7,
    }
    errors = scraped.by("entrasync_export_errors", "code")
    assert errors == {"DuplicateProxyAddress": 3, "Other": 2}


def test_what_is_not_known_is_absent() -> None:
    told = metrics()
    observe(told)
    scraped = Scraped(told.registry)
    for name in (
        "entrasync_sync_last_success_timestamp_seconds",
        "entrasync_sync_next_schedule_timestamp_seconds",
        "entrasync_owned_objects",
        "entrasync_braked_changes",
        "entrasync_export_errors",
    ):
        assert scraped.values(name) == [], name
    assert scraped.value("entrasync_sync_out_of_schedule_seconds") == 0


@pytest.mark.parametrize(
    ("spec", "status", "late"),
    [
        ({}, {}, 86),
        ({}, {"activeRun": {"name": "contoso-2"}}, 0),
        ({"suspend": True}, {}, 0),
        ({}, {"nextScheduleTime": "2026-03-14T15:09:26Z"}, 0),
        ({}, {"nextScheduleTime": "2026-03-14T16:00:00Z"}, 0),
    ],
)
def test_late_is_what_is_due_and_does_not_run(
    spec: dict[str, Any], status: dict[str, Any], late: float
) -> None:
    told = metrics()
    observe(told, samples.sync(**spec), **{"nextScheduleTime": "2026-03-14T15:08:00Z"} | status)
    scraped = Scraped(told.registry)
    assert scraped.value("entrasync_sync_out_of_schedule_seconds", **OF_CONTOSO) == late


def test_a_sync_that_goes_away_is_not_late() -> None:
    told = metrics()
    sync = samples.sync()
    gone = sync.metadata.model_copy(update={"deletion_timestamp": "2026-03-14T15:00:00Z"})
    leaving = sync.model_copy(update={"metadata": gone})
    observe(told, leaving, nextScheduleTime="2026-03-14T15:08:00Z")
    assert Scraped(told.registry).value("entrasync_sync_out_of_schedule_seconds") == 0


def test_a_cron_expression_has_an_interval_and_a_wrong_one_has_none() -> None:
    told = metrics()
    observe(told, samples.sync(schedule={"cron": "0 */6 * * *"}))
    assert Scraped(told.registry).value("entrasync_sync_interval_seconds") == 6 * 3600
    observe(told, samples.sync(schedule={"cron": "0 25 * * *"}))
    assert Scraped(told.registry).values("entrasync_sync_interval_seconds") == []


def test_counters_are_there_before_they_count() -> None:
    told = metrics()
    observe(told)
    scraped = Scraped(told.registry)
    assert len(scraped.values("entrasync_changes_total", **OF_CONTOSO)) == 15
    assert not any(scraped.values("entrasync_changes_total"))
    assert scraped.value("entrasync_paced_seconds_total") == 0


def test_a_run_counts_once_however_often_it_is_harvested() -> None:
    told = metrics()
    observe(told)
    for _ in range(2):
        told.run_ended(ended(), RunResult.model_validate(APPLIED))
        observe(told)

    scraped = Scraped(told.registry)

    runs = scraped.by("entrasync_runs_total", "mode", "phase", "reason", **OF_CONTOSO)
    assert runs == {("Apply", "Succeeded", "ExportErrors"): 1}
    assert scraped.by("entrasync_changes_total", "kind", "operation", **OF_CONTOSO) == {
        ("users", "add"): 3,
        ("users", "update"): 2,
        ("users", "delete"): 1,
        ("users", "failed"): 4,
        ("groups", "add"): 1,
        ("links", "add"): 9,
        ("links", "remove"): 7,
        ("links", "failed"): 5,
    }
    requests = scraped.by("entrasync_sync_requests_total", "operation")
    assert requests == {"export": 2, "import": 1}
    assert scraped.value("entrasync_paced_seconds_total", **OF_CONTOSO) == 252
    assert scraped.value("entrasync_throttled_total", **OF_CONTOSO) == 3
    of_runs = {"phase": "Succeeded", "mode": "Apply", "scope": "Delta"}
    assert scraped.value("entrasync_run_duration_seconds_sum", **of_runs) == 40
    assert scraped.value("entrasync_run_duration_seconds_bucket", le="30.0", **of_runs) == 0
    assert scraped.value("entrasync_run_duration_seconds_bucket", le="60.0", **of_runs) == 1


def test_several_runs_add_up() -> None:
    told = metrics()
    observe(told)
    for name in ("contoso-1", "contoso-2"):
        told.run_ended(ended(name), RunResult.model_validate(APPLIED))
    added = Scraped(told.registry).value(
        "entrasync_changes_total", kind="users", operation="add", **OF_CONTOSO
    )
    assert added == 6


def test_a_result_that_was_lost_counts_when_it_is_found() -> None:
    told = metrics()
    observe(told)
    told.run_ended(ended(phase="Failed"), RunResult(outcome="Failed", reason="RunFailed"))
    for _ in range(2):
        told.run_corrected(ended(), RunResult.model_validate(APPLIED))
    scraped = Scraped(told.registry)
    assert sum(scraped.values("entrasync_runs_total")) == 1
    added = scraped.value("entrasync_changes_total", kind="users", operation="add", **OF_CONTOSO)
    assert added == 3


def test_a_plan_changes_nothing() -> None:
    told = metrics()
    observe(told)
    told.run_ended(ended(mode="Preview"), RunResult.model_validate(APPLIED | {"mode": "Preview"}))
    scraped = Scraped(told.registry)
    assert not any(scraped.values("entrasync_changes_total"))
    assert scraped.value("entrasync_runs_total", mode="Preview") == 1


def test_a_reason_that_is_not_registered_is_one_of_the_others() -> None:
    told = metrics()
    observe(told)
    result = RunResult(outcome="Failed", reason="CN=Ada Lovelace", message="")
    told.run_ended(ended(phase="Failed"), result)
    scraped = Scraped(told.registry)
    assert scraped.value("entrasync_runs_total", reason="Other") == 1
    assert "Ada" not in scraped.text


def test_checks_count_for_what_they_checked() -> None:
    told = metrics()
    told.observed(samples.tenant(), EntraTenantStatus())
    run = samples.run("check")
    check = run.model_copy(
        update={
            "spec": run.spec.model_validate(
                {"entraTenantRef": {"name": "contoso"}, "mode": "Check"}
            )
        }
    )
    told.run_ended(check, RunResult(outcome="Succeeded", reason="Accepted", mode="Check"))
    scraped = Scraped(told.registry)
    of_tenant = {"kind": "EntraTenant", "reason": "Accepted", **OF_CONTOSO}
    assert scraped.value("entrasync_checks_total", **of_tenant) == 1
    assert scraped.values("entrasync_run_duration_seconds_count") == []


def test_latency_is_a_histogram_of_whole_runs() -> None:
    told = metrics()
    observe(told)
    for name, seconds in (("contoso-1", [12.0, 45.0, 1700.0]), ("contoso-2", [31.0, 999_999.0])):
        result = RunResult.model_validate(APPLIED | {"latency": ChangeLatency.of(seconds)})
        told.run_ended(ended(name), RunResult.from_message(result.to_message()) or result)

    scraped = Scraped(told.registry)

    buckets = scraped.by("entrasync_change_latency_seconds_bucket", "le", **OF_CONTOSO)
    assert buckets["30.0"] == 1
    assert buckets["60.0"] == 3
    assert buckets["900.0"] == 3
    assert buckets["1800.0"] == 4
    assert buckets["86400.0"] == 4
    assert buckets["+Inf"] == 5
    assert scraped.value("entrasync_change_latency_seconds_count", **OF_CONTOSO) == 5
    total = scraped.value("entrasync_change_latency_seconds_sum", **OF_CONTOSO)
    assert total == 12 + 45 + 1700 + 31 + 999_999
    assert len(buckets) == len(LATENCY_BOUNDS) + 1


def test_nothing_is_left_of_a_sync_that_is_gone() -> None:
    told = metrics()
    told.observed(samples.tenant(), EntraTenantStatus(conditions=[]))
    conditions = [{"type": "Ready", "status": "True", "reason": "x"}]
    observe(told, conditions=conditions, objects={"users": 1}, blockedPlan={"users": {"delete": 1}})
    result = RunResult.model_validate(APPLIED | {"latency": ChangeLatency.of([3])})
    told.run_ended(ended(), result)
    assert Scraped(told.registry).naming("contoso")

    told.forget("DirectorySync", "identity", "contoso")

    assert Scraped(told.registry).naming("contoso") == []
    # its last run is harvested after it
    told.run_ended(ended("contoso-2"), result)
    assert Scraped(told.registry).naming("contoso") == []


def test_of_two_of_one_name_only_the_one_that_is_gone_is_forgotten() -> None:
    told = metrics()
    ready = [Condition(type="Ready", status="True", reason="x")]
    told.observed(samples.tenant(), EntraTenantStatus(conditions=ready))
    told.observed(samples.directory(), EntraTenantStatus(conditions=ready))
    told.forget("EntraTenant", "identity", "contoso")
    assert set(Scraped(told.registry).by("entrasync_condition", "kind")) == {"ActiveDirectory"}


def test_a_sync_that_comes_again_begins_anew() -> None:
    told = metrics()
    observe(told)
    told.run_ended(ended(), RunResult.model_validate(APPLIED))
    told.forget("DirectorySync", "identity", "contoso")
    observe(told)
    scraped = Scraped(told.registry)
    assert not any(scraped.values("entrasync_changes_total", **OF_CONTOSO))
    assert scraped.values("entrasync_runs_total") == []


def test_gauges_are_there_again_after_a_restart() -> None:
    before, after = metrics(), metrics()
    status: dict[str, Any] = {
        "lastRun": {"name": "contoso-1"},
        "lastSuccessfulTime": "2026-03-14T15:00:40Z",
        "objects": {"users": 812},
    }
    for told in (before, after):
        observe(told, runs=(ended(),), **status)
    old, new = Scraped(before.registry), Scraped(after.registry)
    for name in ("entrasync_owned_objects", "entrasync_export_errors"):
        assert old.values(name) == new.values(name) != []


def test_a_run_that_failed_early_says_nothing_of_errors() -> None:
    told = metrics()
    later = ended("contoso-2", phase="Failed")
    assert later.status is not None
    later.status.completion_time = "2026-03-14T15:05:00Z"
    later.status.errors_by_code = []
    observe(told, runs=(ended(), later))
    assert Scraped(told.registry).by("entrasync_export_errors", "code")


def test_errors_stay_known_when_the_runs_are_pruned() -> None:
    told = metrics()
    observe(told)
    told.run_ended(ended(), RunResult.model_validate(APPLIED))
    observe(told, runs=())
    errors = Scraped(told.registry).by("entrasync_export_errors", "code")
    assert errors == {"DuplicateProxyAddress": 3, "Other": 2}


def test_every_value_is_a_number() -> None:
    told = metrics()
    observe(told)
    assert not any(math.isnan(value) for _, _, value in Scraped(told.registry).samples)
