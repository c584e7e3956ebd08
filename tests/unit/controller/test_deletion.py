"""A sync that is deleted together with what it owns, told as stories of a cluster."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.common import API_VERSION
from entrasync.api.directory_sync import DELETION_FINALIZER, BlockedPlan, OwnedObjects
from entrasync.api.result import RunResult
from entrasync.controller.decisions import ObservedSync
from entrasync.controller.deletion import (
    PATIENCE,
    Drop,
    ObservedDeletion,
    StartLastRun,
    decide_deletion,
)
from entrasync.controller.durations import format_time
from entrasync.controller.gateway import ApiError, Manifest
from entrasync.controller.leases import Held, Holding
from tests.support import samples
from tests.support.memory_cluster import NAMESPACE, Cluster, job_at, resource_at
from tests.support.samples import NOW

SYNC = resource_at("directorysyncs", "contoso")
CLAIM = f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims/entrasync-contoso"
LAST = "contoso-last-1"
OWNED = OwnedObjects(users=812, groups=64, contacts=12)
DIGEST = f"sha256:{'9' * 64}"


class Story:
    """A sync with `deletionPolicy: Delete` that has run once."""

    def __init__(self, *, ran: bool = True, **spec: Any) -> None:
        status: dict[str, Any] | None = None
        if ran:
            status = samples.last_run(NOW - dt.timedelta(minutes=10))
            status["objects"] = OWNED.model_dump(by_alias=True)
        sync = samples.sync(status, **({"deletionPolicy": "Delete"} | spec))
        self.cluster = Cluster(samples.cloud(), samples.tenant(), samples.directory(), sync)
        self.cluster.put(
            f"/api/v1/namespaces/{NAMESPACE}",
            {"kind": "Namespace", "metadata": {"name": NAMESPACE}},
        )
        self.cluster.put(
            CLAIM,
            {
                "kind": "PersistentVolumeClaim",
                "metadata": {
                    "name": "entrasync-contoso",
                    "labels": {
                        "app.kubernetes.io/managed-by": "entrasync",
                        "app.kubernetes.io/part-of": "entrasync",
                        "entrasync.dev/sync": "contoso",
                    },
                    "ownerReferences": [_owner(self.cluster)],
                },
            },
        )
        self.look(2)

    def look(self, times: int = 1) -> dt.datetime | None:
        """The operator looks at the sync and at all runs."""
        due = None
        for _ in range(times):
            due = self.cluster.reconcile("directorysyncs", "contoso")
            for run in self.runs():
                self.cluster.reconcile("syncruns", run)
        return due

    def runs(self) -> list[str]:
        return [each["metadata"]["name"] for each in self.cluster.of_kind("SyncRun")]

    def delete(self, *, foreground: bool = False) -> None:
        """Somebody deletes the sync; the tool of a person does so in the background."""
        found = self.cluster.objects[SYNC]
        if foreground:
            self.cluster.delete(SYNC)
        else:
            found["metadata"]["deletionTimestamp"] = self.cluster.now.isoformat()
            found["metadata"]["generation"] += 1
            self.cluster.collect_garbage()

    def wait(self, **time: float) -> None:
        self.cluster.now += dt.timedelta(**time)

    def end(self, run: str = LAST, **result: Any) -> None:
        """The Job of a run ends with a result."""
        told = {"outcome": "Succeeded", "reason": "Synchronized", "mode": "Apply"} | result
        self.cluster.finish(run, RunResult.model_validate(told).to_message())

    @property
    def is_gone(self) -> bool:
        return SYNC not in self.cluster.objects

    def told(self) -> Manifest:
        """The last Event about what became of it."""
        found = [e for e in self.cluster.events("contoso") if e["reason"].startswith("Objects")]
        return found[-1] if found else {}


def _owner(cluster: Cluster) -> Manifest:
    return {
        "apiVersion": API_VERSION,
        "kind": "DirectorySync",
        "name": "contoso",
        "uid": cluster.objects[SYNC]["metadata"]["uid"],
        "blockOwnerDeletion": True,
    }


def test_the_finalizer_is_there_only_while_the_policy_is_delete() -> None:
    story = Story()
    metadata = story.cluster.objects[SYNC]["metadata"]
    assert metadata["finalizers"] == [DELETION_FINALIZER]
    assert story.cluster.objects[CLAIM]["metadata"]["ownerReferences"] == []

    story.cluster.change(SYNC, {"spec": {"deletionPolicy": "Retain"}})
    story.look()

    assert story.cluster.objects[SYNC]["metadata"]["finalizers"] == []
    (owner,) = story.cluster.objects[CLAIM]["metadata"]["ownerReferences"]
    assert owner["uid"] == metadata["uid"]


@pytest.mark.parametrize("spec", [{"deletionPolicy": "Retain"}, {"mode": "Preview"}])
def test_others_have_none_and_are_gone_at_once(spec: dict[str, Any]) -> None:
    story = Story(**spec)
    assert not story.cluster.objects[SYNC]["metadata"].get("finalizers")

    story.delete()

    assert story.is_gone
    assert CLAIM not in story.cluster.objects
    assert LAST not in story.runs()


@pytest.mark.parametrize("foreground", [False, True])
def test_a_last_run_removes_everything_and_then_all_of_it_is_gone(*, foreground: bool) -> None:
    story = Story()
    story.delete(foreground=foreground)
    story.look(2)

    assert CLAIM in story.cluster.objects  # the state is still needed
    run = story.cluster.objects[resource_at("syncruns", LAST)]
    assert run["metadata"]["labels"]["entrasync.dev/trigger"] == "Deletion"
    assert job_at(LAST) in story.cluster.objects
    leases = [path for path in story.cluster.objects if "/leases/" in path]
    assert len(leases) == 1

    story.end(objects=OwnedObjects().model_dump())
    story.look(2)

    assert story.is_gone
    assert story.told()["reason"] == "ObjectsDeleted"
    assert story.told()["type"] == "Normal"
    assert CLAIM not in story.cluster.objects
    assert story.runs() == []
    story.cluster.reconcile("directorysyncs", "contoso")
    assert not [path for path in story.cluster.objects if "/leases/" in path]


def test_the_last_run_needs_no_directory() -> None:
    story = Story()
    del story.cluster.objects[resource_at("activedirectories", "contoso")]
    story.delete()
    story.look(2)

    job = story.cluster.objects[job_at(LAST)]
    volumes = job["spec"]["template"]["spec"]["volumes"]
    secrets = [each["secret"]["secretName"] for each in volumes if "secret" in each]
    assert secrets == ["contoso-entra-app"]
    (snapshot,) = [
        each for each in story.cluster.of_kind("ConfigMap") if "Deletion" in str(each["data"])
    ]
    assert "ActiveDirectory\n" not in snapshot["data"]["run.yaml"]


def test_a_run_under_way_is_ended_first() -> None:
    story = Story()
    story.cluster.start("manual")
    assert job_at("manual") in story.cluster.objects

    story.delete()
    story.look()
    assert LAST not in story.runs()
    story.look(3)

    assert job_at("manual") not in story.cluster.objects
    assert LAST in story.runs()
    assert job_at(LAST) in story.cluster.objects


def test_what_a_brake_stops_waits_for_an_approval_of_the_deleted_sync() -> None:
    story = Story()
    story.delete()
    story.look(2)
    blocked = BlockedPlan(digest=DIGEST, reason="DeletionThresholdExceeded", users={"delete": 812})
    story.end(
        outcome="Blocked",
        reason="DeletionThresholdExceeded",
        message="812 users would be deleted",
        blocked_plan=blocked.model_dump(),
    )
    story.look(2)

    assert not story.is_gone
    assert story.cluster.status("directorysyncs", "contoso")["blockedPlan"]["digest"] == DIGEST
    waits = story.cluster.conditions("directorysyncs", "contoso")["PlanBlocked"]["message"]
    assert f"put {DIGEST} into `spec.approvedPlan`" in waits
    deleted = story.cluster.objects[SYNC]["metadata"]["deletionTimestamp"]
    over = format_time(dt.datetime.fromisoformat(deleted) + PATIENCE)
    assert f"without one it goes at {over}" in waits
    story.wait(minutes=30)
    story.look(2)
    assert story.runs() == [LAST]

    story.cluster.change(SYNC, {"spec": {"approvedPlan": DIGEST}})
    story.look(2)
    second = "contoso-last-2"
    assert second in story.runs()
    story.end(second, objects=OwnedObjects().model_dump())
    story.look(2)
    assert story.is_gone


def test_without_an_approval_it_goes_after_an_hour_and_says_what_is_left() -> None:
    story = Story()
    story.delete()
    story.look(2)
    story.end(outcome="Blocked", reason="DeletionThresholdExceeded", message="too many")
    story.wait(minutes=59)
    story.look()
    assert not story.is_gone

    story.wait(minutes=2)
    story.look()

    assert story.is_gone
    told = story.told()
    assert (told["reason"], told["type"]) == ("ObjectsLeft", "Warning")
    assert "nobody approved the plan within an hour" in told["message"]
    assert "812 users, 64 groups and 12 contacts that it owned stay" in told["message"]
    assert CLAIM not in story.cluster.objects


def test_a_failed_last_run_is_tried_again_until_the_hour_is_over() -> None:
    story = Story()
    story.delete()
    story.look(2)
    for attempt in range(1, 20):
        name = f"contoso-last-{attempt}"
        if name not in story.runs():
            break
        story.end(name, outcome="Failed", reason="ServerUnreachable", message="no answer")
        story.wait(minutes=16)
        story.look(2)
    assert 2 < attempt < 8
    assert story.is_gone
    assert "no answer" in story.told()["message"]


def test_a_last_run_that_gets_on_is_not_broken_off() -> None:
    story = Story()
    story.delete()
    story.look(2)
    story.wait(minutes=90)
    progress = {"stage": "Export", "done": 1, "changedTime": story.cluster.now.isoformat()}
    story.cluster.change(resource_at("syncruns", LAST), {"status": {"progress": progress}})

    story.look()
    assert not story.is_gone

    story.wait(minutes=61)
    story.cluster.reconcile("directorysyncs", "contoso")
    assert story.is_gone
    assert "did not end within an hour" in story.told()["message"]


def _lose_tenant(story: Story) -> None:
    del story.cluster.objects[resource_at("entratenants", "contoso")]


def _lose_cloud(story: Story) -> None:
    del story.cluster.objects[f"/apis/{API_VERSION}/azureclouds/azure-commercial"]


def _lose_secret(story: Story) -> None:
    ready = samples.READY | {"status": "False", "reason": "SecretNotFound", "message": "no Secret"}
    path = resource_at("entratenants", "contoso")
    story.cluster.change(path, {"status": {"conditions": [ready]}})


def _end_namespace(story: Story) -> None:
    path = f"/api/v1/namespaces/{NAMESPACE}"
    story.cluster.change(path, {"metadata": {"deletionTimestamp": NOW.isoformat()}})
    story.cluster.terminating.add(NAMESPACE)


def _end_namespace_unseen(story: Story) -> None:
    """As above, for an operator that may not look at namespaces."""
    story.cluster.terminating.add(NAMESPACE)

    def refuse(verb: str, path: str, body: Manifest | None) -> None:
        del verb, body
        if path == f"/api/v1/namespaces/{NAMESPACE}":
            raise ApiError(403, "namespaces is forbidden")

    story.cluster.watchers.append(refuse)


def _preview(story: Story) -> None:
    story.cluster.change(SYNC, {"spec": {"mode": "Preview"}})


def _retain(story: Story) -> None:
    story.cluster.change(SYNC, {"spec": {"deletionPolicy": "Retain"}})


@pytest.mark.parametrize(
    ("lose", "why"),
    [
        (_lose_tenant, "EntraTenant contoso does not exist"),
        (_lose_cloud, "AzureCloud azure-commercial does not exist"),
        (_lose_secret, "EntraTenant/contoso no Secret"),
        (_end_namespace, None),
        (_end_namespace_unseen, None),
        (_preview, "Preview"),
        (_retain, "Retain"),
    ],
)
def test_it_goes_at_once_where_no_last_run_can_be_made(lose: Any, why: str | None) -> None:
    story = Story()
    story.delete()
    lose(story)

    story.look()

    assert story.is_gone
    assert LAST not in story.runs()
    if why is not None:  # no Event can be made in a namespace that ends
        assert story.told()["reason"] == "ObjectsLeft"
        assert why in story.told()["message"]
        assert "812 users" in story.told()["message"]


def test_a_secret_that_only_the_last_run_misses_ends_it_at_once() -> None:
    story = Story()
    story.delete()
    story.look(2)
    story.end(
        outcome="Failed",
        reason="SecretNotFound",
        message="Secret contoso-entra-app with key `tls.crt` was not found",
        permanent=True,
    )

    story.look()

    assert story.is_gone
    assert "Secret contoso-entra-app with key `tls.crt`" in story.told()["message"]


def test_one_that_never_ran_goes_at_once() -> None:
    story = Story(ran=False)
    for run in story.runs():  # the first run was queued, and has not begun
        story.cluster.remove(resource_at("syncruns", run))
    story.cluster.change(SYNC, {"status": {"lastRun": None, "objects": None, "history": None}})
    story.delete()
    story.look(2)

    assert story.is_gone


def test_a_manual_run_of_a_deleted_sync_waits() -> None:
    story = Story()
    story.delete()
    story.look(2)
    story.cluster.start("manual")

    assert job_at("manual") not in story.cluster.objects


# --- the decision itself -----------------------------------------------------------------------


PHASES = st.sampled_from(["Queued", "Running", "Succeeded", "Blocked", "Failed", "Cancelled"])
HELD = st.sampled_from(
    [None, *(Held(owner="other/sync", how=how, lease="ns/lease") for how in Holding)]
)


@st.composite
def deletions(draw: st.DrawFn) -> ObservedDeletion:
    sync = samples.sync(
        samples.last_run(NOW) if draw(st.booleans()) else None,
        deletionPolicy=draw(st.sampled_from(["Delete", "Retain"])),
        mode=draw(st.sampled_from(["Apply", "Preview"])),
    )
    sync.metadata.deletion_timestamp = NOW.isoformat()
    sync.metadata.finalizers = [DELETION_FINALIZER]
    runs = [
        samples.run(f"run-{i}", draw(PHASES), metadata={"labels": {"entrasync.dev/trigger": kind}})
        for i, kind in enumerate(draw(st.lists(st.sampled_from(["Deletion", "Schedule"]))))
    ]
    return ObservedDeletion(
        of_sync=ObservedSync(
            sync=sync,
            tenant=draw(st.sampled_from([None, samples.tenant()])),
            cloud=samples.cloud(),
            directories={},
            runs=runs,
            claimed_by=draw(HELD),
        ),
        namespace_ends=draw(st.booleans()),
    )


@given(deletions(), st.integers(-3600, 3 * 3600))
def test_it_is_total_and_never_hangs(observed: ObservedDeletion, seconds: int) -> None:
    now = NOW + dt.timedelta(seconds=seconds)
    decision = decide_deletion(observed, now)
    if isinstance(decision, StartLastRun):
        assert now < NOW + PATIENCE
        assert observed.of_sync.claimed_by is None
        assert observed.of_sync.tenant is not None
        assert decision.name not in {run.metadata.name for run in observed.of_sync.runs}
    if now >= NOW + PATIENCE:
        assert isinstance(decision, Drop)


# --- whose is whose ----------------------------------------------------------------------------


def _rights_of_the_claim(story: Story, **metadata: Any) -> list[Manifest]:
    """Who owns a claim, after a sync was deleted that kept its state in another one."""
    claim = story.cluster.objects[CLAIM]
    claim["metadata"] |= metadata
    story.cluster.put(CLAIM, claim)
    story.delete()
    _retain(story)
    story.look()
    assert story.is_gone
    owners: list[Manifest] = story.cluster.objects[CLAIM]["metadata"].get("ownerReferences", [])
    return owners


def test_a_claim_of_somebody_else_does_not_go_with_the_sync() -> None:
    assert _rights_of_the_claim(Story(), labels={"app": "database"}, ownerReferences=[]) == []


def test_a_claim_of_an_earlier_sync_of_the_name_stays_its_own() -> None:
    story = Story(deletionPolicy="Retain")
    other = _owner(story.cluster) | {"uid": "another"}
    claim = story.cluster.objects[CLAIM]
    claim["metadata"]["ownerReferences"] = [other]
    # the garbage collector is late
    claim["metadata"] |= {"deletionTimestamp": None, "finalizers": ["kubernetes.io/pvc-protection"]}

    story.cluster.change(SYNC, {"spec": {"deletionPolicy": "Delete"}})
    story.look()

    assert story.cluster.objects[CLAIM]["metadata"]["ownerReferences"] == [other]


def test_a_last_run_of_an_earlier_sync_of_the_name_says_nothing_of_this_one() -> None:
    story = Story()
    before = story.cluster.now
    story.cluster.now = before - dt.timedelta(days=1)
    labels = {"entrasync.dev/trigger": "Deletion", "entrasync.dev/sync": "contoso"}
    old = samples.run(LAST, "Succeeded", metadata={"labels": labels})
    story.cluster.put(resource_at("syncruns", LAST), old.to_manifest())
    story.cluster.now = before + dt.timedelta(minutes=1)

    story.delete()
    story.look(2)

    assert not story.is_gone
    assert "contoso-last-2" in story.runs()


def test_what_is_left_after_the_state_was_lost_is_said() -> None:
    story = Story()
    story.delete()
    story.look(2)
    orphans = {"users": 812, "groups": 64, "contacts": 12}
    story.end(objects=OwnedObjects().model_dump(), orphans=orphans, changes={})
    story.look(2)

    assert story.is_gone
    told = story.told()
    assert (told["reason"], told["type"]) == ("ObjectsLeft", "Warning")
    assert "812 users, 64 groups and 12 contacts" in told["message"]


def test_a_last_run_at_work_ends_its_work_although_its_tenant_is_gone() -> None:
    story = Story()
    story.delete()
    story.look(2)
    assert job_at(LAST) in story.cluster.objects
    _lose_tenant(story)

    story.look(2)
    assert not story.is_gone

    story.end(objects=OwnedObjects().model_dump())
    story.look(2)
    assert story.is_gone
    assert story.told()["reason"] == "ObjectsDeleted"


def test_a_last_run_that_only_looked_removed_nothing() -> None:
    story = Story()
    story.delete()
    story.look(2)
    story.end(mode="Preview")
    story.look()

    assert not story.is_gone


def test_one_that_is_not_understood_does_not_hang_for_ever() -> None:
    story = Story()
    story.delete()
    story.cluster.change(SYNC, {"spec": {"ofALaterVersion": True}})
    due = story.look()
    assert due == story.cluster.now + PATIENCE
    story.wait(minutes=59)
    story.look()
    assert not story.is_gone

    story.wait(minutes=2)
    story.look()

    assert story.is_gone


def test_one_of_another_class_is_left_to_its_own_operator() -> None:
    story = Story()
    story.delete()
    story.cluster.change(SYNC, {"spec": {"ofALaterVersion": True, "className": "blue"}})
    story.wait(hours=2)
    story.look()

    assert not story.is_gone
