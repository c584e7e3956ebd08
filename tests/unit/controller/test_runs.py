"""The life of a run: its turn, its Job, its end, and all that may come between."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.support import samples
from tests.support.memory_cluster import Cluster, job_at, pod_at, resource_at
from tests.support.run_scene import DONE, STOPPED, Scene, line, minutes
from tests.support.samples import NOW


def test_from_the_queue_to_its_result() -> None:
    scene = Scene()
    pod = scene.running()
    assert scene.phase() == "Running"
    assert scene.said()[:2] == ("Unknown", "RunActive")

    scene.jobs.progress(pod, line("Export", 1200, total=1830))
    scene.look()
    progress = scene.cluster.status("syncruns", "manual")["progress"]
    assert (progress["stage"], progress["done"], progress["total"]) == ("Export", 1200, 1830)

    scene.jobs.end("manual", DONE)
    scene.look()

    assert scene.phase() == "Succeeded"
    assert scene.cluster.status("syncruns", "manual")["totals"]["added"] == 3
    assert scene.cluster.status("directorysyncs", "contoso")["lastRun"]["name"] == "manual"
    assert "ResultLost" not in scene.cluster.conditions("syncruns", "manual")


def test_a_queued_run_shows_what_it_will_do() -> None:
    scene = Scene(mode="Preview")
    scene.running("first")
    scene.cluster.start()

    assert scene.phase() == "Queued"
    assert scene.cluster.status("syncruns", "manual")["mode"] == "Preview"


# --- whose Job is it -------------------------------------------------------------------------


def test_a_job_that_was_made_but_not_told_of_is_adopted() -> None:
    scene = Scene()
    scene.cluster.start()
    inputs = scene.cluster.status("syncruns", "manual")["inputs"]
    scene.cluster.objects[resource_at("syncruns", "manual")]["status"] = {"observedGeneration": -1}

    scene.look(after=minutes(1))

    assert len(scene.cluster.made_jobs()) == 1
    assert scene.phase() == "Running"
    assert scene.cluster.status("syncruns", "manual")["jobName"] == "manual"
    assert scene.cluster.status("syncruns", "manual")["inputs"] == inputs


def test_the_job_of_an_earlier_run_of_this_name_is_not_mistaken() -> None:
    scene = Scene()
    scene.running()
    scene.jobs.end("manual", DONE)
    # all of it comes back from a backup: the run has a new uid, the Job its old owner
    del scene.cluster.objects[resource_at("syncruns", "manual")]
    old = scene.cluster.made_jobs()[0]["metadata"]["uid"]
    scene.cluster.add(samples.run("manual", metadata={"uid": "u-new"}))

    scene.look()

    assert scene.phase() in {"Queued", "Running"}
    scene.look(after=minutes(1))
    (job,) = scene.cluster.made_jobs()
    assert job["metadata"]["uid"] != old
    assert scene.phase() == "Running"


def test_a_job_of_somebody_else_stays_and_is_told_of() -> None:
    scene = Scene()
    scene.cluster.put(job_at("manual"), {"kind": "Job", "apiVersion": "batch/v1", "spec": {}})

    scene.cluster.start()

    assert scene.phase() == "Failed"
    assert "Job manual is there already" in scene.said()[2]
    assert len(scene.cluster.made_jobs()) == 1


def test_a_job_somebody_deleted_fails_the_run_and_the_next_goes_on() -> None:
    scene = Scene()
    scene.running()
    scene.cluster.delete(job_at("manual"))
    scene.look()
    assert scene.phase() == "Running"  # its pod has not ended
    assert "pod manual-00001" in scene.said()[2]
    scene.cluster.start("next")
    assert scene.phase("next") == "Queued"

    scene.cluster.pod_gone("identity", "manual-00001")
    scene.look()

    assert scene.phase() == "Failed"
    assert scene.said()[1] == "ResultLost"
    assert scene.said(kind="ResultLost")[0] == "True"
    scene.look("next")
    assert scene.phase("next") == "Running"


def test_a_pod_that_outlives_its_job_still_tells_what_it_did() -> None:
    scene = Scene()
    scene.running()
    scene.cluster.delete(job_at("manual"))
    scene.look()

    scene.jobs.end("manual", STOPPED, code=1)
    # the watch wakes the operator before the pod is gone
    scene.cluster.objects[job_at("manual")] = scene.cluster.objects.get(job_at("manual"), {})
    del scene.cluster.objects[job_at("manual")]
    scene.look()

    assert scene.phase() == "Failed"


def test_a_job_that_was_removed_a_day_after_its_end() -> None:
    scene = Scene()
    scene.running()
    scene.jobs.end("manual", DONE)
    scene.cluster.remove(job_at("manual"))

    scene.look(after=minutes(3000))

    assert (scene.phase(), scene.said()[1]) == ("Failed", "ResultLost")


# --- cancelling and deleting -----------------------------------------------------------------


def test_a_queued_run_is_cancelled_at_once() -> None:
    scene = Scene()
    scene.running("first")
    scene.cluster.start()
    scene.cancel()

    scene.look()

    assert (scene.phase(), scene.said()[1]) == ("Cancelled", "Cancelled")
    assert len(scene.cluster.made_jobs()) == 1


def test_a_running_run_is_cancelled_at_its_next_checkpoint_and_tells_what_it_did() -> None:
    scene = Scene()
    pod = scene.running()
    scene.cancel()

    scene.look()

    assert scene.phase() == "Running"
    assert "next checkpoint" in scene.said()[2]
    terminated = {"name": "run", "state": {"terminated": {"message": STOPPED.to_message()}}}
    scene.cluster.objects[pod_at(pod)]["status"] |= {
        "phase": "Failed",
        "containerStatuses": [terminated],
    }
    scene.look()

    assert scene.phase() == "Cancelled"
    assert scene.said()[2] == "cancelled by `spec.cancel`"
    assert scene.cluster.status("syncruns", "manual")["totals"]["added"] == 2
    assert "ResultLost" not in scene.cluster.conditions("syncruns", "manual")


def test_a_run_that_was_done_before_it_could_be_cancelled_was_done() -> None:
    scene = Scene()
    scene.running()
    scene.cancel()
    scene.jobs.end("manual", DONE)

    scene.look()

    assert scene.phase() == "Succeeded"


def test_a_run_cancelled_before_its_pod_was_made_did_nothing() -> None:
    scene = Scene()
    scene.cluster.start()
    scene.cancel()

    scene.look()

    assert scene.phase() == "Cancelled"
    assert scene.cluster.made_jobs() == []


def test_a_run_that_is_deleted_takes_its_job_along_before_the_next_one_starts() -> None:
    scene = Scene()
    pod = scene.running()
    scene.cluster.start("next")
    scene.cluster.delete(resource_at("syncruns", "manual"))
    scene.look()
    scene.look("next")
    assert scene.phase("next") == "Queued"

    scene.cluster.pod_gone("identity", pod)
    scene.look("next")

    assert scene.phase("next") == "Running"
    assert [job["metadata"]["name"] for job in scene.cluster.made_jobs()] == ["next"]


def test_a_job_nobody_waits_for_is_deleted_first() -> None:
    scene = Scene()
    scene.cluster.start()
    # its run goes, as with --cascade=orphan, before its pod is made
    del scene.cluster.objects[resource_at("syncruns", "manual")]
    scene.cluster.objects[job_at("manual")]["metadata"]["ownerReferences"] = []

    scene.cluster.start("next")
    assert scene.phase("next") == "Queued"
    scene.look("next", after=minutes(1))

    assert [job["metadata"]["name"] for job in scene.cluster.made_jobs()] == ["next"]


def test_a_run_whose_sync_was_deleted_is_ended() -> None:
    scene = Scene()
    scene.running()
    scene.cluster.remove(resource_at("directorysyncs", "contoso"))

    scene.look()
    assert scene.said()[1] == "ReferenceNotFound"
    scene.cluster.pod_gone("identity", "manual-00001")
    scene.look()

    assert scene.phase() == "Failed"
    assert "DirectorySync contoso was deleted" in scene.said()[2]


def test_a_run_of_a_sync_that_does_not_come_calls_somebody() -> None:
    cluster = Cluster()
    cluster.add(samples.run("manual"))
    cluster.reconcile("syncruns", "manual", NOW - minutes(5))
    assert cluster.conditions("syncruns", "manual")["Ready"]["status"] == "Unknown"

    cluster.reconcile("syncruns", "manual", NOW + minutes(5))

    found = cluster.conditions("syncruns", "manual")
    assert (found["Ready"]["status"], found["Ready"]["reason"]) == ("False", "ReferenceNotFound")
    assert "Stalled" in found
    assert "Reconciling" not in found


# --- what other versions left ----------------------------------------------------------------


def test_a_run_of_an_older_operator_is_harvested_by_the_name_it_gave_its_job() -> None:
    scene = Scene()
    scene.running()
    for path in list(scene.cluster.objects):
        if path.endswith("/jobs/manual"):
            old = scene.cluster.objects.pop(path)
            old["metadata"]["name"] = "manual-old"
            scene.cluster.objects[job_at("manual-old")] = old
    pod = scene.cluster.objects[pod_at("manual-00001")]
    pod["metadata"]["labels"]["batch.kubernetes.io/job-name"] = "manual-old"
    scene.cluster.change(resource_at("syncruns", "manual"), {"status": {"jobName": "manual-old"}})

    scene.jobs.end("manual-old", DONE)
    scene.look()

    assert scene.phase() == "Succeeded"


@pytest.mark.parametrize(
    ("message", "phase", "reason"),
    [
        ({"v": 2, "outcome": "Succeeded", "reason": "Synchronized", "new": [1]}, "Succeeded", ""),
        ({"v": 0, "outcome": "Failed", "reason": "BindRejected"}, "Failed", "BindRejected"),
        ({"outcome": "Succeeded", "reason": "Synchronized", "changes": "many"}, "Succeeded", ""),
        ({"v": 3, "outcome": "Paused", "reason": "Later"}, "Failed", "Later"),
        ({"v": 3, "answer": 42}, "Failed", "RunFailed"),
        ([1], "Failed", "RunFailed"),
    ],
)
def test_a_result_of_another_version_is_taken_as_far_as_it_is_understood(
    message: Any, phase: str, reason: str
) -> None:
    scene = Scene()
    scene.running()

    scene.jobs.end("manual", json.dumps(message))
    scene.look()

    assert scene.phase() == phase
    assert scene.said()[1] == (reason or "Synchronized")


# --- what others of the same name left --------------------------------------------------------


def test_a_pod_of_an_earlier_run_of_this_name_tells_nothing_of_this_one() -> None:
    scene = Scene()
    scene.running()
    scene.jobs.end("manual", DONE)
    old = scene.cluster.objects[pod_at("manual-00001")]
    scene.cluster.remove(resource_at("syncruns", "manual"))
    # the garbage collector is late
    scene.cluster.put(pod_at("manual-00001"), old | {"metadata": old["metadata"] | {"uid": "old"}})
    old["metadata"].pop("ownerReferences", None)
    scene.cluster.now += minutes(1)
    scene.cluster.start()
    assert scene.phase() == "Running"

    scene.cluster.remove(job_at("manual"))
    scene.look()

    assert (scene.phase(), scene.said()[1]) == ("Failed", "ResultLost")
    assert "changes" not in scene.cluster.status("syncruns", "manual")


def test_a_run_of_an_earlier_sync_of_the_name_is_ended_and_says_nothing_of_the_new_one() -> None:
    scene = Scene()
    scene.running()
    assert scene.phase() == "Running"
    old = scene.cluster.objects[resource_at("directorysyncs", "contoso")]
    scene.cluster.remove(resource_at("directorysyncs", "contoso"))
    scene.cluster.now += minutes(1)
    scene.cluster.put(
        resource_at("directorysyncs", "contoso"),
        {"metadata": {"name": "contoso"}, "kind": "DirectorySync", "spec": old["spec"]},
    )

    scene.look()
    assert scene.said()[1] == "ReferenceNotFound"
    scene.jobs.end("manual", DONE)
    scene.look()

    assert "lastRun" not in scene.cluster.status("directorysyncs", "contoso")
    assert scene.phase() in {"Failed", "Succeeded"}


def test_clocks_of_api_servers_that_differ_a_little_take_no_pod_from_its_run() -> None:
    scene = Scene()
    scene.running()
    pod = scene.cluster.objects[pod_at("manual-00001")]
    pod["metadata"]["creationTimestamp"] = "2026-03-14T14:59:57Z"  # the run is of 15:00:00
    run = scene.cluster.objects[resource_at("syncruns", "manual")]
    run["metadata"]["creationTimestamp"] = "2026-03-14T15:00:00Z"

    scene.jobs.end("manual", DONE)
    scene.look()

    assert scene.phase() == "Succeeded"
