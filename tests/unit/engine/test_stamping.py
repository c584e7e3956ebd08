"""Who is stamped, and when it is given up."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from entrasync.api.choices import JoinBy
from entrasync.api.directory_sync import SyncMode
from entrasync.directory.writer import ATTRIBUTE, Stamp, Stamping
from entrasync.engine.inputs import AnchorRules
from entrasync.engine.selection import KindRules, SelectionRules
from entrasync.engine.source import SourceKind
from entrasync.engine.stamping import (
    MOST_REFUSED,
    StampTally,
    follow_unstamped,
    stamp,
    stamp_users,
)
from entrasync.errors import BindRejectedError, TransientError
from tests.unit.engine.world import World, guid_of


class Writer:
    """Answers as it is told, and notes whom it was asked for."""

    def __init__(self, **outcomes: Stamping | Exception) -> None:
        self._outcomes = outcomes
        self.asked: list[str] = []

    def stamp(self, guid: str) -> Stamping:
        self.asked.append(guid)
        found = self._outcomes.get(guid, Stamping(outcome=Stamp.STAMPED))
        if isinstance(found, Exception):
            raise found
        return found


def refused(why: str = "no right") -> Stamping:
    return Stamping(outcome=Stamp.REFUSED, why=why)


def silent(done: int, total: int | None) -> None:
    del done, total


def test_only_those_without_a_value_are_written_to() -> None:
    writer = Writer(c=Stamping(outcome=Stamp.ALREADY), d=Stamping(outcome=Stamp.GONE))
    tally = stamp(writer, [("a", True), ("b", False), ("c", False), ("d", False)], silent)
    assert writer.asked == ["b", "c", "d"]
    assert tally == StampTally(stamped=1, already=2, missing=1)


def test_what_is_no_user_counts_as_missing() -> None:
    tally = stamp(Writer(a=Stamping(outcome=Stamp.NO_USER)), [("a", False)], silent)
    assert tally == StampTally(missing=1)


def test_one_that_is_refused_stops_nobody_else() -> None:
    writer = Writer(a=refused(), b=refused(), d=refused("read only"))
    tally = stamp(writer, [(guid, False) for guid in "abcd"], silent)
    assert tally == StampTally(stamped=1, refused=3, why=("no right", "read only"))


def test_refusals_without_end_are_given_up() -> None:
    users = [(f"u{number}", False) for number in range(2 * MOST_REFUSED)]
    writer = Writer(**{guid: refused() for guid, _ in users})
    tally = stamp(writer, users, silent)
    assert tally == StampTally(refused=MOST_REFUSED, left=True, why=("no right",))
    assert len(writer.asked) == MOST_REFUSED


def test_a_success_among_refusals_goes_on() -> None:
    users = [(f"u{number}", False) for number in range(2 * MOST_REFUSED)]
    half = users[MOST_REFUSED // 2][0]
    writer = Writer(**{guid: refused() for guid, _ in users if guid != half})
    tally = stamp(writer, users, silent)
    assert (tally.stamped, tally.left) == (1, True)
    assert tally.refused == MOST_REFUSED // 2 + MOST_REFUSED


def test_users_with_a_value_between_refusals_are_no_success() -> None:
    users = [(f"u{number}", bool(number % 2)) for number in range(4 * MOST_REFUSED)]
    tally = stamp(Writer(**{guid: refused() for guid, _ in users}), users, silent)
    assert tally.refused == MOST_REFUSED


def test_a_directory_that_is_lost_ends_it() -> None:
    lost = TransientError("ServerUnreachable", "it is gone")
    with pytest.raises(TransientError):
        stamp(Writer(b=lost), [("a", False), ("b", False), ("c", False)], silent)


def test_progress_is_told_now_and_then_and_at_the_end() -> None:
    told: list[tuple[int, int | None]] = []
    users = ((f"u{number}", True) for number in range(250))
    stamp(Writer(), users, lambda done, total: told.append((done, total)))
    assert told == [(100, None), (200, None), (250, None)]


def test_nobody_to_stamp() -> None:
    assert stamp(Writer(), [], silent) == StampTally()


# --- whom a cycle stamps -------------------------------------------------------------------


class Sync:
    """Cycles over a world, whose directories note who is stamped.

    Args:
        world: the state, and what is behind it.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.anchors = AnchorRules(stamp=True)
        self.selection = SelectionRules(resource="DirectorySync/contoso")
        self.mode = SyncMode.APPLY
        self.join_users = JoinBy.NONE
        self.outcomes: dict[int, Stamping | Exception] = {}
        self.opened: list[str] = []
        self.refusal: Exception | None = None
        self.writer = Writer()
        self.patience = 1_000
        """Users after which the run is to end."""

    @contextmanager
    def _open(self, source: str) -> Iterator[Writer]:
        self.opened.append(source)
        if self.refusal is not None:
            raise self.refusal
        yield self.writer

    def run(self) -> tuple[list[int], str]:
        """Evaluates and stamps; tells whom it was about, and what was said."""
        inputs: Any = SimpleNamespace(
            anchors=self.anchors,
            selection=self.selection,
            mode=self.mode,
            sources=[SimpleNamespace(name=f"source{number}") for number in self.world.roots],
        )
        parts: Any = SimpleNamespace(
            store=self.world.store,
            open_writer=self._open,
            progress=lambda *_: None,
            cancelled=lambda: len(self.writer.asked) >= self.patience,
        )
        self.writer = Writer(**{guid_of(guid): each for guid, each in self.outcomes.items()})
        follow_unstamped(inputs, self.world.store)
        self.world.evaluate(selection=self.selection, join_users=self.join_users)
        told = stamp_users(inputs, parts)
        return [uuid.UUID(guid).int for guid in self.writer.asked], told


def stamped(guid: int) -> dict[str, bytes]:
    return {ATTRIBUTE: uuid.UUID(int=guid).bytes_le}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, sources=2)
    yield made
    made.store.close()


@pytest.fixture
def sync(world: World) -> Sync:
    return Sync(world)


def test_users_without_a_value_that_take_part_are_stamped_once(world: World, sync: Sync) -> None:
    world.user(10)
    world.user(11, raw=stamped(99))
    world.user(12, adminDescription="User_excluded")
    world.group(13)
    world.user(14, parent=2, source=2)

    assert sync.run() == (
        [10, 14],
        "1 user of source1 was stamped; 1 user of source2 was stamped",
    )
    assert sync.run() == ([], "")
    assert sync.opened == ["source1", "source2"]


def test_the_value_that_was_written_changes_nothing(world: World, sync: Sync) -> None:
    world.user(10)
    sync.run()
    world.export()
    before = world.parts()
    world.user(10, raw=stamped(10))

    assert sync.run() == ([], "")
    assert world.parts() == before
    assert world.pending() == {}


def test_a_new_user_is_stamped_without_a_look_at_the_others(world: World, sync: Sync) -> None:
    world.user(10)
    sync.run()
    world.user(11)

    assert sync.run() == ([11], "1 user of source1 was stamped")


@pytest.mark.parametrize(
    "outcome", [Stamping(outcome=each) for each in Stamp if each is not Stamp.REFUSED]
)
def test_whoever_is_settled_is_not_asked_again_until_something_changes(
    world: World, sync: Sync, outcome: Stamping
) -> None:
    world.user(10)
    sync.outcomes[10] = outcome

    assert [sync.run()[0], sync.run()[0]] == [[10], []]
    world.user(10, title="other")
    assert sync.run()[0] == [10]


def test_whoever_is_refused_is_told_of_and_tried_again(world: World, sync: Sync) -> None:
    world.user(10)
    world.user(11)
    sync.outcomes[10] = refused("Grant it.")

    assert sync.run() == (
        [10, 11],
        "1 user of source1 was stamped; 1 user of source1 was not stamped: Grant it.",
    )
    assert sync.run()[0] == [10]


def test_those_refused_without_end_do_not_keep_the_others_from_it(world: World, sync: Sync) -> None:
    for guid in range(10, 10 + MOST_REFUSED):
        world.user(guid)
        sync.outcomes[guid] = refused()
    world.user(900)

    first, told = sync.run()
    assert (len(first), 900 in first) == (MOST_REFUSED, False)
    assert "the rest is left for the next run" in told
    assert sync.run()[0][0] == 900


def test_who_has_another_anchor_is_never_stamped(world: World, sync: Sync) -> None:
    world.user(10)
    world.pin(10, 77)
    world.user(20, parent=1, mail="x@contoso.test")
    world.user(21, parent=2, source=2, mail="x@contoso.test")
    sync.join_users = JoinBy.MAIL

    # 21 is the person of 20, whose anchor counts
    assert sync.run()[0] == [20]


def test_whoever_shares_an_anchor_wrongly_is_never_stamped(world: World, sync: Sync) -> None:
    world.user(10)
    world.user(11, raw=stamped(10))

    assert sync.run()[0] == []


def test_who_comes_to_take_part_later_is_stamped_then(world: World, sync: Sync) -> None:
    world.user(10)
    world.user(11)
    sync.selection = SelectionRules(
        kinds={SourceKind.USER: KindRules(group="CN=Pilot")}, resource="DirectorySync/contoso"
    )
    world.group(12, 11)
    world_rules = {"group_guids": {"CN=Pilot": guid_of(12)}}
    evaluate = world.evaluate
    world.evaluate = lambda **more: evaluate(**(more | world_rules))  # type: ignore[method-assign]

    assert sync.run()[0] == [11]
    world.link(12, 10)
    assert sync.run()[0] == [10]


@pytest.mark.parametrize("change", ["preview", "off", "disabled"])
def test_nothing_is_written_unless_all_says_so(world: World, sync: Sync, change: str) -> None:
    world.user(10)
    world.group(11)
    if change == "preview":
        sync.mode = SyncMode.PREVIEW
    elif change == "off":
        sync.anchors = AnchorRules()
    else:
        sync.selection = SelectionRules(
            kinds={SourceKind.USER: KindRules(enabled=False)}, resource="DirectorySync/contoso"
        )

    assert sync.run() == ([], "")
    assert sync.opened == []

    sync.anchors, sync.mode = AnchorRules(stamp=True), SyncMode.APPLY
    sync.selection = SelectionRules(resource="DirectorySync/contoso")
    assert sync.run()[0] == [10]


def test_a_run_that_is_to_end_leaves_the_rest_to_the_next(world: World, sync: Sync) -> None:
    for guid in range(10, 14):
        world.user(guid)
    sync.patience = 2

    assert sync.run() == ([10, 11], "2 users of source1 were stamped")
    sync.patience = 9
    assert sync.run()[0] == [12, 13]


def test_a_directory_that_is_lost_does_not_stop_the_sync(world: World, sync: Sync) -> None:
    world.user(10)
    world.user(11)
    world.user(12)
    sync.outcomes[11] = TransientError("ServerUnreachable", "it is gone")

    assert sync.run() == ([10, 11], "users of source1 could not be stamped: it is gone")
    del sync.outcomes[11]
    # who was stamped before is not asked again
    assert sorted(sync.run()[0]) == [11, 12]


def test_a_directory_that_cannot_be_reached_does_not_stop_the_sync(
    world: World, sync: Sync
) -> None:
    world.user(10)
    sync.refusal = TransientError("ServerUnreachable", "nobody answers")

    assert sync.run() == ([], "users of source1 could not be stamped: nobody answers")


def test_a_refused_account_ends_the_run(world: World, sync: Sync) -> None:
    world.user(10)
    world.user(11, parent=2, source=2)
    sync.refusal = BindRejectedError("BindRejected", "m")

    with pytest.raises(BindRejectedError):
        sync.run()
    assert sync.opened == ["source1"]
