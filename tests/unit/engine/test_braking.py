"""What is braked, what is held, and what a person reads about it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from entrasync.api.choices import OnBlocked, OrphanPolicy, Takeover
from entrasync.engine.approvals import Approvals
from entrasync.engine.brake_checks import BrakeRules
from entrasync.engine.brakes import Limit, SafetyLimits
from entrasync.engine.braking import (
    Verdict,
    blocked_message,
    blocked_plan,
    check_shrinking,
    judge,
    remember_size,
)
from entrasync.engine.changes import Action
from entrasync.engine.inputs import MatchingRules
from entrasync.engine.plan import PlanRules
from entrasync.errors import BlockedError
from entrasync.state.evaluation import META_KEPT
from entrasync.state.store import Store
from tests.support.pending import CONTACT, GROUP, NOW, Pending, brake_rules, plan_of

NONE = Limit(count=0)
MANY = Limit(count=1_000_000)
OPEN = SafetyLimits(
    users=MANY,
    groups=MANY,
    contacts=MANY,
    disables=MANY,
    identity_changes=MANY,
    clears=MANY,
    link_removals=MANY,
)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Pending]:
    with Store(tmp_path) as store:
        yield Pending(store)


def judged(state: Pending, rules: BrakeRules | None = None) -> Verdict:
    plan_of(state.store)
    return verdict_of(state, rules)


def verdict_of(state: Pending, rules: BrakeRules | None = None) -> Verdict:
    return judge(state.store, Approvals(state.store, NOW), rules or brake_rules())


def reasons(verdict: Verdict) -> list[str]:
    return [] if verdict.blocked is None else [each.reason for each in verdict.blocked.brakes]


def sent(state: Pending) -> list[tuple[str, str]]:
    found = []
    for rows in state.store.plan.sendable():
        found += [(row.action, row.anchor) for row in rows]
    return found


# --- each brake --------------------------------------------------------------------------------


def one_user(state: Pending) -> None:
    state.gone("u")


def one_group(state: Pending) -> None:
    state.gone("g", kind=GROUP)


def one_contact(state: Pending) -> None:
    state.gone("c", kind=CONTACT)


def one_disable(state: Pending) -> None:
    state.holds("u", accountEnabled=True)
    state.updates("u", accountEnabled=False)


def one_identity(state: Pending) -> None:
    state.holds("u", userPrincipalName="a@x")
    state.updates("u", userPrincipalName="b@x")


def one_clear(state: Pending) -> None:
    state.holds("u", title="t")
    state.updates("u", title=None)


def one_removal(state: Pending) -> None:
    state.holds("m")
    state.holds("g", GROUP, ["m"])
    state.links("g", [], ["m"])


BRAKES = [
    ("users", one_user, "DeletionThresholdExceeded", {"users": {"delete": 1}}),
    ("groups", one_group, "DeletionThresholdExceeded", {"groups": {"delete": 1}}),
    ("contacts", one_contact, "DeletionThresholdExceeded", {"contacts": {"delete": 1}}),
    ("disables", one_disable, "DisableThresholdExceeded", {"users": {"update": 1}}),
    ("identity_changes", one_identity, "IdentityChangeThresholdExceeded", {"users": {"update": 1}}),
    ("clears", one_clear, "ClearThresholdExceeded", {"users": {"update": 1}}),
    ("link_removals", one_removal, "LinkRemovalThresholdExceeded", {"links": {"remove": 1}}),
]


@pytest.mark.parametrize(("limit", "write", "reason", "counts"), BRAKES)
def test_each_sort_has_a_brake_of_its_own(
    state: Pending,
    limit: str,
    write: Callable[[Pending], None],
    reason: str,
    counts: dict[str, dict[str, int]],
) -> None:
    write(state)
    all_but_one = replace(OPEN, **{limit: NONE})  # type: ignore[arg-type]  # one of its limits

    verdict = judged(state, brake_rules(all_but_one))

    assert reasons(verdict) == [reason]
    assert verdict.blocked is not None
    assert verdict.blocked.counts == counts
    assert "spec.safety." in verdict.blocked.brakes[0].message
    assert not verdict.exports
    assert reasons(judged(state, brake_rules(OPEN))) == []


def test_what_was_done_within_the_window_counts(state: Pending) -> None:
    state.gone("u")
    state.store.checkpoints.spend(NOW - dt.timedelta(hours=1), {"deletions:User": 500})
    state.store.checkpoints.spend(NOW - dt.timedelta(hours=25), {"deletions:User": 500})

    assert reasons(judged(state)) == ["DeletionThresholdExceeded"]
    later = brake_rules(since=NOW - dt.timedelta(minutes=1))
    assert reasons(judged(state, later)) == []


def test_per_cent_are_of_what_is_owned_and_adopted(state: Pending) -> None:
    for number in range(21):
        state.holds(f"u{number}", owned=number < 10)
        state.execute("INSERT INTO parts (object, kind, anchor) VALUES (?1, 1, ?1)", f"u{number}")
    state.gone(*(f"gone{number}" for number in range(5)))
    limits = SafetyLimits(users=Limit(count=500, percent=19))

    # 5 of 10 + 11 + 5
    assert reasons(judged(state, brake_rules(limits))) == ["DeletionThresholdExceeded"]
    limits = SafetyLimits(users=Limit(count=500, percent=20))
    assert reasons(judged(state, brake_rules(limits))) == []


@pytest.mark.parametrize(("before", "stops"), [(4, False), (5, True)])
def test_who_was_disabled_before_makes_no_per_cent_larger(
    state: Pending, before: int, *, stops: bool
) -> None:
    for number in range(9):
        state.holds(f"u{number}", accountEnabled=False)
    for number in range(11):
        state.holds(f"v{number}", accountEnabled=True)
    for number in range(5):
        state.updates(f"v{number}", accountEnabled=False)
    state.store.checkpoints.spend(NOW, {"disables": before})

    # up to 9 of 20, whatever was done before
    rules = brake_rules(replace(OPEN, disables=Limit(count=500, percent=45)))
    assert bool(judged(state, rules).blocked) is stops


def test_of_a_kind_that_is_not_synced_nothing_makes_per_cent_larger(state: Pending) -> None:
    for number in range(100):
        state.holds(f"u{number}", owned=False)
        state.execute("INSERT INTO parts (object, kind, anchor) VALUES (?1, 1, ?1)", f"u{number}")
    adoptable = state.store.plan.brakes.adoptable
    assert adoptable() == {"User": (100, 0)}

    state.store.put(META_KEPT, "1,3")

    assert adoptable() == {}


@pytest.mark.parametrize(("threshold", "stops"), [(1, True), (2, False), (None, False)])
def test_the_tenants_own_threshold_sums_over_kinds(
    state: Pending, threshold: int | None, *, stops: bool
) -> None:
    state.gone("u")
    state.gone("g", kind=GROUP)

    verdict = judged(state, brake_rules(OPEN, tenant_threshold=threshold))

    assert bool(verdict.blocked) is stops
    if verdict.blocked is not None:
        (brake,) = verdict.blocked.brakes
        assert brake.reason == "DeletionThresholdExceeded"
        assert "the tenant's own threshold" in brake.message
        assert verdict.blocked.counts == {"users": {"delete": 1}, "groups": {"delete": 1}}


def test_orphans_always_need_an_approval(state: Pending) -> None:
    state.holds("theirs", owned=False)
    plan_of(state.store, PlanRules(orphans=OrphanPolicy.DELETE))

    verdict = verdict_of(state, brake_rules(OPEN))
    assert reasons(verdict) == ["OrphansNeedApproval"]
    assert verdict.blocked is not None

    plan_of(state.store, PlanRules(orphans=OrphanPolicy.DELETE))
    verdict = verdict_of(state, brake_rules(OPEN, offered=(verdict.blocked.digest,)))
    assert verdict.blocked is None
    assert sent(state) == [("delete", "theirs")]


@pytest.mark.parametrize("outcome", ["hardMatch", "softMatch"])
@pytest.mark.parametrize("takeover", list(Takeover))
def test_taking_over_accounts(state: Pending, outcome: str, takeover: Takeover) -> None:
    state.adds("new", displayName="n")
    state.refers("new", manager="nobody")
    state.adds("other", displayName="o")
    plan_of(state.store)
    positions = {anchor: position for position, _, anchor, _ in state.store.plan.additions()}
    assert len(positions) == 2
    state.store.plan.set_outcomes(
        [(positions["new"], outcome, 1), (positions["other"], "create", 0)]
    )
    hard = outcome == "hardMatch"
    matching = MatchingRules(
        hard=takeover if hard else Takeover.ALLOW, soft=Takeover.ALLOW if hard else takeover
    )

    verdict = verdict_of(state, brake_rules(OPEN, matching=matching))

    refused = "HardMatchRefused" if hard else "SoftMatchRefused"
    if takeover is Takeover.REFUSE:
        assert (reasons(verdict), verdict.held) == ([], {refused: 1})
        assert [(each.anchor, each.reason) for each in state.store.plan.held()] == [
            ("new", refused)
        ]
        assert sent(state) == [("add", "other")]
    elif takeover is Takeover.APPROVE:
        assert reasons(verdict) == ["TakeoverNeedsApproval"]
        assert verdict.blocked is not None
        assert verdict.blocked.sample == ("new",)
        assert blocked_plan(verdict.blocked).changes == {"takeovers": 1}
    else:
        assert (reasons(verdict), verdict.held) == ([], {})
        assert len(sent(state)) == 3


# --- holding back what is braked ---------------------------------------------------------------


def test_what_is_not_braked_goes_on_when_that_was_chosen(state: Pending) -> None:
    state.gone("u1", "u2")
    state.adds("new")
    state.holds("m")
    state.holds("g", GROUP, ["m", "n"])
    state.holds("h", GROUP, ["m"])
    state.links("g", ["new"], ["m"])
    state.links("h", [], ["m"])
    limits = replace(OPEN, users=Limit(count=1), link_removals=NONE)

    verdict = judged(state, brake_rules(limits, on_blocked=OnBlocked.HOLD_BRAKED))

    assert verdict.exports
    assert verdict.blocked is not None
    assert verdict.blocked.rest_goes_on
    assert verdict.held == {"DeletionThresholdExceeded": 2}
    assert sent(state) == [("add", "new"), ("links", "g")]
    (links,) = [row.links for rows in state.store.plan.sendable() for row in rows if row.links]
    assert [link.anchor for link in links] == ["new"]
    assert "Everything else is exported" in blocked_message(verdict.blocked)
    assert blocked_plan(verdict.blocked).held


def test_who_is_created_anew_waits_for_the_deletion(state: Pending) -> None:
    state.gone("old")
    state.holds("old", userPrincipalName="a@x")
    state.adds("new", userPrincipalName="a@x")
    state.links("new", ["x"], [])
    state.refers("new", manager="nobody")
    limits = replace(OPEN, users=NONE)

    judged(state, brake_rules(limits, on_blocked=OnBlocked.HOLD_BRAKED))

    assert sent(state) == []


def test_nobody_lets_go_for_a_change_that_is_held(state: Pending) -> None:
    state.holds("a", userPrincipalName="one@x")
    state.holds("b", userPrincipalName="two@x")
    state.updates("a", userPrincipalName="two@x")
    state.updates("b", userPrincipalName="one@x")
    limits = replace(OPEN, identity_changes=NONE)

    verdict = judged(state, brake_rules(limits, on_blocked=OnBlocked.HOLD_BRAKED))

    assert verdict.blocked is not None
    assert verdict.blocked.counts == {"users": {"update": 2}}
    assert sent(state) == []


def test_what_waits_after_a_refusal_is_neither_counted_nor_taken_for_braked(state: Pending) -> None:
    state.gone("u1", "u2")
    plan_of(state.store)
    state.execute("UPDATE plan SET held = 'WaitsAfterRefusal' WHERE anchor = ?", "u1")

    assert verdict_of(state, brake_rules(replace(OPEN, users=Limit(count=1)))).blocked is None
    assert state.store.plan.count_held() == {"WaitsAfterRefusal": 1}


# --- what is told ------------------------------------------------------------------------------


def test_what_is_braked_is_counted_and_sampled(state: Pending) -> None:
    state.gone(*(f"u{number:03}" for number in range(501)))
    state.holds("v", userPrincipalName="a", accountEnabled=True)
    state.updates("v", userPrincipalName="b", accountEnabled=False)
    limits = SafetyLimits(identity_changes=NONE, disables=NONE)

    verdict = judged(state, brake_rules(limits))

    assert verdict.blocked is not None
    status = blocked_plan(verdict.blocked)
    assert status.users == {"delete": 501, "update": 1}
    assert status.changes == {"disables": 1, "identityChanges": 1}
    assert status.sample == [f"u{number:03}" for number in range(10)]
    assert status.reason == "DeletionThresholdExceeded"
    assert not status.held
    message = blocked_message(verdict.blocked)
    assert "501 users would be deleted" in message
    assert status.digest in message
    changes = [row for row in state.store.plan.rows() if row.braked is not None]
    assert sum(row.action == Action.DELETE for row in changes) == 501


@pytest.mark.parametrize("holds", [False, True])
def test_nobody_takes_a_value_from_who_is_held(state: Pending, *, holds: bool) -> None:
    state.gone("old")
    state.holds("old", userPrincipalName="a@x")
    state.holds("heir", userPrincipalName="b@x")
    state.updates("heir", userPrincipalName="a@x", title="t")
    state.adds("newcomer", userPrincipalName="b@x")
    state.adds("other", userPrincipalName="c@x")
    limits = replace(OPEN, users=NONE) if holds else OPEN

    verdict = judged(state, brake_rules(limits, on_blocked=OnBlocked.HOLD_BRAKED))

    everybody = {("delete", "old"), ("update", "heir"), ("add", "newcomer"), ("add", "other")}
    assert set(sent(state)) == ({("add", "other")} if holds else everybody)
    assert set(verdict.held) == ({"DeletionThresholdExceeded"} if holds else set())
    if verdict.blocked is not None:
        assert verdict.blocked.counts == {"users": {"delete": 1}}


# --- a source that shrank ----------------------------------------------------------------------


def test_a_source_that_shrank_stops_and_is_read_again(state: Pending) -> None:
    forgotten: list[bool] = []

    def check(now: int, scope: str = "scope") -> None:
        check_shrinking(
            state.store, scope, now, SafetyLimits(), "X/y", lambda: forgotten.append(True)
        )

    check(100)
    remember_size(state.store, "scope", 100)
    check(70)
    check(10, "another scope")
    assert not forgotten

    with pytest.raises(BlockedError) as stopped:
        check(69)
    assert stopped.value.reason == "SourceShrank"
    assert forgotten == [True]


def test_the_reports_of_a_deleted_manager_lose_nothing_more(state: Pending) -> None:
    """Their reference ends with the deletion, which counts by itself."""
    state.gone("boss")
    state.holds("peer")
    for name, manager in (("ann", "boss"), ("bob", "boss"), ("eve", "peer")):
        state.holds(name, manager=manager)
        state.refers(name, manager=None)

    allowed = judged(state, brake_rules(replace(OPEN, clears=Limit(count=1))))
    braked = judged(state, brake_rules(replace(OPEN, clears=NONE)))

    assert allowed.exports
    assert reasons(braked) == ["ClearThresholdExceeded"]
    assert braked.blocked is not None
    assert braked.blocked.counts == {"users": {"update": 1}}
