"""What the runs of a sync tell: which is under way, which answer a request, which are surplus."""

from __future__ import annotations

from typing import Any

import pytest

from entrasync.api.sync_run import REQUEST_ANNOTATION, SyncRun
from entrasync.controller.decisions import ObservedSync
from entrasync.controller.runs_of_sync import (
    active_run,
    is_answered,
    name_of_answer,
    name_of_slot,
    pending_request,
    runs_to_prune,
)
from tests.support import samples
from tests.support.samples import NOW

MINUTE_OF_NOW = int(NOW.timestamp()) // 60


def observed(*runs: Any, request: str | None = None, **status: Any) -> ObservedSync:
    sync = samples.sync(status or None)
    if request is not None:
        sync.metadata.annotations[REQUEST_ANNOTATION] = request
    return ObservedSync(
        sync=sync, tenant=samples.tenant(), cloud=samples.cloud(), directories={}, runs=runs
    )


def answer(name: str, request: str, made: str) -> Any:
    return samples.run(
        name,
        "Succeeded",
        metadata={
            "labels": {"entrasync.dev/trigger": "Annotation"},
            "annotations": {REQUEST_ANNOTATION: request},
            "creationTimestamp": made,
        },
    )


def test_the_running_one_is_active_before_the_queued_the_oldest_first() -> None:
    old = samples.run("b", metadata={"creationTimestamp": "2026-01-01T00:00:00Z"})
    running = samples.run("c", "Running")
    assert active_run([samples.run("a"), old, running]) is running
    assert active_run([samples.run("a"), old]) is old
    assert active_run([samples.run("a", "Failed")]) is None


def test_a_request_is_pending_until_a_run_was_made_for_it() -> None:
    assert pending_request(observed(request="a")) == "a"
    assert pending_request(observed(request="")) is None
    assert pending_request(observed(request="a", lastHandledRequest="a")) is None
    made = answer("contoso-a", "a", "2026-03-14T15:00:00Z")
    # the operator ended before it could write that down
    assert pending_request(observed(made, request="a")) is None
    assert is_answered(observed(made, request="a"))
    assert not is_answered(observed(made, request="b"))


def test_a_value_that_comes_back_is_a_request_again_and_gets_a_run_of_its_own() -> None:
    first = answer("contoso-a", "a", "2026-03-14T15:00:00Z")
    second = answer("contoso-b", "b", "2026-03-14T15:01:00Z")
    again = observed(first, second, request="a", lastHandledRequest="b")
    assert pending_request(again) == "a"
    names = {
        name_of_answer(observed(request="a"), "a"),
        name_of_answer(observed(first, request="b"), "b"),
        name_of_answer(again, "a"),
    }
    assert len(names) == 3
    assert name_of_answer(again, "a") == name_of_answer(again, "a")


def test_of_two_answers_in_one_second_each_counts() -> None:
    moment = "2026-03-14T15:00:00Z"
    both = (answer("contoso-a", "a", moment), answer("contoso-b", "b", moment))
    for request in ("a", "b"):
        assert pending_request(observed(*both, request=request)) is None


def test_a_slot_is_named_by_its_minute_and_no_name_is_used_twice() -> None:
    minute = f"contoso-{MINUTE_OF_NOW}"
    assert name_of_slot(observed(), NOW) == minute
    # the run is gone, its entry in the history is not
    assert name_of_slot(observed(history=[{"name": minute}]), NOW) == f"{minute}26"
    assert name_of_slot(observed(lastRun={"name": minute}), NOW) == f"{minute}26"
    taken = [samples.run(minute, "Failed"), samples.run(f"{minute}26", "Failed")]
    assert name_of_slot(observed(*taken), NOW) == f"{minute}26-1"


@pytest.mark.parametrize(
    ("limit", "kept"), [(0, set()), (1, {"auto-7"}), (3, {"auto-7", "auto-6", "auto-5"})]
)
def test_only_the_operators_own_runs_are_pruned(limit: int, kept: set[str]) -> None:
    good = [
        samples.run(f"auto-{i}", "Succeeded", metadata={"creationTimestamp": f"2026-01-0{i}"})
        for i in range(1, 8)
    ]
    bad = [samples.run(f"bad-{i}", phase) for i, phase in enumerate(("Failed", "Blocked"))]
    others = [
        samples.run("by-hand", "Succeeded", metadata={"labels": {}}),
        samples.run("failed-by-hand", "Failed", metadata={"labels": {}}),
        samples.run("queued"),
        samples.run("running", "Running"),
    ]
    sync = samples.sync(successfulRunsHistoryLimit=limit, failedRunsHistoryLimit=0)
    found = ObservedSync(
        sync=sync, tenant=None, cloud=None, directories={}, runs=[*good, *bad, *others]
    )
    surplus = set(runs_to_prune(found))
    assert surplus == {run.metadata.name for run in [*good, *bad]} - kept


def test_a_run_whose_result_is_still_to_be_told_is_kept_until_a_later_one_has_ended() -> None:
    def lost(name: str, day: int) -> SyncRun:
        made = samples.run(name, "Failed", metadata={"creationTimestamp": f"2026-01-0{day}"})
        manifest = made.to_manifest()
        manifest["status"]["conditions"] = [{"type": "ResultLost", "status": "True"}]
        return SyncRun.model_validate(manifest)

    def pruned(*runs: SyncRun) -> set[str]:
        sync = samples.sync(successfulRunsHistoryLimit=0, failedRunsHistoryLimit=0)
        found = ObservedSync(sync=sync, tenant=None, cloud=None, directories={}, runs=runs)
        return set(runs_to_prune(found))

    later = {"creationTimestamp": "2026-01-09"}
    failed = samples.run("failed", "Failed", metadata=later)
    looked = samples.run("report", "Succeeded", metadata=later, spec={"mode": "Report"})
    assert pruned(lost("first", 1)) == set()
    assert pruned(lost("first", 1), failed, looked) == {"failed", "report"}
    good = samples.run("good", "Succeeded", metadata=later)
    assert pruned(lost("first", 1), good) == {"first", "good"}
    assert pruned(*(lost(f"lost-{day}", day) for day in range(1, 6))) == {"lost-1", "lost-2"}
