"""How a DirectorySync is: what the operator writes into its status."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from entrasync.api.common import Conditions, StatusModel


class ActiveRun(StatusModel):
    """The run under way."""

    name: Annotated[str, Field(max_length=253)] = ""
    """Name of the SyncRun."""


class RunSummary(StatusModel):
    """One finished run in short."""

    name: Annotated[str, Field(max_length=253)] = ""
    """Name of the SyncRun."""
    mode: Annotated[str, Field(max_length=16)] | None = None
    """`Apply` or `Preview`."""
    scope: Annotated[str, Field(max_length=16)] | None = None
    """`Delta` or `Full`."""
    phase: Annotated[str, Field(max_length=16)] | None = None
    """How it ended."""
    reason: Annotated[str, Field(max_length=256)] | None = None
    """CamelCase reason of how it ended."""
    message: Annotated[str, Field(max_length=2048)] | None = None
    """What happened and what to do."""
    throttled: Annotated[str, Field(max_length=256)] | None = None
    """How the tenant's quota of writes held it up; absent when it did not."""
    generation: int | None = None
    """Generation of the sync it was made from."""
    inputs: Annotated[str, Field(max_length=64)] | None = None
    """Digest of what it worked from: of all in the sync, its tenant, cloud and directories that
    affects results. When that differs from today's, a run starts by itself."""
    start_time: Annotated[str, Field(max_length=64)] | None = None
    """When it started (RFC 3339)."""
    completion_time: Annotated[str, Field(max_length=64)] | None = None
    """When it ended (RFC 3339)."""


class OwnedObjects(StatusModel):
    """What this sync owns in the tenant."""

    users: int = 0
    """Users."""
    groups: int = 0
    """Groups."""
    contacts: int = 0
    """Contacts."""
    links: int = 0
    """(group, member) pairs."""


class OrphanCounts(StatusModel):
    """Synced objects of the tenant that this sync does not own, by kind."""

    users: int = 0
    """Users."""
    groups: int = 0
    """Groups."""
    contacts: int = 0
    """Contacts."""


class DriftCounts(StatusModel):
    """What somebody else changed in the tenant of what this sync exported."""

    objects: int = 0
    """Objects with properties that differ."""
    links: int = 0
    """Links that differ."""
    not_accepted: int = 0
    """Objects with a value that did not stay although it was written twice; it is not written a
    third time."""


class PinnedScope(StatusModel):
    """A container or group of the scope, pinned by objectGUID."""

    dn: Annotated[str, Field(max_length=2048)] = ""
    """DN as written in the spec."""
    guid: Annotated[str, Field(max_length=64)] = ""
    """objectGUID."""
    current_dn: Annotated[str, Field(max_length=2048)] = Field(default="", alias="currentDN")
    """DN as found last."""


class BlockedPlan(StatusModel):
    """The changes a brake stopped."""

    digest: Annotated[str, Field(max_length=128)] = ""
    """Put this into `spec.approvedPlan` to let exactly these changes through, once."""
    reason: Annotated[str, Field(max_length=256)] = ""
    """Brake that stopped them."""
    users: Annotated[dict[str, int], Field(max_length=8)] | None = None
    """Braked changes of users, by operation."""
    groups: Annotated[dict[str, int], Field(max_length=8)] | None = None
    """Braked changes of groups, by operation."""
    contacts: Annotated[dict[str, int], Field(max_length=8)] | None = None
    """Braked changes of contacts, by operation."""
    links: Annotated[dict[str, int], Field(max_length=8)] | None = None
    """Braked changes of links, by operation."""
    changes: Annotated[dict[str, int], Field(max_length=8)] | None = None
    """Braked changes of other sorts: disables, identityChanges, clears and takeovers."""
    held: bool = False
    """Whether everything else went on (`spec.safety.onBlocked: HoldBraked`)."""
    sample: Annotated[list[Annotated[str, Field(max_length=256)]], Field(max_length=10)] = Field(
        default_factory=list
    )
    """Anchors of the first ten."""


class DirectorySyncStatus(StatusModel):
    """How the sync is."""

    observed_generation: int | None = None
    """Generation of the spec this status speaks of."""
    conditions: Conditions = Field(default_factory=list)
    """Ready, Synchronized; Reconciling, Stalled, Synchronizing, PlanBlocked, Throttled, Degraded,
    Suspended while they hold."""
    active_run: ActiveRun | None = None
    """The run under way."""
    last_run: RunSummary | None = None
    """The run that ended last, of those in the mode of the sync or in mode Apply."""
    last_successful_time: Annotated[str, Field(max_length=64)] | None = None
    """When a run last succeeded (RFC 3339)."""
    next_schedule_time: Annotated[str, Field(max_length=64)] | None = None
    """When the next run is due (RFC 3339): by the schedule, or after a failure by the back-off."""
    consecutive_failures: int = 0
    """Runs in a row that failed with the present spec. After each the next one waits longer; from
    10 on one a day is tried."""
    failing_since: Annotated[str, Field(max_length=64)] | None = None
    """When the first of these runs ended (RFC 3339)."""
    runs_since_full: int = 0
    """Runs since everything was read last (`spec.schedule.fullEvery`)."""
    last_handled_request: Annotated[str, Field(max_length=256)] | None = None
    """Echo of the annotation entrasync.dev/run-requested-at."""
    objects: OwnedObjects | None = None
    """What this sync owns in the tenant."""
    orphans: OrphanCounts | None = None
    """Synced objects of the tenant that this sync does not own."""
    drift: DriftCounts | None = None
    """What somebody else changed in the tenant, as the last read-back found it."""
    scopes: Annotated[list[PinnedScope], Field(max_length=256)] = Field(default_factory=list)
    """Containers and groups of the scope, pinned by objectGUID."""
    blocked_plan: BlockedPlan | None = None
    """The changes a brake stopped, while it does."""
    history: Annotated[list[RunSummary], Field(max_length=5)] = Field(default_factory=list)
    """The last five runs, newest first."""
