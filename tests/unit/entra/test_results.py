"""Results of an export: whose they are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from entrasync.entra.contracts import ObjectResult, SyncObject, SyncObjectType, SyncOperation
from entrasync.entra.object_errors import NO_RESULT_CODE
from entrasync.entra.results import match_results
from tests.unit.entra.service_stage import person


def good(anchor: str, cloud_anchor: str | None = "User_1") -> ObjectResult:
    return ObjectResult(source_anchor=anchor, cloud_anchor=cloud_anchor, success=True)


def bad(anchor: str = "", cloud_anchor: str | None = None) -> ObjectResult:
    return ObjectResult(
        source_anchor=anchor, cloud_anchor=cloud_anchor, success=False, code="InvalidSoftMatch"
    )


def by_cloud(cloud_anchor: str, anchor: str = "") -> SyncObject:
    return SyncObject(
        object_type=SyncObjectType.USER,
        operation=SyncOperation.DELETE,
        source_anchor=anchor,
        cloud_anchor=cloud_anchor,
    )


def codes(objects: list[SyncObject], results: list[ObjectResult]) -> list[str | None]:
    return ["Success" if each.success else each.code for each in match_results(objects, results)]


def test_results_are_matched_by_anchor_and_not_by_place() -> None:
    assert match_results([person("a"), person("b")], [bad("b"), good("a")]) == [
        good("a"),
        bad("b"),
    ]


def test_an_object_not_mentioned_has_failed() -> None:
    matched = match_results([person("a"), person("b")], [good("b"), good("stranger")])

    assert [each.source_anchor for each in matched] == ["a", "b"]
    assert [each.success for each in matched] == [False, True]
    assert matched[0].code == NO_RESULT_CODE


def test_one_anchor_twice_is_matched_in_order() -> None:
    results = [good("a", "User_1"), good("a", "User_2")]

    assert match_results([person("a"), person("a"), person("a")], results)[:2] == results
    assert not match_results([person("a"), person("a")], results[:1])[1].success


def test_what_has_no_source_anchor_is_matched_by_the_other() -> None:
    objects = [by_cloud("User_1"), by_cloud("User_2"), by_cloud("User_3", "c")]
    results = [good("", "User_3"), bad("x", "User_2"), good("", "User_1")]

    matched = match_results(objects, results)

    assert [each.success for each in matched] == [True, False, True]
    # under the object's own name, which the sender looks for
    assert [each.source_anchor for each in matched] == ["", "", "c"]


def test_another_source_anchor_is_another_object() -> None:
    assert codes([by_cloud("User_1", "a")], [good("b", "User_1")]) == [NO_RESULT_CODE]


def test_a_failure_without_a_name_belongs_to_the_object_in_its_place() -> None:
    objects = [person("a"), person("b"), person("c")]

    assert codes(objects, [good("c"), bad(), good("a")]) == [
        "Success",
        "InvalidSoftMatch",
        "Success",
    ]


def test_a_place_alone_makes_no_success() -> None:
    nameless = good("", None)

    assert codes([person("a")], [nameless]) == [NO_RESULT_CODE]
    assert codes([person("a"), person("b")], [bad()]) == [NO_RESULT_CODE] * 2
    # what stands in the place of an object that has its own result is nobody's
    assert codes([person("a"), person("b")], [bad(), good("a")]) == ["Success", NO_RESULT_CODE]


@given(st.lists(st.sampled_from("abc")), st.permutations(list("abcd")))
def test_there_is_one_result_for_each_object(anchors: list[str], answered: list[str]) -> None:
    matched = match_results([person(each) for each in anchors], [good(each) for each in answered])

    assert [each.source_anchor for each in matched] == anchors
    assert sum(each.success for each in matched) == len(set(anchors))


names = st.sampled_from(["", "a", "b", "c"])
cloud_names = st.sampled_from([None, "User_1", "User_2"])


@given(
    st.lists(st.tuples(names, cloud_names)),
    st.lists(st.builds(ObjectResult, source_anchor=names, cloud_anchor=cloud_names, success=...)),
)
def test_no_result_is_used_twice(
    sent: list[tuple[str, str | None]], results: list[ObjectResult]
) -> None:
    objects = [by_cloud(cloud or "", anchor) for anchor, cloud in sent]

    matched = match_results(objects, results)

    assert [each.source_anchor for each in matched] == [each.source_anchor for each in objects]
    assert sum(each.success for each in matched) <= sum(each.success for each in results)
