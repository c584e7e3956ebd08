"""The emulated cloud as resources that can be applied: AzureCloud, EntraTenant, Secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from entrasync.api.azure_cloud import (
    AzureCloud,
    AzureCloudSpec,
    EndpointVersion,
    Environment,
    SyncEndpoint,
    SyncService,
)
from entrasync.api.common import (
    LocalReference,
    ObjectMeta,
    SecretKeyReference,
    SecretReference,
)
from entrasync.api.entra_tenant import (
    Application,
    EntraTenant,
    EntraTenantSpec,
    Transport,
    WorkloadIdentity,
)
from entrasync.emulator.certificates import KeyPair
from entrasync.emulator.config import Application as RegisteredApplication
from entrasync.emulator.config import EmulatedCloud, EmulatorConfig, Tenant

CLIENT_SECRET_KEY = "client-secret"  # noqa: S105  - the name of a Secret's key
_TLS_TYPE = "kubernetes.io/tls"


def cloud_manifest(
    config: EmulatorConfig, cloud: EmulatedCloud, url: str, ca: str
) -> dict[str, Any]:
    """The AzureCloud that leads to a cloud of the emulator.

    Args:
        config: the limits that hold where a tenant has none of its own.
        cloud: what is on offer.
        url: where clients reach it.
        ca: PEM certificates to trust; empty when none are needed.
    """
    resource = AzureCloud(
        metadata=ObjectMeta(name=cloud.name),
        spec=AzureCloudSpec(
            environment=Environment.CUSTOM,
            login_authority=url,
            microsoft_graph=url,
            sync_service=SyncService(
                url=url,
                redirect_suffixes=list(cloud.redirect_suffixes),
                endpoints=[
                    SyncEndpoint(
                        version=version, max_group_members=config.faults.group_limit(version)
                    )
                    for version in cloud.endpoint_versions
                ],
            ),
            ca_bundle=ca or None,
        ),
    )
    return resource.to_manifest()


def tenant_manifests(
    config: EmulatorConfig, tenant: Tenant, pairs: Mapping[str, KeyPair]
) -> list[dict[str, Any]]:
    """The EntraTenant of a tenant's first application, and its Secret if that is known.

    Args:
        config: clouds and namespace.
        tenant: the tenant.
        pairs: certificates made for applications, by client id.
    """
    name = _resource_name(tenant.initial_domain)
    secret = f"{name}-entra-app"
    application = tenant.applications[0]
    pair = pairs.get(application.client_id)
    cloud = config.cloud_of(tenant)
    offers_v2 = EndpointVersion.V2 in cloud.endpoint_versions
    resource = EntraTenant(
        metadata=ObjectMeta(name=name, namespace=config.namespace),
        spec=EntraTenantSpec(
            cloud_ref=LocalReference(name=cloud.name),
            tenant_id=tenant.tenant_id,
            application=_application(application, pair, secret),
            transport=Transport.SYNC_SERVICE_V2 if offers_v2 else Transport.SYNC_SERVICE_V1,
        ),
    )
    manifests = [resource.to_manifest()]
    content = _secret_content(application, pair)
    if content:
        manifests.append(
            {
                "apiVersion": "v1",
                "kind": "Secret",
                "metadata": {"name": secret, "namespace": config.namespace},
                "type": _TLS_TYPE if pair is not None else "Opaque",
                "stringData": content,
            }
        )
    return manifests


def _service_account(application: RegisteredApplication) -> str | None:
    """The Kubernetes service account that proves an application which has nothing else."""
    if application.client_secret is not None or application.certificate is not None:
        return None
    for each in application.federated_credentials:
        prefix, _, account = each.subject.rpartition(":")
        if prefix.startswith("system:serviceaccount:") and account:
            return account
    return None


def _application(
    application: RegisteredApplication, pair: KeyPair | None, secret: str
) -> Application:
    client_id = application.client_id
    account = _service_account(application)
    if account is not None:
        identity = WorkloadIdentity(service_account_name=account)
        return Application(client_id=client_id, workload_identity=identity)
    if pair is not None or application.client_secret is None:
        return Application(client_id=client_id, certificate_secret_ref=SecretReference(name=secret))
    reference = SecretKeyReference(name=secret, key=CLIENT_SECRET_KEY)
    return Application(client_id=client_id, client_secret_secret_ref=reference)


def render(manifests: list[dict[str, Any]]) -> str:
    """The manifests as a stream of YAML documents."""
    return yaml.dump_all(manifests, Dumper=_Dumper, sort_keys=False, explicit_start=True)


def _secret_content(application: RegisteredApplication, pair: KeyPair | None) -> dict[str, str]:
    if pair is not None:
        return {"tls.crt": pair.certificate, "tls.key": pair.key}
    if application.client_secret is not None:
        return {CLIENT_SECRET_KEY: application.client_secret}
    return {}


def _resource_name(domain: str) -> str:
    label = domain.partition(".")[0].lower()
    return re.sub(r"[^a-z0-9-]+", "-", label).strip("-") or "tenant"


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as a block, as people write PEM."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
