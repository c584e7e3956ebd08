"""The life of a run: its turn, its Job, its end, and all that may come between."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest

from entrasync.api.result import RunResult
from entrasync.api.sync_run import Changes, KindChanges
from entrasync.controller.gateway import ApiError, Manifest
from tests.support import samples
from tests.support.memory_cluster import Cluster, job_at, pod_at, resource_at
from tests.support.memory_jobs import Jobs
from tests.support.samples import NOW

DONE = RunResult(
    outcome="Succeeded",
    reason="Synchronized",
    mode="Apply",
    changes=Changes(users=KindChanges(add=3)),
)
STOPPED = RunResult(
    outcome="Cancelled",
    reason="Cancelled",
    message="somebody asked the run to end",
    mode="Apply",
    changes=Changes(users=KindChanges(add=2)),
)


def minutes(count: float) -> dt.timedelta:
    return dt.timedelta(minutes=count)


def line(stage: str, done: int, **more: Any) -> str:
    members = {"event": "progress", "timestamp": NOW.isoformat(), "stage": stage, "done": done}
    return json.dumps(members | more)


class Scene:
    """A sync whose parts are good, and the controllers that make pods of its Jobs."""

    def __init__(self, **spec: Any) -> None:
        self.cluster = Cluster(
            samples.cloud(), samples.tenant(), samples.directory(), samples.sync(**spec)
        )
        self.jobs = Jobs(self.cluster)

    def look(self, run: str = "manual", after: dt.timedelta = dt.timedelta()) -> None:
        """The operator looks at a run once more, some time later, as often as it wants to."""
        self.cluster.now += after
        for _ in range(5):
            due = self.cluster.reconcile("syncruns", run)
            if due is None or due > self.cluster.now + dt.timedelta(seconds=1):
                return

    def running(self, run: str = "manual", **spec: Any) -> str:
        """A run whose pod is at work; returns the pod's name."""
        self.cluster.start(run, **spec)
        return self.jobs.start(run)

    def cancel(self, run: str = "manual") -> None:
        self.cluster.change(resource_at("syncruns", run), {"spec": {"cancel": True}})

    def phase(self, run: str = "manual") -> str:
        return str(self.cluster.status("syncruns", run)["phase"])

    def said(self, run: str = "manual", kind: str = "Ready") -> tuple[str, str, str]:
        found = self.cluster.conditions("syncruns", run)[kind]
        return found["status"], found["reason"], found["message"]


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


# --- what does not start ---------------------------------------------------------------------


def failed_create(message: str) -> Manifest:
    return {"reason": "FailedCreate", "message": f"Error creating: {message}"}


REFUSED_PODS = [
    (
        'pods "m-1" is forbidden: exceeded quota: small, requested: limits.memory=1Gi',
        "`spec.runner.resources`",
    ),
    (
        'pods "m-1" is forbidden: failed quota: small: must specify limits.cpu for: run',
        "`spec.runner.resources.requests` and `limits`",
    ),
    (
        'pods "m-1" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi',
        "LimitRange",
    ),
    (
        'pods "m-1" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true',
        "`restricted`",
    ),
    (
        (
            'pods "m-1" is forbidden: error looking up service account identity/contoso-sync:'
            ' serviceaccount "contoso-sync" not found'
        ),
        "create the ServiceAccount",
    ),
    (
        'pods "m-1" is forbidden: no PriorityClass with name gold was found',
        "`spec.runner.priorityClassName`",
    ),
    (
        'admission webhook "pods.example" denied the request: no',
        "admission webhook",
    ),
]


@pytest.mark.parametrize(("message", "remedy"), REFUSED_PODS)
def test_a_pod_that_is_not_even_made(message: str, remedy: str) -> None:
    scene = Scene()
    scene.cluster.start()
    job = scene.cluster.made_jobs()[0]
    scene.cluster.put(
        "/api/v1/namespaces/identity/events/e1",
        failed_create(message) | {"involvedObject": {"uid": job["metadata"]["uid"]}},
    )

    scene.look(after=minutes(1))

    status, reason, told = scene.said()
    assert (status, reason) == ("False", "JobCannotStart")
    assert message in told
    assert remedy in told
    assert scene.phase() == "Running"


def waiting(reason: str, message: str = "") -> Manifest:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"phase": "Pending", "containerStatuses": [{"name": "run", "state": state}]}


def unscheduled(message: str) -> Manifest:
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
    }
    return {"phase": "Pending", "conditions": [condition]}


STUCK_PODS = [
    (waiting("ErrImagePull", "not found"), "`image.repository`"),
    (waiting("ImagePullBackOff", "Back-off pulling image"), "pull Secret"),
    (waiting("InvalidImageName", "couldn't parse"), "`image.repository`"),
    (waiting("CreateContainerConfigError", 'configmap "x" not found'), "ConfigMap"),
    (waiting("CreateContainerError", "context deadline"), "runtime"),
    (unscheduled("0/3 nodes are available: 3 Insufficient memory."), "`spec.runner.resources"),
    (
        unscheduled("0/3 nodes are available: 3 node(s) had untolerated taint {a: b}."),
        "`spec.runner.tolerations`",
    ),
    (
        unscheduled("0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector"),
        "`spec.runner.nodeSelector`",
    ),
    (
        unscheduled("0/3 nodes: pod has unbound immediate PersistentVolumeClaims."),
        "kubectl describe pvc",
    ),
    (
        unscheduled('persistentvolumeclaim "entrasync-contoso" not found'),
        "`spec.runner.storage`",
    ),
    (
        unscheduled(
            "0/3 nodes: node has pod using PersistentVolumeClaim with the same name and"
            " ReadWriteOncePod access mode."
        ),
        "another pod holds the claim",
    ),
    (unscheduled("1 node(s) had volume node affinity conflict"), "the volume with the state lies"),
]


@pytest.mark.parametrize(("status", "remedy"), STUCK_PODS)
def test_a_pod_that_does_not_start(status: Manifest, remedy: str) -> None:
    scene = Scene()
    scene.cluster.start()
    scene.jobs.make_pods()
    pod = scene.jobs.pods("manual")[0]["metadata"]["name"]
    scene.cluster.change(pod_at(pod), {"status": status})

    scene.look(after=minutes(0.5))
    assert scene.said()[1] == "RunActive"
    scene.look(after=minutes(3))

    assert scene.said()[:2] == ("False", "JobCannotStart")
    assert remedy in scene.said()[2]
    assert scene.said(kind="Reconciling")[1] == "JobCannotStart"


@pytest.mark.parametrize(
    ("reason", "message", "remedy"),
    [
        ("FailedMount", 'MountVolume.SetUp failed: configmap "x" not found', "ConfigMap is gone"),
        ("FailedAttachVolume", "Multi-Attach error for volume pvc-1", "delete its node object"),
        ("FailedCreatePodSandBox", "failed to set up sandbox: cni", "CNI"),
    ],
)
def test_a_pod_that_waits_for_a_volume_or_the_network(
    reason: str, message: str, remedy: str
) -> None:
    scene = Scene()
    scene.cluster.start()
    scene.jobs.make_pods()
    pod = scene.jobs.pods("manual")[0]
    scene.cluster.change(pod_at(pod["metadata"]["name"]), {"status": waiting("ContainerCreating")})
    event = {"reason": reason, "message": message, "involvedObject": pod["metadata"]}
    scene.cluster.put("/api/v1/namespaces/identity/events/e1", event)

    scene.look(after=minutes(4))

    assert scene.said()[1] == "JobCannotStart"
    assert remedy in scene.said()[2]


@pytest.mark.parametrize(
    ("status", "event", "remedy"),
    [
        ({"phase": "Lost"}, None, "has lost its volume"),
        (
            {"phase": "Pending"},
            ("ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found'),
            "`spec.runner.storage.storageClassName`",
        ),
        (
            {"phase": "Pending"},
            ("FailedBinding", "no persistent volumes available and no storage class is set"),
            "default storage class",
        ),
        (
            {"phase": "Pending"},
            ("ProvisioningFailed", "ReadWriteOncePod is not supported by this driver"),
            "`spec.runner.storage.accessMode`",
        ),
    ],
)
def test_a_claim_without_a_volume(
    status: Manifest, event: tuple[str, str] | None, remedy: str
) -> None:
    scene = Scene()
    scene.cluster.start()
    scene.jobs.make_pods()
    pod = scene.jobs.pods("manual")[0]["metadata"]["name"]
    scene.cluster.change(
        pod_at(pod), {"status": unscheduled("unbound immediate PersistentVolumeClaims")}
    )
    claim = "/api/v1/namespaces/identity/persistentvolumeclaims/entrasync-contoso"
    scene.cluster.change(claim, {"status": status})
    if event is not None:
        uid = scene.cluster.objects[claim]["metadata"]["uid"]
        scene.cluster.put(
            "/api/v1/namespaces/identity/events/e1",
            {"reason": event[0], "message": event[1], "involvedObject": {"uid": uid}},
        )

    scene.look(after=minutes(4))

    assert scene.said()[1] == "JobCannotStart"
    assert "claim entrasync-contoso" in scene.said()[2]
    assert remedy in scene.said()[2]


def test_a_sidecar_that_does_not_start_is_named() -> None:
    scene = Scene()
    scene.cluster.start()
    scene.jobs.make_pods()
    pod = scene.jobs.pods("manual")[0]["metadata"]["name"]
    init = {"name": "proxy", "state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}
    status = waiting("PodInitializing") | {"initContainerStatuses": [init]}
    scene.cluster.change(pod_at(pod), {"status": status})

    scene.look(after=minutes(4))

    assert "container proxy, which is not of entrasync" in scene.said()[2]


def test_a_sidecar_that_does_not_end_keeps_no_run_alive() -> None:
    scene = Scene()
    pod = scene.running()
    ended = {"message": DONE.to_message(), "exitCode": 0, "finishedAt": NOW.isoformat()}
    statuses = [
        {"name": "run", "state": {"terminated": ended}},
        {"name": "proxy", "state": {"running": {}}},
    ]
    scene.cluster.change(pod_at(pod), {"status": {"containerStatuses": statuses}})
    scene.look(after=minutes(0.5))
    assert scene.phase() == "Running"

    scene.look(after=minutes(1))

    assert scene.phase() == "Succeeded"
    assert scene.cluster.objects[pod_at(pod)]["metadata"]["deletionTimestamp"]
    scene.cluster.start("next")
    assert scene.phase("next") == "Queued"
    scene.cluster.pod_gone("identity", pod)
    scene.look("next")
    assert scene.phase("next") == "Running"


def test_what_starts_after_all_is_well_again() -> None:
    scene = Scene()
    scene.cluster.start()
    scene.jobs.make_pods()
    pod = scene.jobs.pods("manual")[0]["metadata"]["name"]
    scene.cluster.change(pod_at(pod), {"status": waiting("ImagePullBackOff")})
    scene.look(after=minutes(4))
    assert scene.said()[1] == "JobCannotStart"

    scene.jobs.start("manual")
    scene.look(after=minutes(1))

    assert scene.said()[:2] == ("Unknown", "RunActive")


def test_what_never_starts_fails_with_its_cause_and_lets_others_run() -> None:
    scene = Scene(runner={"noProgressDeadline": "10m"})
    scene.cluster.start()
    scene.jobs.make_pods()
    pod = scene.jobs.pods("manual")[0]["metadata"]["name"]
    scene.cluster.change(pod_at(pod), {"status": waiting("ImagePullBackOff", "no such image")})
    scene.look(after=minutes(4))

    scene.look(after=minutes(7))

    assert scene.phase() == "Failed"
    status, reason, message = scene.said()
    assert (status, reason) == ("False", "JobCannotStart")
    assert "did not start within 10m" in message
    assert "no such image" in message
    assert scene.cluster.made_jobs() == []
    assert "ResultLost" not in scene.cluster.conditions("syncruns", "manual")
    scene.cluster.start("next")
    assert [job["metadata"]["name"] for job in scene.cluster.made_jobs()] == ["next"]


def test_events_are_read_only_of_what_does_not_start() -> None:
    scene = Scene()
    scene.cluster.start()
    scene.look(after=minutes(0.5))
    scene.jobs.start("manual")
    scene.look(after=minutes(1))
    scene.jobs.end("manual", DONE)
    scene.look(after=minutes(1))

    assert ("list", "/api/v1/namespaces/identity/events") not in scene.cluster.calls


# --- what the API server refuses -------------------------------------------------------------


def refusing(kind: str, status: int, message: str, causes: tuple[str, ...] = ()) -> Any:
    def watch(verb: str, path: str, body: Manifest | None) -> None:
        del body
        if verb == "create" and path.endswith(f"/{kind}"):
            raise ApiError(status, message, reason="Forbidden", causes=causes)

    return watch


@pytest.mark.parametrize("kind", ["jobs", "configmaps", "persistentvolumeclaims"])
def test_a_quota_on_objects_is_told_and_waited_for(kind: str) -> None:
    scene = Scene()
    message = f'{kind} "manual" is forbidden: exceeded quota: few, used: 5, limited: 5'
    scene.cluster.watchers.append(refusing(kind, 403, message))
    scene.cluster.start()

    assert scene.phase() == "Queued"
    assert scene.said()[:2] == ("False", "JobCannotStart")
    assert message in scene.said()[2]
    assert "ResourceQuota" in scene.said()[2]

    scene.cluster.watchers.clear()
    scene.look(after=minutes(1))
    assert scene.phase() == "Running"


def test_a_quota_that_stays_used_up_does_not_hold_the_others_for_ever() -> None:
    scene = Scene()
    scene.cluster.watchers.append(refusing("jobs", 403, "exceeded quota: few"))
    scene.cluster.start()
    scene.look(after=minutes(59))
    assert scene.phase() == "Queued"

    scene.look(after=minutes(2))

    assert scene.phase() == "Failed"
    assert "exceeded quota" in scene.said()[2]


def test_what_is_no_valid_pod_fails_at_once() -> None:
    scene = Scene()
    message = 'Job.batch "manual" is invalid: spec.template.metadata.labels: Invalid value: "a b"'
    scene.cluster.watchers.append(refusing("jobs", 422, message))

    scene.cluster.start()

    assert scene.phase() == "Failed"
    assert "`spec.runner`" in scene.said()[2]


def test_a_namespace_that_ends_is_waited_for_quietly() -> None:
    scene = Scene()
    scene.cluster.add(samples.run("manual"))
    scene.cluster.terminating.add("identity")

    due = scene.cluster.reconcile("syncruns", "manual")

    assert due == NOW + minutes(1)
    assert scene.cluster.status("syncruns", "manual") == {}
    assert scene.cluster.events() == []


@pytest.mark.parametrize("plural", ["directorysyncs", "entratenants"])
def test_a_quota_on_syncruns_is_told_by_who_wants_one(plural: str) -> None:
    cluster = Cluster(
        samples.cloud(),
        samples.tenant(ready=plural == "directorysyncs"),
        samples.directory(),
        samples.sync(),
    )
    cluster.watchers.append(refusing("syncruns", 403, "exceeded quota: few"))

    cluster.reconcile(plural, "contoso")

    ready = cluster.conditions(plural, "contoso")["Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "JobCannotStart")
    assert "ResourceQuota" in ready["message"]
    cluster.watchers.clear()
    cluster.reconcile(plural, "contoso", NOW + minutes(1))
    assert len(cluster.of_kind("SyncRun")) == 1


@pytest.mark.parametrize("plural", ["directorysyncs", "entratenants"])
def test_a_namespace_that_ends_is_nobodys_fault(plural: str) -> None:
    cluster = Cluster(
        samples.cloud(),
        samples.tenant(ready=plural == "directorysyncs"),
        samples.directory(),
        samples.sync(),
    )
    cluster.terminating.add("identity")

    with pytest.raises(ApiError) as refused:
        cluster.reconcile(plural, "contoso")

    # the worker waits quietly
    assert "NamespaceTerminating" in refused.value.causes
    assert cluster.status(plural, "contoso").get("conditions") in (None, [samples.READY])


def test_other_refusals_are_the_workers_to_try_again() -> None:
    scene = Scene()
    scene.cluster.watchers.append(refusing("jobs", 500, "etcd"))

    with pytest.raises(ApiError):
        scene.cluster.start()


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
