"""What a cycle says of itself at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, Literal

from entrasync.api.directory_sync import (
    BlockedPlan,
    DriftCounts,
    OrphanCounts,
    OwnedObjects,
    PinnedScope,
)
from entrasync.api.entra_tenant import Company, LastExport
from entrasync.api.result import ChangeLatency, DirectoryFacts
from entrasync.api.sync_run import (
    Changes,
    ObjectError,
    Pacing,
    PlanSummary,
    RequestCounts,
    SourceRead,
)
from entrasync.engine.plan import Plan

OutcomeName = Literal["Succeeded", "SucceededWithErrors", "Blocked", "Cancelled"]

SYNCHRONIZED: Final = "Synchronized"
EXPORT_ERRORS: Final = "ExportErrors"
OBJECTS_UNACCOUNTED: Final = "ObjectsUnaccounted"


@dataclass(slots=True, kw_only=True)
class CycleOutcome:
    """How a cycle ended; filled as it goes, so that a failed one tells what it learnt.

    Attributes:
        outcome: how it ended.
        reason: CamelCase reason.
        message: a sentence for people.
        scope: what was read: `Delta` or `Full`.
        plan: the plan; `None` when it ended before.
        summary: the plan's digest, what it costs, when it expects to be done.
        changes: what was changed, or with Preview would be.
        source: what was read.
        requests: calls to the sync service.
        errors: objects in error.
        error_count: all of them, also where there are more than are kept.
        errors_by_code: all of them by code.
        warnings: objects that the service took with a reservation.
        warning_count: all of them.
        pacing: how the run kept within the tenant's quota; `None` when it ended before a plan.
        latency: how long changes of the directory took to be confirmed; `None` for none measured.
        last_export: the export of this cycle; `None` where nothing was exported.
        objects: what is owned now.
        orphans: synced objects of the tenant that are not ours.
        scopes: containers and groups of the scope.
        excluded: objects in the containers that each rule left out, by its name.
        blocked_plan: what was braked.
        approval_used: digest of the approval that was used up.
        timings: time per stage.
        company: what the tenant says of itself.
        directories: what was learnt of each directory, by name of its ActiveDirectory.
        outcomes: what the service is expected to make of additions.
        drift: what somebody else changed in the tenant.
        stamping: what became of users whose anchor was to be written; empty when there were none.
    """

    outcome: OutcomeName = "Succeeded"
    reason: str = SYNCHRONIZED
    message: str = ""
    scope: str | None = None
    plan: Plan | None = None
    summary: PlanSummary | None = None
    changes: Changes | None = None
    source: SourceRead | None = None
    requests: RequestCounts = field(default_factory=RequestCounts)
    errors: list[ObjectError] = field(default_factory=list)
    error_count: int = 0
    errors_by_code: Counter[str] = field(default_factory=Counter)
    warnings: list[ObjectError] = field(default_factory=list)
    warning_count: int = 0
    pacing: Pacing | None = None
    latency: ChangeLatency | None = None
    last_export: LastExport | None = None
    objects: OwnedObjects | None = None
    orphans: OrphanCounts | None = None
    scopes: tuple[PinnedScope, ...] = ()
    excluded: dict[str, int] = field(default_factory=dict)
    blocked_plan: BlockedPlan | None = None
    approval_used: str | None = None
    timings: dict[str, str] = field(default_factory=dict)
    company: Company | None = None
    directories: dict[str, DirectoryFacts] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    drift: DriftCounts | None = None
    stamping: str = ""


class Stopwatch:
    """Measures stages.

    Args:
        monotonic: clock in seconds.
        timings: filled with one entry a stage.
    """

    def __init__(self, monotonic: Callable[[], float], timings: dict[str, str]) -> None:
        self._monotonic = monotonic
        self._timings = timings

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Measures one stage, also when it fails."""
        start = self._monotonic()
        try:
            yield
        finally:
            self._timings[name] = format_duration(self._monotonic() - start)


def format_duration(seconds: float) -> str:
    """Seconds as a duration of Kubernetes (GEP-2257), for example `3s200ms`."""
    rest = max(0, round(seconds * 1000))
    parts = []
    for unit, size in (("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)):
        number, rest = divmod(rest, size)
        if number:
            parts.append(f"{number}{unit}")
    return "".join(parts) or "0s"
