"""What keeps a run from starting: its pod, its claim, or the API server."""

from __future__ import annotations

from typing import Any

import pytest

from entrasync.controller.gateway import ApiError, Manifest
from tests.support import samples
from tests.support.memory_cluster import Cluster, pod_at
from tests.support.run_scene import DONE, Scene, minutes
from tests.support.samples import NOW

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
