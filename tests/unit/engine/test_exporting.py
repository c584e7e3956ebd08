"""Sending a plan: checkpoints, refusals, and what the next run does about them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from entrasync.engine.approvals import Approvals
from entrasync.engine.cloud_space import META_READ_BACK, load_cloud, take_read_back
from entrasync.engine.exporting import Export, Traffic, spent_since
from entrasync.engine.memberships import Memberships
from entrasync.engine.plan import Action, CloudObject, Phase, PlannedChange
from entrasync.entra.contracts import (
    LinkChange,
    ObjectResult,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)
from entrasync.entra.faults import RequestRefusedError
from entrasync.entra.infoset import CodecError
from entrasync.entra.refusals import UnknownFaultError
from entrasync.errors import TransientError
from entrasync.state.store import META_PACING, Store
from tests.support.traffic import Passing, traffic

NOW = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)
Answer = Callable[[SyncObject], ObjectResult]


class Service:
    """Takes batches, refuses by anchor, and may break down."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.batches: list[list[str]] = []
        self.refused: list[list[str]] = []
        self.pending: list[list[str]] = []
        self.sent: list[list[SyncObject]] = []
        self.refusals: dict[str, str] = {}
        self.words: dict[str, str] = {}
        self.poison: set[str] = set()
        self.most = 500
        self.fault: type[TransientError] = RequestRefusedError
        self.breaks_at: int | None = None

    def provision(self, objects: Sequence[SyncObject]) -> list[ObjectResult]:
        self.pending.append(self.store.pending())
        if len(self.batches) == self.breaks_at:
            raise TransientError("ServerUnreachable", "gone")
        anchors = [each.source_anchor for each in objects]
        if len(objects) > self.most or self.poison & set(anchors):
            self.refused.append(anchors)
            raise self.fault("RunFailed", "the sync service answered: it is odd")
        self.batches.append(anchors)
        self.sent.append(list(objects))
        return [
            ObjectResult(
                source_anchor=each.source_anchor,
                success=each.source_anchor not in self.refusals,
                code=self.refusals.get(each.source_anchor),
                description=self.words.get(each.source_anchor),
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


def linked(anchor: str, *members: str, removed: Sequence[str] = ()) -> PlannedChange:
    message = SyncObject(
        object_type=SyncObjectType.GROUP,
        operation=SyncOperation.SET,
        source_anchor=anchor,
        links=tuple(LinkChange(anchor=member, add=False) for member in removed)
        + tuple(LinkChange(anchor=member, add=True) for member in members),
    )
    return PlannedChange(phase=Phase.LINKS, action=Action.LINKS, message=message, guid=None)


def deleted(anchor: str) -> PlannedChange:
    message = SyncObject(
        object_type=SyncObjectType.USER, operation=SyncOperation.DELETE, source_anchor=anchor
    )
    return PlannedChange(phase=Phase.DELETIONS, action=Action.DELETE, message=message, guid=None)


def export(
    store: Store,
    service: Service,
    *,
    cancelled: Callable[[], bool] = lambda: False,
    flow: Traffic | None = None,
    memberships: Memberships | None = None,
) -> Export:
    approvals = Approvals(store, NOW, dt.timedelta(hours=24))
    flow = flow or traffic(max_links=100, cancelled=cancelled)
    return Export(service, store, approvals, now=lambda: NOW, traffic=flow, memberships=memberships)


def nothing(*_: object) -> None:
    """Nobody is told."""


def test_each_batch_is_noted_before_it_is_sent(store: Store, service: Service) -> None:
    export(store, service).send([added("a"), added("b"), linked("g", "a")], nothing)

    assert service.pending == service.batches == [["a", "b"], ["g"]]
    assert store.pending() == []
    assert {anchor for anchor, each in load_cloud(store).items() if each.owned} == {"a", "b"}


def test_a_call_that_broke_leaves_its_note(store: Store, service: Service) -> None:
    service.breaks_at = 1

    with pytest.raises(TransientError):
        export(store, service).send([added("a"), linked("g", "a")], nothing)

    assert store.pending() == ["g"]
    assert set(load_cloud(store)) == {"a"}


def test_who_was_refused_holds_up_nobody(store: Store, service: Service) -> None:
    service.refusals = {"a": "AttributeValueMustBeUnique"}
    found = export(store, service)

    tally = found.send([added("a"), added("b"), linked("g", "a", "b")], nothing)

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

    tally = export(store, service).send([change], nothing)

    assert [error.code for error in tally.errors] == [told]
    assert store.get(META_READ_BACK) is None


def test_what_a_request_did_that_ended_in_an_unknown_fault_is_read_back(
    store: Store, service: Service
) -> None:
    # its parts are taken, but a run killed between them has no note of the whole any more
    service.fault, service.most = UnknownFaultError, 2

    found = export(store, service).send([added(x) for x in "abc"], nothing)

    assert (found.error_count, len(found.done)) == (0, 3)
    assert store.get(META_READ_BACK) is None


def test_it_ends_between_batches_when_told(store: Store, service: Service) -> None:
    found = export(store, service, cancelled=lambda: bool(service.batches))

    tally = found.send([added("a"), linked("g", "a")], nothing)

    assert tally.cancelled
    assert service.batches == [["a"]]
    assert store.pending() == []


class TestRefusedRequests:
    """The service refuses a request as a whole for one object in it."""

    @pytest.mark.parametrize("fault", [RequestRefusedError, UnknownFaultError, CodecError])
    def test_the_one_to_blame_is_found_and_the_rest_goes_on(
        self, store: Store, service: Service, fault: type[TransientError]
    ) -> None:
        service.poison, service.fault = {"u05"}, fault
        if fault is CodecError:
            service.fault = lambda _, told: CodecError(told)  # type: ignore[assignment]  # one fewer
        users = [added(f"u{number:02}") for number in range(16)]
        found = export(store, service)

        tally = found.send([*users, linked("g", "u04", "u05")], nothing)

        assert [len(each) for each in service.refused] == [16, 8, 4, 2, 1]
        assert [len(each) for each in service.batches] == [4, 1, 2, 8, 1]
        (error,) = tally.errors
        assert (error.anchor, error.code) == ("u05", "RequestRefused")
        assert "the sync service answered: it is odd." in error.message
        assert "leave it out of scope" in error.message
        assert tally.failed == {SyncObjectType.USER: 1}
        assert tally.errors_by_code == {"RequestRefused": 1}
        assert set(load_cloud(store)) == {f"u{n:02}" for n in range(16)} - {"u05"}
        # nobody refers to who is not there
        assert [link.anchor for link in tally.done[-1].message.links] == ["u04"]
        assert store.pending() == []
        # a poisonous object says nothing of the size
        assert found._traffic.size.objects == 100
        assert (store.get(META_READ_BACK) is None) is (fault is UnknownFaultError)

    def test_requests_that_are_too_large_become_smaller_for_good(
        self, store: Store, service: Service
    ) -> None:
        service.most = 30

        tally = export(store, service).send([added(f"u{n:03}") for n in range(200)], nothing)

        assert tally.error_count == 0
        assert len(tally.done) == 200
        # sizes that were refused are not tried again
        assert sorted(map(len, service.refused)) == [37, 50, 50, 100]
        assert max(map(len, service.batches)) <= 30
        assert store.pending() == []

    def test_a_service_that_refuses_everything_ends_the_run(
        self, store: Store, service: Service
    ) -> None:
        users = [added(f"u{number:03}") for number in range(300)]
        service.poison = {each.message.source_anchor for each in users}
        found = export(store, service)

        with pytest.raises(RequestRefusedError):
            found.send(users, nothing)

        assert found.tally.error_count == 5
        assert len(service.refused) < 30

    def test_many_to_blame_among_good_ones_end_nothing(
        self, store: Store, service: Service
    ) -> None:
        service.poison = {f"u{number:03}" for number in range(0, 60, 3)}

        tally = export(store, service).send([added(f"u{n:03}") for n in range(60)], nothing)

        assert (tally.error_count, len(tally.done)) == (20, 40)

    def test_cancelling_ends_the_search(self, store: Store, service: Service) -> None:
        service.poison = {"u0"}
        found = export(store, service, cancelled=lambda: bool(service.batches))

        tally = found.send([added(f"u{number}") for number in range(8)], nothing)

        assert tally.cancelled
        assert service.batches == [["u1"]]


class TestTelling:
    def test_a_success_with_a_description_is_a_warning(
        self, store: Store, service: Service
    ) -> None:
        service.words = {"a": "It was updated, but with some modified properties."}

        with capture_logs() as logs:
            tally = export(store, service).send([added("a"), added("b")], nothing)

        (warning,) = tally.warnings
        assert (warning.anchor, warning.code) == ("a", "QuarantinedAttributeValueMustBeUnique")
        assert (tally.warning_count, tally.error_count, len(tally.done)) == (1, 0, 2)
        (line,) = [each for each in logs if each["event"] == "object_taken_with_reservation"]
        assert (line["log_level"], line["anchor"], line["code"]) == (
            "warning",
            "a",
            "QuarantinedAttributeValueMustBeUnique",
        )

    def test_each_refusal_is_a_line_of_the_log(self, store: Store, service: Service) -> None:
        service.refusals = {"a": "LargeObject", "b": "LargeObject", "c": "InvalidSoftMatch"}

        with capture_logs() as logs:
            tally = export(store, service).send([added(x) for x in "abcd"], nothing)

        told = [(e["anchor"], e["code"]) for e in logs if e["event"] == "object_refused"]
        assert told == [("a", "LargeObject"), ("b", "LargeObject"), ("c", "InvalidSoftMatch")]
        assert tally.errors_by_code == {"LargeObject": 2, "InvalidSoftMatch": 1}
        assert len(tally.errors) == 3


class TestPacing:
    def test_it_waits_for_the_quota_and_remembers_what_it_spent(
        self, store: Store, service: Service
    ) -> None:
        clock = Passing()
        waits: list[float] = []
        flow = traffic(clock, quota=70, waiting=waits.append)

        tally = export(store, service, flow=flow).send(
            [added(f"u{number:03}") for number in range(150)], nothing
        )

        assert (len(tally.done), [len(each) for each in service.batches]) == (150, [70, 70, 10])
        assert 600 < clock.seconds < 604
        assert flow.pacer.paced_seconds == pytest.approx(clock.seconds)
        assert max(waits) <= 301
        # the next run begins with what is left
        later = traffic(clock, quota=70, memory=store.get(META_PACING))
        assert later.pacer.room() == 60

    def test_a_long_fill_uses_nearly_all_of_its_share_and_never_more(
        self, store: Store, service: Service
    ) -> None:
        clock = Passing()
        served: list[tuple[float, int]] = []

        class Slow:
            """Takes a while, and counts at the end of it."""

            def provision(self, objects: Sequence[SyncObject]) -> list[ObjectResult]:
                clock.sleep(0.05 + len(objects) / 1_000)
                served.append((clock.seconds, len(objects)))
                return service.provision(objects)

        approvals = Approvals(store, NOW, dt.timedelta(hours=24))
        flow = traffic(clock, quota=560)
        found = Export(Slow(), store, approvals, now=lambda: NOW, traffic=flow)

        tally = found.send([added(f"u{number:05}") for number in range(560 * 24)], nothing)

        windows = 1 + clock.seconds / 300
        assert len(tally.done) >= 0.95 * 560 * windows
        for end, _ in served:
            assert sum(count for time, count in served if end - 300 <= time <= end) <= 560

    def test_a_call_that_never_came_back_is_spent(self, store: Store, service: Service) -> None:
        service.breaks_at = 0
        with pytest.raises(TransientError):
            export(store, service).send([added("a"), added("b")], nothing)

        assert traffic(memory=store.get(META_PACING)).pacer.room() == 5_598

    def test_it_ends_within_a_second_of_being_told_while_it_waits(
        self, store: Store, service: Service
    ) -> None:
        clock = Passing()
        flow = traffic(clock, quota=10, cancelled=lambda: clock.seconds > 7)

        tally = export(store, service, flow=flow).send(
            [added(f"u{n:02}") for n in range(20)], nothing
        )

        assert (tally.cancelled, len(tally.done)) == (True, 10)
        assert clock.seconds <= 8

    def test_one_changed_member_is_one_request_with_one_link(
        self, store: Store, service: Service
    ) -> None:
        flow = traffic()

        tally = export(store, service, flow=flow).send([linked("g", "a")], nothing)

        assert (tally.requests, [len(each.links) for (each,) in service.sent]) == (1, [1])
        assert flow.pacer.room() == 5_599

    def test_a_group_of_250_000_is_filled_by_17_requests(
        self, store: Store, service: Service
    ) -> None:
        members = [f"{number:06}" for number in range(250_000)]

        tally = export(store, service, flow=traffic()).send([linked("g", *members)], nothing)

        assert tally.requests == 17
        assert max(len(each.links) for (each,) in service.sent) == 14_706


def test_what_was_let_through_works_once_also_when_it_went_in_slices(
    store: Store, service: Service
) -> None:
    change = linked("g", removed=[f"m{number}" for number in range(7)])
    approvals = Approvals(store, NOW, dt.timedelta(hours=24))
    approvals.use("sha256:1", [change])
    found = Export(service, store, approvals, now=lambda: NOW, traffic=traffic(max_links=3))

    found.send([change], nothing)

    assert len(service.batches) == 3
    assert not approvals.covers(change)
    # and did not count in the window
    assert spent_since(store, NOW - dt.timedelta(hours=1)).link_removals == 0


def held(anchor: str, *members: str) -> CloudObject:
    return CloudObject(
        anchor=anchor,
        object_type=SyncObjectType.GROUP if members else SyncObjectType.USER,
        guid=f"g-{anchor}",
        properties={},
        members=frozenset(members),
        owned=True,
    )


class TestMemberships:
    """V1 takes the complete list of members each time."""

    def send(
        self,
        store: Store,
        service: Service,
        changes: Sequence[PlannedChange],
        *cloud: CloudObject,
        whole: bool = True,
    ) -> Export:
        rows = [
            SyncObject(
                object_type=each.object_type,
                operation=SyncOperation.SET,
                source_anchor=each.anchor,
                links=tuple(LinkChange(anchor=m, add=True) for m in each.members),
            )
            for each in cloud
        ]
        take_read_back(store, rows)
        memberships = Memberships({each.anchor: each for each in cloud}, whole=whole)
        found = export(store, service, flow=traffic(max_links=3), memberships=memberships)
        found.send(changes, nothing)
        return found

    def test_a_change_is_sent_as_the_list_and_recorded_as_the_change(
        self, store: Store, service: Service
    ) -> None:
        cloud = [held("g", "a", "b"), held("a"), held("b"), held("c")]

        found = self.send(store, service, [linked("g", "c", removed=["a"])], *cloud)

        ((message,),) = service.sent
        assert (message.properties, message.links) == ({"member": ("b", "c")}, ())
        (done,) = found.tally.done
        assert [(link.anchor, link.add) for link in done.message.links] == [
            ("a", False),
            ("c", True),
        ]
        assert load_cloud(store)["g"].members == {"b", "c"}
        assert spent_since(store, NOW - dt.timedelta(hours=1)).link_removals == 1

    def test_the_last_member_leaves_an_empty_list(self, store: Store, service: Service) -> None:
        self.send(store, service, [linked("g", removed=["a"])], held("g", "a"), held("a"))

        assert service.sent[0][0].properties == {"member": ()}

    def test_who_is_not_there_is_left_out(self, store: Store, service: Service) -> None:
        service.refusals = {"new": "InvalidSoftMatch"}
        cloud = [held("g", "a", "gone", "device"), held("a"), held("gone")]
        changes = [deleted("gone"), added("fine"), added("new"), linked("g", "fine", "new", "far")]

        found = self.send(store, service, changes, *cloud)

        # but a member of a kind that is not ours stays one
        assert service.sent[-1][0].properties == {"member": ("a", "device", "fine")}
        assert [link.anchor for link in found.tally.done[-1].message.links] == ["fine"]

    def test_changes_too_leave_out_who_is_not_there(self, store: Store, service: Service) -> None:
        # a nested group that is frozen and was never created must not hold up its parent
        changes = [added("fine"), linked("g", "fine", "frozen", removed=["a"])]

        self.send(store, service, changes, held("g", "a"), held("a"), whole=False)

        assert service.sent[-1][0].properties == {}
        assert [(link.anchor, link.add) for link in service.sent[-1][0].links] == [
            ("a", False),
            ("fine", True),
        ]

    def test_a_group_whose_new_members_are_all_missing_is_left_alone(
        self, store: Store, service: Service
    ) -> None:
        self.send(store, service, [linked("g", "far")], held("g", "a"), held("a"))

        assert service.sent == []

    def test_a_list_over_the_link_limit_travels_alone(self, store: Store, service: Service) -> None:
        users = [held(x) for x in "abcdefgh"]
        cloud = [held("g1", "a"), held("g2", *"abcdefg"), held("g3", "a"), *users]

        self.send(store, service, [linked(g, "h") for g in ("g1", "g2", "g3")], *cloud)

        assert service.batches == [["g1"], ["g2"], ["g3"]]
        assert [len(str(m.properties["member"])) > 20 for (m,) in service.sent] == [
            False,
            True,
            False,
        ]
        assert all(not message.links for (message,) in service.sent)

    def test_a_refused_list_counts_its_changes(self, store: Store, service: Service) -> None:
        service.refusals = {"g": "ReferenceNotFound"}

        found = self.send(store, service, [linked("g", "b")], held("g", "a"), held("a"), held("b"))

        assert (found.tally.links_failed, found.tally.error_count) == (1, 1)
        assert load_cloud(store)["g"].members == {"a"}
