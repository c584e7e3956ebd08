"""What a cycle is to do, and what with."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from entrasync.api.directory_sync import AnchorSource, PinnedScope, SyncMode
from entrasync.api.sync_run import RunScope
from entrasync.directory.session import DirectorySession
from entrasync.engine.brakes import SafetyLimits
from entrasync.engine.containers import ScopeSpec
from entrasync.engine.exporting import Exporter
from entrasync.engine.selection import SelectionRules
from entrasync.entra.contracts import CompanyConfiguration, ReadBackPage, SyncVersion
from entrasync.entra.pacing import Pacer
from entrasync.state.store import Store


class SyncService(Exporter, Protocol):
    """What a cycle needs of the sync service's client."""

    def company_configuration(self) -> CompanyConfiguration:
        """What the tenant says of itself."""
        ...

    def read_back(self) -> Iterable[ReadBackPage]:
        """All synced objects of the tenant, page by page."""
        ...

    def finalize_export(self, total: int, successful: int) -> None:
        """Ends an export."""
        ...


@dataclass(slots=True, frozen=True, kw_only=True)
class CycleInputs:
    """What a cycle is to do.

    Attributes:
        tenant_id: the tenant to write.
        tenant_resource: `Kind/name` of the tenant, for messages.
        directory_resource: `Kind/name` of the directory, for messages.
        mode: `Apply` exports, `Preview` stops after the plan.
        scope: `Full` reads everything; else a delta where that is possible.
        where: containers in and out.
        remembered: pins that the sync's status remembers.
        selection: what of the containers takes part.
        anchor_source: where anchors come from.
        max_group_members: most members a group may have.
        version: whether memberships are sent as changes (V2) or as whole lists (V1).
        write_quota_percent: share of the tenant's writes that may be used.
        limits: brakes.
        window: time the brakes sum over.
        approved: digests of braked changes a person let through.
    """

    tenant_id: str
    tenant_resource: str
    directory_resource: str
    mode: SyncMode
    scope: RunScope | None
    where: ScopeSpec
    remembered: tuple[PinnedScope, ...]
    selection: SelectionRules
    anchor_source: AnchorSource
    max_group_members: int
    version: SyncVersion
    write_quota_percent: int
    limits: SafetyLimits
    window: dt.timedelta
    approved: tuple[str, ...]


@dataclass(slots=True, frozen=True, kw_only=True)
class CycleParts:
    """What a cycle works with.

    Attributes:
        session_factory: opens the directory.
        client: the sync service.
        store: the state.
        pacer: keeps within the tenant's quota of writes.
        clock: the time, in UTC.
        monotonic: seconds, for timings.
        progress: told stage, steps done and all steps, `None` when not known.
        cancelled: whether to end after the current batch.
        waiting: told the seconds still to wait for the quota, about once a second.
    """

    session_factory: Callable[[], AbstractContextManager[DirectorySession]]
    client: SyncService
    store: Store
    pacer: Pacer
    clock: Callable[[], dt.datetime]
    monotonic: Callable[[], float]
    progress: Callable[[str, int, int | None], None]
    cancelled: Callable[[], bool] = lambda: False
    waiting: Callable[[float], None] = lambda _: None
