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
    RunMode,
    RunProgress,
)
from entrasync.controller.decide import Active, Blocked, Decision, Wait
from entrasync.controller.part_status import (
    cloud_status,
    generation_seen,
    part_blocked,
    part_checked,
)
from entrasync.controller.run_status import run_ended, run_stuck, run_waiting
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


# --- what a brake, a failure or a cancellation leaves ----------------------------------------


def later(
    sync: Any, result: RunResult, name: str = "contoso-2", minutes: int = 30
) -> dict[str, tuple[str, str]]:
    """Conditions of a sync after one more run."""
    run, moment = samples.run(name), NOW + dt.timedelta(minutes=minutes)
    run.status = run_ended(run, result, moment)
    sync.status = sync_after_run(sync, run, result)
    sync.status = sync_status(sync, Wait(None), None, moment)
    return conditions(sync.status)


FAILED = RunResult(outcome="Failed", reason="ServerUnreachable", message="m", mode="Apply")
CANCELLED = RunResult(outcome="Cancelled", reason="Cancelled", message="m", mode="Apply")
GOOD_RUN = RunResult(outcome="Succeeded", reason="Synchronized", message="m", mode="Apply")


def test_a_brake_holds_although_a_later_run_came_to_no_plan() -> None:
    found = later(after(braked(held=False)), FAILED)

    assert found["Ready"] == ("False", "ServerUnreachable")
    assert found["PlanBlocked"] == ("True", "DeletionThresholdExceeded")
    assert found["Stalled"] == ("True", "DeletionThresholdExceeded")


def test_a_brake_that_holds_some_changes_stalls_nothing_after_a_failure() -> None:
    found = later(after(braked(held=True)), FAILED)

    assert found["PlanBlocked"] == ("True", "DeletionThresholdExceeded")
    assert "Stalled" not in found


def test_a_brake_ends_with_the_plan_that_is_not_braked() -> None:
    sync = after(braked(held=False))
    later(sync, FAILED)

    assert later(sync, GOOD_RUN, "contoso-3", 60) == {
        "Ready": ("True", "Synchronized"),
        "Synchronized": ("True", "Synchronized"),
    }


def test_what_waits_for_an_approval_says_how_it_is_given() -> None:
    sync = after(braked(held=False))
    found = sync_status(sync, Wait(None), None, NOW).conditions
    (message,) = [each.message for each in found if each.type == "PlanBlocked"]
    assert message == (
        "changes wait for an approval (users: delete 9); put sha256:1 into `spec.approvedPlan` to"
        " let exactly these through, once"
    )


@pytest.mark.parametrize("before", [GOOD_RUN, FAILED, braked(held=True)])
def test_a_run_that_was_cancelled_leaves_the_sync_as_it_was(before: RunResult) -> None:
    sync = after(before)
    as_it_was = conditions(sync_status(sync, Wait(None), None, NOW))

    assert later(sync, CANCELLED) == as_it_was


def test_where_only_a_cancelled_run_was_nothing_is_known() -> None:
    found = later(samples.sync(), CANCELLED)
    assert found["Ready"] == ("Unknown", "Cancelled")


def test_a_preview_by_hand_says_nothing_of_the_sync() -> None:
    sync = after(GOOD_RUN)
    ahead = braked(held=False).model_copy(update={"mode": "Preview"})
    run = samples.run("look", spec={"mode": "Preview"}, metadata={"labels": {}})
    run.status = run_ended(run, ahead, NOW)
    sync.status = sync_after_run(sync, run, ahead)
    found = conditions(sync_status(sync, Wait(None), None, NOW))
    assert found["Ready"] == ("True", "Synchronized")


def test_a_sync_that_only_looked_ahead_until_now_has_not_run() -> None:
    ahead = samples.last_run(NOW, mode="Preview")
    found = conditions(sync_status(samples.sync(ahead, mode="Apply"), Wait(None), None, NOW))
    assert found["Ready"] == ("Unknown", "Checking")
    found = conditions(sync_status(samples.sync(ahead, mode="Preview"), Wait(None), None, NOW))
    assert found["Ready"] == ("True", "Synchronized")


def test_a_tenant_without_room_for_a_run_takes_no_readiness() -> None:
    busy = RunResult(outcome="Failed", reason="Throttled", message="m", mode="Apply")
    assert later(after(GOOD_RUN), busy) == {
        "Ready": ("True", "Throttled"),
        "Synchronized": ("False", "Throttled"),
        "Throttled": ("True", "Throttled"),
    }


def test_a_secret_that_a_run_does_not_find_stalls_after_ten_minutes() -> None:
    missing = RunResult(outcome="Failed", reason="SecretNotFound", message="m", mode="Apply")
    sync = after(GOOD_RUN)
    assert "Stalled" not in later(sync, missing, minutes=1)
    assert "Stalled" in later(sync, missing, "contoso-3", minutes=12)


def test_a_window_that_is_closed_shows_like_a_suspension() -> None:
    sync = samples.sync(GOOD)
    found = conditions(sync_status(sync, Wait(None, "opens at six"), None, NOW))
    assert found["Ready"] == ("True", "Synchronized")
    assert found["Suspended"] == ("True", "WindowClosed")
    never = conditions(sync_status(samples.sync(), Wait(None, "opens at six"), None, NOW))
    assert never["Ready"] == ("Unknown", "WindowClosed")


def test_a_run_that_does_not_get_on_shows_on_its_sync() -> None:
    run = samples.run(phase="Running")
    run.status = run_stuck(run, "NodeLost", "delete the Node", NOW)
    first = sync_status(samples.sync(), Active("contoso-1"), None, NOW, [run])
    assert conditions(first)["Ready"] == ("False", "NodeLost")
    assert conditions(first)["Synchronizing"] == ("True", "NodeLost")
    # nothing of it goes on before somebody has looked, however good the last run was
    again = sync_status(samples.sync(GOOD), Active("contoso-1"), None, NOW, [run])
    assert conditions(again)["Ready"] == ("False", "NodeLost")
    assert conditions(again)["Stalled"] == ("True", "NodeLost")
    run.status = run_stuck(run, "JobCannotStart", "the image is pulled", NOW)
    again = sync_status(samples.sync(GOOD), Active("contoso-1"), None, NOW, [run])
    assert conditions(again)["Ready"] == ("True", "Synchronized")


def test_a_run_that_waits_for_somebody_stalls_its_sync() -> None:
    run = samples.run()
    run.status = run_waiting(run, RunMode.APPLY, "StateVolumeUnsuitable", "set the label", NOW)
    status = sync_status(samples.sync(GOOD), Active("contoso-1"), None, NOW, [run])
    assert conditions(status)["Ready"] == ("False", "StateVolumeUnsuitable")
    assert conditions(status)["Stalled"] == ("True", "StateVolumeUnsuitable")
    run.status = run_waiting(run, RunMode.APPLY, "Queued", "pod x has not ended yet", NOW)
    status = sync_status(samples.sync(GOOD), Active("contoso-1"), None, NOW, [run])
    assert conditions(status)["Ready"] == ("True", "Synchronized")


@pytest.mark.parametrize(
    ("own", "mode", "ready"),
    [
        ("Apply", None, "InitialSync"),
        ("Apply", "Preview", "Checking"),
        ("Apply", "Check", "Checking"),
        ("Preview", "Preview", "InitialSync"),
    ],
)
def test_what_only_looks_is_no_first_sync(own: str, mode: str | None, ready: str) -> None:
    run = samples.run(phase="Running", spec={} if mode is None else {"mode": mode})
    status = sync_status(samples.sync(mode=own), Active("contoso-1"), None, NOW, [run])
    assert conditions(status)["Ready"][1] == ready


# --- verdicts of runs about tenants and directories ------------------------------------------


@pytest.mark.parametrize(
    ("checked", "started", "seen"),
    [
        ("2026-03-14T15:00:00Z", "2026-03-14T15:05:00Z", 3),
        (None, "2026-03-14T15:05:00Z", 3),
        ("2026-03-14T15:00:00Z", None, 3),
        ("2026-03-14T15:06:00Z", "2026-03-14T15:05:00Z", None),
    ],
)
def test_a_run_speaks_of_the_spec_that_was_checked_before_it(
    checked: str | None, started: str | None, seen: int | None
) -> None:
    tenant, run = samples.tenant(), samples.run(phase="Running")
    assert tenant.status is not None
    assert run.status is not None
    tenant.metadata.generation = 4
    tenant.status.last_check_generation, tenant.status.last_check_time = 3, checked
    run.status.start_time = started
    assert generation_seen(tenant, run) == seen


def test_a_run_says_nothing_of_what_was_never_checked() -> None:
    assert generation_seen(samples.tenant(ready=False), samples.run(phase="Running")) is None


def test_a_late_verdict_of_an_old_spec_changes_only_when_it_was_checked() -> None:
    tenant = samples.tenant()
    assert tenant.status is not None
    tenant.metadata.generation = 2
    part_blocked(tenant, "ReferenceNotFound", "m", NOW)
    before = tenant.status.model_copy(deep=True)
    part_checked(tenant, CheckOutcome(ok=True, reason="Accepted"), 1, NOW)
    assert tenant.status.conditions == before.conditions
    assert tenant.status.observed_generation == 2
    assert tenant.status.last_check_generation == 1
