"""Sending a plan: checkpoints, refusals, and what the next run does about them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from typing_extensions import override

from entrasync.engine.changes import Action, PlannedChange
from entrasync.engine.exporting import Export, Traffic
from entrasync.engine.memberships import Memberships
from entrasync.engine.tally import ExportTally
from entrasync.entra.contracts import ObjectResult, SyncObject, SyncObjectType
from entrasync.entra.faults import RequestRefusedError
from entrasync.entra.infoset import CodecError
from entrasync.entra.refusals import UnknownFaultError
from entrasync.errors import TransientError
from entrasync.state.checkpoints import META_PACING
from entrasync.state.cloud import META_READ_BACK
from entrasync.state.schema import Part
from entrasync.state.store import Store
from tests.support.planned import (
    Approved,
    added,
    deleted,
    held,
    hold,
    hold_many,
    linked,
    plan,
    referring,
    updated,
)
from tests.support.traffic import Passing, traffic

NOW = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)
USER, GROUP = SyncObjectType.USER, SyncObjectType.GROUP


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
        self.unknown: dict[str, int] = {}
        """How often it does not yet know who was created."""
        self.unknown_code: str | None = "ReferenceNotFound"

    def provision(self, objects: Sequence[SyncObject]) -> list[ObjectResult]:
        self.pending.append(self.store.checkpoints.pending())
        if len(self.batches) == self.breaks_at:
            raise TransientError("ServerUnreachable", "gone")
        anchors = [each.source_anchor for each in objects]
        if len(objects) > self.most or self.poison & set(anchors):
            self.refused.append(anchors)
            raise self.fault("RunFailed", "the sync service answered: it is odd")
        self.batches.append(anchors)
        self.sent.append(list(objects))
        return [self._answer(each) for each in objects]

    def _answer(self, each: SyncObject) -> ObjectResult:
        named = {link.anchor for link in each.links} | {str(v) for v in each.properties.values()}
        for anchor in named & self.unknown.keys():
            self.unknown[anchor] -= 1
            if self.unknown[anchor] >= 0:
                return ObjectResult(
                    source_anchor=each.source_anchor, success=False, code=self.unknown_code
                )
        return ObjectResult(
            source_anchor=each.source_anchor,
            success=each.source_anchor not in self.refusals,
            code=self.refusals.get(each.source_anchor),
            description=self.words.get(each.source_anchor),
        )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as found:
        found.put(META_READ_BACK, "1")
        yield found


@pytest.fixture
def service(store: Store) -> Service:
    return Service(store)


def export(
    store: Store,
    service: Service,
    *,
    cancelled: Callable[[], bool] = lambda: False,
    flow: Traffic | None = None,
    approvals: Approved | None = None,
    whole: bool = False,
) -> Export:
    return Export(
        service,
        store,
        approvals or Approved(set()),
        now=lambda: NOW,
        traffic=flow or traffic(max_links=100, cancelled=cancelled),
        memberships=Memberships(store, whole=whole),
    )


def send(
    store: Store, service: Service, changes: Sequence[PlannedChange], flow: Traffic | None = None
) -> ExportTally:
    return export(store, service, flow=flow).send(plan(store, changes), nothing)


def nothing(*_: object) -> None:
    """Nobody is told."""


def pending(store: Store) -> list[tuple[str, int]]:
    """What is still to be done: anchors and parts, of links each."""
    rows = store.database.connection.execute(
        "SELECT anchors.anchor, part FROM (SELECT anchor, part FROM pending"
        " UNION ALL SELECT owner, 2 FROM pending_links) AS left"
        " JOIN anchors ON anchors.id = left.anchor ORDER BY anchors.anchor, part"
    )
    return rows.fetchall()


def failures(store: Store) -> dict[str, tuple[str, int]]:
    return {each.anchor: (each.code, each.attempts) for each in store.checkpoints.failures()}


def spent(store: Store) -> dict[str, int]:
    return store.checkpoints.spent_since(NOW - dt.timedelta(hours=1))


def test_each_batch_is_noted_before_it_is_sent(store: Store, service: Service) -> None:
    told: list[tuple[int, int]] = []
    planned = plan(store, [added("a"), added("b"), added("g", GROUP), linked("g", "a")])

    export(store, service).send(planned, lambda done, total: told.append((done, total)))

    assert service.pending == service.batches == [["a", "b"], ["g"], ["g"]]
    assert store.checkpoints.pending() == []
    assert {anchor for anchor, each in held(store).items() if each.owned} == {"a", "b", "g"}
    assert held(store)["g"].members == {"a"}
    assert pending(store) == []
    assert told == [(0, 4), (2, 4), (3, 4), (4, 4), (4, 4)]


def test_what_is_wanted_and_there_is_adopted_first(store: Store, service: Service) -> None:
    number = store.database.anchor_number("a")
    store.database.connection.execute(
        "INSERT INTO cloud_objects (anchor, type, owned, properties) VALUES (?, 'User', 0, '{}')",
        (number,),
    )
    store.database.connection.execute(
        "INSERT INTO parts (object, kind, anchor) VALUES (1, 1, ?)", (number,)
    )

    send(store, service, [])

    assert held(store)["a"].owned
    assert service.batches == []


def test_a_call_that_broke_leaves_its_note(store: Store, service: Service) -> None:
    hold(store, "g", "x")
    service.breaks_at = 1

    with pytest.raises(TransientError):
        send(store, service, [added("a"), linked("g", "a")])

    assert store.checkpoints.pending() == ["g"]
    assert set(held(store)) == {"a", "g"}
    assert pending(store) == [("g", Part.LINKS)]


def test_who_was_refused_holds_up_nobody(store: Store, service: Service) -> None:
    hold(store, "g", "x")
    service.refusals = {"a": "AttributeValueMustBeUnique"}

    tally = send(store, service, [added("a"), added("b"), linked("g", "a", "b")])

    assert service.batches == [["a", "b"], ["g"]]
    assert [link.anchor for link in service.sent[-1][0].links] == ["b"]
    assert (tally.links_added, tally.links_failed) == (1, 0)
    (error,) = tally.errors
    assert (error.anchor, error.code) == ("a", "AttributeValueMustBeUnique")
    assert "another value" in error.message
    assert store.get(META_READ_BACK) is not None
    # both are tried again
    assert pending(store) == [("a", Part.OBJECT), ("g", Part.LINKS)]
    assert failures(store) == {"a": ("AttributeValueMustBeUnique", 1)}


def test_nothing_is_said_of_whom_the_tenant_does_not_hold(store: Store, service: Service) -> None:
    hold(store, "b")
    service.refusals = {"a": "LargeObject", "g": "LargeObject"}
    changes = [
        added("a"),
        added("g", GROUP),
        referring("a", manager="b"),
        referring("b", manager="a"),
        linked("g", "b"),
    ]

    tally = send(store, service, changes)

    assert service.batches == [["a"], ["g"]]
    assert tally.failed == {USER: 1, GROUP: 1}
    assert len(pending(store)) == 5


def test_a_list_of_references_leaves_out_who_is_not_there(store: Store, service: Service) -> None:
    for anchor in ("a", "b"):
        hold(store, anchor)
    changes = [referring("a", managedBy=("b", "far"), manager=None)]

    send(store, service, changes)
    again = send(store, service, changes)

    (first, second) = service.sent
    assert first[0].properties == {"managedBy": ("b",), "manager": None}
    # what was sent is not sent again for whom is not there
    assert second[0].properties == {"manager": None}
    assert (again.objects, again.error_count) == ({(USER, Action.UPDATE): 1}, 0)
    assert pending(store) == [("a", Part.REFERENCES)]


@pytest.mark.parametrize(
    ("change", "code", "told"),
    [
        (deleted("a"), "114", "DeleteNotValid"),
        (linked("a", "b"), "ReferenceNotFound", "ReferenceNotFound"),
        (linked("a", "b"), "LargeObject", "LargeObject"),
        (referring("a", manager="b"), "ReferenceNotFound", "ReferenceNotFound"),
        (updated("a", manager="b"), "ReferenceNotFound", "ReferenceNotFound"),
    ],
)
def test_a_tenant_that_holds_something_else_is_read_back_by_the_next_run(
    store: Store, service: Service, change: PlannedChange, code: str, told: str
) -> None:
    hold(store, "a", "x")
    hold(store, "b")
    service.refusals = {"a": code}

    tally = send(store, service, [change])

    assert [error.code for error in tally.errors] == [told]
    assert store.get(META_READ_BACK) is None


def test_what_a_request_did_that_ended_in_an_unknown_fault_is_read_back(
    store: Store, service: Service
) -> None:
    # its parts are taken, but a run killed between them has no note of the whole any more
    service.fault, service.most = UnknownFaultError, 2

    found = send(store, service, [added(x) for x in "abc"])

    assert (found.error_count, found.successful) == (0, 3)
    assert store.get(META_READ_BACK) is None


def test_what_is_gone_already_counts_as_deleted(store: Store, service: Service) -> None:
    """A call that ended in an unknown fault, or was not answered, may have deleted it."""
    for anchor in ("a", "b", "c"):
        hold(store, anchor)
    service.refusals = {"a": "114", "b": "LargeObject"}

    found = send(store, service, [deleted(anchor) for anchor in ("a", "b", "c")])

    assert found.error_count == 2
    assert spent(store) == {"deletions:User": 2}


def test_it_ends_between_batches_when_told(store: Store, service: Service) -> None:
    hold(store, "g", "x")
    found = export(store, service, cancelled=lambda: bool(service.batches))

    tally = found.send(plan(store, [added("a"), linked("g", "a")]), nothing)

    assert tally.cancelled
    assert service.batches == [["a"]]
    assert store.checkpoints.pending() == []


class TestCounting:
    def test_an_object_whose_references_follow_changed_once(
        self, store: Store, service: Service
    ) -> None:
        for anchor in ("b", "c"):
            hold(store, anchor)
        changes = [
            added("a"),
            updated("b", title="t"),
            referring("a", manager="b"),
            referring("b", manager="c"),
            referring("c", manager="a"),
        ]

        tally = send(store, service, changes)

        assert tally.objects == {(USER, Action.ADD): 1, (USER, Action.UPDATE): 2}
        assert tally.successful == 5

    def test_an_object_that_is_refused_twice_failed_once(
        self, store: Store, service: Service
    ) -> None:
        for anchor in ("a", "b"):
            hold(store, anchor)
        service.refusals = {"a": "LargeObject"}

        tally = send(store, service, [updated("a", title="t"), referring("a", manager="b")])

        assert tally.failed == {USER: 1}
        assert tally.error_count == 2

    def test_a_disabled_object_was_updated(self, store: Store, service: Service) -> None:
        hold(store, "a")

        tally = send(
            store, service, [replace(updated("a", accountEnabled=False), action=Action.DISABLE)]
        )

        assert tally.objects == {(USER, Action.UPDATE): 1}

    def test_a_group_refused_in_slices_is_one_error(self, store: Store, service: Service) -> None:
        members = [f"m{number:02}" for number in range(10)]
        for anchor in members:
            hold(store, anchor)
        hold(store, "g", "x")
        service.refusals = {"g": "LargeObject"}

        tally = send(store, service, [linked("g", *members)], traffic(max_links=3))

        assert (tally.links_failed, tally.error_count) == (10, 1)
        assert failures(store) == {"g": ("LargeObject", 1)}

    def test_what_is_spent_is_what_was_done(self, store: Store, service: Service) -> None:
        for anchor in "abc":
            hold(store, anchor)
        hold(store, "g", "a", "b")
        changes = [
            deleted("a"),
            replace(updated("b", userPrincipalName="x"), previous={"userPrincipalName": "y"}),
            linked("g", "c", removed=["b"]),
        ]

        send(store, service, changes)

        assert spent(store) == {"deletions:User": 1, "identity-changes": 1, "link-removals": 1}


class TestReferencesToWhatIsNew:
    """The service needs a while to know what was created a moment ago."""

    @pytest.mark.parametrize("code", ["ReferenceNotFound", None])
    @pytest.mark.parametrize("times", [1, 2])
    def test_they_are_sent_again_in_the_same_run(
        self, store: Store, service: Service, times: int, code: str | None
    ) -> None:
        hold(store, "g", "x")
        service.unknown, service.unknown_code = {"a": times}, code

        tally = send(store, service, [added("a"), linked("g", "a")])

        assert service.batches == [["a"], *[["g"]] * (times + 1)]
        assert (tally.error_count, tally.links_added, tally.links_failed) == (0, 1, 0)
        assert held(store)["g"].members == {"x", "a"}
        assert failures(store) == {}
        assert store.get(META_READ_BACK) is not None

    def test_single_references_are_too(self, store: Store, service: Service) -> None:
        hold(store, "b")
        service.unknown = {"a": 1}

        tally = send(store, service, [added("a"), referring("b", manager="a")])

        assert service.batches == [["a"], ["b"], ["b"]]
        assert (tally.error_count, pending(store)) == (0, [])

    def test_only_twice(self, store: Store, service: Service) -> None:
        hold(store, "g", "x")
        service.unknown = {"a": 9}

        tally = send(store, service, [added("a"), linked("g", "a")])

        assert service.batches == [["a"], ["g"], ["g"], ["g"]]
        assert (tally.error_count, tally.links_failed) == (1, 1)
        assert failures(store) == {"g": ("ReferenceNotFound", 1)}
        assert store.get(META_READ_BACK) is None

    def test_another_refusal_of_what_is_old_is_not(self, store: Store, service: Service) -> None:
        hold(store, "g", "x")
        hold(store, "a")
        service.refusals = {"g": "LargeObject"}

        send(store, service, [linked("g", "a")])

        assert service.batches == [["g"]]

    def test_only_the_slices_that_were_refused_are(self, store: Store, service: Service) -> None:
        members = [f"m{number}" for number in range(9)]
        hold(store, "g", "x")
        service.unknown = {"m4": 1}
        flow = traffic(max_links=3)

        tally = send(
            store, service, [*(added(each) for each in members), linked("g", *members)], flow
        )

        links = [len(each[0].links) for each in service.sent if each[0].source_anchor == "g"]
        assert links == [3, 3, 3, 3]
        assert (tally.links_added, tally.links_failed, pending(store)) == (9, 0, [])


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
        hold(store, "g", "x")
        found = export(store, service)

        tally = found.send(plan(store, [*users, linked("g", "u04", "u05")]), nothing)

        assert [len(each) for each in service.refused] == [16, 8, 4, 2, 1]
        assert [len(each) for each in service.batches] == [4, 1, 2, 8, 1]
        (error,) = tally.errors
        assert (error.anchor, error.code) == ("u05", "RequestRefused")
        assert "the sync service answered: it is odd." in error.message
        assert "leave it out of scope" in error.message
        assert tally.failed == {SyncObjectType.USER: 1}
        assert tally.errors_by_code == {"RequestRefused": 1}
        assert set(held(store)) == {f"u{n:02}" for n in range(16)} - {"u05"} | {"g"}
        # nobody refers to who is not there
        assert [link.anchor for link in service.sent[-1][0].links] == ["u04"]
        assert store.checkpoints.pending() == []
        # a poisonous object says nothing of the size
        assert found._traffic.size.objects == 100
        assert (store.get(META_READ_BACK) is None) is (fault is UnknownFaultError)

    def test_requests_that_are_too_large_become_smaller_for_good(
        self, store: Store, service: Service
    ) -> None:
        service.most = 30

        tally = send(store, service, [added(f"u{n:03}") for n in range(200)])

        assert tally.error_count == 0
        assert tally.successful == 200
        # sizes that were refused are not tried again
        assert sorted(map(len, service.refused)) == [37, 50, 50, 100]
        assert max(map(len, service.batches)) <= 30
        assert store.checkpoints.pending() == []

    def test_a_service_that_refuses_everything_ends_the_run(
        self, store: Store, service: Service
    ) -> None:
        users = [added(f"u{number:03}") for number in range(300)]
        service.poison = {each.message.source_anchor for each in users}
        found = export(store, service)

        with pytest.raises(RequestRefusedError):
            found.send(plan(store, users), nothing)

        assert found.tally.error_count == 5
        assert len(service.refused) < 30

    def test_many_to_blame_among_good_ones_end_nothing(
        self, store: Store, service: Service
    ) -> None:
        service.poison = {f"u{number:03}" for number in range(0, 60, 3)}

        tally = send(store, service, [added(f"u{n:03}") for n in range(60)])

        assert (tally.error_count, tally.successful) == (20, 40)

    def test_cancelling_ends_the_search(self, store: Store, service: Service) -> None:
        service.poison = {"u0"}
        found = export(store, service, cancelled=lambda: bool(service.batches))

        tally = found.send(plan(store, [added(f"u{number}") for number in range(8)]), nothing)

        assert tally.cancelled
        assert service.batches == [["u1"]]


class TestTelling:
    def test_a_success_with_a_description_is_a_warning(
        self, store: Store, service: Service
    ) -> None:
        service.words = {"a": "It was updated, but with some modified properties."}

        with capture_logs() as logs:
            tally = send(store, service, [added("a"), added("b")])

        (warning,) = tally.warnings
        assert (warning.anchor, warning.code) == ("a", "QuarantinedAttributeValueMustBeUnique")
        assert (tally.warning_count, tally.error_count, tally.successful) == (1, 0, 2)
        (line,) = [each for each in logs if each["event"] == "object_taken_with_reservation"]
        assert (line["log_level"], line["anchor"], line["code"]) == (
            "warning",
            "a",
            "QuarantinedAttributeValueMustBeUnique",
        )

    def test_each_refusal_is_a_line_of_the_log(self, store: Store, service: Service) -> None:
        service.refusals = {"a": "LargeObject", "b": "LargeObject", "c": "InvalidSoftMatch"}

        with capture_logs() as logs:
            tally = send(store, service, [added(x) for x in "abcd"])

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

        tally = send(store, service, [added(f"u{number:03}") for number in range(150)], flow)

        assert (tally.successful, [len(each) for each in service.batches]) == (150, [70, 70, 10])
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

        flow = traffic(clock, quota=560)
        found = Export(Slow(), store, Approved(set()), now=lambda: NOW, traffic=flow)

        tally = found.send(
            plan(store, [added(f"u{number:05}") for number in range(560 * 24)]), nothing
        )

        windows = 1 + clock.seconds / 300
        assert tally.successful >= 0.95 * 560 * windows
        for end, _ in served:
            assert sum(count for time, count in served if end - 300 <= time <= end) <= 560

    def test_a_call_that_never_came_back_is_spent(self, store: Store, service: Service) -> None:
        service.breaks_at = 0
        with pytest.raises(TransientError):
            send(store, service, [added("a"), added("b")])

        assert traffic(memory=store.get(META_PACING)).pacer.room() == 5_598

    def test_it_ends_within_a_second_of_being_told_while_it_waits(
        self, store: Store, service: Service
    ) -> None:
        clock = Passing()
        flow = traffic(clock, quota=10, cancelled=lambda: clock.seconds > 7)

        tally = send(store, service, [added(f"u{n:02}") for n in range(20)], flow)

        assert (tally.cancelled, tally.successful) == (True, 10)
        assert clock.seconds <= 8

    def test_one_changed_member_is_one_request_with_one_link(
        self, store: Store, service: Service
    ) -> None:
        flow = traffic()
        hold(store, "g", "x")
        hold(store, "a")

        tally = send(store, service, [linked("g", "a")], flow)

        assert (tally.requests, [len(each.links) for (each,) in service.sent]) == (1, [1])
        assert flow.pacer.room() == 5_599

    def test_a_group_of_250_000_is_filled_by_17_requests(
        self, store: Store, service: Service
    ) -> None:
        members = [f"{number:06}" for number in range(250_000)]
        hold(store, "g", "x")
        hold_many(store, members)

        tally = send(store, service, [linked("g", *members)], traffic())

        assert tally.requests == 17
        assert max(len(each.links) for (each,) in service.sent) == 14_706


def test_what_was_let_through_works_once_also_when_it_went_in_slices(
    store: Store, service: Service
) -> None:
    hold(store, "g", *(f"m{number}" for number in range(7)))
    hold(store, "a")
    planned = plan(
        store, [updated("a", title="t"), linked("g", removed=[f"m{n}" for n in range(7)])]
    )
    settled: list[PlannedChange] = []

    class Recording(Approved):
        """Notes what is struck off."""

        @override
        def settle(self, done: Sequence[PlannedChange]) -> dict[str, int]:
            assert store.database.connection.in_transaction
            settled.extend(done)
            return {}

    service.refusals = {"a": "LargeObject"}
    export(store, service, flow=traffic(max_links=3), approvals=Recording(set())).send(
        planned, nothing
    )

    assert [len(each.message.links) for each in settled] == [3, 3, 1]
    assert {each.fingerprint for each in settled} == {planned.changes[1].fingerprint}
    # and did not count in the window
    assert spent(store) == {}
