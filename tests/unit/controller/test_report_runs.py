"""Report runs: they wait their turn, touch no status but their own, and get no Secrets."""

from __future__ import annotations

from typing import Any

import yaml

from entrasync.api.result import RunResult
from entrasync.controller.decide import Active, ObservedSync, StartRun, decide
from tests.support import samples
from tests.support.memory_cluster import Cluster
from tests.support.samples import NOW

REPORT: dict[str, Any] = {"mode": "Report", "report": {"run": "contoso-1"}}
PRINTED = RunResult(
    outcome="Succeeded", reason="Reported", message="it is in the log of pod p", mode="Report"
)


def cluster(*, ready: bool = True) -> Cluster:
    return Cluster(
        samples.cloud(), samples.tenant(ready=ready), samples.directory(), samples.sync()
    )


def test_it_is_a_job_with_the_state_and_without_a_secret() -> None:
    place = cluster()

    place.start(**REPORT)

    (job,) = place.made_jobs()
    pod = job["spec"]["template"]["spec"]
    volumes = {each["name"]: each for each in pod["volumes"]}
    claim = volumes["state"]["persistentVolumeClaim"]["claimName"]
    assert claim == "entrasync-contoso"
    assert job["spec"]["activeDeadlineSeconds"] == 1800
    assert not [each for each in volumes.values() if "secret" in each]
    assert "serviceAccountName" not in pod
    (snapshot,) = [each for each in place.objects.values() if each.get("kind") == "ConfigMap"]
    kinds = [document["kind"] for document in yaml.safe_load_all(snapshot["data"]["run.yaml"])]
    assert kinds == ["DirectorySync", "SyncRun"]
    assert place.status("syncruns", "manual")["mode"] == "Report"


def test_it_needs_neither_a_good_tenant_nor_a_directory() -> None:
    place = Cluster(samples.tenant(ready=False), samples.sync())

    place.start(**REPORT)

    assert len(place.made_jobs()) == 1


def test_it_waits_for_the_run_under_way_and_the_next_one_waits_for_it() -> None:
    place = cluster()
    place.start("first")
    place.start("report", **REPORT)
    assert place.conditions("syncruns", "report")["Ready"]["reason"] == "Queued"
    assert len(place.made_jobs()) == 1

    place.finish("first", RunResult(outcome="Succeeded", reason="Synchronized").to_message())
    place.start("second")
    place.reconcile("syncruns", "report")
    place.reconcile("syncruns", "second")

    assert [job["metadata"]["name"] for job in place.made_jobs()] == ["first", "report"]
    assert place.conditions("syncruns", "second")["Ready"]["message"] == "run report comes first"

    place.finish("report", PRINTED.to_message())
    place.reconcile("syncruns", "second")

    assert [job["metadata"]["name"] for job in place.made_jobs()][2:] == ["second"]


def test_it_does_not_wait_for_a_run_that_cannot_start() -> None:
    place = cluster(ready=False)
    place.start("stuck")
    assert place.made_jobs() == []

    place.start("report", **REPORT)

    assert [job["metadata"]["name"] for job in place.made_jobs()] == ["report"]


def test_its_end_is_its_own_and_says_where_the_report_is() -> None:
    place = cluster()
    place.start(**REPORT)
    place.reconcile("syncruns", "manual")

    place.finish("manual", PRINTED.to_message())

    status = place.status("syncruns", "manual")
    assert (status["phase"], status["mode"]) == ("Succeeded", "Report")
    assert place.conditions("syncruns", "manual")["Ready"]["message"] == PRINTED.message
    for plural in ("directorysyncs", "entratenants", "activedirectories"):
        assert "lastRun" not in place.status(plural, "contoso")
    assert place.status("directorysyncs", "contoso") == {}


def test_one_that_failed_says_nothing_against_tenant_or_directory() -> None:
    place = cluster()
    place.start(**REPORT)

    place.finish(
        "manual",
        RunResult(outcome="Failed", reason="ReportNotFound", mode="Report").to_message(),
    )

    assert place.status("syncruns", "manual")["phase"] == "Failed"
    assert place.conditions("activedirectories", "contoso")["Ready"]["status"] == "True"
    assert place.conditions("entratenants", "contoso")["Ready"]["status"] == "True"


def test_a_sync_decides_as_if_there_were_no_report() -> None:
    report = samples.run("report", phase="Running", spec=REPORT)
    run = samples.run("contoso-2", phase="Queued")
    observed = ObservedSync(
        sync=samples.sync(),
        tenant=samples.tenant(),
        cloud=samples.cloud(),
        directories={"contoso": samples.directory()},
        runs=[report],
    )

    assert isinstance(decide(observed, NOW), StartRun)
    with_run = ObservedSync(
        sync=samples.sync(),
        tenant=samples.tenant(),
        cloud=samples.cloud(),
        directories={"contoso": samples.directory()},
        runs=[report, run],
    )
    assert decide(with_run, NOW) == Active("contoso-2")
