"""Statuses of AzureClouds, tenants and directories: pure functions of what was observed."""

from __future__ import annotations

import datetime as dt
from typing import Final

from entrasync.api.active_directory import ActiveDirectory, ActiveDirectoryStatus
from entrasync.api.azure_cloud import AzureCloud, AzureCloudStatus
from entrasync.api.entra_tenant import EntraTenant, EntraTenantStatus, TenantEndpoint
from entrasync.api.result import CheckOutcome, RunResult
from entrasync.controller.conditions import (
    FALSE,
    MESSAGE_LENGTH,
    TRUE,
    UNKNOWN,
    Wanted,
    find,
    merge,
    unready_for,
)
from entrasync.controller.durations import format_time
from entrasync.controller.reasons import needs_somebody

TENANT_REASONS: Final = frozenset(
    {
        "CredentialsRejected",
        "RoleMissing",
        "TenantNotFound",
        "SyncDisabledInTenant",
        "EndpointNotOffered",
        "CloudClosed",
    }
)
DIRECTORY_REASONS: Final = frozenset(
    {"BindRejected", "KerberosNotInstalled", "ServerUnreachable", "CertificateNotTrusted"}
)
PART_CONDITIONS: Final = ("Ready", "CredentialsValid", "Reconciling", "Stalled")
CLOUD_CONDITIONS: Final = ("Ready", "Available")


def cloud_status(cloud: AzureCloud, now: dt.datetime) -> AzureCloudStatus:
    """Status of an AzureCloud; a closed one is Ready, but not Available."""
    spec = cloud.spec
    versions = sorted((str(e.version) for e in spec.sync_service.endpoints), reverse=True)
    available = (
        Wanted(status=TRUE, reason="Accepted", message="tenants of this cloud can be synced")
        if spec.closed_time is None
        else Wanted(
            status=FALSE,
            reason="CloudClosed",
            message=f"this cloud was closed at {spec.closed_time}",
        )
    )
    current = cloud.status.conditions if cloud.status else []
    generation = cloud.metadata.generation
    return AzureCloudStatus(
        observed_generation=generation,
        endpoint_versions=",".join(versions),
        conditions=merge(
            current,
            {"Ready": Wanted(status=TRUE, reason="Accepted"), "Available": available},
            managed=CLOUD_CONDITIONS,
            generation=generation,
            now=now,
        ),
    )


def part_checking(part: EntraTenant | ActiveDirectory, now: dt.datetime) -> None:
    """Marks a tenant or directory as being checked, in its status; keeps an earlier verdict."""
    status = _part_status(part)
    ready = find(status.conditions, "Ready")
    if ready is not None and ready.observed_generation == part.metadata.generation:
        return
    message = "a check is under way"
    wanted = {
        "Ready": Wanted(status=UNKNOWN, reason="Checking", message=message),
        "Reconciling": Wanted(status=TRUE, reason="Checking", message=message),
    }
    _set_part(part, status, wanted, now)


def part_blocked(
    part: EntraTenant | ActiveDirectory,
    reason: str,
    message: str,
    now: dt.datetime,
) -> None:
    """Marks a tenant or directory as not usable, in its status."""
    status = _part_status(part)
    stalled = needs_somebody(reason, unready_for(status.conditions, now))
    wanted = {"Ready": Wanted(status=FALSE, reason=reason, message=message[:MESSAGE_LENGTH])}
    holds = Wanted(status=TRUE, reason=reason, message=message[:MESSAGE_LENGTH])
    wanted["Stalled" if stalled else "Reconciling"] = holds
    if isinstance(part, EntraTenant) and reason in {"CredentialsRejected", "RoleMissing"}:
        wanted["CredentialsValid"] = wanted["Ready"]
    _set_part(part, status, wanted, now)


def part_checked(
    part: EntraTenant | ActiveDirectory, check: CheckOutcome, generation: int, now: dt.datetime
) -> None:
    """Writes the verdict of a check, made at a generation, into a status."""
    status = _part_status(part)
    status.last_check_time = format_time(now)
    status.last_check_generation = generation
    if check.ok:
        ready = Wanted(status=TRUE, reason="Accepted", message=check.message[:MESSAGE_LENGTH])
        wanted = {"Ready": ready}
        if isinstance(part, EntraTenant):
            wanted["CredentialsValid"] = ready
        _set_part(part, status, wanted, now)
    else:
        part_blocked(part, check.reason, check.message, now)


def apply_facts(result: RunResult, part: EntraTenant | ActiveDirectory) -> None:
    """Copies what a run or check learnt of a tenant or directory onto its status."""
    if isinstance(part, EntraTenant):
        status = part.status = part.status or EntraTenantStatus()
        status.company = result.company or status.company
        if result.endpoint_version:
            status.endpoint = TenantEndpoint(
                version=result.endpoint_version, url=result.endpoint_url
            )
        return
    facts = result.facts_of(part.metadata.name)
    if facts is not None:
        part.status = part.status or ActiveDirectoryStatus()
        facts.apply_to(part.status)


def is_concerned(result: RunResult, part: EntraTenant | ActiveDirectory) -> bool:
    """Whether what ended a run lies with a tenant or directory, as far as the result tells."""
    if result.resource == part.key:
        return True
    if result.resource.startswith(("EntraTenant/", "ActiveDirectory/")):
        return False  # with another one; a reason alone does not tell them apart
    if isinstance(part, EntraTenant):
        return result.reason in TENANT_REASONS
    return result.reason in DIRECTORY_REASONS and not result.resource.startswith("AzureCloud/")


def _part_status(part: EntraTenant | ActiveDirectory) -> EntraTenantStatus | ActiveDirectoryStatus:
    if isinstance(part, EntraTenant):
        part.status = part.status or EntraTenantStatus()
        return part.status
    part.status = part.status or ActiveDirectoryStatus()
    return part.status


def _set_part(
    part: EntraTenant | ActiveDirectory,
    status: EntraTenantStatus | ActiveDirectoryStatus,
    wanted: dict[str, Wanted],
    now: dt.datetime,
) -> None:
    status.observed_generation = part.metadata.generation
    # a credential stays known as valid until a check says otherwise
    keep = {"CredentialsValid"} - wanted.keys()
    status.conditions = merge(
        status.conditions,
        wanted,
        managed=set(PART_CONDITIONS) - keep,
        generation=part.metadata.generation,
        now=now,
    )
