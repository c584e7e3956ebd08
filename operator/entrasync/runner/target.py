"""From an EntraTenant resource to a client of its sync service."""

from __future__ import annotations

import datetime as dt
import time
import uuid
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from entrasync.api.azure_cloud import EndpointVersion
from entrasync.engine.cycle import require_enabled
from entrasync.engine.report import company_of
from entrasync.entra.client import Surroundings, SyncServiceClient
from entrasync.entra.clouds import Cloud
from entrasync.entra.contracts import SyncVersion
from entrasync.entra.tokens import CertificateCredential, MsalTokenSource, SecretCredential
from entrasync.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entrasync.api.azure_cloud import AzureCloud
    from entrasync.api.entra_tenant import Company, EntraTenant
    from entrasync.api.snapshot import Snapshot
    from entrasync.runner.secret_files import SecretFiles


_CERTIFICATE_FIELD: Final = "spec.application.certificateSecretRef"
_SECRET_FIELD: Final = "spec.application.clientSecretSecretRef"  # noqa: S105  - a field's name


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
    offered = {each.version: each for each in cloud.spec.sync_service.endpoints}
    if EndpointVersion.V2 not in offered:
        raise ConfigurationError(
            "EndpointNotOffered",
            f"`spec.transport` {tenant.spec.transport} is not offered by AzureCloud"
            f" {cloud.metadata.name} (it offers {', '.join(offered)}); set `spec.cloudRef` to a"
            " cloud that offers V2",
            resource=tenant.key,
            field="spec.transport",
        )
    return Endpoint(
        version=EndpointVersion.V2,
        max_group_members=offered[EndpointVersion.V2].max_group_members,
    )


@contextmanager
def connect_tenant(snapshot: Snapshot, secrets: SecretFiles) -> Iterator[SyncServiceClient]:
    """A client of the tenant's sync service.

    Raises:
        ConfigurationError: the cloud is closed or lacks V2, or a Secret is missing.
    """
    endpoint = endpoint_of(snapshot)
    tenant, resource = _tenant(snapshot)
    cloud = Cloud(
        name=resource.metadata.name,
        login_authority=resource.spec.login_authority,
        sync_service_url=resource.spec.sync_service.url,
        redirect_suffixes=tuple(resource.spec.sync_service.redirect_suffixes),
        ca_bundle_pem=resource.spec.ca_bundle,
    )
    tokens = MsalTokenSource(
        cloud,
        tenant.spec.tenant_id,
        tenant.spec.application.client_id,
        _credential(tenant, secrets),
        resource=tenant.key,
        clock=lambda: dt.datetime.now(dt.UTC),
    )
    with (
        closing(tokens),
        SyncServiceClient(
            cloud,
            tenant.spec.tenant_id,
            tokens,
            Surroundings(sleep=time.sleep, new_id=lambda: str(uuid.uuid4())),
            version=SyncVersion(endpoint.version),
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


def _credential(
    tenant: EntraTenant, secrets: SecretFiles
) -> CertificateCredential | SecretCredential:
    application = tenant.spec.application
    if application.certificate_secret_ref is not None:
        name, field = application.certificate_secret_ref.name, _CERTIFICATE_FIELD
        return CertificateCredential(
            certificate=secrets.read(name, "tls.crt", resource=tenant.key, field=field),
            private_key=secrets.read(name, "tls.key", resource=tenant.key, field=field),
        )
    secret = application.client_secret_secret_ref
    if secret is None:
        raise ConfigurationError(
            "SecretNotFound",
            "neither `certificateSecretRef` nor `clientSecretSecretRef` is given; set one",
            resource=tenant.key,
            field="spec.application",
        )
    return SecretCredential(
        secret=secrets.read(
            secret.name, secret.key, resource=tenant.key, field=_SECRET_FIELD
        ).strip()
    )
