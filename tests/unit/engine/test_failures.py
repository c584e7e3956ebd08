"""What the service refused: how long it is listed, and when it is tried again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import pytest

from entrasync.engine.changes import Phase, PlannedChange
from entrasync.engine.exporting import Export
from entrasync.engine.failures import distance, hold_back
from entrasync.entra.contracts import ObjectResult, SyncObject
from entrasync.state.store import Store
from tests.support.planned import Approved, Planned, added, plan
from tests.support.traffic import traffic

NOW = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)


@dataclass
class Service:
    """Refuses by anchor."""

    refusals: dict[str, str] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)

    def provision(self, objects: Sequence[SyncObject]) -> list[ObjectResult]:
        self.sent += [each.source_anchor for each in objects]
        return [
            ObjectResult(
                source_anchor=each.source_anchor,
                success=each.source_anchor not in self.refusals,
                code=self.refusals.get(each.source_anchor),
            )
            for each in objects
        ]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as found:
        yield found


def run(
    store: Store,
    service: Service,
    now: dt.datetime,
    *changes: PlannedChange,
    everything: bool = False,
) -> list[str]:
    """One run: what it sent."""
    service.sent.clear()
    planned = plan(store, changes)
    hold_back(store, now, everything=everything)
    rows = store.database.connection.execute("SELECT anchor FROM plan WHERE held IS NULL")
    free = {number for (number,) in rows}
    export = Export(service, store, Approved(set()), now=lambda: now, traffic=traffic())
    export.send(
        Planned(tuple(each for each in planned.changes if each.number in free)), lambda *_: None
    )
    return list(service.sent)


def known(store: Store) -> list[tuple[str, str, int]]:
    return [(each.anchor, each.code, each.attempts) for each in store.checkpoints.failures()]


@pytest.mark.parametrize(
    ("code", "minutes"),
    [
        ("LargeObject", [0, 30, 60, 120, 240, 480, 960, 1440, 1440]),
        ("AttributeValueMustBeUnique", [0, 30, 60, 60, 60]),
        ("QuarantinedAttributeValueMustBeUnique", [0, 30, 60, 60, 60]),
    ],
)
def test_distances_grow(code: str, minutes: list[int]) -> None:
    assert [
        distance(code, attempts) / dt.timedelta(minutes=1)
        for attempts in range(1, len(minutes) + 1)
    ] == minutes
    assert distance(code, 10_000) <= dt.timedelta(hours=24)


def test_a_refused_object_is_tried_less_and_less_often(store: Store) -> None:
    service = Service({"a": "LargeObject"})
    tried = [
        minutes
        for minutes in (0, 10, 20, 30, 40, 90, 100, 210, 220, 450, 460, 930, 940, 1_890, 1_900)
        if run(store, service, NOW + dt.timedelta(minutes=minutes), added("a", mail="x"))
    ]

    assert tried == [0, 10, 40, 100, 220, 460, 940, 1_900]
    (failure,) = store.checkpoints.failures()
    assert (failure.attempts, failure.first_time) == (8, NOW)


def test_others_are_tried_all_the_same_and_it_is_listed_until_it_is_taken(store: Store) -> None:
    service = Service({"a": "LargeObject"})
    for _ in range(2):
        run(store, service, NOW, added("a"))

    assert run(store, service, NOW, added("a"), added("b")) == ["b"]
    assert known(store) == [("a", "LargeObject", 2)]

    service.refusals = {}
    assert run(store, service, NOW + dt.timedelta(minutes=30), added("a")) == ["a"]
    assert known(store) == []


def test_something_else_is_tried_at_once_and_begins_anew(store: Store) -> None:
    service = Service({"a": "LargeObject"})
    for _ in range(3):
        run(store, service, NOW, added("a", mail="x"))
    assert service.sent == []

    assert run(store, service, NOW, added("a", mail="y")) == ["a"]
    assert known(store) == [("a", "LargeObject", 1)]


def test_who_asks_for_it_gets_everything_tried(store: Store) -> None:
    service = Service({"a": "LargeObject"})
    for _ in range(2):
        run(store, service, NOW, added("a"))

    assert run(store, service, NOW, added("a"), everything=True) == ["a"]
    assert known(store) == [("a", "LargeObject", 3)]


def test_what_is_wanted_no_longer_is_listed_no_longer(store: Store) -> None:
    run(store, Service({"a": "LargeObject"}), NOW, added("a"))

    run(store, Service(), NOW, added("b"))

    assert known(store) == []


def test_what_frees_values_for_others_is_tried_with_every_run(store: Store) -> None:
    service = Service({"a": "LargeObject"})
    change = PlannedChange(
        phase=Phase.RELEASES, action=added("a").action, message=added("a").message, guid=None
    )

    assert [run(store, service, NOW, change) for _ in range(4)] == [["a"]] * 4


def test_a_refusal_in_an_open_transaction_ends_with_it(store: Store) -> None:
    class Killed(BaseException):
        """Nobody catches it."""

    service = Service({"a": "LargeObject"})
    approved = Approved(set())
    export = Export(service, store, approved, now=lambda: NOW, traffic=traffic())

    with (
        patch.object(store.checkpoints, "spend", side_effect=Killed),
        pytest.raises(Killed),
    ):
        export.send(plan(store, [added("a")]), lambda *_: None)

    assert known(store) == []
    assert store.checkpoints.pending() == ["a"]
