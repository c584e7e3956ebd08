"""How long changes wait to be confirmed: which are measured, from when to when."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from entrasync.api.result import ChangeLatency
from entrasync.engine.changes import PlannedChange
from entrasync.engine.exporting import Export
from entrasync.engine.importing import META_FULL_READ, key_of
from entrasync.engine.latency import LONGEST, META_WAITING, MOST, ExportLatency, note_changes
from entrasync.entra.contracts import ObjectResult, SyncObject, SyncObjectType
from entrasync.errors import TransientError
from entrasync.state.cloud import META_READ_BACK
from entrasync.state.store import Store
from entrasync.state.unsent import has_unsent
from tests.support.planned import Approved, added, guid_of, hold, linked, plan, referring
from tests.support.traffic import traffic

NOW = dt.datetime(2026, 3, 14, 15, 0, tzinfo=dt.UTC)


class Directory:
    """Knows when objects changed: so many seconds ago."""

    def __init__(self, **ago: int) -> None:
        self.ago = {guid_of(name): seconds for name, seconds in ago.items()}
        self.asked: list[str] = []
        self.fails = False

    def change_times(self, guids: Iterable[str]) -> dict[str, dt.datetime]:
        self.asked = list(guids)
        if self.fails:
            raise TransientError("ServerUnreachable", "gone")
        return {
            guid: NOW - dt.timedelta(seconds=self.ago[guid])
            for guid in self.asked
            if guid in self.ago
        }


class Service:
    """Takes everything but for some, and time passes with each batch."""

    def __init__(self) -> None:
        self.now = NOW
        self.refused: set[str] = set()

    def provision(self, objects: Sequence[SyncObject]) -> list[ObjectResult]:
        self.now += dt.timedelta(seconds=10)
        return [
            ObjectResult(
                source_anchor=each.source_anchor,
                success=each.source_anchor not in self.refused,
                code="LargeObject" if each.source_anchor in self.refused else None,
            )
            for each in objects
        ]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as found:
        found.put(META_READ_BACK, "1")
        yield found


def note(store: Store, directory: Directory, *names: str, now: dt.datetime = NOW) -> None:
    for key, value in note_changes(directory, store, "x", now, [*map(guid_of, names)]).items():
        store.put(key, value)


def waiting(store: Store) -> dict[str, int]:
    kept = store.get(META_WAITING)
    return {} if kept is None else json.loads(kept)


def takes_part(store: Store, *anchors: str) -> None:
    """Evaluation found that these are objects of the sources."""
    for anchor in anchors:
        number = store.database.guid_number(uuid.UUID(guid_of(anchor)).bytes)
        store.database.connection.execute(
            "INSERT INTO parts (object, kind, anchor) VALUES (?, 1, ?)",
            (number, store.database.anchor_number(anchor)),
        )


def send(store: Store, service: Service, *changes: PlannedChange) -> ChangeLatency | None:
    export = Export(
        service, store, Approved(set()), now=lambda: service.now, traffic=traffic(max_links=2)
    )
    export.send(plan(store, changes), lambda *_: None)
    return export.latency.finish()


def test_it_is_the_time_from_the_change_to_the_answer(store: Store) -> None:
    note(store, Directory(a=50, b=100), "a", "b")

    told = send(store, Service(), added("a"), added("b"))

    assert told == ChangeLatency.of([60, 110])
    assert waiting(store) == {}


def test_a_first_fill_is_not_measured(store: Store) -> None:
    assert send(store, Service(), added("a"), added("b")) is None


def test_only_what_a_delta_told_is_measured(store: Store) -> None:
    note(store, Directory(a=50), "a")
    told = send(store, Service(), added("a"), added("b"))
    assert told is not None
    assert told.objects == 1


def test_the_last_of_an_objects_changes_counts(store: Store) -> None:
    note(store, Directory(a=0, g=0), "a", "g")
    hold(store, "b")
    hold(store, "c")
    hold(store, "d")
    group = replace(linked("g", "b", "c", "d"), guid=guid_of("g"))

    told = send(
        store, Service(), added("a"), added("g", SyncObjectType.GROUP), referring("a", m="b"), group
    )

    # users, groups, references, then two requests of two links at most
    assert told == ChangeLatency.of([30, 50])


def test_what_is_refused_waits_on_and_counts_with_all_its_time(store: Store) -> None:
    note(store, Directory(a=50), "a")
    takes_part(store, "a")
    service = Service()
    service.refused = {"a"}
    assert send(store, service, added("a")) is None
    assert list(waiting(store)) == [guid_of("a")]

    service.refused.clear()
    service.now += dt.timedelta(hours=2)
    told = send(store, service, added("a"))

    assert told == ChangeLatency.of([7200 + 70])
    assert waiting(store) == {}


def test_what_changed_nothing_in_the_tenant_is_forgotten(store: Store) -> None:
    note(store, Directory(a=50, b=5), "a", "b")
    takes_part(store, "a", "b")
    send(store, Service(), added("a"))
    assert waiting(store) == {}


def test_the_first_change_counts_that_waits(store: Store) -> None:
    note(store, Directory(a=500), "a")
    note(store, Directory(a=5, b=7), "a", "b", now=NOW + dt.timedelta(seconds=1))
    assert waiting(store) == {
        guid_of("a"): int(NOW.timestamp()) - 500,
        guid_of("b"): int(NOW.timestamp()) - 7,
    }


def test_nobody_asks_for_ever(store: Store) -> None:
    note(store, Directory(a=5), "a")
    note(store, Directory(b=-60), "b", now=NOW + LONGEST)
    assert list(waiting(store)) == [guid_of("b")]


def test_what_only_came_into_sight_was_changed_before(store: Store) -> None:
    note(store, Directory(old=LONGEST.days * 86_400 + 1), "old")
    assert waiting(store) == {}
    note(store, Directory(new=60, skewed=660, old=3000), "new", "skewed", "old", now=NOW)
    assert set(waiting(store)) == {guid_of("new")}


def test_after_a_full_read_its_time_counts(store: Store) -> None:
    store.put(key_of(META_FULL_READ, "x"), (NOW - dt.timedelta(hours=1)).isoformat())
    note(store, Directory(new=60, old=5000), "new", "old")
    assert set(waiting(store)) == {guid_of("new")}


def test_a_clock_that_is_behind_gives_nothing_below_zero(store: Store) -> None:
    note(store, Directory(a=-3600), "a")
    assert send(store, Service(), added("a")) == ChangeLatency.of([0])


def test_a_directory_that_does_not_tell_stops_no_run(store: Store) -> None:
    directory = Directory(a=5)
    directory.fails = True
    note(store, directory, "a")
    assert waiting(store) == {}


def test_without_changes_nothing_is_asked(store: Store) -> None:
    directory = Directory()
    note(store, directory)
    assert waiting(store) == {}
    assert directory.asked == []


@pytest.mark.parametrize("number", [MOST, MOST + 1, 5 * MOST + 7])
def test_of_many_some_are_measured_evenly(store: Store, number: int) -> None:
    names = [f"u{each}" for each in range(number)]
    directory = Directory(**dict.fromkeys(names, 1))
    note(store, directory, *names)
    assert MOST // 2 <= len(directory.asked) <= MOST
    assert directory.asked[0] == guid_of(names[0])
    assert len(waiting(store)) == len(directory.asked)


def test_an_object_of_no_source_is_measured_neither(store: Store) -> None:
    note(store, Directory(a=5), "a")
    measured = ExportLatency(store, lambda: NOW)
    measured.confirmed(None)
    measured.confirmed(guid_of("b"))
    assert measured.finish() is None


@pytest.mark.parametrize("table", ["pending", "links", "candidates", "nothing"])
def test_unsent_is_what_is_pending_of_an_object_or_its_members(store: Store, table: str) -> None:
    takes_part(store, "a")
    number = store.database.anchor_number("a")
    execute = store.database.connection.execute
    if table == "pending":
        plan(store, [added("a")])
    elif table == "links":
        execute("INSERT INTO pending_links VALUES (?, 7, 1)", (number,))
    elif table == "candidates":
        execute("INSERT INTO candidates (anchor) VALUES (?)", (number,))
    assert has_unsent(store.database, guid_of("a")) == (table != "nothing")
    assert not has_unsent(store.database, guid_of("b"))


def test_unsent_is_the_deletion_of_what_takes_part_no_longer(store: Store) -> None:
    number = store.database.anchor_number("a")
    guid = uuid.UUID(guid_of("a")).bytes
    store.database.guid_number(guid)
    execute = store.database.connection.execute
    execute("INSERT INTO pins VALUES (?, ?)", (guid, number))
    execute("INSERT INTO candidates (anchor) VALUES (?)", (number,))
    assert has_unsent(store.database, guid_of("a"))
