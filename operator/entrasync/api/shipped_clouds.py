"""The five Azure clouds entrasync ships."""

from __future__ import annotations

from entrasync.api.azure_cloud import (
    AzureCloud,
    AzureCloudSpec,
    EndpointVersion,
    Environment,
    SyncEndpoint,
    SyncService,
)
from entrasync.api.common import ObjectMeta

V2 = SyncEndpoint(version=EndpointVersion.V2, max_group_members=250_000)
V1 = SyncEndpoint(version=EndpointVersion.V1, max_group_members=50_000)


def _cloud(name: str, spec: AzureCloudSpec) -> AzureCloud:
    return AzureCloud(metadata=ObjectMeta(name=name), spec=spec)


def shipped_clouds() -> tuple[AzureCloud, ...]:
    """Commercial, US Government, US Government DoD, China and Germany.

    Hosts: Microsoft's documentation, but for the sync host of China, which is derived from the
    documented wildcard `*.partner.microsoftonline.cn`. Germany was closed on 29 October 2021 and
    never offered V2.
    """
    us_government = SyncService(
        url="https://adminwebservice.gov.us.microsoftonline.com",
        redirect_suffixes=[".microsoftonline.com", ".microsoftonline.us"],
        endpoints=[V2, V1],
    )
    return (
        _cloud(
            "azure-commercial",
            AzureCloudSpec(
                environment=Environment.COMMERCIAL,
                login_authority="https://login.microsoftonline.com",
                microsoft_graph="https://graph.microsoft.com",
                sync_service=SyncService(
                    url="https://adminwebservice.microsoftonline.com",
                    redirect_suffixes=[".microsoftonline.com"],
                    endpoints=[V2, V1],
                ),
            ),
        ),
        _cloud(
            "azure-us-government",
            AzureCloudSpec(
                environment=Environment.US_GOVERNMENT,
                login_authority="https://login.microsoftonline.us",
                microsoft_graph="https://graph.microsoft.us",
                sync_service=us_government,
            ),
        ),
        _cloud(
            "azure-us-government-dod",
            AzureCloudSpec(
                environment=Environment.US_GOVERNMENT_DOD,
                login_authority="https://login.microsoftonline.us",
                microsoft_graph="https://dod-graph.microsoft.us",
                sync_service=us_government,
            ),
        ),
        _cloud(
            "azure-china",
            AzureCloudSpec(
                environment=Environment.CHINA,
                login_authority="https://login.partner.microsoftonline.cn",
                microsoft_graph="https://microsoftgraph.chinacloudapi.cn",
                sync_service=SyncService(
                    url="https://adminwebservice.partner.microsoftonline.cn",
                    redirect_suffixes=[".partner.microsoftonline.cn"],
                    endpoints=[V2, V1],
                ),
            ),
        ),
        _cloud(
            "azure-germany",
            AzureCloudSpec(
                environment=Environment.GERMANY,
                login_authority="https://login.microsoftonline.de",
                sync_service=SyncService(
                    url="https://adminwebservice.microsoftonline.de",
                    endpoints=[V1],
                ),
                closed_time="2021-10-29T00:00:00Z",
            ),
        ),
    )
