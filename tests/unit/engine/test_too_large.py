"""A group over its limit is frozen: not deleted, not emptied, nothing sent; the rest goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrasync.state.schema import Kind
from tests.unit.engine.world import World, anchor_of, anchors, pairs

TEAM, OTHER, ANN, GONE = 20, 21, 10, 12
LIMIT = 3


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Ann in two groups whose names have changed; somebody has left both since."""
    made = World(tmp_path)
    made.user(ANN)
    made.user(GONE)
    made.hold(GONE, pinned=True)
    for group in (TEAM, OTHER):
        made.group(group, ANN, displayName="renamed")
        made.hold(group, Kind.GROUP, pinned=True, properties={"displayName": "older"})
        made.hold_link(group, GONE)
    yield made
    made.store.close()


def fill(world: World, members: int) -> None:
    for number in range(members - 1):
        world.link(TEAM, 1000 + number)


def touched(world: World) -> set[str]:
    return {anchor for anchor, _ in world.pending()} | {owner for owner, _, _ in world.links()}


def test_nothing_of_it_is_sent_and_the_rest_goes_on(world: World) -> None:
    fill(world, LIMIT + 1)
    world.evaluate(max_group_members=LIMIT)

    (withheld,) = world.store.evaluation.withheld()
    assert (withheld.reason, withheld.anchor) == ("GroupTooLarge", anchor_of(TEAM))
    assert f"{LIMIT + 1} members" in withheld.message
    assert touched(world) == anchors(OTHER, ANN, GONE)
    assert world.links() == pairs((OTHER, ANN, 1), (OTHER, GONE, 0))
    assert world.candidates() == set()


def test_it_comes_back_by_itself_when_it_fits(world: World) -> None:
    fill(world, LIMIT + 1)
    world.evaluate(max_group_members=LIMIT)
    world.unlink(TEAM, 1000)
    world.evaluate(max_group_members=LIMIT)

    assert not list(world.store.evaluation.withheld())
    assert world.links() == pairs(
        (OTHER, ANN, 1), (OTHER, GONE, 0), (TEAM, ANN, 1), (TEAM, GONE, 0)
    )
    assert world.pending()[anchor_of(TEAM), 0][1]["displayName"] == "renamed"


def test_it_freezes_while_one_by_one_come_in(world: World) -> None:
    fill(world, LIMIT)
    world.evaluate(max_group_members=LIMIT)
    assert anchor_of(TEAM) in touched(world)

    world.link(TEAM, 2000)
    world.evaluate(max_group_members=LIMIT)
    assert anchor_of(TEAM) not in touched(world)


def test_another_limit_decides_anew(world: World) -> None:
    fill(world, LIMIT + 1)
    world.evaluate(max_group_members=LIMIT)
    world.evaluate(max_group_members=LIMIT + 1)
    assert anchor_of(TEAM) in touched(world)

    world.evaluate(max_group_members=LIMIT)
    assert anchor_of(TEAM) not in touched(world)


def test_its_own_memberships_go_on(world: World) -> None:
    fill(world, LIMIT + 1)
    world.link(OTHER, TEAM)
    world.evaluate(max_group_members=LIMIT)

    assert pairs((OTHER, TEAM, 1)) <= world.links()


def test_one_that_was_never_created_is_nobodys_member(world: World) -> None:
    world.group(22, *range(1000, 1010))
    world.link(OTHER, 22)
    world.evaluate(max_group_members=LIMIT)

    assert anchor_of(22) not in {member for _, member, _ in world.links()}
