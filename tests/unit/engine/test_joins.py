"""Which objects of several sources are one."""

from __future__ import annotations

import base64
import random
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.choices import JoinBy
from entrasync.engine.joins import join, join_key
from entrasync.engine.source import SourceObject
from entrasync.state.clusters import Member
from entrasync.state.schema import Kind
from tests.unit.engine.world import World, anchor_of, guid_of, written

FIRST, SECOND = 98, 99
Ties = dict[int, tuple[int | None, str | None]]


def member(
    number: int,
    computed: int | None,
    *,
    source: int = 0,
    pin: int | None = None,
    key: str | None = None,
    kind: Kind = Kind.USER,
    rests: int | None = None,
) -> Member:
    rank = None if rests is not None else source
    return Member(number, source, rank, kind, computed, pin, key, rests, None)


def ties(*members: Member) -> Ties:
    found: Ties = {each.object: (each.anchor, each.withheld) for each in members}
    for each in join(members).assignments:
        found[each.object] = (each.anchor, each.withheld)
        assert (each.withheld is None) is (each.message is None)
    return found


CASES = [
    ("alone", [member(1, 10)], {1: (10, None)}),
    ("pinned", [member(1, 10, pin=10)], {1: (10, None)}),
    ("changed", [member(1, 10, pin=11)], {1: (11, "AnchorChanged")}),
    ("missing", [member(1, None)], {1: (None, "AnchorMissing")}),
    ("missing now", [member(1, None, pin=11)], {1: (11, "AnchorMissing")}),
    (
        "twice in a source",
        [member(1, 10), member(2, 10)],
        {1: (10, "DuplicateAnchor"), 2: (10, "DuplicateAnchor")},
    ),
    (
        "twice in a source, once exported",
        [member(1, 10, pin=10), member(2, 10)],
        {1: (10, "DuplicateAnchor"), 2: (10, "DuplicateAnchor")},
    ),
    (
        "one takes the anchor another changed from",
        [member(1, 11, pin=10), member(2, 10)],
        {1: (10, "AnchorChanged"), 2: (10, "DuplicateAnchor")},
    ),
    (
        "who was exported under it keeps it from who changed",
        [member(1, 11, pin=10), member(2, 10, source=1, pin=10)],
        {1: (10, "AnchorChanged"), 2: (10, None)},
    ),
    ("in two sources", [member(1, 10), member(2, 10, source=1)], {1: (10, None), 2: (10, None)}),
    (
        "in two sources, of two kinds",
        [member(1, 10), member(2, 10, source=1, kind=Kind.GROUP)],
        {1: (10, "DuplicateAnchor"), 2: (10, "DuplicateAnchor")},
    ),
    (
        "by key: the anchor of the first source",
        [member(1, 10, source=1, key="k"), member(2, 11, source=0, key="k")],
        {1: (11, None), 2: (11, None)},
    ),
    (
        "by key: the one that is pinned",
        [member(1, 10, source=1, key="k", pin=10), member(2, 11, source=0, key="k")],
        {1: (10, None), 2: (10, None)},
    ),
    (
        "by key: both are pinned",
        [member(1, 10, source=1, key="k", pin=10), member(2, 11, source=0, key="k", pin=11)],
        {1: (10, "AmbiguousJoin"), 2: (11, None)},
    ),
    (
        "a key that a source has twice joins nobody",
        [member(1, 10, key="k"), member(2, 11, key="k"), member(3, 12, source=1, key="k")],
        {1: (10, None), 2: (11, None), 3: (12, None)},
    ),
    (
        "keys that would make one of two of a source join nobody",
        [member(1, 10, key="k"), member(2, 11, source=1, key="k"),
         member(3, 11, source=2, key="l"), member(4, 12, source=0, key="l")],
        {1: (10, None), 2: (11, None), 3: (11, None), 4: (12, None)},
    ),
    (
        "who has no anchor of its own takes that of whom it is joined with",
        [member(1, None, key="k"), member(2, 11, source=1, key="k")],
        {1: (11, None), 2: (11, None)},
    ),
    (
        "a source that rests keeps what it has",
        [member(1, 10, source=1, key="k"), member(2, 11, source=0, key="k", rests=11)],
        {1: (11, None), 2: (11, None)},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("members", "expected"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_who_is_one(members: list[Member], expected: Ties) -> None:
    assert ties(*members) == expected


@given(
    st.lists(
        st.builds(
            lambda source, computed, pin, key: (source, computed, pin, key),
            st.integers(0, 2),
            st.sampled_from((None, 10, 11, 12)),
            st.sampled_from((None, None, 10, 11)),
            st.sampled_from((None, "k", "l")),
        ),
        max_size=7,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_import_never_matters(
    drawn: list[tuple[int, int | None, int | None, str | None]], order: random.Random
) -> None:
    members = [
        member(number, computed, source=source, pin=pin, key=key)
        for number, (source, computed, pin, key) in enumerate(drawn)
    ]
    shuffled = order.sample(members, len(members))

    found = ties(*members)

    assert ties(*shuffled) == found
    # nobody takes part without an anchor, and no two of one source are the same cloud object
    free = [(each.source, found[each.object][0]) for each in members if not found[each.object][1]]
    assert all(anchor is not None for _, anchor in free)
    assert len(set(free)) == len(free)


def test_keys() -> None:
    user = SourceObject(
        guid="g",
        dn="CN=x",
        parent_guid=None,
        attributes={"mail": (b"Ann@Contoso.test",), "objectSid": (b"\x01",)},
    )
    linked = SourceObject(
        guid="g",
        dn="CN=x",
        parent_guid=None,
        attributes={"msExchMasterAccountSID": (b"\x01",), "objectSid": (b"\x02",)},
    )

    assert join_key(user, JoinBy.MAIL) == "ann@contoso.test"
    assert join_key(user, JoinBy.OBJECT_SID) == join_key(linked, JoinBy.OBJECT_SID)
    assert join_key(linked, JoinBy.MAIL) is None
    assert join_key(user, JoinBy.NONE) is None


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path, sources=2)
    # somebody is always there: a source of which nothing is left changes nothing
    made.group(FIRST)
    made.group(SECOND, parent=2, source=2)
    yield made
    made.store.close()


class TestInTheState:
    def test_users_with_the_same_mail_are_one(self, world: World) -> None:
        world.user(10, mail="Ann@x.test", title="Chief")
        world.user(11, parent=2, source=2, mail="ann@x.test", department="Sales")
        world.evaluate(join_users=JoinBy.MAIL)

        properties = written(world, 10)
        assert (anchor_of(11), 0) not in world.pending()
        assert world.parts()[10][1] == world.parts()[11][1] == anchor_of(10)
        assert (properties["title"], properties["department"]) == ("Chief", "Sales")

    def test_they_part_when_the_mail_changes(self, world: World) -> None:
        world.user(10, mail="ann@x.test")
        world.user(11, parent=2, source=2, mail="ann@x.test", department="Sales")
        world.evaluate(join_users=JoinBy.MAIL)
        world.export()
        world.user(11, parent=2, source=2, mail="else@x.test", department="Sales")
        world.evaluate(join_users=JoinBy.MAIL)

        assert world.parts()[11][1] == anchor_of(11)
        assert world.pending()[anchor_of(11), 0][0] == "add"
        assert world.pending()[anchor_of(10), 0] == ("update", {"department": None})

    def test_a_third_one_parts_them(self, world: World) -> None:
        world.user(10, mail="ann@x.test")
        world.user(11, parent=2, source=2, mail="ann@x.test")
        world.evaluate(join_users=JoinBy.MAIL)
        world.user(12, parent=2, source=2, mail="ann@x.test")
        world.evaluate(join_users=JoinBy.MAIL)

        assert [world.parts()[n][1] for n in (10, 11, 12)] == [anchor_of(n) for n in (10, 11, 12)]

    def test_what_the_tenant_remembers_pins_an_anchor_when_the_volume_was_lost(
        self, world: World
    ) -> None:
        world.user(10)
        world.user(12)
        world.evaluate()
        world.hold(77, owned=False, identifier=10)
        world.evaluate()

        assert world.parts()[10] == (None, anchor_of(77), "AnchorChanged")
        assert (anchor_of(10), 0) not in world.pending()
        world.lose(77)
        world.evaluate()
        assert world.parts()[10] == (None, anchor_of(10), None)

    def test_who_moves_to_another_source_may_be_one_with_others_no_longer(
        self, world: World
    ) -> None:
        for more in ({"mail": "ann@x.test"}, {"raw": {"mS-DS-ConsistencyGuid": bytes(16)}}):
            world.user(10, **more)
            world.user(11, parent=2, source=2, **more)
            world.evaluate(join_users=JoinBy.MAIL)
            assert world.parts()[10] == world.parts()[11]

            world.user(10, parent=2, source=2, **more)
            world.evaluate(join_users=JoinBy.MAIL)
            by_changes = world.parts()
            world.evaluate(join_users=JoinBy.MAIL, full=True)
            assert by_changes == world.parts()
            assert {by_changes[number][1:] for number in (10, 11)} in (
                {(anchor_of(10), None), (anchor_of(11), None)},
                {(anchor_of(0), "DuplicateAnchor")},
            )

    @pytest.mark.parametrize("order", [(False, True), (True, False)])
    def test_who_is_left_of_a_pair_is_neither_deleted_nor_made_anew(
        self, world: World, order: tuple[bool, bool]
    ) -> None:
        world.user(10, mail="ann@x.test")
        world.user(11, parent=2, source=2, mail="ann@x.test")
        world.evaluate(join_users=JoinBy.MAIL)
        world.export()
        world.remove(10)
        for full in order:
            # what joined them may go with the first
            world.user(11, parent=2, source=2, mail="else@x.test")
            world.evaluate(join_users=JoinBy.MAIL, full=full)

            assert 10 not in world.parts()
            assert world.parts()[11] == (None, anchor_of(10), "AnchorChanged")
            assert (world.candidates(), world.pending()) == (set(), {})

        # whoever takes over the anchor, as in a migration, goes on
        own = base64.b64decode(anchor_of(10))
        world.user(11, parent=2, source=2, raw={"mS-DS-ConsistencyGuid": own})
        world.evaluate(join_users=JoinBy.MAIL)
        assert world.parts()[11] == (None, anchor_of(10), None)

    def test_what_is_left_of_a_pair_is_what_is_looked_for(self, world: World) -> None:
        raw = {"mS-DS-ConsistencyGuid": bytes(16)}
        world.group(20, raw=raw)
        world.group(21, parent=2, source=2, raw=raw)
        world.evaluate()
        world.export()
        world.remove(20)
        world.evaluate()
        assert world.candidates() == set()

        world.remove(21)
        world.evaluate()
        (candidate,) = world.store.evaluation.candidates()
        assert candidate.guid == guid_of(21)

    def test_who_is_withheld_and_shares_a_cloud_object_stays_in_its_groups(
        self, world: World
    ) -> None:
        world.user(11, parent=2, source=2, mail="ann@x.test")
        world.evaluate(join_users=JoinBy.MAIL)
        world.export()
        world.user(10, mail="ann@x.test")
        world.group(20, 10)
        world.evaluate(join_users=JoinBy.MAIL)
        world.export()
        # the tenant remembers that it comes from the first source's
        world.hold(11, identifier=10)
        world.user(10, mail="else@x.test")
        world.evaluate(join_users=JoinBy.MAIL)

        assert world.parts()[10] == (None, anchor_of(11), "AnchorChanged")
        assert world.parts()[11] == (None, anchor_of(11), None)
        assert world.links() == set()

    def test_whom_the_tenant_remembers_no_longer_after_an_export_is_free(
        self, world: World
    ) -> None:
        world.user(10)
        world.user(11)
        world.hold(11, identifier=10)
        world.evaluate()
        assert world.parts()[10] == (None, anchor_of(11), "AnchorChanged")

        octets = {"onPremisesObjectIdentifier": uuid.UUID(int=11).bytes_le}
        guid = uuid.UUID(int=11).bytes
        world.store.cloud.record_set(world.anchor(11), "User", guid, octets)
        world.evaluate()
        assert world.parts()[10] == (None, anchor_of(10), None)


LINKED = {"msExchRecipientTypeDetails": "2", "userAccountControl": "514"}


def follower(number: int, *, source: int = 0, anchor: int | None = None) -> Member:
    return Member(number, source, source, Kind.USER, None, None, "k", anchor, None, follows=True)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([follower(1)], {1: (None, None)}),
        ([follower(1, anchor=10)], {1: (None, None)}),
        (
            [follower(1), member(2, 10, source=1, key="k")],
            {1: (10, None), 2: (10, None)},
        ),
        (
            [follower(1), follower(2), member(3, 10, source=1, key="k")],
            {1: (None, None), 2: (None, None), 3: (10, None)},
        ),
        (
            [follower(1), member(2, 11, source=1, key="k", pin=10)],
            {1: (None, None), 2: (10, "AnchorChanged")},
        ),
        (
            [follower(1), member(2, None, source=1, key="k")],
            {1: (None, None), 2: (None, "AnchorMissing")},
        ),
    ],
    ids=["alone", "left", "joined", "twice", "withheld", "without anchor"],
)
def test_who_is_nobody_alone_follows(members: list[Member], expected: Ties) -> None:
    assert ties(*members) == expected


class TestLinkedMailboxes:
    def test_one_takes_part_with_its_account_only(self, world: World) -> None:
        world.user(10, title="Chief", mail="ann@x.test", **LINKED)
        world.user(12, mail="nobody@x.test", **LINKED)
        world.user(11, parent=2, source=2, mail="ann@x.test", department="Sales")
        totals = world.evaluate(join_users=JoinBy.MAIL)

        assert world.parts()[10][1:] == (anchor_of(11), None)
        assert world.parts()[12][1:] == (None, None)
        assert (totals.in_scope, totals.excluded) == (4, {"LinkedMailboxWithoutAnchor": 1})
        assert written(world, 11)["title"] == "Chief"
        world.export()
        whole = world.parts()
        world.evaluate(join_users=JoinBy.MAIL, full=True)
        assert (world.parts(), world.pending(), world.candidates()) == (whole, {}, set())

        # its account goes: so does the person
        world.remove(11)
        totals = world.evaluate(join_users=JoinBy.MAIL)
        assert world.parts()[10][1:] == (None, None)
        assert totals.excluded == {"LinkedMailboxWithoutAnchor": 2}
        assert (world.pending(), world.candidates()) == ({}, {anchor_of(11)})

    def test_without_joins_they_are_left_out(self, world: World) -> None:
        world.user(10, mail="ann@x.test", **LINKED)
        world.user(11, parent=2, source=2, mail="ann@x.test")
        totals = world.evaluate()

        assert world.parts()[10] == ("LinkedMailboxWithoutAnchor", None, None)
        assert totals.excluded == {"LinkedMailboxWithoutAnchor": 1}
