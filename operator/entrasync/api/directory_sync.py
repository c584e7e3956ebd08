"""DirectorySync: which directory is synced into which tenant, when, and how carefully."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Literal

from pydantic import Field

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
from entrasync.api.objects import Objects

DnList = Annotated[
    list[DistinguishedName],
    Field(max_length=64, json_schema_extra={"x-kubernetes-list-type": "set"}),
]
Quantity = Annotated[
    str, Field(max_length=32, pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi)?$")
]


class SyncMode(StrEnum):
    """What a run may do with its plan."""

    APPLY = "Apply"
    PREVIEW = "Preview"


class AnchorSource(StrEnum):
    """Where the SourceAnchor comes from."""

    CONSISTENCY_GUID = "ConsistencyGuid"
    OBJECT_GUID = "ObjectGuid"


class StorageType(StrEnum):
    """Where the state of a sync is kept."""

    PERSISTENT_VOLUME_CLAIM = "PersistentVolumeClaim"
    EPHEMERAL = "Ephemeral"


class AccessMode(StrEnum):
    """Access modes that keep a second writer away."""

    READ_WRITE_ONCE_POD = "ReadWriteOncePod"
    READ_WRITE_ONCE = "ReadWriteOnce"


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

    from_: AnchorSource = Field(default=AnchorSource.CONSISTENCY_GUID, alias="from")
    """`ConsistencyGuid`: mS-DS-ConsistencyGuid of users and groups where present, else objectGUID.
    `ObjectGuid`: always objectGUID. Default `ConsistencyGuid`."""


class DeletionLimit(ApiModel):
    """Most deletions of one kind within the window."""

    count: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    """Objects. Default 500 for users and contacts, 50 for groups."""
    percent: Annotated[int, Field(ge=0, le=100)] | None = None
    """Per cent of what is owned; counts from 20 objects up. Default 20 for users and contacts, 5
    for groups."""


class ChangeLimit(ApiModel):
    """Most changes of one sort within the window."""

    count: Annotated[int, Field(ge=0, le=10_000_000)] | None = None
    """Changes. Default 500 for identityChanges, 50000 for linkRemovals."""
    percent: Annotated[int, Field(ge=0, le=100)] | None = None
    """Per cent of what is owned; counts from 20 up. Default 5 for identityChanges, 30 for
    linkRemovals."""


class ShrinkLimit(ApiModel):
    """Most a source may shrink from one run to the next."""

    percent: Annotated[int, Field(ge=0, le=100)] | None = None
    """Per cent of the objects in scope at the last run. Default 30."""


class Safety(ApiModel):
    """Brakes: limits that stop the whole export before anything is written."""

    window: Duration | None = None
    """Limits are sums over this time. Default `24h`."""
    users: DeletionLimit | None = None
    """Deletions of users."""
    groups: DeletionLimit | None = None
    """Deletions of groups."""
    contacts: DeletionLimit | None = None
    """Deletions of contacts."""
    identity_changes: ChangeLimit | None = None
    """Changes of userPrincipalName or primary SMTP address."""
    link_removals: ChangeLimit | None = None
    """Removals of group members."""
    source_shrink: ShrinkLimit | None = None
    """How much a source may shrink."""


class Storage(ApiModel):
    """Where the state of this sync is kept."""

    type: StorageType = StorageType.PERSISTENT_VOLUME_CLAIM
    """`PersistentVolumeClaim` keeps state between runs; `Ephemeral` makes every run a full one."""
    size: Quantity | None = None
    """Size of the claim. Default `10Gi`."""
    storage_class_name: Annotated[str, Field(max_length=253)] | None = None
    """Storage class. Default: the cluster's."""
    access_mode: AccessMode | None = None
    """Access mode. Default `ReadWriteOncePod`."""


class ResourceRequirements(ApiModel):
    """Compute resources of the sync pod."""

    requests: Annotated[dict[str, Quantity], Field(max_length=8)] | None = None
    """Requested, for example `{cpu: 100m, memory: 256Mi}`."""
    limits: Annotated[dict[str, Quantity], Field(max_length=8)] | None = None
    """Limits."""


class Runner(ApiModel):
    """The sync Job."""

    storage: Storage | None = None
    """Where state is kept. Default: a claim of 10Gi."""
    active_deadline_seconds: Annotated[int, Field(ge=60, le=604_800)] | None = None
    """Seconds a run may take in all. Default 86400."""
    resources: ResourceRequirements | None = None
    """Compute resources of the sync pod. Default: requests of 100m CPU and 256Mi."""


class DirectorySyncSpec(ApiModel):
    """Which directory is synced into which tenant, and how."""

    sources: Annotated[
        list[Source],
        Field(
            min_length=1,
            max_length=1,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            },
        ),
    ]
    """The directory to read. One source is supported at present."""
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
    objects: Objects | None = None
    """Which users, groups and contacts take part. Default: all in the containers of the sources,
    but for what Entra Connect leaves out as well."""
    safety: Safety | None = None
    """Brakes on deletions and other changes that hurt. Defaults as in Entra Connect."""
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
    """Synced objects of the tenant that this sync does not own. They are left alone."""

    users: int = 0
    """Users."""
    groups: int = 0
    """Groups."""
    contacts: int = 0
    """Contacts."""


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
    scopes: Annotated[list[PinnedScope], Field(max_length=256)] = Field(default_factory=list)
    """Containers and groups of the scope, pinned by objectGUID."""
    blocked_plan: BlockedPlan | None = None
    """The changes a brake stopped, while it does."""
    history: Annotated[list[RunSummary], Field(max_length=5)] = Field(default_factory=list)
    """The last five runs, newest first."""


class DirectorySync(Resource):
    """A sync of one Active Directory into one Entra tenant."""

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
