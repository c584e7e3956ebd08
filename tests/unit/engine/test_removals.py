"""What becomes of what is wanted no longer, and of what is not ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrasync.api.choices import OnRemoval, OrphanPolicy
from entrasync.engine.changes import Action, PlannedChange
from entrasync.engine.plan import PlanRules
from entrasync.engine.removals import Evidence, count_unaccounted, unaccounted
from entrasync.engine.source import SourceKind
from entrasync.entra.contracts import SyncObjectType
from entrasync.state.store import Store
from tests.support.pending import CONTACT, GROUP, USER, Pending, plan_of, planned

KINDS = (SourceKind.USER, SourceKind.GROUP, SourceKind.CONTACT)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Pending]:
    with Store(tmp_path) as store:
        yield Pending(store)


def rules(
    what: OnRemoval = OnRemoval.DELETE, orphans: OrphanPolicy = OrphanPolicy.REPORT
) -> PlanRules:
    return PlanRules(on_removal=dict.fromkeys(KINDS, what), orphans=orphans)


def told(changes: list[PlannedChange]) -> list[tuple[str, str]]:
    return [(str(each.action), each.message.source_anchor) for each in changes]


@pytest.mark.parametrize("kind", [USER, GROUP, CONTACT])
@pytest.mark.parametrize(
    ("evidence", "goes"),
    [
        (Evidence.DELETED, True),
        (Evidence.OUT_OF_SCOPE, True),
        (Evidence.MOVED, False),
        (Evidence.UNKNOWN, False),
        (None, False),
    ],
)
@pytest.mark.parametrize("what", list(OnRemoval))
def test_only_evidence_removes_and_only_as_was_chosen(
    state: Pending, kind: SyncObjectType, evidence: Evidence | None, what: OnRemoval, *, goes: bool
) -> None:
    state.holds("gone", kind, accountEnabled=True)
    state.candidate("gone", evidence)

    changes = planned(state.store, rules(what))

    action = {OnRemoval.DELETE: "delete", OnRemoval.DISABLE: "disable"}.get(what)
    expected = goes and action is not None and (kind is USER or action == "delete")
    assert told(changes) == ([(action, "gone")] if expected else [])
    assert list(unaccounted(state.store)) == ([] if goes else ["gone"])
    assert count_unaccounted(state.store) == (not goes)


def test_it_says_why(state: Pending) -> None:
    for anchor, evidence in (("a", Evidence.DELETED), ("b", Evidence.OUT_OF_SCOPE)):
        state.holds(anchor)
        state.candidate(anchor, evidence)

    assert [each.why[""] for each in planned(state.store)] == [
        "deleted in the directory",
        "left the scope",
    ]


def test_who_is_not_owned_is_never_deleted_without_being_told_to(state: Pending) -> None:
    state.holds("theirs", owned=False)
    state.candidate("theirs", Evidence.DELETED)

    assert planned(state.store) == []


@pytest.mark.parametrize(("enabled", "disabled"), [(True, 1), (None, 1), (False, 0)])
def test_who_is_disabled_already_stays_untouched(
    state: Pending, *, enabled: bool | None, disabled: int
) -> None:
    known = {} if enabled is None else {"accountEnabled": enabled}
    state.holds("gone", USER, (), owned=True, **known)
    state.candidate("gone", Evidence.DELETED)

    changes = planned(state.store, rules(OnRemoval.DISABLE))

    assert len(changes) == disabled
    for change in changes:
        assert change.action is Action.DISABLE
        assert change.message.properties == {"accountEnabled": False}
        assert change.previous == known


def test_what_is_found_again_is_not_removed(state: Pending) -> None:
    state.gone("back", "lost", "wanted")
    assert len(planned(state.store)) == 3

    state.candidate("lost", Evidence.UNKNOWN)
    state.clear_candidates("back", "wanted")
    state.updates("wanted", displayName="new")

    assert told(planned(state.store)) == [("update", "wanted")]


def test_another_choice_takes_the_place_of_the_first(state: Pending) -> None:
    state.gone("gone")
    assert told(planned(state.store)) == [("delete", "gone")]
    assert told(planned(state.store, rules(OnRemoval.DISABLE))) == [("disable", "gone")]
    assert told(planned(state.store, rules(OnRemoval.KEEP))) == []


def test_what_is_wanted_no_longer_changes_in_no_other_way(state: Pending) -> None:
    state.holds("u", title="old")
    state.updates("u", title="new")
    state.refers("u", manager="u")
    state.candidate("u", Evidence.UNKNOWN)

    assert planned(state.store) == []


@pytest.mark.parametrize("policy", list(OrphanPolicy))
def test_orphans_are_counted_and_deleted_only_when_told_to(
    state: Pending, policy: OrphanPolicy
) -> None:
    state.holds("ours")
    state.holds("theirs", owned=False)
    state.holds("their group", GROUP, owned=False)
    state.holds("wanted", owned=False)
    state.holds("cloud", owned=False)
    state.execute("UPDATE cloud_objects SET cloud_managed = 1 WHERE anchor = ?", "cloud")
    state.execute("INSERT INTO parts (object, kind, anchor) VALUES (1, 1, ?)", "wanted")

    plan = plan_of(state.store, rules(orphans=policy))

    deleted = [("delete", "their group"), ("delete", "theirs")]
    assert told(list(plan.changes())) == (deleted if policy is OrphanPolicy.DELETE else [])
    assert plan.orphans


def test_orphans_of_a_kind_that_is_not_synced_are_left_alone(state: Pending) -> None:
    state.holds("theirs", owned=False)
    state.holds("their group", GROUP, owned=False)
    only_users = PlanRules(
        on_removal={SourceKind.USER: OnRemoval.KEEP}, orphans=OrphanPolicy.DELETE
    )

    assert told(planned(state.store, only_users)) == [("delete", "theirs")]


def test_of_a_kind_that_is_not_synced_nothing_is_removed(state: Pending) -> None:
    state.gone("user")
    state.gone("group", kind=GROUP)

    only_groups = PlanRules(on_removal={SourceKind.GROUP: OnRemoval.DELETE})

    assert told(planned(state.store, only_groups)) == [("delete", "group")]


def test_what_the_cloud_manages_is_not_removed(state: Pending) -> None:
    state.gone("cloud")
    state.execute("UPDATE cloud_objects SET cloud_managed = 1 WHERE anchor = ?", "cloud")

    assert planned(state.store) == []
