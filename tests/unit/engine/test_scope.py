"""Where objects lie: containers in and out, and DNs of now."""

from __future__ import annotations

import pytest

from entrasync.engine.scope import Places

TREE: dict[int, tuple[int | None, str]] = {
    1: (None, "DC=x"),
    2: (1, "OU=Sales,DC=stale"),
    3: (2, "OU=In\\, side,OU=Sales,DC=stale"),
    4: (3, "OU=Deep,DC=stale"),
    5: (99, "OU=Lost,OU=Unknown,DC=x"),
    6: (7, "OU=Circle,DC=x"),
    7: (6, "OU=Elcric,DC=x"),
}


def places(**verdicts: bool) -> Places:
    return Places(TREE.get, {int(name[1:]): inside for name, inside in verdicts.items()})


@pytest.mark.parametrize(
    ("parent", "inside"), [(1, False), (2, True), (3, False), (4, True), (5, False), (None, False)]
)
def test_the_nearest_container_decides(parent: int | None, inside: bool) -> None:  # noqa: FBT001  - a case
    found = places(_2=True, _3=False, _4=True)

    assert found.holds(50, parent) is inside
    # asked again it is answered from memory
    assert found.holds(51, parent) is inside


def test_an_object_can_be_a_container_of_the_scope_itself() -> None:
    assert places(_50=True).holds(50, 5)
    assert not places(_1=True, _50=False).holds(50, 1)


def test_a_container_that_was_never_read_still_is_one_of_the_scope() -> None:
    assert places(_99=True).holds(50, 5)


def test_names_are_those_of_now() -> None:
    assert places().dn_of("CN=Ann\\,A,OU=Old,DC=y", 4) == (
        "CN=Ann\\,A,OU=Deep,OU=In\\, side,OU=Sales,DC=x"
    )
    assert places().dn_of("CN=Ann,DC=y", None) == "CN=Ann,DC=y"
    assert places().dn_of("CN=Ann,DC=y", 5) == "CN=Ann,OU=Lost,OU=Unknown,DC=x"
    assert places().dn_of("CN=Ann,DC=y", 99) == "CN=Ann,DC=y"


def test_circles_end() -> None:
    found = places(_1=True)

    assert not found.holds(50, 6)
    assert found.dn_of("CN=Ann,DC=y", 6).startswith("CN=Ann,OU=Circle")


def test_no_depth_is_too_deep() -> None:
    deep = {number: (number - 1, f"OU={number},DC=stale") for number in range(1, 5000)}
    found = Places({0: (None, "DC=x"), **deep}.get, {0: True})

    assert found.holds(9999, 4999)
    assert found.dn_of("CN=Ann,DC=y", 2) == "CN=Ann,OU=2,OU=1,DC=x"
