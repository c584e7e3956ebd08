"""Whether a plan may be carried out: brakes, approvals, a source that shrank."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from entrasync.api.directory_sync import BlockedPlan
from entrasync.engine.approvals import Approvals
from entrasync.engine.brakes import Blocked, Owned, SafetyLimits, check_brakes, source_shrank
from entrasync.engine.exporting import spent_since
from entrasync.engine.importing import forget_cookie
from entrasync.engine.plan import CloudObject, Plan, PlannedChange
from entrasync.entra.contracts import SyncObjectType
from entrasync.errors import BlockedError
from entrasync.state.store import Store

META_IN_SCOPE: Final = "in-scope"


@dataclass(slots=True, frozen=True, kw_only=True)
class Verdict:
    """What the brakes say.

    Attributes:
        blocked: what is braked; `None` when the plan may go on.
        approved: what an approval lets through that is used for the first time.
    """

    blocked: Blocked | None = None
    approved: Blocked | None = None


def judge(
    plan: Plan,
    cloud: Mapping[str, CloudObject],
    limits: SafetyLimits,
    store: Store,
    approvals: Approvals,
    *,
    since: dt.datetime,
    offered: tuple[str, ...],
) -> Verdict:
    """Compares a plan with the limits.

    Args:
        plan: what is to be done.
        cloud: what the tenant holds.
        limits: the most that may be done.
        store: knows what was done within the window.
        approvals: what was let through before.
        since: when the window began.
        offered: digests of braked changes that a person lets through now.
    """
    unapproved = tuple(change for change in plan.changes if not approvals.covers(change))
    blocked = check_brakes(
        replace(plan, changes=unapproved),
        limits,
        _owned_with_adopted(plan, cloud),
        spent_since(store, since),
        approved=frozenset(),
    )
    if blocked is not None and blocked.digest in approvals.unused(offered):
        return Verdict(approved=blocked)
    return Verdict(blocked=blocked)


def braked_changes(blocked: Blocked) -> list[PlannedChange]:
    """Every change a brake stops."""
    return [change for brake in blocked.brakes for change in brake.changes]


def blocked_message(blocked: Blocked) -> str:
    """What happened and what to do."""
    what = "; ".join(brake.message for brake in blocked.brakes)
    return (
        f"{what}. Nothing was exported. Mend the source, or set `spec.approvedPlan` to"
        f" {blocked.digest} to let exactly these changes through, once"
    )


def blocked_plan(blocked: Blocked) -> BlockedPlan:
    """What is braked, as status shows it."""
    counts = blocked.counts()
    return BlockedPlan(
        digest=blocked.digest,
        reason=blocked.brakes[0].reason,
        users=counts.get("users"),
        groups=counts.get("groups"),
        contacts=counts.get("contacts"),
        links=counts.get("links"),
        sample=list(blocked.sample),
    )


def check_shrinking(
    store: Store, scope: str, now: int, limits: SafetyLimits, resource: str
) -> None:
    """Compares the size of the scope with that of the last run over the same scope.

    Args:
        store: remembers the last size.
        scope: digest of the scope.
        now: objects in scope.
        limits: how much it may shrink.
        resource: `Kind/name` of the directory.

    Raises:
        BlockedError: `SourceShrank`.
    """
    before = json.loads(store.get(META_IN_SCOPE) or "{}").get(scope, 0)
    percent = limits.source_shrink_percent
    if not source_shrank(before, now, percent):
        return
    forget_cookie(store)
    raise BlockedError(
        "SourceShrank",
        f"the directory shows {now} objects in scope after {before} at the last run, at most"
        f" {percent} % fewer are allowed; nothing is exported. Check that the account may still"
        " read all of the scope, or raise `spec.safety.sourceShrink.percent`",
        resource=resource,
        field="spec.baseDN",
    )


def remember_size(store: Store, scope: str, now: int) -> None:
    """Remembers the size of the scope for the next run."""
    store.put(META_IN_SCOPE, json.dumps({scope: now}))


def _owned_with_adopted(plan: Plan, cloud: Mapping[str, CloudObject]) -> Owned:
    """What per cent are of: adopted objects are ours as soon as the plan is carried out."""
    objects: Counter[SyncObjectType] = Counter()
    links = 0
    for anchor, found in cloud.items():
        if found.owned or anchor in plan.adopted:
            objects[found.object_type] += 1
            links += len(found.members)
    return Owned(objects=dict(objects), links=links)
