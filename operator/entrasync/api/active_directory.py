"""ActiveDirectory: an Active Directory domain, how to reach it and whom to bind as."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from entrasync.api.class_name import CLASS_NEVER_CHANGES, ClassName
from entrasync.api.common import (
    AGE_COLUMN,
    DEFAULT_IN_CODE,
    MESSAGE_COLUMN,
    READY_COLUMN,
    REASON_COLUMN,
    ApiModel,
    CheckedStatus,
    DistinguishedName,
    PemText,
    PrinterColumn,
    Resource,
    ResourceDefinition,
    ResourceName,
    SecretKey,
    SecretReference,
    rule,
)

ServerUrl = Annotated[
    str, Field(max_length=253, pattern=r"^ldaps?://[A-Za-z0-9.-]+(:[0-9]{1,5})?$")
]

DomainName = Annotated[
    str,
    Field(
        max_length=253,
        pattern=r"^([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z0-9-]{1,63}$",
    ),
]


class CaProviderType(StrEnum):
    """Where a CA certificate is kept."""

    CONFIG_MAP = "ConfigMap"
    SECRET = "Secret"  # noqa: S105  - the name of a Kubernetes kind


class CaProvider(ApiModel):
    """A CA certificate kept in another object of the namespace."""

    type: CaProviderType
    """`ConfigMap` or `Secret`."""
    name: ResourceName
    """Name of that object."""
    key: Annotated[SecretKey, Field(json_schema_extra={DEFAULT_IN_CODE: True})] = "ca.crt"
    """Key within it. Default `ca.crt`."""


class KeytabReference(ApiModel):
    """A keytab in a Secret of the namespace."""

    name: ResourceName
    """Name of the Secret."""
    key: Annotated[SecretKey, Field(json_schema_extra={DEFAULT_IN_CODE: True})] = "keytab"
    """Key within it. Default `keytab`."""


class ActiveDirectorySpec(ApiModel):
    """Servers, base, credential and trust of one Active Directory."""

    validations: ClassVar[tuple[dict[str, str], ...]] = (
        rule(
            "!(has(self.caProvider) && has(self.caBundle))",
            "`caProvider` may not be specified when `caBundle` is: choose one",
            ".caProvider",
        ),
        rule(
            "has(self.servers) != has(self.domain)",
            "exactly one of `servers` and `domain` must be specified: a list, or a name for DNS",
            ".servers",
        ),
        rule(
            "has(self.bindSecretRef) != has(self.keytabSecretRef)",
            "exactly one of `bindSecretRef` and `keytabSecretRef` must be specified",
            ".bindSecretRef",
        ),
        rule(
            "has(self.principal) == has(self.keytabSecretRef)",
            "`principal` must be specified together with `keytabSecretRef`, and only then",
            ".principal",
        ),
        rule(
            "self.startTLS || !has(self.servers) || self.servers.all(s, s.startsWith('ldaps://'))",
            "`startTLS` must be true when a server begins with ldap://: nothing is read in clear",
            ".startTLS",
        ),
        rule(
            "!self.startTLS || !has(self.servers) || self.servers.all(s, s.startsWith('ldap://'))",
            "`startTLS` must not be true with ldaps:// servers, which are encrypted from the start",
            ".startTLS",
        ),
        CLASS_NEVER_CHANGES,
    )

    servers: (
        Annotated[
            list[ServerUrl],
            Field(
                min_length=1, max_length=16, json_schema_extra={"x-kubernetes-list-type": "atomic"}
            ),
        ]
        | None
    ) = None
    """Domain controllers in the order they are tried, for example `ldaps://dc1.contoso.test`."""
    domain: DomainName | None = None
    """DNS name of the domain, for example `contoso.test`: its controllers are found by DNS.

    Instead of `servers`.
    """
    base_dn: DistinguishedName | None = Field(default=None, alias="baseDN")
    """Where reading begins. Default: the server's defaultNamingContext."""
    bind_secret_ref: SecretReference | None = None
    """Secret of type kubernetes.io/basic-auth: `username` (user@domain or DN) and `password`. Or
    `keytabSecretRef`."""
    keytab_secret_ref: KeytabReference | None = None
    """Secret with a keytab, to bind by Kerberos. Takes an image with the extra `kerberos`."""
    principal: (
        Annotated[str, Field(max_length=256, pattern=r"^[^@\s]+@[A-Za-z0-9][A-Za-z0-9.-]*$")] | None
    ) = None
    """Whose key the keytab holds, with the realm in capitals, for example `reader@CONTOSO.TEST`.
    Only with `keytabSecretRef`."""
    start_tls: bool = Field(default=False, alias="startTLS")
    """Encrypt an ldap:// connection before the bind. Must be true with ldap:// servers."""
    ca_provider: CaProvider | None = None
    """Object that holds the CA certificate of the servers. Default: the system's CAs."""
    ca_bundle: PemText | None = None
    """PEM certificates of the servers' CA, inline."""
    class_name: ClassName | None = None
    """Class of operators that serves this directory; syncs that read it must be of the same.
    Immutable. Default: operators without a class."""


class ActiveDirectoryStatus(CheckedStatus):
    """What the last check found."""

    server: Annotated[str, Field(max_length=253)] | None = None
    """Server the last check or run read from."""
    domain: Annotated[str, Field(max_length=253)] | None = None
    """DNS name of the domain."""
    functional_level: Annotated[str, Field(max_length=32)] | None = None
    """Functional level of the domain."""
    delta_method: Annotated[str, Field(max_length=32)] | None = None
    """How changes are read: `DirSync`, `UsnChanged`, or `FullComparison`: everything each time."""
    delta_method_reason: Annotated[str, Field(max_length=256)] | None = None
    """Why that method was chosen."""


class ActiveDirectory(Resource):
    """An Active Directory to sync from."""

    definition: ClassVar[ResourceDefinition] = ResourceDefinition(
        kind="ActiveDirectory",
        plural="activedirectories",
        singular="activedirectory",
        short_names=("ad",),
        columns=(
            PrinterColumn(name="Domain", type="string", json_path=".status.domain"),
            PrinterColumn(name="Delta", type="string", json_path=".status.deltaMethod"),
            READY_COLUMN,
            REASON_COLUMN,
            AGE_COLUMN,
            MESSAGE_COLUMN,
        ),
    )
    kind: Literal["ActiveDirectory"] = "ActiveDirectory"
    spec: ActiveDirectorySpec
    status: ActiveDirectoryStatus | None = None
