"""Runs, their Jobs and their pods on a real API server with the real Job controller."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

import pytest

from entrasync.api.result import RunResult
from entrasync.api.sync_run import Changes, KindChanges
from entrasync.controller.environment import Environment
from entrasync.controller.reconcile import build_reconcilers
from entrasync.controller.resources import Resources
from tests.support import samples
from tests.support.control_plane import ControlPlane, eventually
from tests.support.kube import Manifest, RefusedError
from tests.support.kubelet import GOOD, Kubelet

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

ENVIRONMENT = Environment(
    runner_image="registry.example/entrasync:1",
    pull_policy="IfNotPresent",
    lock_namespace="entrasync",
)
RUN = "manual"
STOPPED = RunResult(
    outcome="Cancelled",
    reason="Cancelled",
    mode="Apply",
    changes=Changes(users=KindChanges(add=2)),
)
EVERYTHING: dict[str, Any] = {
    "storage": {"type": "PersistentVolumeClaim", "size": "1Gi", "accessMode": "ReadWriteOnce"},
    "activeDeadlineSeconds": 3600,
    "noProgressDeadline": "2h30m",
    "resources": {"requests": {"cpu": "100m"}, "limits": {"memory": "1Gi"}},
    "nodeSelector": {"kubernetes.io/os": "linux", "example.org/pool": "sync"},
    "tolerations": [
        {"key": "example.org/pool", "operator": "Equal", "value": "sync", "effect": "NoSchedule"},
        {"key": "spot", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 60},
    ],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [
                    {
                        "matchExpressions": [
                            {"key": "kubernetes.io/arch", "operator": "In", "values": ["amd64"]}
                        ]
                    }
                ]
            },
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 5,
                    "preference": {
                        "matchExpressions": [{"key": "fast", "operator": "Exists"}],
                    },
                }
            ],
        },
        "podAntiAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": [
                {
                    "labelSelector": {"matchLabels": {"app": "noisy"}},
                    "topologyKey": "kubernetes.io/hostname",
                }
            ]
        },
    },
    "priorityClassName": "sync",
    "podLabels": {"team": "identity", "app.kubernetes.io/component": "sync"},
    "podAnnotations": {
        "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
        "example.org/owner": "identity team",
    },
}
_TENANTS = itertools.count(1)


class Place:
    """A namespace with a sync whose parts are good, and an operator that looks when told to."""

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.kube = plane.kube
        self.namespace = namespace
        self.kubelet = Kubelet(plane.kube, namespace=namespace)
        self._tenant = f"3f2504e0-4f89-41d3-9a0d-{next(_TENANTS):012x}"
        gateway = plane.gateway()
        self._reconcilers = build_reconcilers(gateway, Resources(gateway), ENVIRONMENT)

    def apply(self, **runner: Any) -> None:
        cloud = samples.cloud().to_manifest()
        self.kube.apply({key: value for key, value in cloud.items() if key != "status"})
        for each in (
            samples.tenant(tenantId=self._tenant),
            samples.directory(),
            samples.sync(),
        ):
            manifest = each.to_manifest()
            if runner and manifest["kind"] == "DirectorySync":
                manifest["spec"]["runner"] = runner
            status = manifest.pop("status", None)
            manifest["metadata"] = {"name": "contoso", "namespace": self.namespace}
            self.kube.apply(manifest)
            if status is not None:
                kind = manifest["kind"]
                self.kube.patch(kind, "contoso", self.namespace, {"status": status}, "status")

    def start(self, name: str = RUN, **spec: Any) -> None:
        self.kube.create(
            {
                "apiVersion": "entrasync.dev/v1alpha1",
                "kind": "SyncRun",
                "metadata": {"name": name, "namespace": self.namespace},
                "spec": {"directorySyncRef": {"name": "contoso"}} | spec,
            }
        )
        self.look(name)

    def look(self, name: str = RUN, *, minutes: float = 0) -> None:
        now = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)
        self._reconcilers["syncruns"](self.namespace, name, now)

    def run(self, name: str = RUN) -> Manifest:
        found = self.kube.get("SyncRun", name, self.namespace)
        assert found is not None
        return found

    def phase(self, name: str = RUN) -> str:
        return str(self.run(name).get("status", {}).get("phase"))

    def comes_to(self, phase: str) -> bool:
        """Whether the run is in a phase after one more look."""
        self.look()
        return self.phase() == phase

    def said(self, name: str = RUN) -> tuple[str, str]:
        conditions = self.run(name)["status"]["conditions"]
        (ready,) = [each for each in conditions if each["type"] == "Ready"]
        return ready["reason"], ready["message"]

    def job(self, name: str = RUN) -> Manifest | None:
        return self.kube.get("Job.batch/v1", name, self.namespace)

    def pods(self) -> list[Manifest]:
        return self.kube.list("Pod", self.namespace)

    def pod(self) -> Manifest:
        """The one pod of the Job, once the controller has made it."""
        eventually(self.pods, f"the Job controller made no pod: {self.said()}")
        (pod,) = self.pods()
        return pod

    def running(self) -> Manifest:
        """A run whose pod runs on a node."""
        self.start()
        pod = self.pod()
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}/binding"
        target = {"apiVersion": "v1", "kind": "Node", "name": "node-1"}
        binding = {"apiVersion": "v1", "kind": "Binding", "target": target}
        self.kube.call("POST", path, binding | {"metadata": {"name": pod["metadata"]["name"]}})
        self.kubelet.begin(pod)
        return pod

    def gone(self, pod: Manifest) -> None:
        """The kubelet lets a pod go that has ended."""
        path = f"/api/v1/namespaces/{self.namespace}/pods/{pod['metadata']['name']}"
        self.kube.call("DELETE", path, {"gracePeriodSeconds": 0})


@pytest.fixture
def place(control_plane: ControlPlane, namespace: str) -> Place:
    return Place(control_plane, namespace)


# --- what a sync may say of its pods ---------------------------------------------------------


def test_all_of_it_is_taken_and_comes_to_the_pod(place: Place) -> None:
    place.kube.apply(
        {
            "apiVersion": "scheduling.k8s.io/v1",
            "kind": "PriorityClass",
            "metadata": {"name": "sync"},
            "value": 10,
        }
    )
    place.apply(**EVERYTHING)
    place.start()

    pod = place.pod()

    assert place.said()[0] == "RunActive"
    spec, metadata = pod["spec"], pod["metadata"]
    assert spec["nodeSelector"] == EVERYTHING["nodeSelector"]
    assert spec["affinity"] == EVERYTHING["affinity"]
    assert spec["priorityClassName"] == "sync"
    assert all(each in spec["tolerations"] for each in EVERYTHING["tolerations"])
    assert spec["terminationGracePeriodSeconds"] == 300
    assert EVERYTHING["podLabels"].items() <= metadata["labels"].items()
    assert metadata["labels"]["app.kubernetes.io/managed-by"] == "entrasync"
    assert EVERYTHING["podAnnotations"].items() <= metadata["annotations"].items()


@pytest.mark.parametrize(
    ("runner", "message"),
    [
        ({"podLabels": {"app.kubernetes.io/managed-by": "me"}}, "runs are found by them"),
        ({"podLabels": {"entrasync.dev/sync": "other"}}, "runs are found by them"),
        ({"podLabels": {"batch.kubernetes.io/job-name": "x"}}, "runs are found by them"),
        ({"podLabels": {"job-name": "x"}}, "runs are found by them"),
        ({"podLabels": {"a": "b c"}}, "podLabels"),
        ({"podLabels": {f"l{n}": "x" for n in range(17)}}, "podLabels"),
        (
            {
                "podAnnotations": {
                    "container.apparmor.security.beta.kubernetes.io/run": "unconfined"
                }
            },
            "`podAnnotations` must not be of",
        ),
        ({"podAnnotations": {"k8s.v1.cni.cncf.io/x": "y"}}, None),
        ({"podAnnotations": {"entrasync.dev/run": "other"}}, "`podAnnotations` must not be of"),
        ({"priorityClassName": "system-node-critical"}, "`priorityClassName` must not be"),
        ({"tolerations": [{"operator": "Exists"}]}, "tolerations[0].key"),
        (
            {"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]},
            "`value` may not be specified when `operator` is Exists",
        ),
        ({"tolerations": [{"key": "a", "tolerationSeconds": 5}]}, "`effect` must be NoExecute"),
        ({"storage": {"claimName": "mine", "size": "1Gi"}}, "may not be specified"),
        ({"storage": {"claimName": "mine", "type": "Ephemeral"}}, "may not be specified"),
        ({"noProgressDeadline": "soon"}, "noProgressDeadline"),
        (
            {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}}},
            None,
        ),
    ],
)
def test_what_a_tenant_could_abuse_is_refused(
    place: Place, runner: dict[str, Any], message: str | None
) -> None:
    if message is None:
        place.apply(**runner)
        return
    with pytest.raises(RefusedError) as refused:
        place.apply(**runner)
    assert message in refused.value.message


@pytest.mark.parametrize(
    "runner",
    [
        {"image": "evil"},
        {"serviceAccountName": "admin"},
        {"hostPath": "/"},
        {"tolerations": [{"key": "a", "image": "evil"}]},
        {"affinity": {"podAffinity": {"namespaces": ["kube-system"]}}},
    ],
)
def test_what_is_not_in_the_schema_does_not_come_through(
    place: Place, runner: dict[str, Any]
) -> None:
    manifest = samples.sync(runner={}).to_manifest()
    manifest["metadata"] = {"name": "contoso", "namespace": place.namespace}
    manifest["spec"]["runner"] = runner
    place.kube.create(manifest)

    found = place.kube.get("DirectorySync", "contoso", place.namespace)
    assert found is not None
    text = str(found["spec"])
    assert not any(word in text for word in ("evil", "admin", "hostPath", "kube-system"))


def test_the_pod_fits_the_level_restricted(place: Place) -> None:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    place.kube.patch("Namespace", place.namespace, None, {"metadata": {"labels": labels}})
    place.apply()
    place.start()

    assert place.pod()["status"]["phase"] == "Pending"


# --- what does not start ---------------------------------------------------------------------


def quota(place: Place, **hard: str) -> None:
    place.kube.create(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "few", "namespace": place.namespace},
            "spec": {"hard": hard},
        }
    )

    def counted() -> object:
        found = place.kube.get("ResourceQuota", "few", place.namespace) or {}
        return found.get("status", {}).get("hard")

    eventually(counted, "the quota is not counted")


@pytest.mark.parametrize(
    "resource", ["count/jobs.batch", "count/configmaps", "persistentvolumeclaims"]
)
def test_a_quota_on_what_a_run_is_made_of(place: Place, resource: str) -> None:
    quota(place, **{resource: "0"})
    place.apply()
    place.start()

    reason, message = place.said()
    assert reason == "JobCannotStart"
    assert "exceeded quota: few" in message
    assert "ResourceQuota" in message
    assert place.phase() == "Queued"

    place.kube.delete("ResourceQuota", "few", place.namespace)
    eventually(lambda: place.comes_to("Running"), "it does not start")


@pytest.mark.parametrize(
    ("make", "said", "remedy"),
    [
        (lambda place: quota(place, pods="0"), "exceeded quota: few", "ResourceQuota"),
        (
            lambda place: quota(place, **{"limits.cpu": "1"}),
            "must specify limits.cpu",
            "`spec.runner.resources.requests` and `limits`",
        ),
        (
            lambda place: place.kube.create(
                {
                    "apiVersion": "v1",
                    "kind": "LimitRange",
                    "metadata": {"name": "small", "namespace": place.namespace},
                    "spec": {"limits": [{"type": "Container", "min": {"memory": "4Gi"}}]},
                }
            ),
            "minimum memory usage per Container",
            "LimitRange",
        ),
        (
            lambda place: place.apply(priorityClassName="gold"),
            "no PriorityClass with name gold",
            "`spec.runner.priorityClassName`",
        ),
    ],
    ids=["pods", "must-specify", "limit-range", "priority-class"],
)
def test_a_pod_that_is_refused_is_told_by_the_events_of_the_job(
    place: Place, make: Any, said: str, remedy: str
) -> None:
    place.apply()
    make(place)
    place.start()

    def told() -> bool:
        place.look(minutes=2)
        return place.said()[0] == "JobCannotStart"

    eventually(told, "nothing was told")
    assert said in place.said()[1]
    assert remedy in place.said()[1]


def test_labels_that_are_none_fail_the_run_at_once(place: Place) -> None:
    place.apply(podLabels={"not a key": "x"})
    place.start()

    assert place.phase() == "Failed"
    assert place.said()[0] == "JobCannotStart"


def test_a_namespace_that_ends_is_quiet(place: Place) -> None:
    place.apply()
    # what holds the namespace: nothing can be made in it, and it does not go
    place.kube.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "held",
                "namespace": place.namespace,
                "finalizers": ["example.org/held"],
            },
        }
    )
    place.kube.create(
        {
            "apiVersion": "entrasync.dev/v1alpha1",
            "kind": "SyncRun",
            "metadata": {
                "name": RUN,
                "namespace": place.namespace,
                "finalizers": ["example.org/held"],
            },
            "spec": {"directorySyncRef": {"name": "contoso"}},
        }
    )
    place.kube.delete("Namespace", place.namespace)
    try:
        place.look()
        assert place.job() is None
        assert "conditions" not in place.run().get("status", {})
    finally:
        nothing: Manifest = {"metadata": {"finalizers": None}}
        place.kube.patch("ConfigMap", "held", place.namespace, nothing)
        place.kube.patch("SyncRun", RUN, place.namespace, nothing)


# --- pods that are taken away ----------------------------------------------------------------


def test_an_evicted_pod_is_replaced_once_it_has_ended_and_the_run_goes_on(place: Place) -> None:
    place.apply()
    pod = place.running()
    name = pod["metadata"]["name"]
    path = f"/api/v1/namespaces/{place.namespace}/pods/{name}/eviction"
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    place.kube.call("POST", path, eviction)

    job = place.job()
    assert job is not None
    # it may still write: nothing takes its place
    assert [each["metadata"]["name"] for each in place.pods()] == [name]
    place.kubelet.finish(pod, STOPPED.to_message(), 1)
    place.gone(pod)

    def replaced() -> bool:
        return any(each["metadata"]["name"] != name for each in place.pods())

    eventually(replaced, "the Job makes no other pod")
    place.look()
    assert place.phase() == "Running"
    (other,) = [each for each in place.pods() if each["metadata"]["name"] != name]
    place.kubelet.finish(other, GOOD.to_message())
    eventually(lambda: place.comes_to("Succeeded"), "the run did not end")


def test_a_cancelled_run_is_asked_to_end_and_its_result_is_read(place: Place) -> None:
    place.apply()
    pod = place.running()
    place.kube.patch("SyncRun", RUN, place.namespace, {"spec": {"cancel": True}})

    place.look()
    place.look()
    assert place.phase() == "Running"
    (dying,) = place.pods()
    assert dying["metadata"]["deletionTimestamp"]
    assert dying["metadata"]["deletionGracePeriodSeconds"] == 300
    place.start("next")
    assert place.phase("next") == "Queued"

    place.kubelet.finish(pod, STOPPED.to_message(), 1)
    place.look()

    assert place.phase() == "Cancelled"
    assert place.run()["status"]["totals"]["added"] == 2
    place.gone(pod)
    eventually(lambda: not place.pods() and place.job() is None, "something of it is left")
    place.look("next")
    assert place.phase("next") == "Running"


def test_a_job_that_somebody_deletes_fails_the_run_once_its_pod_has_ended(place: Place) -> None:
    place.apply()
    pod = place.running()
    place.kube.delete("Job.batch/v1", RUN, place.namespace, policy="Background")
    eventually(
        lambda: any(p["metadata"].get("deletionTimestamp") for p in place.pods()),
        "its pod is not asked to end",
    )
    place.look()
    assert place.phase() == "Running"

    place.gone(pod)
    eventually(lambda: not place.pods(), "its pod does not go")
    place.look()

    assert (place.phase(), place.said()[0]) == ("Failed", "ResultLost")


def test_a_run_that_is_deleted_takes_everything_along(place: Place) -> None:
    place.apply()
    pod = place.running()
    place.kube.delete("SyncRun", RUN, place.namespace)
    eventually(
        lambda: any(p["metadata"].get("deletionTimestamp") for p in place.pods()),
        "its pod is not asked to end",
    )
    place.start("next")
    assert place.phase("next") == "Queued"

    place.gone(pod)
    eventually(lambda: place.job() is None and not place.pods(), "something of it is left")
    place.look("next")

    assert place.phase("next") == "Running"


def test_a_claim_that_may_not_grow_is_told_of(place: Place) -> None:
    place.apply()
    place.running()
    place.kubelet.finish(place.pod(), GOOD.to_message())
    eventually(lambda: place.comes_to("Succeeded"), "the run did not end")
    place.apply(storage={"size": "20Gi"})

    place.start("next")

    assert place.phase("next") == "Running"
    assert "claim entrasync-contoso cannot grow to 20Gi" in place.said("next")[1]
