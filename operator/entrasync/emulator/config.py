"""The emulator's configuration file, and the tenant it has without one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from entrasync.api.azure_cloud import EndpointVersion
from entrasync.api.common import ApiModel, Guid, HttpsUrl, PemText, ResourceName
from entrasync.entra.contracts import SERVICE_APPLICATION, SERVICE_ROLE, SyncObjectType
from entrasync.errors import ConfigurationError

DEFAULT_HOSTNAMES: Final = ("localhost", "127.0.0.1")
_DEFAULT_LIMITS: Final = {EndpointVersion.V2: 250_000, EndpointVersion.V1: 50_000}
_Domain = Annotated[str, Field(max_length=253, pattern=r"^[a-zA-Z0-9.-]+$")]
_Host = Annotated[str, Field(max_length=253, pattern=r"^[A-Za-z0-9.:\[\]-]+$")]
_Value = bool | int | str | list[str]


class Application(ApiModel):
    """An application registration; without any credential it gets a certificate made for it."""

    client_id: Guid
    """Application (client) id."""
    client_secret: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """A client secret, in clear: this is no real cloud."""
    certificate: PemText | None = None
    """Public certificate (PEM)."""
    roles: list[str] = Field(default_factory=lambda: [SERVICE_ROLE])
    """Application roles that tokens carry."""


class SeedObject(ApiModel):
    """An object that is in the tenant before anybody syncs."""

    type: SyncObjectType
    """User, Group, Contact or Device."""
    source_anchor: Annotated[str, Field(max_length=256)] | None = None
    """Anchor it was synced with; without one the object is cloud-only."""
    attributes: dict[str, _Value] = Field(default_factory=dict)
    """Attributes by their wire names, such as `userPrincipalName`."""
    members: list[str] = Field(default_factory=list)
    """SourceAnchors of members that stand earlier in the list."""


class Seed(ApiModel):
    """How many objects somebody else has synced before."""

    users: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Users with anchors of their own."""


class Switches(ApiModel):
    """Misbehaviour and limits that can be changed while the emulator runs."""

    redirects: Annotated[int, Field(ge=0, le=1000)] = 0
    """How many of the next requests are sent to the address they came to, before one is served."""
    redirect_host: _Host | None = None
    """The tenant's own host, `host` or `host:port`: requests to any other are sent there."""
    busy_every: Annotated[int, Field(ge=0)] = 0
    """Every so many requests one is answered with fault 81; 0: none."""
    sync_off: bool = False
    """Directory sync is not activated, whatever the tenant says."""
    v2_off: bool = False
    """The operations of V2 do not exist, as in a cloud like Azure Germany."""
    minimum_build: Annotated[str, Field(pattern=r"^\d+(\.\d+){0,3}$", max_length=64)] | None = None
    """Lowest Entra Connect build that is served."""
    max_links_per_request: Annotated[int, Field(ge=1)] = 15_000
    """Most membership changes of one request over V2."""
    read_back_page_size: Annotated[int, Field(ge=1)] = 500
    """Objects in one answer of a read-back."""
    max_group_members: dict[EndpointVersion, Annotated[int, Field(ge=1)]] = Field(
        default_factory=lambda: dict(_DEFAULT_LIMITS)
    )
    """Most members of a group by version; a version left out has its usual limit."""

    def group_limit(self, version: EndpointVersion) -> int:
        """Most members a group may have over this version."""
        return self.max_group_members.get(version, _DEFAULT_LIMITS[version])


class Tenant(ApiModel):
    """One Entra tenant."""

    tenant_id: Guid
    """Tenant id, in lower case."""
    display_name: Annotated[str, Field(min_length=1, max_length=256)] = "Contoso"
    """Name of the company."""
    initial_domain: _Domain = "contoso.onmicrosoft.com"
    """Domain every tenant has; it replaces UPN suffixes that are not verified."""
    verified_domains: list[_Domain] = Field(default_factory=list)
    """Domains UPNs may use, beside the initial one."""
    directory_sync_enabled: bool = True
    """Whether directory sync is switched on."""
    duplicate_attribute_resiliency: bool = True
    """Quarantine a value that is taken, instead of refusing the object."""
    soft_match_on_upn: bool = True
    """Whether a UPN may match a cloud-only user."""
    block_soft_match: bool = False
    """Refuse every soft match."""
    applications: Annotated[list[Application], Field(min_length=1)]
    """Applications that may ask for tokens."""
    seed: Seed = Seed()
    """Objects somebody else has synced, made up."""
    objects: list[SeedObject] = Field(default_factory=list)
    """Objects that are there before, named."""
    faults: Switches | None = None
    """Switches of this tenant, instead of those at the top."""


class Tls(ApiModel):
    """Certificates of the server."""

    hostnames: Annotated[list[_Host], Field(min_length=1)] = Field(
        default_factory=lambda: list(DEFAULT_HOSTNAMES)
    )
    """DNS names and IP addresses of a certificate made at start; the first stands in addresses."""
    cert_file: Path | None = None
    """Certificate chain (PEM) instead of one made at start."""
    key_file: Path | None = None
    """Private key (PEM) of `certFile`."""
    ca_file: Path | None = None
    """Certificates (PEM) clients must trust for `certFile`."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("`certFile` and `keyFile` must be given together")
        if self.ca_file is not None and self.cert_file is None:
            raise ValueError("`caFile` may only be given with `certFile`")
        return self


class EmulatorConfig(ApiModel):
    """An Azure cloud with its tenants."""

    name: ResourceName = "emulator"
    """Name of the AzureCloud that is printed."""
    namespace: ResourceName = "default"
    """Namespace of the EntraTenants that are printed."""
    public_url: HttpsUrl | None = None
    """Where clients reach it; default: the first host name and the port."""
    tls: Tls = Tls()
    """Certificates of the server."""
    endpoint_versions: Annotated[list[EndpointVersion], Field(min_length=1)] = Field(
        default_factory=lambda: [EndpointVersion.V2, EndpointVersion.V1]
    )
    """Versions on offer; without V2 its operations do not exist."""
    audience: Annotated[list[str], Field(min_length=1)] = Field(
        default_factory=lambda: [SERVICE_APPLICATION]
    )
    """Audiences of tokens the sync service takes."""
    faults: Switches = Switches()
    """Misbehaviour and limits of every tenant."""
    tenants: Annotated[list[Tenant], Field(min_length=1)]
    """The tenants."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        ids = [tenant.tenant_id for tenant in self.tenants]
        if len(set(ids)) != len(ids):
            raise ValueError("two `tenants` have the same `tenantId`")
        return self


def default_config(tenant_id: str, client_id: str) -> EmulatorConfig:
    """One tenant whose application gets a certificate made for it."""
    return EmulatorConfig(
        tenants=[
            Tenant(
                tenant_id=tenant_id,
                verified_domains=["contoso.test", "contoso.com"],
                applications=[Application(client_id=client_id)],
            )
        ]
    )


def load_config(file: Path) -> EmulatorConfig:
    """Reads a configuration file.

    Raises:
        ConfigurationError: it cannot be read or does not keep to the model; values of the file
            never stand in the message.
    """
    try:
        return EmulatorConfig.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigurationError(
            "ReferenceNotFound", f"{file} cannot be read: {error.strerror}. Check --config."
        ) from error
    except yaml.YAMLError as error:
        raise ConfigurationError("RunFailed", f"{file} is no YAML. Mend it.") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise ConfigurationError(
            "RunFailed",
            f"{file} does not fit: {first['msg']}. Mend that field.",
            field=".".join(str(part) for part in first["loc"]),
        ) from None
