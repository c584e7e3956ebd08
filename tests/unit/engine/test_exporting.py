"""Sending a plan: checkpoints, refusals, and what the next run does about them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from entrasync.engine.approvals import Approvals
from entrasync.engine.cloud_space import META_READ_BACK, load_cloud, take_read_back
from entrasync.engine.exporting import Export
from entrasync.engine.plan import Action, Phase, PlannedChange
from entrasync.entra.contracts import (
    LinkChange,
    ObjectResult,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)
from entrasync.errors import TransientError
from entrasync.state.store import Store

NOW = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)
Answer = Callable[[SyncObject], ObjectResult]


class Service:
    """Takes batches, refuses by anchor, and may break down."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.batches: list[list[str]] = []
        self.pending: list[list[str]] = []
        self.refusals: dict[str, str] = {}
        self.breaks_at: int | None = None

    def provision(self, objects: Sequence[SyncObject]) -> list[ObjectResult]:
        self.pending.append(self.store.pending())
        if len(self.batches) == self.breaks_at:
            raise TransientError("ServerUnreachable", "gone")
        self.batches.append([each.source_anchor for each in objects])
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
        take_read_back(found, [])
        yield found


@pytest.fixture
def service(store: Store) -> Service:
    return Service(store)


def added(anchor: str, **properties: PropertyValue) -> PlannedChange:
    message = SyncObject(
        object_type=SyncObjectType.USER,
        operation=SyncOperation.SET,
        source_anchor=anchor,
        properties=properties,
    )
    return PlannedChange(phase=Phase.USERS, action=Action.ADD, message=message, guid=f"g-{anchor}")


def linked(anchor: str, *members: str) -> PlannedChange:
    message = SyncObject(
        object_type=SyncObjectType.GROUP,
        operation=SyncOperation.SET,
        source_anchor=anchor,
        links=tuple(LinkChange(anchor=member, add=True) for member in members),
    )
    return PlannedChange(phase=Phase.LINKS, action=Action.LINKS, message=message, guid=None)


def deleted(anchor: str) -> PlannedChange:
    message = SyncObject(
        object_type=SyncObjectType.USER, operation=SyncOperation.DELETE, source_anchor=anchor
    )
    return PlannedChange(phase=Phase.DELETIONS, action=Action.DELETE, message=message, guid=None)


def export(
    store: Store, service: Service, *, cancelled: Callable[[], bool] = lambda: False
) -> Export:
    approvals = Approvals(store, NOW, dt.timedelta(hours=24))
    return Export(service, store, approvals, now=lambda: NOW, max_links=100, cancelled=cancelled)


def test_each_batch_is_noted_before_it_is_sent(store: Store, service: Service) -> None:
    export(store, service).send([added("a"), added("b"), linked("g", "a")], lambda *_: None)

    assert service.pending == service.batches == [["a", "b"], ["g"]]
    assert store.pending() == []
    assert {anchor for anchor, each in load_cloud(store).items() if each.owned} == {"a", "b"}


def test_a_call_that_broke_leaves_its_note(store: Store, service: Service) -> None:
    service.breaks_at = 1

    with pytest.raises(TransientError):
        export(store, service).send([added("a"), linked("g", "a")], lambda *_: None)

    assert store.pending() == ["g"]
    assert set(load_cloud(store)) == {"a"}


def test_who_was_refused_holds_up_nobody(store: Store, service: Service) -> None:
    service.refusals = {"a": "AttributeValueMustBeUnique"}
    found = export(store, service)

    tally = found.send([added("a"), added("b"), linked("g", "a", "b")], lambda *_: None)

    assert service.batches == [["a", "b"], ["g"]]
    assert [link.anchor for link in tally.done[-1].message.links] == ["b"]
    (error,) = tally.errors
    assert (error.anchor, error.code) == ("a", "AttributeValueMustBeUnique")
    assert "another value" in error.message
    assert store.get(META_READ_BACK) is not None


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        (deleted("a"), "114", "DeleteNotValid"),
        (linked("a", "b"), "ReferenceNotFound", "ReferenceNotFound"),
    ],
)
def test_a_tenant_that_holds_something_else_is_read_back_by_the_next_run(
    store: Store, service: Service, change: PlannedChange, code: str, told: str
) -> None:
    service.refusals = {"a": code}

    tally = export(store, service).send([change], lambda *_: None)

    assert [error.code for error in tally.errors] == [told]
    assert store.get(META_READ_BACK) is None


def test_it_ends_between_batches_when_told(store: Store, service: Service) -> None:
    found = export(store, service, cancelled=lambda: bool(service.batches))

    tally = found.send([added("a"), linked("g", "a")], lambda *_: None)

    assert tally.cancelled
    assert service.batches == [["a"]]
    assert store.pending() == []
