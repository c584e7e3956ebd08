"""The decision: total, stable, never two runs at once, and never a run that must not be."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.sync_run import Trigger
from entrasync.controller.decide import (
    Active,
    Blocked,
    ObservedSync,
    StartRun,
    Wait,
    decide,
    runs_to_prune,
)
from tests.support import samples
from tests.support.samples import NOW

HOUR = dt.timedelta(hours=1)
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


PHASES = st.sampled_from([None, "Queued", "Running", "Succeeded", "Blocked", "Failed", "Cancelled"])
TIMES = st.datetimes(
    min_value=dt.datetime(2000, 1, 1),  # noqa: DTZ001  - the zone comes from the strategy
    max_value=dt.datetime(2060, 1, 1),  # noqa: DTZ001  - same
    timezones=st.just(dt.UTC),
)
SCHEDULES = st.sampled_from(
    [
        None,
        {"interval": "20s"},
        {"cron": "*/30 * * * *", "timeZone": "Europe/Berlin"},
        {"cron": "30 2 * * *", "timeZone": "America/New_York"},
        {"cron": "99 2 * * *"},
        {"cron": "0 0 1 1 *", "timeZone": "Nowhere/Land"},
    ]
)
STATUSES = st.one_of(
    st.none(),
    st.builds(
        samples.last_run,
        TIMES,
        st.sampled_from(["Succeeded", "Failed", "Blocked", "Cancelled"]),
        st.integers(1, 3),
    ),
)


@st.composite
def anything(draw: st.DrawFn) -> ObservedSync:
    spec: dict[str, Any] = {"suspend": draw(st.booleans())}
    schedule = draw(SCHEDULES)
    if schedule is not None:
        spec["schedule"] = schedule
    sync = samples.sync(draw(STATUSES), generation=draw(st.integers(1, 3)), **spec)
    if draw(st.booleans()):
        sync.metadata.annotations["entrasync.dev/run-requested-at"] = draw(st.text(max_size=20))
    if draw(st.booleans()):
        sync.metadata.deletion_timestamp = "2026-01-01T00:00:00Z"
    phases = draw(st.lists(PHASES, max_size=4))
    return observed(
        sync=sync,
        tenant=draw(st.sampled_from([None, samples.tenant(), samples.tenant(ready=False)])),
        cloud=draw(st.sampled_from([None, samples.cloud(), samples.cloud("azure-germany")])),
        directories=draw(
            st.sampled_from(
                [{}, {"contoso": samples.directory()}, {"contoso": samples.directory(ready=False)}]
            )
        ),
        runs=[samples.run(f"contoso-{i}", phase) for i, phase in enumerate(phases)],
        claimed_by=draw(st.sampled_from([None, "other/sync"])),
    )


@given(anything(), TIMES)
def test_it_is_total_and_never_starts_what_must_not_start(
    found: ObservedSync, now: dt.datetime
) -> None:
    decision = decide(found, now)
    if isinstance(decision, StartRun):
        assert not found.sync.metadata.deletion_timestamp
        assert all(run.status and run.status.phase for run in found.runs)
        assert found.claimed_by is None
        assert found.tenant is not None
        if found.sync.spec.suspend:
            assert decision.trigger is Trigger.ANNOTATION


@given(anything(), TIMES)
def test_deciding_again_after_the_run_was_made_starts_no_second_one(
    found: ObservedSync, now: dt.datetime
) -> None:
    decision = decide(found, now)
    if isinstance(decision, StartRun):
        made = samples.run(decision.name)
        again = decide(
            ObservedSync(
                sync=found.sync,
                tenant=found.tenant,
                cloud=found.cloud,
                directories=found.directories,
                runs=[*found.runs, made],
                claimed_by=found.claimed_by,
            ),
            now,
        )
        assert again == Active(decision.name)


@given(STATUSES, TIMES)
def test_however_many_were_missed_one_run_catches_up(status: Any, now: dt.datetime) -> None:
    first = decide(observed(sync=samples.sync(status)), now)
    if isinstance(first, StartRun):
        after = samples.last_run(now)
        assert decide(observed(sync=samples.sync(after)), now) == Wait(now + HOUR / 2)


def test_a_clock_that_was_set_back_does_not_stop_the_schedule() -> None:
    status = samples.last_run(NOW + 100 * HOUR)
    assert decide(observed(sync=samples.sync(status)), NOW) == Wait(NOW + HOUR / 2)


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
    assert decide(observed(sync=sync), NOW) == Wait(NOW + HOUR / 2)


def test_a_failed_run_is_tried_again_sooner_than_the_schedule_says() -> None:
    status = samples.last_run(NOW, phase="Failed")
    assert decide(observed(sync=samples.sync(status)), NOW) == Wait(NOW + dt.timedelta(minutes=1))


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
        ({"claimed_by": "other/sync"}, "TenantClaimed", "spec.target"),
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
    assert isinstance(decide(observed(sync=sync, claimed_by="other/sync"), NOW), StartRun)


def test_only_the_operators_own_runs_are_pruned() -> None:
    runs = [
        samples.run(f"auto-{i}", "Succeeded", metadata={"creationTimestamp": f"2026-01-0{i}"})
        for i in range(1, 8)
    ]
    by_hand = samples.run("by-hand", "Succeeded", metadata={"labels": {}})
    assert runs_to_prune(observed(runs=[*runs, by_hand])) == [
        "auto-4",
        "auto-3",
        "auto-2",
        "auto-1",
    ]
