"""Checks of tenants and directories: when they begin, what they leave, and what goes again."""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any, Final, cast

import pytest

from entrasync.api.common import API_VERSION
from entrasync.api.result import CheckOutcome, RunResult
from entrasync.controller.check_pace import BURST
from entrasync.controller.checks import KEPT_CHECKS, CheckReconciler
from entrasync.controller.gateway import Gateway
from entrasync.controller.resources import Resources
from tests.support import samples
from tests.support.memory_api import Watcher
from tests.support.memory_cluster import Cluster, resource_at
from tests.support.samples import NOW

MINUTE: Final = dt.timedelta(minutes=1)
TENANT: Final = resource_at("entratenants", "contoso")
DIRECTORY: Final = resource_at("activedirectories", "contoso")


def made() -> Cluster:
    return Cluster(
        samples.cloud(), samples.tenant(ready=False), samples.directory(ready=False), samples.sync()
    )


def check_runs(cluster: Cluster) -> list[str]:
    return [
        run["metadata"]["name"]
        for run in cluster.of_kind("SyncRun")
        if run["spec"].get("mode") == "Check"
    ]


def open_check(cluster: Cluster) -> str:
    """The one check run that has not ended."""
    (found,) = [
        run["metadata"]["name"]
        for run in cluster.of_kind("SyncRun")
        if "completionTime" not in run.get("status", {})
    ]
    return str(found)


def look(cluster: Cluster, plural: str = "activedirectories") -> dt.datetime | None:
    return cluster.reconcile(plural, "contoso")


def end_check(
    cluster: Cluster, reason: str = "Accepted", plural: str = "activedirectories"
) -> None:
    """The check that is open ends with a verdict, and the operator looks at what it was about."""
    name, good = open_check(cluster), reason == "Accepted"
    verdict = CheckOutcome(ok=good, reason=reason, message=f"{reason} it is")
    checks: dict[str, Any] = (
        {"tenant_check": verdict}
        if plural == "entratenants"
        else {"directory_checks": {"contoso": verdict}}
    )
    outcome = "Succeeded" if good else "Failed"
    cluster.reconcile("syncruns", name)
    cluster.finish(
        name, RunResult(outcome=outcome, reason=reason, mode="Check", **checks).to_message()
    )
    look(cluster, plural)


def ask(cluster: Cluster, value: str, at: str = DIRECTORY) -> None:
    cluster.change(at, {"metadata": {"annotations": {"entrasync.dev/run-requested-at": value}}})


@pytest.mark.parametrize("plural", ["entratenants", "activedirectories"])
def test_what_is_new_is_checked_at_once_and_says_so_before_it_is_done(plural: str) -> None:
    cluster = made()

    look(cluster, plural)

    assert len(check_runs(cluster)) == 1
    status, found = cluster.status(plural, "contoso"), cluster.conditions(plural, "contoso")
    assert status["observedGeneration"] == 1
    assert (found["Ready"]["status"], found["Ready"]["reason"]) == ("Unknown", "Checking")
    assert found["Reconciling"]["status"] == "True"
    assert [event["reason"] for event in cluster.events("contoso")] == ["Checking"]


def test_a_good_verdict_ends_it() -> None:
    cluster = made()
    look(cluster, "entratenants")

    end_check(cluster, plural="entratenants")

    found = cluster.conditions("entratenants", "contoso")
    assert list(found) == ["Ready", "CredentialsValid"]
    assert found["Ready"]["message"] == "Accepted it is"
    assert look(cluster, "entratenants") is None
    assert len(check_runs(cluster)) == 1


def test_a_second_look_writes_nothing_and_tells_nothing() -> None:
    for reason in ("Accepted", "BaseNotFound", "ServerUnreachable", "SecretNotFound"):
        cluster = made()
        look(cluster)
        look(cluster)
        end_check(cluster, reason)
        before = (cluster.objects[DIRECTORY]["metadata"]["resourceVersion"], cluster.events())
        look(cluster)
        after = (cluster.objects[DIRECTORY]["metadata"]["resourceVersion"], cluster.events())
        assert before == after


def test_while_stalled_it_is_checked_after_one_minute_doubling_to_thirty() -> None:
    cluster = made()
    look(cluster)
    waits = []
    for _ in range(7):
        end_check(cluster, "BaseNotFound")
        due = look(cluster)
        assert due is not None
        assert cluster.status("activedirectories", "contoso")["nextCheckTime"] == due.strftime(
            "%Y-%m-%dT%H:%M:%SZ"
        )
        waits.append((due - cluster.now) // MINUTE)
        cluster.now = due
        look(cluster)
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    assert cluster.conditions("activedirectories", "contoso")["Stalled"]["status"] == "True"


def test_another_trouble_begins_anew_and_a_good_check_forgets_all() -> None:
    cluster = made()
    look(cluster)
    for reason, failures in (
        ("BaseNotFound", 1),
        ("BaseNotFound", 2),
        ("CertificateNotTrusted", 1),
        ("Accepted", None),
    ):
        end_check(cluster, reason)
        status = cluster.status("activedirectories", "contoso")
        assert status.get("consecutiveFailures") == failures
        cluster.now += MINUTE * 40
        look(cluster)


def test_a_person_may_force_a_check() -> None:
    cluster = made()
    look(cluster)
    end_check(cluster, "BaseNotFound")
    ask(cluster, "now")

    due = look(cluster)
    assert due == NOW + dt.timedelta(seconds=1), "one check a second"
    cluster.now = due
    look(cluster)

    assert len(check_runs(cluster)) == 2
    assert cluster.status("activedirectories", "contoso")["lastHandledRequest"] == "now"
    look(cluster)
    end_check(cluster)
    look(cluster)
    assert len(check_runs(cluster)) == 2


def test_a_very_long_request_is_answered_once() -> None:
    cluster = made()
    look(cluster)
    end_check(cluster)
    ask(cluster, "now " * 200)
    cluster.now += MINUTE
    look(cluster)
    end_check(cluster)
    cluster.now += MINUTE
    look(cluster)
    assert len(check_runs(cluster)) == 2
    assert len(cluster.status("activedirectories", "contoso")["lastHandledRequest"]) <= 256


def test_after_a_refused_bind_one_check_may_be_forced_and_no_second_one() -> None:
    cluster = made()
    look(cluster)
    end_check(cluster, "BindRejected")
    began = len(check_runs(cluster))
    for number in range(3):
        ask(cluster, f"now{number}")
        cluster.change(DIRECTORY, {"spec": {"servers": [f"ldaps://dc{number}.contoso.test"]}})
        look(cluster)
        if number == 0:
            cluster.now += MINUTE
            end_check(cluster, "BindRejected")
    assert len(check_runs(cluster)) == began + 1

    cluster.now += MINUTE * 15
    look(cluster)

    assert open_check(cluster)


def test_a_series_of_commits_makes_no_series_of_binds() -> None:
    cluster = made()
    look(cluster)
    end_check(cluster, "BindRejected")
    for number in range(4):
        cluster.now += MINUTE
        cluster.change(DIRECTORY, {"spec": {"servers": [f"ldaps://dc{number}.contoso.test"]}})
        look(cluster)
        if number == 1:
            # the spec has changed again while it was checked: the verdict is one of the old spec
            end_check(cluster, "BindRejected")
    assert len(check_runs(cluster)) == 2
    cluster.now += MINUTE * 15
    look(cluster)
    assert len(check_runs(cluster)) == 3


def test_once_the_account_is_good_requests_are_answered_at_once_again() -> None:
    cluster = made()
    look(cluster)
    for number, reason in enumerate(("BindRejected", "Accepted", "Accepted")):
        end_check(cluster, reason)
        cluster.now += MINUTE
        ask(cluster, f"now{number}")
        look(cluster)
        assert open_check(cluster)
    assert "lastForcedCheckTime" not in cluster.status("activedirectories", "contoso")


def test_a_verdict_about_an_earlier_spec_is_told_as_such() -> None:
    cluster = made()
    look(cluster)
    cluster.change(DIRECTORY, {"spec": {"baseDN": "DC=fabrikam,DC=test"}})

    name = open_check(cluster)
    cluster.reconcile("syncruns", name)
    cluster.finish(
        name,
        RunResult(
            outcome="Succeeded",
            reason="Accepted",
            directory_checks={"contoso": CheckOutcome(ok=True, reason="Accepted")},
        ).to_message(),
    )

    status = cluster.status("activedirectories", "contoso")
    assert cluster.objects[DIRECTORY]["metadata"]["generation"] == 2
    assert (status["observedGeneration"], status["lastCheckGeneration"]) == (1, 1)
    ready = cluster.conditions("activedirectories", "contoso")["Ready"]
    assert (ready["observedGeneration"], ready["reason"]) == (1, "Accepted")

    look(cluster)

    ready = cluster.conditions("activedirectories", "contoso")["Ready"]
    assert (ready["observedGeneration"], ready["reason"]) == (2, "Checking")
    assert open_check(cluster) != name


def test_a_verdict_about_an_earlier_spec_takes_nothing_from_what_is_said_of_the_new_one() -> None:
    cluster = made()
    look(cluster)
    cluster.change(DIRECTORY, {"spec": {"baseDN": "DC=fabrikam,DC=test"}})
    look(cluster)

    end_check(cluster, "BaseNotFound")

    ready = cluster.conditions("activedirectories", "contoso")["Ready"]
    assert (ready["observedGeneration"], ready["reason"]) == (2, "Checking")
    assert open_check(cluster)


def test_a_secret_that_is_missing_stalls_after_ten_minutes_whenever_it_is_looked_at() -> None:
    cluster = made()
    look(cluster)
    end_check(cluster, "SecretNotFound")
    assert "Stalled" not in cluster.conditions("activedirectories", "contoso")
    for _ in range(5):
        due = look(cluster)
        assert due is not None
        cluster.now = due
        look(cluster)
        if cluster.now - NOW >= MINUTE * 10:
            break
        end_check(cluster, "SecretNotFound")
    due = look(cluster)
    assert cluster.now - NOW <= MINUTE * 10

    cluster.now = NOW + MINUTE * 10
    look(cluster)
    end_check(cluster, "SecretNotFound")

    found = cluster.conditions("activedirectories", "contoso")
    assert found["Stalled"]["message"] == "SecretNotFound it is"
    assert "Reconciling" not in found


def test_what_is_missing_for_ten_minutes_is_looked_at_when_they_are_over() -> None:
    cluster = made()
    cluster.remove(cluster_path("azureclouds", "azure-commercial"))
    look(cluster, "entratenants")
    assert "Stalled" not in cluster.conditions("entratenants", "contoso")

    cluster.now += MINUTE * 10
    look(cluster, "entratenants")

    found = cluster.conditions("entratenants", "contoso")
    assert found["Stalled"]["reason"] == "ReferenceNotFound"
    assert [event["reason"] for event in cluster.events("contoso")] == ["ReferenceNotFound"] * 2


def test_old_checks_go_those_of_people_stay() -> None:
    cluster = made()
    mine = samples.run(
        "mine",
        spec={
            "directorySyncRef": None,
            "activeDirectoryRef": {"name": "contoso"},
            "mode": "Check",
        },
        metadata={"labels": {}, "creationTimestamp": "2020-01-01T00:00:00Z"},
        phase="Succeeded",
    )
    assert mine.status is not None
    mine.status.completion_time = "2020-01-01T00:00:09Z"
    cluster.add(mine)
    look(cluster)
    for _ in range(5):
        end_check(cluster, "BaseNotFound")
        cluster.now += MINUTE * 31
        look(cluster)
    names = check_runs(cluster)
    assert "mine" in names
    assert len(names) == 1 + KEPT_CHECKS + 1
    assert open_check(cluster) in names


def test_a_thousand_that_are_due_together_do_not_begin_together() -> None:
    cluster = Cluster()
    for number in range(100):
        directory = samples.directory(ready=False)
        directory.metadata.name = f"ad{number}"
        directory.metadata.uid = f"u-{number}"
        cluster.add(directory)
    gateway = cast("Gateway", cluster)
    checks = CheckReconciler(gateway=gateway, resources=Resources(gateway))
    due = {
        name: checks.directory("identity", name, NOW)
        for name in (f"ad{number}" for number in range(100))
    }
    assert len(check_runs(cluster)) == BURST
    waiting = [name for name, at in due.items() if f"{name}-check" not in str(check_runs(cluster))]
    assert len(waiting) == 100 - BURST
    for name in waiting:
        status = cluster.status("activedirectories", name)
        assert status["conditions"][0]["reason"] == "Checking"
        at = due[name]
        assert at is not None
        checks.directory("identity", name, at)
    assert len(check_runs(cluster)) == 100


def test_an_operator_that_is_killed_while_it_makes_a_check_makes_no_second_one() -> None:
    class KilledError(Exception):
        pass

    def killer(calls: int) -> Watcher:
        left = itertools.count(calls, -1)

        def kill(verb: str, path: str, body: object) -> None:
            del verb, path, body
            if next(left) == 0:
                raise KilledError

        return kill

    for calls in range(12):
        cluster = made()
        cluster.watchers.append(killer(calls))
        try:
            look(cluster)
        except KilledError:
            cluster.watchers.clear()
            cluster.now += MINUTE / 6
            look(cluster)
        assert len(check_runs(cluster)) == 1
        assert len(cluster.events("contoso")) == 1


def cluster_path(plural: str, name: str) -> str:
    return f"/apis/{API_VERSION}/{plural}/{name}"
