"""Brakes: limits that stop a plan before anything is exported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from entrasync.engine.changes import Action, PlannedChange
from entrasync.entra.batches import REFERENCE_KEYS
from entrasync.entra.contracts import SyncObjectType

PERCENT_COUNTS_FROM: Final = 20
"""Below so many owned objects, per cent say nothing: 3 of 5 are quickly reached."""

SPENT_DELETIONS: Final = "deletions:"
SPENT_DISABLES: Final = "disables"
SPENT_IDENTITY: Final = "identity-changes"
SPENT_CLEARS: Final = "clears"
SPENT_REMOVALS: Final = "link-removals"
"""Sorts of what is spent, as the state keeps them; the type of object follows the first."""

_UPN: Final = "userPrincipalName"
_ADDRESSES: Final = "proxyAddresses"
_ENABLED: Final = "accountEnabled"


@dataclass(slots=True, frozen=True, kw_only=True)
class Limit:
    """Most changes of one sort: more than either stops.

    Attributes:
        count: of changes.
        percent: of what is owned; `None` where only the count matters.
    """

    count: int
    percent: int | None = None


@dataclass(slots=True, frozen=True, kw_only=True)
class SafetyLimits:
    """All limits; defaults as in Entra Connect where it has one."""

    users: Limit = Limit(count=500, percent=20)
    groups: Limit = Limit(count=50, percent=5)
    contacts: Limit = Limit(count=500, percent=20)
    disables: Limit = Limit(count=500, percent=5)
    identity_changes: Limit = Limit(count=500, percent=5)
    clears: Limit = Limit(count=1_000)
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
    disables: int = 0
    identity_changes: int = 0
    clears: int = 0
    link_removals: int = 0

    @classmethod
    def of(cls, sums: Mapping[str, int]) -> Spent:
        """What the state keeps, by sort."""
        return cls(
            deletions={each: sums.get(SPENT_DELETIONS + each, 0) for each in SyncObjectType},
            disables=sums.get(SPENT_DISABLES, 0),
            identity_changes=sums.get(SPENT_IDENTITY, 0),
            clears=sums.get(SPENT_CLEARS, 0),
            link_removals=sums.get(SPENT_REMOVALS, 0),
        )


@dataclass(slots=True, frozen=True, kw_only=True)
class Figures:
    """What an update counts.

    Attributes:
        disables: whether an account that could be used cannot any more.
        identity: whether an existing object gets another UPN or primary SMTP address.
        clears: how many properties lose their value.
    """

    disables: bool = False
    identity: bool = False
    clears: int = 0


def everybody(_: str) -> bool:
    """As if whoever is named stays in the tenant."""
    return True


def figures(
    action: str,
    new: Mapping[str, object],
    old: Mapping[str, object],
    stays: Callable[[str], bool] = everybody,
) -> Figures:
    """What a change of properties counts.

    Args:
        action: of `Action`.
        new: what is written, as it travels or as the state keeps it.
        old: what that replaces, the same way.
        stays: whether the tenant holds an object, and will: a reference to who is deleted ends with
            the deletion, which counts itself.
    """
    if action == Action.DISABLE:
        return Figures(disables=True)
    if action != Action.UPDATE:
        return Figures()
    return Figures(
        disables=new.get(_ENABLED) is False and old.get(_ENABLED) is not False,
        identity=any(
            key in new and key in old and _identity(new[key]) != _identity(old[key])
            for key in (_UPN, _ADDRESSES)
        ),
        clears=sum(
            value is None and _is_loss(key, old.get(key), stays) for key, value in new.items()
        ),
    )


def _is_loss(key: str, value: object, stays: Callable[[str], bool]) -> bool:
    """Whether it is a loss that a property has a value no more."""
    if value is None or key not in REFERENCE_KEYS:
        return value is not None
    named = value if isinstance(value, list | tuple) else [value]
    return any(stays(str(each)) for each in named)


def figures_of(change: PlannedChange, stays: Callable[[str], bool] = everybody) -> Figures:
    """What a change counts; nothing where it frees values for a moment only."""
    if change.temporary:
        return Figures()
    return figures(change.action, change.message.properties, change.previous, stays)


def spent_by(
    changes: Iterable[PlannedChange], stays: Callable[[str], bool] = everybody
) -> dict[str, int]:
    """What changes, or parts of the links of one, count against the window, by sort.

    Args:
        changes: that were done.
        stays: whether the tenant holds an object.
    """
    counts: Counter[str] = Counter()
    for change in changes:
        if change.action is Action.DELETE:
            counts[SPENT_DELETIONS + change.message.object_type] += 1
        elif change.action is Action.LINKS:
            counts[SPENT_REMOVALS] += sum(not link.add for link in change.message.links)
        else:
            found = figures_of(change, stays)
            counts[SPENT_DISABLES] += found.disables
            counts[SPENT_IDENTITY] += found.identity
            counts[SPENT_CLEARS] += found.clears
    return {sort: count for sort, count in counts.items() if count}


def exceeds(now: int, before: int, whole: int, limit: Limit) -> str:
    """How a limit is exceeded, in words; empty when it is not.

    Args:
        now: changes of the plan.
        before: changes within the window already.
        whole: what per cent are of: what is owned, and what was removed of it within the window.
        limit: the most that may be.
    """
    if not now:
        return ""
    total = now + before
    within = f" with {before} before in the window" if before else ""
    if total > limit.count:
        return f"{limit.count} are allowed{within}"
    if (
        limit.percent is not None
        and whole >= PERCENT_COUNTS_FROM
        and total * 100 > whole * limit.percent
    ):
        return f"{limit.percent} % of {whole} are allowed{within}"
    return ""


def source_shrank(before: int, now: int, percent: int) -> bool:
    """Whether so many objects left the scope since the last run that something must be wrong."""
    return before >= PERCENT_COUNTS_FROM and (before - now) * 100 > before * percent


def _identity(value: object) -> object:
    if isinstance(value, tuple | list):
        return [item for item in value if isinstance(item, str) and item.startswith("SMTP:")]
    return value
