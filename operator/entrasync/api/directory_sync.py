"""DirectorySync: which directory is synced into which tenant, when, and how carefully."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from entrasync.api.choices import AnchorSource, DriftPolicy, JoinBy, OrphanPolicy
from entrasync.api.common import (
    AGE_COLUMN,
    READY_COLUMN,
    ApiModel,
    Conditions,
    Digest,
    DistinguishedName,
    Duration,
    LocalReference,
    PrinterColumn,
    Resource,
    ResourceDefinition,
    ResourceName,
    StatusModel,
    condition_column,
    immutable,
    rule,
)
from entrasync.api.flows import AttributeName
from entrasync.api.objects import Objects
from entrasync.api.runner import Runner
from entrasync.api.safety import Matching, Safety

MOST_SOURCES: Final = 16

DnList = Annotated[
    list[DistinguishedName],
    Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"}),
]


class SyncMode(StrEnum):
    """What a run may do with its plan."""

    APPLY = "Apply"
    PREVIEW = "Preview"


class Source(ApiModel):
    """One directory to read."""

    name: Annotated[ResourceName, Field(max_length=63)]
    """Name of the source within this sync."""
    active_directory_ref: LocalReference
    """The ActiveDirectory to read."""
    include: DnList | None = None
    """Containers to read, with all below them. Pinned by objectGUID at the first run, so that a
    renamed or moved container stays in scope. Default: the base DN."""
    exclude: DnList | None = None
    """Containers to leave out, with all below them. Default: none."""


class Target(ApiModel):
    """The tenant to write."""

    entra_tenant_ref: LocalReference
    """The EntraTenant to sync into."""


class Schedule(ApiModel):
    """When runs start by themselves."""

    validations: ClassVar[tuple[dict[str, str], ...]] = (
        rule(
            "!(has(self.interval) && has(self.cron))",
            "`interval` may not be specified when `cron` is: choose one",
            ".interval",
        ),
        rule(
            "!has(self.timeZone) || has(self.cron)",
            "`timeZone` may only be specified together with `cron`",
            ".timeZone",
        ),
        rule(
            "!has(self.interval) || duration(self.interval) >= duration('10s')",
            "`interval` must be at least 10s",
            ".interval",
        ),
    )

    interval: Duration | None = None
    """Time from one start to the next, for example `30m`. At least `10s`. Default `30m`."""
    cron: Annotated[str, Field(max_length=128, pattern=r"^\S+( +\S+){4}$")] | None = None
    """Five-field cron expression, instead of `interval`."""
    time_zone: Annotated[str, Field(max_length=64)] | None = None
    """IANA time zone of `cron`, for example `Europe/Berlin`. Default `Etc/UTC`."""


class SourceAnchorSpec(ApiModel):
    """Which attribute ties a source object to its cloud object."""

    validations: ClassVar[tuple[dict[str, str], ...]] = (
        rule(
            "has(self.attribute) == (has(self.from) && self.from == 'Attribute')",
            "`attribute` must be specified when `from` is Attribute, and only then",
            ".attribute",
        ),
        rule(
            "!self.stamp || !has(self.from) || self.from == 'ConsistencyGuid'",
            "`stamp` may only be true when `from` is ConsistencyGuid",
            ".stamp",
        ),
    )

    from_: AnchorSource = Field(default=AnchorSource.CONSISTENCY_GUID, alias="from")
    """`ConsistencyGuid`: mS-DS-ConsistencyGuid of users and groups where present, else objectGUID.
    `ObjectGuid`: always objectGUID. `Attribute`: the attribute that `attribute` names. Default
    `ConsistencyGuid`."""
    attribute: AttributeName | None = None
    """LDAP name of an attribute with one value that never changes, for example `employeeID`; a
    user without it is left as it is. Groups and contacts have anchors as with ConsistencyGuid. Only
    with `from: Attribute`."""
    stamp: bool = False
    """Whether runs that export write objectGUID into mS-DS-ConsistencyGuid of users without one, so
    that their anchor stays the same in another forest. Takes the right to write that attribute.
    Only with `from: ConsistencyGuid`. Default false."""


class Join(ApiModel):
    """What tells that users of several sources are the same person."""

    users: JoinBy = JoinBy.NONE
    """`None`: only an equal anchor, which always joins and comes first. `Mail`: the same mail
    address. `ObjectSid`: msExchMasterAccountSID of one is the objectSID of the other. Default
    `None`."""


class Reporting(ApiModel):
    """What reports may show."""

    names: bool = False
    """Whether plans and explanations that Report runs print show names, DNs and values; without it
    they show anchors, switches and numbers, and how long texts are. Status and Events never hold
    names. Default false."""


class DirectorySyncSpec(ApiModel):
    """Which directory is synced into which tenant, and how."""

    sources: Annotated[
        list[Source],
        Field(
            min_length=1,
            max_length=MOST_SOURCES,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            },
        ),
    ]
    """The directories to read, at most 16. Their order is their precedence: where several hold the
    same person, the first one's values win. Leaving one out changes nothing in the tenant."""
    target: Annotated[
        Target, Field(json_schema_extra={"x-kubernetes-validations": [immutable("target")]})
    ]
    """The tenant to write. Immutable."""
    schedule: Schedule | None = None
    """When runs start by themselves. Default: every 30 minutes."""
    suspend: bool = False
    """Stops the schedule; a SyncRun made by hand still runs. Default false."""
    mode: SyncMode = SyncMode.APPLY
    """`Apply` exports; `Preview` plans and never exports. Default `Apply`."""
    source_anchor: SourceAnchorSpec | None = None
    """Which attribute ties a source object to its cloud object. Default: ConsistencyGuid."""
    join: Join | None = None
    """What joins objects of several sources, beside an equal anchor. Default: nothing."""
    objects: Objects | None = None
    """Which users, groups and contacts take part, and how their attributes flow. Default: all in
    the containers of the sources, but for what Entra Connect leaves out as well."""
    safety: Safety | None = None
    """Brakes on deletions and other changes that hurt. Defaults as in Entra Connect."""
    matching: Matching | None = None
    """Whether additions may take over cloud accounts. Default: they are refused."""
    orphans: OrphanPolicy = OrphanPolicy.REPORT
    """Synced objects of the tenant that this sync does not own. `Report`: they are counted and left
    alone. `Delete`: their deletion is planned, and always waits for an approved plan. Default
    `Report`."""
    drift: DriftPolicy = DriftPolicy.REPAIR
    """Exported values that somebody else changed in the tenant. `Repair`: they are written again.
    `Report`: they are counted and left as they are. Default `Repair`."""
    reporting: Reporting | None = None
    """What reports may show. Default: no names."""
    approved_plan: Digest | None = None
    """Digest from `status.blockedPlan`: lets exactly those braked changes through, once."""
    runner: Runner | None = None
    """The sync Job: storage, deadline, resources."""
    successful_runs_history_limit: Annotated[int, Field(ge=0, le=100)] = 3
    """Finished SyncRuns kept, of those the operator made. Default 3."""
    failed_runs_history_limit: Annotated[int, Field(ge=0, le=100)] = 3
    """Failed or blocked SyncRuns kept, of those the operator made. Default 3."""


class ActiveRun(StatusModel):
    """The run under way."""

    name: Annotated[str, Field(max_length=253)] = ""
    """Name of the SyncRun."""


class RunSummary(StatusModel):
    """One finished run in short."""

    name: Annotated[str, Field(max_length=253)] = ""
    """Name of the SyncRun."""
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
    """The run that ended last."""
    last_successful_time: Annotated[str, Field(max_length=64)] | None = None
    """When a run last succeeded (RFC 3339)."""
    next_schedule_time: Annotated[str, Field(max_length=64)] | None = None
    """When the next run is due (RFC 3339)."""
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


class DirectorySync(Resource):
    """A sync of Active Directory into one Entra tenant."""

    definition: ClassVar[ResourceDefinition] = ResourceDefinition(
        kind="DirectorySync",
        plural="directorysyncs",
        singular="directorysync",
        short_names=("dsync",),
        name_max_length=40,
        columns=(
            READY_COLUMN,
            condition_column("Status", "Ready", "reason"),
            PrinterColumn(name="Last Success", type="date", json_path=".status.lastSuccessfulTime"),
            PrinterColumn(name="Next", type="string", json_path=".status.nextScheduleTime"),
            PrinterColumn(name="Users", type="integer", json_path=".status.objects.users"),
            PrinterColumn(name="Groups", type="integer", json_path=".status.objects.groups"),
            AGE_COLUMN,
        ),
    )
    kind: Literal["DirectorySync"] = "DirectorySync"
    spec: DirectorySyncSpec
    status: DirectorySyncStatus | None = None
