"""Whether a plan may be carried out: brakes, approvals, a source that shrank."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from entrasync.api.choices import OnBlocked, Takeover
from entrasync.api.directory_sync import BlockedPlan
from entrasync.api.sync_run import ObjectError
from entrasync.engine.approvals import Approvals
from entrasync.engine.brake_checks import (
    HARD_MATCH,
    LINKS,
    SOFT_MATCH,
    BrakeChecker,
    Braked,
    BrakeRules,
)
from entrasync.engine.brakes import SafetyLimits, source_shrank
from entrasync.engine.changes import KIND_NAMES
from entrasync.entra.contracts import SyncObjectType
from entrasync.errors import BlockedError
from entrasync.state.store import Store

if TYPE_CHECKING:
    from entrasync.engine.inputs import MatchingRules

META_IN_SCOPE: Final = "in-scope"
SAMPLE_SIZE: Final = 10
HARD_MATCH_REFUSED: Final = "HardMatchRefused"
SOFT_MATCH_REFUSED: Final = "SoftMatchRefused"
_REFUSED: Final = {
    HARD_MATCH_REFUSED: ("the same anchor", "spec.matching.hard"),
    SOFT_MATCH_REFUSED: ("the same address or user principal name", "spec.matching.soft"),
}


@dataclass(slots=True, frozen=True, kw_only=True)
class Blocked:
    """All that is braked; the changes themselves are marked in the plan.

    Attributes:
        brakes: the brakes that hold.
        digest: names exactly the braked changes.
        counts: braked changes by kind (`users`, ..., `links`) and operation.
        sample: SourceAnchors of the first ten.
        rest_goes_on: whether what is not braked is exported.
    """

    brakes: tuple[Braked, ...]
    digest: str
    counts: Mapping[str, Mapping[str, int]]
    sample: tuple[str, ...]
    rest_goes_on: bool = False


@dataclass(slots=True, frozen=True, kw_only=True)
class Verdict:
    """What the brakes say.

    Attributes:
        blocked: what is braked; `None` when the plan may go on.
        approved: digests of the approvals that are used up by this run.
        lets_through: whether anything of the plan was approved, now or earlier.
        held: objects that are not sent in this run, by reason.
    """

    blocked: Blocked | None = None
    approved: tuple[str, ...] = ()
    lets_through: bool = False
    held: Mapping[str, int] = field(default_factory=dict)

    @property
    def exports(self) -> bool:
        """Whether anything may be exported."""
        return self.blocked is None or self.blocked.rest_goes_on


def judge(store: Store, approvals: Approvals, rules: BrakeRules) -> Verdict:
    """Compares the plan with the limits; marks in it what is braked and what is held.

    Args:
        store: the state, with a plan and with what the service will do with its additions.
        approvals: what was let through.
        rules: what to follow.
    """
    plan, brakes = store.plan, store.plan.brakes
    with store.transaction():
        plan.hold(_refused(rules.matching))
        approvals.begin(rules.offered)
        used = approvals.usable(rules.offered)
        for digest in used:
            approvals.let_through(digest, use=rules.applies)
        blocked = _check(store, approvals, rules)
        if blocked is not None and blocked.digest in approvals.usable(rules.offered):
            # it was braked elsewhere, by a preview for example: nobody knew the set until now
            used.append(blocked.digest)
            approvals.let_through(blocked.digest, use=rules.applies)
            blocked = _check(store, approvals, rules)
        if blocked is not None and blocked.rest_goes_on:
            brakes.hold_braked()
        plan.hold_dependents()
    return Verdict(
        blocked=blocked,
        approved=tuple(used),
        lets_through=plan.approvals.covers_any(),
        held=plan.count_held(),
    )


def refused_takeovers(store: Store) -> Iterator[ObjectError]:
    """Additions that are held back because they would take over an account of the cloud."""
    for code, (how, field_name) in _REFUSED.items():
        for each in store.plan.held(code):
            yield ObjectError(
                anchor=each.anchor,
                code=code,
                message=f"it would take over an account of the cloud that has {how}, so it is not"
                f" added; change that account or the directory, or set `{field_name}` to Approve"
                " or Allow",
            )


def blocked_message(blocked: Blocked) -> str:
    """What happened and what to do."""
    what = "; ".join(brake.message for brake in blocked.brakes)
    rest = "Everything else is exported" if blocked.rest_goes_on else "Nothing was exported"
    return (
        f"{what}. {rest}. Mend the source, or set `spec.approvedPlan` to"
        f" {blocked.digest} to let exactly these changes through, once"
    )


def blocked_plan(blocked: Blocked) -> BlockedPlan:
    """What is braked, as status shows it."""
    counts = {kind: dict(found) for kind, found in blocked.counts.items()}
    return BlockedPlan(
        digest=blocked.digest,
        reason=blocked.brakes[0].reason,
        users=counts.get("users"),
        groups=counts.get("groups"),
        contacts=counts.get("contacts"),
        links=counts.get(LINKS),
        changes={brake.sort: brake.count for brake in blocked.brakes if brake.sort} or None,
        held=blocked.rest_goes_on,
        sample=list(blocked.sample),
    )


# --- a source that shrank --------------------------------------------------------------------


def check_shrinking(
    store: Store,
    scope: str,
    now: int,
    limits: SafetyLimits,
    resource: str,
    forget: Callable[[], None],
    digest: str | None = None,
) -> None:
    """Compares the size of the scope with that of the last run over the same scope.

    Whose removal a person let through is not missed: an approval of something else changes nothing.

    Args:
        store: remembers the last size; with the plan, once it was judged.
        scope: digest of the scope.
        now: objects in scope.
        limits: how much it may shrink.
        resource: `Kind/name` of the sync.
        forget: makes the next run read the sources in full.
        digest: names the changes that another brake stops, if one does.

    Raises:
        BlockedError: `SourceShrank`.
    """
    before = json.loads(store.get(META_IN_SCOPE) or "{}").get(scope, 0)
    percent = limits.source_shrink_percent
    if not source_shrank(before, now + store.plan.approvals.count_covered_removals(), percent):
        return
    forget()
    approve = f" set `spec.approvedPlan` to {digest} if they are rightly gone," if digest else ""
    raise BlockedError(
        "SourceShrank",
        f"the directory shows {now} objects in scope after {before} at the last run, at most"
        f" {percent} % fewer are allowed; nothing is exported. Check that the account may still"
        f" read all of the scope,{approve} or raise `spec.safety.sourceShrink.percent`",
        resource=resource,
        field="spec.sources",
    )


def remember_size(store: Store, scope: str, now: int) -> None:
    """Remembers the size of the scope for the next run."""
    store.put(META_IN_SCOPE, json.dumps({scope: now}))


# --- the brakes ------------------------------------------------------------------------------


def _refused(matching: MatchingRules) -> list[tuple[str, str]]:
    refused = []
    if matching.hard is Takeover.REFUSE:
        refused.append((HARD_MATCH, HARD_MATCH_REFUSED))
    if matching.soft is Takeover.REFUSE:
        refused.append((SOFT_MATCH, SOFT_MATCH_REFUSED))
    return refused


def _check(store: Store, approvals: Approvals, rules: BrakeRules) -> Blocked | None:
    checker = BrakeChecker(store, rules)
    checker.check()
    if not checker.brakes:
        return None
    brakes = store.plan.brakes
    return Blocked(
        brakes=tuple(checker.brakes),
        digest=approvals.remember(),
        counts=_by_kind(brakes.counts()),
        sample=tuple(brakes.sample(SAMPLE_SIZE)),
        rest_goes_on=rules.on_blocked is OnBlocked.HOLD_BRAKED,
    )


def _by_kind(counts: Mapping[tuple[str, str], int]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for (kind, action), count in counts.items():
        name = LINKS if kind == LINKS else KIND_NAMES[SyncObjectType(kind)]
        found.setdefault(name, {})[action] = count
    return found
