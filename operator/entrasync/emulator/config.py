"""The emulator's configuration file, and the tenant it has without one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from entrasync.api.azure_cloud import EndpointVersion
from entrasync.api.common import ApiModel, Guid, HttpsUrl, PemText, ResourceName
from entrasync.emulator.switches import HostName, Switches, bare_host
from entrasync.entra.contracts import SERVICE_APPLICATION, SERVICE_ROLE, SyncObjectType
from entrasync.errors import ConfigurationError

DEFAULT_HOSTNAMES: Final = ("localhost", "127.0.0.1")
FEDERATED_AUDIENCE: Final = "api://AzureADTokenExchange"
"""Audience of a federated credential unless it says another; documented."""
GRAPH_ROLES: Final = (
    "Organization.ReadWrite.All",
    "OnPremDirectorySynchronization.ReadWrite.All",
    "User.Read.All",
    "Group.Read.All",
    "OrgContact.Read.All",
    "User-OnPremisesSyncBehavior.ReadWrite.All",
    "Group-OnPremisesSyncBehavior.ReadWrite.All",
)
"""Permissions for what the emulator serves of Microsoft Graph; documented."""
_Domain = Annotated[str, Field(max_length=253, pattern=r"^[a-zA-Z0-9.-]+$")]
_Suffix = Annotated[str, Field(max_length=253, pattern=r"^\.[A-Za-z0-9.-]+$")]
_Anchor = Annotated[str, Field(min_length=1, max_length=256)]
_ObjectGuid = Annotated[str, Field(max_length=24, pattern="^[A-Za-z0-9+/]{22}==$")]
_Role = Annotated[str, Field(min_length=1, max_length=256)]
_Value = bool | int | str | list[str]


class FederatedCredential(ApiModel):
    """Whose tokens prove an application instead of a secret of its own: workload identity."""

    issuer: HttpsUrl
    """Issuer of the tokens, exactly as they name it."""
    subject: Annotated[str, Field(min_length=1, max_length=600)]
    """Subject, such as `system:serviceaccount:identity:contoso-sync`; letter case counts."""
    audience: Annotated[str, Field(min_length=1, max_length=600)] = FEDERATED_AUDIENCE
    """Audience the tokens must be for."""
    jwks: dict[str, Any] | None = None
    """Public keys of the issuer (JSON Web Key Set); the emulator asks nobody for them."""
    jwks_file: Path | None = None
    """File that holds the keys instead, read again for every token."""

    @model_validator(mode="after")
    def _keys(self) -> Self:
        if (self.jwks is None) == (self.jwks_file is None):
            raise ValueError("exactly one of `jwks` and `jwksFile` must be given")
        return self


class Application(ApiModel):
    """An application registration; without any credential it gets a certificate made for it."""

    client_id: Guid
    """Application (client) id."""
    client_secret: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    """A client secret, in clear: this is no real cloud."""
    certificate: PemText | None = None
    """Public certificate (PEM)."""
    federated_credentials: list[FederatedCredential] = Field(default_factory=list)
    """Tokens of others that prove it; such an application gets no certificate made for it."""
    roles: list[str] = Field(default_factory=lambda: [SERVICE_ROLE])
    """Application roles that tokens for the sync service carry."""
    graph_roles: list[str] = Field(default_factory=lambda: list(GRAPH_ROLES))
    """Application roles that tokens for Microsoft Graph carry."""


class SeedObject(ApiModel):
    """An object that is in the tenant before anybody syncs."""

    type: SyncObjectType
    """User, Group, Contact or Device."""
    source_anchor: _Anchor | None = None
    """Anchor it was synced with; without one the object was made in the cloud."""
    immutable_id: _Anchor | None = None
    """Graph's onPremisesImmutableId of an object made in the cloud: a hard match goes by it."""
    on_premises_object_identifier: _ObjectGuid | None = None
    """The directory object a user is tied to: base64 of its objectGUID."""
    roles: list[_Role] = Field(default_factory=list)
    """Directory roles a user holds, by their display names, such as `Global Administrator`."""
    eligible_roles: list[_Role] = Field(default_factory=list)
    """Directory roles a user may activate."""
    licensed: bool = False
    """Whether a user has a licence."""
    cloud_managed: bool = False
    """Whether a synced object was converted to cloud-managed: nothing flows to it any more."""
    deleted: bool = False
    """Whether it was deleted since."""
    attributes: dict[str, _Value] = Field(default_factory=dict)
    """Attributes by their wire names, such as `userPrincipalName`."""
    members: list[str] = Field(default_factory=list)
    """Anchors of a synced group's members, which stand earlier in the list."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.source_anchor is not None and self.immutable_id is not None:
            raise ValueError("`immutableId` is for objects without `sourceAnchor`")
        if self.source_anchor is None and self.members:
            raise ValueError("`members` need a `sourceAnchor`")
        if self.cloud_managed and self.source_anchor is None and self.immutable_id is None:
            raise ValueError("`cloudManaged` needs a `sourceAnchor` or an `immutableId`")
        return self


class Seed(ApiModel):
    """How many objects somebody else has synced before: another engine's, with its anchors."""

    users: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Users with anchors of their own."""
    groups: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Groups with anchors of their own."""
    contacts: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Contacts with anchors of their own."""
    members_per_group: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Members of each group, among the users."""

    @model_validator(mode="after")
    def _enough_users(self) -> Self:
        if self.members_per_group > self.users:
            raise ValueError("`membersPerGroup` must not exceed `users`")
        return self


class Tenant(ApiModel):
    """One Entra tenant."""

    tenant_id: Guid
    """Tenant id, in lower case."""
    cloud: ResourceName | None = None
    """Name of its cloud among `clouds`; default: the cloud at the top of the file."""
    display_name: Annotated[str, Field(min_length=1, max_length=256)] = "Contoso"
    """Name of the company."""
    initial_domain: _Domain = "contoso.onmicrosoft.com"
    """Domain every tenant has; it replaces UPN suffixes that are not verified."""
    verified_domains: list[_Domain] = Field(default_factory=list)
    """Domains names may use, beside the initial one; addresses elsewhere are dropped."""
    directory_sync_enabled: bool = True
    """Whether directory sync is switched on."""
    duplicate_attribute_resiliency: bool = True
    """Quarantine a value that is taken, instead of refusing the object."""
    soft_match_on_upn: bool = True
    """Whether a UPN may match a cloud-only user."""
    block_soft_match: bool = False
    """Refuse every soft match."""
    block_hard_match: bool = False
    """Refuse to take over cloud-managed and deleted objects by their anchors."""
    synchronize_upn_for_managed_users: bool = True
    """Whether the UPN of a licensed user follows its export."""
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

    hostnames: Annotated[list[HostName], Field(min_length=1)] = Field(
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


class EmulatedCloud(ApiModel):
    """One Azure cloud."""

    name: ResourceName = "emulator"
    """Name of the AzureCloud that is printed."""
    hostnames: list[HostName] = Field(default_factory=list)
    """Host names of its own, without ports: there it serves only its tenants, and they are served
    nowhere else. The first stands in addresses. Default: it shares every host that is nobody's."""
    public_url: HttpsUrl | None = None
    """Where clients reach it; default: the first host name and the port."""
    redirect_suffixes: list[_Suffix] = Field(default_factory=list)
    """Host suffixes that are printed as allowed for redirections."""
    endpoint_versions: Annotated[list[EndpointVersion], Field(min_length=1)] = Field(
        default_factory=lambda: [EndpointVersion.V2, EndpointVersion.V1]
    )
    """Versions on offer; without V2 its operations do not exist."""
    audience: Annotated[list[str], Field(min_length=1)] = Field(
        default_factory=lambda: [SERVICE_APPLICATION]
    )
    """Audiences of tokens the sync service takes."""

    def owns(self, host: str) -> bool:
        """Whether a host, given with or without its port, is one of its own."""
        return bare_host(host) in {bare_host(name) for name in self.hostnames}


class EmulatorConfig(EmulatedCloud):
    """Azure clouds with their tenants: one, described at the top, or several in `clouds`."""

    namespace: ResourceName = "default"
    """Namespace of the EntraTenants that are printed."""
    tls: Tls = Tls()
    """Certificates of the server."""
    clouds: list[EmulatedCloud] = Field(default_factory=list)
    """Further clouds; tenants name theirs."""
    faults: Switches = Switches()
    """Misbehaviour and limits of every tenant."""
    tenants: Annotated[list[Tenant], Field(min_length=1)]
    """The tenants."""

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        ids = [tenant.tenant_id for tenant in self.tenants]
        if len(set(ids)) != len(ids):
            raise ValueError("two `tenants` have the same `tenantId`")
        names = [cloud.name for cloud in self.served_clouds]
        if len(set(names)) != len(names):
            raise ValueError("two `clouds` have the same `name`")
        hosts = [bare_host(name) for cloud in self.served_clouds for name in set(cloud.hostnames)]
        if len(set(hosts)) != len(hosts):
            raise ValueError("two `clouds` have the same host name among `hostnames`")
        known = {self.name, *(cloud.name for cloud in self.clouds)}
        for tenant in self.tenants:
            if tenant.cloud is not None and tenant.cloud not in known:
                raise ValueError(f"`cloud` {tenant.cloud} of a tenant must be one of `clouds`")
        return self

    @property
    def served_clouds(self) -> list[EmulatedCloud]:
        """All clouds; the one at the top only if it has a tenant."""
        top = any(self.cloud_of(tenant) is self for tenant in self.tenants)
        return [*([self] if top else []), *self.clouds]

    def cloud_of(self, tenant: Tenant) -> EmulatedCloud:
        """The cloud a tenant lives in."""
        return next((cloud for cloud in self.clouds if cloud.name == tenant.cloud), self)

    def is_served(self, tenant: Tenant, host: str, switches: Switches) -> bool:
        """Whether a tenant lives at a host: one of its cloud, its own by redirection, or nobody's.

        Args:
            tenant: the tenant.
            host: host a request was sent to, with or without port.
            switches: those of the tenant, of which the host it redirects to is its own.
        """
        cloud = self.cloud_of(tenant)
        own = switches.redirect_host
        if own is not None and bare_host(own) == bare_host(host):
            return True
        if cloud.hostnames:
            return cloud.owns(host)
        return not any(other.owns(host) for other in self.served_clouds)


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
