"""Groups that decide what takes part."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrasync.engine.groups import GroupMembers
from entrasync.state.schema import Kind
from tests.unit.engine.world import World, guid_of

PILOT, INNER, ANN, BOB, HIDDEN = 30, 31, 10, 11, 77


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A circle of groups; what one of them holds was never seen."""
    made = World(tmp_path)
    made.user(ANN)
    made.user(BOB)
    made.group(PILOT, ANN, INNER)
    made.group(INNER, BOB, PILOT)
    yield made
    made.store.close()


def members_of(world: World, group: int, *, nested: bool) -> GroupMembers:
    space = world.store.evaluation
    return GroupMembers(guid_of(group), nested=nested, groups=space.groups, parts=space.parts)


def held(found: GroupMembers, *guids: int) -> set[int]:
    return {guid for guid in guids if found.holds(guid_of(guid))}


def test_direct_members_only(world: World) -> None:
    world.link(PILOT, HIDDEN)
    found = members_of(world, PILOT, nested=False)

    assert held(found, ANN, BOB, PILOT, INNER, HIDDEN) == {ANN, INNER, HIDDEN}
    assert found.groups == {guid_of(PILOT)}
    assert found.complete


def test_members_at_any_depth_and_circles_end(world: World) -> None:
    found = members_of(world, PILOT, nested=True)

    assert held(found, ANN, BOB, PILOT, INNER, HIDDEN) == {ANN, BOB, PILOT, INNER}
    assert found.groups == {guid_of(PILOT), guid_of(INNER)}
    assert found.complete


def test_nobody_knows_what_is_in_a_group_that_was_never_seen(world: World) -> None:
    world.link(INNER, HIDDEN)

    assert not members_of(world, PILOT, nested=True).complete


def test_what_an_object_says_of_its_groups_counts(world: World) -> None:
    found = members_of(world, PILOT, nested=True)

    assert found.holds(guid_of(99), frozenset({guid_of(INNER)}))
    assert not found.holds(guid_of(99), frozenset({guid_of(98)}))


@settings(deadline=None, max_examples=40)
@given(st.dictionaries(st.integers(0, 9), st.frozensets(st.integers(0, 9)), max_size=10))
def test_any_web_of_groups_ends_with_all_that_can_be_reached(
    web: dict[int, frozenset[int]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder))
        for group in range(10):
            world.put(100 + group, Kind.GROUP)
            for member in web.get(group, ()):
                world.link(100 + group, 100 + member)
        found = members_of(world, 100, nested=True)

        reached: set[int] = set()
        for _ in range(11):
            reached |= {member for group in (0, *reached) for member in web.get(group, ())}
        assert held(found, *range(100, 110)) == {100 + member for member in reached}
        assert found.complete
        world.store.close()
