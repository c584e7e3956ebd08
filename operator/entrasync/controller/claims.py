"""One owner per tenant, kept by a Lease that never expires.

A Lease names its holder by namespace and uid, and whom it was taken from until nothing of that one
works any longer. Whoever holds a Lease may write to the tenant; each step rests on what the API
server says at that moment, and is refused where somebody else was faster:

- a Lease that is not there is created, and only one creation is accepted;
- a Lease whose holder is gone, or only previews, is replaced at the resourceVersion it was read at;
- who took a Lease over then waits until no Job and no pod of the one before is left, and who made
  a Job then looks whether the Lease is still its own: of two who do both at once, one sees the
  other.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

import structlog

from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.directory_sync import DELETION_FINALIZER, DirectorySync, SyncMode
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.sync_run import SYNC_LABEL
from entrasync.controller.conditions import TRUE, find
from entrasync.controller.gateway import ApiError, Gateway, lease_path, resource_path
from entrasync.controller.leases import (
    NAMESPACE_LABEL,
    TAKEN_FROM,
    Held,
    Holding,
    Lease,
    annotations_of,
    holder_of,
    identity_of,
    labels_of,
    new_lease,
    owner_of,
)
from entrasync.controller.manifests import MANAGED_SELECTOR
from entrasync.controller.tenant_names import lease_name
from entrasync.controller.working import work_left

FORBIDDEN: Final = 403


class TenantClaims:
    """Takes and releases tenants.

    Args:
        gateway: the API.
        namespace: where the Leases lie; the same for all operators of a cluster.
    """

    def __init__(self, gateway: Gateway, namespace: str) -> None:
        self._gateway = gateway
        self._namespace = namespace

    def settle(self, sync: DirectorySync, cloud: AzureCloud, tenant: EntraTenant) -> Held | None:
        """Claims the tenant for a sync in mode Apply, releases it for one in Preview.

        A tenant is claimed only once its credentials were found valid: whoever merely knows the id
        of somebody else's tenant must not keep its owner from it.

        Returns:
            Who else holds it; `None` when nobody does, or the sync does not want it.
        """
        name = lease_name(cloud, tenant)
        lease = self._gateway.get(lease_path(self._namespace, name))
        if not _wants(sync):
            if lease is not None and identity_of(lease) == holder_of(sync):
                self._release(lease, sync.metadata.namespace or "", sync.metadata.name)
            return None
        if lease is None:
            if not _is_proven(tenant):
                return None
            self._release_others(sync, kept=name)
            made = new_lease(name, self._namespace, sync)
            self._gateway.create(lease_path(self._namespace), made)
            return self._settled(name, sync)
        if identity_of(lease) == holder_of(sync):
            return self._predecessor(lease)
        held = self._held(lease)
        if held is not None or not _is_proven(tenant):
            return held
        self._release_others(sync, kept=name)
        self._gateway.replace(self._path_of(lease), self._taken_over(lease, sync))
        return self._settled(name, sync)

    def owns(self, sync: DirectorySync, cloud: AzureCloud, tenant: EntraTenant) -> bool:
        """Whether a sync holds a tenant at this moment; nothing is changed."""
        lease = self._gateway.get(lease_path(self._namespace, lease_name(cloud, tenant)))
        return lease is not None and identity_of(lease) == holder_of(sync)

    def release(self, namespace: str, name: str) -> bool:
        """Releases what a DirectorySync that is gone held.

        Returns:
            False while something of it is still at work: it must be tried again.
        """
        done = True
        for lease in self._leases_of(namespace, name):
            try:
                if self._find(lease) is None:
                    done &= self._release(lease, namespace, name)
            except ApiError as error:
                if error.status != FORBIDDEN:
                    raise
                # our rights there went with the namespace: who wants the tenant is told what to do
                structlog.get_logger().warning("claim_left", lease=self._name_of(lease))
        return done

    def release_abandoned(self) -> None:
        """Releases what all syncs held that are gone, for an operator that starts.

        Deletions that nobody watched are noticed by it; whoever wants such a tenant does not
        depend on it.
        """
        by_namespace: defaultdict[str, list[Lease]] = defaultdict(list)
        for lease in self._gateway.list(lease_path(self._namespace), MANAGED_SELECTOR):
            namespace = identity_of(lease).partition("/")[0]
            if namespace:
                by_namespace[namespace].append(lease)
        for namespace, leases in by_namespace.items():
            try:
                found = self._gateway.list(resource_path("directorysyncs", namespace))
            except ApiError as error:
                if error.status != FORBIDDEN:
                    raise
                continue  # another operator's
            alive = {f"{namespace}/{each['metadata']['uid']}" for each in found}
            for lease in leases:
                if identity_of(lease) not in alive:
                    self._release(lease, namespace, labels_of(lease).get(SYNC_LABEL, ""))

    # --- taking ----------------------------------------------------------------------------

    def _settled(self, name: str, sync: DirectorySync) -> Held | None:
        """Whose the Lease is, after we tried to make it ours."""
        lease = self._gateway.get(lease_path(self._namespace, name))
        if lease is not None and identity_of(lease) == holder_of(sync):
            structlog.get_logger().info(
                "tenant_claimed",
                namespace=sync.metadata.namespace,
                sync=sync.metadata.name,
                lease=name,
            )
            return self._predecessor(lease)
        return self._held_by(lease or {}, Holding.OWNS)

    def _predecessor(self, lease: Lease) -> Held | None:
        """The one a Lease was taken from, while that may still be at work."""
        before = annotations_of(lease).get(TAKEN_FROM, "")
        if not before:
            return None
        namespace, _, name = before.partition("/")
        left = work_left(self._gateway, namespace, name)
        if left is not None:
            return Held(owner=before, how=Holding.ENDING, lease=self._name_of(lease), detail=left)
        del lease["metadata"]["annotations"][TAKEN_FROM]
        if self._gateway.replace(self._path_of(lease), lease):
            return None
        # nobody owns a tenant whose Lease still says otherwise: who takes it over goes by that
        return Held(
            owner=before,
            how=Holding.ENDING,
            lease=self._name_of(lease),
            detail="the Lease changed meanwhile",
        )

    def _held(self, lease: Lease) -> Held | None:
        """Who holds a Lease; `None` when it is free, or its holder gone or one that previews."""
        if not identity_of(lease):
            return None
        try:
            found = self._find(lease)
        except ApiError as error:
            if error.status != FORBIDDEN:
                raise
            return self._held_by(lease, Holding.UNSEEN)
        if found is None or found["spec"].get("mode", SyncMode.APPLY) != SyncMode.APPLY:
            return None
        return self._held_by(lease, Holding.OWNS)

    def _find(self, lease: Lease) -> dict[str, Any] | None:
        """The very sync that holds a Lease; `None` when it is gone, whoever has its name now."""
        namespace, _, uid = identity_of(lease).partition("/")
        name = labels_of(lease).get(SYNC_LABEL, "")
        if name:
            found = self._gateway.get(resource_path("directorysyncs", namespace, name))
            candidates = [found] if found else []
        else:  # a Lease that an earlier version made
            candidates = self._gateway.list(resource_path("directorysyncs", namespace))
        return next((each for each in candidates if each["metadata"]["uid"] == uid), None)

    def _taken_over(self, lease: Lease, sync: DirectorySync) -> Lease:
        """A Lease as it is to be, at the version it was read at."""
        # while the one before is noted, the holder itself never was at work
        before = annotations_of(lease).get(TAKEN_FROM, "") or owner_of(lease)
        made = new_lease(lease["metadata"]["name"], self._namespace, sync, before)
        made["metadata"]["resourceVersion"] = lease["metadata"]["resourceVersion"]
        return made

    # --- releasing -------------------------------------------------------------------------

    def _release(self, lease: Lease, namespace: str, name: str) -> bool:
        """Deletes a Lease, unless something of its holder, or of the one before, is still at work.

        With the Lease the note would go whom it was taken from, and whoever claims the tenant next
        would not wait for that one.
        """
        for at_work in (f"{namespace}/{name}", annotations_of(lease).get(TAKEN_FROM, "")):
            where, _, who = at_work.partition("/")
            if who and work_left(self._gateway, where, who) is not None:
                return False
        self._gateway.delete(
            self._path_of(lease), resource_version=lease["metadata"]["resourceVersion"]
        )
        return True

    def _release_others(self, sync: DirectorySync, *, kept: str) -> None:
        """Releases tenants a sync held before its EntraTenant or AzureCloud named this one."""
        namespace, name = sync.metadata.namespace or "", sync.metadata.name
        for lease in self._leases_of(namespace, name):
            if lease["metadata"]["name"] != kept and identity_of(lease) == holder_of(sync):
                self._release(lease, namespace, name)

    def _leases_of(self, namespace: str, name: str) -> list[Lease]:
        selector = f"{MANAGED_SELECTOR},{NAMESPACE_LABEL}={namespace},{SYNC_LABEL}={name}"
        return self._gateway.list(lease_path(self._namespace), selector)

    # --- names -----------------------------------------------------------------------------

    def _held_by(self, lease: Lease, how: Holding) -> Held:
        found = owner_of(lease) or "of another operator"
        return Held(owner=found, how=how, lease=self._name_of(lease))

    def _path_of(self, lease: Lease) -> str:
        return lease_path(self._namespace, lease["metadata"]["name"])

    def _name_of(self, lease: Lease) -> str:
        return f"{self._namespace}/{lease.get('metadata', {}).get('name', '')}"


def _is_proven(tenant: EntraTenant) -> bool:
    """Whether a check has found that the credentials of a tenant are accepted there."""
    valid = find(tenant.status.conditions, "CredentialsValid") if tenant.status else None
    return valid is not None and valid.status == TRUE


def _wants(sync: DirectorySync) -> bool:
    """Whether a sync is to own its tenant; one that is being deleted keeps it for its last run."""
    if sync.spec.mode is not SyncMode.APPLY:
        return False
    return not sync.metadata.deletion_timestamp or DELETION_FINALIZER in sync.metadata.finalizers
