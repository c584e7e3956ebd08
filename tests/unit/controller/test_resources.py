from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from entrasync.controller.resources import merge_patch

JSON = st.recursive(
    st.integers() | st.text(max_size=3) | st.booleans() | st.lists(st.integers(), max_size=3),
    lambda inner: st.dictionaries(st.text(max_size=2), inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(st.text(max_size=2), JSON, max_size=4)


def merged(target: object, patch: Mapping[str, Any]) -> dict[str, Any]:
    """What a server makes of a merge patch (RFC 7386, section 2)."""
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            result[key] = merged(result.get(key), value)
        else:
            result[key] = value
    return result


@given(old=DOCUMENTS, new=DOCUMENTS)
def test_a_patch_makes_the_new_of_the_old(old: dict[str, Any], new: dict[str, Any]) -> None:
    assert merged(old, merge_patch(old, new)) == new


def test_counts_of_a_plan_blocked_before_go_away() -> None:
    old = {"blockedPlan": {"digest": "a", "users": {"delete": 612}}}
    new = {"blockedPlan": {"digest": "b", "groups": {"delete": 60}}}

    assert merge_patch(old, new)["blockedPlan"]["users"] is None
