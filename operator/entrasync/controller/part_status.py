"""Statuses of AzureClouds, tenants and directories: pure functions of what was observed."""

from __future__ import annotations

import datetime as dt
from typing import Final

from entrasync.api.active_directory import ActiveDirectory, ActiveDirectoryStatus
from entrasync.api.azure_cloud import AzureCloud, AzureCloudStatus
from entrasync.api.entra_tenant import EntraTenant, EntraTenantStatus, TenantEndpoint
from entrasync.api.reasons import GRACE, LATE_ARRIVALS, needs_somebody
from entrasync.api.result import CheckOutcome, RunResult
from entrasync.api.sync_run import SyncRun
from entrasync.controller.check_times import BIND_REJECTED
from entrasync.controller.conditions import (
    FALSE,
    TRUE,
    UNKNOWN,
    Wanted,
    find,
    merge,
    unready_for,
)
from entrasync.controller.durations import format_time, parse_time

Part = EntraTenant | ActiveDirectory
"""What a sync rests on, and is checked on its own."""

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
"""All conditions of a tenant or directory, as people read them."""
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


def part_checking(part: Part, now: dt.datetime) -> None:
    """Marks a tenant or directory as being checked, in its status; keeps an earlier verdict."""
    status = status_of(part)
    status.next_check_time = None
    ready = find(status.conditions, "Ready")
    if ready is not None and ready.observed_generation == part.metadata.generation:
        return
    message = "a check is under way"
    wanted = {
        "Ready": Wanted(status=UNKNOWN, reason="Checking", message=message),
        "Reconciling": Wanted(status=TRUE, reason="Checking", message=message),
    }
    _set_part(part, wanted, part.metadata.generation, now)


def part_blocked(part: Part, reason: str, message: str, now: dt.datetime) -> None:
    """Marks a tenant or directory as not usable as it is specified now, in its status."""
    status_of(part).next_check_time = None
    _set_part(part, _unusable(part, reason, message, now), part.metadata.generation, now)


def part_checked(part: Part, check: CheckOutcome, generation: int, now: dt.datetime) -> None:
    """Writes the verdict of a check into a status.

    A verdict about an earlier generation than the status speaks of leaves the conditions alone.

    Args:
        part: the tenant or directory.
        check: the verdict.
        generation: of the spec that was checked.
        now: the time.
    """
    status = status_of(part)
    status.last_check_time = format_time(now)
    status.last_check_generation = max(generation, status.last_check_generation or 0)
    if check.reason != BIND_REJECTED:
        status.last_forced_check_time = None
    before = find(status.conditions, "Ready")
    if before is not None and before.observed_generation > generation:
        return
    if check.ok:
        status.consecutive_failures = None
        ready = Wanted(status=TRUE, reason="Accepted", message=check.message)
        wanted = {"Ready": ready}
        if isinstance(part, EntraTenant):
            wanted["CredentialsValid"] = ready
    else:
        repeated = before is not None and (before.status, before.reason) == (FALSE, check.reason)
        status.consecutive_failures = 1 + (status.consecutive_failures or 0 if repeated else 0)
        wanted = _unusable(part, check.reason, check.message, now)
    _set_part(part, wanted, generation, now)


def part_waited(part: Part, due: dt.datetime | None, now: dt.datetime) -> dt.datetime | None:
    """What passing time alone changes in a status; returns when to look again.

    What is missing has arrived late enough after ten minutes: it is Stalled then, whether or not it
    is checked just now.

    Args:
        part: the tenant or directory.
        due: when the next check is due; `None` for not before something changes.
        now: the time.
    """
    status = status_of(part)
    status.next_check_time = None if due is None else format_time(due)
    ready = find(status.conditions, "Ready")
    if ready is None or ready.status != FALSE or find(status.conditions, "Stalled") is not None:
        return due
    wanted = _unusable(part, ready.reason, ready.message, now)
    if "Stalled" in wanted:
        _set_part(part, wanted, ready.observed_generation, now)
        return due
    if ready.reason in LATE_ARRIVALS:
        patience = now - unready_for(status.conditions, now) + GRACE
        return patience if due is None else min(due, patience)
    return due


def generation_seen(part: Part, run: SyncRun) -> int | None:
    """Generation of a tenant or directory that a run of a sync worked with.

    A run starts with what was checked. `None` when a check began or ended since: it knows better.
    """
    status = part.status
    if status is None or status.last_check_generation is None:
        return None
    checked = parse_time(status.last_check_time)
    started = parse_time(run.status.start_time) if run.status else None
    if checked is not None and started is not None and checked > started:
        return None
    return status.last_check_generation


def apply_facts(result: RunResult, part: Part) -> None:
    """Copies what a run or check learnt of a tenant or directory onto its status."""
    if isinstance(part, EntraTenant):
        status = part.status = part.status or EntraTenantStatus()
        status.company = result.company or status.company
        status.last_export = result.last_export or status.last_export
        if result.endpoint_version:
            status.endpoint = TenantEndpoint(
                version=result.endpoint_version, url=result.endpoint_url
            )
        return
    facts = result.facts_of(part.metadata.name)
    if facts is not None:
        part.status = part.status or ActiveDirectoryStatus()
        facts.apply_to(part.status)


def is_concerned(result: RunResult, part: Part) -> bool:
    """Whether what ended a run lies with a tenant or directory, as far as the result tells."""
    if result.resource == part.key:
        return True
    if result.resource.startswith(("EntraTenant/", "ActiveDirectory/")):
        return False  # with another one; a reason alone does not tell them apart
    if isinstance(part, EntraTenant):
        return result.reason in TENANT_REASONS
    return result.reason in DIRECTORY_REASONS and not result.resource.startswith("AzureCloud/")


def status_of(part: Part) -> EntraTenantStatus | ActiveDirectoryStatus:
    """The status of a tenant or directory, made where there is none."""
    if isinstance(part, EntraTenant):
        part.status = part.status or EntraTenantStatus()
        return part.status
    part.status = part.status or ActiveDirectoryStatus()
    return part.status


def _unusable(part: Part, reason: str, message: str, now: dt.datetime) -> dict[str, Wanted]:
    stalled = needs_somebody(reason, unready_for(status_of(part).conditions, now))
    wanted = {
        "Ready": Wanted(status=FALSE, reason=reason, message=message),
        "Stalled" if stalled else "Reconciling": Wanted(
            status=TRUE, reason=reason, message=message
        ),
    }
    if isinstance(part, EntraTenant) and reason in {"CredentialsRejected", "RoleMissing"}:
        wanted["CredentialsValid"] = wanted["Ready"]
    return wanted


def _set_part(part: Part, wanted: dict[str, Wanted], generation: int, now: dt.datetime) -> None:
    status = status_of(part)
    status.observed_generation = generation
    # a credential stays known as valid until a check says otherwise
    managed = [kind for kind in PART_CONDITIONS if kind != "CredentialsValid" or kind in wanted]
    status.conditions = merge(
        status.conditions, wanted, managed=managed, generation=generation, now=now
    )
