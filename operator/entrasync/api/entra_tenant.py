"""EntraTenant: one Entra tenant in one Azure cloud, and the application that may sync it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from entrasync.api.common import (
    AGE_COLUMN,
    READY_COLUMN,
    REASON_COLUMN,
    ApiModel,
    CheckedStatus,
    Guid,
    LocalReference,
    PrinterColumn,
    Resource,
    ResourceDefinition,
    SecretKeyReference,
    SecretReference,
    StatusModel,
    immutable,
    rule,
)


class Transport(StrEnum):
    """How changes travel to the tenant."""

    SYNC_SERVICE_V2 = "SyncServiceV2"


class Application(ApiModel):
    """The application registration that holds ADSynchronization.ReadWrite.All."""

    validations: ClassVar[tuple[dict[str, str], ...]] = (
        rule(
            "has(self.certificateSecretRef) != has(self.clientSecretSecretRef)",
            "exactly one of `certificateSecretRef` and `clientSecretSecretRef` must be specified",
        ),
    )

    client_id: Guid
    """Application (client) id."""
    certificate_secret_ref: SecretReference | None = None
    """Secret of type kubernetes.io/tls with `tls.crt` and `tls.key`."""
    client_secret_secret_ref: SecretKeyReference | None = None
    """Key of a Secret that holds a client secret."""


class EntraTenantSpec(ApiModel):
    """A tenant, its cloud and the credential to sync it with."""

    cloud_ref: Annotated[
        LocalReference,
        Field(json_schema_extra={"x-kubernetes-validations": [immutable("cloudRef")]}),
    ]
    """The AzureCloud (cluster-scoped) this tenant lives in. Immutable."""
    tenant_id: Annotated[
        Guid, Field(json_schema_extra={"x-kubernetes-validations": [immutable("tenantId")]})
    ]
    """Tenant id, in lower case. Immutable."""
    application: Application
    """The application that syncs."""
    transport: Transport = Transport.SYNC_SERVICE_V2
    """How changes travel. Default `SyncServiceV2`: groups of up to 250,000 members."""


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


class EntraTenantStatus(CheckedStatus):
    """What the last check found."""

    company: Company | None = None
    """What the tenant says of itself."""
    endpoint: TenantEndpoint | None = None
    """The sync service as found."""


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
        ),
    )
    kind: Literal["EntraTenant"] = "EntraTenant"
    spec: EntraTenantSpec
    status: EntraTenantStatus | None = None
