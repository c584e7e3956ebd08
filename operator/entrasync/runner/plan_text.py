"""A plan for a person at a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from entrasync.engine.plan import Action

if TYPE_CHECKING:
    from entrasync.api.sync_run import Pacing, PlanSummary
    from entrasync.engine.outcome import CycleOutcome
    from entrasync.engine.plan import PlannedChange

_MARKS = {Action.ADD: "+", Action.UPDATE: "~", Action.DELETE: "-", Action.LINKS: "~"}


def render_plan(outcome: CycleOutcome, *, names: bool) -> str:
    """One line a change, in the order they would be sent.

    Values are never shown, only the names of the properties.

    Args:
        outcome: of a cycle that came as far as a plan.
        names: whether to add the DN of each object that is in the directory.
    """
    if outcome.plan is None or not outcome.plan.changes:
        return "No changes.\n"
    lines = []
    for change in outcome.plan.changes:
        line = f"{_MARKS[change.action]} {_describe(change)}"
        dn = outcome.names.get(change.message.source_anchor)
        lines.append(f"{line}  ({dn})" if names and dn is not None else line)
    lines.append(f"Plan {outcome.plan.digest}")
    if outcome.summary is not None:
        lines.append(f"It takes {effort_text(outcome.summary, outcome.pacing)}")
    return "\n".join(lines) + "\n"


def effort_text(plan: PlanSummary, pacing: Pacing | None) -> str:
    """What a plan costs, in words."""
    told = [_counted(plan.writes or 0, "write"), _counted(plan.links or 0, "link")]
    if pacing is not None:
        told.append(f"at {pacing.quota} writes in 5 minutes")
    if plan.expected_completion_time is not None:
        told.append(f"expected to be done at {plan.expected_completion_time}")
    return ", ".join(told)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _describe(change: PlannedChange) -> str:
    message = change.message
    what = f"{message.object_type} {message.source_anchor}"
    if change.action is Action.LINKS:
        added = sum(link.add for link in message.links)
        removed = len(message.links) - added
        return f"{what}: {_counted(added, 'member')} added, {removed} removed"
    if change.action is Action.UPDATE:
        keys = ", ".join(sorted(message.properties))
        return f"{what}: {keys}{' for a moment, to free them' if change.temporary else ''}"
    return what
