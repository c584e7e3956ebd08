"""What a cycle is to do, and what with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from entrasync.api.choices import (
    AnchorSource,
    DriftPolicy,
    JoinBy,
    OnBlocked,
    OnRemoval,
    OrphanPolicy,
    Takeover,
    TenantTakeover,
)
from entrasync.api.directory_sync import PinnedScope, SyncMode
from entrasync.api.entra_tenant import LastExport
from entrasync.api.sync_run import RunScope
from entrasync.directory.session import DirectorySession
from entrasync.directory.writer import AnchorWriter
from entrasync.engine.brakes import SafetyLimits
from entrasync.engine.containers import ScopeSpec
from entrasync.engine.delivery import Exporter
from entrasync.engine.flows import FlowSet
from entrasync.engine.forecasts import AccountFinder
from entrasync.engine.plan import Plan
from entrasync.engine.selection import SelectionRules
from entrasync.engine.source import SourceKind
from entrasync.entra.contracts import CompanyConfiguration, ReadBackPage, SyncVersion
from entrasync.entra.graph import LastSync, SyncSettings
from entrasync.entra.pacing import Pacer
from entrasync.state.store import Store


class SyncService(Exporter, Protocol):
    """What a cycle needs of the sync service's client."""

    def company_configuration(self) -> CompanyConfiguration:
        """What the tenant says of itself."""
        ...

    def read_back(self, cookie: str | None = None) -> Iterable[ReadBackPage]:
        """Synced objects of the tenant, page by page: all, or what changed since a cookie."""
        ...

    def finalize_export(self, total: int, successful: int) -> None:
        """Ends an export."""
        ...


class MicrosoftGraph(AccountFinder, Protocol):
    """What a cycle needs of Microsoft Graph; `entra.graph.GraphClient` is one."""

    def settings(self) -> SyncSettings | None:
        """How the tenant is set up for synchronization, `None` when that must not be read."""
        ...


@dataclass(slots=True, frozen=True, kw_only=True)
class SourceInputs:
    """One source of a sync; the order of sources is their precedence.

    Attributes:
        name: within the sync.
        resource: `Kind/name` of its directory, for messages.
        where: containers in and out.
    """

    name: str
    resource: str
    where: ScopeSpec


@dataclass(slots=True, frozen=True, kw_only=True)
class AnchorRules:
    """Where anchors come from.

    Attributes:
        source: which attribute.
        attribute: its name, for `Attribute`.
        stamp: whether users without mS-DS-ConsistencyGuid get one; changes no anchor.
    """

    source: AnchorSource = AnchorSource.CONSISTENCY_GUID
    attribute: str | None = None
    stamp: bool = False


@dataclass(slots=True, frozen=True, kw_only=True)
class MatchingRules:
    """Whether additions may take over cloud accounts.

    Attributes:
        soft: by address or user principal name.
        hard: by anchor.
    """

    soft: Takeover = Takeover.REFUSE
    hard: Takeover = Takeover.REFUSE


@dataclass(slots=True, frozen=True, kw_only=True)
class CycleInputs:
    """What a cycle is to do.

    Attributes:
        run: name of the run, under which its plan is kept.
        tenant_id: the tenant to write.
        tenant_resource: `Kind/name` of the tenant, for messages.
        sync_resource: `Kind/name` of the sync, for messages.
        mode: `Apply` exports, `Preview` stops after the plan.
        scope: `Full` reads and evaluates everything; else what changed, where that is possible.
        sources: directories to read, in order of precedence.
        remembered: pins that the sync's status remembers.
        selection: what of the containers takes part.
        anchors: where anchors come from.
        join_users: what joins users of several sources.
        flows: how attributes travel.
        on_removal: what becomes of cloud objects that are wanted no longer, by kind.
        max_group_members: most members a group may have.
        version: whether memberships are sent as changes (V2) or as whole lists (V1).
        write_quota_percent: share of the tenant's writes that may be used.
        limits: brakes.
        window: time the brakes sum over.
        on_blocked: what a brake stops.
        matching: whether additions may take over cloud accounts.
        orphans: what becomes of synced objects that are not ours.
        drift: what becomes of values that somebody else changed.
        approved: digests of braked changes a person let through.
        takeover: whether a tenant may be synced that another engine synced until now.
        last_export: what the tenant's status remembers of the last export from here.
        ends: whether the sync is being deleted together with what it owns: the last cycle of it,
            which reads no directory.
    """

    run: str
    tenant_id: str
    tenant_resource: str
    sync_resource: str
    mode: SyncMode
    scope: RunScope | None
    sources: tuple[SourceInputs, ...]
    remembered: tuple[PinnedScope, ...]
    selection: SelectionRules
    anchors: AnchorRules
    join_users: JoinBy
    flows: FlowSet
    on_removal: Mapping[SourceKind, OnRemoval]
    max_group_members: int
    version: SyncVersion
    write_quota_percent: int
    limits: SafetyLimits
    window: dt.timedelta
    on_blocked: OnBlocked
    matching: MatchingRules
    orphans: OrphanPolicy
    drift: DriftPolicy
    approved: tuple[str, ...]
    takeover: TenantTakeover = TenantTakeover.REFUSE
    last_export: LastExport | None = None
    ends: bool = False

    @property
    def removals(self) -> dict[SourceKind, OnRemoval]:
        """What becomes of what is wanted no longer, of the kinds that are synced."""
        return {
            kind: what
            for kind, what in self.on_removal.items()
            if kind not in self.selection.disabled
        }


@dataclass(slots=True, frozen=True, kw_only=True)
class CycleParts:
    """What a cycle works with.

    Attributes:
        open_source: opens the directory of a source, by its name in the sync.
        client: the sync service.
        store: the state.
        pacer: keeps within the tenant's quota of writes.
        clock: the time, in UTC.
        monotonic: seconds, for timings.
        progress: told stage, steps done and all steps, `None` when not known.
        cancelled: whether to end after the current batch.
        waiting: told the seconds still to wait for the quota, about once a second.
        accounts: what the tenant holds beside synced objects, `None` where that cannot be read.
        planned: told the plan once the brakes have judged it, before anything is exported.
        last_sync: when the tenant was synced last, by whatever engine; `None` where that cannot be
            read.
        open_writer: opens the directory of a source to write anchors, by its name in the sync;
            `None` where nothing is ever written.
    """

    open_source: Callable[[str], AbstractContextManager[DirectorySession]]
    client: SyncService
    store: Store
    pacer: Pacer
    clock: Callable[[], dt.datetime]
    monotonic: Callable[[], float]
    progress: Callable[[str, int, int | None], None]
    cancelled: Callable[[], bool] = lambda: False
    waiting: Callable[[float], None] = lambda _: None
    accounts: MicrosoftGraph | None = None
    planned: Callable[[Plan], None] = lambda _: None
    last_sync: Callable[[], LastSync | None] = lambda: None
    open_writer: Callable[[str], AbstractContextManager[AnchorWriter]] | None = None
