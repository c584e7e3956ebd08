"""Batches: within the limits, in order, nothing lost and nothing twice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.entra.batches import (
    LOST_SECONDS,
    MOST_OBJECTS,
    QUICK_SECONDS,
    SLOW_SECONDS,
    BatchLimits,
    BatchSize,
    adaptive_batches,
    plan_batches,
)
from entrasync.entra.batches import references as counted
from entrasync.entra.contracts import (
    LinkChange,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)
from tests.unit.entra.samples import MODERATE

Batches = list[list[SyncObject]]


def changed(anchor: str, *links: LinkChange, **properties: PropertyValue) -> SyncObject:
    return SyncObject(
        object_type=SyncObjectType.GROUP,
        operation=SyncOperation.SET,
        source_anchor=anchor,
        properties=properties,
        links=links,
    )


def adds(*anchors: str) -> tuple[LinkChange, ...]:
    return tuple(LinkChange(anchor=each, add=True) for each in anchors)


def removes(*anchors: str) -> tuple[LinkChange, ...]:
    return tuple(LinkChange(anchor=each, add=False) for each in anchors)


def shape(batches: Batches) -> list[list[tuple[str, str]]]:
    """Each batch's objects, and what happens to their members: `+a-b`."""
    return [
        [
            (each.source_anchor, "".join("-+"[link.add] + link.anchor for link in each.links))
            for each in batch
        ]
        for batch in batches
    ]


def references(batch: Sequence[SyncObject]) -> int:
    count = 0
    for each in batch:
        count += len(each.links) + (each.properties.get("manager") is not None)
        member = each.properties.get("member")
        count += len(member) if isinstance(member, tuple) else 0
    return count


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([], []),
        ([changed("1")], [[("1", "")]]),
        ([changed(x) for x in "1234"], [[("1", ""), ("2", ""), ("3", "")], [("4", "")]]),
        ([changed("1", *adds("a", "b"))], [[("1", "+a+b")]]),
        ([changed("1", *adds(*"abcdef"))], [[("1", "+a+b+c+d")], [("1", "+e+f")]]),
        # a group that fits a batch is not cut to fill the one before
        (
            [changed("1", *adds("a", "b")), changed("2", *adds("c", "d", "e"))],
            [[("1", "+a+b")], [("2", "+c+d+e")]],
        ),
        # one that has to be cut begins where there is room
        (
            [changed("1", *adds("a", "b", "c")), changed("2", *adds(*"abcdef"))],
            [[("1", "+a+b+c"), ("2", "+a")], [("2", "+b+c+d+e")], [("2", "+f")]],
        ),
        ([changed("1", *adds("a"), *removes("b"))], [[("1", "-b+a")]]),
        ([changed("1", *adds("a"), *removes("a"))], [[("1", "-a")], [("1", "+a")]]),
        ([changed("1", *adds("a", "a"))], [[("1", "+a")]]),
        # the second must not overtake the first, whatever the batch has room for
        (
            [changed("1", *adds("a")), changed("1", *removes("a"))],
            [[("1", "+a")], [("1", "-a")]],
        ),
        # a reference among the properties takes a place
        (
            [changed("1", *adds("a", "b", "c", "d"), manager="m")],
            [[("1", "+a+b+c")], [("1", "+d")]],
        ),
        ([changed("1", *adds("a", "b", "c", "d"), manager=None)], [[("1", "+a+b+c+d")]]),
    ],
)
def test_objects_are_cut_like_this(
    objects: list[SyncObject], expected: list[list[tuple[str, str]]]
) -> None:
    assert shape(list(plan_batches(objects, max_objects=3, max_links=4, margin=0))) == expected


def test_a_complete_list_of_members_is_never_cut() -> None:
    objects = [changed("1"), changed("2", member=tuple("abcdef")), changed("3", member=("a",))]
    batches = list(plan_batches(objects, max_links=4, margin=0))

    assert batches == [[each] for each in objects]


def test_references_that_fill_a_batch_leave_the_links_to_the_next() -> None:
    batches = list(plan_batches([changed("1", *adds("a"), manager="m")], max_links=1, margin=0))

    assert shape(batches) == [[("1", "")], [("1", "+a")]]
    assert [each.properties for (each,) in batches] == [{"manager": "m"}, {}]


def test_objects_without_an_anchor_are_never_taken_for_one() -> None:
    assert len(list(plan_batches([changed(""), changed("")]))) == 2


def test_250_000_members_take_17_batches_of_14_706() -> None:
    links = tuple(LinkChange(anchor=f"{number}", add=True) for number in range(250_000))
    batches = list(plan_batches([changed("big", *links, displayName="Big")], max_links=15_000))

    assert len(batches) == 17
    assert max(map(references, batches)) == 14_706
    assert [link for (each,) in batches for link in each.links] == list(links)
    assert [dict(each.properties) for (each,) in batches] == [{"displayName": "Big"}] + 16 * [{}]


@pytest.mark.parametrize(("max_objects", "max_links"), [(0, 10), (10, 0), (-1, 10), (10, -1)])
def test_limits_without_room_are_refused(max_objects: int, max_links: int) -> None:
    with pytest.raises(ValueError, match="room"):
        list(plan_batches([changed("1")], max_objects=max_objects, max_links=max_links))


members = st.builds(
    LinkChange,
    anchor=st.sampled_from("abcdefgh"),
    add=st.booleans(),
    by_cloud_anchor=st.just(False),  # noqa: FBT003  - a strategy
)


@st.composite
def exports(draw: st.DrawFn) -> list[SyncObject]:
    objects = []
    for anchor in draw(st.lists(st.sampled_from("123456789"), max_size=7)):
        properties: dict[str, PropertyValue] = {"displayName": draw(st.sampled_from("xyz"))}
        if draw(st.booleans()):
            properties["manager"] = draw(st.sampled_from(["m", None]))
        links: tuple[LinkChange, ...] = ()
        if draw(st.booleans()):
            links = tuple(draw(st.lists(members, max_size=14)))
        elif draw(st.booleans()):
            properties["member"] = tuple(draw(st.lists(st.sampled_from("abcd"), max_size=9)))
        objects.append(changed(anchor, *links, **properties))
    return objects


LIMITS = st.tuples(st.integers(1, 4), st.integers(1, 9), st.sampled_from([0.0, 0.02, 0.5]))


@MODERATE
@given(exports(), LIMITS)
def test_no_batch_is_over_a_limit(
    objects: list[SyncObject], limits: tuple[int, int, float]
) -> None:
    max_objects, max_links, margin = limits
    room = math.ceil(max_links / (1 + margin))

    for batch in plan_batches(objects, max_objects, max_links, margin):
        assert 0 < len(batch) <= max_objects
        # only what cannot be cut may be larger, and then it is alone
        assert references(batch) <= room or (len(batch) == 1 and not batch[0].links)


@MODERATE
@given(exports(), LIMITS)
def test_no_batch_holds_an_object_or_a_member_of_it_twice(
    objects: list[SyncObject], limits: tuple[int, int, float]
) -> None:
    for batch in plan_batches(objects, *limits):
        anchors = [each.source_anchor for each in batch]
        assert len(set(anchors)) == len(anchors)
        for each in batch:
            changed_members = [link.anchor for link in each.links]
            assert len(set(changed_members)) == len(changed_members)


@MODERATE
@given(exports(), LIMITS)
def test_nothing_is_lost_doubled_or_out_of_order(
    objects: list[SyncObject], limits: tuple[int, int, float]
) -> None:
    pieces = [each for batch in plan_batches(objects, *limits) for each in batch]

    # the first piece of an object is the one with its name
    firsts = [each for each in pieces if "displayName" in each.properties]
    assert [(e.source_anchor, e.properties) for e in firsts] == [
        (e.source_anchor, e.properties) for e in objects
    ]
    wholes: list[list[SyncObject]] = []
    for starts, group in groupby(pieces, lambda each: "displayName" in each.properties):
        for piece in group:
            wholes.append([piece]) if starts else wholes[-1].append(piece)
    for each, parts in zip(objects, wholes, strict=True):
        assert {part.source_anchor for part in parts} == {each.source_anchor}
        assert not any(part.properties for part in parts[1:])
        sent = [link for part in parts for link in part.links]
        assert len(sent) == len(set(sent))
        assert set(sent) == set(each.links)
        assert sent == sorted(sent, key=lambda link: link.add)


def test_each_batch_asks_for_limits_of_its_own() -> None:
    limits = iter([(1, 9), (3, 9), (2, 2), (9, 3), (9, 1)])
    objects = [changed(x) for x in "12345"] + [changed("6", *adds(*"abcde"))]

    batches = adaptive_batches(
        objects, lambda: BatchLimits(**dict(zip(("objects", "links"), next(limits), strict=True)))
    )

    assert shape(list(batches)) == [
        [("1", "")],
        [("2", ""), ("3", ""), ("4", "")],
        [("5", ""), ("6", "+a+b")],
        [("6", "+c+d+e")],
    ]


@MODERATE
@given(exports(), st.data())
def test_limits_that_change_are_kept(objects: list[SyncObject], data: st.DataObject) -> None:
    asked: list[BatchLimits] = []

    def limits() -> BatchLimits:
        objects, links = data.draw(st.tuples(st.integers(1, 4), st.integers(1, 9)))
        asked.append(BatchLimits(objects=objects, links=links))
        return asked[-1]

    sent: list[SyncObject] = []
    for batch in adaptive_batches(objects, limits):
        assert len(batch) <= asked[-1].objects
        assert references(batch) <= asked[-1].links or (len(batch) == 1 and not batch[0].links)
        sent += batch
    for anchor in {each.source_anchor for each in objects}:
        wanted = {link for each in objects if each.source_anchor == anchor for link in each.links}
        assert {link for e in sent if e.source_anchor == anchor for link in e.links} == wanted


class TestBatchSize:
    def setup_method(self) -> None:
        self.now = 0.0
        self.size = BatchSize(lambda: self.now)

    def call(self, sent: int, seconds: float) -> int:
        since = self.size.now
        self.now += seconds
        self.size.took(sent, since)
        return self.size.objects

    def test_quick_calls_make_it_grow_up_to_the_most(self) -> None:
        seen = [self.size.objects] + [self.call(self.size.objects, 0.1) for _ in range(5)]

        assert seen == [100, 150, 225, 337, 500, MOST_OBJECTS]

    @pytest.mark.parametrize(
        ("sent", "seconds", "after"),
        [
            (100, QUICK_SECONDS, 150),
            (100, QUICK_SECONDS + 0.1, 100),
            (99, 0.1, 100),  # says nothing of larger ones
            (100, SLOW_SECONDS, 100),
            (100, SLOW_SECONDS + 0.1, 50),
            (30, SLOW_SECONDS + 0.1, 15),
            (1, SLOW_SECONDS + 0.1, 1),
        ],
    )
    def test_it_learns_from_how_long_a_call_took(
        self, sent: int, seconds: float, after: int
    ) -> None:
        assert self.call(sent, seconds) == after

    @pytest.mark.parametrize(("seconds", "after"), [(1.0, 100), (LOST_SECONDS + 1, 50)])
    def test_no_answer_after_long_halves_it(self, seconds: float, after: int) -> None:
        self.now = seconds
        self.size.lost(100, 0.0)

        assert self.size.objects == after

    def test_what_was_too_large_is_never_tried_again(self) -> None:
        self.size.too_large(100)
        assert self.size.objects == 50
        seen = [self.call(self.size.objects, 0.1) for _ in range(4)]
        assert seen == [75, 99, 99, 99]

        # found while halving further, it does not count once more
        self.size.too_large(50)
        self.size.too_large(99)
        assert self.size.objects == 25

    @pytest.mark.parametrize(
        ("start", "most", "objects"), [(0, 500, 1), (900, 500, 500), (9, 0, 1)]
    )
    def test_it_begins_within_its_bounds(self, start: int, most: int, objects: int) -> None:
        assert BatchSize(lambda: 0.0, start=start, most=most).objects == objects


@MODERATE
@given(
    st.integers(1, 700),
    st.lists(st.tuples(st.sampled_from("tls"), st.floats(0, 0.999), st.floats(0, 100))),
)
def test_the_size_stays_within_its_bounds(
    start: int, calls: list[tuple[str, float, float]]
) -> None:
    now = 0.0
    size = BatchSize(lambda: now, start=start)
    for what, share, seconds in calls:
        sent, since = 1 + int(share * size.objects), now
        now += seconds
        if what == "t":
            size.took(sent, since)
        elif what == "l":
            size.lost(sent, since)
        else:
            size.too_large(sent)
        assert 1 <= size.objects <= MOST_OBJECTS


@pytest.mark.parametrize(
    ("properties", "count"),
    [
        ({}, 1),
        ({"displayName": "manager"}, 1),
        ({"manager": "a"}, 2),
        ({"manager": None}, 1),
        ({"managedBy": "a", "authOrig": ("b", "c"), "member": ("d",)}, 5),
    ],
)
def test_what_counts_as_a_reference(properties: dict[str, PropertyValue], count: int) -> None:
    assert counted(changed("g", *adds("m"), **properties)) == count
