"""What the operator makes, as golden files and valid Kubernetes objects."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import kubernetes_validate
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.snapshot import SNAPSHOT_FILE, Snapshot, load_snapshot
from entrasync.api.sync_run import Trigger
from entrasync.controller import manifests, snapshots
from entrasync.controller.environment import Environment
from entrasync.controller.runner_settings import ConfigMapKey, RunnerSettings
from tests.support import samples
from tests.support.golden import check_golden

ENVIRONMENT = Environment(
    runner_image="registry.example/entrasync:1", pull_policy="IfNotPresent", lock_namespace="ns"
)
RUN = samples.run("contoso-29412340")
SNAPSHOT = Snapshot(
    run=RUN,
    sync=samples.sync(),
    directories={"contoso": samples.directory()},
    tenant=samples.tenant(),
    cloud=samples.cloud(),
    config_maps={},
)
IDENTITY = replace(
    SNAPSHOT,
    tenant=samples.tenant(
        application={
            "clientId": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
            "workloadIdentity": {"serviceAccountName": "contoso-sync"},
        }
    ),
)
KEYTAB = replace(
    SNAPSHOT,
    directories={
        "contoso": samples.directory(
            bindSecretRef=None,
            keytabSecretRef={"name": "contoso-keytab"},
            principal="reader@CONTOSO.TEST",
        )
    },
)
PLACED = replace(
    SNAPSHOT,
    sync=samples.sync(
        runner={
            "storage": {"claimName": "contoso-state"},
            "activeDeadlineSeconds": 7200,
            "resources": {"limits": {"memory": "1Gi"}},
            "nodeSelector": {"example.org/pool": "sync"},
            "tolerations": [{"key": "spot", "operator": "Exists", "effect": "NoSchedule"}],
            "affinity": {
                "podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "labelSelector": {"matchLabels": {"app": "noisy"}},
                            "topologyKey": "kubernetes.io/hostname",
                        }
                    ]
                }
            },
            "priorityClassName": "sync",
            "podLabels": {"team": "identity", "entrasync.dev/run": "not-mine-to-say"},
            "podAnnotations": {"example.org/owner": "identity"},
        }
    ),
)
SET = replace(
    ENVIRONMENT,
    runner=RunnerSettings(
        pull_secrets=("registry",),
        https_proxy="http://proxy.example:3128",
        no_proxy=".svc",
        extra_ca=ConfigMapKey(name="extra-ca", key="ca.crt"),
    ),
)
MADE: dict[str, dict[str, Any]] = {
    "sync-run": manifests.build_sync_run(samples.sync(), RUN.metadata.name, Trigger.SCHEDULE),
    "check": manifests.build_check(samples.tenant(), "contoso-check"),
    "claim": manifests.build_claim(samples.sync()) or {},
    "config-map": snapshots.build_snapshot(RUN, SNAPSHOT),
    "job": manifests.build_job(RUN, SNAPSHOT, ENVIRONMENT, config_map="snapshot"),
    "job-workload-identity": manifests.build_job(RUN, IDENTITY, ENVIRONMENT, config_map="snapshot"),
    "job-placed": manifests.build_job(
        RUN, PLACED, ENVIRONMENT, config_map="snapshot", inputs="0123456789abcdef"
    ),
    "config-map-lost": snapshots.build_snapshot(RUN, SNAPSHOT, ["contoso-2", "contoso-1"]),
    "job-keytab": manifests.build_job(RUN, KEYTAB, ENVIRONMENT, config_map="snapshot"),
    "job-set": manifests.build_job(RUN, SNAPSHOT, SET, config_map="snapshot"),
}


@pytest.mark.parametrize("name", sorted(MADE))
def test_it_is_as_it_was(name: str) -> None:
    check_golden(f"controller/{name}", MADE[name])


@pytest.mark.parametrize(
    "name",
    ["claim", "config-map", "job", "job-keytab", "job-placed", "job-set", "job-workload-identity"],
)
def test_kubernetes_accepts_it(name: str) -> None:
    kubernetes_validate.validate(MADE[name], "1.31", strict=True)


def test_the_snapshot_can_be_run_from_and_holds_no_secret(tmp_path: Any) -> None:
    text = MADE["config-map"]["data"][SNAPSHOT_FILE]
    (tmp_path / SNAPSHOT_FILE).write_text(text)
    found = load_snapshot([tmp_path])
    assert found.sync is not None
    assert found.run is not None
    assert found.sync.spec == SNAPSHOT.sync.spec if SNAPSHOT.sync else False
    assert "Secret" not in {document["kind"] for document in yaml.safe_load_all(text)}


def test_ephemeral_state_needs_no_claim() -> None:
    sync = samples.sync(runner={"storage": {"type": "Ephemeral"}})
    assert manifests.build_claim(sync) is None


def test_a_secret_used_twice_is_mounted_once_with_both_keys() -> None:
    pod = MADE["job"]["spec"]["template"]["spec"]
    mounts = [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
    assert len(mounts) == len(set(mounts))
    for volume in pod["volumes"]:
        if "secret" in volume:
            assert volume["secret"]["optional"] is True
            assert volume["secret"]["items"]


def test_of_a_keytab_only_its_key_is_mounted() -> None:
    volumes = MADE["job-keytab"]["spec"]["template"]["spec"]["volumes"]
    items = {
        each["secret"]["secretName"]: [item["key"] for item in each["secret"]["items"]]
        for each in volumes
        if "secret" in each
    }
    assert items["contoso-keytab"] == ["keytab"]
    assert "contoso-ad-reader" not in items


def test_a_pod_under_an_account_gets_its_token_for_entra_and_none_for_kubernetes() -> None:
    pod = MADE["job-workload-identity"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    variables = {each["name"]: each["value"] for each in container["env"]}
    mounts = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    volumes = {each["name"]: each for each in pod["volumes"]}

    (source,) = volumes["workload-identity"]["projected"]["sources"]
    token = source["serviceAccountToken"]
    assert token["audience"] == "api://AzureADTokenExchange"
    where = f"{mounts['workload-identity']}/{token['path']}"
    assert variables["AZURE_FEDERATED_TOKEN_FILE"] == where
    assert pod["serviceAccountName"] == "contoso-sync"
    assert pod["automountServiceAccountToken"] is False
    assert not [each for each in mounts.values() if "contoso-entra-app" in each]


@given(st.from_regex(r"[a-z]([-a-z0-9.]{0,250}[a-z0-9])?", fullmatch=True))
def test_job_names_fit_and_differ(name: str) -> None:
    found = manifests.job_name(samples.run(name))
    assert len(found) <= manifests.JOB_NAME_LENGTH
    assert "." not in found
    assert found != manifests.job_name(samples.run(name + "x"))
