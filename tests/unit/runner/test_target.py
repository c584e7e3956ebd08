"""Which endpoint a tenant is synced over, and how its application proves itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.snapshot import Snapshot
from entrasync.errors import ConfigurationError
from entrasync.runner.secret_files import SecretFiles
from entrasync.runner.target import Endpoint, connect_tenant, endpoint_of
from tests.support import samples

CLIENT = {"clientId": "7d444840-9dc0-11d1-b245-5ffdce74fad2"}
IDENTITY = CLIENT | {"workloadIdentity": {"serviceAccountName": "contoso-sync"}}


def snapshot(cloud: AzureCloud | None = None, **spec: Any) -> Snapshot:
    return Snapshot(
        run=None,
        sync=None,
        directories={},
        tenant=samples.tenant(**spec),
        cloud=cloud or samples.cloud(),
        config_maps={},
    )


def offering(**versions: int) -> AzureCloud:
    manifest = samples.cloud().to_manifest()
    manifest["spec"]["syncService"]["endpoints"] = [
        {"version": version, "maxGroupMembers": most} for version, most in versions.items()
    ]
    return AzureCloud.model_validate(manifest)


@pytest.mark.parametrize(
    ("transport", "cloud", "endpoint"),
    [
        (None, samples.cloud(), Endpoint(version="V2", max_group_members=250_000)),
        ("SyncServiceV2", offering(V2=7, V1=5), Endpoint(version="V2", max_group_members=7)),
        ("SyncServiceV1", offering(V2=7, V1=5), Endpoint(version="V1", max_group_members=5)),
        ("SyncServiceV1", offering(V1=5), Endpoint(version="V1", max_group_members=5)),
    ],
)
def test_the_transport_chooses_the_endpoint(
    transport: str | None, cloud: AzureCloud, endpoint: Endpoint
) -> None:
    spec = {} if transport is None else {"transport": transport}

    assert endpoint_of(snapshot(cloud, **spec)) == endpoint


@pytest.mark.parametrize(
    ("transport", "cloud", "reason", "told"),
    [
        ("SyncServiceV2", offering(V1=5), "EndpointNotOffered", "(it offers V1)"),
        ("SyncServiceV1", offering(V2=7), "EndpointNotOffered", "(it offers V2)"),
        ("SyncServiceV2", samples.cloud("azure-germany"), "CloudClosed", "was closed"),
        ("SyncServiceV1", samples.cloud("azure-germany"), "CloudClosed", "was closed"),
    ],
)
def test_what_the_cloud_does_not_offer_is_refused(
    transport: str, cloud: AzureCloud, reason: str, told: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        endpoint_of(snapshot(cloud, transport=transport))

    assert caught.value.reason == reason
    assert caught.value.resource == "EntraTenant/contoso"
    assert told in caught.value.message


@pytest.mark.parametrize(
    "application", [CLIENT, IDENTITY | {"certificateSecretRef": {"name": "app"}}]
)
def test_one_way_to_prove_the_application_and_no_other(
    application: dict[str, Any], tmp_path: Path
) -> None:
    with (
        pytest.raises(ConfigurationError, match="exactly one of") as caught,
        connect_tenant(snapshot(application=application), SecretFiles(folder=tmp_path)),
    ):
        pass

    assert caught.value.field == "spec.application"


def test_an_account_outside_a_job_needs_a_token_named(tmp_path: Path) -> None:
    secrets = SecretFiles(folder=tmp_path)

    with (
        pytest.raises(ConfigurationError) as caught,
        connect_tenant(snapshot(application=IDENTITY), secrets),
    ):
        pass

    assert caught.value.resource == "EntraTenant/contoso"
    assert caught.value.field == "spec.application.workloadIdentity"
    assert "contoso-sync" in caught.value.message
    assert "AZURE_FEDERATED_TOKEN_FILE" in caught.value.message
