"""What holds of flows whatever the objects: order means nothing, merging is what it says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.choices import Apply, Merge
from entrasync.engine.flow_compiling import FlowTable
from entrasync.engine.flow_rules import default_flows
from entrasync.engine.flow_values import ValueType, as_text
from entrasync.engine.flows import FlowRule, flow_set
from entrasync.engine.source import SourceKind, SourceObject
from entrasync.state.rows import encode_attributes
from tests.support.flow_objects import ANCHORS, BOSS, DEFAULTS, PEER, contributor, together

NAMES: Final = sorted({name for flow in default_flows(SourceKind.USER) for name in flow.attributes})
RAW: Final = st.one_of(
    st.sampled_from(
        [
            b"",
            b" ",
            b"a",
            b"A",
            b" b ",
            b"1",
            b"514",
            b"TRUE",
            b"\xff",
            BOSS.encode(),
            PEER.encode(),
        ]
    ),
    st.binary(max_size=4),
)
OBJECTS: Final = st.dictionaries(
    st.sampled_from(NAMES), st.lists(RAW, min_size=1, max_size=3), max_size=12
)
RULES: Final = st.sampled_from(
    [
        [],
        [FlowRule(target="title", source="company", default="none")],
        [FlowRule(target="title", source="title", apply=Apply.ON_CREATE)],
        [FlowRule(target="title", constant="x")],
        [FlowRule(target="mail", constant="AuthoritativeNull")],
        [FlowRule(target="mail", omit=True)],
        [FlowRule(target="extension_1_x", source="mailNickname")],
        [FlowRule(target="proxyAddresses", source="proxyAddresses", merge=Merge.MERGE)],
        [FlowRule(target="publicDelegates", source="manager", merge=Merge.MERGE)],
        [FlowRule(target="url", source="url", merge=Merge.MERGE_CASE_INSENSITIVE)],
    ]
)


@given(attributes=OBJECTS, rules=RULES)
def test_one_object_flows_as_several_of_which_one_has_values(
    attributes: dict[str, list[bytes]], rules: list[FlowRule]
) -> None:
    """The quick way for an object on its own and the general one give the same."""
    flows = flow_set({SourceKind.USER: rules})
    one = contributor(attributes)

    alone = flows.flow(SourceKind.USER, [one], ANCHORS.get, None)

    assert alone == flows.flow(SourceKind.USER, [one, one], ANCHORS.get, None)
    found = together(alone)
    assert found.keys() <= flows.targets_of(SourceKind.USER)
    assert alone.references.keys() <= flows.reference_targets
    for value in found.values():
        assert value not in (None, "", b"", ())
        if isinstance(value, tuple):
            assert list(value) == sorted(set(value))


@given(attributes=OBJECTS, rules=RULES, several=st.booleans())
def test_values_as_the_state_keeps_them_flow_as_those_of_the_directory(
    attributes: dict[str, list[bytes]], rules: list[FlowRule], *, several: bool
) -> None:
    flows = flow_set({SourceKind.USER: rules})
    told = contributor(attributes)
    stored = told._replace(
        source=SourceObject(
            guid=told.source.guid,
            dn=told.source.dn,
            parent_guid=None,
            stored=json.loads(encode_attributes(told.source.attributes)),
        )
    )

    found = [
        flows.flow(SourceKind.USER, [each] * (1 + several), ANCHORS.get, None)
        for each in (told, stored)
    ]

    assert found[0] == found[1]
    assert found[0] == flows.flow(SourceKind.USER, [told] * (1 + several), ANCHORS.get, None)


@given(attributes=OBJECTS, rules=RULES)
def test_what_the_cloud_has_changes_nothing_where_all_is_as_it_flows(
    attributes: dict[str, list[bytes]], rules: list[FlowRule]
) -> None:
    """So that equal properties need no closer look; see `comparing`."""
    flows = flow_set({SourceKind.USER: rules})
    new = flows.flow(SourceKind.USER, [contributor(attributes)], ANCHORS.get, None)

    known = flows.flow(SourceKind.USER, [contributor(attributes)], ANCHORS.get, together(new))

    assert known == new


@given(attributes=OBJECTS, before=OBJECTS, rules=RULES)
def test_values_of_the_cloud_can_be_kept_afterwards(
    attributes: dict[str, list[bytes]], before: dict[str, list[bytes]], rules: list[FlowRule]
) -> None:
    flows = flow_set({SourceKind.USER: rules})
    held = together(flows.flow(SourceKind.USER, [contributor(before)], ANCHORS.get, None))
    at_once = flows.flow(SourceKind.USER, [contributor(attributes)], ANCHORS.get, held)

    afterwards = flows.flow(SourceKind.USER, [contributor(attributes)], ANCHORS.get, None)
    flows.keep(SourceKind.USER, afterwards, held)

    assert afterwards == at_once


@given(attributes=OBJECTS, data=st.data())
def test_the_order_of_values_and_attributes_means_nothing(
    attributes: dict[str, list[bytes]], data: st.DataObject
) -> None:
    shuffled = {
        name: data.draw(st.permutations(attributes[name]))
        for name in data.draw(st.permutations(list(attributes)))
    }

    results = [
        DEFAULTS.flow(SourceKind.USER, [contributor(each)], ANCHORS.get, None)
        for each in (attributes, shuffled)
    ]

    assert results[0] == results[1]


WORDS: Final = st.lists(st.sampled_from(["a", "A", "b", "B", "ß", "SS", " c "]), max_size=4)
SEVERAL: Final = st.lists(WORDS, min_size=1, max_size=4)
TEXTS: Final = {
    merge: FlowTable(
        [
            replace(flow, merge=merge)
            for flow in default_flows(SourceKind.USER)
            if flow.type is ValueType.TEXTS and flow.when is None
        ]
    )
    for merge in Merge
}


def merged(merge: Merge, lists: Sequence[Sequence[str]]) -> tuple[str, ...]:
    objects = [contributor(proxyAddresses=each) for each in lists]
    found = TEXTS[merge].run(objects, ANCHORS.get, None).properties.get("proxyAddresses", ())
    assert isinstance(found, tuple)
    return tuple(map(str, found))


@given(lists=SEVERAL)
def test_the_first_with_values_wins(lists: list[list[str]]) -> None:
    wanted = next((each for each in lists if each), [])

    assert merged(Merge.UPDATE, lists) == tuple(sorted({word.strip() for word in wanted}))


@given(lists=SEVERAL, data=st.data())
def test_merging_takes_all_in_whatever_order(lists: list[list[str]], data: st.DataObject) -> None:
    wanted = {word.strip() for each in lists for word in each}

    assert merged(Merge.MERGE, lists) == tuple(sorted(wanted))
    assert merged(Merge.MERGE, data.draw(st.permutations(lists))) == tuple(sorted(wanted))


@given(lists=SEVERAL)
def test_merging_without_letter_case_takes_one_of_each(lists: list[list[str]]) -> None:
    found = merged(Merge.MERGE_CASE_INSENSITIVE, lists)
    spelled = [word.strip() for each in lists for word in each]

    assert len({word.casefold() for word in found}) == len(found)
    assert {word.casefold() for word in found} == {word.casefold() for word in spelled}
    # the spelling of the first object that has it, sorted among its own
    for word in found:
        first = next(
            each for each in lists if word.casefold() in {w.strip().casefold() for w in each}
        )
        same = {w.strip() for w in first if w.strip().casefold() == word.casefold()}
        assert word == min(same)


@given(lists=SEVERAL)
def test_the_same_object_again_adds_nothing(lists: list[list[str]]) -> None:
    for merge in Merge:
        assert merged(merge, [*lists, *lists]) == merged(merge, lists)


@given(values=st.lists(st.binary(max_size=6), max_size=4))
def test_text_is_trimmed_and_never_blank(values: list[bytes]) -> None:
    found = as_text(tuple(values))

    assert found is None or (found and found == found.strip())
