"""The claim of a sync: made, grown, or taken as it is; never somebody else's."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.controller.gateway import ApiError, Manifest
from entrasync.controller.manifests import build_claim
from entrasync.controller.storage import StoragePlan, bytes_of, plan_storage
from tests.support import samples
from tests.support.memory_cluster import Cluster

CLAIM = "/api/v1/namespaces/identity/persistentvolumeclaims/entrasync-contoso"
MINE = "/api/v1/namespaces/identity/persistentvolumeclaims/mine"


def sync(**storage: Any) -> Any:
    return samples.sync(runner={"storage": storage})


def own(**changes: Any) -> Manifest:
    claim = build_claim(samples.sync())
    assert claim is not None
    claim["spec"] |= changes.pop("spec", {})
    claim["metadata"] |= changes
    return claim


def existing(**changes: Any) -> Manifest:
    labels = {"entrasync.dev/sync": "contoso"}
    claim = {
        "metadata": {"name": "mine", "labels": labels} | changes.pop("metadata", {}),
        "spec": {"accessModes": ["ReadWriteOnce"]},
    }
    return claim | changes


def test_it_is_made_where_there_is_none() -> None:
    assert plan_storage(samples.sync(), None) == StoragePlan(create=own())
    assert plan_storage(sync(type="Ephemeral"), None) == StoragePlan()


@pytest.mark.parametrize("size", [None, "10Gi", "10240Mi"])
def test_one_that_is_as_it_should_be_is_left_alone(size: str | None) -> None:
    wanted = sync() if size is None else sync(size=size)
    assert plan_storage(wanted, own()) == StoragePlan()


def test_it_grows() -> None:
    assert plan_storage(sync(size="20Gi"), own()) == StoragePlan(grow_to="20Gi")


@pytest.mark.parametrize(
    ("storage", "note"),
    [
        ({"size": "5Gi"}, "keeps its size of 10Gi, as a claim cannot shrink"),
        ({"accessMode": "ReadWriteOnce"}, "keeps its access modes ReadWriteOncePod"),
        ({"storageClassName": "fast"}, "keeps its storage class slow"),
    ],
)
def test_what_cannot_be_changed_is_told(storage: dict[str, str], note: str) -> None:
    plan = plan_storage(sync(**storage), own(spec={"storageClassName": "slow"}))

    assert note in plan.note
    assert plan.problem is None


@pytest.mark.parametrize(
    ("claim", "reason", "message"),
    [
        (own(deletionTimestamp="2026-03-14T15:00:00Z"), "Queued", "is being deleted"),
        (own(ownerReferences=[{"uid": "u-old"}]), "Queued", "an earlier DirectorySync"),
        (own(labels={}), "StateVolumeUnsuitable", "was not made by entrasync"),
    ],
)
def test_one_that_is_not_ours_is_not_used(claim: Manifest, reason: str, message: str) -> None:
    problem = plan_storage(samples.sync(), claim).problem

    assert problem is not None
    assert problem[0] == reason
    assert message in problem[1]


def test_one_without_an_owner_is_adopted_by_its_labels() -> None:
    assert plan_storage(samples.sync(), own(ownerReferences=[])) == StoragePlan()


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        (None, "ReferenceNotFound"),
        (existing(metadata={"labels": {}}), "StateVolumeUnsuitable"),
        (
            existing(metadata={"labels": {"entrasync.dev/sync": "other"}}),
            "StateVolumeUnsuitable",
        ),
        (existing(spec={"accessModes": ["ReadWriteMany"]}), "StateVolumeUnsuitable"),
        (
            existing(metadata={"deletionTimestamp": "2026-03-14T15:00:00Z"}),
            "StateVolumeUnsuitable",
        ),
    ],
)
def test_a_named_claim_must_be_there_for_this_sync(claim: Manifest | None, reason: str) -> None:
    problem = plan_storage(sync(claimName="mine"), claim).problem

    assert problem is not None
    assert problem[0] == reason
    assert "`spec.runner.storage.claimName`" in problem[1]


def test_a_named_claim_is_mounted_and_never_changed() -> None:
    cluster = Cluster(
        samples.cloud(), samples.tenant(), samples.directory(), sync(claimName="mine")
    )
    before = cluster.put(MINE, existing())["metadata"]["resourceVersion"]

    cluster.start()

    (job,) = cluster.made_jobs()
    volumes = {each["name"]: each for each in job["spec"]["template"]["spec"]["volumes"]}
    assert volumes["state"]["persistentVolumeClaim"]["claimName"] == "mine"
    assert CLAIM not in cluster.objects
    assert cluster.objects[MINE]["metadata"]["resourceVersion"] == before
    assert "ownerReferences" not in cluster.objects[MINE]["metadata"]


def test_a_run_waits_for_a_claim_that_goes_away() -> None:
    cluster = Cluster(samples.cloud(), samples.tenant(), samples.directory(), samples.sync())
    held = ["kubernetes.io/pvc-protection"]
    cluster.put(CLAIM, own(ownerReferences=[{"uid": "u-old"}], finalizers=held))

    cluster.start()

    assert cluster.made_jobs() == []
    assert cluster.conditions("syncruns", "manual")["Ready"]["reason"] == "Queued"


def test_a_claim_that_may_not_grow_does_not_stop_the_run() -> None:
    cluster = Cluster(samples.cloud(), samples.tenant(), samples.directory(), sync(size="20Gi"))
    cluster.put(CLAIM, own())

    def refuse(verb: str, path: str, body: Manifest | None) -> None:
        del body
        if verb == "patch" and path == CLAIM:
            raise ApiError(403, "the storageclass must support resize")

    cluster.watchers.append(refuse)
    cluster.start()

    assert len(cluster.made_jobs()) == 1
    message = cluster.conditions("syncruns", "manual")["Ready"]["message"]
    assert "cannot grow to 20Gi" in message
    assert "must support resize" in message


def test_a_claim_that_may_grow_does() -> None:
    cluster = Cluster(samples.cloud(), samples.tenant(), samples.directory(), sync(size="20Gi"))
    cluster.put(CLAIM, own())

    cluster.start()

    assert cluster.objects[CLAIM]["spec"]["resources"]["requests"]["storage"] == "20Gi"


@pytest.mark.parametrize(
    ("quantity", "size"),
    [
        ("10Gi", 10 * 2**30),
        ("1.5Gi", 3 * 2**29),
        ("500M", 500_000_000),
        ("2k", 2000),
        ("7", 7),
        ("nonsense", 0),
        ("", 0),
    ],
)
def test_quantities(quantity: str, size: int) -> None:
    assert bytes_of(quantity) == Decimal(size)


@given(st.integers(1, 2**20), st.sampled_from(["Mi", "Gi", "Ti", "M", "G", "T", ""]))
def test_a_larger_number_is_a_larger_quantity(number: int, suffix: str) -> None:
    assert bytes_of(f"{number}{suffix}") < bytes_of(f"{number + 1}{suffix}")
