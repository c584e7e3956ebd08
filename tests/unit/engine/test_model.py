"""Random directories, random changes, random faults, against a simple model of what should be.

After every sequence people mend what only they can, the sync has some quiet cycles, and the tenant
must equal the model. Whenever something is deleted, on the way, it must be something that nobody
keeps at that moment, and no more than the brakes allow.
"""

from __future__ import annotations

import logging
import os
import tempfile
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrasync.api.choices import OnRemoval
from tests.support.model_scene import Config, Cycle, Op
from tests.support.model_world import World

EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "40"))
NUMBERS = st.integers(0, 30)
IN_DIRECTORY = (
    "create", "unit", "delete", "restore", "rename", "rename_unit", "move", "move_unit", "title",
    "display", "enabled", "exclude", "upn", "swap", "rotate", "addresses", "mail", "member",
    "member", "member", "manager", "managed_by", "delegates", "anchor", "hide", "migrate",
)  # fmt: skip
ELSEWHERE = ("configure", "spoil", "spoil_member", "remove", "stranger", "lose")

ops: st.SearchStrategy[Op] = st.tuples(
    st.sampled_from((*IN_DIRECTORY, *ELSEWHERE)), NUMBERS, NUMBERS
)
directory_ops: st.SearchStrategy[Op] = st.tuples(st.sampled_from(IN_DIRECTORY), NUMBERS, NUMBERS)


def none_or(numbers: st.SearchStrategy[int]) -> st.SearchStrategy[int]:
    return st.just(-1) | numbers


cycles = st.builds(
    Cycle,
    call=none_or(st.integers(0, 8)),
    how=st.sampled_from(("before", "after", "half", "killed before", "killed after")),
    refused=st.just(()) | st.lists(NUMBERS, max_size=2).map(tuple),
    poison=none_or(NUMBERS),
    read_back=none_or(st.integers(0, 4)),
    restart=st.booleans(),
    directory=none_or(st.integers(0, 12)),
    rejects=st.booleans(),
    transaction=none_or(st.integers(0, 40)),
    committed=st.booleans(),
    midway=st.just(()) | st.lists(directory_ops, max_size=2).map(tuple),
    full=st.booleans(),
)
calm = st.just(Cycle())
configs = st.builds(
    Config,
    sources=st.integers(1, 2),
    users=st.integers(0, 3),
    groups=st.integers(0, 3),
    contacts=st.integers(0, 2),
    on_removal=st.sampled_from((OnRemoval.DELETE, *OnRemoval)),
    tight=st.booleans(),
    holds=st.booleans(),
    batch=st.integers(1, 4),
    narrow=st.booleans(),
)
steps = st.lists(ops | ops | ops | calm | cycles, max_size=25)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """Thousands of runs have nothing to say."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


@given(config=configs, steps=steps)
@settings(
    max_examples=EXAMPLES,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_the_tenant_becomes_as_the_model_says(config: Config, steps: list[Op | Cycle]) -> None:
    run(config, steps)


def run(config: Config, steps: list[Op | Cycle]) -> None:
    with tempfile.TemporaryDirectory(dir=_quick_place()) as folder:
        world = World(Path(folder) / "state", config)
        for step in steps:
            if isinstance(step, Cycle):
                world.cycle(step)
            else:
                world.do(step)
        world.settle()
        world.check()


def _quick_place() -> str | None:
    memory = Path("/dev/shm")  # noqa: S108  - a folder of its own in there
    return str(memory) if os.access(memory, os.W_OK) else None


@pytest.mark.parametrize("sources", [1, 2])
def test_a_calm_beginning(sources: int) -> None:
    run(Config(sources=sources), [Cycle()])


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("policy", list(OnRemoval))
def test_who_moves_to_another_domain_and_back(
    tmp_path: Path, policy: OnRemoval, *, inside: bool
) -> None:
    world = World(tmp_path, Config(sources=2, on_removal=policy))
    one, other = world.directories
    mover = next(each for each in one.alive("user") if each.guid not in world.keepers)
    world.cycle(Cycle())
    anchor = world.anchor(mover)
    assert anchor in world.tenant.alive()

    one.migrate(mover.guid, other, world.roots[1] if inside else world.excluded[1])
    world.cycle(Cycle())

    held = world.tenant.alive().get(anchor)
    if policy is OnRemoval.DELETE and not inside:
        assert held is None
    else:
        assert held is not None
        enabled = inside or policy is not OnRemoval.DISABLE
        assert held.properties["accountenabled"] is enabled
    other.migrate(mover.guid, one, world.roots[0])
    world.cycle(Cycle())
    assert world.tenant.alive()[anchor].properties["accountenabled"] is True
    world.settle()
    world.check()


def test_groups_in_one_another_even_in_a_circle(tmp_path: Path) -> None:
    world = World(tmp_path, Config(groups=3))
    (directory,) = world.directories
    first, second, third = (each.guid for each in directory.alive("group"))
    circle = ((first, second), (second, third), (third, first), (first, first))
    for group, member in circle:
        directory.link(group, member)
    world.cycle(Cycle())

    def held() -> set[tuple[str, str]]:
        names = {world.anchor(each): each.guid for each in directory.alive("group")}
        alive = world.tenant.alive()
        return {
            (names[anchor], names[member])
            for anchor in names.keys() & alive.keys()
            for member in world.tenant.members(alive[anchor])
        }

    assert held() == set(circle)
    directory.unlink(second, third)
    directory.delete(third)
    world.cycle(Cycle())
    assert held() == {(first, second), (first, first)}
    world.settle()
    world.check()
