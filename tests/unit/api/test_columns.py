"""The columns of `kubectl get`: is it fine, when did it work, when is it next, what went wrong."""

from __future__ import annotations

from typing import Any

import pytest

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.common import Resource
from entrasync.api.crds import RESOURCES, build_crd
from entrasync.api.directory_sync import DirectorySync
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.sync_run import SyncRun


def version_of(kind: type[Resource]) -> dict[str, Any]:
    found: dict[str, Any] = build_crd(kind)["spec"]["versions"][0]
    return found


def names(kind: type[Resource], priority: int) -> str:
    columns = version_of(kind)["additionalPrinterColumns"]
    return ", ".join(
        each["name"].upper() for each in columns if each.get("priority", 0) == priority
    )


@pytest.mark.parametrize(
    ("kind", "shown", "wide"),
    [
        (AzureCloud, "READY, ENDPOINTS, AGE", ""),
        (EntraTenant, "CLOUD, ENDPOINT, READY, REASON, AGE", "MESSAGE"),
        (ActiveDirectory, "DOMAIN, DELTA, READY, REASON, AGE", "MESSAGE"),
        (DirectorySync, "READY, STATUS, LAST SUCCESS, NEXT, USERS, GROUPS, AGE", "MESSAGE"),
        (
            SyncRun,
            "SYNC, MODE, SCOPE, PHASE, ADDED, UPDATED, DELETED, FAILED, DURATION, AGE",
            "REASON, MESSAGE",
        ),
    ],
)
def test_columns(kind: type[Resource], shown: str, wide: str) -> None:
    assert (names(kind, 0), names(kind, 1)) == (shown, wide)


@pytest.mark.parametrize("kind", RESOURCES)
def test_every_column_shows_something_of_the_schema(kind: type[Resource]) -> None:
    version = version_of(kind)
    schema = version["schema"]["openAPIV3Schema"]
    schema["properties"]["metadata"] = {"properties": {"creationTimestamp": {"type": "string"}}}
    for column in version["additionalPrinterColumns"]:
        path = column["jsonPath"].split("[?")[0].strip(".")
        node = schema
        for member in path.split("."):
            node = node["properties"][member]
        if "[?" in column["jsonPath"]:
            member = column["jsonPath"].rpartition(".")[2]
            node = node["items"]["properties"][member]
        assert column["type"] in {node["type"], "date"}, column


def test_a_time_that_may_lie_ahead_is_no_date() -> None:
    """kubectl prints `<invalid>` for a date of the future."""
    columns = version_of(DirectorySync)["additionalPrinterColumns"]
    assert {each["name"]: each["type"] for each in columns}["Next"] == "string"
