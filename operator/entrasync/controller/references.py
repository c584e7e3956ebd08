"""Whether what a tenant names is there and may be used. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.entra_tenant import RUNNER_LABEL, EntraTenant, version_of


def reference_problem(
    tenant: EntraTenant, cloud: AzureCloud | None, account_labels: Mapping[str, str] | None
) -> tuple[str, str] | None:
    """Reason and message when what a tenant names is not there or cannot serve it."""
    if cloud is None:
        name = tenant.spec.cloud_ref.name
        return (
            "ReferenceNotFound",
            f"`spec.cloudRef`: AzureCloud {name} does not exist; see `kubectl get azurecloud`",
        )
    return cloud_problem(tenant, cloud) or account_problem(tenant, account_labels)


def cloud_problem(tenant: EntraTenant, cloud: AzureCloud) -> tuple[str, str] | None:
    """Reason and message when a cloud cannot serve a tenant."""
    name = cloud.metadata.name
    if cloud.spec.closed_time is not None:
        return (
            "CloudClosed",
            (
                f"EntraTenant/{tenant.metadata.name} `spec.cloudRef`: AzureCloud {name} was closed"
                f" at {cloud.spec.closed_time}; name the cloud the tenant was moved to"
            ),
        )
    offered = [each.version for each in cloud.spec.sync_service.endpoints]
    if version_of(tenant.spec.transport) not in offered:
        return (
            "EndpointNotOffered",
            (
                f"EntraTenant/{tenant.metadata.name} `spec.transport`: AzureCloud {name} does not"
                f" offer {tenant.spec.transport} (it offers {', '.join(offered)}); set a version it"
                " offers, or name a cloud that offers this one in `spec.cloudRef`"
            ),
        )
    return None


def account_problem(
    tenant: EntraTenant, labels: Mapping[str, str] | None
) -> tuple[str, str] | None:
    """Reason and message when runs may not work under the ServiceAccount a tenant names.

    Args:
        tenant: the tenant.
        labels: those of the ServiceAccount; `None` when it does not exist.
    """
    identity = tenant.spec.application.workload_identity
    if identity is None:
        return None
    name = identity.service_account_name
    where = f"EntraTenant/{tenant.metadata.name} `spec.application.workloadIdentity`"
    if labels is None:
        return (
            "ReferenceNotFound",
            f"{where}: ServiceAccount {name} does not exist; create it or correct the name",
        )
    if labels.get(RUNNER_LABEL) != "true":
        return (
            "ServiceAccountNotAllowed",
            (
                f"{where}: ServiceAccount {name} does not carry the label"
                f' {RUNNER_LABEL}: "true"; set it if syncs may run under this account'
            ),
        )
    return None
