"""The decision: total, stable, never two runs at once, and never a run that must not be."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.directory_sync import DirectorySync
from entrasync.api.result import RunResult
from entrasync.api.sync_run import ENDED_PHASES, REQUEST_ANNOTATION, RunScope, SyncRun, Trigger
from entrasync.controller.decide import (
    Active,
    Blocked,
    ObservedSync,
    StartRun,
    Wait,
    decide,
    inputs_now,
    next_start,
    phase_of,
)
from entrasync.controller.durations import format_time
from entrasync.controller.inputs import INPUTS_ANNOTATION
from entrasync.controller.leases import Held, Holding
from entrasync.controller.manifests import build_sync_run
from entrasync.controller.schedule import Timetable
from entrasync.controller.sync_status import sync_after_run
from entrasync.controller.windows import Windows
from tests.support import samples
from tests.support.samples import NOW

HOUR = dt.timedelta(hours=1)
PERIOD = HOUR / 2 + Timetable.of(None, "u-sync").offset
OTHER = Held(owner="other/sync", how=Holding.OWNS, lease="ns/entrasync-tenant-1")
IDENTITY = samples.tenant(
    application={
        "clientId": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
        "workloadIdentity": {"serviceAccountName": "contoso-sync"},
    }
)


def observed(**changes: Any) -> ObservedSync:
    parts: dict[str, Any] = {
        "sync": samples.sync(),
        "tenant": samples.tenant(),
        "cloud": samples.cloud(),
        "directories": {"contoso": samples.directory()},
        "runs": [],
    }
    return ObservedSync(**(parts | changes))


PHASES = st.sampled_from(
    [None, "Queued", "Running", "Succeeded", "Blocked", "Failed", "Cancelled", "OfALaterVersion"]
)
TIMES = st.datetimes(
    min_value=dt.datetime(2000, 1, 1),  # noqa: DTZ001  - the zone comes from the strategy
    max_value=dt.datetime(2060, 1, 1),  # noqa: DTZ001  - same
    timezones=st.just(dt.UTC),
)
WRITTEN_TIMES = st.one_of(
    TIMES.map(dt.datetime.isoformat),
    st.sampled_from([None, "", "soon", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00"]),
)
WINDOWS = st.lists(
    st.sampled_from(
        [
            {"kind": "Deny", "cron": "0 2 * * 6", "duration": "4h"},
            {"kind": "Deny", "cron": "0 * * * *", "duration": "1h"},
            {"kind": "Allow", "cron": "30 1 * * *", "duration": "10m", "timeZone": "Asia/Tokyo"},
            {"kind": "Allow", "cron": "0 0 30 2 *", "duration": "1h"},
            {"kind": "Deny", "cron": "0 0 * * *", "duration": "168h", "timeZone": "Nowhere/Land"},
        ]
    ),
    min_size=1,
    max_size=3,
)
SCHEDULES = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={
            "interval": st.sampled_from(["0s", "20s", "30m", "99999h"]),
            "cron": st.sampled_from(
                ["*/30 * * * *", "30 2 * * *", "99 2 * * *", "0 0 1 1 *", "0 0 30 2 *", "0 0 L * *"]
            ),
            "timeZone": st.sampled_from(["Europe/Berlin", "America/New_York", "Nowhere/Land"]),
            "jitter": st.sampled_from(["0s", "1ms", "24h"]),
            "startingDeadline": st.sampled_from(["1ms", "10s", "400h"]),
            "windows": WINDOWS,
            "fullEvery": st.integers(1, 5),
        },
    ),
)
STATUSES = st.one_of(
    st.none(),
    st.builds(
        lambda run, counted: {"lastRun": run, "history": [run], **counted},
        st.fixed_dictionaries(
            {"name": st.just("contoso-0")},
            optional={
                "phase": st.sampled_from(["Succeeded", "Failed", "Blocked", "Cancelled", "Other"]),
                "startTime": WRITTEN_TIMES,
                "completionTime": WRITTEN_TIMES,
                "generation": st.integers(1, 3),
                "inputs": st.sampled_from(["", "0123456789abcdef", "0123456789abcdef+00"]),
            },
        ),
        st.fixed_dictionaries(
            {},
            optional={
                "consecutiveFailures": st.integers(-1, 100_000),
                "runsSinceFull": st.integers(-1, 100_000),
                "lastHandledRequest": st.text(max_size=2),
            },
        ),
    ),
)
RUNS = st.builds(
    lambda phase, label, request: samples.run(
        phase=phase,
        metadata={
            "labels": {} if label is None else {"entrasync.dev/trigger": label},
            "annotations": {} if request is None else {REQUEST_ANNOTATION: request},
        },
    ),
    PHASES,
    st.sampled_from([None, "Schedule", "Annotation", "Manual"]),
    st.none() | st.text(max_size=2),
)


@st.composite
def anything(draw: st.DrawFn) -> ObservedSync:
    spec: dict[str, Any] = {"suspend": draw(st.booleans())}
    schedule = draw(SCHEDULES)
    if schedule is not None:
        spec["schedule"] = schedule
    sync = samples.sync(draw(STATUSES), generation=draw(st.integers(1, 3)), **spec)
    if draw(st.booleans()):
        sync.metadata.annotations[REQUEST_ANNOTATION] = draw(st.text(max_size=2))
    if draw(st.booleans()):
        sync.metadata.deletion_timestamp = "2026-01-01T00:00:00Z"
    runs = draw(st.lists(RUNS, max_size=4))
    for number, run in enumerate(runs):
        run.metadata.name = f"contoso-{number}"
    return observed(
        sync=sync,
        tenant=draw(st.sampled_from([None, samples.tenant(), samples.tenant(ready=False)])),
        cloud=draw(st.sampled_from([None, samples.cloud(), samples.cloud("azure-germany")])),
        directories=draw(
            st.sampled_from(
                [{}, {"contoso": samples.directory()}, {"contoso": samples.directory(ready=False)}]
            )
        ),
        runs=runs,
        claimed_by=draw(st.sampled_from([None, OTHER])),
    )


@given(anything(), TIMES)
def test_it_is_total_and_never_starts_what_must_not_start(
    found: ObservedSync, now: dt.datetime
) -> None:
    decision = decide(found, now)
    following = next_start(found, decision, now)
    if isinstance(decision, Wait):
        assert following == decision.until
        assert decision.until is None or decision.until > now
    if found.sync.spec.suspend:
        assert following is None
    if isinstance(decision, StartRun):
        assert not found.sync.metadata.deletion_timestamp
        assert all(phase_of(run) in ENDED_PHASES for run in found.runs)
        assert decision.name not in {run.metadata.name for run in found.runs}
        assert found.claimed_by is None
        assert found.tenant is not None
        if decision.trigger is not Trigger.ANNOTATION:
            assert not found.sync.spec.suspend
            assert Windows.of(found.sync.spec.schedule).closed_by(now) is None


@given(anything(), TIMES)
def test_deciding_again_after_the_run_was_made_starts_no_second_one(
    found: ObservedSync, now: dt.datetime
) -> None:
    decision = decide(found, now)
    if isinstance(decision, StartRun):
        made = samples.run(decision.name)
        again = decide(dataclasses.replace(found, runs=[*found.runs, made]), now)
        assert again == Active(decision.name)


@given(anything(), TIMES, st.sampled_from(["Succeeded", "Failed", "Blocked", "Cancelled"]))
def test_a_run_that_ends_at_once_is_followed_by_none(
    found: ObservedSync, now: dt.datetime, phase: str
) -> None:
    decision = decide(found, now)
    if not isinstance(decision, StartRun):
        return
    moment = now.replace(microsecond=0)
    run = ended(found, decision, phase, moment)
    status = sync_after_run(found.sync, run, RunResult(outcome=phase, reason="R", message="m"))
    sync = found.sync.model_copy(update={"status": status})
    again = decide(dataclasses.replace(found, sync=sync, runs=[*found.runs, run]), moment)
    assert not isinstance(again, StartRun)


def ended(found: ObservedSync, start: StartRun, phase: str, now: dt.datetime) -> SyncRun:
    """The run that a decision makes, ended at once."""
    told = {INPUTS_ANNOTATION: inputs_now(found)}
    if start.trigger is Trigger.ANNOTATION:
        told[REQUEST_ANNOTATION] = found.sync.metadata.annotations[REQUEST_ANNOTATION]
    manifest = build_sync_run(found.sync, start.name, start.trigger, annotations=told)
    manifest["metadata"]["creationTimestamp"] = "2999-01-01T00:00:00Z"
    manifest["status"] = {
        "phase": phase,
        "mode": "Apply",
        "startTime": format_time(now),
        "completionTime": format_time(now),
    }
    return SyncRun.model_validate(manifest)


@given(TIMES, TIMES, st.sampled_from(["Succeeded", "Failed", "Blocked", "Cancelled"]))
def test_however_many_were_missed_one_run_catches_up(
    started: dt.datetime, now: dt.datetime, phase: str
) -> None:
    first = decide(observed(sync=samples.sync(samples.last_run(started, phase))), now)
    if isinstance(first, StartRun):
        after = samples.last_run(now)
        assert decide(observed(sync=samples.sync(after)), now) == Wait(now + PERIOD)


def test_a_clock_that_was_set_back_by_much_lets_one_run_start() -> None:
    status = samples.last_run(NOW + 100 * HOUR)
    assert isinstance(decide(observed(sync=samples.sync(status)), NOW), StartRun)
    little = samples.last_run(NOW + HOUR / 60)
    assert decide(observed(sync=samples.sync(little)), NOW) == Wait(NOW + HOUR / 60 + PERIOD)


def test_a_new_sync_runs_at_once_and_a_changed_one_too() -> None:
    first = decide(observed(), NOW)
    assert isinstance(first, StartRun)
    assert first.trigger is Trigger.SPEC_CHANGE
    changed = samples.sync(samples.last_run(NOW, generation=1), generation=2)
    second = decide(observed(sync=changed), NOW)
    assert isinstance(second, StartRun)
    assert second.trigger is Trigger.SPEC_CHANGE


def test_suspend_stops_schedules_but_not_a_request() -> None:
    sync = samples.sync(samples.last_run(NOW - 9 * HOUR), suspend=True)
    assert decide(observed(sync=sync), NOW) == Wait(None)
    sync.metadata.annotations["entrasync.dev/run-requested-at"] = "now"
    assert isinstance(decide(observed(sync=sync), NOW), StartRun)


def test_a_request_is_handled_once() -> None:
    status = samples.last_run(NOW) | {"lastHandledRequest": "now"}
    sync = samples.sync(status)
    sync.metadata.annotations["entrasync.dev/run-requested-at"] = "now"
    assert decide(observed(sync=sync), NOW) == Wait(NOW + PERIOD)


def test_a_failed_run_is_tried_again_sooner_and_later_less_often_than_the_schedule_says() -> None:
    status = samples.last_run(NOW, phase="Failed")

    def waits(failures: int) -> dt.timedelta:
        sync = samples.sync(status | {"consecutiveFailures": failures})
        decision = decide(observed(sync=sync), NOW)
        assert isinstance(decision, Wait)
        assert decision.until is not None
        return decision.until - NOW

    minute = dt.timedelta(minutes=1)
    assert minute <= waits(1) < 1.1 * minute
    assert 4 * minute <= waits(3) < 4.4 * minute
    assert 30 * minute <= waits(9) < 33 * minute
    assert 24 * HOUR <= waits(10) == waits(200) < 26.4 * HOUR


def test_a_cancelled_run_and_a_blocked_one_await_the_next_slot() -> None:
    for phase in ("Cancelled", "Blocked"):
        status = samples.last_run(NOW, phase=phase) | {"consecutiveFailures": 3}
        assert decide(observed(sync=samples.sync(status)), NOW) == Wait(NOW + PERIOD)
    never_started = samples.last_run(NOW, phase="Cancelled", startTime=None)
    assert decide(observed(sync=samples.sync(never_started)), NOW) == Wait(NOW + PERIOD)


@pytest.mark.parametrize("failures", [1, 12])
def test_what_affects_results_starts_a_run_at_once_and_nothing_else_does(failures: int) -> None:
    before = samples.sync()
    found = observed(sync=before)
    status = samples.last_run(NOW, phase="Failed", inputs=inputs_now(found))
    status |= {"consecutiveFailures": failures}

    def starts(**changes: Any) -> bool:
        decision = decide(observed(**changes), NOW)
        if isinstance(decision, StartRun):
            assert decision.trigger is Trigger.SPEC_CHANGE
        return isinstance(decision, StartRun)

    def changed(**spec: Any) -> DirectorySync:
        return samples.sync(status, generation=7, **spec)

    assert not starts(sync=changed())
    assert not starts(sync=changed(schedule={"interval": "20m"}, successfulRunsHistoryLimit=0))
    assert not starts(sync=changed(runner={"activeDeadlineSeconds": 60}, reporting={"names": True}))
    assert not starts(sync=changed(), tenant=samples.tenant(writeQuotaPercent=50))
    assert not starts(sync=changed(), directories={"contoso": samples.directory(startTLS=False)})
    assert starts(sync=changed(drift="Report"))
    assert starts(sync=changed(approvedPlan="sha256:" + "0" * 64))
    assert starts(sync=changed(), tenant=samples.tenant(transport="SyncServiceV1"))
    other = samples.directory(baseDN="OU=Staff,DC=contoso,DC=test")
    assert starts(sync=changed(), directories={"contoso": other})


def test_every_nth_run_is_full() -> None:
    def scope(runs: int, **schedule: Any) -> RunScope | None:
        status = samples.last_run(NOW - HOUR) | {"runsSinceFull": runs}
        decision = decide(observed(sync=samples.sync(status, schedule=schedule)), NOW)
        assert isinstance(decision, StartRun)
        return decision.scope

    assert scope(2, fullEvery=4) is None
    assert scope(3, fullEvery=4) is RunScope.FULL
    assert scope(0, fullEvery=1) is RunScope.FULL
    assert scope(1000, interval="20m") is None


NIGHT = {"kind": "Deny", "cron": "0 15 * * *", "duration": "2h"}


def test_a_window_holds_what_starts_by_itself_but_no_request() -> None:
    for status in (
        None,
        samples.last_run(NOW - 9 * HOUR),
        samples.last_run(NOW - HOUR, phase="Failed"),
        samples.last_run(NOW, inputs="of another spec"),
    ):
        sync = samples.sync(status, schedule={"windows": [NIGHT]})
        held = decide(observed(sync=sync), NOW)
        assert isinstance(held, Wait)
        assert held.until is not None
        assert held.until.hour == 17
        assert held.held is not None
        assert "spec.schedule.windows[0]" in held.held
        sync.metadata.annotations[REQUEST_ANNOTATION] = "now"
        assert isinstance(decide(observed(sync=sync), NOW), StartRun)


def test_a_schedule_that_cannot_be_is_said_so_before_anything_starts() -> None:
    for schedule, field in (
        ({"cron": "99 * * * *"}, "`spec.schedule.cron`"),
        ({"windows": [NIGHT | {"timeZone": "Mars/Olympus"}]}, "windows[0].timeZone"),
        ({"windows": [NIGHT | {"cron": "0 * * * *"}]}, "`spec.schedule.windows`"),
    ):
        decision = decide(observed(sync=samples.sync(schedule=schedule)), NOW)
        assert isinstance(decision, Blocked)
        assert decision.reason == "ScheduleInvalid"
        assert decision.stalled
        assert field in decision.message


def test_the_next_start_is_told_while_a_run_is_under_way_and_while_none_can_start() -> None:
    sync = samples.sync(samples.last_run(NOW - 9 * HOUR))
    running = samples.run("contoso-1", "Running")
    assert running.status is not None
    running.status.start_time = format_time(NOW - HOUR / 4)
    found = observed(sync=sync, runs=[running])
    assert next_start(found, decide(found, NOW), NOW) == NOW - HOUR / 4 + PERIOD
    queued = observed(sync=sync, runs=[samples.run("contoso-1")])
    made = dt.datetime(2026, 3, 14, 15, 0, tzinfo=dt.UTC)
    assert next_start(queued, decide(queued, NOW), NOW) == made + PERIOD
    blocked = observed(sync=sync, claimed_by=OTHER)
    assert next_start(blocked, decide(blocked, NOW), NOW) == NOW - 9 * HOUR + PERIOD
    new = observed(claimed_by=OTHER)
    assert next_start(new, decide(new, NOW), NOW) is None


@pytest.mark.parametrize(
    ("changes", "reason", "field"),
    [
        ({"tenant": None}, "ReferenceNotFound", "spec.target.entraTenantRef"),
        ({"directories": {}}, "ReferenceNotFound", "spec.sources[0].activeDirectoryRef"),
        ({"cloud": None}, "ReferenceNotFound", "spec.cloudRef"),
        ({"cloud": samples.cloud("azure-germany")}, "CloudClosed", "spec.cloudRef"),
        ({"tenant": IDENTITY}, "ReferenceNotFound", "spec.application.workloadIdentity"),
        (
            {"tenant": IDENTITY, "account_labels": {"app": "x"}},
            "ServiceAccountNotAllowed",
            "entrasync.dev/runner",
        ),
        ({"claimed_by": OTHER}, "TenantClaimed", "spec.target"),
        ({"tenant": samples.tenant(ready=False)}, "Checking", "EntraTenant/contoso"),
    ],
)
def test_what_keeps_it_from_running_is_named(
    changes: dict[str, Any], reason: str, field: str
) -> None:
    decision = decide(observed(**changes), NOW)
    assert isinstance(decision, Blocked)
    assert decision.reason == reason
    assert field in decision.message


def test_a_missing_reference_stalls_only_after_ten_minutes() -> None:
    first = decide(observed(tenant=None), NOW)
    assert isinstance(first, Blocked)
    assert not first.stalled
    status = {
        "conditions": [
            {
                "type": "Ready",
                "status": "False",
                "reason": "ReferenceNotFound",
                "lastTransitionTime": "2026-03-14T15:00:00Z",
            }
        ]
    }
    late = dt.datetime(2026, 3, 14, 15, 10, tzinfo=dt.UTC)
    second = decide(observed(sync=samples.sync(status), tenant=None), late)
    assert isinstance(second, Blocked)
    assert second.stalled


def test_preview_may_run_beside_the_owner() -> None:
    sync = samples.sync(mode="Preview")
    assert isinstance(decide(observed(sync=sync, claimed_by=OTHER), NOW), StartRun)


@pytest.mark.parametrize(
    ("phase", "mode", "named"),
    [
        ("Queued", None, "ServerUnreachable"),
        ("Queued", "Apply", "ServerUnreachable"),
        ("Running", None, None),
        ("Running", "Apply", None),
        ("Running", "Check", "ServerUnreachable"),
        ("Running", "Preview", "ServerUnreachable"),
    ],
)
def test_what_keeps_it_from_running_is_named_beside_a_run_that_waits_or_only_looks(
    phase: str, mode: str | None, named: str | None
) -> None:
    run = samples.run("by-hand", phase, spec={} if mode is None else {"mode": mode})
    well = observed(runs=[run])
    assert decide(well, NOW) == Active("by-hand")
    directory = samples.directory()
    assert directory.status is not None
    (ready,) = directory.status.conditions
    refused = ready.model_copy(update={"status": "False", "reason": "ServerUnreachable"})
    directory.status.conditions = [refused]
    decision = decide(dataclasses.replace(well, directories={"contoso": directory}), NOW)
    assert (decision.reason if isinstance(decision, Blocked) else None) == named
