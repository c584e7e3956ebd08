"""Brakes: what stops, what passes, and what an approval lets through."""

from __future__ import annotations

import pytest

from entrasync.engine.brakes import (
    Limit,
    Owned,
    SafetyLimits,
    Spent,
    check_brakes,
    source_shrank,
)
from entrasync.engine.plan import Action, Phase, Plan, PlannedChange
from entrasync.entra.contracts import (
    LinkChange,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)

MANY = Owned(
    objects={
        SyncObjectType.USER: 100_000,
        SyncObjectType.GROUP: 100_000,
        SyncObjectType.CONTACT: 100_000,
    },
    links=10_000_000,
)
NOTHING = Spent()
USER = SyncObjectType.USER


def plan(*changes: PlannedChange) -> Plan:
    return Plan(changes=changes, adopted=frozenset(), unaccounted=frozenset(), orphans={})


def deletions(count: int, object_type: SyncObjectType = USER) -> list[PlannedChange]:
    return [
        PlannedChange(
            phase=Phase.DELETIONS,
            action=Action.DELETE,
            guid=None,
            message=SyncObject(
                object_type=object_type,
                operation=SyncOperation.DELETE,
                source_anchor=f"{object_type}-{number}",
            ),
        )
        for number in range(count)
    ]


def update(key: str, old: PropertyValue, new: PropertyValue, anchor: str = "a") -> PlannedChange:
    return PlannedChange(
        phase=Phase.USERS,
        action=Action.UPDATE,
        guid="g",
        message=SyncObject(
            object_type=USER,
            operation=SyncOperation.SET,
            source_anchor=anchor,
            properties={key: new},
        ),
        previous={key: old},
    )


def unlink(count: int) -> PlannedChange:
    return PlannedChange(
        phase=Phase.LINKS,
        action=Action.LINKS,
        guid="g",
        message=SyncObject(
            object_type=SyncObjectType.GROUP,
            operation=SyncOperation.SET,
            source_anchor="group",
            links=tuple(LinkChange(anchor=str(n), add=False) for n in range(count)),
        ),
    )


@pytest.mark.parametrize(
    ("count", "object_type", "spent", "stops"),
    [
        (500, SyncObjectType.USER, 0, False),
        (501, SyncObjectType.USER, 0, True),
        (50, SyncObjectType.GROUP, 0, False),
        (51, SyncObjectType.GROUP, 0, True),
        (501, SyncObjectType.CONTACT, 0, True),
        (1, SyncObjectType.USER, 500, True),
        (1, SyncObjectType.USER, 499, False),
    ],
)
def test_deletions_by_count_summed_over_the_window(
    count: int, object_type: SyncObjectType, spent: int, *, stops: bool
) -> None:
    found = check_brakes(
        plan(*deletions(count, object_type)),
        SafetyLimits(),
        MANY,
        Spent(deletions={object_type: spent}),
        approved=frozenset(),
    )
    assert (found is not None) is stops
    if found is not None:
        assert found.brakes[0].reason == "DeletionThresholdExceeded"
        assert "spec.safety" in found.brakes[0].message


@pytest.mark.parametrize(
    ("count", "owned", "stops"), [(20, 100, False), (21, 100, True), (3, 5, False), (5, 20, True)]
)
def test_deletions_by_per_cent_from_twenty_objects_up(
    count: int, owned: int, *, stops: bool
) -> None:
    found = check_brakes(
        plan(*deletions(count)),
        SafetyLimits(),
        Owned(objects={USER: owned}),
        NOTHING,
        approved=frozenset(),
    )
    assert (found is not None) is stops


def test_an_approval_lets_exactly_what_was_braked_through() -> None:
    many = deletions(501)
    first = check_brakes(plan(*many), SafetyLimits(), MANY, NOTHING, approved=frozenset())
    assert first is not None
    approved = frozenset({first.digest})
    assert check_brakes(plan(*many), SafetyLimits(), MANY, NOTHING, approved=approved) is None
    # other changes never alter what was approved
    other = update("title", "a", "b")
    assert (
        check_brakes(plan(*many, other), SafetyLimits(), MANY, NOTHING, approved=approved) is None
    )
    one_more = plan(*deletions(502))
    assert check_brakes(one_more, SafetyLimits(), MANY, NOTHING, approved=approved) is not None


def test_what_is_braked_is_counted_and_sampled() -> None:
    found = check_brakes(plan(*deletions(501)), SafetyLimits(), MANY, NOTHING, approved=frozenset())
    assert found is not None
    assert found.counts() == {"users": {"delete": 501}}
    assert len(found.sample) == 10


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        (update("userPrincipalName", "a@x", "b@x"), True),
        (update("proxyAddresses", ("SMTP:a",), ("SMTP:b",)), True),
        (update("proxyAddresses", ("SMTP:a",), ("SMTP:a", "smtp:b")), False),
        (update("title", "a", "b"), False),
    ],
)
def test_identity_changes(change: PlannedChange, *, counts: bool) -> None:
    limits = SafetyLimits(identity_changes=Limit(count=0, percent=100))
    found = check_brakes(plan(change), limits, MANY, NOTHING, approved=frozenset())
    assert (found is not None) is counts
    if found is not None:
        assert found.brakes[0].reason == "IdentityChangeThresholdExceeded"


@pytest.mark.parametrize(("count", "stops"), [(50_000, False), (50_001, True)])
def test_link_removals(count: int, *, stops: bool) -> None:
    found = check_brakes(plan(unlink(count)), SafetyLimits(), MANY, NOTHING, approved=frozenset())
    assert (found is not None) is stops
    if found is not None:
        assert found.counts() == {"links": {"remove": count}}


@pytest.mark.parametrize(
    ("before", "now", "stops"), [(100, 70, False), (100, 69, True), (10, 0, False), (0, 0, False)]
)
def test_a_shrinking_source(before: int, now: int, *, stops: bool) -> None:
    assert source_shrank(before, now, 30) is stops
