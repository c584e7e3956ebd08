"""Brakes: limits that stop a plan before anything is exported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from entrasync.engine.plan import KIND_NAMES, Action, Plan, PlannedChange, digest_of
from entrasync.entra.contracts import PropertyValue, SyncObjectType

PERCENT_COUNTS_FROM: Final = 20
"""Below so many owned objects, per cent say nothing: 3 of 5 are quickly reached."""
SAMPLE_SIZE: Final = 10


@dataclass(slots=True, frozen=True, kw_only=True)
class Limit:
    """Most changes of one sort: more than either stops."""

    count: int
    percent: int


@dataclass(slots=True, frozen=True, kw_only=True)
class SafetyLimits:
    """All limits; defaults as in Entra Connect where it has one."""

    users: Limit = Limit(count=500, percent=20)
    groups: Limit = Limit(count=50, percent=5)
    contacts: Limit = Limit(count=500, percent=20)
    identity_changes: Limit = Limit(count=500, percent=5)
    link_removals: Limit = Limit(count=50_000, percent=30)
    source_shrink_percent: int = 30

    def deletions(self, object_type: SyncObjectType) -> Limit:
        """The limit of deletions of a kind."""
        limits = {
            SyncObjectType.USER: self.users,
            SyncObjectType.GROUP: self.groups,
            SyncObjectType.CONTACT: self.contacts,
        }
        return limits[object_type]


@dataclass(slots=True, frozen=True, kw_only=True)
class Owned:
    """What this sync owns, before the plan."""

    objects: Mapping[SyncObjectType, int] = field(default_factory=dict)
    links: int = 0


@dataclass(slots=True, frozen=True, kw_only=True)
class Spent:
    """What was done within the window already."""

    deletions: Mapping[SyncObjectType, int] = field(default_factory=dict)
    identity_changes: int = 0
    link_removals: int = 0


@dataclass(slots=True, frozen=True, kw_only=True)
class Braked:
    """One brake that holds, and the changes it stops."""

    reason: str
    message: str
    changes: tuple[PlannedChange, ...]


@dataclass(slots=True, frozen=True, kw_only=True)
class Blocked:
    """All that is braked.

    Attributes:
        brakes: the brakes that hold.
        digest: names exactly the braked changes.
        sample: SourceAnchors of the first ten.
    """

    brakes: tuple[Braked, ...]
    digest: str
    sample: tuple[str, ...]

    def counts(self) -> dict[str, dict[str, int]]:
        """Braked changes by kind (`users`, ..., `links`) and operation."""
        found: dict[str, Counter[str]] = {}
        for change in _distinct(self.brakes):
            if change.action is Action.LINKS:
                removed = sum(not link.add for link in change.message.links)
                found.setdefault("links", Counter())["remove"] += removed
            else:
                kind = KIND_NAMES[change.message.object_type]
                found.setdefault(kind, Counter())[str(change.action)] += 1
        return {kind: dict(counter) for kind, counter in found.items()}


def check_brakes(
    plan: Plan, limits: SafetyLimits, owned: Owned, spent: Spent, *, approved: frozenset[str]
) -> Blocked | None:
    """Which brakes hold; `None` when the plan may go on.

    Args:
        plan: what is to be done.
        limits: the most that may be done.
        owned: what is owned before the plan; per cent are of this.
        spent: what was done within the window already.
        approved: digests of braked changes a person has let through.
    """
    brakes = [
        *_braked_deletions(plan.changes, limits, owned, spent),
        *_braked_identity_changes(plan.changes, limits, owned, spent),
        *_braked_link_removals(plan.changes, limits, owned, spent),
    ]
    if not brakes:
        return None
    changes = _distinct(brakes)
    digest = digest_of(changes)
    if digest in approved:
        return None
    anchors = sorted({change.message.source_anchor for change in changes})
    return Blocked(brakes=tuple(brakes), digest=digest, sample=tuple(anchors[:SAMPLE_SIZE]))


def source_shrank(before: int, now: int, percent: int) -> bool:
    """Whether so many objects left the scope since the last run that something must be wrong."""
    return before >= PERCENT_COUNTS_FROM and (before - now) * 100 > before * percent


def _braked_deletions(
    changes: Sequence[PlannedChange], limits: SafetyLimits, owned: Owned, spent: Spent
) -> list[Braked]:
    brakes = []
    for object_type, kind in KIND_NAMES.items():
        found = tuple(
            change
            for change in changes
            if change.action is Action.DELETE and change.message.object_type is object_type
        )
        told = _exceeds(
            len(found),
            spent.deletions.get(object_type, 0),
            owned.objects.get(object_type, 0),
            limits.deletions(object_type),
        )
        if told:
            brakes.append(
                Braked(
                    reason="DeletionThresholdExceeded",
                    message=f"{len(found)} {kind} would be deleted, {told} (`spec.safety.{kind}`)",
                    changes=found,
                )
            )
    return brakes


def _braked_identity_changes(
    changes: Sequence[PlannedChange], limits: SafetyLimits, owned: Owned, spent: Spent
) -> list[Braked]:
    found = tuple(change for change in changes if changes_identity(change))
    told = _exceeds(
        len(found),
        spent.identity_changes,
        owned.objects.get(SyncObjectType.USER, 0),
        limits.identity_changes,
    )
    if not told:
        return []
    message = (
        f"{len(found)} objects would change userPrincipalName or primary address, {told}"
        " (`spec.safety.identityChanges`)"
    )
    return [Braked(reason="IdentityChangeThresholdExceeded", message=message, changes=found)]


def _braked_link_removals(
    changes: Sequence[PlannedChange], limits: SafetyLimits, owned: Owned, spent: Spent
) -> list[Braked]:
    found = tuple(
        change
        for change in changes
        if change.action is Action.LINKS and not all(link.add for link in change.message.links)
    )
    removals = link_removals(found)
    told = _exceeds(removals, spent.link_removals, owned.links, limits.link_removals)
    if not told:
        return []
    message = f"{removals} members would be removed, {told} (`spec.safety.linkRemovals`)"
    return [Braked(reason="LinkRemovalThresholdExceeded", message=message, changes=found)]


def link_removals(changes: Sequence[PlannedChange]) -> int:
    """How many links changes remove."""
    return sum(not link.add for change in changes for link in change.message.links)


def changes_identity(change: PlannedChange) -> bool:
    """Whether an existing object would get another UPN or primary SMTP address."""
    if change.action is not Action.UPDATE or change.temporary:
        return False
    new, old = change.message.properties, change.previous
    return any(
        key in new and key in old and _identity(new[key]) != _identity(old[key])
        for key in ("userPrincipalName", "proxyAddresses")
    )


def _identity(value: PropertyValue) -> object:
    if isinstance(value, tuple):
        return [item for item in value if isinstance(item, str) and item.startswith("SMTP:")]
    return value


def _exceeds(now: int, before: int, owned: int, limit: Limit) -> str:
    """How a limit is exceeded, in words; empty when it is not."""
    if not now:
        return ""
    total = now + before
    within = f" with {before} before in the window" if before else ""
    if total > limit.count:
        return f"{limit.count} are allowed{within}"
    whole = owned + before
    if whole >= PERCENT_COUNTS_FROM and total * 100 > whole * limit.percent:
        return f"{limit.percent} % of {whole} are allowed{within}"
    return ""


def _distinct(brakes: Sequence[Braked]) -> list[PlannedChange]:
    found = {change.canonical(): change for brake in brakes for change in brake.changes}
    return [found[line] for line in sorted(found)]
