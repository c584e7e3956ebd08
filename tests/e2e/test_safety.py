"""Nobody is hurt: brakes, approvals, orphans, lost volumes, lost directories."""

from __future__ import annotations

from typing import Any

import pytest

from dev.demo import setup
from tests.support.stage import SEEDED_TENANT, SEEDED_USERS, Manifest, Place, Stage

pytestmark = pytest.mark.cluster


def test_501_deletions_wait_for_an_approval(stage: Stage, place: Place) -> None:
    with stage.directory("deletions", "company") as host:
        # the fill and the deletions within five minutes: more than 80 % of the tenant's quota
        place.apply(*_at(place, host), place.tenant(writeQuotaPercent=100))
        before = place.until_synchronized()
        users = before["objects"]["users"]

        stage.change_directory("deletions", "delete-users", "501")
        place.ask("dsync")
        told = place.until_ready("dsync", status="False", reason="DeletionThresholdExceeded")

        assert "501 users would be deleted" in told["message"]
        assert "`spec.safety.users`" in told["message"]
        status = place.status("dsync")
        held = {c["type"] for c in status["conditions"] if c["status"] == "True"}
        assert held >= {"PlanBlocked", "Stalled"}
        assert status["blockedPlan"]["users"] == {"delete": 501}
        run = place.status("syncrun", status["lastRun"]["name"])
        assert (run["phase"], run["totals"]["deleted"]) == ("Blocked", 0)
        with place.cloud() as cloud:
            assert len(cloud.objects("User")) == users

            place.patch("dsync", "contoso", {"approvedPlan": status["blockedPlan"]["digest"]})
            place.until_ready("dsync", reason="Synchronized")

            assert len(cloud.objects("User")) == users - 501
        after = place.status("dsync")
        assert "blockedPlan" not in after
        assert after["objects"]["users"] == users - 501
        assert place.condition("dsync", wanted="PlanBlocked") == {}


def test_a_source_that_shows_nothing_deletes_nobody(stage: Stage, place: Place) -> None:
    with stage.directory("empty") as host:
        place.apply(*_at(place, host))
        place.until_synchronized()

        stage.change_directory("empty", "delete-all")
        place.ask("dsync")
        told = place.until_ready("dsync", status="False", reason="SourceEmpty")

        assert "nothing is" in told["message"]
        assert place.condition("dsync", wanted="Stalled")["status"] == "True"
        with place.cloud() as cloud:
            assert len(cloud.objects("User")) == 48
            # somebody comes back, and still nobody is deleted unasked
            stage.change_directory("empty", "add-user", "Zoë Returned")
            place.ask("dsync")
            told = place.until_ready("dsync", status="False", reason="SourceShrank")
            assert len(cloud.objects("User")) == 48
            digest = place.status("dsync")["blockedPlan"]["digest"]
            assert digest in told["message"]
            place.patch("dsync", "contoso", {"approvedPlan": digest})
            place.until_ready("dsync", reason="Synchronized")
            assert len(cloud.objects("User")) == 1


def test_a_directory_that_goes_away_comes_back_by_itself(stage: Stage, place: Place) -> None:
    with stage.directory("away") as host:
        place.apply(*_at(place, host, schedule={"interval": "10s"}))
        place.until_synchronized()

        _select(stage, "away", "nobody")
        told = place.until_ready("dsync", status="False", reason="ServerUnreachable")
        assert "away" in told["message"]
        assert place.condition("dsync", wanted="Stalled") == {}
        with place.cloud() as cloud:
            assert len(cloud.objects("User")) == 48

        _select(stage, "away", "away")
        place.until_ready("dsync", reason="Synchronized", seconds=240)


def test_objects_of_somebody_else_are_left_alone_even_after_the_volume_was_lost(
    stage: Stage,
) -> None:
    with stage.place("orphans", SEEDED_TENANT) as place:
        place.apply(*place.whole(suspend=True))
        place.until_ready("etenant")
        place.until_ready("ad")
        place.apply(place.run("before"))
        assert place.until_ended("before")["totals"]["added"] == 66
        first = place.until("orphans", lambda: place.status("dsync").get("orphans"))

        # a claim stays while a pod names it, even one that has ended
        place.delete("syncrun", "before")
        place.delete("pvc", "entrasync-contoso")
        place.apply(place.run("after"))
        after = place.until_ended("after")

        assert (after["phase"], after["scope"]) == ("Succeeded", "Full")
        assert set(after["totals"].values()) == {0}
        assert first["users"] == SEEDED_USERS
        status = place.status("dsync")
        assert status["orphans"]["users"] == SEEDED_USERS
        assert status["objects"]["users"] == 48
        with place.cloud() as cloud:
            assert len(cloud.objects("User")) == SEEDED_USERS + 48


def _at(place: Place, host: str, **sync: Any) -> list[Manifest]:
    """The smallest sync, reading another directory."""
    manifests = place.whole(**sync)
    for manifest in manifests:
        if manifest["kind"] == "ActiveDirectory":
            manifest["spec"]["servers"] = [f"ldaps://{host}"]
    return manifests


def _select(stage: Stage, name: str, target: str) -> None:
    """Lets a Service lead to pods of a name, or to none."""
    selector = f'{{"spec": {{"selector": {{"app.kubernetes.io/name": "{target}"}}}}}}'
    stage.kubectl.run("patch", "service", name, "-n", setup.DIRECTORY_NAMESPACE, "-p", selector)
