"""What a tenant names is there, and may be used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from entrasync.api.azure_cloud import AzureCloud
from entrasync.controller.references import reference_problem
from tests.support import samples

CLIENT = {"clientId": "7d444840-9dc0-11d1-b245-5ffdce74fad2"}
IDENTITY = {"application": CLIENT | {"workloadIdentity": {"serviceAccountName": "contoso-sync"}}}
ALLOWED = {"entrasync.dev/runner": "true"}


def offering(*versions: str) -> AzureCloud:
    manifest = samples.cloud().to_manifest()
    manifest["spec"]["syncService"]["endpoints"] = [
        {"version": each, "maxGroupMembers": 50_000} for each in versions
    ]
    return AzureCloud.model_validate(manifest)


@pytest.mark.parametrize(
    ("spec", "cloud", "labels"),
    [
        ({}, samples.cloud(), None),
        ({"transport": "SyncServiceV1"}, samples.cloud(), None),
        ({"transport": "SyncServiceV1"}, offering("V1"), None),
        (IDENTITY, samples.cloud(), ALLOWED),
        (IDENTITY, samples.cloud(), ALLOWED | {"other": "label"}),
    ],
)
def test_what_is_there_and_allowed_is_no_problem(
    spec: dict[str, Any], cloud: AzureCloud, labels: Mapping[str, str] | None
) -> None:
    assert reference_problem(samples.tenant(**spec), cloud, labels) is None


@pytest.mark.parametrize(
    ("spec", "cloud", "labels", "reason", "told"),
    [
        ({}, None, None, "ReferenceNotFound", "`spec.cloudRef`: AzureCloud azure-commercial"),
        ({}, offering("V1"), None, "EndpointNotOffered", "SyncServiceV2 (it offers V1)"),
        (
            {"transport": "SyncServiceV1"},
            offering("V2"),
            None,
            "EndpointNotOffered",
            "SyncServiceV1 (it offers V2)",
        ),
        (
            {"transport": "SyncServiceV1"},
            samples.cloud("azure-germany"),
            None,
            "CloudClosed",
            "`spec.cloudRef`",
        ),
        (
            IDENTITY,
            samples.cloud(),
            None,
            "ReferenceNotFound",
            "`spec.application.workloadIdentity`: ServiceAccount contoso-sync does not exist",
        ),
        (IDENTITY, samples.cloud(), {}, "ServiceAccountNotAllowed", 'entrasync.dev/runner: "true"'),
        (
            IDENTITY,
            samples.cloud(),
            {"entrasync.dev/runner": "false"},
            "ServiceAccountNotAllowed",
            "set it",
        ),
    ],
)
def test_what_is_amiss_is_named_with_field_and_remedy(
    spec: dict[str, Any],
    cloud: AzureCloud | None,
    labels: Mapping[str, str] | None,
    reason: str,
    told: str,
) -> None:
    found = reference_problem(samples.tenant(**spec), cloud, labels)

    assert found is not None
    assert found[0] == reason
    assert told in found[1]
