"""Statuses: the table of the design, row by row."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from entrasync.api.directory_sync import BlockedPlan, DriftCounts
from entrasync.api.result import CheckOutcome, RunResult
from entrasync.api.sync_run import (
    CodeCount,
    ExcludedCount,
    ObjectError,
    Pacing,
    PlanSummary,
    RunProgress,
)
from entrasync.controller.decide import Active, Blocked, Decision, Wait
from entrasync.controller.part_status import cloud_status, part_checked
from entrasync.controller.run_status import run_ended
from entrasync.controller.sync_status import sync_after_run, sync_status
from tests.support import samples
from tests.support.samples import NOW

GOOD = samples.last_run(NOW)


def conditions(status: Any) -> dict[str, tuple[str, str]]:
    return {c.type: (c.status, c.reason) for c in status.conditions}


@pytest.mark.parametrize(
    ("status", "spec", "decision", "expected"),
    [
        (
            None,
            {},
            Blocked("Checking", "m", stalled=False, checking=True),
            {"Ready": ("Unknown", "Checking"), "Reconciling": ("True", "Checking")},
        ),
        (
            None,
            {},
            Blocked("ReferenceNotFound", "m", stalled=False),
            {
                "Ready": ("False", "ReferenceNotFound"),
                "Reconciling": ("True", "ReferenceNotFound"),
            },
        ),
        (
            None,
            {},
            Blocked("TenantClaimed", "m", stalled=True),
            {"Ready": ("False", "TenantClaimed"), "Stalled": ("True", "TenantClaimed")},
        ),
        (
            None,
            {},
            Active("r"),
            {"Ready": ("True", "InitialSync"), "Synchronizing": ("True", "RunActive")},
        ),
        (
            GOOD,
            {},
            Wait(None),
            {"Ready": ("True", "Synchronized"), "Synchronized": ("True", "Synchronized")},
        ),
        (
            samples.last_run(NOW, reason="ExportErrors"),
            {},
            Wait(None),
            {"Ready": ("True", "ExportErrors"), "Degraded": ("True", "ExportErrors")},
        ),
        (
            samples.last_run(NOW, throttled="the last run took longer"),
            {},
            Wait(None),
            {
                "Ready": ("True", "Synchronized"),
                "Synchronized": ("True", "Synchronized"),
                "Throttled": ("True", "Throttled"),
            },
        ),
        (
            GOOD,
            {"suspend": True},
            Wait(None),
            {"Ready": ("True", "Synchronized"), "Suspended": ("True", "Suspended")},
        ),
        (
            samples.last_run(NOW, phase="Blocked", reason="DeletionThresholdExceeded"),
            {},
            Wait(None),
            {
                "Ready": ("False", "DeletionThresholdExceeded"),
                "Stalled": ("True", "DeletionThresholdExceeded"),
                "PlanBlocked": ("True", "DeletionThresholdExceeded"),
            },
        ),
        (
            samples.last_run(NOW, phase="Failed", reason="ServerUnreachable"),
            {},
            Wait(None),
            {"Ready": ("False", "ServerUnreachable")},
        ),
    ],
)
def test_the_table_of_the_design(
    status: dict[str, Any] | None,
    spec: dict[str, Any],
    decision: Decision,
    expected: dict[str, tuple[str, str]],
) -> None:
    sync = samples.sync(status, **spec)
    found = conditions(sync_status(sync, decision, None, NOW))
    assert found.items() >= expected.items()
    for kind in ("Reconciling", "Stalled", "PlanBlocked", "Throttled", "Degraded", "Suspended"):
        assert (kind in found) == (kind in expected), kind


def test_a_run_leaves_its_facts_once() -> None:
    result = RunResult(outcome="Succeeded", reason="Synchronized", mode="Apply", scope="Delta")
    run = samples.run()
    ended = run.model_copy(update={"status": run_ended(run, result, NOW)})
    once = sync_after_run(samples.sync(), ended, result)
    sync = samples.sync()
    sync.status = once
    twice = sync_after_run(sync, ended, result)
    assert once == twice
    assert [entry.name for entry in once.history] == ["contoso-1"]
    assert once.last_successful_time == "2026-03-14T15:09:26Z"


def after(result: RunResult, before: dict[str, Any] | None = None) -> Any:
    """The sync after a run with a result."""
    sync, run = samples.sync(before), samples.run()
    ended = run.model_copy(update={"status": run_ended(run, result, NOW)})
    sync.status = sync_after_run(sync, ended, result)
    return sync


def braked(*, held: bool) -> RunResult:
    return RunResult(
        outcome="Blocked",
        reason="DeletionThresholdExceeded",
        message="m",
        mode="Apply",
        blocked_plan=BlockedPlan(digest="sha256:1", users={"delete": 9}, held=held),
    )


def test_where_only_the_braked_is_held_the_sync_is_good_otherwise() -> None:
    sync = after(braked(held=True))

    found = conditions(sync_status(sync, Wait(None), None, NOW))

    assert found == {
        "Ready": ("True", "DeletionThresholdExceeded"),
        "Synchronized": ("True", "Synchronized"),
        "Degraded": ("True", "DeletionThresholdExceeded"),
        "PlanBlocked": ("True", "DeletionThresholdExceeded"),
    }
    assert sync.status.last_successful_time == "2026-03-14T15:09:26Z"
    assert sync.status.last_run.phase == "Blocked"


def test_where_a_brake_stops_all_the_sync_is_stalled() -> None:
    sync = after(braked(held=False))

    found = conditions(sync_status(sync, Wait(None), None, NOW))

    assert found["Ready"] == ("False", "DeletionThresholdExceeded")
    assert found["Stalled"] == ("True", "DeletionThresholdExceeded")
    assert sync.status.last_successful_time is None


def test_what_was_held_once_says_nothing_of_a_later_block() -> None:
    held = after(braked(held=True)).status.model_dump(by_alias=True, exclude_none=True)
    run = samples.run("contoso-2")
    empty = RunResult(outcome="Blocked", reason="SourceEmpty", mode="Apply")
    sync = samples.sync(held)
    ended = run.model_copy(update={"status": run_ended(run, empty, NOW)})
    sync.status = sync_after_run(sync, ended, empty)

    found = conditions(sync_status(sync, Wait(None), None, NOW))

    assert found["Ready"] == ("False", "SourceEmpty")


def test_drift_stays_known_where_a_run_does_not_tell_of_it() -> None:
    drift = DriftCounts(objects=3, links=1, not_accepted=1)
    told = after(RunResult(outcome="Succeeded", reason="Synchronized", drift=drift))
    before = told.status.model_dump(by_alias=True, exclude_none=True) | {"history": []}
    untold = after(RunResult(outcome="Failed", reason="ServerUnreachable"), before)

    assert told.status.drift == untold.status.drift == drift


@pytest.mark.parametrize(
    ("pacing", "told"),
    [
        (None, None),
        (Pacing(quota=5_600), None),
        (
            Pacing(quota=5_600, paced_time="4m12s"),
            (
                "the last run took longer: it waited 4m12s for the quota of 5600 writes in 5"
                " minutes (`spec.writeQuotaPercent`)"
            ),
        ),
        (
            Pacing(quota=5_600, throttled=3),
            "the last run took longer: the tenant was busy 3 times",
        ),
        (
            Pacing(quota=70, paced_time="1s", throttled=1),
            (
                "the last run took longer: it waited 1s for the quota of 70 writes in 5 minutes"
                " (`spec.writeQuotaPercent`) and the tenant was busy once"
            ),
        ),
    ],
)
def test_a_run_that_was_held_up_leaves_a_word_until_the_next(
    pacing: Pacing | None, told: str | None
) -> None:
    result = RunResult(outcome="Succeeded", reason="Synchronized", mode="Apply", pacing=pacing)
    sync = samples.sync(samples.last_run(NOW, throttled="before"))
    run = samples.run()
    ended = run.model_copy(update={"status": run_ended(run, result, NOW)})

    sync.status = sync_after_run(sync, ended, result)

    assert sync.status.last_run is not None
    assert sync.status.last_run.throttled == told
    finished = sync_status(sync, Wait(None), None, NOW)
    (ready,) = [c for c in finished.conditions if c.type == "Ready"]
    assert (ready.status, ready.reason) == ("True", "Synchronized")
    assert [c.message for c in finished.conditions if c.type == "Throttled"] == [told] * bool(told)


def test_a_run_that_waits_for_the_quota_says_until_when() -> None:
    sync, run = samples.sync(), samples.run(phase="Running")
    assert run.status is not None
    run.status.progress = RunProgress(stage="Export", paused_until="2026-03-14T15:20:00Z")

    paused = sync_status(sync, Active("contoso-1"), None, NOW, [samples.run("other"), run])
    run.status.progress.paused_until = None
    going_on = sync_status(sync, Active("contoso-1"), None, NOW, [run])

    (told,) = [c.message for c in paused.conditions if c.type == "Throttled"]
    assert told == (
        "run contoso-1 waits for the tenant's quota of writes until 2026-03-14T15:20:00Z"
        " (`spec.writeQuotaPercent`)"
    )
    assert conditions(paused)["Ready"] == ("True", "InitialSync")
    assert "Throttled" not in conditions(going_on)


def test_a_run_shows_its_plan_its_pacing_its_errors_and_warnings() -> None:
    objects = [ObjectError(anchor=f"{number}", code="C") for number in range(12)]
    result = RunResult(
        outcome="Succeeded",
        reason="Synchronized",
        plan=PlanSummary(digest="d", writes=17, links=250_000),
        pacing=Pacing(quota=5_600, throttled=1, link_write_weight="0.1"),
        errors=objects,
        error_count=12,
        errors_by_code=[CodeCount(code="C", count=12)],
        excluded=[ExcludedCount(rule="NoAddress", count=2)],
        warnings=objects,
        warning_count=12,
    )

    status = run_ended(samples.run(), result, NOW)

    assert (status.plan, status.pacing) == (result.plan, result.pacing)
    assert (len(status.errors), status.error_count) == (10, 12)
    assert (len(status.warnings), status.warning_count) == (10, 12)
    assert status.errors_by_code == [CodeCount(code="C", count=12)]
    assert status.excluded == result.excluded
    # a warning takes nothing from a good run
    assert conditions(status)["Ready"] == ("True", "Synchronized")


def test_a_closed_cloud_is_ready_but_not_available() -> None:
    found = conditions(cloud_status(samples.cloud("azure-germany"), NOW))
    assert found == {"Ready": ("True", "Accepted"), "Available": ("False", "CloudClosed")}


@pytest.mark.parametrize("reason", ["BindRejected", "KerberosNotInstalled"])
def test_a_refused_bind_stalls_the_directory(reason: str) -> None:
    directory = samples.directory(ready=False)
    check = CheckOutcome(ok=False, reason=reason, message="m")
    part_checked(directory, check, 1, NOW)
    found = conditions(directory.status)
    assert found == {"Ready": ("False", reason), "Stalled": ("True", reason)}


def test_a_missing_secret_does_not_stall_at_once() -> None:
    tenant = samples.tenant(ready=False)
    part_checked(tenant, CheckOutcome(ok=False, reason="SecretNotFound", message="m"), 1, NOW)
    found = conditions(tenant.status)
    assert found["Ready"] == ("False", "SecretNotFound")
    assert found["Reconciling"] == ("True", "SecretNotFound")

    part_checked(
        tenant,
        CheckOutcome(ok=False, reason="SecretNotFound", message="m"),
        1,
        NOW + dt.timedelta(minutes=10),
    )
    found = conditions(tenant.status)
    assert found["Stalled"] == ("True", "SecretNotFound")
    assert "Reconciling" not in found


def test_a_check_of_a_sync_takes_nothing_back() -> None:
    blocked = after(braked(held=False)).status
    sync, run = samples.sync(), samples.run("contoso-2", spec={"mode": "Check"})
    sync.status = blocked
    checked = RunResult(outcome="Succeeded", reason="Accepted", mode="Check")
    ended = run.model_copy(update={"status": run_ended(run, checked, NOW)})

    assert sync_after_run(sync, ended, checked) == blocked


@pytest.mark.parametrize(("told", "expected"), [("sha256:2", "sha256:2"), (None, "sha256:1")])
def test_a_failed_run_tells_what_is_braked_if_it_came_so_far(
    told: str | None, expected: str
) -> None:
    sync, run = after(braked(held=True)), samples.run("contoso-2")
    plan = None if told is None else BlockedPlan(digest=told, held=True)
    failed = RunResult(outcome="Failed", reason="Throttled", mode="Apply", blocked_plan=plan)
    ended = run.model_copy(update={"status": run_ended(run, failed, NOW)})

    found = sync_after_run(sync, ended, failed).blocked_plan

    assert found is not None
    assert found.digest == expected
