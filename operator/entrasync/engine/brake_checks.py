"""Which brakes hold: sums over the plan and over what was done within the window."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from entrasync.api.choices import OnBlocked, Takeover
from entrasync.engine.brakes import Limit, Owned, SafetyLimits, Spent, exceeds
from entrasync.engine.changes import KIND_NAMES
from entrasync.entra.contracts import SyncObjectType
from entrasync.state.brakes import Sort, Sums
from entrasync.state.store import Store

if TYPE_CHECKING:
    from entrasync.engine.inputs import MatchingRules

HARD_MATCH: Final = "hardMatch"
SOFT_MATCH: Final = "softMatch"
"""Outcomes of additions that take over a cloud account."""
LINKS: Final = "links"
_DELETIONS: Final = "DeletionThresholdExceeded"
_TAKEOVERS: Final = "TakeoverNeedsApproval"


@dataclass(slots=True, frozen=True, kw_only=True)
class BrakeRules:
    """What the brakes follow.

    Attributes:
        limits: the most that may be done.
        since: when the window began.
        tenant_threshold: most deletions of one export, as the tenant itself says.
        matching: whether additions may take over cloud accounts.
        on_blocked: what a brake stops.
        offered: digests of braked changes that a person lets through now.
        applies: whether the plan is to be exported; else approvals are only looked at.
    """

    limits: SafetyLimits
    since: dt.datetime
    matching: MatchingRules
    tenant_threshold: int | None = None
    on_blocked: OnBlocked = OnBlocked.STOP_ALL
    offered: tuple[str, ...] = ()
    applies: bool = True


@dataclass(slots=True, frozen=True, kw_only=True)
class Braked:
    """One brake that holds.

    Attributes:
        reason: CamelCase reason.
        message: what exceeds which limit.
        sort: what it counts, other than deletions and links; in the words of status.
        count: how much of that would be done.
    """

    reason: str
    message: str
    sort: str = ""
    count: int = 0


class BrakeChecker:
    """Puts the brakes on that hold.

    Args:
        store: the state.
        rules: what to follow.

    Attributes:
        brakes: those that hold.
    """

    def __init__(self, store: Store, rules: BrakeRules) -> None:
        self.brakes: list[Braked] = []
        self._space = store.plan.brakes
        self._rules = rules
        self._limits = rules.limits
        self._space.release()
        self._sums = self._space.sums()
        self._spent = Spent.of(store.checkpoints.spent_since(rules.since))
        self._owned = _owned(store)
        self._users = self._owned.objects.get(SyncObjectType.USER, 0)

    def check(self) -> None:
        """Puts them on, one after the other."""
        self._deletions()
        self._disables()
        self._identity_changes()
        self._clears()
        self._link_removals()
        self._tenant_threshold()
        self._orphans()
        self._takeovers()

    def _total(self, count: Callable[[Sums], int]) -> int:
        return sum(map(count, self._sums))

    def _put_on(self, sort: Sort, braked: Braked, type_: str | None = None) -> None:
        self._space.brake(sort, braked.reason, type=type_)
        self.brakes.append(braked)

    def _deletions(self) -> None:
        for sums in self._sums:
            object_type = SyncObjectType(sums.type)
            kind = KIND_NAMES[object_type]
            spent = self._spent.deletions.get(object_type, 0)
            told = exceeds(
                sums.deletions,
                spent,
                self._owned.objects.get(object_type, 0) + spent,
                self._limits.deletions(object_type),
            )
            if told:
                message = f"{sums.deletions} {kind} would be deleted, {told} (`spec.safety.{kind}`)"
                self._put_on(Sort.DELETIONS, Braked(reason=_DELETIONS, message=message), sums.type)

    def _summed(self, sort: Sort, brake: Braked, spent: int, whole: int, limit: Limit) -> None:
        """Puts a brake on if its limit is exceeded; its message has a place for how."""
        told = exceeds(brake.count, spent, whole, limit)
        if told:
            self._put_on(sort, replace(brake, message=brake.message.format(brake.count, told)))

    def _disables(self) -> None:
        brake = Braked(
            reason="DisableThresholdExceeded",
            message="{} users would be disabled, {} (`spec.safety.disables`)",
            sort="disables",
            count=self._total(lambda sums: sums.disables),
        )
        limit = self._limits.disables
        self._summed(Sort.DISABLES, brake, self._spent.disables, self._users, limit)

    def _identity_changes(self) -> None:
        brake = Braked(
            reason="IdentityChangeThresholdExceeded",
            message="{} objects would change userPrincipalName or primary address, {}"
            " (`spec.safety.identityChanges`)",
            sort="identityChanges",
            count=self._total(lambda sums: sums.identity),
        )
        limit = self._limits.identity_changes
        self._summed(Sort.IDENTITY, brake, self._spent.identity_changes, self._users, limit)

    def _clears(self) -> None:
        brake = Braked(
            reason="ClearThresholdExceeded",
            message="{} properties would lose their value, {} (`spec.safety.clears`)",
            sort="clears",
            count=self._total(lambda sums: sums.clears),
        )
        objects = sum(self._owned.objects.values())
        self._summed(Sort.CLEARS, brake, self._spent.clears, objects, self._limits.clears)

    def _link_removals(self) -> None:
        brake = Braked(
            reason="LinkRemovalThresholdExceeded",
            message="{} members would be removed, {} (`spec.safety.linkRemovals`)",
            count=self._space.removals(),
        )
        limit = self._limits.link_removals
        spent = self._spent.link_removals
        self._summed(Sort.REMOVALS, brake, spent, self._owned.links + spent, limit)

    def _tenant_threshold(self) -> None:
        """The tenant's own limit sums over all kinds, and over one export only."""
        threshold = self._rules.tenant_threshold
        deletions = self._total(lambda sums: sums.deletions)
        if threshold is not None and deletions > threshold:
            message = (
                f"{deletions} objects would be deleted, the tenant's own threshold allows"
                f" {threshold} in one export"
            )
            self._put_on(Sort.DELETIONS, Braked(reason=_DELETIONS, message=message))

    def _orphans(self) -> None:
        orphans = self._total(lambda sums: sums.orphans)
        if orphans:
            message = f"{orphans} objects that are not owned would be deleted (`spec.orphans`)"
            self._put_on(Sort.ORPHANS, Braked(reason="OrphansNeedApproval", message=message))

    def _takeovers(self) -> None:
        matching = self._rules.matching
        approves = {HARD_MATCH: matching.hard, SOFT_MATCH: matching.soft}
        total = 0
        for outcome, count in self._space.takeovers().items():
            # what is none of both is not known well enough to be allowed
            if approves.get(outcome, Takeover.APPROVE) is Takeover.APPROVE:
                self._space.brake(Sort.TAKEOVERS, _TAKEOVERS, outcome=outcome)
                total += count
        if total:
            message = f"{total} cloud accounts would be taken over (`spec.matching`)"
            self.brakes.append(
                Braked(reason=_TAKEOVERS, message=message, sort="takeovers", count=total)
            )


def _owned(store: Store) -> Owned:
    """What per cent are of: adopted objects are ours as soon as the plan is carried out."""
    counts = store.cloud.owned_counts()
    objects = Counter({each: counts[each] for each in KIND_NAMES if counts.get(each)})
    links = counts.get(LINKS, 0)
    for kind, (count, more) in store.plan.brakes.adoptable().items():
        if kind in KIND_NAMES:
            objects[SyncObjectType(kind)] += count
        links += more
    return Owned(objects=objects, links=links)
