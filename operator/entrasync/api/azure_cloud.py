"""AzureCloud: the hosts of one Azure cloud and the sync endpoints it offers."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from entrasync.api.common import (
    AGE_COLUMN,
    READY_COLUMN,
    ApiModel,
    Conditions,
    HttpsUrl,
    PemText,
    PrinterColumn,
    Resource,
    ResourceDefinition,
    StatusModel,
    rule,
)

MICROSOFT_LOGIN_HOSTS: Final = (
    "https://login.microsoftonline.com",
    "https://login.microsoftonline.us",
    "https://login.microsoftonline.de",
    "https://login.partner.microsoftonline.cn",
    "https://login.chinacloudapi.cn",
)


class Environment(StrEnum):
    """The Azure clouds Microsoft runs or ran, and `Custom` for everything else."""

    COMMERCIAL = "Commercial"
    US_GOVERNMENT = "USGovernment"
    US_GOVERNMENT_DOD = "USGovernmentDoD"
    CHINA = "China"
    GERMANY = "Germany"
    CUSTOM = "Custom"


class EndpointVersion(StrEnum):
    """The two sets of operations of the sync service."""

    V1 = "V1"
    V2 = "V2"


class SyncEndpoint(ApiModel):
    """One version of the sync service that this cloud offers."""

    version: EndpointVersion
    """Version of the operations: `V2` or `V1`."""
    max_group_members: Annotated[int, Field(ge=1, le=1_000_000)]
    """Most members a group may have over this version."""


class SyncService(ApiModel):
    """Where the sync service is."""

    url: HttpsUrl
    """First host asked; the tenant's own host comes by redirection."""
    redirect_suffixes: Annotated[
        list[Annotated[str, Field(max_length=253, pattern=r"^\.[A-Za-z0-9.-]+$")]],
        Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"}),
    ] = Field(default_factory=list)
    """Host suffixes a redirection may lead to, each beginning with a dot. The token travels in the
    request, so nothing else is followed. Default: only the host of `url` itself."""
    endpoints: Annotated[
        list[SyncEndpoint],
        Field(
            min_length=1,
            max_length=2,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["version"],
            },
        ),
    ]
    """Versions this cloud offers."""


class AzureCloudSpec(ApiModel):
    """Hosts and capabilities of one Azure cloud."""

    validations: ClassVar[tuple[dict[str, str], ...]] = (
        rule(
            "self.environment == 'Custom' || self.loginAuthority in ["
            + ", ".join(f"'{host}'" for host in MICROSOFT_LOGIN_HOSTS)
            + "]",
            "`loginAuthority` must be a login host of Microsoft unless `environment` is Custom",
            ".loginAuthority",
        ),
        rule(
            "self.environment != 'Germany'"
            " || !self.syncService.endpoints.exists(e, e.version == 'V2')",
            "Azure Germany never offered V2: `syncService.endpoints` must list V1 only",
            ".syncService.endpoints",
        ),
        rule(
            "!has(self.caBundle) || self.environment == 'Custom'",
            "`caBundle` may only be specified when `environment` is Custom",
            ".caBundle",
        ),
    )

    environment: Environment
    """Which Azure cloud this is."""
    login_authority: HttpsUrl
    """Where tokens are issued."""
    microsoft_graph: HttpsUrl | None = None
    """Root of Microsoft Graph."""
    sync_service: SyncService
    """The directory synchronization service."""
    ca_bundle: PemText | None = None
    """PEM certificates to trust in addition; only for `environment: Custom`."""
    closed_time: (
        Annotated[str, Field(max_length=32, json_schema_extra={"format": "date-time"})] | None
    ) = None
    """When this cloud was closed (RFC 3339); tenants of a closed cloud are refused."""


class AzureCloudStatus(StatusModel):
    """What the operator found."""

    observed_generation: int | None = None
    """Generation of the spec this status speaks of."""
    endpoint_versions: Annotated[str, Field(max_length=64)] | None = None
    """Versions on offer, newest first."""
    conditions: Conditions = Field(default_factory=list)
    """Ready; Available."""


class AzureCloud(Resource):
    """An Azure cloud: its hosts and which sync endpoints it offers."""

    definition: ClassVar[ResourceDefinition] = ResourceDefinition(
        kind="AzureCloud",
        plural="azureclouds",
        singular="azurecloud",
        short_names=("azc",),
        cluster_scoped=True,
        columns=(
            READY_COLUMN,
            PrinterColumn(name="Endpoints", type="string", json_path=".status.endpointVersions"),
            AGE_COLUMN,
        ),
    )
    kind: Literal["AzureCloud"] = "AzureCloud"
    spec: AzureCloudSpec
    status: AzureCloudStatus | None = None
