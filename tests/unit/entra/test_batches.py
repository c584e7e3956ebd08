"""Batches: within the limits, in order, nothing lost and nothing twice."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.entra.batches import plan_batches
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


members = st.builds(LinkChange, anchor=st.sampled_from("abcdefgh"), add=st.booleans())


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
