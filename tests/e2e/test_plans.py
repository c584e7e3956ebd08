"""Plans in the cluster: changes that are held, reports, explanations, several directories."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.stage import NAME, TOP, Manifest, Place, Stage

pytestmark = pytest.mark.cluster

STAFF = f"OU=Staff,{TOP}"


def test_braked_changes_wait_while_the_rest_goes_on_and_reports_tell_them(
    stage: Stage, place: Place
) -> None:
    with stage.directory("held") as host:
        safety = {"users": {"count": 0, "percent": 0}, "onBlocked": "HoldBraked"}
        place.apply(*_at(place, host, safety=safety))
        place.until_synchronized()

        stage.change_directory("held", "delete-users", "2")
        stage.change_directory("held", "add-user", "Zoë New")
        place.ask("dsync")
        place.until(
            "the plan to be blocked",
            lambda: place.condition("dsync", wanted="PlanBlocked").get("status") == "True",
        )

        status = place.status("dsync")
        run = place.status("syncrun", status["lastRun"]["name"])
        assert (run["phase"], run["totals"]["added"], run["totals"]["deleted"]) == ("Blocked", 1, 0)
        assert run["plan"]["outcomes"] == {"create": 1}
        assert status["blockedPlan"]["held"] is True
        assert status["blockedPlan"]["users"] == {"delete": 2}
        assert place.condition("dsync")["status"] == "True"
        assert place.condition("dsync", wanted="Stalled") == {}
        with place.cloud() as cloud:
            assert len(cloud.objects("User")) == 49

            told = _report(place, "plan", run=status["lastRun"]["name"])
            anchor = status["blockedPlan"]["sample"][0]
            assert f"- User {anchor}" in told
            assert "DeletionThresholdExceeded" in told
            assert "Zoë" not in told
            told = _report(place, "explanation", explain={"object": anchor})
            assert anchor in told
            assert "delete" in told

            place.patch("dsync", NAME, {"approvedPlan": status["blockedPlan"]["digest"]})
            place.until(
                "the deletions to be done", lambda: len(cloud.objects("User")) == 47, seconds=240
            )
        place.until("no plan to be blocked", lambda: "blockedPlan" not in place.status("dsync"))


def test_a_report_of_a_run_that_nobody_knows_says_which_are_kept(place: Place) -> None:
    place.apply(*place.whole())
    place.until_synchronized()

    place.apply(place.run("nothing", mode="Report", report={"run": "never-was"}))
    ended = place.until_ended("nothing")

    assert ended["phase"] == "Failed"
    condition = next(c for c in ended["conditions"] if c["type"] == "Ready")
    assert condition["reason"] == "ReportNotFound"
    assert place.status("dsync")["lastRun"]["name"] in condition["message"]
    # what a report finds is no news of the sync
    assert place.condition("dsync")["reason"] == "Synchronized"


def test_several_directories_make_one_sync(place: Place) -> None:
    sources = [
        {"name": "staff", "activeDirectoryRef": {"name": "first"}, "include": [STAFF]},
        {
            "name": "groups",
            "activeDirectoryRef": {"name": "second"},
            "include": [f"OU=Groups,{TOP}"],
        },
    ]
    whole = [each for each in place.whole(sources=sources) if each["kind"] != "ActiveDirectory"]
    reader = {"bindSecretRef": {"name": f"{NAME}-reader"}}
    place.apply(*whole, place.directory("first", **reader))

    place.until_ready("dsync", status="False", reason="ReferenceNotFound")
    place.apply(place.directory("second", **reader))
    status = place.until_synchronized()

    assert status["objects"]["users"] > 0
    assert status["objects"]["groups"] > 0
    assert status["objects"]["links"] > 0
    for name in ("first", "second"):
        assert place.until_ready("ad", name)["reason"] == "Accepted"
        assert place.status("ad", name)["deltaMethod"] == "DirSync"


def _report(place: Place, name: str, **report: Any) -> str:
    """What a Report run printed."""
    place.apply(place.run(name, mode="Report", report=report))
    ended = place.until_ended(name)
    assert ended["phase"] == "Succeeded", ended
    return place.kubectl.run("logs", f"job/{ended['jobName']}", "-n", place.name)


def _at(place: Place, host: str, **sync: Any) -> list[Manifest]:
    """The smallest sync, reading another directory."""
    manifests = place.whole(**sync)
    for manifest in manifests:
        if manifest["kind"] == "ActiveDirectory":
            manifest["spec"]["servers"] = [f"ldaps://{host}"]
    return manifests
