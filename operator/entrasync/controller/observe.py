"""Reading everything a decision about a sync rests on."""

from __future__ import annotations

from dataclasses import dataclass

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.directory_sync import DirectorySync
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.sync_run import SYNC_FIELD, SyncRun
from entrasync.controller.claims import TenantClaims
from entrasync.controller.classes import class_problem
from entrasync.controller.decide import ObservedSync
from entrasync.controller.resources import Resources


@dataclass(slots=True, frozen=True, kw_only=True)
class Observer:
    """Reads resources together with those they name.

    Attributes:
        resources: our kinds.
        claims: owners of tenants.
    """

    resources: Resources
    claims: TenantClaims

    def observe(self, sync: DirectorySync) -> ObservedSync:
        """Everything a decision rests on; claims the tenant where that is wanted."""
        namespace = sync.metadata.namespace
        tenant = self.resources.get(EntraTenant, namespace, sync.spec.target.entra_tenant_ref.name)
        cloud = None
        claimed_by = None
        account_labels = None
        if tenant is not None:
            cloud = self.resources.get(AzureCloud, None, tenant.spec.cloud_ref.name)
            account_labels = self.resources.account_labels(tenant)
        if tenant is not None and cloud is not None and class_problem(sync, [tenant]) is None:
            claimed_by = self.claims.settle(sync, cloud, tenant)
        directories = {}
        for source in sync.spec.sources:
            wanted = source.active_directory_ref.name
            found = self.resources.get(ActiveDirectory, namespace, wanted)
            if found is not None:
                directories[wanted] = found
        runs = self.resources.list(SyncRun, namespace, fields={SYNC_FIELD: sync.metadata.name})
        return ObservedSync(
            sync=sync,
            tenant=tenant,
            cloud=cloud,
            directories=directories,
            runs=runs,
            claimed_by=claimed_by,
            account_labels=account_labels,
        )
