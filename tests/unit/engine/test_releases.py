"""Unique values that change hands: whoever gives one up is written before whoever takes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrasync.engine.brakes import figures_of
from entrasync.engine.changes import Action, Phase, PlannedChange, count_changes
from entrasync.engine.releases import LAST_STEP, Move, order_releases, unique_values
from entrasync.entra.contracts import PropertyValue, SyncObjectType, SyncOperation
from entrasync.state.store import Store
from tests.support.pending import Made, Scratch

Properties = Mapping[str, PropertyValue]
Directory = dict[str, Properties]
USER, CONTACT, GROUP = SyncObjectType.USER, SyncObjectType.CONTACT, SyncObjectType.GROUP


class TakenError(AssertionError):
    """A directory that refuses duplicates was given one."""


class Tenant:
    """Holds objects, and refuses a unique value that another one holds.

    Args:
        objects: what it holds, by anchor.
    """

    def __init__(self, objects: Directory) -> None:
        self.objects = dict(objects)

    def apply(self, change: PlannedChange) -> None:
        """One change, as the service would do it."""
        message = change.message
        if message.operation is SyncOperation.DELETE:
            del self.objects[message.source_anchor]
            return
        merged = {**self.objects.get(message.source_anchor, {}), **message.properties}
        after = {key: value for key, value in merged.items() if value is not None}
        wanted = names(after)
        for anchor, other in self.objects.items():
            if anchor != message.source_anchor and wanted & names(other):
                raise TakenError(f"{message.source_anchor} takes what {anchor} has")
        self.objects[message.source_anchor] = after


def names(properties: Properties) -> set[str]:
    """What must be unique: names to sign in with, and addresses, whatever they are kept in."""
    upn, mail = properties.get("userPrincipalName"), properties.get("mail")
    addresses = properties.get("proxyAddresses")
    found = {f"upn:{upn!s}".lower()} if upn else set()
    if mail:
        found.add(f"smtp:{mail!s}".lower())
    return found | {str(each).lower() for each in addresses or ()}  # type: ignore[union-attr]


def requests(plan: Made) -> Iterator[list[PlannedChange]]:
    """Changes that may travel in one request, in any order."""
    for _, together in groupby(plan.changes, key=lambda each: (each.phase, each.step)):
        yield list(together)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scratch]:
    with Store(tmp_path_factory.mktemp("state")) as store:
        yield Scratch(store)


# --- what must hold for whatever changes hands -------------------------------------------------

ANCHORS = [f"anchor-{number}" for number in range(7)]
NAMES = [f"n{number}@contoso.test" for number in range(8)]


@st.composite
def directories(draw: st.DrawFn) -> Directory:
    """Objects without a duplicate."""
    anchors = draw(st.lists(st.sampled_from(ANCHORS), unique=True))
    upns = draw(st.permutations(NAMES))
    owners = {name: draw(st.sampled_from([*anchors, ""])) for name in NAMES}
    found: Directory = {}
    for anchor, upn in zip(anchors, upns, strict=False):
        mine = [name for name in NAMES if owners[name] == anchor]
        mail = draw(st.sampled_from([None, *mine]))
        addresses = [name for name in mine if name != mail or draw(st.booleans())]
        properties: dict[str, PropertyValue] = {"displayName": draw(st.sampled_from("xyz"))}
        if draw(st.booleans()):
            properties["userPrincipalName"] = _cased(draw, upn)
        if mail is not None:
            properties["mail"] = _cased(draw, mail)
        if addresses:
            properties["proxyAddresses"] = tuple(
                draw(st.sampled_from(["SMTP:", "smtp:"])) + name for name in addresses
            )
        found[anchor] = properties
    return found


def _cased(draw: st.DrawFn, name: str) -> str:
    return name.upper() if draw(st.booleans()) else name


KINDS = st.fixed_dictionaries(
    {anchor: st.sampled_from([USER, CONTACT, GROUP]) for anchor in ANCHORS}
)


@given(directories(), directories(), KINDS, st.randoms(use_true_random=False))
def test_no_value_is_taken_while_it_is_held_and_all_get_theirs(
    scratch: Scratch,
    before: Directory,
    after: Directory,
    kinds: dict[str, SyncObjectType],
    dice: Any,
) -> None:
    tenant = Tenant(before)
    for together in requests(scratch.planned(before, after, kinds)):
        dice.shuffle(together)
        for change in together:
            tenant.apply(change)
    assert tenant.objects == after


@given(directories(), directories(), KINDS, st.data())
def test_a_run_killed_between_two_requests_is_mended_by_the_next(
    scratch: Scratch,
    before: Directory,
    after: Directory,
    kinds: dict[str, SyncObjectType],
    data: st.DataObject,
) -> None:
    tenant = Tenant(before)
    batches = list(requests(scratch.planned(before, after, kinds)))
    for together in batches[: data.draw(st.integers(0, len(batches)))]:
        for change in together:
            tenant.apply(change)
    for together in requests(scratch.planned(tenant.objects, after, kinds)):
        for change in together:
            tenant.apply(change)
    assert tenant.objects == after


@given(directories(), directories(), KINDS)
def test_nothing_is_counted_twice_and_plans_are_the_same_every_time(
    scratch: Scratch, before: Directory, after: Directory, kinds: dict[str, SyncObjectType]
) -> None:
    plan = scratch.planned(before, after, kinds)
    again = scratch.planned(dict(reversed(before.items())), dict(reversed(after.items())), kinds)
    assert [replace(each, number=0) for each in plan.changes] == [
        replace(each, number=0) for each in again.changes
    ]
    assert plan.digest == again.digest

    own = [change for change in plan.changes if not change.temporary]
    anchors = [change.message.source_anchor for change in own]
    assert len(anchors) == len(set(anchors))
    assert sum(count_changes(plan.changes).objects.values()) == len(own)
    for change in plan.changes:
        if change.temporary:
            assert change.message.source_anchor in anchors
            assert not figures_of(change).identity


@given(directories(), directories(), KINDS)
def test_only_what_somebody_waits_for_is_moved(
    scratch: Scratch, before: Directory, after: Directory, kinds: dict[str, SyncObjectType]
) -> None:
    for change in scratch.planned(before, after, kinds).changes:
        anchor = change.message.source_anchor
        if change.phase is Phase.RELEASES:
            held = {name for _, name in unique_values(before[anchor])}
            others = [unique_values(after[each]) for each in after.keys() - {anchor}]
            assert any(name in held for values in others for _, name in values)
        elif change.action is not Action.DELETE:
            assert (
                change.phase
                == {USER: Phase.USERS, CONTACT: Phase.CONTACTS, GROUP: Phase.GROUPS}[kinds[anchor]]
            )


@settings(max_examples=10)
@given(st.permutations(range(160)), st.permutations(range(160)))
def test_a_great_tangle_is_no_exception(
    scratch: Scratch, first: list[int], second: list[int]
) -> None:
    def dealt(order: list[int]) -> Directory:
        return {
            f"{n:02}": {
                "proxyAddresses": tuple(f"smtp:{each}@x" for each in order[4 * n : 4 * n + 4])
            }
            for n in range(40)
        }

    tenant = Tenant(dealt(first))
    for together in requests(scratch.planned(dealt(first), dealt(second), {})):
        for change in together:
            tenant.apply(change)
    assert tenant.objects == dealt(second)


# --- single cases ------------------------------------------------------------------------------


def upn(name: str) -> Properties:
    return {"userPrincipalName": f"{name}@contoso.test"}


def shown(plan: Made) -> list[tuple[str, int, str, str]]:
    return [
        (
            each.phase.name,
            each.step,
            each.message.source_anchor,
            "for a moment" if each.temporary else str(each.action),
        )
        for each in plan.changes
    ]


def test_a_chain_is_sent_from_its_end(scratch: Scratch) -> None:
    before = {"a": upn("one"), "b": upn("two"), "c": upn("three"), "z": upn("other")}
    after = {"a": upn("two"), "b": upn("three"), "c": upn("four"), "z": upn("another")}

    assert shown(scratch.planned(before, after, {})) == [
        ("RELEASES", 0, "c", "update"),
        ("RELEASES", 1, "b", "update"),
        ("USERS", 0, "a", "update"),
        ("USERS", 0, "z", "update"),
    ]


def test_who_takes_over_from_a_leaver_waits_for_the_deletion_only(scratch: Scratch) -> None:
    plan = scratch.planned({"a": upn("one"), "b": upn("two")}, {"b": upn("one")}, {})

    assert [phase for phase, *_ in shown(plan)] == ["DELETIONS", "USERS"]


def test_a_newcomer_waits_for_a_rename_and_comes_before_other_updates(scratch: Scratch) -> None:
    before = {"a": upn("one"), "b": upn("two")}
    after = {"a": upn("married"), "b": upn("moved"), "new": upn("one")}

    assert shown(scratch.planned(before, after, {})) == [
        ("RELEASES", 0, "a", "update"),
        ("USERS", 0, "new", "add"),
        ("USERS", 0, "b", "update"),
    ]


def test_a_user_need_not_go_ahead_of_a_group_that_comes_later_anyway(scratch: Scratch) -> None:
    before: Directory = {
        "u": {"proxyAddresses": ("SMTP:u@x", "smtp:team@x")},
        "g": {"proxyAddresses": ("SMTP:g@x",)},
    }
    after: Directory = {
        "u": {"proxyAddresses": ("SMTP:u@x",)},
        "g": {"proxyAddresses": ("SMTP:g@x", "smtp:team@x")},
    }

    assert [phase for phase, *_ in shown(scratch.planned(before, after, {"g": GROUP}))] == [
        "USERS",
        "GROUPS",
    ]
    assert [phase for phase, *_ in shown(scratch.planned(after, before, {"g": GROUP}))] == [
        "RELEASES",
        "USERS",
    ]


def test_two_who_swap_names_need_one_temporary_name(scratch: Scratch) -> None:
    plan = scratch.planned(
        {"a": upn("one"), "b": upn("two")}, {"a": upn("two"), "b": upn("one")}, {}
    )

    assert shown(plan) == [
        ("RELEASES", 0, "a", "for a moment"),
        ("RELEASES", 1, "b", "update"),
        ("RELEASES", 2, "a", "update"),
    ]
    temporary = str(plan.changes[0].message.properties["userPrincipalName"])
    name, _, suffix = temporary.partition("@")
    assert suffix == "contoso.test"
    assert len(name) == len("7b0a9a3c-6a55-4f0e-9b8e-2f5f0f6f9d11")
    assert plan.changes[0].previous == upn("one")


@pytest.mark.parametrize(
    ("a", "b", "let_go"),
    [
        (
            {"proxyAddresses": ("SMTP:a@x", "smtp:info@x")},
            {"proxyAddresses": ("SMTP:b@x", "smtp:help@x")},
            {"proxyAddresses": ("SMTP:a@x",)},
        ),
        (
            {"mail": "info@x", "proxyAddresses": ("SMTP:info@x",)},
            {"mail": "help@x", "proxyAddresses": ("SMTP:help@x",)},
            {"mail": None, "proxyAddresses": None},
        ),
        ({"mail": "info@x"}, {"proxyAddresses": ("smtp:HELP@x",)}, {"mail": None}),
    ],
)
def test_addresses_are_narrowed_to_what_nobody_takes(
    scratch: Scratch, a: Properties, b: Properties, let_go: Properties
) -> None:
    swap = {"info@x": "help@x", "help@x": "info@x"}

    def swapped(properties: Properties) -> Properties:
        return {
            key: tuple(_replaced(str(each), swap) for each in value)
            if isinstance(value, tuple)
            else _replaced(str(value), swap)
            for key, value in properties.items()
        }

    plan = scratch.planned({"a": a, "b": b}, {"a": swapped(a), "b": swapped(b)}, {})

    (first, *_) = plan.changes
    assert first.temporary
    assert first.message.properties == let_go


def _replaced(value: str, swap: Mapping[str, str]) -> str:
    prefix, colon, address = value.rpartition(":")
    return prefix + colon + swap.get(address.lower(), address)


def test_another_spelling_of_its_own_value_gives_nothing_up(scratch: Scratch) -> None:
    before: Directory = {"a": {"proxyAddresses": ("SMTP:a@x", "smtp:b@x"), **upn("one")}}
    after: Directory = {"a": {"proxyAddresses": ("SMTP:b@x", "smtp:A@x"), **upn("ONE")}}

    assert [phase for phase, *_ in shown(scratch.planned(before, after, {}))] == ["USERS"]


def test_nobody_keeps_a_temporary_name_while_others_are_sent(scratch: Scratch) -> None:
    before = {f"{n:03}": upn(f"other{n}") for n in range(300)}
    after = {f"{n:03}": upn(f"another{n}") for n in range(300)}
    before |= {"x": upn("one"), "y": upn("two"), "z": upn("three")}
    after |= {"x": upn("two"), "y": upn("one"), "z": upn("four")}

    order = [anchor for _, _, anchor, _ in shown(scratch.planned(before, after, {}))]

    assert order[:3] == ["x", "y", "x"]


def test_who_lets_go_and_is_to_have_another_ones_value_waits_for_that_one_only(
    scratch: Scratch,
) -> None:
    # a group that swaps with a group, and takes an address of a user who is in no hurry otherwise
    before: Directory = {
        "g1": {"proxyAddresses": ("smtp:one@x",)},
        "g2": {"proxyAddresses": ("smtp:two@x",)},
        "u": {"proxyAddresses": ("smtp:three@x",)},
    }
    after: Directory = {
        "g1": {"proxyAddresses": ("smtp:three@x", "smtp:two@x")},
        "g2": {"proxyAddresses": ("smtp:one@x",)},
        "u": {},
    }

    plan = scratch.planned(before, after, {"g1": GROUP, "g2": GROUP})

    assert {phase for phase, *_ in shown(plan)} == {"RELEASES"}
    assert shown(plan)[-1] == ("RELEASES", 2, "g1", "update")


def renumbered(count: int) -> Sequence[Move]:
    """Each takes the name of the next."""
    return [
        Move(anchor=f"{n:06}", phase=2, before=upn(str(n)), after=upn(str(n + 1)))
        for n in range(count)
    ]


def test_a_long_chain_lets_go_in_between() -> None:
    order = order_releases(renumbered(1000))

    assert max(order.steps.values()) <= LAST_STEP
    assert 0 < len(order.temporary) <= 1000 // LAST_STEP


def test_one_circle_of_all_needs_few_temporary_names() -> None:
    moves = [*renumbered(999)[:-1]]
    last = Move(anchor="last", phase=2, before=upn("998"), after=upn("0"))

    order = order_releases([*moves, last])

    assert 0 < len(order.temporary) <= 1000 // LAST_STEP + 1
