"""Who lacks an attribute, kept track of from import to import."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrasync.state import unstamped
from entrasync.state.unstamped import Unstamped
from tests.unit.engine.world import World, guid_of

ATTRIBUTE = "mS-DS-ConsistencyGuid"
VALUE = {ATTRIBUTE: b"\xff" * 16}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


@pytest.fixture
def space(world: World) -> Unstamped:
    return world.store.unstamped


def kept(world: World) -> set[int]:
    """Who is kept track of."""
    rows = world.connection.execute(
        "SELECT guid FROM unstamped LEFT JOIN guids ON guids.id = unstamped.object"
    )
    return {uuid.UUID(bytes=guid).int for (guid,) in rows}


def waiting(space: Unstamped) -> list[int]:
    return [uuid.UUID(guid).int for guid in space.waiting("source1")]


def imported(world: World, space: Unstamped) -> None:
    space.follow(ATTRIBUTE)
    world.evaluate()


def test_at_first_everybody_is_looked_at(world: World, space: Unstamped) -> None:
    world.user(10)
    world.user(11, raw=VALUE)
    world.user(12, description=f'"{ATTRIBUTE}":')
    world.group(13)
    world.evaluate()  # nobody is marked any longer

    space.follow(ATTRIBUTE)

    assert kept(world) == {10, 12}


def test_then_only_who_was_imported(world: World, space: Unstamped) -> None:
    world.user(10)
    world.user(11)
    world.user(12, raw=VALUE)
    imported(world, space)
    world.user(10, raw=VALUE)
    world.user(12)
    world.user(14)
    world.remove(11)

    imported(world, space)

    assert kept(world) == {12, 14}


def test_who_is_struck_off_stays_off_until_something_changes(
    world: World, space: Unstamped
) -> None:
    world.user(10)
    world.user(11)
    imported(world, space)

    space.strike_off("source1", [guid_of(10)], guid_of(10))
    imported(world, space)
    assert kept(world) == {11}

    world.user(10, title="other")
    imported(world, space)
    assert kept(world) == {10, 11}


def test_forgotten_it_begins_anew(world: World, space: Unstamped) -> None:
    world.user(10)
    imported(world, space)
    space.strike_off("source1", [guid_of(10)], guid_of(10))

    space.forget()
    assert kept(world) == set()
    space.follow(ATTRIBUTE)
    assert kept(world) == {10}


@pytest.mark.parametrize("page", [1, 2, 500])
def test_they_wait_in_turn_behind_the_last_one(
    world: World, space: Unstamped, monkeypatch: pytest.MonkeyPatch, page: int
) -> None:
    monkeypatch.setattr(unstamped, "PAGE", page)
    for guid in range(10, 15):
        world.user(guid)
    imported(world, space)
    assert waiting(space) == [10, 11, 12, 13, 14]

    space.strike_off("source1", [guid_of(11)], guid_of(12))

    assert waiting(space) == [13, 14, 10, 12]
    assert list(space.waiting("source2")) == []


def test_nobody_waits_who_is_left_out_or_has_another_anchor(world: World, space: Unstamped) -> None:
    world.user(10, adminDescription="User_excluded")
    world.user(11)
    world.pin(11, 99)
    world.user(12)

    imported(world, space)

    assert kept(world) == {10, 11, 12}
    assert waiting(space) == [12]


def test_they_may_be_struck_off_while_they_are_gone_through(
    world: World, space: Unstamped, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unstamped, "PAGE", 2)
    for guid in range(10, 17):
        world.user(guid)
    imported(world, space)

    found = []
    for name in space.waiting("source1"):
        found.append(uuid.UUID(name).int)
        space.strike_off("source1", [name], name)

    assert found == list(range(10, 17))
    assert kept(world) == set()
