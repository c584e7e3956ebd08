"""What a plan costs: writes of the tenant's quota, links, time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from entrasync.api.sync_run import Pacing, PlanSummary
from entrasync.engine.memberships import Memberships
from entrasync.engine.outcome import format_duration
from entrasync.engine.plan import Action, Plan, PlannedChange
from entrasync.entra.batches import links_within, references
from entrasync.entra.pacing import Pacer


@dataclass(slots=True, frozen=True, kw_only=True)
class Effort:
    """What changes cost.

    Attributes:
        writes: objects in requests; a group in slices counts once for each.
        links: group members that travel.
        references: all reference values, those and managers.
    """

    writes: int
    links: int
    references: int


def effort_of(changes: Sequence[PlannedChange], max_links: int, memberships: Memberships) -> Effort:
    """What sending changes costs if everything is taken.

    Args:
        changes: of a plan.
        max_links: most links of one request, as the tenant's configuration says.
        memberships: how links travel.
    """
    room = max(1, links_within(max_links))
    writes = links = others = 0
    for change in changes:
        if change.action is not Action.LINKS:
            writes += 1
            others += references(change.message)
        else:
            links += memberships.size(change)
            writes += memberships.slices(change, room)
    return Effort(writes=writes, links=links, references=links + others)


def plan_summary(plan: Plan, effort: Effort, pacer: Pacer, now: dt.datetime) -> PlanSummary:
    """The plan as status shows it."""
    expected = None
    if effort.writes:
        seconds = pacer.forecast(effort.writes, effort.references)
        done = now.astimezone(dt.UTC) + dt.timedelta(seconds=seconds)
        expected = done.strftime("%Y-%m-%dT%H:%M:%SZ")
    return PlanSummary(
        digest=plan.digest,
        writes=effort.writes,
        links=effort.links,
        expected_completion_time=expected,
    )


def pacing_of(pacer: Pacer) -> Pacing:
    """How a run kept within its quota, as status shows it."""
    weight = pacer.link_weight_percent
    return Pacing(
        quota=pacer.quota,
        paced_time=format_duration(float(-(-pacer.paced_seconds // 1))),
        throttled=pacer.throttled,
        link_write_weight=f"{weight / 100:g}" if weight else None,
    )
