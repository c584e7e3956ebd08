"""What starts a run of a sync, as the reconciler carries it out; and what of it the status says."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from entrasync.api.common import API_VERSION
from entrasync.api.directory_sync import BlockedPlan
from entrasync.api.result import RunResult
from entrasync.api.sync_run import REQUEST_ANNOTATION
from entrasync.controller.durations import format_time
from entrasync.controller.gateway import ApiError, Manifest
from entrasync.controller.schedule import QUARANTINE_AFTER, Timetable
from tests.support import samples
from tests.support.memory_cluster import Cluster, resource_at

SYNC = resource_at("directorysyncs", "contoso")
RUNS = f"/apis/{API_VERSION}/namespaces/identity/syncruns"
PERIOD = dt.timedelta(minutes=30) + Timetable.of(None, "u-sync").offset
MINUTE = dt.timedelta(minutes=1)
APPROVED = "sha256:" + "0" * 64


class Place(Cluster):
    """A cluster with one sync whose tenant and directory are good."""

    def __init__(self, **spec: Any) -> None:
        super().__init__(
            samples.cloud(), samples.tenant(), samples.directory(), samples.sync(**spec)
        )

    @property
    def told(self) -> Manifest:
        return self.status("directorysyncs", "contoso")

    def look(self) -> dt.datetime | None:
        return self.reconcile("directorysyncs", "contoso")

    def ask(self, value: str) -> None:
        self.change(SYNC, {"metadata": {"annotations": {REQUEST_ANNOTATION: value}}})

    def edit(self, **spec: Any) -> None:
        self.change(SYNC, {"spec": spec})

    def runs(self) -> list[Manifest]:
        return self.of_kind("SyncRun")

    def newest(self) -> str:
        return str(self.runs()[-1]["metadata"]["name"])

    def trigger(self) -> str:
        return str(self.runs()[-1]["metadata"]["labels"]["entrasync.dev/trigger"])

    def run_ends(self, outcome: str = "Succeeded", **more: Any) -> None:
        """The newest run starts and ends; the sync is looked at after each."""
        name = self.newest()
        self.reconcile("syncruns", name)
        self.look()
        result = RunResult(outcome=outcome, reason="R", message="m", mode="Apply", **more)
        self.finish(name, result.to_message())
        self.now += dt.timedelta(seconds=1)
        self.look()

    def first_run(self) -> None:
        self.look()
        self.run_ends(scope="Full")


def test_a_new_sync_runs_at_once_and_then_by_its_schedule() -> None:
    place = Place()
    place.look()
    assert place.trigger() == "SpecChange"
    assert place.told["nextScheduleTime"] == format_time(place.now + PERIOD)
    started = place.now
    place.run_ends()
    assert len(place.runs()) == 1
    assert place.look() == started + PERIOD
    place.now = started + PERIOD
    place.look()
    assert len(place.runs()) == 2
    assert place.trigger() == "Schedule"


def test_a_spec_change_starts_a_run_only_when_it_affects_results() -> None:
    place = Place()
    place.first_run()
    place.edit(schedule={"interval": "2h"}, suspend=False, successfulRunsHistoryLimit=1)
    place.look()
    assert len(place.runs()) == 1
    assert place.told["observedGeneration"] == 2
    place.edit(drift="Report")
    place.look()
    assert place.trigger() == "SpecChange"
    place.run_ends()
    place.look()
    assert len(place.runs()) == 1  # the first is beyond the history limit by now
    place.change(resource_at("entratenants", "contoso"), {"spec": {"writeQuotaPercent": 40}})
    tenant = {"lastCheckGeneration": 2, "conditions": [samples.READY]}
    place.change(resource_at("entratenants", "contoso"), {"status": tenant})
    place.look()
    assert len(place.runs()) == 1


def test_what_was_changed_while_a_run_was_under_way_gets_a_run_of_its_own() -> None:
    place = Place()
    place.look()
    place.reconcile("syncruns", place.newest())
    place.edit(drift="Report")
    place.run_ends()
    assert len(place.runs()) == 2
    assert place.trigger() == "SpecChange"


def test_a_preview_made_by_hand_puts_off_neither_a_change_nor_the_schedule() -> None:
    place = Place()
    place.first_run()
    place.edit(drift="Report")
    place.start("look-ahead", mode="Preview")
    result = RunResult(outcome="Succeeded", reason="R", message="m", mode="Preview")
    place.finish("look-ahead", result.to_message())
    assert place.told["lastRun"]["name"] != "look-ahead"
    assert place.told["history"][0]["name"] == "look-ahead"
    place.look()
    assert place.trigger() == "SpecChange"


def test_approving_starts_a_run_at_once_and_taking_the_approval_away_does_not() -> None:
    place = Place()
    place.look()
    place.run_ends("Blocked", blocked_plan=BlockedPlan(digest=APPROVED))
    assert place.told["blockedPlan"]["digest"] == APPROVED
    assert len(place.runs()) == 1
    place.edit(approvedPlan=APPROVED)
    place.look()
    assert len(place.runs()) == 2
    place.run_ends()
    place.edit(approvedPlan=None)
    place.look()
    assert len(place.runs()) == 2
    assert "blockedPlan" not in place.told


@pytest.mark.parametrize("suspend", [False, True])
def test_a_request_is_answered_by_one_run_and_echoed(suspend: bool) -> None:  # noqa: FBT001  - pytest passes it by name
    place = Place(suspend=suspend)
    place.ask("a")
    place.look()
    assert place.trigger() == "Annotation"
    assert place.told["lastHandledRequest"] == "a"
    assert ("nextScheduleTime" in place.told) is not suspend
    place.run_ends()
    place.look()
    assert len(place.runs()) == 1
    for value in ("b", "a"):
        place.ask(value)
        place.look()
        assert place.told["lastHandledRequest"] == value
        place.run_ends()
    assert len(place.runs()) == 3


def test_a_request_that_cannot_be_answered_yet_is_not_echoed() -> None:
    place = Place()
    place.first_run()
    place.ask("a")

    def refuse(verb: str, path: str, body: Manifest | None) -> None:
        del body
        if (verb, path) == ("create", RUNS):
            raise ApiError(403, "exceeded quota")

    place.watchers.append(refuse)
    place.look()
    assert "lastHandledRequest" not in place.told
    stalled = place.conditions("directorysyncs", "contoso")["Stalled"]
    assert stalled["reason"] == "JobCannotStart"
    assert "exceeded quota" in stalled["message"]
    place.watchers.clear()
    place.change(
        resource_at("activedirectories", "contoso"), {"spec": {"bindSecretRef": {"name": "other"}}}
    )
    place.look()
    assert "lastHandledRequest" not in place.told  # the directory is being checked
    checked = {"lastCheckGeneration": 2, "conditions": [samples.READY]}
    place.change(resource_at("activedirectories", "contoso"), {"status": checked})
    place.look()
    assert place.told["lastHandledRequest"] == "a"
    assert len(place.runs()) == 2


def test_a_request_whose_echo_was_lost_is_answered_once() -> None:
    place = Place()
    place.first_run()
    place.ask("a")

    def conflict(verb: str, path: str, body: Manifest | None) -> None:
        del body
        if (verb, path) == ("patch_status", SYNC):
            raise ApiError(500, "etcdserver: leader changed")

    place.watchers.append(conflict)
    with pytest.raises(ApiError):
        place.look()
    assert len(place.runs()) == 2
    place.watchers.clear()
    place.look()
    assert place.told["lastHandledRequest"] == "a"
    place.run_ends()
    place.look()
    assert len(place.runs()) == 2


def test_requests_that_come_while_a_run_is_under_way_get_one_run_afterwards() -> None:
    place = Place()
    place.look()
    place.ask("a")
    place.look()
    place.ask("b")
    place.look()
    assert len(place.runs()) == 1
    assert "lastHandledRequest" not in place.told
    place.run_ends()
    assert len(place.runs()) == 2
    assert place.told["lastHandledRequest"] == "b"
    place.run_ends()
    assert len(place.runs()) == 2


def test_a_suspended_sync_starts_nothing_by_itself_and_goes_on_when_it_is_let() -> None:
    place = Place()
    place.first_run()
    place.edit(suspend=True, drift="Report")
    place.now += dt.timedelta(days=3)
    assert place.look() is None
    assert len(place.runs()) == 1
    assert "nextScheduleTime" not in place.told
    place.edit(suspend=False)
    place.look()
    assert len(place.runs()) == 2


def test_failures_are_tried_again_less_and_less_often_and_the_status_says_when() -> None:
    place = Place()
    place.look()
    waits = []
    for number in range(1, QUARANTINE_AFTER + 1):
        place.run_ends("Failed")
        told = place.told
        assert told["consecutiveFailures"] == number
        due = dt.datetime.fromisoformat(told["nextScheduleTime"])
        waits.append(due - place.now)
        place.now = due
        place.look()
    assert waits == sorted(waits)
    assert MINUTE - MINUTE / 30 <= waits[0] <= 1.1 * MINUTE
    assert waits[-1] > dt.timedelta(hours=23)
    assert len(place.runs()) > 1
    place.run_ends()
    assert place.told["consecutiveFailures"] == 0
    assert "failingSince" not in place.told


@pytest.mark.parametrize("way", ["spec", "annotation", "run"])
def test_a_quarantined_sync_says_so_and_a_person_has_it_tried_at_once(way: str) -> None:
    place = Place()
    place.look()
    for number in range(QUARANTINE_AFTER):
        place.run_ends("Failed")
        if number < QUARANTINE_AFTER - 1:
            place.now += dt.timedelta(hours=1)
            place.look()
    conditions = place.conditions("directorysyncs", "contoso")
    assert conditions["Stalled"]["reason"] == "Quarantined"
    assert "10 runs" in conditions["Stalled"]["message"]
    assert conditions["Ready"]["status"] == "False"
    place.now += dt.timedelta(hours=20)
    place.look()
    before = len(place.runs())
    if way == "spec":
        place.edit(drift="Report")
    elif way == "annotation":
        place.ask("now")
    else:
        place.start("by-hand")
        assert place.newest() == "by-hand"
    place.look()
    assert len(place.runs()) == before + 1
    place.run_ends()
    assert "Stalled" not in place.conditions("directorysyncs", "contoso")
    assert place.told["consecutiveFailures"] == 0


def test_a_cancelled_run_is_no_failure_and_the_next_slot_is_awaited() -> None:
    place = Place()
    place.first_run()
    place.now += PERIOD
    place.look()
    name, made = place.newest(), place.now
    place.change(f"{RUNS}/{name}", {"spec": {"cancel": True}})
    place.reconcile("syncruns", name)
    place.look()
    assert place.told["lastRun"]["phase"] == "Cancelled"
    assert place.told["consecutiveFailures"] == 0
    assert len(place.runs()) == 2
    place.now = made + PERIOD + MINUTE / 60
    place.look()
    assert len(place.runs()) == 3


def test_a_spec_change_whose_run_was_cancelled_before_it_started_is_not_started_again() -> None:
    place = Place()
    place.first_run()
    place.edit(drift="Report")
    place.look()
    name = place.newest()
    place.change(f"{RUNS}/{name}", {"spec": {"cancel": True}})
    place.reconcile("syncruns", name)
    place.look()
    assert len(place.runs()) == 2


def test_a_window_holds_a_run_and_the_status_says_until_when() -> None:
    windows = [{"kind": "Deny", "cron": "0 15 * * *", "duration": "2h"}]
    place = Place(schedule={"windows": windows, "jitter": "0s"})
    opening = dt.datetime(2026, 3, 14, 17, 0, tzinfo=dt.UTC)
    assert place.look() == opening
    assert place.runs() == []
    assert place.told["nextScheduleTime"] == format_time(opening)
    held = place.conditions("directorysyncs", "contoso")["Suspended"]
    assert held["reason"] == "WindowClosed"
    assert "spec.schedule.windows[0]" in held["message"]
    place.ask("now")
    place.look()
    assert place.trigger() == "Annotation"
    place.run_ends()
    place.now = opening
    place.look()
    assert "Suspended" not in place.conditions("directorysyncs", "contoso")


def test_every_nth_run_is_asked_to_be_full() -> None:
    place = Place(schedule={"fullEvery": 3}, successfulRunsHistoryLimit=100)
    place.first_run()
    for _ in range(5):
        place.now += PERIOD
        place.look()
        asked = place.runs()[-1]["spec"].get("scope")
        place.run_ends(scope=asked or "Delta")
    scopes = [run["spec"].get("scope") for run in place.runs()]
    assert scopes == [None, None, None, "Full", None, None]
    assert place.told["runsSinceFull"] == 2


def test_history_limits_of_zero_keep_no_run_of_ours_and_all_of_people() -> None:
    place = Place(successfulRunsHistoryLimit=0, failedRunsHistoryLimit=0)
    place.start("by-hand")
    result = RunResult(outcome="Failed", reason="R", message="m", mode="Apply")
    place.finish("by-hand", result.to_message())
    place.look()
    for outcome in ("Succeeded", "Failed", "Succeeded"):
        place.now += dt.timedelta(hours=1)
        place.look()
        name = place.newest()
        assert name != "by-hand"
        place.run_ends(outcome)
        assert place.told["lastRun"]["name"] == name
        assert [run["metadata"]["name"] for run in place.runs()] == ["by-hand"]
    assert [each["phase"] for each in place.told["history"]] == [
        "Succeeded",
        "Failed",
        "Succeeded",
        "Failed",
    ]


def test_two_runs_in_one_minute_have_two_names_though_the_first_is_gone() -> None:
    place = Place(successfulRunsHistoryLimit=0)
    place.look()
    first = place.newest()
    place.run_ends()
    assert place.runs() == []
    place.edit(drift="Report")
    place.look()
    assert place.newest() != first
    place.run_ends()
    assert len(place.told["history"]) == 2


def test_looking_again_writes_nothing() -> None:
    place = Place()
    place.look()
    place.look()
    version = place.objects[SYNC]["metadata"]["resourceVersion"]
    place.now += MINUTE
    place.look()
    assert place.objects[SYNC]["metadata"]["resourceVersion"] == version


@pytest.mark.parametrize("mode", [None, "Preview"])
def test_a_queued_run_hides_nothing_that_keeps_its_sync_from_running(mode: str | None) -> None:
    place = Place()
    place.first_run()
    refused = {
        "type": "Ready",
        "status": "False",
        "reason": "CredentialsRejected",
        "message": "the secret has expired",
        "lastTransitionTime": format_time(place.now),
    }
    place.change(resource_at("entratenants", "contoso"), {"status": {"conditions": [refused]}})
    made = samples.run("by-hand", spec={} if mode is None else {"mode": mode})
    place.put(resource_at("syncruns", "by-hand"), made.to_manifest())
    place.reconcile("syncruns", "by-hand")
    place.look()
    conditions = place.conditions("directorysyncs", "contoso")
    assert (conditions["Ready"]["status"], conditions["Ready"]["reason"]) == (
        "False",
        "CredentialsRejected",
    )
    assert conditions["Stalled"]["reason"] == "CredentialsRejected"
    place.change(
        resource_at("entratenants", "contoso"), {"status": {"conditions": [samples.READY]}}
    )
    place.reconcile("syncruns", "by-hand")
    place.look()
    assert place.conditions("directorysyncs", "contoso")["Ready"]["status"] == "True"
    assert place.told["activeRun"]["name"] == "by-hand"
