"""An approval names exactly what was braked, works once, and expires."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from entrasync.engine.approvals import GOOD_FOR, SETS_KEPT, Approvals
from entrasync.engine.brakes import Limit, SafetyLimits
from entrasync.engine.braking import Verdict, judge
from entrasync.engine.changes import PlannedChange
from entrasync.engine.removals import Evidence
from entrasync.entra.contracts import LinkChange
from entrasync.state.store import Store
from tests.support.pending import GROUP, NOW, Pending, brake_rules, plan_of

LIMITS = SafetyLimits(
    users=Limit(count=1), link_removals=Limit(count=1), identity_changes=Limit(count=0)
)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Pending]:
    with Store(tmp_path) as store:
        yield Pending(store)


class Runs:
    """Runs over the same state, each with a plan of its own."""

    def __init__(self, state: Pending) -> None:
        self.state = state
        self.approvals = Approvals(state.store, NOW)

    def run(self, *offered: str, now: dt.datetime = NOW, applies: bool = True) -> Verdict:
        plan_of(self.state.store)
        self.approvals = Approvals(self.state.store, now)
        rules = brake_rules(LIMITS, offered=offered, applies=applies)
        return judge(self.state.store, self.approvals, rules)

    def braked(self, now: dt.datetime = NOW) -> str:
        blocked = self.run(now=now).blocked
        assert blocked is not None
        return blocked.digest

    def passes(self, *offered: str, now: dt.datetime = NOW, applies: bool = True) -> bool:
        return self.run(*offered, now=now, applies=applies).blocked is None

    def done(self, *anchors: str) -> dict[str, int]:
        """Says that the service took all changes of these, as an export does."""
        plan = plan_of(self.state.store)
        done = [each for each in plan.changes() if each.message.source_anchor in anchors]
        counts = self.approvals.settle(done)
        for anchor in anchors:
            self.state.store.cloud.record_deleted(self.state.number(anchor))
        return counts


@pytest.fixture
def runs(state: Pending) -> Runs:
    return Runs(state)


def test_an_approval_lets_exactly_its_set_through_whatever_else_is_planned(
    state: Pending, runs: Runs
) -> None:
    state.gone("a", "b")
    digest = runs.braked()

    state.adds("new")
    state.holds("u", title="x")
    state.updates("u", title="y")
    verdict = runs.run(digest)
    assert (verdict.blocked, verdict.approved, verdict.lets_through) == (None, (digest,), True)

    state.gone("c", "d")
    later = runs.run(digest)
    assert later.blocked is not None
    assert later.blocked.sample == ("c", "d")
    assert later.approved == ()


def test_a_digest_names_the_same_set_whatever_else_there_is(state: Pending, runs: Runs) -> None:
    state.gone("a", "b")
    state.holds("m")
    state.holds("g", GROUP, ["m", "n"])
    state.links("g", [], ["m", "n"])
    digest = runs.braked()

    state.adds("new")
    state.links("g", ["new"], [])

    assert runs.braked() == digest
    assert runs.passes(digest)


def test_what_of_a_set_is_still_pending_passes_when_the_set_shrank(
    state: Pending, runs: Runs
) -> None:
    state.gone("a", "b", "c")
    state.holds("g", GROUP, ["m", "n", "o"])
    state.links("g", [], ["m", "n", "o"])
    digest = runs.braked()

    state.candidate("a", Evidence.UNKNOWN)
    state.execute("DELETE FROM pending_links WHERE member = ?", "o")

    assert runs.passes(digest)


def test_it_works_once(state: Pending, runs: Runs) -> None:
    state.gone("a", "b")
    digest = runs.braked()
    assert runs.passes(digest)
    runs.done("a", "b")

    state.gone("a", "b")

    assert not runs.passes(digest)
    assert runs.run(digest).approved == ()


def test_what_is_braked_again_has_a_name_by_which_it_can_be_let_through(
    state: Pending, runs: Runs
) -> None:
    digests = []
    for _ in range(3):
        state.gone("a", "b")
        digests.append(runs.braked())
        assert runs.braked() == digests[-1]
        assert runs.passes(digests[-1])
        runs.done("a", "b")

    assert len(set(digests)) == 3


def test_a_run_killed_half_way_goes_on_without_asking(state: Pending, runs: Runs) -> None:
    state.gone("a", "b", "c")
    digest = runs.braked()
    assert runs.passes(digest)
    assert runs.done("a") == {}

    verdict = runs.run()

    assert (verdict.blocked, verdict.approved, verdict.lets_through) == (None, (), True)
    assert state.store.checkpoints.spent_since(NOW - dt.timedelta(days=1)) == {}


def test_a_group_sent_in_part_goes_on_without_asking(state: Pending, runs: Runs) -> None:
    members = [f"m{number}" for number in range(5)]
    state.holds("g", GROUP, members)
    state.links("g", ["new"], members)
    state.holds("new")
    digest = runs.braked()
    assert runs.passes(digest)
    (change,) = plan_of(state.store).sendable()

    first = part(change, "m0", "m1")
    assert runs.approvals.covers(first)
    assert runs.approvals.settle([first]) == {}
    number = state.number
    state.store.cloud.record_links(number("g"), [], [number("m0"), number("m1")])
    state.execute(
        f"DELETE FROM pending_links WHERE owner = ? AND member IN ({number('m0')}, {number('m1')})",  # noqa: S608  - ours
        "g",
    )

    assert runs.passes()
    assert runs.approvals.covers(part(change, "m2", "m3", "m4"))
    # who joins and leaves again is another matter
    state.links("g", [], ["m0", "m1"])
    assert not runs.passes()


def part(change: PlannedChange, *removed: str) -> PlannedChange:
    links = tuple(LinkChange(anchor, add=False) for anchor in removed)
    return replace(change, message=replace(change.message, links=links))


def test_of_a_group_approved_in_part_the_rest_counts(state: Pending, runs: Runs) -> None:
    state.holds("g", GROUP, ["a", "b", "c"])
    state.links("g", [], ["a", "b"])
    digest = runs.braked()
    assert runs.passes(digest)

    state.links("g", [], ["c"])
    assert runs.passes()
    (change,) = plan_of(state.store).sendable()
    assert not runs.approvals.covers(change)
    assert runs.approvals.settle([change]) == {"link-removals": 1}


def test_what_was_not_done_expires(state: Pending, runs: Runs) -> None:
    state.gone("a", "b")
    digest = runs.braked()
    assert runs.passes(digest)

    assert runs.passes(now=NOW + GOOD_FOR - dt.timedelta(seconds=1))
    assert not runs.passes(digest, now=NOW + GOOD_FOR)


def test_an_approval_left_in_the_configuration_is_no_blank_cheque(
    state: Pending, runs: Runs
) -> None:
    state.gone("a", "b")
    digest = runs.braked()
    state.clear()
    assert runs.passes(digest)  # used up: nothing of it is pending
    state.gone("a", "b")
    assert not runs.passes(digest)


def test_one_that_was_never_used_expires_as_well(state: Pending, runs: Runs) -> None:
    assert runs.passes("sha256:later")
    state.gone("a", "b")
    digest = runs.braked()
    state.store.plan.approvals.offer([digest], (NOW + GOOD_FOR).isoformat())

    assert not runs.passes(digest, now=NOW + GOOD_FOR)


def test_a_preview_looks_only(state: Pending, runs: Runs) -> None:
    state.gone("a", "b")
    digest = runs.braked()

    assert runs.passes(digest, applies=False)
    assert not runs.passes()
    assert runs.passes(digest)


def test_a_set_that_was_braked_elsewhere_can_be_approved(state: Pending, runs: Runs) -> None:
    state.gone("a", "b")
    digest = runs.braked()
    for table in ("braked_sets", "braked_changes"):
        state.store.database.connection.execute(f"DELETE FROM {table}")  # noqa: S608  - ours

    assert runs.passes(digest)


def test_what_was_braked_by_itself_stays_as_it_was(state: Pending, runs: Runs) -> None:
    state.holds("u", userPrincipalName="a@x")
    state.updates("u", userPrincipalName="b@x")
    state.refers("u", manager="boss")
    digest = runs.braked()

    state.holds("boss")  # its manager would travel with it now

    assert runs.passes(digest)


def test_old_sets_are_dropped(state: Pending, runs: Runs) -> None:
    digests = []
    for number in range(22):
        state.gone("a", f"u{number}")
        digests.append(runs.braked(now=NOW + dt.timedelta(minutes=number)))
    knows = state.store.plan.approvals.knows_set
    assert [knows(each) for each in digests] == [False] * 2 + [True] * 20

    runs.braked(now=NOW + SETS_KEPT + dt.timedelta(minutes=22))
    assert sum(map(knows, digests)) == 1
    (count,) = state.store.database.connection.execute(
        "SELECT COUNT(DISTINCT braked_set) FROM braked_changes"
    ).fetchone()
    assert count == 1
