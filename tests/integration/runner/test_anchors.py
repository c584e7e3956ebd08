"""Anchors from an attribute of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.integration.runner.test_runs import changed
from tests.support.emulator import EmulatorServer
from tests.support.hand import Hand
from tests.support.rig import Rig
from tests.support.samba import SambaServer

pytestmark = pytest.mark.integration

BASE = "DC=contoso,DC=test"
_numbers = count(1)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaServer]:
    with SambaServer(tmp_path_factory.mktemp("ad") / "anchors") as server:
        yield server


class Place:
    """A container of the test's own, the only one in scope."""

    def __init__(self, rig: Rig, hand: Hand) -> None:
        self.rig = rig
        self.hand = hand
        self.number = next(_numbers)
        self.dn = hand.add(f"OU=Place {self.number},{BASE}", "organizationalUnit")
        rig.source["include"] = [self.dn]
        rig.sync["spec"]["sourceAnchor"] = {"from": "Attribute", "attribute": "employeeID"}

    def user(self, name: str, **more: Any) -> str:
        account = f"{name}{self.number}"
        return self.hand.add(
            f"CN={name},{self.dn}",
            "user",
            sAMAccountName=account,
            userPrincipalName=f"{account}@contoso.test",
            **more,
        )


@pytest.fixture
def place(tmp_path: Path, directory: SambaServer, cloud: EmulatorServer) -> Iterator[Place]:
    with Hand(directory) as hand:
        yield Place(Rig(tmp_path, directory, cloud), hand)


def test_who_has_one_arrives_under_it_and_who_has_none_waits(place: Place) -> None:
    anna = place.user("anna", employeeID="E-1001")
    bert = place.user("bert")
    place.user("carl", employeeID="carl_1")
    place.user("dora", employeeID="1" * 16)
    place.hand.replace(anna, "manager", f"CN=dora,{place.dn}")
    # groups have no such attribute, nor do they need it
    place.hand.add(
        f"CN=team,{place.dn}", "group", sAMAccountName=f"team{place.number}", member=anna
    )

    result = place.rig.run(code=4)

    assert changed(result) == {"users": {"add": 2}, "groups": {"add": 1}, "links": {"add": 1}}
    assert place.rig.anchors("User") == {"E-1001", "1" * 16}
    assert place.rig.cloud.object("E-1001")["attributes"]["manager"] == "1" * 16
    assert sorted(each.code for each in result.errors) == ["AnchorMissing"] * 2
    assert "the attribute that anchors come from" in result.errors[0].message
    again = place.rig.run(code=4)
    assert changed(again) == {}
    assert again.error_count == 2

    place.hand.replace(bert, "employeeID", "E-1002")
    place.hand.delete(f"CN=carl,{place.dn}")
    assert changed(place.rig.run()) == {"users": {"add": 1}}
    assert changed(place.rig.run(scope="Full")) == {}


def test_another_value_later_is_withheld_and_the_old_one_goes_on(place: Place) -> None:
    place.user("stays", employeeID="E-1")
    anna = place.user("anna", employeeID="E-2", title="Chief")
    place.rig.run()

    place.hand.replace(anna, "employeeID", "E-3")
    place.hand.replace(anna, "title", "Chair")
    for scope in (None, "Full", None):
        result = place.rig.run(code=4, scope=scope)
        assert changed(result) == {}
        assert [(each.anchor, each.code) for each in result.errors] == [("E-2", "AnchorChanged")]
        assert "employeeID" in result.errors[0].message
    assert place.rig.anchors("User") == {"E-1", "E-2"}
    assert place.rig.cloud.object("E-2")["attributes"]["title"] == "Chief"
    # none at all: the same
    place.hand.replace(anna, "employeeID")
    result = place.rig.run(code=4)
    assert [(each.anchor, each.code) for each in result.errors] == [("E-2", "AnchorMissing")]
    assert changed(result) == {}

    place.hand.replace(anna, "employeeID", "E-2")
    assert changed(place.rig.run()) == {"users": {"update": 1}}
    place.hand.delete(anna)
    assert changed(place.rig.run()) == {"users": {"delete": 1}}
    assert changed(place.rig.run(scope="Full")) == {}


def test_two_with_the_same_are_both_withheld(place: Place) -> None:
    place.user("anna", employeeID="E-1")
    place.rig.run()
    bert = place.user("bert", employeeID="E-1")

    result = place.rig.run(code=4)

    assert changed(result) == {}
    assert {each.code for each in result.errors} == {"DuplicateAnchor"}
    assert place.rig.anchors("User") == {"E-1"}
    place.hand.replace(bert, "employeeID", "E-2")
    assert changed(place.rig.run()) == {"users": {"add": 1}}
    assert changed(place.rig.run(scope="Full")) == {}


def test_a_lost_volume_adopts_by_the_attribute(place: Place) -> None:
    anna = place.user("anna", employeeID="E-1")
    place.rig.run()
    for file in place.rig.state.iterdir():
        file.unlink()

    result = place.rig.run()

    assert changed(result) == {}
    assert result.objects is not None
    assert result.objects.users == 1
    # and who is deleted then is known for theirs
    place.user("stays", employeeID="E-2")
    place.hand.delete(anna)
    assert changed(place.rig.run()) == {"users": {"add": 1, "delete": 1}}
