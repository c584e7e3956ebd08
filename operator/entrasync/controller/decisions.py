"""What a decision about a DirectorySync rests on, and what it may be."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.directory_sync import DirectorySync
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.sync_run import RunScope, SyncRun, Trigger
from entrasync.controller.leases import Held


@dataclass(slots=True, frozen=True, kw_only=True)
class ObservedSync:
    """All that a decision rests on.

    Attributes:
        sync: the DirectorySync.
        tenant: its EntraTenant, `None` when it does not exist.
        cloud: the tenant's AzureCloud, `None` when it does not exist.
        account_labels: labels of the ServiceAccount its tenant names, `None` when it does not
            exist.
        directories: its ActiveDirectories by name; absent when they do not exist.
        runs: all SyncRuns of it.
        claimed_by: who else holds the tenant; `None` when nobody does.
    """

    sync: DirectorySync
    tenant: EntraTenant | None
    cloud: AzureCloud | None
    directories: Mapping[str, ActiveDirectory]
    runs: Sequence[SyncRun]
    claimed_by: Held | None = None
    account_labels: Mapping[str, str] | None = None


@dataclass(slots=True, frozen=True)
class Wait:
    """Nothing to do before a moment; `None`: before something changes."""

    until: dt.datetime | None
    held: str | None = None
    """A sentence about the window that holds the run that is due; `None` when none does."""


@dataclass(slots=True, frozen=True)
class StartRun:
    """Make a SyncRun of this name."""

    name: str
    trigger: Trigger
    scope: RunScope | None = None
    """What it reads; `None`: what it finds necessary."""


@dataclass(slots=True, frozen=True)
class Active:
    """A run is queued or under way."""

    run: str


@dataclass(slots=True, frozen=True)
class Blocked:
    """No run can start."""

    reason: str
    message: str
    stalled: bool
    checking: bool = False
    """Whether it is only that a check has not ended yet."""


Decision = Wait | StartRun | Active | Blocked
