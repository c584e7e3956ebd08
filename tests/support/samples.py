"""Resources for tests, small and whole."""

from __future__ import annotations

import datetime as dt
from typing import Any

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.directory_sync import DirectorySync
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.shipped_clouds import shipped_clouds
from entrasync.api.sync_run import SyncRun

NOW = dt.datetime(2026, 3, 14, 15, 9, 26, tzinfo=dt.UTC)
READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Accepted",
    "message": "",
    "observedGeneration": 1,
    "lastTransitionTime": "2026-03-14T12:00:00Z",
}


def cloud(name: str = "azure-commercial") -> AzureCloud:
    return next(c for c in shipped_clouds() if c.metadata.name == name)


def tenant(*, ready: bool = True, **spec: Any) -> EntraTenant:
    manifest: dict[str, Any] = {
        "metadata": {"name": "contoso", "namespace": "identity", "uid": "u-tenant"},
        "spec": {
            "cloudRef": {"name": "azure-commercial"},
            "tenantId": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
            "application": {
                "clientId": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
                "certificateSecretRef": {"name": "contoso-entra-app"},
            },
        }
        | spec,
    }
    if ready:
        valid = READY | {"type": "CredentialsValid"}
        manifest["status"] = {"lastCheckGeneration": 1, "conditions": [READY, valid]}
    return EntraTenant.model_validate(manifest)


def directory(*, ready: bool = True, **spec: Any) -> ActiveDirectory:
    manifest: dict[str, Any] = {
        "metadata": {"name": "contoso", "namespace": "identity", "uid": "u-directory"},
        "spec": {
            "servers": ["ldaps://dc1.contoso.test"],
            "baseDN": "DC=contoso,DC=test",
            "bindSecretRef": {"name": "contoso-ad-reader"},
            "caProvider": {"type": "ConfigMap", "name": "contoso-ca"},
        }
        | spec,
    }
    if ready:
        manifest["status"] = {"lastCheckGeneration": 1, "conditions": [READY]}
    return ActiveDirectory.model_validate(manifest)


def sync(
    status: dict[str, Any] | None = None, *, generation: int = 1, **spec: Any
) -> DirectorySync:
    manifest: dict[str, Any] = {
        "metadata": {
            "name": "contoso",
            "namespace": "identity",
            "uid": "u-sync",
            "generation": generation,
        },
        "spec": {
            "sources": [{"name": "contoso", "activeDirectoryRef": {"name": "contoso"}}],
            "target": {"entraTenantRef": {"name": "contoso"}},
        }
        | spec,
    }
    if status is not None:
        manifest["status"] = status
    return DirectorySync.model_validate(manifest)


def run(name: str = "contoso-1", phase: str | None = None, **more: Any) -> SyncRun:
    manifest: dict[str, Any] = {
        "metadata": {
            "name": name,
            "namespace": "identity",
            "uid": f"u-{name}",
            "labels": {"entrasync.dev/trigger": "Schedule", "entrasync.dev/sync": "contoso"},
            "creationTimestamp": "2026-03-14T15:00:00Z",
        }
        | more.pop("metadata", {}),
        "spec": {"directorySyncRef": {"name": "contoso"}} | more.pop("spec", {}),
    }
    if phase is not None:
        manifest["status"] = {"phase": phase}
    return SyncRun.model_validate(manifest)


def last_run(
    start: dt.datetime, phase: str = "Succeeded", generation: int = 1, **more: Any
) -> dict[str, Any]:
    """A status in which one run has ended."""
    summary = {
        "name": "contoso-0",
        "phase": phase,
        "reason": "Synchronized" if phase == "Succeeded" else "RunFailed",
        "startTime": start.isoformat(),
        "completionTime": start.isoformat(),
        "generation": generation,
    } | more
    return {"lastRun": summary, "history": [summary], "observedGeneration": generation}
