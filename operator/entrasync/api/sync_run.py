"""SyncRun: one run of a sync, one check of a tenant or directory, or one report."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from entrasync.api.common import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    ApiModel,
    Conditions,
    Digest,
    LocalReference,
    PrinterColumn,
    Resource,
    ResourceDefinition,
    ResourceName,
    StatusModel,
    condition_column,
    rule,
)

TRIGGER_LABEL: Final = "entrasync.dev/trigger"
SYNC_LABEL: Final = "entrasync.dev/sync"
RUN_LABEL: Final = "entrasync.dev/run"
SYNC_FIELD: Final = "spec.directorySyncRef.name"
TENANT_FIELD: Final = "spec.entraTenantRef.name"
DIRECTORY_FIELD: Final = "spec.activeDirectoryRef.name"
PHASE_FIELD: Final = "status.phase"
REQUEST_ANNOTATION: Final = "entrasync.dev/run-requested-at"
LOST_RESULTS_ANNOTATION: Final = "entrasync.dev/lost-results"
"""On the SyncRun of a snapshot: names of earlier runs whose results nobody has read, by commas."""
GENERATION_ANNOTATION: Final = "entrasync.dev/sync-generation"
"""On a SyncRun: generation of the resource it was made for."""


class RunMode(StrEnum):
    """What a run does."""

    APPLY = "Apply"
    PREVIEW = "Preview"
    CHECK = "Check"
    REPORT = "Report"


class RunScope(StrEnum):
    """What a run reads and evaluates."""

    DELTA = "Delta"
    FULL = "Full"


class RunPhase(StrEnum):
    """Where a run is."""

    QUEUED = "Queued"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    BLOCKED = "Blocked"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


class Trigger(StrEnum):
    """Why a run was made."""

    SCHEDULE = "Schedule"
    SPEC_CHANGE = "SpecChange"
    ANNOTATION = "Annotation"
    MANUAL = "Manual"
    CHECK = "Check"
    DELETION = "Deletion"


ENDED_PHASES: Final = frozenset(
    {RunPhase.SUCCEEDED, RunPhase.BLOCKED, RunPhase.FAILED, RunPhase.CANCELLED}
)
OPEN_RUNS: Final = ",".join(f"{PHASE_FIELD}!={phase}" for phase in sorted(ENDED_PHASES))
"""Field selector of the runs that have not ended."""


class Explanation(ApiModel):
    """One object to explain."""

    object: Annotated[str, Field(min_length=1, max_length=2048, pattern=r"\S")]
    """Its anchor, objectGUID, DN, userPrincipalName or mail address."""


class RunReport(ApiModel):
    """What a Report run prints into the log of its pod, from the state alone."""

    validations: ClassVar[tuple[dict[str, str], ...]] = (
        rule(
            "has(self.run) != has(self.explain)",
            "exactly one of `run` and `explain` must be specified",
        ),
    )

    run: ResourceName | None = None
    """Name of a SyncRun: prints its plan and its result. The last twenty are kept."""
    explain: Explanation | None = None
    """Prints all that is known of one object: whether it is in scope and by which rule, where each
    value comes from, what the cloud has, what is pending and what failed."""


class SyncRunSpec(ApiModel):
    """What to run. Immutable, but for `cancel`."""

    validations: ClassVar[tuple[dict[str, str], ...]] = (
        rule(
            "[has(self.directorySyncRef), has(self.entraTenantRef), has(self.activeDirectoryRef)]"
            ".filter(x, x).size() == 1",
            "exactly one of `directorySyncRef`, `entraTenantRef` and `activeDirectoryRef` must be"
            " specified",
        ),
        rule(
            "has(self.directorySyncRef) || (has(self.mode) && self.mode == 'Check')",
            "`mode` must be Check when `entraTenantRef` or `activeDirectoryRef` is specified",
            ".mode",
        ),
        rule(
            "has(self.report) == (has(self.mode) && self.mode == 'Report')",
            "`report` must be specified when `mode` is Report, and only then",
            ".report",
        ),
        rule(
            "!has(self.report) || (!has(self.scope) && !has(self.approvedPlan))",
            "`scope` and `approvedPlan` may not be specified when `mode` is Report",
        ),
        rule(
            "has(self.directorySyncRef) == has(oldSelf.directorySyncRef)"
            " && (!has(self.directorySyncRef) || self.directorySyncRef == oldSelf.directorySyncRef)"
            " && has(self.entraTenantRef) == has(oldSelf.entraTenantRef)"
            " && (!has(self.entraTenantRef) || self.entraTenantRef == oldSelf.entraTenantRef)"
            " && has(self.activeDirectoryRef) == has(oldSelf.activeDirectoryRef)"
            " && (!has(self.activeDirectoryRef)"
            " || self.activeDirectoryRef == oldSelf.activeDirectoryRef)"
            " && has(self.mode) == has(oldSelf.mode)"
            " && (!has(self.mode) || self.mode == oldSelf.mode)"
            " && has(self.scope) == has(oldSelf.scope)"
            " && (!has(self.scope) || self.scope == oldSelf.scope)"
            " && has(self.approvedPlan) == has(oldSelf.approvedPlan)"
            " && (!has(self.approvedPlan) || self.approvedPlan == oldSelf.approvedPlan)"
            " && has(self.report) == has(oldSelf.report)"
            " && (!has(self.report) || self.report == oldSelf.report)",
            "a SyncRun must not change, but for `cancel`; create a new one",
        ),
        rule("!oldSelf.cancel || self.cancel", "`cancel` must not be taken back", ".cancel"),
    )

    directory_sync_ref: LocalReference | None = None
    """The DirectorySync to run."""
    entra_tenant_ref: LocalReference | None = None
    """The EntraTenant to check."""
    active_directory_ref: LocalReference | None = None
    """The ActiveDirectory to check."""
    mode: RunMode | None = None
    """`Apply`, `Preview` (plans, never exports), `Check` (tests credentials and reach) or `Report`
    (prints what `report` asks for). Default: the mode of the sync."""
    scope: RunScope | None = None
    """`Delta` or `Full`. Default: what the run finds necessary."""
    approved_plan: Digest | None = None
    """Digest of a blocked plan: lets exactly those braked changes through, once."""
    report: RunReport | None = None
    """What to print into the log of the run's pod. Only with mode Report, which reads no directory
    and writes nothing."""
    cancel: bool = False
    """Ends the run. Cannot be taken back."""


class PlanSummary(StatusModel):
    """The plan of a run."""

    digest: Annotated[str, Field(max_length=128)] | None = None
    """Digest of the planned changes."""
    writes: int | None = None
    """Writes it takes of the tenant's quota: one for each object in a request."""
    links: int | None = None
    """Group members that travel in them: V2 sends changes, V1 whole lists."""
    expected_completion_time: Annotated[str, Field(max_length=64)] | None = None
    """When the quota lets it be done, as seen when it was made (RFC 3339). The time that the
    service itself takes comes on top."""
    outcomes: Annotated[dict[str, int], Field(max_length=16)] | None = None
    """What the service is expected to make of additions: create, adopt, hardMatch, softMatch,
    restore, recreate, blocked or unknown, and how many of each."""


class RunProgress(StatusModel):
    """How far a run under way has come; looked at every quarter minute."""

    stage: Annotated[str, Field(max_length=16)] = ""
    """Import, Evaluate, Plan, Stamp, Export or Confirm."""
    done: int = 0
    """Steps of the stage that are done."""
    total: int | None = None
    """All steps of the stage, once they are known."""
    paused_until: Annotated[str, Field(max_length=64)] | None = None
    """When the tenant's quota of writes has room again, while the run waits for it (RFC 3339)."""
    observed_time: Annotated[str, Field(max_length=64)] | None = None
    """When this was seen (RFC 3339)."""
    changed_time: Annotated[str, Field(max_length=64)] | None = None
    """When it was last seen to get further, or to wait for the quota (RFC 3339); see
    `spec.runner.noProgressDeadline` of the DirectorySync."""


class KindChanges(StatusModel):
    """Changes of one kind of object."""

    add: int = 0
    """Added."""
    update: int = 0
    """Updated."""
    delete: int = 0
    """Deleted."""
    failed: int = 0
    """Refused by the service."""


class LinkChanges(StatusModel):
    """Changes of group membership."""

    add: int = 0
    """Added."""
    remove: int = 0
    """Removed."""
    failed: int = 0
    """Refused by the service."""


class Changes(StatusModel):
    """What a run changed, or with Preview would change."""

    users: KindChanges = Field(default_factory=KindChanges)
    """Users."""
    groups: KindChanges = Field(default_factory=KindChanges)
    """Groups."""
    contacts: KindChanges = Field(default_factory=KindChanges)
    """Contacts."""
    links: LinkChanges = Field(default_factory=LinkChanges)
    """Group membership."""


class Totals(StatusModel):
    """Changes of all kinds of objects together."""

    added: int = 0
    """Objects added."""
    updated: int = 0
    """Objects updated."""
    deleted: int = 0
    """Objects deleted."""
    failed: int = 0
    """Objects and links refused."""


class SourceRead(StatusModel):
    """What was read from the directory."""

    read: int = 0
    """Entries read."""
    method: Annotated[str, Field(max_length=32)] | None = None
    """`DirSync`, `UsnChanged` or `FullComparison`."""


class RequestCounts(StatusModel):
    """Requests sent to the sync service."""

    export: int = 0
    """Export requests."""
    import_: int = Field(default=0, alias="import")
    """Read-back requests."""


class ObjectError(StatusModel):
    """One object the service refused, took with a reservation, or that was withheld."""

    anchor: Annotated[str, Field(max_length=256)] = ""
    """SourceAnchor of the object."""
    code: Annotated[str, Field(max_length=128)] = ""
    """Symbolic code."""
    message: Annotated[str, Field(max_length=512)] = ""
    """Cause and remedy."""


class CodeCount(StatusModel):
    """How many objects one code concerns."""

    code: Annotated[str, Field(max_length=128)]
    """Symbolic code; `Other` for the rest of very many codes."""
    count: int = 0
    """Objects."""


CodeCounts = Annotated[
    list[CodeCount],
    Field(
        max_length=32,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["code"]},
    ),
]


class ExcludedCount(StatusModel):
    """How many objects one rule left out."""

    rule: Annotated[str, Field(max_length=64)]
    """Name of the rule: one of Entra Connect's default exclusions, or `AttributeFilter` and
    `ScopingGroup` for `where` and `memberOf` of the sync."""
    count: int = 0
    """Objects in the containers of the sync."""


ExcludedCounts = Annotated[
    list[ExcludedCount],
    Field(
        max_length=32,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["rule"]},
    ),
]


class Pacing(StatusModel):
    """How a run kept within the tenant's quota of writes."""

    quota: int = 0
    """Writes the runs of this sync may make in any five minutes: `spec.writeQuotaPercent` of the
    tenant's 7,000."""
    paced_time: Annotated[str, Field(max_length=32)] = "0s"
    """Time the run waited for the quota, for example `4m12s`."""
    throttled: int = 0
    """Times the service said that it is busy."""
    link_write_weight: Annotated[str, Field(max_length=8)] | None = None
    """Part of a write that a link counts for, for example `0.25`; absent while it counts for
    nothing. Raised when the service is busy although the quota had room, and lowered again by and
    by."""

    @property
    def held_up(self) -> bool:
        """Whether the run took longer because of the quota."""
        return self.throttled > 0 or self.paced_time != "0s"


class EndpointUsed(StatusModel):
    """The endpoint a run used."""

    version: Annotated[str, Field(max_length=8)] | None = None
    """`V2` or `V1`."""


class SyncRunStatus(StatusModel):
    """How the run went."""

    observed_generation: int | None = None
    """Generation of the spec this status speaks of."""
    phase: Annotated[str, Field(max_length=16)] | None = None
    """Queued, Running, Succeeded, Blocked, Failed or Cancelled; for people."""
    trigger: Annotated[str, Field(max_length=16)] | None = None
    """Why the run was made: Schedule, SpecChange, Annotation, Manual, Check or Deletion."""
    mode: Annotated[str, Field(max_length=16)] | None = None
    """What the run does."""
    scope: Annotated[str, Field(max_length=16)] | None = None
    """What the run read: Delta or Full."""
    start_time: Annotated[str, Field(max_length=64)] | None = None
    """When its Job was made (RFC 3339)."""
    completion_time: Annotated[str, Field(max_length=64)] | None = None
    """When it ended (RFC 3339)."""
    duration: Annotated[str, Field(max_length=32)] | None = None
    """Time from start to end."""
    conditions: Conditions = Field(default_factory=list)
    """Ready; Complete; Failed; Reconciling and Stalled while they hold; ResultLost while it is not
    known what an ended run did."""
    endpoint: EndpointUsed | None = None
    """The endpoint used."""
    progress: RunProgress | None = None
    """How far it has come, while it is under way."""
    plan: PlanSummary | None = None
    """The plan, as soon as it is made."""
    changes: Changes | None = None
    """What it changed."""
    totals: Totals | None = None
    """The same, in sum."""
    source: SourceRead | None = None
    """What it read."""
    excluded: ExcludedCounts = Field(default_factory=list)
    """What it left out of the containers, by rule; rules that left out nothing are not named."""
    requests: RequestCounts | None = None
    """Requests it sent."""
    errors: Annotated[list[ObjectError], Field(max_length=10)] = Field(default_factory=list)
    """The first ten objects in error."""
    error_count: int | None = None
    """Objects in error."""
    errors_by_code: CodeCounts = Field(default_factory=list)
    """Objects in error by code, the most frequent code first."""
    warnings: Annotated[list[ObjectError], Field(max_length=10)] = Field(default_factory=list)
    """The first ten objects that the service took with a reservation, for example with a value in
    quarantine."""
    warning_count: int | None = None
    """Objects taken with a reservation."""
    pacing: Pacing | None = None
    """How it kept within the tenant's quota of writes."""
    timings: (
        Annotated[dict[str, Annotated[str, Field(max_length=32)]], Field(max_length=16)] | None
    ) = None
    """Time per stage."""
    job_name: Annotated[str, Field(max_length=253)] | None = None
    """Name of its Job."""
    inputs: Annotated[str, Field(max_length=64)] | None = None
    """Digest of what it works from: of all in the sync, its tenant, cloud and directories that
    affects results."""


class SyncRun(Resource):
    """One run of a sync, or one check."""

    definition: ClassVar[ResourceDefinition] = ResourceDefinition(
        kind="SyncRun",
        plural="syncruns",
        singular="syncrun",
        short_names=("srun",),
        selectable_fields=(SYNC_FIELD, TENANT_FIELD, DIRECTORY_FIELD, PHASE_FIELD),
        columns=(
            PrinterColumn(name="Sync", type="string", json_path=".spec.directorySyncRef.name"),
            PrinterColumn(name="Mode", type="string", json_path=".status.mode"),
            PrinterColumn(name="Scope", type="string", json_path=".status.scope"),
            PrinterColumn(name="Phase", type="string", json_path=".status.phase"),
            PrinterColumn(name="Added", type="integer", json_path=".status.totals.added"),
            PrinterColumn(name="Updated", type="integer", json_path=".status.totals.updated"),
            PrinterColumn(name="Deleted", type="integer", json_path=".status.totals.deleted"),
            PrinterColumn(name="Failed", type="integer", json_path=".status.totals.failed"),
            PrinterColumn(name="Duration", type="string", json_path=".status.duration"),
            AGE_COLUMN,
            condition_column("Reason", "Ready", "reason", priority=1),
            MESSAGE_COLUMN,
        ),
    )
    kind: Literal["SyncRun"] = "SyncRun"
    spec: SyncRunSpec
    status: SyncRunStatus | None = None
