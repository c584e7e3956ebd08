"""The result of a run: versioned JSON that fits a container's termination message.

The runner writes it, the operator reads it; both sides parse defensively. It carries anchors and
codes, never names, secrets or values of attributes.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError

from entrasync.api.active_directory import ActiveDirectoryStatus
from entrasync.api.common import StatusModel
from entrasync.api.directory_sync import (
    BlockedPlan,
    DriftCounts,
    OrphanCounts,
    OwnedObjects,
    PinnedScope,
)
from entrasync.api.entra_tenant import Company, LastExport
from entrasync.api.sync_run import (
    Changes,
    CodeCounts,
    ExcludedCounts,
    ObjectError,
    Pacing,
    PlanSummary,
    RequestCounts,
    SourceRead,
)

MAX_RESULT_BYTES: Final = 4096
"""Kubernetes keeps at most this much of a container's termination message."""

LATENCY_BOUNDS: Final = (30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
"""Upper bounds in seconds of the counts in `ChangeLatency`; what takes longer comes after them."""

RESULT_VERSION: Final = 1
_OUTCOMES: Final = frozenset({"Succeeded", "SucceededWithErrors", "Blocked", "Failed", "Cancelled"})
_SHORTENED: Final = frozenset({"warnings", "errors"})
"""Lists of objects, of which the first one tells most."""
_BY_NAME: Final = "directories"
"""Facts of directories: given up one by one, the last one first; what is not told stays known."""
_ALL_OF: Final = "all "
_GIVEN_UP: Final = (
    "timings",
    "warnings",
    "errors",
    "scopes",
    "all warnings",
    "all errors",
    "company",
    "directories",
    "excluded",
    "errorsByCode",
    "latency",
    "pacing",
    "earlier",
    "plan",
)
"""Members given up, in this order, until a result fits; lists of objects first but for one."""


class DirectoryFacts(StatusModel):
    """What a run or check learnt of the directory."""

    server: str | None = None
    domain: str | None = None
    functional_level: str | None = None
    delta_method: str | None = None
    delta_method_reason: str | None = None

    def apply_to(self, status: ActiveDirectoryStatus) -> None:
        """Copies these facts onto an ActiveDirectory's status."""
        status.server = self.server
        status.domain = self.domain
        status.functional_level = self.functional_level
        status.delta_method = self.delta_method
        status.delta_method_reason = self.delta_method_reason


class ChangeLatency(StatusModel):
    """How long changes of the directory took to be confirmed by the service.

    From `whenChanged`, which has a resolution of one second and is the time at which the domain
    controller that was read took the change, to the answer of the service; of objects whose change
    a delta read saw. It is no time of the clock of one machine: a difference below nothing counts
    as nothing.
    """

    counts: list[Annotated[int, Field(ge=0)]] = Field(default_factory=list, max_length=32)
    """Objects by `LATENCY_BOUNDS`, zeros at the end left out."""
    sum_seconds: Annotated[int, Field(ge=0)] = 0
    """Of all objects."""
    max_seconds: Annotated[int, Field(ge=0)] = 0
    """Of the slowest."""

    @property
    def objects(self) -> int:
        """How many were measured."""
        return sum(self.counts)

    @classmethod
    def of(cls, seconds: Sequence[float]) -> ChangeLatency:
        """Sums up what was measured."""
        counts = [0] * (len(LATENCY_BOUNDS) + 1)
        whole = [max(0, round(each)) for each in seconds]
        for each in whole:
            counts[bisect_left(LATENCY_BOUNDS, each)] += 1
        while counts and not counts[-1]:
            counts.pop()
        return cls(counts=counts, sum_seconds=sum(whole), max_seconds=max(whole, default=0))


class CheckOutcome(StatusModel):
    """How one half of a check ended: the tenant's or the directory's."""

    ok: bool
    reason: str
    message: str = ""


class EarlierResult(StatusModel):
    """What is told of an earlier run of the sync, whose own result nobody has read."""

    run: str
    """Name of its SyncRun."""
    time: str = ""
    """When it ended (RFC 3339)."""
    outcome: str
    reason: str
    message: str = ""
    mode: str = ""
    scope: str | None = None
    endpoint_version: str | None = None
    changes: Changes | None = None
    requests: RequestCounts | None = None
    error_count: int = 0


class RunResult(StatusModel):
    """All a run says of itself."""

    v: int = RESULT_VERSION
    """Version of this form. A reader takes of another one what it understands."""
    outcome: Literal["Succeeded", "SucceededWithErrors", "Blocked", "Failed", "Cancelled"]
    reason: str
    """CamelCase reason of the outcome, `Synchronized` when all is well."""
    message: str = ""
    resource: str = ""
    """`Kind/name` of the resource to look at, when the run failed on its configuration."""
    permanent: bool = False
    """Whether a person must act before another try can help."""
    mode: str = ""
    scope: str | None = None
    endpoint_version: str | None = None
    endpoint_url: str | None = None
    plan: PlanSummary | None = None
    changes: Changes | None = None
    source: SourceRead | None = None
    requests: RequestCounts | None = None
    errors: list[ObjectError] = Field(default_factory=list)
    error_count: int = 0
    errors_by_code: CodeCounts = Field(default_factory=list)
    warnings: list[ObjectError] = Field(default_factory=list)
    warning_count: int = 0
    pacing: Pacing | None = None
    latency: ChangeLatency | None = None
    """Of changes that were exported; `None` where none was measured."""
    last_export: LastExport | None = None
    objects: OwnedObjects | None = None
    orphans: OrphanCounts | None = None
    drift: DriftCounts | None = None
    scopes: list[PinnedScope] = Field(default_factory=list)
    excluded: ExcludedCounts = Field(default_factory=list)
    blocked_plan: BlockedPlan | None = None
    approval_used: str | None = None
    """Digest of the approval this run used up."""
    timings: dict[str, str] | None = None
    company: Company | None = None
    directories: dict[str, DirectoryFacts] = Field(default_factory=dict)
    """What was learnt of each ActiveDirectory, by its name."""
    directory: DirectoryFacts | None = None
    """What runners told that knew one directory only; read, never written."""
    tenant_check: CheckOutcome | None = None
    directory_checks: dict[str, CheckOutcome] = Field(default_factory=dict)
    """How the check of each ActiveDirectory ended, by its name."""
    earlier: list[EarlierResult] = Field(default_factory=list)
    """Results of earlier runs that the snapshot asked for."""
    directory_check: CheckOutcome | None = None
    """What runners told that knew one directory only; read, never written."""

    @property
    def plan_digest(self) -> str | None:
        """Digest of the plan, `None` when the run ended before there was one."""
        return None if self.plan is None else self.plan.digest

    @property
    def was_held(self) -> bool:
        """Whether a brake held some changes back, and all others went on."""
        return (
            self.outcome == "Blocked" and self.blocked_plan is not None and self.blocked_plan.held
        )

    def facts_of(self, directory: str) -> DirectoryFacts | None:
        """What was learnt of an ActiveDirectory, `None` when nothing is told of it."""
        if self.directories:
            return self.directories.get(directory)
        return self.directory

    def check_of(self, directory: str) -> CheckOutcome | None:
        """How the check of an ActiveDirectory ended, `None` when there was none."""
        if self.directory_checks:
            return self.directory_checks.get(directory)
        return self.directory_check

    def to_message(self) -> str:
        """The result as JSON of at most 4,096 bytes.

        Lists of objects are shortened and optional members dropped until it fits.
        """
        data = self.model_dump(by_alias=True, exclude_none=True, exclude_defaults=False)
        for name in _GIVEN_UP:
            if name in _SHORTENED:
                while len(data[name]) > 1 and not _fits(data):
                    data[name].pop()
            elif name == _BY_NAME:
                while data[name] and not _fits(data):
                    data[name].popitem()
            elif not _fits(data):
                data.pop(name.removeprefix(_ALL_OF), None)
        if not _fits(data):
            data["message"] = _cut(data["message"], 512)
            if "blockedPlan" in data:
                data["blockedPlan"]["sample"] = []
            _shorten_checks(data["directoryChecks"], lambda: _fits(data))
        return _compact(data)

    @classmethod
    def from_message(cls, text: str) -> RunResult | None:
        """Reads a termination message; `None` when it is no result (cut off, a crash).

        Of a runner of another version that is left out which is not understood.
        """
        try:
            found = json.loads(text)
        except ValueError:
            return None
        if not isinstance(found, dict) or not found.keys() >= {"outcome", "reason"}:
            return None
        if found["outcome"] not in _OUTCOMES:
            told = f"{found.get('message', '')} (outcome {found['outcome']}, of another version)"
            found |= {"outcome": "Failed", "message": told.strip()}
        return _understood(cls, found)


def _understood(kind: type[RunResult], found: dict[str, Any]) -> RunResult | None:
    """The result without the members that are not understood; `None` when nothing is left."""
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        strange = {str(each["loc"][0]) for each in error.errors() if each["loc"]} & found.keys()
        if not strange or strange & {"outcome", "reason"}:
            return None
        return _understood(kind, {k: v for k, v in found.items() if k not in strange})


def _shorten_checks(checks: dict[str, dict[str, Any]], fits: Callable[[], bool]) -> None:
    """Messages of checks that went well say little; the others are cut.

    With very long names not even all verdicts have room: good ones are given up first.
    """
    for length in (96, 0):
        if fits():
            return
        for check in checks.values():
            check["message"] = _cut(check["message"], 0 if check["ok"] else length)
    for name in sorted(checks, key=lambda name: not checks[name]["ok"]):
        if fits():
            return
        del checks[name]


def _cut(text: str, size: int) -> str:
    """The beginning of a text, of so many bytes at most."""
    return text.encode()[:size].decode(errors="ignore")


def _fits(data: object) -> bool:
    return len(_compact(data).encode()) <= MAX_RESULT_BYTES


def _compact(data: object) -> str:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False)
