"""From an EntraTenant resource to a client of its sync service."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from entrasync.api.entra_tenant import version_of
from entrasync.api.snapshot import TOKEN_AUDIENCE, TOKEN_FILE_VARIABLE
from entrasync.engine.report import company_of
from entrasync.engine.tenant import require_enabled
from entrasync.entra.client import Surroundings, SyncServiceClient
from entrasync.entra.clouds import Cloud
from entrasync.entra.contracts import SyncVersion
from entrasync.entra.graph import GraphClient, graph_audience
from entrasync.entra.retrying import DEFAULT_PATIENCE, Patience
from entrasync.entra.tokens import (
    SYNC_SERVICE,
    Audience,
    CertificateCredential,
    Credential,
    FederatedCredential,
    MsalTokenSource,
    SecretCredential,
)
from entrasync.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from entrasync.api.azure_cloud import AzureCloud
    from entrasync.api.entra_tenant import Company, EntraTenant
    from entrasync.api.snapshot import Snapshot
    from entrasync.runner.secret_files import SecretFiles


_CERTIFICATE_FIELD: Final = "spec.application.certificateSecretRef"
_SECRET_FIELD: Final = "spec.application.clientSecretSecretRef"  # noqa: S105  - a field's name
_IDENTITY_FIELD: Final = "spec.application.workloadIdentity"


@dataclass(slots=True, frozen=True, kw_only=True)
class Endpoint:
    """The operations a tenant is synced over."""

    version: str
    max_group_members: int


@dataclass(slots=True, frozen=True, kw_only=True)
class TenantFacts:
    """What a check learnt of a tenant."""

    company: Company
    endpoint_version: str
    endpoint_url: str


def endpoint_of(snapshot: Snapshot) -> Endpoint:
    """The endpoint of the snapshot's tenant.

    Raises:
        ConfigurationError: `CloudClosed`, or `EndpointNotOffered`.
    """
    tenant, cloud = _tenant(snapshot)
    if cloud.spec.closed_time is not None:
        raise ConfigurationError(
            "CloudClosed",
            f"AzureCloud {cloud.metadata.name} was closed at {cloud.spec.closed_time}; set"
            " `spec.cloudRef` to the cloud the tenant was moved to",
            resource=tenant.key,
            field="spec.cloudRef",
        )
    offered = cloud.spec.sync_service.endpoints
    wanted = version_of(tenant.spec.transport)
    for each in offered:
        if each.version is wanted:
            return Endpoint(version=wanted, max_group_members=each.max_group_members)
    raise ConfigurationError(
        "EndpointNotOffered",
        f"`spec.transport` {tenant.spec.transport} is not offered by AzureCloud"
        f" {cloud.metadata.name} (it offers {', '.join(each.version for each in offered)}); set"
        f" `spec.transport` to a version it offers, or `spec.cloudRef` to a cloud that offers"
        f" {wanted}",
        resource=tenant.key,
        field="spec.transport",
    )


@contextmanager
def connect_tenant(
    snapshot: Snapshot,
    secrets: SecretFiles,
    *,
    sleep: Callable[[float], None] = time.sleep,
    patience: Patience = DEFAULT_PATIENCE,
    on_busy: Callable[[str], None] | None = None,
) -> Iterator[SyncServiceClient]:
    """A client of the tenant's sync service.

    Args:
        snapshot: names the tenant and its cloud.
        secrets: its credential.
        sleep: waits so many seconds, or ends the run by an exception.
        patience: how long to go on after what passes by itself.
        on_busy: told the operation, each time the service says that the tenant is busy.

    Raises:
        ConfigurationError: the cloud is closed or lacks the version, or a Secret is missing.
    """
    endpoint = endpoint_of(snapshot)
    tenant, resource = _tenant(snapshot)
    cloud = _cloud(resource, secrets.extra_ca())
    with (
        closing(_tokens(tenant, cloud, secrets)) as tokens,
        SyncServiceClient(
            cloud,
            tenant.spec.tenant_id,
            tokens,
            Surroundings(
                sleep=sleep,
                new_id=lambda: str(uuid.uuid4()),
                patience=patience,
                on_busy=on_busy,
            ),
            version=SyncVersion(endpoint.version),
            resource=tenant.key,
        ) as client,
    ):
        yield client


@contextmanager
def connect_graph(
    snapshot: Snapshot,
    secrets: SecretFiles,
    *,
    sleep: Callable[[float], None] = time.sleep,
    patience: Patience = DEFAULT_PATIENCE,
) -> Iterator[GraphClient | None]:
    """A client of the tenant's Microsoft Graph, `None` where the cloud names none.

    It connects at its first use only.

    Args:
        snapshot: names the tenant and its cloud.
        secrets: its credential.
        sleep: waits so many seconds, or ends the run by an exception.
        patience: how long to go on after what passes by itself.
    """
    tenant, resource = _tenant(snapshot)
    cloud = _cloud(resource, secrets.extra_ca())
    audience = graph_audience(cloud)
    if audience is None:
        yield None
        return
    with (
        closing(_tokens(tenant, cloud, secrets, audience)) as tokens,
        GraphClient(
            cloud,
            tokens,
            Surroundings(sleep=sleep, new_id=lambda: str(uuid.uuid4()), patience=patience),
            resource=tenant.key,
        ) as client,
    ):
        yield client


def read_tenant(client: SyncServiceClient, snapshot: Snapshot) -> TenantFacts:
    """Asks the tenant what it says of itself.

    Raises:
        ConfigurationError: credentials are refused, or directory sync is switched off.
    """
    company = client.company_configuration()
    require_enabled(company, _tenant(snapshot)[0].key)
    return TenantFacts(
        company=company_of(company),
        endpoint_version=endpoint_of(snapshot).version,
        endpoint_url=client.endpoint_url,
    )


def _tenant(snapshot: Snapshot) -> tuple[EntraTenant, AzureCloud]:
    if snapshot.tenant is None or snapshot.cloud is None:
        raise ConfigurationError("ReferenceNotFound", "the files hold no EntraTenant; add one")
    return snapshot.tenant, snapshot.cloud


def _cloud(resource: AzureCloud, extra_ca: str | None = None) -> Cloud:
    spec = resource.spec
    return Cloud(
        name=resource.metadata.name,
        login_authority=spec.login_authority,
        sync_service_url=spec.sync_service.url,
        redirect_suffixes=tuple(spec.sync_service.redirect_suffixes),
        ca_bundle_pem=spec.ca_bundle,
        extra_ca_pem=extra_ca,
        microsoft_graph=spec.microsoft_graph,
    )


def _tokens(
    tenant: EntraTenant, cloud: Cloud, secrets: SecretFiles, audience: Audience = SYNC_SERVICE
) -> MsalTokenSource:
    """Tokens for the sync service, or for somebody else."""
    return MsalTokenSource(
        cloud,
        tenant.spec.tenant_id,
        tenant.spec.application.client_id,
        # files change when a Secret does: what they hold is read again for each token
        lambda: _credential(tenant, secrets),
        resource=tenant.key,
        clock=lambda: dt.datetime.now(dt.UTC),
        audience=audience,
    )


def _credential(tenant: EntraTenant, secrets: SecretFiles) -> Credential:
    application = tenant.spec.application
    identity = application.workload_identity
    ways = (application.certificate_secret_ref, application.client_secret_secret_ref, identity)
    if sum(each is not None for each in ways) != 1:
        # refused at admission; files without a cluster come here unseen
        raise ConfigurationError(
            "ConfigurationInvalid",
            "exactly one of `certificateSecretRef`, `clientSecretSecretRef` and `workloadIdentity`"
            " must be specified",
            resource=tenant.key,
            field="spec.application",
        )
    if application.certificate_secret_ref is not None:
        certificate, key = secrets.read_together(
            application.certificate_secret_ref.name,
            ("tls.crt", "tls.key"),
            resource=tenant.key,
            field=_CERTIFICATE_FIELD,
        )
        return CertificateCredential(certificate=certificate, private_key=key)
    if application.client_secret_secret_ref is not None:
        secret, field = application.client_secret_secret_ref, _SECRET_FIELD
        text = secrets.read(secret.name, secret.key, resource=tenant.key, field=field)
        return SecretCredential(secret=text.strip())
    if secrets.token_file is None:
        account = "" if identity is None else identity.service_account_name
        raise ConfigurationError(
            "CredentialsRejected",
            f"there is no token of ServiceAccount {account} here; set {TOKEN_FILE_VARIABLE} to a"
            f" file that holds one for audience {TOKEN_AUDIENCE}, or name a Secret in"
            " `spec.application`",
            resource=tenant.key,
            field=_IDENTITY_FIELD,
        )
    return FederatedCredential(token_file=secrets.token_file, origin=_IDENTITY_FIELD)
