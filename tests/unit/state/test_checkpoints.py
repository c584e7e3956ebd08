"""Notes of exports: what was sent, taken and refused, and what counts against the brakes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from entrasync.engine.changes import Phase
from entrasync.state.checkpoints import (
    META_PACING,
    Checkpoints,
    Failure,
    Taken,
)
from entrasync.state.schema import Part
from entrasync.state.store import Store
from tests.support.planned import added, deleted, hold, linked, plan, referring, updated

NOW = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as found:
        yield found


@pytest.fixture
def notes(store: Store) -> Checkpoints:
    return store.checkpoints


def failure(anchor: str, part: Part = Part.OBJECT) -> Failure:
    return Failure(
        anchor=anchor,
        part=part,
        code="LargeObject",
        message="too large",
        attempts=1,
        first_time=NOW,
        next_try=NOW + HOUR,
        wanted=b"wish",
    )


class TestCalls:
    def test_a_call_is_noted_until_its_results_are_known(self, store: Store) -> None:
        notes = store.checkpoints
        assert notes.pending() == []

        notes.record_intent(["g", "a"], {META_PACING: "spent"})

        assert notes.pending() == ["a", "g"]
        assert store.get(META_PACING) == "spent"
        with notes.results():
            store.put("beside", "1")
        assert notes.pending() == []
        assert store.get("beside") == "1"

    def test_results_that_break_off_leave_the_note_and_nothing_else(self, store: Store) -> None:
        def write_half() -> None:
            with store.checkpoints.results():
                hold(store, "a")
                store.checkpoints.spend(NOW, {"x": 1})
                raise OSError("killed")

        store.checkpoints.record_intent(["a"])
        with pytest.raises(OSError, match="killed"):
            write_half()

        assert store.checkpoints.pending() == ["a"]
        assert store.checkpoints.spent_since(NOW) == {}
        assert not store.cloud.holds(store.database.anchor_number("a"))

    def test_a_call_is_forgotten_once_the_tenant_was_read(self, notes: Checkpoints) -> None:
        notes.record_intent(["a"])
        notes.forget_intent()
        assert notes.pending() == []


class TestPlanned:
    def test_sizes_are_those_of_what_is_not_held(self, store: Store) -> None:
        plan(store, [added("a"), added("b"), linked("g", "a", "b"), linked("h", "a")])
        store.database.connection.execute(
            "UPDATE plan SET held = 'x' WHERE anchor = ?", (store.database.anchor_number("b"),)
        )

        assert store.checkpoints.sizes() == {(Phase.USERS, 0): (1, 0), (Phase.LINKS, 0): (2, 3)}
        for anchor, planned in (("a", True), ("b", False), ("g", False)):
            number = store.database.anchor_number(anchor)
            assert store.checkpoints.is_planned(number, Part.OBJECT) is planned

    def test_a_digest_names_exactly_the_changes_of_a_phase(self, store: Store) -> None:
        def digest(*changes: str) -> str:
            plan(store, [added(each) for each in changes])
            return store.checkpoints.phase_digest(Phase.USERS)

        assert digest("a", "b") == digest("b", "a") != digest("a")

    def test_what_was_taken_is_pending_no_longer(self, store: Store) -> None:
        a, b = plan(store, [added("a", mail="x"), updated("b", mail="y")]).changes
        notes = store.checkpoints
        assert not notes.was_taken(a.number, Part.OBJECT)

        notes.strike(a.number, Part.OBJECT, {"mail": "x"}, whole=True)
        notes.strike(b.number, Part.OBJECT, {"mail": "y"}, whole=True)

        assert notes.was_taken(a.number, Part.OBJECT)
        assert notes.was_taken(a.number, Part.OBJECT, "add")
        assert not notes.was_taken(b.number, Part.OBJECT, "add")
        assert not notes.was_taken(b.number, Part.REFERENCES)

    def test_it_is_told_which_of_several_were_taken(self, store: Store) -> None:
        changes = plan(store, [added(each, mail=each) for each in "abc"]).changes
        numbers = {each.message.source_anchor: each.number for each in changes}
        notes = store.checkpoints
        for taken in "ac":
            notes.strike(numbers[taken], Part.OBJECT, {"mail": taken}, whole=True)

        assert notes.taken_objects(numbers.values()) == {numbers["a"], numbers["c"]}
        assert notes.taken_objects([numbers["b"], max(numbers.values()) + 1]) == set()

    @pytest.mark.parametrize("whole", [True, False])
    def test_what_is_left_of_a_change_stays_pending(self, store: Store, *, whole: bool) -> None:
        change = replace(updated("a", mail="x", title="t"), previous={"mail": "o", "title": "p"})
        (known,) = plan(store, [change]).changes

        store.checkpoints.strike(known.number, Part.OBJECT, {"mail": "x"}, whole=whole)

        rows = store.database.connection.execute("SELECT properties, previous FROM pending")
        assert rows.fetchall() == [('{"title":"t"}', '{"title":"p"}')]

    def test_several_changes_are_struck_off_as_one_by_one(self, store: Store) -> None:
        changes = [
            added("a", mail="x"),
            updated("b", mail="y", title="t"),
            referring("c", managedBy=("a", "b")),
            updated("d", mail="z"),
        ]
        a, b, c, d = plan(store, changes).changes

        store.checkpoints.strike_all(
            [
                Taken(a.number, a.part, {"mail": "x"}, whole=True),
                Taken(b.number, b.part, {"mail": "y"}, whole=True),
                Taken(c.number, c.part, {"managedBy": ("a",)}, whole=False),
                Taken(d.number, d.part, {"mail": "z"}, whole=False),
            ]
        )

        rows = store.database.connection.execute("SELECT anchor, properties FROM pending")
        assert dict(rows) == {
            b.number: '{"title":"t"}',
            c.number: '{"managedBy":["a","b"]}',
            d.number: "{}",
        }

    def test_a_list_that_was_cut_stays_pending(self, store: Store) -> None:
        (known,) = plan(store, [referring("a", managedBy=("b", "c"))]).changes

        store.checkpoints.strike(known.number, Part.REFERENCES, {"managedBy": ("b",)}, whole=False)

        rows = store.database.connection.execute("SELECT properties FROM pending")
        assert rows.fetchall() == [('{"managedBy":["b","c"]}',)]

    def test_what_is_left_of_an_addition_is_an_update(self, store: Store) -> None:
        (known,) = plan(store, [added("a", mail="x", title="t")]).changes

        store.checkpoints.strike(known.number, Part.OBJECT, {"mail": "x"}, whole=True)

        rows = store.database.connection.execute("SELECT action, properties FROM pending")
        assert rows.fetchall() == [("update", '{"title":"t"}')]

    def test_links_are_struck_off_as_they_went(self, store: Store) -> None:
        (known,) = plan(store, [linked("g", "a", "b", removed=["c"])]).changes
        number = store.database.anchor_number

        store.checkpoints.strike_links(
            known.number, [(number("a"), True), (number("b"), False), (number("c"), False)]
        )

        rows = store.database.connection.execute("SELECT member FROM pending_links")
        assert rows.fetchall() == [(number("b"),)]

    def test_members_that_nobody_holds_are_known(self, store: Store) -> None:
        hold(store, "a")
        (known,) = plan(store, [linked("g", "a", "far", removed=["gone"])]).changes

        assert store.checkpoints.absent_members(known.number) == {"far"}


def test_many_numbers_have_names(store: Store) -> None:
    names = [f"u{number}" for number in range(1_234)]

    numbers = store.database.anchor_numbers(names).values()

    assert sorted(store.checkpoints.names(numbers)) == sorted(names)


class TestFailures:
    def test_a_failure_is_listed_until_it_is_forgotten(self, store: Store) -> None:
        notes, number = store.checkpoints, store.database.anchor_number("a")
        assert notes.failure(number, Part.OBJECT) is None

        notes.record_failure(failure("a"))
        notes.record_failure(failure("a", Part.LINKS))
        notes.record_failure(replace(failure("a"), attempts=2, code="NewCode"))

        assert notes.failure(number, Part.OBJECT) == replace(
            failure("a"), attempts=2, code="NewCode"
        )
        assert notes.failure_counts() == {"NewCode": 1, "LargeObject": 1}
        notes.forget_failure(number, Part.OBJECT)
        assert list(notes.failures()) == [failure("a", Part.LINKS)]

    def test_many_come_page_by_page(self, store: Store) -> None:
        known = [failure(f"u{number:04}") for number in range(2_500)]
        with store.transaction():
            for each in known:
                store.checkpoints.record_failure(each)

        assert list(store.checkpoints.failures()) == known

    def test_what_is_planned_no_longer_is_forgotten(self, store: Store) -> None:
        for anchor in ("a", "b"):
            store.checkpoints.record_failure(failure(anchor))
        plan(store, [added("a")])

        assert store.checkpoints.forget_unplanned_failures() == 1
        assert [each.anchor for each in store.checkpoints.failures()] == ["a"]

    @pytest.mark.parametrize(
        ("after", "wish", "phase", "count"),
        [
            (HOUR - dt.timedelta(seconds=1), None, Phase.RELEASES, 1),
            (HOUR, None, Phase.RELEASES, 0),
            (dt.timedelta(), b"another", Phase.RELEASES, 0),
            (dt.timedelta(), None, Phase.USERS, 0),
        ],
    )
    def test_the_same_is_held_back_until_it_is_due(
        self, store: Store, after: dt.timedelta, wish: bytes | None, phase: Phase, count: int
    ) -> None:
        (change, _) = plan(store, [added("a"), added("b")]).changes
        store.checkpoints.record_failure(
            replace(failure("a"), wanted=change.fingerprint if wish is None else wish)
        )

        assert store.checkpoints.hold_refused(NOW + after, "Waits", phase) == count
        rows = store.database.connection.execute("SELECT held FROM plan ORDER BY position")
        assert rows.fetchall() == [("Waits" if count else None,), (None,)]


def test_what_was_spent_is_summed_within_the_window(notes: Checkpoints) -> None:
    notes.spend(NOW - 2 * HOUR, {"x": 1})
    notes.spend(NOW - HOUR, {"x": 2, "deletions:User": 0})
    # the same moment, told in another place
    notes.spend(NOW.astimezone(dt.timezone(HOUR)), {"x": 4})

    assert notes.spent_since(NOW - HOUR) == {"x": 6}
    assert notes.spent_since(NOW) == {"x": 4}


def test_a_deleted_object_has_no_failures(store: Store) -> None:
    (known,) = plan(store, [deleted("a")]).changes
    store.checkpoints.record_failure(failure("a"))

    store.cloud.record_deleted(known.number)

    assert list(store.checkpoints.failures()) == []
