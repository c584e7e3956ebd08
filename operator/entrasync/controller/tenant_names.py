"""Which resources name the same Entra tenant. Pure."""

from __future__ import annotations

import hashlib
from typing import Final
from urllib.parse import urlsplit

from entrasync.api.azure_cloud import AzureCloud, Environment
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.shipped_clouds import shipped_clouds

LEASE_PREFIX: Final = "entrasync-tenant-"
_SAME: Final = {Environment.US_GOVERNMENT_DOD: Environment.US_GOVERNMENT}
"""Both sign in at the same authority: a tenant id means the same tenant in both."""
_OTHER_HOSTS: Final = {"login.chinacloudapi.cn": Environment.CHINA}
"""Hosts of Microsoft that no shipped cloud names."""


def lease_name(cloud: AzureCloud, tenant: EntraTenant) -> str:
    """Name of the Lease of a tenant: the same for every resource that names this tenant."""
    text = f"{realm_of(cloud)}/{tenant.spec.tenant_id.lower()}"
    return f"{LEASE_PREFIX}{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def realm_of(cloud: AzureCloud) -> Environment:
    """The environment whose tenants an AzureCloud reaches, whatever it calls itself.

    A cloud of environment Custom that names a host of Microsoft reaches the tenants of that
    environment. All others are one: a tenant id is unique, and two names of one private cloud must
    not be taken for two clouds.
    """
    spec = cloud.spec
    known = _known_hosts()
    for url in (spec.login_authority, spec.sync_service.url, spec.microsoft_graph or ""):
        found = known.get(_host(url))
        if found is not None:
            return found
    return _SAME.get(spec.environment, spec.environment)


def _known_hosts() -> dict[str, Environment]:
    hosts = dict(_OTHER_HOSTS)
    for cloud in shipped_clouds():
        spec = cloud.spec
        realm = _SAME.get(spec.environment, spec.environment)
        for url in (spec.login_authority, spec.sync_service.url, spec.microsoft_graph or ""):
            hosts.setdefault(_host(url), realm)
    hosts.pop("", None)
    return hosts


def _host(url: str) -> str:
    return (urlsplit(url).hostname or "").lower()
