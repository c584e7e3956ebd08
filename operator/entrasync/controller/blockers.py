"""What keeps a DirectorySync from running at all. Pure."""

from __future__ import annotations

import datetime as dt

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.directory_sync import SyncMode
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.reasons import needs_somebody
from entrasync.controller.check_times import is_checked
from entrasync.controller.classes import class_problem
from entrasync.controller.conditions import FALSE, TRUE, find, unready_for
from entrasync.controller.decisions import Blocked, ObservedSync
from entrasync.controller.leases import Holding
from entrasync.controller.references import reference_problem


def blocker(observed: ObservedSync, now: dt.datetime) -> Blocked | None:
    """What keeps a sync from running; `None` when it may."""
    missing = missing_reference(observed)
    if missing is not None:
        return Blocked(
            "ReferenceNotFound",
            missing,
            stalled=needs_somebody("ReferenceNotFound", _unready_for(observed, now)),
        )
    mixed = class_problem(observed.sync, [observed.tenant, *observed.directories.values()])
    if mixed is not None:
        return Blocked("ClassMismatch", mixed, stalled=True)
    if observed.tenant is None or observed.cloud is None:
        return None
    unusable = reference_problem(observed.tenant, observed.cloud, observed.account_labels)
    if unusable is not None:
        reason, message = unusable
        stalled = needs_somebody(reason, _unready_for(observed, now))
        return Blocked(reason, message, stalled=stalled)
    if observed.sync.spec.mode is SyncMode.APPLY and observed.claimed_by is not None:
        return Blocked(
            "TenantClaimed",
            observed.claimed_by.message,
            # one that only ends its work makes room by itself
            stalled=observed.claimed_by.how is not Holding.ENDING,
        )
    parts: list[EntraTenant | ActiveDirectory] = [
        observed.tenant,
        *observed.directories.values(),
    ]
    for part in parts:
        problem = _part_problem(observed, part, now)
        if problem is not None:
            return problem
    return None


def missing_reference(observed: ObservedSync) -> str | None:
    """A sentence about the first resource that is named and not there."""
    spec = observed.sync.spec
    for index, source in enumerate(spec.sources):
        name = source.active_directory_ref.name
        if name not in observed.directories:
            field = f"spec.sources[{index}].activeDirectoryRef"
            return (
                f"`{field}`: ActiveDirectory {name} does not exist; create it or correct the name"
            )
    if observed.tenant is None:
        name = spec.target.entra_tenant_ref.name
        return (
            f"`spec.target.entraTenantRef`: EntraTenant {name} does not exist; create it or correct"
            " the name"
        )
    if observed.cloud is None:
        name = observed.tenant.spec.cloud_ref.name
        return (
            f"EntraTenant/{observed.tenant.metadata.name} `spec.cloudRef`: AzureCloud {name} does"
            " not exist; see `kubectl get azurecloud`"
        )
    return None


def _part_problem(
    observed: ObservedSync, part: EntraTenant | ActiveDirectory, now: dt.datetime
) -> Blocked | None:
    ready = find(part.status.conditions, "Ready") if part.status else None
    if ready is not None and ready.status == FALSE:
        stalled = needs_somebody(ready.reason, _unready_for(observed, now))
        return Blocked(ready.reason, f"{part.key}: {ready.message}", stalled=stalled)
    if not is_checked(part) or ready is None or ready.status != TRUE:
        return Blocked("Checking", f"{part.key} is being checked", stalled=False, checking=True)
    return None


def _unready_for(observed: ObservedSync, now: dt.datetime) -> dt.timedelta:
    status = observed.sync.status
    return dt.timedelta() if status is None else unready_for(status.conditions, now)
