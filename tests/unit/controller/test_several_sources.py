"""A sync of several directories: all of them are there, mounted, and told what concerns them."""

from __future__ import annotations

from typing import Any

import kubernetes_validate
import yaml

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.result import CheckOutcome, DirectoryFacts, RunResult
from entrasync.controller.decide import Blocked, ObservedSync, StartRun, decide
from tests.support import samples
from tests.support.memory_cluster import Cluster
from tests.support.samples import NOW

SOURCES = [
    {"name": "main", "activeDirectoryRef": {"name": "contoso"}},
    {"name": "branch", "activeDirectoryRef": {"name": "fabrikam"}},
]
SYNC = samples.sync(sources=SOURCES)


def fabrikam(*, ready: bool = True, **spec: Any) -> ActiveDirectory:
    manifest = samples.directory(ready=ready).model_dump(by_alias=True, exclude_none=True)
    manifest["metadata"] = {"name": "fabrikam", "namespace": "identity", "uid": "u-fabrikam"}
    manifest["spec"] |= {"bindSecretRef": {"name": "fabrikam-reader"}} | spec
    return ActiveDirectory.model_validate(manifest)


def observed(*directories: ActiveDirectory) -> ObservedSync:
    return ObservedSync(
        sync=SYNC,
        tenant=samples.tenant(),
        cloud=samples.cloud(),
        directories={each.metadata.name: each for each in directories},
        runs=[],
    )


def cluster(*directories: ActiveDirectory) -> Cluster:
    return Cluster(samples.cloud(), samples.tenant(), SYNC, *directories)


def test_it_runs_once_every_directory_is_there_and_checked() -> None:
    contoso = samples.directory()
    missing = decide(observed(contoso), NOW)
    unchecked = decide(observed(contoso, fabrikam(ready=False)), NOW)

    assert isinstance(missing, Blocked)
    assert "`spec.sources[1].activeDirectoryRef`: ActiveDirectory fabrikam" in missing.message
    assert isinstance(unchecked, Blocked)
    assert unchecked.checking
    assert isinstance(decide(observed(contoso, fabrikam()), NOW), StartRun)


def test_the_job_has_the_secrets_of_all_and_a_shared_certificate_once() -> None:
    place = cluster(samples.directory(), fabrikam())

    place.start()

    (job,) = place.made_jobs()
    kubernetes_validate.validate(job, "1.31", strict=True)
    pod = job["spec"]["template"]["spec"]
    mounted = {v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v}
    assert mounted == {"contoso-ad-reader", "contoso-entra-app", "fabrikam-reader"}
    (config,) = [v for v in pod["volumes"] if v["name"] == "config"]
    (snapshot,) = [each for each in place.objects.values() if each.get("kind") == "ConfigMap"]
    assert [each["configMap"]["name"] for each in config["projected"]["sources"]] == [
        snapshot["metadata"]["name"],
        "contoso-ca",
    ]
    documents = list(yaml.safe_load_all(snapshot["data"]["run.yaml"]))
    named = [d["metadata"]["name"] for d in documents if d["kind"] == "ActiveDirectory"]
    assert named == ["contoso", "fabrikam"]


def test_each_directory_gets_its_own_facts() -> None:
    place = cluster(samples.directory(), fabrikam())
    place.start()

    place.finish(
        "manual",
        RunResult(
            outcome="Succeeded",
            reason="Synchronized",
            directories={
                "contoso": DirectoryFacts(domain="contoso.test", delta_method="DirSync"),
                "fabrikam": DirectoryFacts(domain="fabrikam.test", delta_method="UsnChanged"),
            },
        ).to_message(),
    )

    for name, domain, method in (
        ("contoso", "contoso.test", "DirSync"),
        ("fabrikam", "fabrikam.test", "UsnChanged"),
    ):
        status = place.status("activedirectories", name)
        assert (status["domain"], status["deltaMethod"]) == (domain, method)


def test_a_refused_bind_is_told_to_the_directory_that_refused_it() -> None:
    place = cluster(samples.directory(), fabrikam())
    place.start()

    place.finish(
        "manual",
        RunResult(
            outcome="Failed",
            reason="BindRejected",
            resource="ActiveDirectory/fabrikam",
            permanent=True,
        ).to_message(),
    )

    ready = {
        name: place.conditions("activedirectories", name)["Ready"]
        for name in ("contoso", "fabrikam")
    }
    assert ready["contoso"]["status"] == "True"
    assert (ready["fabrikam"]["status"], ready["fabrikam"]["reason"]) == ("False", "BindRejected")
    assert place.conditions("entratenants", "contoso")["Ready"]["status"] == "True"


def test_an_unreachable_cloud_is_told_to_no_directory() -> None:
    for resource in ("EntraTenant/contoso", "AzureCloud/azure-commercial"):
        place = cluster(samples.directory(), fabrikam())
        place.start()

        place.finish(
            "manual",
            RunResult(outcome="Failed", reason="ServerUnreachable", resource=resource).to_message(),
        )

        for name in ("contoso", "fabrikam"):
            assert place.conditions("activedirectories", name)["Ready"]["status"] == "True"


def test_a_check_of_a_sync_tells_each_directory_what_was_found() -> None:
    place = cluster(samples.directory(), fabrikam())
    place.start(mode="Check")

    place.finish(
        "manual",
        RunResult(
            outcome="Failed",
            reason="BaseNotFound",
            resource="ActiveDirectory/fabrikam",
            mode="Check",
            tenant_check=CheckOutcome(ok=True, reason="Accepted"),
            directory_checks={
                "contoso": CheckOutcome(ok=True, reason="Accepted", message="Signed in."),
                "fabrikam": CheckOutcome(ok=False, reason="BaseNotFound", message="mend it"),
            },
        ).to_message(),
    )

    found = place.conditions("activedirectories", "contoso")["Ready"]
    assert (found["status"], found["message"]) == ("True", "Signed in.")
    found = place.conditions("activedirectories", "fabrikam")["Ready"]
    assert (found["status"], found["reason"]) == ("False", "BaseNotFound")


def test_one_directory_in_two_sources_is_told_once() -> None:
    twice = [SOURCES[0], {"name": "again", "activeDirectoryRef": {"name": "contoso"}}]
    place = Cluster(
        samples.cloud(), samples.tenant(), samples.directory(), samples.sync(sources=twice)
    )
    place.start()

    result = RunResult(
        outcome="Succeeded",
        reason="Synchronized",
        directories={"contoso": DirectoryFacts(domain="contoso.test")},
    )
    place.finish("manual", result.to_message())

    assert place.status("activedirectories", "contoso")["domain"] == "contoso.test"
    assert place.status("syncruns", "manual")["phase"] == "Succeeded"
