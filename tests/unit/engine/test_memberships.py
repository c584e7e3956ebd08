"""Memberships on their way: V1 takes the complete list of members each time, V2 changes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from entrasync.engine.changes import PlannedChange
from entrasync.engine.exporting import Export, ExportTally
from entrasync.engine.memberships import Memberships
from entrasync.entra.contracts import ObjectResult, SyncObject, SyncObjectType
from entrasync.state.store import Store
from tests.support.planned import Approved, added, deleted, held, hold, linked, plan
from tests.support.traffic import traffic

NOW = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)


@dataclass
class Service:
    """Takes what it is sent, but for what it refuses by anchor."""

    refusals: dict[str, str] = field(default_factory=dict)
    sent: list[list[SyncObject]] = field(default_factory=list)

    def provision(self, objects: Sequence[SyncObject]) -> list[ObjectResult]:
        self.sent.append(list(objects))
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


@pytest.fixture
def service() -> Service:
    return Service()


def send(
    store: Store, service: Service, changes: Sequence[PlannedChange], *, whole: bool = True
) -> ExportTally:
    export = Export(
        service,
        store,
        Approved(set()),
        now=lambda: NOW,
        traffic=traffic(max_links=3),
        memberships=Memberships(store, whole=whole),
    )
    return export.send(plan(store, changes), lambda *_: None)


def test_a_change_is_sent_as_the_list_and_recorded_as_the_change(
    store: Store, service: Service
) -> None:
    for anchor in "abc":
        hold(store, anchor)
    hold(store, "g", "a", "b")

    tally = send(store, service, [linked("g", "c", removed=["a"])])

    ((message,),) = service.sent
    assert (message.properties, message.links) == ({"member": ("b", "c")}, ())
    assert (tally.links_added, tally.links_removed) == (1, 1)
    assert held(store)["g"].members == {"b", "c"}
    assert store.checkpoints.spent_since(NOW) == {"link-removals": 1}
    (left,) = store.database.connection.execute("SELECT COUNT(*) FROM pending_links").fetchone()
    assert left == 0


def test_the_last_member_leaves_an_empty_list(store: Store, service: Service) -> None:
    hold(store, "a")
    hold(store, "g", "a")

    send(store, service, [linked("g", removed=["a"])])

    assert service.sent[0][0].properties == {"member": ()}


def test_who_is_not_there_is_left_out(store: Store, service: Service) -> None:
    service.refusals = {"new": "InvalidSoftMatch"}
    for anchor in ("a", "gone"):
        hold(store, anchor)
    hold(store, "g", "a", "gone", "device")
    changes = [deleted("gone"), added("fine"), added("new"), linked("g", "fine", "new", "far")]

    tally = send(store, service, changes)

    # but a member of a kind that is not ours stays one
    assert service.sent[-1][0].properties == {"member": ("a", "device", "fine")}
    assert tally.links_added == 1
    assert held(store)["g"].members == {"a", "device", "fine"}


def test_changes_too_leave_out_who_is_not_there(store: Store, service: Service) -> None:
    # a nested group that is frozen and was never created must not hold up its parent
    hold(store, "a")
    hold(store, "g", "a")
    changes = [added("fine"), linked("g", "fine", "frozen", removed=["a"])]

    send(store, service, changes, whole=False)

    assert service.sent[-1][0].properties == {}
    assert [(link.anchor, link.add) for link in service.sent[-1][0].links] == [
        ("a", False),
        ("fine", True),
    ]


def test_a_group_whose_new_members_are_all_missing_is_left_alone(
    store: Store, service: Service
) -> None:
    hold(store, "a")
    hold(store, "g", "a")

    send(store, service, [linked("g", "far")])

    assert service.sent == []


def test_a_list_over_the_link_limit_travels_alone(store: Store, service: Service) -> None:
    for anchor in "abcdefgh":
        hold(store, anchor)
    for group, members in (("g1", "a"), ("g2", "abcdefg"), ("g3", "a")):
        hold(store, group, *members)

    send(store, service, [linked(group, "h") for group in ("g1", "g2", "g3")])

    assert [[each.source_anchor for each in batch] for batch in service.sent] == [
        ["g1"],
        ["g2"],
        ["g3"],
    ]
    assert [len(str(m.properties["member"])) > 20 for (m,) in service.sent] == [
        False,
        True,
        False,
    ]
    assert all(not message.links for (message,) in service.sent)


def test_a_refused_list_counts_its_changes(store: Store, service: Service) -> None:
    for anchor in "ab":
        hold(store, anchor)
    hold(store, "g", "a")
    service.refusals = {"g": "LargeObject"}

    tally = send(store, service, [linked("g", "b")])

    assert (tally.links_failed, tally.error_count) == (1, 1)
    assert held(store)["g"].members == {"a"}


def test_a_list_with_an_object_that_is_new_is_sent_again(store: Store, service: Service) -> None:
    hold(store, "g", "x")
    service.refusals = {"g": "ReferenceNotFound"}

    tally = send(store, service, [added("a"), linked("g", "a")])

    lists = [each.properties for (each,) in service.sent if each.source_anchor == "g"]
    assert lists == [{"member": ("a", "x")}] * 3
    assert tally.links_failed == 1


@pytest.mark.parametrize(("whole", "size", "slices"), [(True, 4, 1), (False, 3, 2)])
def test_what_a_change_costs(store: Store, *, whole: bool, size: int, slices: int) -> None:
    hold(store, "g", "a", "b", "c")
    (change,) = plan(store, [linked("g", "d", "e", removed=["a"])]).changes
    memberships = Memberships(store, whole=whole)

    assert (memberships.size(change), memberships.slices(change, 2)) == (size, slices)


def test_other_changes_are_left_as_they_are(store: Store) -> None:
    (change,) = plan(store, [added("a", SyncObjectType.GROUP, displayName="A")]).changes
    memberships = Memberships(store, whole=True)

    assert memberships.sendable(change) is change
    assert memberships.message(change) is change.message
