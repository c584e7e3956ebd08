"""What becomes of a run under way: its pods are taken away, or it gets nowhere."""

from __future__ import annotations

from entrasync.controller.gateway import ApiError, Manifest
from tests.support.memory_cluster import job_at, pod_at
from tests.support.run_scene import DONE, STOPPED, Scene, line, minutes

# --- pods that are taken away ----------------------------------------------------------------


def test_an_evicted_pod_is_replaced_and_the_run_stays_the_same() -> None:
    scene = Scene()
    scene.running()

    scene.jobs.end("manual", STOPPED, code=1, disrupted=True)
    scene.look()
    assert scene.phase() == "Running"
    assert "evicting" in scene.said()[2]

    scene.jobs.start("manual")
    scene.look(after=minutes(1))
    assert scene.phase() == "Running"
    scene.jobs.end("manual", DONE)
    scene.look()

    assert scene.phase() == "Succeeded"
    assert len(scene.jobs.pods("manual")) == 2


def test_what_an_evicted_pod_said_is_not_the_end_of_its_successor() -> None:
    scene = Scene()
    scene.running()
    scene.jobs.end("manual", STOPPED, code=1, disrupted=True)
    scene.jobs.start("manual")

    scene.jobs.end("manual", "", code=137, reason="OOMKilled")
    scene.look()

    assert (scene.phase(), scene.said()[1]) == ("Failed", "OutOfMemory")
    assert "`spec.runner.resources.limits.memory`" in scene.said()[2]
    assert scene.said(kind="ResultLost")[0] == "True"


def test_a_pod_somebody_deleted_was_not_cancelled() -> None:
    scene = Scene()
    scene.running()

    scene.jobs.end("manual", STOPPED, code=1)
    scene.look()

    assert (scene.phase(), scene.said()[1]) == ("Failed", "RunFailed")
    assert "asked to end" in scene.said()[2]
    assert scene.cluster.status("syncruns", "manual")["totals"]["added"] == 2


def test_a_pod_that_vanished_with_its_node_object() -> None:
    scene = Scene()
    scene.running()
    scene.cluster.pod_gone("identity", "manual-00001")
    scene.cluster.change(job_at("manual"), {"status": {"failed": 1}})
    scene.jobs.fail("manual", "BackoffLimitExceeded")

    scene.look()

    assert (scene.phase(), scene.said()[1]) == ("Failed", "ResultLost")


def lose_node(scene: Scene, pod: str) -> None:
    scene.cluster.objects[pod_at(pod)]["metadata"]["deletionTimestamp"] = "2026-03-14T15:14:26Z"


def test_a_lost_node_is_named_and_nothing_takes_its_place() -> None:
    scene = Scene()
    pod = scene.running()
    lose_node(scene, pod)
    scene.look(after=minutes(14))
    assert scene.said()[1] == "RunActive"

    scene.look(after=minutes(2))

    assert scene.said()[:2] == ("False", "NodeLost")
    assert "node node-1 does not answer" in scene.said()[2]
    assert "kubectl delete node node-1" in scene.said()[2]
    assert scene.phase() == "Running"
    scene.cluster.start("next")
    assert len(scene.cluster.made_jobs()) == 1

    # the node object is deleted: the Job makes another pod, and the same run goes on
    scene.cluster.pod_gone("identity", pod)
    scene.jobs.start("manual")
    scene.look(after=minutes(1))
    assert scene.said()[:2] == ("Unknown", "RunActive")


def test_a_run_on_a_lost_node_can_be_cancelled_but_the_next_one_waits() -> None:
    scene = Scene()
    pod = scene.running()
    scene.cancel()
    scene.look()
    assert scene.phase() == "Running"
    lose_node(scene, pod)

    scene.look(after=minutes(20))

    assert (scene.phase(), scene.said()[1]) == ("Cancelled", "Cancelled")
    assert scene.said(kind="ResultLost")[0] == "True"
    scene.cluster.start("next")
    assert scene.phase("next") == "Queued"
    assert scene.said("next")[1] == "NodeLost"
    assert [job["metadata"]["name"] for job in scene.cluster.made_jobs()] == ["manual"]
    scene.cluster.pod_gone("identity", pod)
    scene.look("next", after=minutes(1))
    assert scene.phase("next") == "Running"


# --- deadlines -------------------------------------------------------------------------------


def test_the_deadline_of_the_job() -> None:
    scene = Scene()
    scene.running()
    scene.jobs.end("manual", STOPPED, code=1)
    condition = {"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}
    scene.cluster.change(job_at("manual"), {"status": {"conditions": [condition]}})

    scene.look()

    assert (scene.phase(), scene.said()[1]) == ("Failed", "DeadlineExceeded")
    assert "`spec.runner.activeDeadlineSeconds`" in scene.said()[2]
    assert scene.cluster.status("syncruns", "manual")["totals"]["added"] == 2


def test_a_run_that_gets_nowhere_is_ended_gracefully() -> None:
    scene = Scene(runner={"noProgressDeadline": "30m"})
    pod = scene.running()
    scene.jobs.progress(pod, line("Export", 5, total=9))
    scene.look()
    scene.look(after=minutes(29))
    assert scene.said()[1] == "RunActive"

    scene.look(after=minutes(2))

    assert scene.phase() == "Running"  # it comes to its next checkpoint
    status, reason, message = scene.said()
    assert (status, reason) == ("False", "DeadlineExceeded")
    assert "30m (`spec.runner.noProgressDeadline`), at Export 5 of 9" in message
    assert scene.cluster.objects[pod_at(pod)]["metadata"]["deletionTimestamp"]

    terminated = {"name": "run", "state": {"terminated": {"message": STOPPED.to_message()}}}
    scene.cluster.objects[pod_at(pod)]["status"] |= {
        "phase": "Failed",
        "containerStatuses": [terminated],
    }
    scene.look(after=minutes(1))

    assert (scene.phase(), scene.said()[1]) == ("Failed", "DeadlineExceeded")
    assert scene.cluster.status("syncruns", "manual")["totals"]["added"] == 2
    assert "ResultLost" not in scene.cluster.conditions("syncruns", "manual")


def test_a_run_that_gets_on_slowly_or_waits_for_the_quota_is_left_alone() -> None:
    scene = Scene(runner={"noProgressDeadline": "30m"})
    pod = scene.running()
    for done in range(5):
        scene.jobs.progress(pod, line("Export", done))
        scene.look(after=minutes(29))
    scene.cluster.logs[f"identity/{pod}"] = line("Export", 4, paced_seconds=36000)
    scene.look(after=minutes(29))
    scene.look(after=minutes(29))

    assert scene.said()[:2] == ("Unknown", "RunActive")


def test_a_log_that_cannot_be_read_says_nothing_against_a_run() -> None:
    scene = Scene(runner={"noProgressDeadline": "30m"})
    pod = scene.running()

    def unreadable(verb: str, path: str, body: Manifest | None) -> None:
        del path, body
        if verb == "log":
            raise ApiError(500, "kubelet")

    scene.cluster.watchers.append(unreadable)
    scene.look(after=minutes(120))
    assert scene.said()[1] == "RunActive"

    # but where its node is not ready either, waiting longer helps nobody
    scene.cluster.change(
        pod_at(pod), {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}
    )
    scene.look(after=minutes(1))
    assert scene.said()[1] == "DeadlineExceeded"
