"""Who takes part by `spec.objects`: filters, scoping groups and kinds, without a directory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from entrasync.api.directory_sync import DirectorySyncSpec
from entrasync.api.objects import AttributeFilter, Objects
from entrasync.engine.evaluate import selection_of
from entrasync.engine.filters import compile_filter
from entrasync.engine.selection import KindRules, Selection, SelectionRules
from entrasync.engine.source import SourceKind, SourceObject
from entrasync.errors import BlockedError, ConfigurationError
from entrasync.runner.inputs import selection_rules
from entrasync.state.schema import Kind
from tests.unit.engine.world import World, anchor_of, anchors, guid_of, pairs

ANN, BOB, CID, TEAM, PILOT, INNER, HIDDEN = 10, 11, 12, 20, 30, 31, 77
DN = "CN=Pilot,DC=x"


def rules(**objects: Any) -> SelectionRules:
    return selection_rules(Objects.model_validate(objects), resource="DirectorySync/contoso")


def filtered(attribute: str = "employeeType") -> dict[str, Any]:
    clause = {"attribute": attribute, "operator": "NotEqual", "value": "NoSync"}
    return {"anyOf": [{"allOf": [clause]}]}


def told(written: SelectionRules) -> dict[str, Any]:
    """What an evaluation is told of a selection whose groups are all the pilot."""
    return {"selection": written, "group_guids": dict.fromkeys(written.groups, guid_of(PILOT))}


def taking_part(world: World) -> set[int]:
    return {guid for guid, (rule, _, _) in world.parts().items() if rule is None}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


class TestFilters:
    def test_a_filter_leaves_out_and_is_counted(self, world: World) -> None:
        world.user(ANN, employeeType="nosync")
        world.user(BOB)
        world.group(TEAM)
        totals = world.evaluate(**told(rules(users={"where": filtered("EMPLOYEETYPE")})))

        assert taking_part(world) == {BOB, TEAM}
        assert totals.excluded == {"AttributeFilter": 1}
        assert totals.in_scope == 2

    def test_default_exclusions_come_first(self, world: World) -> None:
        world.user(ANN, employeeType="NoSync", isCriticalSystemObject="TRUE")
        world.user(BOB)
        totals = world.evaluate(**told(rules(users={"where": filtered()})))

        assert totals.excluded == {"CriticalSystemObject": 1}

    def test_another_filter_looks_at_everything(self, world: World) -> None:
        world.user(ANN, employeeType="NoSync")
        world.user(BOB)
        world.evaluate()
        totals = world.evaluate(**told(rules(users={"where": filtered()})))

        assert totals.evaluated == 2
        assert taking_part(world) == {BOB}
        assert {anchor for anchor, _ in world.pending()} == anchors(BOB)


class TestScopingGroups:
    DIRECT = told(rules(users={"memberOf": {"group": DN}}))
    NESTED = told(rules(users={"memberOf": {"group": DN, "nested": True}}))

    def test_only_members_take_part_and_other_kinds_are_left(self, world: World) -> None:
        world.user(ANN)
        world.user(BOB)
        world.group(PILOT, ANN)
        totals = world.evaluate(**self.DIRECT)

        assert taking_part(world) == {ANN, PILOT}
        assert totals.excluded == {"ScopingGroup": 1}

    def test_whoever_comes_in_or_leaves_is_looked_at_again(self, world: World) -> None:
        for guid in (ANN, BOB, CID):
            world.user(guid)
        world.group(PILOT, ANN, CID)
        world.evaluate(**self.DIRECT)
        world.link(PILOT, BOB)
        world.unlink(PILOT, CID)
        totals = world.evaluate(**self.DIRECT)

        assert totals.evaluated == 2
        assert taking_part(world) == {ANN, BOB, PILOT}

    def test_a_group_in_it_brings_and_takes_its_members(self, world: World) -> None:
        for guid in (ANN, BOB):
            world.user(guid)
        world.group(PILOT, ANN)
        world.group(INNER, BOB)
        world.evaluate(**self.NESTED)
        assert taking_part(world) == {ANN, PILOT, INNER}

        world.link(PILOT, INNER)
        world.evaluate(**self.NESTED)
        assert taking_part(world) == {ANN, BOB, PILOT, INNER}

        world.unlink(PILOT, INNER)
        world.unlink(INNER, BOB)
        world.evaluate(**self.NESTED)
        assert taking_part(world) == {ANN, PILOT, INNER}

    def test_filters_look_at_direct_members(self, world: World) -> None:
        clause = {"operator": "IsNotMemberOf", "value": DN}
        written = told(rules(users={"where": {"anyOf": [{"allOf": [clause]}]}}))
        world.user(ANN)
        world.user(BOB)
        world.group(PILOT, ANN)
        world.evaluate(**written)
        assert taking_part(world) == {BOB, PILOT}

        world.unlink(PILOT, ANN)
        world.evaluate(**written)
        assert taking_part(world) == {ANN, BOB, PILOT}

    @pytest.mark.parametrize(
        ("members", "message"),
        [((), "has no members"), ((TEAM,), "has none of the 2 users in scope")],
    )
    def test_a_group_that_leaves_out_everybody_stops_the_run(
        self, world: World, members: tuple[int, ...], message: str
    ) -> None:
        world.user(ANN)
        world.user(BOB)
        world.group(TEAM)
        world.group(PILOT, *members)
        with pytest.raises(BlockedError) as caught:
            world.evaluate(**self.DIRECT)

        assert caught.value.reason == "SourceEmpty"
        assert caught.value.field == "spec.objects.users.memberOf.group"
        assert message in caught.value.message
        # nothing was written, all is looked at again
        assert world.parts() == {}
        assert world.waiting() > 0

    def test_a_group_is_none_of_its_own_doing_when_nobody_is_there(self, world: World) -> None:
        world.group(PILOT, TEAM)
        world.evaluate(**self.DIRECT)

        assert taking_part(world) == {PILOT}

    def test_what_is_no_group_stops_the_run(self, world: World) -> None:
        world.user(PILOT)
        with pytest.raises(ConfigurationError) as caught:
            world.evaluate(**self.DIRECT)

        assert caught.value.reason == "ScopeGroupNotFound"


def test_what_is_written_tells_one_selection_from_another() -> None:
    same = [rules(), rules(users={}), rules(users={"synchronize": "Enabled"})]
    others = [
        rules(users={"synchronize": "Disabled"}),
        rules(users={"where": filtered()}),
        rules(users={"memberOf": {"group": DN}}),
        rules(users={"memberOf": {"group": DN, "nested": True}}),
        rules(groups={"memberOf": {"group": DN}}),
    ]

    assert [each.facts for each in same] == [[]] * 3
    assert len({str(each.facts) for each in others}) == len(others)


def test_a_disabled_kind_needs_neither_groups_nor_attributes() -> None:
    found = rules(users={"synchronize": "Disabled", "where": filtered(), "memberOf": {"group": DN}})

    assert (found.groups, found.attributes, found.nested_groups) == ({}, (), frozenset())


class TestKindsNotSynced:
    RULES = told(rules(users={"synchronize": "Disabled"}))

    def test_memberships_change_while_they_are_in_sight(self, world: World) -> None:
        world.user(ANN)
        world.user(BOB)
        world.group(TEAM, BOB)
        for guid in (ANN, BOB, CID):
            world.hold(guid)
        world.hold(TEAM, Kind.GROUP)
        for guid in (ANN, CID):
            world.hold_link(TEAM, guid)
        world.evaluate(**self.RULES)

        # CID lies outside of the containers: nobody knows of its memberships
        assert world.links() == pairs((TEAM, ANN, 0), (TEAM, BOB, 1))
        assert world.candidates() == set()

    def test_memberships_of_an_object_of_somebody_else_are_not_ended(self, world: World) -> None:
        world.user(ANN)
        world.group(TEAM)
        world.hold(ANN, owned=False)
        world.hold(TEAM, Kind.GROUP)
        world.hold_link(TEAM, ANN)
        world.evaluate(**self.RULES)

        assert world.links() == set()

    def test_what_is_withheld_of_them_is_no_error(self, world: World) -> None:
        for guid in (ANN, BOB):
            world.user(guid, raw={"mS-DS-ConsistencyGuid": b"0123456789abcdef"})
        world.group(TEAM)
        world.evaluate(**self.RULES)

        assert not list(world.store.evaluation.withheld())
        assert world.parts()[ANN][2] == "DuplicateAnchor"

    def test_they_are_synced_again_when_that_is_said(self, world: World) -> None:
        world.user(ANN)
        world.group(TEAM, ANN)
        world.evaluate(**self.RULES)
        assert {anchor for anchor, _ in world.pending()} == anchors(TEAM)

        world.evaluate()
        assert {anchor for anchor, _ in world.pending()} == anchors(ANN, TEAM)
        assert world.links() == pairs((TEAM, ANN, 1))


class TestReadAgain:
    """Whoever is left out is read again; only what is beyond doubt is removed."""

    MEMBER = rules(users={"memberOf": {"group": DN, "nested": True}})

    @staticmethod
    def selection(world: World, written: SelectionRules) -> Selection:
        return selection_of(world.store, world.rules(**told(written)))

    @staticmethod
    def user(**attributes: bytes) -> SourceObject:
        basics = {"objectClass": b"user", "sAMAccountName": b"a", "userAccountControl": b"512"}
        return SourceObject(
            guid=guid_of(ANN),
            dn="CN=Ann",
            parent_guid=None,
            attributes={name: (value,) for name, value in (basics | attributes).items()},
        )

    def test_who_does_not_pass_the_filter_is_out_for_certain(self, world: World) -> None:
        found = self.selection(world, rules(users={"where": filtered()}))

        assert found.left_out_by(self.user(employeeType=b"NoSync")) == "AttributeFilter"
        assert found.is_certain(SourceKind.USER, "AttributeFilter")
        assert found.left_out_by(self.user()) is None

    def test_who_is_no_member_is_out_unless_it_says_so_itself(self, world: World) -> None:
        world.group(INNER, CID)
        world.group(PILOT, CID, INNER)
        world.user(CID)
        found = self.selection(world, self.MEMBER)

        assert found.left_out_by(self.user()) == "ScopingGroup"
        assert found.is_certain(SourceKind.USER, "ScopingGroup")
        for group in (PILOT, INNER):
            assert found.left_out_by(self.user(), frozenset({guid_of(group)})) is None

    def test_while_a_group_in_it_cannot_be_seen_nobody_is_out_for_certain(
        self, world: World
    ) -> None:
        world.group(PILOT, CID, HIDDEN)
        found = self.selection(world, self.MEMBER)

        assert found.names_groups
        assert not found.is_certain(SourceKind.USER, "ScopingGroup")
        assert found.is_certain(SourceKind.USER, "CriticalSystemObject")


def test_anchors_are_as_the_tests_think() -> None:
    assert anchor_of(0) == "AAAAAAAAAAAAAAAAAAAAAA=="


def test_filters_of_every_clause_are_named() -> None:
    written = AttributeFilter.model_validate(
        {
            "anyOf": [
                {"allOf": [{"attribute": "title", "operator": "IsNull"}]},
                {"allOf": [{"operator": "IsMemberOf", "value": DN}]},
            ]
        }
    )
    found = SelectionRules(
        kinds={SourceKind.USER: KindRules(where=compile_filter(written, field="f", resource="r"))}
    )

    (used,) = found.attributes
    assert (used.name, used.field, used.only_presence) == ("title", "f.anyOf[0].allOf[0]", True)
    assert found.groups == {DN: "f.anyOf[1].allOf[0]"}


def test_the_example_of_the_page_is_one() -> None:
    page = (Path(__file__).parents[3] / "docs" / "scope.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    spec = yaml.safe_load(block)["spec"] | {"target": {"entraTenantRef": {"name": "contoso"}}}

    written = DirectorySyncSpec.model_validate(spec)
    found = selection_rules(written.objects, resource="r")

    assert found.disabled == {SourceKind.CONTACT}
    assert found.nested_groups == {"CN=Pilot,OU=Groups,DC=contoso,DC=test"}
    assert [each.name for each in found.attributes] == ["employeeType"]
