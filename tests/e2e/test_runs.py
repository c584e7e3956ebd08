"""Runs by schedule, by hand and by annotation, and who may write a tenant."""

from __future__ import annotations

import pytest

from dev.demo.setup import OPERATOR_NAMESPACE
from tests.support.stage import Manifest, Place

pytestmark = pytest.mark.cluster

COMPANY = {"users": 48, "groups": 12, "contacts": 6, "links": 101}
NOTHING = {"added": 0, "updated": 0, "deleted": 0, "failed": 0}


def test_a_sync_is_told_truly_from_the_first_to_the_second_run(place: Place) -> None:
    place.apply(*place.whole())

    status = place.until_synchronized()

    assert status["objects"] == COMPANY
    ready = place.until_ready("dsync", reason="Synchronized")
    assert ready["observedGeneration"] == place.get("dsync")["metadata"]["generation"]
    assert {c["type"] for c in status["conditions"]} >= {"Ready", "Synchronized"}
    assert [s["dn"] for s in status["scopes"]] == ["OU=Contoso,DC=contoso,DC=test"]
    with place.cloud() as cloud:
        assert len(cloud.objects("User")) == 48
    first = place.status("syncrun", status["lastRun"]["name"])
    assert (first["trigger"], first["scope"], first["mode"]) == ("SpecChange", "Full", "Apply")
    assert first["totals"] == {"added": 66, "updated": 0, "deleted": 0, "failed": 0}
    assert first["endpoint"] == {"version": "V2"}

    place.ask("dsync")
    second = _run_after(place, status["lastRun"]["name"])

    assert (second["trigger"], second["scope"]) == ("Annotation", "Delta")
    assert second["totals"] == NOTHING
    tenant, directory = place.status("etenant"), place.status("ad")
    assert tenant["company"]["displayName"] == "Contoso"
    assert tenant["endpoint"]["version"] == "V2"
    assert (directory["domain"], directory["deltaMethod"]) == ("contoso.test", "DirSync")


def test_a_suspended_sync_runs_by_hand_only(place: Place) -> None:
    place.apply(*place.whole(suspend=True))
    place.until(
        "dsync Suspended",
        lambda: place.condition("dsync", wanted="Suspended").get("status") == "True",
    )
    place.until_ready("etenant")
    place.until_ready("ad")

    place.apply(place.run("preview", mode="Preview"))
    preview = place.until_ended("preview")

    assert (preview["phase"], preview["trigger"], preview["mode"]) == (
        "Succeeded",
        "Manual",
        "Preview",
    )
    assert preview["changes"]["users"]["add"] == 48
    with place.cloud() as cloud:
        assert cloud.objects("User") == []
    place.apply(place.run("by-hand"))
    assert place.until_ended("by-hand")["totals"]["added"] == 66
    assert place.runs(trigger="Schedule") == []
    assert "nextScheduleTime" not in place.status("dsync")


def test_one_tenant_has_one_owner(place: Place) -> None:
    place.apply(*place.whole())
    place.until_synchronized()
    second = place.sync("second", target={"entraTenantRef": {"name": "contoso"}})
    second["spec"]["sources"][0]["activeDirectoryRef"] = {"name": "contoso"}

    place.apply(second)
    told = place.until_ready("dsync", "second", status="False", reason="TenantClaimed")

    assert f"DirectorySync {place.name}/contoso owns this tenant" in told["message"]
    assert place.condition("dsync", "second", "Stalled")["status"] == "True"
    assert place.runs(sync="second") == []
    assert _owners(place) == [place.get("dsync")["metadata"]["uid"]]
    place.delete("dsync", "contoso")
    assert place.until_synchronized("second")["objects"] == COMPANY
    assert _owners(place) == [place.get("dsync", "second")["metadata"]["uid"]]
    # what only previews, or is gone, owns nothing
    place.patch("dsync", "second", {"mode": "Preview"})
    place.until("the tenant to be free", lambda: not _owners(place))
    place.patch("dsync", "second", {"mode": "Apply"})
    place.until("the tenant to be taken", lambda: _owners(place))
    place.delete("dsync", "second")
    place.until("the tenant to be free", lambda: not _owners(place))


def test_removing_a_sync_changes_nothing_and_creating_it_again_adopts(place: Place) -> None:
    place.apply(*place.whole())
    place.until_synchronized()

    place.delete("dsync", "contoso")
    with place.cloud() as cloud:
        assert len(cloud.objects("User")) == 48
        before = _writes(cloud.requests())
        place.apply(place.sync())
        status = place.until_synchronized()
        assert _writes(cloud.requests()) == before

    assert status["objects"] == COMPANY
    assert not any(status.get("orphans", {}).values())


def test_the_operator_may_die_at_any_time(place: Place) -> None:
    place.apply(*place.whole())
    place.until("a run to be under way", lambda: place.status("dsync").get("activeRun"))

    place.kubectl.run(
        "delete",
        "pod",
        "-n",
        "entrasync-system",
        "-l",
        "app.kubernetes.io/name=entrasync",
        "--grace-period=0",
        "--force",
    )

    assert place.until_synchronized()["objects"] == COMPANY


def test_a_run_is_cancelled(place: Place) -> None:
    place.apply(*place.whole(suspend=True, runner={"storage": {"storageClassName": "none"}}))
    place.until_ready("etenant")
    place.until_ready("ad")
    place.apply(place.run("stuck"))
    place.until(
        "the run to be under way",
        lambda: place.status("syncrun", "stuck").get("phase") == "Running",
    )

    place.patch("syncrun", "stuck", {"cancel": True})

    ended = place.until_ended("stuck")
    assert ended["phase"] == "Cancelled"
    place.until("its Job to go", lambda: "stuck" not in _jobs(place))


def _owners(place: Place) -> list[str]:
    """Uids of this namespace's syncs that own a tenant."""
    leases = place.kubectl.get("leases", "-n", OPERATOR_NAMESPACE)["items"]
    holders = [lease["spec"].get("holderIdentity", "").partition("/") for lease in leases]
    return [uid for namespace, _, uid in holders if namespace == place.name]


def _jobs(place: Place) -> set[str]:
    return {job["metadata"]["name"] for job in place.kubectl.get("jobs", "-n", place.name)["items"]}


def _run_after(place: Place, name: str) -> Manifest:
    """Status of the run that ended after the one of this name."""
    place.until(
        f"a run after {name}",
        lambda: place.status("dsync").get("lastRun", {}).get("name") != name,
    )
    return place.status("syncrun", place.status("dsync")["lastRun"]["name"])


def _writes(requests: list[Manifest]) -> int:
    return sum(each["operation"].startswith("Provision") for each in requests)


def test_a_paced_run_tells_how_far_it_is_and_when_it_goes_on(place: Place) -> None:
    whole = place.whole()
    # one per cent of the tenant's quota: less than the company takes
    whole[2] = place.tenant(writeQuotaPercent=1)
    place.apply(*whole)

    place.until(
        "dsync Throttled",
        lambda: place.condition("dsync", wanted="Throttled").get("status") == "True",
    )

    (run,) = place.runs(trigger="SpecChange")
    name, status = run["metadata"]["name"], run["status"]
    told = place.condition("dsync", wanted="Throttled")
    assert told["message"].startswith(f"run {name} waits for the tenant's quota of writes until 2")
    ready = place.condition("dsync")
    assert (ready["status"], ready["reason"]) == ("True", "InitialSync")
    progress = status["progress"]
    assert progress["stage"] == "Export"
    assert 0 < progress["done"] < progress["total"]
    assert progress["pausedUntil"] > progress["observedTime"]
    assert status["plan"]["writes"] > 70
    assert status["plan"]["expectedCompletionTime"] > status["startTime"]

    place.patch("syncrun", name, {"cancel": True})
    ended = place.until_ended(name)

    assert ended["phase"] == "Cancelled"
    assert "progress" not in ended
