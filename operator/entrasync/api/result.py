"""The result of a run: versioned JSON that fits a container's termination message.

The runner writes it, the operator reads it; both sides parse defensively. It carries anchors and
codes, never names, secrets or values of attributes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, Literal

from pydantic import Field

from entrasync.api.active_directory import ActiveDirectoryStatus
from entrasync.api.common import StatusModel
from entrasync.api.directory_sync import (
    BlockedPlan,
    DriftCounts,
    OrphanCounts,
    OwnedObjects,
    PinnedScope,
)
from entrasync.api.entra_tenant import Company
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
    "pacing",
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


class CheckOutcome(StatusModel):
    """How one half of a check ended: the tenant's or the directory's."""

    ok: bool
    reason: str
    message: str = ""


class RunResult(StatusModel):
    """All a run says of itself."""

    v: Literal[1] = 1
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
        """Reads a termination message; `None` when it is no result (cut off, a crash)."""
        try:
            return cls.model_validate_json(text)
        except ValueError:
            return None


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
