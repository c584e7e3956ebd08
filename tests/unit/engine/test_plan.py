"""Plans: complete, minimal, in order, and the same whatever the order things came in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.choices import DriftPolicy
from entrasync.engine.changes import Action, Phase, PlannedChange
from entrasync.engine.plan import RECREATE, PlanRules
from entrasync.engine.removals import Evidence
from entrasync.entra.contracts import LinkChange, PropertyValue
from entrasync.state import naming, plan_rows, planning
from entrasync.state import plan as plan_space
from entrasync.state.schema import Part
from entrasync.state.store import Store
from tests.support.pending import CONTACT, GROUP, USER, Made, Pending, Scratch, plan_of, planned
from tests.support.planned import fingerprint_of

ANCHORS = [f"anchor-{number}" for number in range(6)]
VALUES: st.SearchStrategy[PropertyValue] = st.one_of(
    st.text(max_size=3), st.booleans(), st.binary(max_size=3), st.none()
)
PROPERTIES = st.dictionaries(
    st.sampled_from(["displayName", "mail", "userPrincipalName", "title"]), VALUES, max_size=4
)
MEMBERS = st.frozensets(st.sampled_from(ANCHORS), max_size=4)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[Pending]:
    with Store(tmp_path) as store:
        yield Pending(store)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scratch]:
    with Store(tmp_path_factory.mktemp("state")) as store:
        yield Scratch(store)


def by_anchor(changes: list[PlannedChange], part: Part = Part.OBJECT) -> dict[str, PlannedChange]:
    return {each.message.source_anchor: each for each in changes if each.part is part}


# --- whatever is pending -----------------------------------------------------------------------

WRITES = st.lists(
    st.one_of(
        st.tuples(st.just("adds"), st.sampled_from(ANCHORS[:2]), PROPERTIES),
        st.tuples(st.just("updates"), st.sampled_from(ANCHORS[2:4]), PROPERTIES),
        st.tuples(st.just("refers"), st.sampled_from(ANCHORS[:4]), st.sampled_from(ANCHORS)),
        st.tuples(st.just("links"), st.sampled_from(ANCHORS[4:]), MEMBERS),
        st.tuples(st.just("candidate"), st.sampled_from(ANCHORS[2:]), st.sampled_from(Evidence)),
    ),
    unique_by=lambda each: (each[0], each[1]),
)


def write(state: Pending, writes: list[Any], held: list[str]) -> None:
    for anchor in held:
        state.holds(anchor, GROUP if anchor in ANCHORS[4:] else USER, title="old", mail="m@x")
    for what, anchor, value in writes:
        match what:
            case "adds":
                state.adds(anchor, **value)
            case "updates":
                state.updates(anchor, **value)
            case "refers":
                state.refers(anchor, manager=value)
            case "links":
                chosen = sorted(value)
                state.links(anchor, chosen[::2], chosen[1::2])
            case _:
                state.candidate(anchor, value)


@given(WRITES, st.randoms(use_true_random=False))
def test_a_plan_is_the_same_whatever_order_things_came_in(
    scratch: Scratch, writes: list[Any], dice: Any
) -> None:
    plans: list[Made] = []
    for _ in range(2):
        with scratch.state() as state:
            held = ANCHORS[2:]
            write(state, writes, held)
            plans.append(scratch.made())
            assert scratch.made().digest == plans[-1].digest
        dice.shuffle(writes)
        dice.shuffle(held)
    first, second = plans
    assert first.digest == second.digest
    assert [each.fingerprint for each in first.changes] == [
        each.fingerprint for each in second.changes
    ]
    assert [each.message for each in first.changes] == [each.message for each in second.changes]


@given(WRITES)
def test_changes_come_in_order_and_are_named_by_what_they_do(
    scratch: Scratch, writes: list[Any]
) -> None:
    with scratch.state() as state:
        write(state, writes, ANCHORS[2:])
        changes = scratch.made().changes
    order = [(each.phase, each.step, each.action is not Action.ADD) for each in changes]
    assert order == sorted(order)
    for change in changes:
        assert change.fingerprint == fingerprint_of(change)
        assert change.action in {Action.ADD, Action.DELETE} or (
            change.message.properties or change.message.links
        )


@given(WRITES)
def test_only_what_is_proven_gone_is_deleted_and_nothing_else_happens_to_a_candidate(
    scratch: Scratch, writes: list[Any]
) -> None:
    evidence = {anchor: value for what, anchor, value in writes if what == "candidate"}
    with scratch.state() as state:
        write(state, writes, ANCHORS[2:])
        made = scratch.made()
    proofs = {Evidence.DELETED, Evidence.OUT_OF_SCOPE, Evidence.SYNC_DELETED}
    gone = {anchor for anchor, told in evidence.items() if told in proofs}
    touched = {
        each.message.source_anchor: each.action
        for each in made.changes
        if each.message.source_anchor in evidence
    }
    assert touched == dict.fromkeys(gone, Action.DELETE)
    assert made.unaccounted == evidence.keys() - gone
    for change in made.changes:
        for link in change.message.links:
            assert link.add or link.anchor not in evidence


# --- single cases ------------------------------------------------------------------------------


def test_kinds_come_one_after_the_other_and_additions_first(state: Pending) -> None:
    state.gone("z")
    for number, kind in enumerate((GROUP, CONTACT, USER)):
        state.holds(f"old-{number}", kind)
        state.updates(f"old-{number}", kind, title="new")
        state.adds(f"p-{number}", kind, title="new")
    state.refers("p-0", GROUP, managedBy="p-2")
    state.links("old-0", ["p-2"])

    plan = plan_of(state.store)

    assert [(each.phase, each.message.source_anchor) for each in plan.changes()] == [
        (Phase.DELETIONS, "z"),
        (Phase.USERS, "p-2"),
        (Phase.USERS, "old-2"),
        (Phase.CONTACTS, "p-1"),
        (Phase.CONTACTS, "old-1"),
        (Phase.GROUPS, "p-0"),
        (Phase.GROUPS, "old-0"),
        (Phase.REFERENCES, "p-0"),
        (Phase.LINKS, "old-0"),
    ]
    counts = plan.counts
    assert counts.objects == {
        (kind, action): 1
        for kind in (USER, CONTACT, GROUP)
        for action in (Action.ADD, Action.UPDATE)
    } | {(USER, Action.DELETE): 1}
    assert (counts.links_added, counts.links_removed) == (1, 0)


def test_who_gets_only_a_manager_was_updated_once(state: Pending) -> None:
    state.holds("u")
    state.refers("u", manager="new")
    state.adds("new")

    assert plan_of(state.store).counts.objects == {(USER, Action.UPDATE): 1, (USER, Action.ADD): 1}


def test_references_travel_with_their_object_when_all_ends_are_there(state: Pending) -> None:
    state.holds("boss")
    state.holds("old", manager="boss", title="a")
    state.gone("leaver")
    for anchor, manager in (("ann", "boss"), ("bob", "ann"), ("cid", "leaver")):
        state.adds(anchor, displayName=anchor)
        state.refers(anchor, manager=manager)
    state.updates("old", title="b")
    state.refers("old", manager=None)

    changes = planned(state.store)

    objects, references = by_anchor(changes), by_anchor(changes, Part.REFERENCES)
    assert objects["ann"].message.properties == {"displayName": "ann", "manager": "boss"}
    assert objects["old"].message.properties == {"title": "b", "manager": None}
    assert objects["old"].previous == {"title": "a", "manager": "boss"}
    assert references.keys() == {"bob", "cid"}
    assert [each.message for each in planned(state.store)] == [each.message for each in changes]


def test_the_service_itself_ends_the_links_of_what_is_deleted(state: Pending) -> None:
    state.holds("g", GROUP, ["gone", "lost", "left", "here"])
    state.gone("gone")
    state.holds("lost")
    state.candidate("lost", Evidence.UNKNOWN)
    state.links("g", ["new"], ["gone", "lost", "left"])

    links = by_anchor(planned(state.store), Part.LINKS)["g"].message.links

    assert links == (LinkChange("left", add=False), LinkChange("new", add=True))


def test_a_group_that_goes_or_is_nowhere_has_no_members_to_change(state: Pending) -> None:
    state.gone("gone", kind=GROUP)
    state.holds("lost", GROUP)
    state.candidate("lost", Evidence.UNKNOWN)
    for group in ("gone", "lost", "nowhere"):
        state.links(group, ["m"], [])

    assert [each.action for each in planned(state.store)] == [Action.DELETE]


def drifted(state: Pending, anchor: str, key: str, exported: str, times: int) -> None:
    state.execute(
        f"INSERT INTO drift VALUES (?, '{key}', '0', '{exported}', {times})",  # noqa: S608  - ours
        anchor,
    )


@pytest.mark.parametrize(
    ("policy", "times", "left"),
    [
        (DriftPolicy.REPAIR, 1, {"title", "mail"}),
        (DriftPolicy.REPAIR, 3, {"mail"}),
        (DriftPolicy.REPORT, 1, {"mail"}),
    ],
)
def test_drift_is_left_out_when_it_is_only_reported_or_did_not_stay(
    state: Pending, policy: DriftPolicy, times: int, left: set[str]
) -> None:
    state.holds("u", title="theirs")
    state.holds("v", title="theirs")
    state.holds("g", GROUP, ["a"])
    state.updates("u", title="ours", mail="new")
    state.updates("v", title="ours")
    state.links("g", ["b", "c"], ["a"])
    for anchor in ("u", "v"):
        drifted(state, anchor, "title", '"ours"', times)
    drifted(state, "g", f"member:{state.number('b')}", "true", times)

    changes = planned(state.store, PlanRules(drift=policy))

    objects = by_anchor(changes)
    assert objects["u"].message.properties.keys() == left
    assert objects["u"].fingerprint == fingerprint_of(objects["u"])
    assert ("v" in objects) is ("title" in left)
    members = {link.anchor for link in by_anchor(changes, Part.LINKS)["g"].message.links}
    assert members == ({"a", "b", "c"} if "title" in left else {"a", "c"})


@pytest.mark.parametrize(
    ("key", "value", "again"),
    [
        ("userPrincipalName", "Ann@x", "ann@x"),
        ("onPremiseSecurityIdentifier", b"\x01\x05", b"\x01\x05"),
    ],
)
def test_who_is_created_anew_is_told_so(
    state: Pending, key: str, value: PropertyValue, again: PropertyValue
) -> None:
    state.holds("old", USER, (), owned=True, **{key: value})
    state.candidate("old", Evidence.DELETED)
    state.adds("new", USER, **{key: again})
    state.adds("other", displayName="x")

    changes = by_anchor(planned(state.store))

    assert (changes["new"].outcome, changes["new"].replaces) == (RECREATE, "old")
    assert changes["other"].outcome is None


def test_batches_keep_to_their_size_and_phase_and_leave_out_what_is_held(
    state: Pending, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (plan_rows, naming):
        monkeypatch.setattr(module, "MOST_LINKS", 4)
    for module in (plan_space, planning, naming):
        monkeypatch.setattr(module, "_PAGE", 3)
    for number in range(5):
        state.adds(f"u{number}")
        state.holds(f"g{number}", GROUP)
        state.links(f"g{number}", [f"u{each}" for each in range(number + 1)])
    plan = plan_of(state.store)
    state.execute("UPDATE plan SET held = 'Later' WHERE anchor = ?", "u1")

    batches = [
        [(each.message.source_anchor, len(each.message.links)) for each in batch]
        for batch in plan.batches(2)
    ]

    assert batches == [
        [("u0", 0), ("u2", 0)],
        [("u3", 0), ("u4", 0)],
        [("g0", 1), ("g1", 2)],
        [("g2", 3), ("g3", 4)],
        [("g4", 5)],
    ]
    assert len(list(plan.changes())) == plan.total == 10
    assert all(each.fingerprint == fingerprint_of(each) for each in plan.changes())


def test_what_was_struck_off_meanwhile_does_not_disturb_reading(state: Pending) -> None:
    for number in range(5):
        state.adds(f"u{number}", displayName=str(number))

    sent = []
    for change in plan_of(state.store).sendable():
        sent.append(change.message.properties["displayName"])
        state.execute("DELETE FROM pending WHERE anchor = ?", change.message.source_anchor)

    assert sent == ["0", "1", "2", "3", "4"]


def test_nothing_pending_is_an_empty_plan(state: Pending) -> None:
    plan = plan_of(state.store)

    assert (list(plan.changes()), list(plan.batches(3)), plan.total) == ([], [], 0)
    assert not plan.has_links
    assert not plan.counts.objects
