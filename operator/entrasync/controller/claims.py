"""One owner per tenant, kept by a Lease that never expires."""

from __future__ import annotations

import hashlib
from typing import Any

from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.directory_sync import DirectorySync, SyncMode
from entrasync.api.entra_tenant import EntraTenant
from entrasync.controller.gateway import Gateway, lease_path, resource_path
from entrasync.controller.manifests import MANAGED_BY, MANAGED_SELECTOR


def lease_name(cloud: AzureCloud, tenant: EntraTenant) -> str:
    """Name of the Lease of a tenant: the same for every resource that names this tenant."""
    text = f"{cloud.spec.environment}/{tenant.spec.tenant_id.lower()}"
    return f"entrasync-tenant-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def holder_of(sync: DirectorySync) -> str:
    """How a sync is named in the Lease."""
    return f"{sync.metadata.namespace}/{sync.metadata.uid}"


class TenantClaims:
    """Takes and releases tenants.

    Args:
        gateway: the API.
        namespace: where the Leases lie.
    """

    def __init__(self, gateway: Gateway, namespace: str) -> None:
        self._gateway = gateway
        self._namespace = namespace

    def settle(self, sync: DirectorySync, cloud: AzureCloud, tenant: EntraTenant) -> str | None:
        """Claims the tenant for a sync in mode Apply, releases it for one in Preview.

        Returns the other owner as `namespace/name`, `None` when there is none.
        """
        name = lease_name(cloud, tenant)
        path = lease_path(self._namespace, name)
        lease = self._gateway.get(path)
        wants = sync.spec.mode is SyncMode.APPLY and not sync.metadata.deletion_timestamp
        if lease is None:
            if wants:
                self._gateway.create(lease_path(self._namespace), self._manifest(name, sync))
                return self._other(self._gateway.get(path), sync)
            return None
        held_by_us = lease.get("spec", {}).get("holderIdentity") == holder_of(sync)
        if not wants:
            if held_by_us:
                self._gateway.delete(path)
            return None
        other = self._other(lease, sync)
        if other is not None or held_by_us:
            return other
        lease["spec"]["holderIdentity"] = holder_of(sync)
        self._gateway.replace(path, lease)
        return self._other(self._gateway.get(path), sync)

    def release_abandoned(self) -> None:
        """Releases the tenants of syncs that are gone: a Lease has no owner to go with."""
        for lease in self._gateway.list(lease_path(self._namespace), MANAGED_SELECTOR):
            holder = lease["spec"].get("holderIdentity", "")
            if self._holding(holder) is None:
                self._gateway.delete(lease_path(self._namespace, lease["metadata"]["name"]))

    def _other(self, lease: dict[str, Any] | None, sync: DirectorySync) -> str | None:
        """Who else holds a Lease; a holder that is gone or only previews holds nothing."""
        holder = (lease or {}).get("spec", {}).get("holderIdentity", "")
        if not holder or holder == holder_of(sync):
            return None
        found = self._holding(holder)
        if found is None:
            return None
        applies = found["spec"].get("mode", "Apply") == "Apply"
        if not applies or "deletionTimestamp" in found["metadata"]:
            return None
        return f"{found['metadata']['namespace']}/{found['metadata']['name']}"

    def _holding(self, holder: str) -> dict[str, Any] | None:
        """The sync a Lease names; `None` when it is gone."""
        namespace, _, uid = holder.partition("/")
        found = self._gateway.list(resource_path("directorysyncs", namespace))
        return next((each for each in found if each["metadata"]["uid"] == uid), None)

    def _manifest(self, name: str, sync: DirectorySync) -> dict[str, Any]:
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {
                "name": name,
                "namespace": self._namespace,
                "labels": dict(MANAGED_BY),
            },
            "spec": {"holderIdentity": holder_of(sync)},
        }
