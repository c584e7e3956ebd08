"""DirectorySync: which directory is synced into which tenant, when, and how carefully."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from entrasync.api.choices import (
    AnchorSource,
    DeletionPolicy,
    DriftPolicy,
    JoinBy,
    OrphanPolicy,
)
from entrasync.api.class_name import CLASS_NEVER_CHANGES, ClassName
from entrasync.api.common import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    READY_COLUMN,
    ApiModel,
    Digest,
    DistinguishedName,
    LocalReference,
    PrinterColumn,
    Resource,
    ResourceDefinition,
    ResourceName,
    condition_column,
    immutable,
    rule,
)
from entrasync.api.directory_sync_status import (
    ActiveRun,
    BlockedPlan,
    DirectorySyncStatus,
    DriftCounts,
    OrphanCounts,
    OwnedObjects,
    PinnedScope,
    RunSummary,
)
from entrasync.api.flows import AttributeName
from entrasync.api.objects import Objects
from entrasync.api.runner import Runner
from entrasync.api.safety import Matching, Safety
from entrasync.api.schedule import Schedule

__all__ = [
    "DELETION_FINALIZER",
    "MOST_SOURCES",
    "ActiveRun",
    "BlockedPlan",
    "DirectorySync",
    "DirectorySyncSpec",
    "DirectorySyncStatus",
    "DnList",
    "DriftCounts",
    "Join",
    "OrphanCounts",
    "OwnedObjects",
    "PinnedScope",
    "Reporting",
    "RunSummary",
    "Schedule",
    "Source",
    "SourceAnchorSpec",
    "SyncMode",
    "Target",
]

MOST_SOURCES: Final = 16
DELETION_FINALIZER: Final = "entrasync.dev/deletion"
"""Finalizer of a sync with `deletionPolicy: Delete`: its last run is still to be made."""

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

    validations: ClassVar[tuple[dict[str, str], ...]] = (CLASS_NEVER_CHANGES,)

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
    class_name: ClassName | None = None
    """Class of operators that serves this sync, its tenant and its directories. Immutable. Default:
    operators without a class."""
    schedule: Schedule | None = None
    """When runs start by themselves. Default: every 30 minutes."""
    suspend: bool = False
    """Stops the schedule; a SyncRun made by hand still runs. Default false."""
    mode: SyncMode = SyncMode.APPLY
    """`Apply` exports; `Preview` plans and never exports. Default `Apply`."""
    deletion_policy: DeletionPolicy = DeletionPolicy.RETAIN
    """What deleting this sync does to the tenant. `Retain`: nothing. `Delete`: a last run removes
    what the sync owns, as `onRemoval` says of each kind, brakes and approval included; a finalizer
    keeps the sync until then, one hour at most. Default `Retain`."""
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
            MESSAGE_COLUMN,
        ),
    )
    kind: Literal["DirectorySync"] = "DirectorySync"
    spec: DirectorySyncSpec
    status: DirectorySyncStatus | None = None
