"""EntraTenant: one Entra tenant in one Azure cloud, and the application that may sync it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from entrasync.api.azure_cloud import EndpointVersion
from entrasync.api.choices import TenantTakeover
from entrasync.api.class_name import CLASS_NEVER_CHANGES, ClassName
from entrasync.api.common import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    READY_COLUMN,
    REASON_COLUMN,
    ApiModel,
    CheckedStatus,
    Guid,
    LocalReference,
    PrinterColumn,
    Resource,
    ResourceDefinition,
    ResourceName,
    SecretKeyReference,
    SecretReference,
    StatusModel,
    immutable,
    rule,
)


class Transport(StrEnum):
    """How changes travel to the tenant."""

    SYNC_SERVICE_V2 = "SyncServiceV2"
    SYNC_SERVICE_V1 = "SyncServiceV1"


def version_of(transport: Transport) -> EndpointVersion:
    """The version of the sync service that a transport speaks."""
    return EndpointVersion(transport.removeprefix("SyncService"))


RUNNER_LABEL: Final = "entrasync.dev/runner"
"""Label, with the value `true`, of ServiceAccounts that sync pods may run under: otherwise whoever
may create tenants could have a pod run under any account of the namespace."""


class WorkloadIdentity(ApiModel):
    """A ServiceAccount whose tokens the application trusts, by a federated credential."""

    service_account_name: ResourceName
    """Name of a ServiceAccount in the same namespace. It must carry the label
    `entrasync.dev/runner: "true"`. Runs and checks run under it, without its Kubernetes rights."""


class Application(ApiModel):
    """The application registration that holds ADSynchronization.ReadWrite.All."""

    validations: ClassVar[tuple[dict[str, str], ...]] = (
        rule(
            "[has(self.certificateSecretRef), has(self.clientSecretSecretRef),"
            " has(self.workloadIdentity)].exists_one(given, given)",
            "exactly one of `certificateSecretRef`, `clientSecretSecretRef` and `workloadIdentity`"
            " must be specified",
        ),
    )

    client_id: Guid
    """Application (client) id."""
    certificate_secret_ref: SecretReference | None = None
    """Secret of type kubernetes.io/tls with `tls.crt` and `tls.key`."""
    client_secret_secret_ref: SecretKeyReference | None = None
    """Key of a Secret that holds a client secret."""
    workload_identity: WorkloadIdentity | None = None
    """ServiceAccount that proves the application without any Secret; the application needs a
    federated credential for its issuer and subject, audience `api://AzureADTokenExchange`."""


class EntraTenantSpec(ApiModel):
    """A tenant, its cloud and the credential to sync it with."""

    validations: ClassVar[tuple[dict[str, str], ...]] = (CLASS_NEVER_CHANGES,)

    cloud_ref: Annotated[
        LocalReference,
        Field(json_schema_extra={"x-kubernetes-validations": [immutable("cloudRef")]}),
    ]
    """The AzureCloud (cluster-scoped) this tenant lives in. Immutable."""
    tenant_id: Annotated[
        Guid, Field(json_schema_extra={"x-kubernetes-validations": [immutable("tenantId")]})
    ]
    """Tenant id, in lower case. Immutable."""
    class_name: ClassName | None = None
    """Class of operators that serves this tenant; its syncs must be of the same. Immutable.
    Default: operators without a class."""
    application: Application
    """The application that syncs."""
    transport: Transport = Transport.SYNC_SERVICE_V2
    """How changes travel. Default `SyncServiceV2`: groups of up to 250,000 members, membership as
    changes. `SyncServiceV1`: up to 50,000, membership as whole lists; for a cloud without V2."""
    takeover: TenantTakeover = TenantTakeover.REFUSE
    """Whether a tenant may be synced that another engine synced until now. `Refuse`: no run
    exports. `FromEntraConnect`: runs export once that engine was silent for an hour. It says
    nothing of engines that come later: these always stop the export. Default `Refuse`."""
    write_quota_percent: Annotated[int, Field(ge=1, le=100)] = 80
    """Share of the tenant's 7,000 writes in 5 minutes that a sync may use, in per cent; all other
    writers of the tenant live on the rest. Default 80."""


class Company(StatusModel):
    """What the tenant says of itself."""

    display_name: Annotated[str, Field(max_length=1024)] | None = None
    """Name of the company."""
    directory_sync_enabled: bool | None = None
    """Whether directory sync is switched on in the tenant."""
    features: Annotated[list[Annotated[str, Field(max_length=256)]], Field(max_length=64)] = Field(
        default_factory=list
    )
    """Sync features switched on in the tenant."""
    max_links_per_request: int | None = None
    """Most membership changes one request may carry."""


class TenantEndpoint(StatusModel):
    """The sync service as found."""

    version: Annotated[str, Field(max_length=8)] | None = None
    """Version in use."""
    url: Annotated[str, Field(max_length=2048)] | None = None
    """Address after redirection."""


class LastExport(StatusModel):
    """The last export from here, by which one of somebody else is told apart."""

    time: Annotated[str, Field(max_length=64)] = ""
    """When it ended (RFC 3339)."""
    tenant_time: Annotated[str, Field(max_length=64)] | None = None
    """When the tenant was synced last, as it said then (RFC 3339); absent where it did not say."""


class EntraTenantStatus(CheckedStatus):
    """What the last check found."""

    company: Company | None = None
    """What the tenant says of itself."""
    endpoint: TenantEndpoint | None = None
    """The sync service as found."""
    last_export: LastExport | None = None
    """The last export from here; if the tenant was synced since, somebody else did it."""


class EntraTenant(Resource):
    """A Microsoft Entra tenant to sync into."""

    definition: ClassVar[ResourceDefinition] = ResourceDefinition(
        kind="EntraTenant",
        plural="entratenants",
        singular="entratenant",
        short_names=("etenant",),
        columns=(
            PrinterColumn(name="Cloud", type="string", json_path=".spec.cloudRef.name"),
            PrinterColumn(name="Endpoint", type="string", json_path=".status.endpoint.version"),
            READY_COLUMN,
            REASON_COLUMN,
            AGE_COLUMN,
            MESSAGE_COLUMN,
        ),
    )
    kind: Literal["EntraTenant"] = "EntraTenant"
    spec: EntraTenantSpec
    status: EntraTenantStatus | None = None
