"""What a run says at its end: its result as a file, as text or JSON, and as an exit code."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from entrasync.api.result import RunResult
from entrasync.engine.explain_text import printable
from entrasync.engine.outcome import format_duration
from entrasync.errors import BlockedError, CancelledError, ConfigurationError, EntrasyncError
from entrasync.runner.plan_text import effort_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entrasync.api.result import CheckOutcome
    from entrasync.api.sync_run import KindChanges, ObjectError


class ExitCode(IntEnum):
    """Exit codes outside a Job; in a Job only the first three."""

    DONE = 0
    FAILED = 1
    CONFIGURATION = 2
    BLOCKED = 3
    DONE_WITH_ERRORS = 4


_BY_OUTCOME: Final = {
    "Succeeded": ExitCode.DONE,
    "SucceededWithErrors": ExitCode.DONE_WITH_ERRORS,
    "Blocked": ExitCode.BLOCKED,
    "Failed": ExitCode.FAILED,
    "Cancelled": ExitCode.FAILED,
}
_COMPLETE: Final = frozenset({"Succeeded", "SucceededWithErrors", "Blocked"})


def exit_code(result: RunResult, *, in_job: bool) -> ExitCode:
    """The exit code of a run with this result.

    In a Job, a complete result is a success whatever it says: the Job did its work, and trying
    again would not change it.
    """
    if result.outcome == "Failed" and result.permanent:
        return ExitCode.CONFIGURATION
    if in_job and result.outcome in _COMPLETE:
        return ExitCode.DONE
    return _BY_OUTCOME[result.outcome]


def failed_result(error: Exception, *, mode: str) -> RunResult:
    """The result of a run that an exception ended.

    Of an unexpected exception only its class is told: its text may hold personal data.
    """
    if not isinstance(error, EntrasyncError):
        return RunResult(
            outcome="Failed",
            reason="RunFailed",
            message=f"the run ended with an unexpected {type(error).__name__}; its log says more",
            mode=mode,
        )
    if isinstance(error, CancelledError):
        return RunResult(outcome="Cancelled", reason=error.reason, message=error.message, mode=mode)
    return RunResult(
        outcome="Blocked" if isinstance(error, BlockedError) else "Failed",
        reason=error.reason,
        message=message_of(error),
        resource=error.resource,
        permanent=isinstance(error, ConfigurationError),
        mode=mode,
    )


def message_of(error: EntrasyncError) -> str:
    """Field and message of an error; the resource is told beside it."""
    return f"`{error.field}`: {error.message}" if error.field else error.message


def write_termination_message(result: RunResult, path: Path) -> None:
    """Writes the result where the operator reads it.

    In place, not by renaming: the kubelet has mounted this very file.
    """
    with path.open("w", encoding="utf-8") as file:
        file.write(result.to_message())


def render_text(
    result: RunResult,
    *,
    errors: Sequence[ObjectError] | None = None,
    warnings: Sequence[ObjectError] | None = None,
) -> str:
    """The result for a person at a terminal.

    Args:
        result: of a run.
        errors: objects in error, where more of them are known than the result holds.
        warnings: objects taken with a reservation, likewise.
    """
    lines = [f"{result.outcome}: {result.reason}"]
    if result.message:
        where = f"{result.resource} " if result.resource else ""
        lines.append(f"  {where}{result.message}")
    lines += [
        *_render_checks(result),
        *_render_plan(result),
        *_render_changes(result),
        *_render_blocked(result),
    ]
    if result.objects is not None:
        owned = result.objects
        lines.append(
            f"  owned: {owned.users} users, {owned.groups} groups, {owned.contacts} contacts,"
            f" {owned.links} links"
        )
    if result.orphans is not None and any(result.orphans.model_dump().values()):
        orphans = result.orphans
        lines.append(
            f"  orphans: {orphans.users} users, {orphans.groups} groups,"
            f" {orphans.contacts} contacts"
        )
    if result.drift is not None and any(result.drift.model_dump().values()):
        drift = result.drift
        lines.append(
            f"  changed by others: {drift.objects} objects, {drift.links} links;"
            f" {drift.not_accepted} not accepted"
        )
    if result.excluded:
        counts = ", ".join(f"{each.count} {each.rule}" for each in result.excluded)
        lines.append(f"  left out: {counts}")
    if len(result.errors_by_code) > 1:
        counts = ", ".join(f"{each.count} {each.code}" for each in result.errors_by_code)
        lines.append(f"  in error: {counts}")
    lines += _render_objects(
        result.errors if errors is None else errors, result.error_count, "in error"
    )
    lines += _render_objects(
        result.warnings if warnings is None else warnings,
        result.warning_count,
        "taken with a reservation",
        mark="warning: ",
    )
    return "\n".join(lines) + "\n"


def _render_objects(
    objects: Sequence[ObjectError], count: int, what: str, mark: str = ""
) -> list[str]:
    # the service's own words are among them
    lines = [printable(f"  {mark}{e.code} {e.anchor} {e.message}".rstrip()) for e in objects]
    if count > len(objects):
        lines.append(f"  and {count - len(objects)} more {what}")
    return lines


def _render_plan(result: RunResult) -> list[str]:
    """What the plan costs, and how the quota held the run up."""
    lines = []
    if result.plan is not None and result.plan.writes:
        lines.append(f"  plan: {effort_text(result.plan, result.pacing)}")
    if result.pacing is not None and result.pacing.held_up:
        pacing = result.pacing
        waited = pacing.paced_time != "0s"
        told = [f"waited {pacing.paced_time} for the quota"] if waited else []
        if pacing.throttled:
            times = "once" if pacing.throttled == 1 else f"{pacing.throttled} times"
            told.append(f"the tenant was busy {times}")
        if pacing.link_write_weight:
            told.append(f"a link counts as {pacing.link_write_weight} writes")
        lines.append(f"  paced: {', '.join(told)}")
    if result.latency is not None and result.latency.objects:
        latency = result.latency
        average = format_duration(round(latency.sum_seconds / latency.objects))
        longest = format_duration(latency.max_seconds)
        lines.append(
            f"  latency: {average} from a change to its confirmation on average, {longest} at most"
        )
    if result.plan is not None and result.plan.outcomes:
        told = [f"{number} {name}" for name, number in result.plan.outcomes.items()]
        lines.append(f"  additions: {', '.join(told)}")
    return lines


def _render_checks(result: RunResult) -> list[str]:
    halves: list[tuple[str, CheckOutcome | None]] = [
        ("tenant", result.tenant_check),
        ("directory", result.directory_check),
    ]
    halves += [(f"directory {name}", each) for name, each in result.directory_checks.items()]
    return [
        f"  {name}: {'ok' if check.ok else check.reason} {check.message}".rstrip()
        for name, check in halves
        if check is not None
    ]


def _render_changes(result: RunResult) -> list[str]:
    if result.changes is None:
        return []
    links = result.changes.links
    return [
        _kind_line("users", result.changes.users),
        _kind_line("groups", result.changes.groups),
        _kind_line("contacts", result.changes.contacts),
        f"  links: {links.add} added, {links.remove} removed, {links.failed} failed",
    ]


def _kind_line(name: str, kind: KindChanges) -> str:
    return (
        f"  {name}: {kind.add} added, {kind.update} updated, {kind.delete} deleted,"
        f" {kind.failed} failed"
    )


def _render_blocked(result: RunResult) -> list[str]:
    if result.blocked_plan is None:
        return []
    blocked = result.blocked_plan
    counts = {
        "users": blocked.users,
        "groups": blocked.groups,
        "contacts": blocked.contacts,
        "links": blocked.links,
    }
    told = [
        f"{number} {operation} of {kind}"
        for kind, operations in counts.items()
        for operation, number in (operations or {}).items()
    ]
    told += [f"{number} {sort}" for sort, number in (blocked.changes or {}).items()]
    rest = "; everything else went on" if blocked.held else ""
    if not told:  # the whole export, not some changes of it
        return []
    return [
        f"  blocked: {', '.join(told)}{rest}",
        f"  to let exactly these through, set spec.approvedPlan to {blocked.digest}",
    ]
