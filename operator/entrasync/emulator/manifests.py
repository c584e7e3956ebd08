"""The emulated cloud as resources that can be applied: AzureCloud, EntraTenant, Secret."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml

from entrasync.api.azure_cloud import (
    AzureCloud,
    AzureCloudSpec,
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
from entrasync.api.entra_tenant import Application, EntraTenant, EntraTenantSpec
from entrasync.emulator.certificates import KeyPair
from entrasync.emulator.config import Application as RegisteredApplication
from entrasync.emulator.config import EmulatorConfig, Tenant

CLIENT_SECRET_KEY = "client-secret"  # noqa: S105  - the name of a Secret's key
_TLS_TYPE = "kubernetes.io/tls"


def cloud_manifest(config: EmulatorConfig, url: str, ca: str) -> dict[str, Any]:
    """The AzureCloud that leads to the emulator.

    Args:
        config: what is on offer.
        url: where clients reach it.
        ca: PEM certificates to trust; empty when none are needed.
    """
    switches = config.faults
    cloud = AzureCloud(
        metadata=ObjectMeta(name=config.name),
        spec=AzureCloudSpec(
            environment=Environment.CUSTOM,
            login_authority=url,
            sync_service=SyncService(
                url=url,
                endpoints=[
                    SyncEndpoint(version=version, max_group_members=switches.group_limit(version))
                    for version in config.endpoint_versions
                ],
            ),
            ca_bundle=ca or None,
        ),
    )
    return cloud.to_manifest()


def tenant_manifests(
    config: EmulatorConfig, tenant: Tenant, pairs: Mapping[str, KeyPair]
) -> list[dict[str, Any]]:
    """The EntraTenant of a tenant's first application, and its Secret if that is known.

    Args:
        config: name of the cloud and namespace.
        tenant: the tenant.
        pairs: certificates made for applications, by client id.
    """
    name = _resource_name(tenant.initial_domain)
    secret = f"{name}-entra-app"
    application = tenant.applications[0]
    pair = pairs.get(application.client_id)
    by_certificate = pair is not None or application.client_secret is None
    resource = EntraTenant(
        metadata=ObjectMeta(name=name, namespace=config.namespace),
        spec=EntraTenantSpec(
            cloud_ref=LocalReference(name=config.name),
            tenant_id=tenant.tenant_id,
            application=Application(
                client_id=application.client_id,
                certificate_secret_ref=SecretReference(name=secret) if by_certificate else None,
                client_secret_secret_ref=None
                if by_certificate
                else SecretKeyReference(name=secret, key=CLIENT_SECRET_KEY),
            ),
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
