"""One owner per tenant: whoever is first, whatever goes, and however two operators interleave."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.common import API_VERSION
from entrasync.api.directory_sync import DirectorySync
from entrasync.controller.claims import TenantClaims
from entrasync.controller.gateway import ApiError, Gateway, Manifest, job_path
from entrasync.controller.leases import Held, Holding
from entrasync.controller.resources import Resources
from entrasync.controller.tenant_names import lease_name, realm_of
from tests.support import samples
from tests.support.memory_cluster import Cluster
from tests.support.samples import NOW
from tests.support.turns import play

LEASES = "/apis/coordination.k8s.io/v1/namespaces/ns/leases"
NAME = lease_name(samples.cloud(), samples.tenant())
LEASE = f"{LEASES}/{NAME}"


def sync(namespace: str, name: str, uid: str = "", **spec: Any) -> DirectorySync:
    made = samples.sync(**spec)
    metadata = made.metadata.model_copy(
        update={"namespace": namespace, "name": name, "uid": uid or f"uid-{name}"}
    )
    return made.model_copy(update={"metadata": metadata})


def claims(cluster: Cluster) -> TenantClaims:
    return TenantClaims(cast("Gateway", cluster), "ns")


def settle(cluster: Cluster, who: DirectorySync) -> Held | None:
    return claims(cluster).settle(who, samples.cloud(), samples.tenant())


def at(who: DirectorySync) -> str:
    metadata = who.metadata
    return f"/apis/{API_VERSION}/namespaces/{metadata.namespace}/directorysyncs/{metadata.name}"


def job(cluster: Cluster, who: DirectorySync, **status: Any) -> str:
    path = job_path(who.metadata.namespace or "", f"{who.metadata.name}-1")
    labels = {
        "app.kubernetes.io/managed-by": "entrasync",
        "entrasync.dev/sync": who.metadata.name,
    }
    metadata = {"name": f"{who.metadata.name}-1", "labels": labels}
    cluster.put(path, {"kind": "Job", "metadata": metadata, "status": status})
    return path


def holder(cluster: Cluster) -> str:
    return str(cluster.objects[LEASE]["spec"]["holderIdentity"])


A = sync("identity", "one")
B = sync("elsewhere", "two")


def test_the_first_one_owns_the_tenant_and_the_second_is_told_whose_it_is() -> None:
    cluster = Cluster(A, B)

    assert settle(cluster, A) is None
    held = settle(cluster, B)

    assert held is not None
    assert (held.owner, held.how, held.lease) == ("identity/one", Holding.OWNS, f"ns/{NAME}")
    assert "identity/one owns this tenant already" in held.message
    assert settle(cluster, A) is None


def test_a_suspended_sync_keeps_its_tenant() -> None:
    cluster = Cluster(A, B)
    settle(cluster, A)

    settle(cluster, sync("identity", "one", suspend=True))

    assert settle(cluster, B) is not None


def test_previewing_releases_it_once_nothing_is_at_work() -> None:
    cluster = Cluster(A, B)
    settle(cluster, A)
    working = job(cluster, A, active=1)
    previewing = sync("identity", "one", mode="Preview")

    settle(cluster, previewing)
    assert holder(cluster) == "identity/uid-one"

    del cluster.objects[working]
    settle(cluster, previewing)
    assert LEASE not in cluster.objects


@pytest.mark.parametrize("state", ["gone", "previewing", "restored"])
def test_it_is_taken_over_from_one_that_does_not_need_it_any_more(state: str) -> None:
    cluster = Cluster(A, B)
    settle(cluster, A)
    taker = B
    if state == "previewing":
        cluster.change(at(A), {"spec": {"mode": "Preview"}})
    else:
        cluster.remove(at(A))
    if state == "restored":
        taker = sync("identity", "one", uid="another")
        cluster.add(taker)

    assert settle(cluster, taker) is None
    assert holder(cluster) == f"{taker.metadata.namespace}/{taker.metadata.uid}"


def test_whoever_takes_it_over_waits_for_what_is_still_at_work() -> None:
    cluster = Cluster(A, B)
    settle(cluster, A)
    working = job(cluster, A, active=1)
    cluster.remove(at(A))

    held = settle(cluster, B)

    assert held is not None
    assert (held.owner, held.how) == ("identity/one", Holding.ENDING)
    assert "its Job one-1 has not ended yet" in held.message
    assert not claims(cluster).owns(A, samples.cloud(), samples.tenant())

    # the next one to take it over waits for the same Job
    cluster.remove(at(B))
    third = sync("identity", "three")
    cluster.add(third)
    held = settle(cluster, third)
    assert held is not None
    assert held.owner == "identity/one"

    job(cluster, A, conditions=[{"type": "Complete", "status": "True"}])
    assert working in cluster.objects
    assert settle(cluster, third) is None
    assert (
        "annotations" not in cluster.objects[LEASE]["metadata"]
        or not (cluster.objects[LEASE]["metadata"]["annotations"])
    )


def test_a_holder_this_operator_may_not_read_is_never_taken_for_gone() -> None:
    cluster = Cluster(A, B)
    settle(cluster, B)

    def refuse(verb: str, path: str, body: Manifest | None) -> None:
        del verb, body
        if "/namespaces/elsewhere/" in path:
            raise ApiError(403, "directorysyncs is forbidden")

    cluster.watchers.append(refuse)
    held = settle(cluster, A)
    claims(cluster).release_abandoned()

    assert held is not None
    assert (held.owner, held.how) == ("elsewhere/two", Holding.UNSEEN)
    assert f"kubectl delete lease -n ns {NAME}" in held.message
    assert holder(cluster) == "elsewhere/uid-two"


def test_a_sync_that_is_gone_releases_its_own_claim_only() -> None:
    cluster = Cluster(A)
    settle(cluster, A)
    others = [sync("identity", f"other-{i}") for i in range(50)]
    for number, each in enumerate(others):
        cluster.add(each)
        tenant = samples.tenant(tenantId=f"3f2504e0-4f89-41d3-9a0c-{number:012x}")
        claims(cluster).settle(each, samples.cloud(), tenant)
    cluster.remove(at(A))
    cluster.calls.clear()

    assert claims(cluster).release("identity", "one")

    assert LEASE not in cluster.objects
    assert len([path for path in cluster.objects if path.startswith(LEASES)]) == len(others)
    assert len(cluster.calls) < 10


def test_a_claim_is_not_released_before_its_last_pod_is_gone() -> None:
    cluster = Cluster(A)
    settle(cluster, A)
    working = job(cluster, A, active=1)
    cluster.remove(at(A))

    assert not claims(cluster).release("identity", "one")
    del cluster.objects[working]
    assert claims(cluster).release("identity", "one")
    assert LEASE not in cluster.objects


def test_rights_that_are_gone_with_the_namespace_end_the_looking() -> None:
    cluster = Cluster(A)
    settle(cluster, A)
    cluster.remove(at(A))

    def refuse(verb: str, path: str, body: Manifest | None) -> None:
        del verb, body
        if "/namespaces/identity/" in path:
            raise ApiError(403, "forbidden")

    cluster.watchers.append(refuse)

    assert claims(cluster).release("identity", "one")
    assert LEASE in cluster.objects


def test_a_sync_made_again_keeps_what_it_claimed_meanwhile() -> None:
    cluster = Cluster(A)
    settle(cluster, A)
    cluster.remove(at(A))
    again = sync("identity", "one", uid="again")
    cluster.add(again)
    settle(cluster, again)

    assert claims(cluster).release("identity", "one")
    assert holder(cluster) == "identity/again"


def test_starting_releases_what_was_deleted_unseen() -> None:
    cluster = Cluster(A, B)
    settle(cluster, A)
    tenant = samples.tenant(tenantId="3f2504e0-4f89-41d3-9a0c-000000000001")
    claims(cluster).settle(B, samples.cloud(), tenant)
    cluster.remove(at(A))

    claims(cluster).release_abandoned()

    left = [path for path in cluster.objects if path.startswith(LEASES)]
    assert left == [f"{LEASES}/{lease_name(samples.cloud(), tenant)}"]


def test_a_tenant_made_anew_with_another_id_frees_the_one_before() -> None:
    cluster = Cluster(A)
    settle(cluster, A)
    tenant = samples.tenant(tenantId="3f2504e0-4f89-41d3-9a0c-000000000001")

    assert claims(cluster).settle(A, samples.cloud(), tenant) is None

    assert LEASE not in cluster.objects


def test_a_lease_of_an_earlier_version_is_understood() -> None:
    cluster = Cluster(A, B)
    settle(cluster, A)
    cluster.objects[LEASE]["metadata"]["labels"] = {"app.kubernetes.io/managed-by": "entrasync"}

    held = settle(cluster, B)
    assert held is not None
    assert held.how is Holding.OWNS
    cluster.remove(at(A))
    assert settle(cluster, B) is None


def whole_cluster(**spec: Any) -> Cluster:
    ready = samples.sync(samples.last_run(NOW), **spec)
    return Cluster(samples.cloud(), samples.tenant(), samples.directory(), ready)


def test_a_job_made_while_the_tenant_was_taken_away_goes_again() -> None:
    cluster = whole_cluster()
    cluster.reconcile("directorysyncs", "contoso")
    assert holder(cluster) == "identity/u-sync"

    def taken(verb: str, path: str, body: Manifest | None) -> None:
        del path
        if verb == "create" and body is not None and body.get("kind") == "Job":
            cluster.change(LEASE, {"spec": {"holderIdentity": "elsewhere/uid-two"}})

    cluster.watchers.append(taken)
    cluster.start("manual")

    assert cluster.made_jobs() == []
    run = cluster.status("syncruns", "manual")
    assert run["phase"] == "Queued"
    assert run["conditions"][0]["reason"] == "TenantClaimed"


def test_a_run_to_apply_is_refused_while_its_sync_previews() -> None:
    cluster = whole_cluster(mode="Preview")

    cluster.start("manual", mode="Apply")
    cluster.start("look", mode="Preview")

    run = cluster.status("syncruns", "manual")
    assert run["phase"] == "Failed"
    assert {each["reason"] for each in run["conditions"]} == {"ModeNotAllowed"}
    assert [each["metadata"]["name"] for each in cluster.made_jobs()] == ["look"]


def test_a_look_ahead_needs_no_tenant_of_its_own() -> None:
    cluster = whole_cluster()
    other = sync("elsewhere", "other")
    cluster.put(at(other), other.to_manifest())
    settle(cluster, other)

    cluster.start("manual")
    assert cluster.made_jobs() == []
    cluster.remove(f"/apis/{API_VERSION}/namespaces/identity/syncruns/manual")
    cluster.start("look", mode="Preview")

    assert [each["metadata"]["name"] for each in cluster.made_jobs()] == ["look"]
    assert holder(cluster) == "elsewhere/uid-other"


# --- which clouds name the same tenant ---------------------------------------------------------


def cloud(environment: str, login: str, service: str) -> AzureCloud:
    manifest = samples.cloud().to_manifest()
    manifest["spec"] |= {"environment": environment, "loginAuthority": login}
    manifest["spec"]["syncService"]["url"] = service
    manifest["spec"].pop("microsoftGraph", None)
    return AzureCloud.model_validate(manifest)


COMMERCIAL = ("https://login.microsoftonline.com", "https://adminwebservice.microsoftonline.com")
GOVERNMENT = (
    "https://login.microsoftonline.us",
    "https://adminwebservice.gov.us.microsoftonline.com",
)


@pytest.mark.parametrize(
    ("environment", "login", "service", "realm"),
    [
        ("Commercial", *COMMERCIAL, "Commercial"),
        ("Custom", *COMMERCIAL, "Commercial"),
        ("Custom", "https://login.proxy.test", COMMERCIAL[1], "Commercial"),
        ("USGovernmentDoD", *GOVERNMENT, "USGovernment"),
        (
            "China",
            "https://login.chinacloudapi.cn",
            "https://x.partner.microsoftonline.cn",
            "China",
        ),
        ("Custom", "https://emulator.test:8443", "https://emulator.test:8443", "Custom"),
        ("Custom", "https://10.0.0.1:8443", "https://10.0.0.1:8443", "Custom"),
    ],
)
def test_two_clouds_of_one_tenant_give_one_lease(
    environment: str, login: str, service: str, realm: str
) -> None:
    assert realm_of(cloud(environment, login, service)) == realm


def test_the_case_of_a_tenant_id_makes_no_difference() -> None:
    lower = samples.tenant()
    upper = lower.model_copy(
        update={"spec": lower.spec.model_copy(update={"tenant_id": lower.spec.tenant_id.upper()})}
    )
    assert lease_name(samples.cloud(), lower) == lease_name(samples.cloud(), upper)


# --- however two operators interleave ------------------------------------------------------------


class Operator:
    """An operator that looks after one sync, as far as its tenant is concerned."""

    def __init__(self, cluster: Cluster, who: DirectorySync, writers: set[str]) -> None:
        self.cluster = cluster
        self.who = who
        self.writers = writers
        self.claims = claims(cluster)
        self.resources = Resources(cast("Gateway", cluster))

    def __call__(self) -> None:
        for _ in range(4):
            self.step()

    def step(self) -> None:
        namespace, name = self.who.metadata.namespace or "", self.who.metadata.name
        found = self.resources.get(DirectorySync, namespace, name)
        if found is None:
            self.claims.release(namespace, name)
            return
        cloud, tenant = samples.cloud(), samples.tenant()
        held = self.claims.settle(found, cloud, tenant)
        if held is not None or found.spec.mode != "Apply":
            return
        path = job_path(namespace, f"{name}-1")
        if path in self.cluster.objects:
            return
        made = job(Cluster(), found, active=1)
        assert made == path
        manifest = {"metadata": {"name": f"{name}-1", "labels": _labels(name)}}
        self.cluster.create(job_path(namespace), manifest)
        if not self.claims.owns(found, cloud, tenant):
            self.cluster.delete(path)
            return
        self.work(found.metadata.uid)
        self.cluster.remove(path)

    def work(self, uid: str) -> None:
        """The pod of the Job writes to the tenant."""
        self.writers.add(uid)
        assert len(self.writers) == 1, self.writers
        for _ in range(12):  # others act meanwhile
            self.cluster.get(LEASE)
            assert len(self.writers) == 1, self.writers
        self.writers.remove(uid)


def _labels(name: str) -> dict[str, str]:
    return {"app.kubernetes.io/managed-by": "entrasync", "entrasync.dev/sync": name}


def people(cluster: Cluster, what: list[tuple[str, DirectorySync]]) -> None:
    """People change, delete and make syncs."""
    for action, who in what:
        cluster.get(LEASE)  # the others act before
        if action == "make":
            cluster.remove(at(who))
            uid = f"{who.metadata.uid}-{len(cluster.calls)}"
            cluster.add(sync(who.metadata.namespace or "", who.metadata.name, uid=uid))
        elif at(who) not in cluster.objects:
            continue
        elif action == "delete":
            cluster.remove(at(who))
        else:
            cluster.change(at(who), {"spec": {"mode": action}})


ACTIONS = st.tuples(
    st.sampled_from(["make", "delete", "Preview", "Apply"]), st.sampled_from([A, B])
)


@settings(max_examples=300)
@given(st.randoms(use_true_random=False), st.lists(ACTIONS, max_size=6))
def test_two_syncs_never_both_write(chance: Random, what: list[tuple[str, DirectorySync]]) -> None:
    cluster = Cluster(A, B)
    writers: set[str] = set()
    actors: list[Callable[[], None]] = [
        Operator(cluster, A, writers),
        Operator(cluster, B, writers),
        lambda: people(cluster, what),
    ]

    play(cluster, actors, (chance.randrange(len(actors)) for _ in range(1000)))

    assert not writers


def test_who_merely_knows_the_id_of_a_tenant_claims_nothing() -> None:
    cluster = Cluster(A, B)
    unproven = samples.tenant(ready=False)

    assert claims(cluster).settle(A, samples.cloud(), unproven) is None
    assert LEASE not in cluster.objects

    assert settle(cluster, B) is None
    held = claims(cluster).settle(A, samples.cloud(), unproven)
    assert held is not None
    assert held.owner == "elsewhere/two"
