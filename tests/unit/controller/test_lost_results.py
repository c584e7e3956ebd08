"""A result nobody read: the next run is asked for it, and both statuses are put right."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import yaml

from entrasync.api.result import EarlierResult, RunResult
from entrasync.api.snapshot import SNAPSHOT_FILE
from entrasync.api.sync_run import LOST_RESULTS_ANNOTATION, Changes, KindChanges, SyncRun
from entrasync.controller.lost_results import lost_runs, run_corrected
from tests.support import samples
from tests.support.memory_cluster import Cluster, job_at, resource_at
from tests.support.memory_jobs import Jobs
from tests.support.samples import NOW

ADDED = Changes(users=KindChanges(add=7))
DONE = RunResult(outcome="Succeeded", reason="Synchronized", mode="Apply")


def told(run: str = "first", **more: Any) -> EarlierResult:
    members: dict[str, Any] = {
        "run": run,
        "time": (NOW + dt.timedelta(minutes=2)).isoformat(),
        "outcome": "Succeeded",
        "reason": "Synchronized",
        "mode": "Apply",
        "scope": "Delta",
        "changes": ADDED,
    }
    return EarlierResult.model_validate(members | more)


def lost(name: str = "first", made: str = "2026-03-14T15:00:00Z", phase: str = "Failed") -> SyncRun:
    run = samples.run(name, phase=phase, metadata={"creationTimestamp": made})
    manifest = run.to_manifest()
    reason = "Cancelled" if phase == "Cancelled" else "ResultLost"
    manifest["status"] |= {
        "startTime": "2026-03-14T15:09:26Z",
        "conditions": [
            {"type": "Ready", "status": "False", "reason": reason, "message": "why"},
            {"type": "ResultLost", "status": "True", "reason": reason},
        ],
    }
    return SyncRun.model_validate(manifest)


@pytest.fixture
def cluster() -> Cluster:
    """A sync whose first run lost its pod and its Job."""
    place = Cluster(samples.cloud(), samples.tenant(), samples.directory(), samples.sync())
    place.start("first")
    jobs = Jobs(place)
    pod = jobs.start("first")
    place.remove(job_at("first"))
    place.pod_gone("identity", pod)
    place.reconcile("syncruns", "first")
    assert place.conditions("syncruns", "first")["Ready"]["reason"] == "ResultLost"
    return place


def second(place: Cluster, *earlier: EarlierResult) -> None:
    place.now += dt.timedelta(minutes=5)
    place.start("second")
    result = DONE.model_copy(update={"earlier": list(earlier)})
    place.finish("second", result.to_message())


def test_the_next_run_is_asked_for_it(cluster: Cluster) -> None:
    cluster.start("second")

    snapshot = cluster.of_kind("ConfigMap")[-1]["data"][SNAPSHOT_FILE]
    (run,) = [each for each in yaml.safe_load_all(snapshot) if each["kind"] == "SyncRun"]
    assert run["metadata"]["annotations"] == {LOST_RESULTS_ANNOTATION: "first"}


def test_what_it_tells_is_put_right_everywhere(cluster: Cluster) -> None:
    second(cluster, told())

    status = cluster.status("syncruns", "first")
    assert (status["phase"], status["totals"]["added"]) == ("Succeeded", 7)
    assert (status["completionTime"], status["duration"]) == ("2026-03-14T15:11:26Z", "2m")
    conditions = cluster.conditions("syncruns", "first")
    assert conditions["Ready"]["status"] == "True"
    assert not {"ResultLost", "Failed", "Stalled"} & conditions.keys()
    sync = cluster.status("directorysyncs", "contoso")
    phases = {each["name"]: (each["phase"], each["reason"]) for each in sync["history"]}
    assert phases["first"] == ("Succeeded", "Synchronized")
    assert sync["lastRun"]["name"] == "second"


def test_it_is_not_asked_for_twice(cluster: Cluster) -> None:
    second(cluster, told())
    runs = [
        SyncRun.model_validate(cluster.objects[resource_at("syncruns", name)])
        for name in ("first", "second")
    ]
    assert lost_runs(runs) == []


def test_what_the_state_does_not_know_stays_lost(cluster: Cluster) -> None:
    second(cluster)

    assert cluster.conditions("syncruns", "first")["ResultLost"]["status"] == "True"
    assert cluster.status("syncruns", "first")["phase"] == "Failed"


def test_a_run_of_another_sync_is_not_touched(cluster: Cluster) -> None:
    other = lost("other").to_manifest()
    other["spec"]["directorySyncRef"]["name"] = "other"
    cluster.add(SyncRun.model_validate(other))

    second(cluster, told("other"), told("missing"))

    assert cluster.status("syncruns", "other")["phase"] == "Failed"


def test_only_the_newest_three_are_asked_for() -> None:
    runs = [lost(f"run-{n}", f"2026-03-14T15:0{n}:00Z") for n in range(5)]
    runs.append(samples.run("fine", phase="Succeeded"))
    assert lost_runs(runs) == ["run-4", "run-3", "run-2"]


def test_why_a_run_was_asked_to_end_is_known_better_here() -> None:
    cancelled = told(outcome="Cancelled", reason="Cancelled", message="somebody asked")

    after = run_corrected(lost(phase="Cancelled"), cancelled)
    assert after is not None
    assert (after.phase, after.conditions[0].message) == ("Cancelled", "why")

    after = run_corrected(lost(phase="Failed"), cancelled)
    assert after is not None
    assert (after.phase, after.conditions[0].reason) == ("Failed", "ResultLost")
    assert after.changes == ADDED


@pytest.mark.parametrize(
    ("run", "time"),
    [
        (samples.run("first", phase="Running"), NOW.isoformat()),
        (samples.run("first", phase="Succeeded"), NOW.isoformat()),
        (lost(), "2026-03-01T00:00:00Z"),
        (lost(), "nonsense"),
    ],
)
def test_what_is_known_or_of_another_run_changes_nothing(run: SyncRun, time: str) -> None:
    assert run_corrected(run, told(time=time)) is None
