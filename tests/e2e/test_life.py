"""What happens to pods, Jobs, namespaces and operators while runs are under way."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dev.demo import setup
from dev.demo.setup import OPERATOR_NAMESPACE
from entrasync.emulator.certificates import make_application_pair
from tests.support.stage import CLIENT_ID, NAME, Manifest, Place, Stage

pytestmark = pytest.mark.cluster

COMPANY = {"users": 48, "groups": 12, "contacts": 6, "links": 101}
EXPORT = "ProvisionAzureADSyncObjects2"
SLOW = {"delaySeconds": 8, "operations": [EXPORT]}


def test_a_pod_that_is_evicted_in_mid_export_goes_on_as_the_same_run(place: Place) -> None:
    with _in_mid_export(place, "by-hand") as pod:
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": place.name},
        }
        path = f"/api/v1/namespaces/{place.name}/pods/{pod}/eviction"
        place.kubectl.run("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))

    assert place.until_ended("by-hand")["phase"] == "Succeeded"
    assert _pods(place, "by-hand") - {pod}
    assert place.status("dsync")["objects"] == COMPANY
    with place.cloud() as cloud:
        assert len(cloud.objects("User")) == COMPANY["users"]


def test_a_job_that_a_person_deletes_is_no_loss(place: Place) -> None:
    with _in_mid_export(place, "by-hand"):
        place.delete("job", "by-hand")
        ended = place.until_ended("by-hand")
        assert (ended["phase"], "Job" in _message(ended)) == ("Failed", True)

    place.apply(place.run("next"))
    assert place.until_ended("next")["phase"] == "Succeeded"
    assert place.status("dsync")["objects"] == COMPANY


def test_a_namespace_that_is_deleted_in_mid_run_goes_and_the_tenant_stays(place: Place) -> None:
    with _in_mid_export(place, "by-hand"):
        place.kubectl.run("delete", "namespace", place.name, "--timeout=100s")

        with place.cloud() as cloud:
            assert cloud.objects("User")
    place.until("the tenant to be free", lambda: not _leases_of(place))


CANNOT_START: dict[str, tuple[Manifest, str]] = {
    "claim": ({"storage": {"storageClassName": "none"}}, "StorageClass"),
    "node": ({"storage": {"size": "1Gi"}, "nodeSelector": {"no": "such"}}, "nodeSelector"),
    "priority": ({"storage": {"size": "1Gi"}, "priorityClassName": "none"}, "priorityClassName"),
}
"""What a sync wants of its pods -> what must be named to whoever mends it."""


def test_jobs_that_cannot_start_say_why_and_what_to_do(place: Place) -> None:
    *parts, _ = place.whole()
    target = {"entraTenantRef": {"name": NAME}}
    syncs = [
        place.sync(name, mode="Preview", target=target, runner=runner)
        for name, (runner, _) in CANNOT_START.items()
    ]
    for sync in syncs:
        sync["spec"]["sources"][0]["activeDirectoryRef"] = {"name": NAME}
    place.apply(*parts, *syncs)

    for name, (_, words) in CANNOT_START.items():
        assert words in _until_stuck(place, name)


def test_a_quota_that_leaves_no_room_is_told_apart(place: Place) -> None:
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": place.name},
        "spec": {"hard": {"pods": "0"}},
    }
    place.apply(quota, *place.whole(suspend=True))

    told = place.until(
        "the check to say that it cannot start",
        lambda: [
            run
            for run in place.runs(trigger="Check")
            if "exceeded quota" in _message(run.get("status", {}))
        ],
        seconds=400,
        shown="etenant/contoso",
    )

    assert told
    place.delete("resourcequota", "none")
    place.until_ready("etenant", seconds=300)


def test_a_second_replica_takes_over(stage: Stage, place: Place) -> None:
    with _replicas(stage, 2):
        place.apply(*place.whole())
        place.until_synchronized()
        leader = _leader(place)
        assert leader in _operators(place)

        place.kubectl.run(
            "delete", "pod", leader, "-n", OPERATOR_NAMESPACE, "--grace-period=0", "--force"
        )

        place.until("another to lead", lambda: _leader(place) not in {"", leader}, seconds=60)
        before = place.status("dsync")["lastRun"]["name"]
        place.ask("dsync")
        place.until("a run", lambda: place.status("dsync")["lastRun"]["name"] != before)


def test_credentials_are_rotated(place: Place) -> None:
    place.apply(*place.whole(suspend=True))
    place.until_ready("etenant")

    place.apply(
        place.secret("contoso-reader", username="svc-entrasync@contoso.test", password="no")
    )
    place.ask("ad")
    told = place.until_ready("ad", status="False", reason="BindRejected")
    assert "spec.bindSecretRef" in told["message"]

    place.apply(place.whole()[1])
    place.ask("ad")
    place.until_ready("ad")

    another = make_application_pair(CLIENT_ID, dt.datetime.now(dt.UTC))
    place.apply(place.secret("contoso-app", tls__crt=another.certificate, tls__key=another.key))
    place.ask("etenant")
    told = place.until_ready("etenant", status="False", reason="CredentialsRejected")
    assert "certificateSecretRef" in told["message"]

    place.apply(place.application_secret("contoso-app"))
    place.ask("etenant")
    place.until_ready("etenant")
    place.ask("dsync")
    place.until_synchronized()


def test_metrics_tell_how_the_sync_is(place: Place) -> None:
    place.apply(*place.whole())
    place.until_synchronized()

    (pod,) = _operators(place)
    path = f"/api/v1/namespaces/{OPERATOR_NAMESPACE}/pods/{pod}:8081/proxy/metrics"
    told = place.kubectl.run("get", "--raw", path)

    own = [line for line in told.splitlines() if f'namespace="{place.name}"' in line]
    assert any(line.startswith("entrasync_sync_last_success_timestamp_seconds") for line in own)
    assert "svc-entrasync" not in told
    place.delete("dsync", "contoso")
    place.until(
        "its metrics to go",
        lambda: (
            f'namespace="{place.name}",sync="contoso"'
            not in place.kubectl.run("get", "--raw", path)
        ),
    )


@contextmanager
def _in_mid_export(place: Place, run: str) -> Iterator[str]:
    """A run by hand that has sent its first batch and waits for the answer; gives its pod."""
    place.apply(*place.whole(suspend=True))
    place.until_ready("etenant")
    place.until_ready("ad")
    with place.cloud() as cloud:
        cloud.set_faults(**SLOW)
        place.apply(place.run(run))
        place.until(
            "the export to begin",
            lambda: any(each["operation"] == EXPORT for each in cloud.requests()),
            shown=f"srun/{run}",
        )
        (pod,) = _pods(place, run)
        yield pod
        cloud.set_faults()


@contextmanager
def _replicas(stage: Stage, count: int) -> Iterator[None]:
    """The operator with so many replicas."""
    setup.install_operator(stage.kubectl, f"replicas={count}")
    try:
        yield
    finally:
        setup.install_operator(stage.kubectl)


def _pods(place: Place, run: str) -> set[str]:
    selector = f"batch.kubernetes.io/job-name={run}"
    found = place.kubectl.get("pods", "-n", place.name, "-l", selector)["items"]
    return {pod["metadata"]["name"] for pod in found}


def _operators(place: Place) -> list[str]:
    selector = "app.kubernetes.io/name=entrasync"
    found = place.kubectl.get("pods", "-n", OPERATOR_NAMESPACE, "-l", selector)["items"]
    return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]


def _leader(place: Place) -> str:
    """Name of the pod that holds the Lease of leadership."""
    leases: list[dict[str, Any]] = place.kubectl.get("leases", "-n", OPERATOR_NAMESPACE)["items"]
    holders = [lease["spec"].get("holderIdentity") or "" for lease in leases]
    found = next((holder for holder in holders if holder.startswith("entrasync-")), "")
    # what follows tells containers that started one after the other in one pod apart
    return found.partition("_")[0]


def _leases_of(place: Place) -> list[str]:
    leases = place.kubectl.get("leases", "-n", OPERATOR_NAMESPACE)["items"]
    holders = [lease["spec"].get("holderIdentity") or "" for lease in leases]
    return [holder for holder in holders if holder.startswith(f"{place.name}/")]


def _until_stuck(place: Place, sync: str) -> str:
    """Waits until the run of a sync says that it cannot start; gives what it says."""
    told: str = place.until(
        f"dsync/{sync} to say that its run cannot start",
        lambda: _stuck(place, sync),
        seconds=400,
        shown=f"dsync/{sync}",
    )
    return told


def _stuck(place: Place, sync: str) -> str:
    """What the run of a sync that cannot start says; nothing while none does."""
    for run in place.runs(sync=sync):
        ready = place.condition("srun", run["metadata"]["name"])
        if ready.get("reason") == "JobCannotStart":
            return str(ready["message"])
    return ""


def _message(status: Manifest) -> str:
    ready = [c for c in status.get("conditions", []) if c["type"] == "Ready"]
    return str(ready[0]["message"]) if ready else ""
