"""What a run works from, as a digest: it changes with what affects results and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from entrasync.api.active_directory import ActiveDirectorySpec
from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.directory_sync import DirectorySync, DirectorySyncSpec
from entrasync.api.entra_tenant import EntraTenant, EntraTenantSpec
from entrasync.controller.inputs import _OF_NO_RESULT, call_for_a_run, inputs_of
from tests.support import samples

APPROVED = "sha256:" + "ab" * 32
OTHER_APPROVAL = "sha256:" + "cd" * 32


def digest(
    sync: DirectorySync | None = None,
    tenant: EntraTenant | None = None,
    cloud: AzureCloud | None = None,
    **directory: Any,
) -> str:
    return inputs_of(
        sync or samples.sync(),
        tenant or samples.tenant(),
        cloud or samples.cloud(),
        {"contoso": samples.directory(**directory)},
    )


@pytest.mark.parametrize(
    "same",
    [
        samples.sync(schedule={"interval": "1h"}),
        samples.sync(suspend=True),
        samples.sync(failedRunsHistoryLimit=0, successfulRunsHistoryLimit=9),
        samples.sync(reporting={"names": True}),
        samples.sync(runner={"activeDeadlineSeconds": 600}),
        samples.sync({"observedGeneration": 4}, generation=4),
        # what the API server adds as a default is no change
        samples.sync(mode="Apply", drift="Repair"),
    ],
)
def test_what_affects_no_result_changes_nothing(same: DirectorySync) -> None:
    assert digest(same) == digest()


@pytest.mark.parametrize(
    "other",
    [
        samples.sync(mode="Preview"),
        samples.sync(drift="Report"),
        samples.sync(safety={"users": {"count": 9}}),
        samples.sync(objects={"users": {"onRemoval": "Keep"}}),
    ],
)
def test_what_affects_results_changes_it(other: DirectorySync) -> None:
    assert call_for_a_run(digest(other), digest())


def test_tenant_cloud_and_directory_count_as_far_as_they_affect_results() -> None:
    assert digest(tenant=samples.tenant(writeQuotaPercent=10)) == digest()
    assert digest(tenant=samples.tenant(transport="SyncServiceV1")) != digest()
    assert digest(cloud=samples.cloud("azure-us-government")) != digest()
    assert digest(bindSecretRef={"name": "another"}) == digest()
    assert digest(servers=["ldaps://dc2.contoso.test"]) != digest()
    assert inputs_of(samples.sync(), None, None, {}) != digest()


def test_an_approval_calls_for_a_run_when_it_comes_and_not_when_it_goes() -> None:
    plain, approved = digest(), digest(samples.sync(approvedPlan=APPROVED))
    assert call_for_a_run(approved, plain)
    assert not call_for_a_run(plain, approved)
    assert not call_for_a_run(approved, approved)
    assert call_for_a_run(digest(samples.sync(approvedPlan=OTHER_APPROVAL)), approved)
    assert call_for_a_run(digest(samples.sync(drift="Report")), approved)


def test_the_fields_left_out_are_fields() -> None:
    known = {
        "DirectorySync": set(DirectorySyncSpec.model_fields),
        "EntraTenant": set(EntraTenantSpec.model_fields),
        "ActiveDirectory": set(ActiveDirectorySpec.model_fields),
    }
    for kind, fields in _OF_NO_RESULT.items():
        assert fields <= known[kind.__name__]
