"""What a plan costs: writes of the tenant's quota, links, time."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from entrasync.api.sync_run import Pacing, PlanSummary
from entrasync.engine.outcome import format_duration
from entrasync.entra.batches import links_within
from entrasync.entra.pacing import Pacer
from entrasync.state.store import Store


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


def effort_of(store: Store, max_links: int, *, whole: bool) -> Effort:
    """What sending the plan costs if everything that is not held is taken.

    Args:
        store: the state, with a plan.
        max_links: most links of one request, as the tenant's configuration says.
        whole: whether complete lists of members travel, as with V1.
    """
    costs = store.plan.costs(max(1, links_within(max_links)), whole=whole)
    return Effort(writes=costs.writes, links=costs.links, references=costs.references)


def plan_summary(digest: str, effort: Effort, pacer: Pacer, now: dt.datetime) -> PlanSummary:
    """The plan as status shows it."""
    expected = None
    if effort.writes:
        seconds = pacer.forecast(effort.writes, effort.references)
        done = now.astimezone(dt.UTC) + dt.timedelta(seconds=seconds)
        expected = done.strftime("%Y-%m-%dT%H:%M:%SZ")
    return PlanSummary(
        digest=digest,
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
