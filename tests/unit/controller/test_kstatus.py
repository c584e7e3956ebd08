"""Statuses judged by the rules of kstatus: what Flux, Helm and kpt wait for and give up on.

Every status that our functions can come to is looked at, and the rows of the design one by one.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.common import Resource
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.reasons import GRACE
from entrasync.api.result import CheckOutcome
from entrasync.api.sync_run import RunMode, SyncRun
from entrasync.controller import part_status, run_status
from entrasync.controller.decisions import Active, Blocked, Decision, Wait
from entrasync.controller.events import transitions
from entrasync.controller.part_status import cloud_status
from entrasync.controller.sync_conditions import SYNC_CONDITIONS
from entrasync.controller.sync_status import sync_status
from tests.support import samples, statuses
from tests.support.kstatus import Status, status_of
from tests.support.samples import NOW

CURRENT, FAILED, IN_PROGRESS = Status.CURRENT, Status.FAILED, Status.IN_PROGRESS
ONLY_WHILE_TRUE = frozenset(SYNC_CONDITIONS) - {"Ready", "Synchronized"}
SECOND = dt.timedelta(seconds=1)


def conditions(status: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["type"]: each for each in status.get("conditions", [])}


def assert_whole(resource: Resource, status: Any) -> dict[str, Any]:
    """What holds for every status; returns the resource as it would be written."""
    found = statuses.written(resource, status)
    statuses.assert_fits_schema(resource, found["status"])
    told = conditions(found["status"])
    assert len(told) == len(found["status"]["conditions"])
    assert next(iter(told)) == "Ready"
    assert not {"Reconciling", "Stalled"} <= told.keys()
    for kind, each in told.items():
        assert each["status"] == "True" or kind not in ONLY_WHILE_TRUE, kind
        assert each["reason"]
        assert len(each["message"]) <= 1024
        assert each["lastTransitionTime"]
        assert each["observedGeneration"] == found["status"]["observedGeneration"]
    return found


def verdict(resource: dict[str, Any]) -> tuple[str, Status]:
    return conditions(resource["status"])["Ready"]["status"], status_of(resource)


# --- DirectorySync ---------------------------------------------------------------------------


@settings(max_examples=300)
@given(statuses.syncs(), statuses.decisions(), statuses.active_runs())
def test_every_status_of_a_sync_is_whole_and_written_once(
    sync: Any, decision: Decision, runs: list[SyncRun]
) -> None:
    first = sync_status(sync, decision, None, NOW, runs)
    found = assert_whole(sync, first)
    ready, judged = verdict(found)
    told = conditions(found["status"])

    assert found["status"]["observedGeneration"] == sync.metadata.generation
    if "Stalled" in told:
        assert judged is FAILED
        assert ready == "False"
    elif "Reconciling" in told:
        assert judged is IN_PROGRESS
    else:
        assert judged is (CURRENT if ready == "True" else IN_PROGRESS)
    if "Degraded" in told and not isinstance(decision, Blocked):
        assert ready == "True"
    if sync.status.blocked_plan is not None and sync.status.last_run is not None:
        runs_that_tell = [sync.status.last_run, *sync.status.history]
        if any(r.phase != "Cancelled" and r.mode != "Preview" for r in runs_that_tell):
            assert "PlanBlocked" in told

    read = sync.model_copy(update={"status": type(sync.status).model_validate(found["status"])})
    second = sync_status(read, decision, None, NOW + SECOND, runs)
    assert statuses.written(read, second)["status"] == found["status"]
    assert transitions(read.status.conditions, second.conditions, "1") == []


@pytest.mark.parametrize(
    ("status", "spec", "decision", "expected"),
    [
        (
            None,
            {},
            Blocked("Checking", "m", stalled=False, checking=True),
            ("Unknown", IN_PROGRESS),
        ),
        (None, {}, Blocked("SecretNotFound", "m", stalled=False), ("False", IN_PROGRESS)),
        (None, {}, Blocked("SecretNotFound", "m", stalled=True), ("False", FAILED)),
        (None, {}, Blocked("CredentialsRejected", "m", stalled=True), ("False", FAILED)),
        (None, {}, Blocked("EndpointNotOffered", "m", stalled=True), ("False", FAILED)),
        (None, {}, Active("r"), ("True", CURRENT)),
        (samples.last_run(NOW), {}, Wait(None), ("True", CURRENT)),
        (samples.last_run(NOW), {}, Active("r"), ("True", CURRENT)),
        (samples.last_run(NOW, reason="ExportErrors"), {}, Wait(None), ("True", CURRENT)),
        (samples.last_run(NOW, throttled="m"), {}, Wait(None), ("True", CURRENT)),
        (
            samples.last_run(NOW, phase="Failed", reason="Throttled"),
            {},
            Wait(None),
            ("True", CURRENT),
        ),
        (samples.last_run(NOW), {"suspend": True}, Wait(None), ("True", CURRENT)),
        (
            samples.last_run(NOW, phase="Blocked", reason="DeletionThresholdExceeded"),
            {"suspend": True},
            Wait(None),
            ("False", FAILED),
        ),
        (
            samples.last_run(NOW, phase="Blocked", reason="DeletionThresholdExceeded"),
            {},
            Active("r"),
            ("False", FAILED),
        ),
        (
            samples.last_run(NOW, phase="Failed", reason="ServerUnreachable"),
            {},
            Wait(None),
            ("False", IN_PROGRESS),
        ),
        (
            samples.last_run(NOW, phase="Failed", reason="BaseNotFound"),
            {},
            Wait(None),
            ("False", FAILED),
        ),
    ],
)
def test_the_rows_of_a_sync(
    status: dict[str, Any] | None,
    spec: dict[str, Any],
    decision: Decision,
    expected: tuple[str, Status],
) -> None:
    sync = samples.sync(status, **spec)
    assert verdict(assert_whole(sync, sync_status(sync, decision, None, NOW))) == expected


def test_a_new_object_is_in_progress_before_it_was_looked_at() -> None:
    new = {"metadata": {"generation": 1}, "status": {"observedGeneration": -1}}
    assert status_of(new) is IN_PROGRESS
    changed = {"metadata": {"generation": 2}, "status": {"observedGeneration": 1}}
    assert status_of(changed) is IN_PROGRESS
    assert status_of({"metadata": {"deletionTimestamp": "t"}}) is Status.TERMINATING


# --- tenants and directories -----------------------------------------------------------------

STEPS = st.one_of(
    st.just("checking"),
    st.just("waited"),
    st.tuples(st.just("blocked"), statuses.REASON, statuses.MESSAGE),
    st.tuples(st.just("checked"), statuses.checks(), st.integers(1, 2)),
)


def step(part: EntraTenant | ActiveDirectory, what: Any, now: dt.datetime) -> None:
    match what:
        case "checking":
            part_status.part_checking(part, now)
        case "waited":
            part_status.part_waited(part, now + SECOND, now)
        case ("blocked", reason, message):
            part_status.part_blocked(part, reason, message, now)
        case ("checked", check, generation):
            part_status.part_checked(part, check, generation, now)
        case _:
            raise AssertionError(what)


@given(st.booleans(), st.lists(st.tuples(STEPS, st.integers(0, 900)), min_size=1, max_size=6))
def test_every_status_of_a_part_is_whole(
    is_tenant: bool,  # noqa: FBT001  - what hypothesis gives
    steps: list[tuple[Any, int]],
) -> None:
    part = samples.tenant(ready=False) if is_tenant else samples.directory(ready=False)
    part.metadata.generation = 2
    now = NOW
    for what, seconds in steps:
        now += dt.timedelta(seconds=seconds)
        step(part, what, now)
        assert part.status is not None
        if not part.status.conditions:
            continue
        found = statuses.written(part, part.status)
        statuses.assert_fits_schema(part, found["status"])
        told = conditions(found["status"])
        assert not {"Reconciling", "Stalled"} <= told.keys()
        assert found["status"]["observedGeneration"] == told["Ready"]["observedGeneration"]
        ready, judged = verdict(found)
        if found["status"]["observedGeneration"] != 2:
            assert judged is IN_PROGRESS
        elif "Stalled" in told:
            assert (ready, judged) == ("False", FAILED)
        else:
            assert judged is (CURRENT if ready == "True" else IN_PROGRESS)


@pytest.mark.parametrize(
    ("reason", "passed", "expected"),
    [
        ("CredentialsRejected", dt.timedelta(), FAILED),
        ("BindRejected", dt.timedelta(), FAILED),
        ("SecretNotFound", dt.timedelta(), IN_PROGRESS),
        ("SecretNotFound", GRACE - SECOND, IN_PROGRESS),
        ("SecretNotFound", GRACE, FAILED),
        ("ReferenceNotFound", GRACE, FAILED),
        ("ServerUnreachable", dt.timedelta(days=1), IN_PROGRESS),
    ],
)
def test_the_rows_of_a_part(reason: str, passed: dt.timedelta, expected: Status) -> None:
    part = samples.tenant(ready=False)
    check = CheckOutcome(ok=False, reason=reason, message="m")
    part_status.part_checked(part, check, 1, NOW)
    part_status.part_waited(part, None, NOW + passed)
    assert part.status is not None
    assert verdict(assert_whole(part, part.status)) == ("False", expected)


def test_the_rows_of_a_cloud() -> None:
    for name in ("azure-commercial", "azure-germany"):
        cloud = samples.cloud(name)
        assert verdict(assert_whole(cloud, cloud_status(cloud, NOW))) == ("True", CURRENT)


# --- SyncRun ---------------------------------------------------------------------------------


@given(statuses.results(), st.booleans())
def test_every_status_of_a_run_is_whole(result: Any, started: bool) -> None:  # noqa: FBT001  - what hypothesis gives
    run = samples.run()
    if started:
        run.status = run_status.run_started(
            run, RunMode.APPLY, "job", NOW - dt.timedelta(minutes=1)
        )
        assert verdict(assert_whole(run, run.status)) == ("Unknown", IN_PROGRESS)
    ended = run_status.run_ended(run, result, NOW)
    found = assert_whole(run, ended)
    good = result.outcome.startswith("Succeeded")
    assert verdict(found) == (("True", CURRENT) if good else ("False", FAILED))
    assert {"Complete", "Failed"} & conditions(found["status"]).keys() == {
        "Complete" if good else "Failed"
    }


@given(statuses.REASON, statuses.MESSAGE)
def test_a_run_that_waits_is_in_progress_or_needs_somebody(reason: str, message: str) -> None:
    run = samples.run()
    waiting = run_status.run_waiting(run, RunMode.APPLY, reason, message, NOW)
    assert verdict(assert_whole(run, waiting)) in {("Unknown", IN_PROGRESS), ("False", FAILED)}
