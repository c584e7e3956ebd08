"""What the service would refuse, found before it is asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from entrasync.engine.conflicts import claims_of, refused, too_large
from tests.unit.engine.world import World, anchor_of, anchors, pairs, written

ANN, BOB, CID, TEAM = 10, 11, 12, 20


@pytest.mark.parametrize(
    ("name", "valid"),
    [
        ("ann@contoso.test", True),
        ("a.n'n-x_1@contoso.test", True),
        ("an n@contoso.test", False),
        ("ann", False),
        ("ann@", False),
        ("@contoso.test", False),
        ("a@b@contoso.test", False),
        ("ann.@contoso.test", False),
        ("a%nn@contoso.test", False),
        ("a" * 64 + "@contoso.test", True),
        ("a" * 65 + "@contoso.test", False),
        ("ann@" + "c" * 49, False),
    ],
)
def test_user_principal_names(name: str, valid: bool) -> None:  # noqa: FBT001  - a case
    found = refused({"userPrincipalName": name})

    assert (found is None) is valid
    if found is not None:
        assert found.code == "IdentityDataValidationFailed"
        assert name not in found.message


@pytest.mark.parametrize(
    ("key", "most"),
    [("userCertificate", 15), ("userSMIMECertificate", 15), ("proxyAddresses", 300)],
)
def test_too_many_values(key: str, most: int) -> None:
    def values(count: int) -> tuple[str, ...]:
        return tuple(map(str, range(count)))

    assert refused({key: values(most)}) is None
    found = refused({key: values(most + 1)})
    assert found is not None
    assert found.code == "LargeObject"
    assert f"at most {most}" in found.message


def test_group_sizes() -> None:
    assert too_large(2, 2) is None
    found = too_large(3, 2)
    assert found is not None
    assert found.code == "GroupTooLarge"


def test_addresses_are_the_same_whatever_their_case_and_place() -> None:
    mail = claims_of({"mail": "Ann@x.test"})
    address = claims_of({"proxyAddresses": ("SMTP:ann@x.test", "x500:/o=x")})

    assert mail.keys() < address.keys()
    same = claims_of({"mail": "ann@x.test", "proxyAddresses": ("smtp:ann@x.test",)})
    assert same == dict.fromkeys(mail, 1)


def test_names_to_sign_in_with_are_no_addresses() -> None:
    name = claims_of({"userPrincipalName": "ann@x.test"})

    assert name == claims_of({"userPrincipalName": "Ann@X.test"})
    assert name.keys().isdisjoint(claims_of({"mail": "ann@x.test"}))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.store.close()


class TestValues:
    @pytest.mark.parametrize(
        ("attribute", "value", "code"),
        [
            ("userPrincipalName", "secret@x.test", "DuplicateUserPrincipalName"),
            ("mail", "secret@x.test", "DuplicateMail"),
            ("proxyAddresses", "smtp:secret@x.test", "DuplicateProxyAddress"),
        ],
    )
    def test_the_first_anchor_gets_it(
        self, world: World, attribute: str, value: str, code: str
    ) -> None:
        for guid in (BOB, ANN):
            world.user(guid, mailNickname="x", **{attribute: value})
        world.evaluate()

        assert world.conflicts() == {anchor_of(BOB): code}
        assert {anchor for anchor, _ in world.pending()} == anchors(ANN)
        (withheld,) = world.store.evaluation.withheld()
        assert withheld.reason == code
        assert "secret" not in withheld.message

    @pytest.mark.parametrize("attribute", ["userPrincipalName", "mail", "proxyAddresses"])
    def test_of_two_sources_as_well(self, tmp_path: Path, attribute: str) -> None:
        world = World(tmp_path / "two", sources=2)
        value = "smtp:same@x.test" if attribute == "proxyAddresses" else "same@x.test"
        for guid, source in ((BOB, 1), (ANN, 2)):
            world.user(guid, source=source, parent=source, **{attribute: value})
        world.evaluate()

        assert world.conflicts().keys() == anchors(BOB)
        assert {anchor for anchor, _ in world.pending()} == anchors(ANN)
        world.store.close()

    def test_its_holder_in_the_cloud_keeps_it(self, world: World) -> None:
        world.hold(BOB, properties={"userPrincipalName": "same@x.test"})
        for guid in (ANN, BOB):
            world.user(guid, userPrincipalName="same@x.test")
        world.evaluate()

        assert world.conflicts() == {anchor_of(ANN): "DuplicateUserPrincipalName"}

    def test_who_held_it_in_the_cloud_no_longer_gives_way_to_the_first(self, world: World) -> None:
        world.hold(BOB, properties={"userPrincipalName": "same@x.test"})
        for guid in (ANN, BOB):
            world.user(guid, userPrincipalName="same@x.test")
        world.evaluate()
        world.lose(BOB)
        world.evaluate()

        assert world.conflicts() == {anchor_of(BOB): "DuplicateUserPrincipalName"}
        assert {anchor for anchor, _ in world.pending()} == anchors(ANN)

    def test_who_lost_is_compared_again_when_it_is_given_up(self, world: World) -> None:
        for guid in (ANN, BOB):
            world.user(guid, userPrincipalName="same@x.test")
        world.group(TEAM, BOB)
        world.evaluate()
        assert world.links() == set()

        world.user(ANN, userPrincipalName="other@x.test")
        world.evaluate()

        assert world.conflicts() == {}
        assert written(world, BOB)["userPrincipalName"] == "same@x.test"
        assert world.links() == pairs((TEAM, BOB, 1))

    def test_a_swap_is_none(self, world: World) -> None:
        for guid, name in ((ANN, "a@x.test"), (BOB, "b@x.test")):
            world.user(guid, userPrincipalName=name)
        world.evaluate()
        world.export()
        for guid, name in ((ANN, "b@x.test"), (BOB, "a@x.test")):
            world.user(guid, userPrincipalName=name)
        world.evaluate()

        assert world.conflicts() == {}
        assert len(world.pending()) == 2

    def test_a_hand_over_is_none(self, world: World) -> None:
        world.user(ANN, userPrincipalName="a@x.test")
        world.evaluate()
        world.export()
        world.user(ANN, userPrincipalName="b@x.test")
        world.user(BOB, userPrincipalName="a@x.test")
        world.evaluate()

        assert world.conflicts() == {}

    def test_what_is_refused_anyway_takes_nothing_from_others(self, world: World) -> None:
        world.user(ANN, userPrincipalName="a b@x.test", mail="same@x.test")
        world.user(BOB, mail="same@x.test")
        world.evaluate()

        assert world.conflicts() == {anchor_of(ANN): "IdentityDataValidationFailed"}

    def test_who_conflicts_stays_a_member_where_it_is_there(self, world: World) -> None:
        for guid in (ANN, BOB):
            world.user(guid)
        world.group(TEAM, BOB)
        world.evaluate()
        world.export()
        for guid in (ANN, BOB):
            world.user(guid, userPrincipalName="same@x.test")
        world.evaluate()

        assert world.links() == set()
        world.unlink(TEAM, BOB)
        world.evaluate()
        assert world.links() == pairs((TEAM, BOB, 0))
