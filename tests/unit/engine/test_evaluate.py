"""From what the sources hold to what must change in the cloud."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from entrasync.api.choices import AnchorSource, JoinBy
from entrasync.engine.evaluate import evaluate
from entrasync.engine.flows import FlowRule, flow_set
from entrasync.engine.inputs import AnchorRules
from entrasync.engine.scope import Scope
from entrasync.engine.selection import KindRules, SelectionRules
from entrasync.engine.source import SourceKind
from entrasync.state import anchor_pages
from entrasync.state.schema import Kind
from tests.unit.engine.world import (
    ROOT,
    World,
    anchor_of,
    anchors,
    guid_of,
    pairs,
    sids,
    written,
)

ANN, BOB, CID, TEAM, CLUB = 10, 11, 12, 20, 21
OUTSIDE = 9
LEFT_OUT = "foreign_principals_left_out"
NO_USERS = SelectionRules(kinds={SourceKind.USER: KindRules(enabled=False)}, resource="r")

NO_CONTACTS = SelectionRules(kinds={SourceKind.CONTACT: KindRules(enabled=False)}, resource="r")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    made.put(OUTSIDE, Kind.CONTAINER, parent=None)
    yield made
    made.store.close()


def added(world: World) -> set[str]:
    return {anchor for (anchor, _), (action, _) in world.pending().items() if action == "add"}


class TestObjects:
    def test_what_takes_part_is_added_with_all_it_has(self, world: World) -> None:
        world.user(ANN, title="Chief")
        world.group(TEAM, ANN)

        totals = world.evaluate()

        assert (totals.in_scope, totals.evaluated) == (2, 2)
        assert added(world) == anchors(ANN, TEAM)
        assert written(world, ANN)["title"] == "Chief"
        assert world.links() == pairs((TEAM, ANN, 1))
        assert world.waiting() == 0

    def test_nothing_is_looked_at_twice(self, world: World) -> None:
        world.user(ANN)
        world.evaluate()
        before = world.connection.total_changes

        assert world.evaluate().evaluated == 0
        assert world.connection.total_changes == before

    def test_what_is_pending_stays_until_it_was_sent(self, world: World) -> None:
        world.user(ANN)
        world.evaluate()
        world.user(BOB)
        world.evaluate()

        assert added(world) == anchors(ANN, BOB)

    def test_only_what_differs_is_written_and_what_went_is_cleared(self, world: World) -> None:
        world.user(ANN, title="Chief", department="Sales")
        world.evaluate()
        world.export()
        world.user(ANN, title="Boss")
        world.evaluate()

        assert world.pending() == {
            (anchor_of(ANN), 0): ("update", {"title": "Boss", "department": None})
        }
        (previous,) = world.connection.execute("SELECT previous FROM pending").fetchone()
        assert previous == '{"department":"Sales","title":"Chief"}' or "Chief" in previous

    def test_what_is_as_it_should_be_again_is_pending_no_longer(self, world: World) -> None:
        world.user(ANN, title="Chief")
        world.evaluate()
        world.export()
        for title in ("Boss", "Chief"):
            world.user(ANN, title=title)
            world.evaluate()

        assert world.pending() == {}

    def test_properties_that_do_not_flow_are_left_alone(self, world: World) -> None:
        world.user(ANN)
        world.hold(ANN, properties={"cloudOnly": "theirs"})
        world.evaluate()

        assert "cloudOnly" not in written(world, ANN)

    def test_changed_flows_compare_everything(self, world: World) -> None:
        world.user(ANN, title="Chief")
        world.evaluate()
        world.export()
        flows = flow_set({SourceKind.USER: [FlowRule(target="title", constant="Person")]})
        totals = world.evaluate(flows=flows)

        assert totals.evaluated == 0
        assert written(world, ANN) == {"title": "Person"}

    def test_another_program_looks_at_everything(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        world.user(ANN)
        world.evaluate()
        monkeypatch.setattr("entrasync.engine.evaluate.__version__", "0.0.0")

        assert world.evaluate().evaluated == 1

    @pytest.mark.parametrize(
        "rules",
        [
            {"anchors": AnchorRules(source=AnchorSource.OBJECT_GUID)},
            {"join_users": JoinBy.MAIL},
            {"scopes": {"source1": Scope(include=frozenset({guid_of(ROOT), guid_of(OUTSIDE)}))}},
            {"selection": NO_CONTACTS},
        ],
    )
    def test_other_rules_look_at_everything_once(self, world: World, rules: dict[str, Any]) -> None:
        world.user(ANN)
        world.group(TEAM, ANN)
        world.evaluate()
        world.export()

        assert [world.evaluate(**rules).evaluated for _ in range(2)] == [2, 0]
        assert (world.pending(), world.candidates()) == ({}, set())

    def test_changes_look_through_no_table(self, world: World) -> None:
        world.put(30, Kind.CONTAINER)
        for guid in (ANN, BOB, CID):
            world.user(guid, parent=30, mail=f"{guid}@x.test")
        world.group(TEAM, ANN, BOB)
        world.foreign(77, next(iter(sids(1))))
        rules: dict[str, Any] = {"join_users": JoinBy.MAIL}
        world.evaluate(**rules)
        world.export()
        statements: list[str] = []
        world.connection.set_trace_callback(statements.append)
        world.put(30, Kind.CONTAINER, name="New")
        world.user(ANN, parent=30, mail=f"{BOB}@x.test", sid=next(iter(sids(1))))
        world.remove(CID)
        world.unlink(TEAM, BOB)
        world.refer(BOB, "manager", ANN)
        world.hold(TEAM, Kind.GROUP, properties={"displayName": "theirs"})
        world.evaluate(**rules)
        world.connection.set_trace_callback(None)

        plans = {
            str(row[3])
            for each in statements
            if each.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH"))
            for row in world.connection.execute(f"EXPLAIN QUERY PLAN {each}")
        }
        # whole lists of changes are called x, and the index that counts is looked through
        large = re.compile("SCAN ([acgklopqrs]|anchors|cloud_.*|guids|join_keys|pending.*|pins)\\b")
        assert {each for each in plans if large.match(each)} <= {"SCAN pending_links"}

    def test_a_renamed_container_renames_what_is_in_it(self, world: World) -> None:
        world.put(30, Kind.CONTAINER, name="Old")
        world.user(ANN, parent=30)
        world.evaluate()
        world.export()
        world.put(30, Kind.CONTAINER, name="New")
        world.evaluate()

        assert written(world, ANN) == {
            "onPremisesDistinguishedName": f"CN=user{ANN},CN=New,DC=root{ROOT}"
        }

    def test_nothing_in_scope_changes_nothing(self, world: World) -> None:
        world.hold(ANN)
        assert world.evaluate().in_scope == 0
        assert world.candidates() == set()

        world.user(ANN)
        world.evaluate()
        world.remove(ANN)

        assert world.evaluate().in_scope == 0
        assert world.candidates() == set()
        assert world.parts() == {ANN: (None, anchor_of(ANN), None)}

    def test_cloud_managed_objects_are_neither_written_nor_deleted(self, world: World) -> None:
        world.user(ANN, title="Chief")
        world.group(TEAM, ANN)
        world.hold(ANN, managed=True)
        world.hold(TEAM, Kind.GROUP, managed=True)
        world.hold(CID, managed=True)
        world.evaluate()

        assert world.pending() == {}
        assert world.links() == set()
        assert world.candidates() == set()

    def test_progress_is_told(self, world: World) -> None:
        world.user(ANN)
        told: list[int] = []
        evaluate(world.store, world.rules(), lambda done, _: told.append(done))

        assert told


class TestReferences:
    def test_they_follow_once_both_exist(self, world: World) -> None:
        world.user(ANN)
        world.user(BOB)
        world.refer(ANN, "manager", BOB)
        world.evaluate()

        assert world.pending()[anchor_of(ANN), 1] == ("update", {"manager": anchor_of(BOB)})
        assert "manager" not in written(world, ANN)

    def test_whoever_leaves_the_scope_is_nobodys_manager(self, world: World) -> None:
        world.user(ANN)
        world.user(BOB)
        world.refer(ANN, "manager", BOB)
        world.evaluate()
        world.export()
        world.user(BOB, parent=OUTSIDE)
        world.evaluate()

        assert world.pending()[anchor_of(ANN), 1] == ("update", {"manager": None})

    def test_a_reference_to_what_the_cloud_will_not_hold_is_left_out(self, world: World) -> None:
        world.user(ANN)
        world.user(BOB, userPrincipalName="b d@x.test")
        world.refer(ANN, "manager", BOB)
        world.evaluate()
        assert (anchor_of(ANN), 1) not in world.pending()

        world.user(BOB)
        world.evaluate()
        assert world.pending()[anchor_of(ANN), 1][1] == {"manager": anchor_of(BOB)}

    def test_a_withheld_manager_stays_the_manager(self, world: World) -> None:
        world.user(ANN)
        world.user(BOB)
        world.refer(ANN, "manager", BOB)
        world.evaluate()
        world.export()
        world.user(BOB, raw={"mS-DS-ConsistencyGuid": bytes(16)})
        world.evaluate()

        assert world.parts()[BOB][2] == "AnchorChanged"
        assert world.pending() == {}

    def test_one_to_what_only_counts_where_the_cloud_has_it_follows_that(
        self, world: World
    ) -> None:
        world.user(ANN)
        world.user(BOB, userPrincipalName="b d@x.test")
        world.refer(ANN, "manager", BOB)
        world.evaluate()
        world.hold(BOB)
        world.evaluate()

        assert world.pending()[anchor_of(ANN), 1][1] == {"manager": anchor_of(BOB)}

    def test_one_to_what_stays_frozen_waits_whoever_is_compared_first(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(anchor_pages, "PAGE", 1)
        first, second = sorted((ANN, BOB), key=anchor_of)
        world.user(first, mail="v@x.test")
        world.user(second, mail="v@x.test")
        world.user(CID)
        world.evaluate()
        assert world.conflicts() == {anchor_of(second): "DuplicateMail"}

        world.refer(CID, "manager", second)
        world.user(second, mail="v@x.test", title="Chief")
        world.evaluate()
        assert (anchor_of(CID), 1) not in world.pending()


class TestLinks:
    def test_ends_out_of_scope_come_and_go_with_the_scope(self, world: World) -> None:
        world.user(ANN)
        world.user(BOB, parent=OUTSIDE)
        world.group(TEAM, ANN, BOB, 77)
        world.evaluate()
        assert world.links() == pairs((TEAM, ANN, 1))

        world.user(BOB)
        world.evaluate()
        assert world.links() == pairs((TEAM, ANN, 1), (TEAM, BOB, 1))

        world.user(BOB, parent=OUTSIDE)
        world.evaluate()
        assert world.links() == pairs((TEAM, ANN, 1))

    def test_one_changed_link_is_all_that_is_looked_at(self, world: World) -> None:
        world.user(ANN)
        world.user(BOB)
        world.group(TEAM, ANN, BOB)
        world.evaluate()
        world.export()
        world.unlink(TEAM, BOB)

        assert world.evaluate().evaluated == 0
        assert world.links() == pairs((TEAM, BOB, 0))
        assert world.pending() == {}

    def test_members_of_others_are_never_removed(self, world: World) -> None:
        """Unknown ones such as devices, orphans, candidates: none is ours to remove."""
        world.user(ANN)
        world.group(TEAM, ANN)
        world.hold(TEAM, Kind.GROUP)
        world.hold(BOB, owned=False)
        world.hold(CID)
        for member in (BOB, CID, 77):
            world.hold_link(TEAM, member)
        world.evaluate()

        assert world.links() == pairs((TEAM, ANN, 1))
        assert world.candidates() == anchors(CID)

    def test_withheld_members_stay(self, world: World) -> None:
        world.user(ANN)
        world.user(BOB, raw={"mS-DS-ConsistencyGuid": bytes(16)})
        world.group(TEAM)
        world.hold(BOB, pinned=True)
        world.hold(TEAM, Kind.GROUP)
        world.hold_link(TEAM, BOB)
        world.evaluate()

        assert world.links() == set()

    def test_foreign_principals_stand_for_whoever_has_their_sid(self, world: World) -> None:
        first, second = sids(1, 2)
        world.user(ANN, sid=first)
        world.foreign(40, first)
        world.foreign(41, second)
        world.group(TEAM, 40, 41)
        with capture_logs() as logs:
            world.evaluate()
        assert world.links() == pairs((TEAM, ANN, 1))
        # one that nobody has is left out, and counted
        assert [each["count"] for each in logs if each["event"] == LEFT_OUT] == [1]

        world.user(BOB, sid=second)
        world.evaluate()
        assert world.links() == pairs((TEAM, ANN, 1), (TEAM, BOB, 1))

    def test_a_group_that_leaves_the_scope_takes_its_links_along(self, world: World) -> None:
        world.user(ANN)
        world.group(TEAM, ANN)
        world.evaluate()
        world.put(TEAM, Kind.GROUP, parent=OUTSIDE)
        world.evaluate()

        assert world.links() == set()


class TestKindsNotSynced:
    def test_they_are_left_as_they_are(self, world: World) -> None:
        world.user(ANN, title="new")
        world.user(BOB)
        world.group(TEAM, ANN, BOB)
        world.hold(ANN, pinned=True)
        world.hold(CID)
        world.hold(TEAM, Kind.GROUP)
        world.hold_link(TEAM, CID)
        totals = world.evaluate(selection=NO_USERS)

        assert totals.in_scope == 3
        assert {anchor for anchor, _ in world.pending()} == anchors(TEAM)
        assert world.candidates() == set()
        # who is there is a member like any other; who is not cannot be
        assert world.links() == pairs((TEAM, ANN, 1))
        assert not list(world.store.evaluation.withheld())

    def test_whoever_leaves_a_group_leaves_it_in_the_cloud(self, world: World) -> None:
        world.user(ANN)
        world.group(TEAM)
        world.hold(ANN, pinned=True)
        world.hold(TEAM, Kind.GROUP)
        world.hold_link(TEAM, ANN)
        world.evaluate(selection=NO_USERS)

        assert world.links() == pairs((TEAM, ANN, 0))

    def test_whoever_appears_in_the_cloud_becomes_a_member(self, world: World) -> None:
        world.user(ANN)
        world.group(TEAM, ANN)
        world.evaluate(selection=NO_USERS)
        assert world.links() == set()

        world.hold(ANN, owned=False)
        world.evaluate(selection=NO_USERS)
        assert world.links() == pairs((TEAM, ANN, 1))


class TestCandidates:
    def test_owned_objects_that_nothing_wants(self, world: World) -> None:
        world.user(ANN)
        world.hold(BOB)
        world.hold(CID, owned=False)
        world.evaluate()

        (candidate,) = world.store.evaluation.candidates()
        assert (candidate.anchor, candidate.object_type) == (anchor_of(BOB), "User")
        assert (candidate.guid, candidate.evidence) == (guid_of(BOB), None)
        world.store.evaluation.set_evidence(candidate.number, "Deleted")
        (candidate,) = world.store.evaluation.candidates()
        assert candidate.evidence == "Deleted"
        assert world.store.evaluation.candidate_count() == 1

    def test_what_is_wanted_again_is_none(self, world: World) -> None:
        world.user(ANN)
        world.hold(BOB)
        world.evaluate()
        world.user(BOB)
        world.evaluate()

        assert world.candidates() == set()

    def test_what_leaves_the_scope_and_was_never_exported_is_forgotten(self, world: World) -> None:
        world.user(ANN)
        world.user(BOB)
        world.evaluate()
        world.remove(BOB)
        world.evaluate()

        assert added(world) == anchors(ANN)
        assert world.candidates() == set()


class TestSources:
    def test_a_source_that_is_named_no_longer_stays_as_it_is(self, tmp_path: Path) -> None:
        world = World(tmp_path, sources=2)
        world.user(ANN)
        world.user(BOB, parent=2, source=2)
        world.group(TEAM, ANN, BOB)
        world.evaluate()
        world.export()
        world.connection.execute("UPDATE sources SET rank = NULL WHERE id = 2")
        world.user(BOB, parent=2, source=2, title="changed")
        world.evaluate()

        assert world.pending() == {}
        assert world.links() == set()
        assert world.candidates() == set()
        assert world.parts()[BOB] == (None, anchor_of(BOB), None)
        world.store.close()

    def test_what_is_taken_over_from_a_source_that_rests_counts_again(self, tmp_path: Path) -> None:
        world = World(tmp_path, sources=2)
        world.user(ANN)
        world.user(BOB, parent=2, source=2)
        world.refer(ANN, "manager", BOB)
        world.group(TEAM, BOB)
        world.connection.execute("UPDATE sources SET rank = NULL WHERE id = 2")
        world.evaluate()
        world.user(BOB, parent=2, source=2)
        world.connection.execute("UPDATE sources SET rank = 1 WHERE id = 2")
        world.evaluate()
        world.connection.execute("UPDATE sources SET rank = NULL WHERE id = 2")
        world.evaluate()
        assert (anchor_of(ANN), 1) not in world.pending()
        assert world.links() == set()

        world.user(BOB)
        world.evaluate()
        assert world.pending()[anchor_of(ANN), 1][1] == {"manager": anchor_of(BOB)}
        assert world.links() == pairs((TEAM, BOB, 1))
        world.store.close()

    def test_a_source_of_which_nothing_is_left_changes_nothing(self, tmp_path: Path) -> None:
        world = World(tmp_path, sources=2)
        world.user(ANN)
        world.user(BOB, parent=2, source=2)
        assert world.evaluate().emptied == ()
        world.export()
        world.remove(BOB)
        for full in (False, True):
            totals = world.evaluate(full=full)
            assert (totals.emptied, totals.in_scope) == (("source2",), 1)
            assert world.candidates() == set()

        world.connection.execute("UPDATE sources SET rank = NULL WHERE id = 2")
        assert world.evaluate().emptied == ()
        world.store.close()

    def test_what_a_source_that_rests_was_first_in_stays_one(self, tmp_path: Path) -> None:
        world = World(tmp_path, sources=2)
        world.user(ANN, parent=2, source=2, mail="a@x.test")
        world.user(BOB, mail="a@x.test", title="here")
        rules: dict[str, Any] = {"join_users": JoinBy.MAIL}
        world.evaluate(**rules)
        assert world.parts()[ANN][1] == anchor_of(BOB)
        world.export()

        world.connection.execute("UPDATE sources SET rank = NULL WHERE id = 1")
        world.evaluate(**rules)

        assert world.parts()[ANN][1] == world.parts()[BOB][1] == anchor_of(BOB)
        assert added(world) == set()
        world.store.close()


def test_default_exclusions_are_counted_by_name(world: World) -> None:
    world.user(ANN)
    world.user(BOB, sAMAccountName="MSOL_1")

    totals = world.evaluate()

    assert (totals.in_scope, totals.excluded) == (1, {"SyncServiceAccount": 1})
    assert added(world) == anchors(ANN)


def test_primary_group_members_are_counted(world: World) -> None:
    group, *others = sids(1200, 1300, 1301)
    world.put(TEAM, Kind.GROUP, sid=group)
    world.user(ANN, sid=others[0], primaryGroupID="1200")
    world.user(BOB, sid=others[1], primaryGroupID="513")

    assert world.evaluate().primary_group_members == 1
    assert world.evaluate().primary_group_members == 1


def test_what_is_withheld_is_listed(world: World) -> None:
    anchor_rules = AnchorRules(source=AnchorSource.ATTRIBUTE, attribute="employeeID")
    world.user(ANN, employeeID="4711")
    world.user(BOB)
    world.user(CID, employeeID="4712", userPrincipalName="not valid@x.test")
    world.evaluate(anchors=anchor_rules)

    found = {each.guid: each for each in world.store.evaluation.withheld()}
    assert {guid: each.reason for guid, each in found.items()} == {
        guid_of(BOB): "AnchorMissing",
        guid_of(CID): "IdentityDataValidationFailed",
    }
    assert (found[guid_of(BOB)].anchor, found[guid_of(CID)].anchor) == ("", "4712")
    assert "employeeID" not in found[guid_of(CID)].message
    assert str(uuid.UUID(int=BOB)) == guid_of(BOB)


@pytest.mark.parametrize("full", [False, True])
def test_a_restored_user_has_the_memberships_of_now(world: World, *, full: bool) -> None:
    world.user(ANN)
    world.user(BOB)
    world.group(TEAM, ANN, BOB)
    world.group(CLUB, ANN)
    world.evaluate()
    world.export()
    world.remove(ANN)
    world.evaluate()
    world.export()
    assert world.links() == set()

    # the service restores a user with all it was a member of
    world.user(ANN)
    world.link(CLUB, ANN)
    world.evaluate(full=full)

    assert world.links() == pairs((TEAM, ANN, 0), (CLUB, ANN, 1))
    world.export()
    for again in (False, True):
        world.evaluate(full=again)
        assert (world.links(), world.pending()) == (set(), {})
    # that is settled: what follows later is as ever
    world.link(TEAM, ANN)
    world.evaluate()
    assert world.links() == pairs((TEAM, ANN, 1))
