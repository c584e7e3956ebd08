"""What counts against which limit, and when a limit is exceeded."""

from __future__ import annotations

import pytest

from entrasync.engine.brakes import Figures, Limit, Spent, exceeds, figures, source_shrank, spent_by
from entrasync.engine.changes import Action, Phase, PlannedChange
from entrasync.entra.contracts import (
    LinkChange,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)


def change(
    action: Action,
    new: dict[str, PropertyValue] | None = None,
    old: dict[str, PropertyValue] | None = None,
    *links: LinkChange,
    temporary: bool = False,
) -> PlannedChange:
    message = SyncObject(
        object_type=SyncObjectType.USER,
        operation=SyncOperation.SET,
        source_anchor="a",
        properties=new or {},
        links=links,
    )
    return PlannedChange(
        phase=Phase.USERS,
        action=action,
        message=message,
        guid=None,
        previous=old or {},
        temporary=temporary,
    )


@pytest.mark.parametrize(
    ("now", "before", "owned", "limit", "stops"),
    [
        (0, 10_000, 0, Limit(count=0), False),
        (500, 0, 100_000, Limit(count=500, percent=20), False),
        (501, 0, 100_000, Limit(count=500, percent=20), True),
        (1, 500, 100_000, Limit(count=500, percent=20), True),
        (1, 499, 100_000, Limit(count=500, percent=20), False),
        (20, 0, 100, Limit(count=500, percent=20), False),
        (21, 0, 100, Limit(count=500, percent=20), True),
        (3, 0, 5, Limit(count=500, percent=20), False),
        (5, 0, 20, Limit(count=500, percent=20), True),
        (5, 0, 20, Limit(count=500), False),
    ],
)
def test_by_count_and_per_cent_summed_over_the_window(
    now: int, before: int, owned: int, limit: Limit, *, stops: bool
) -> None:
    assert bool(exceeds(now, before, owned, limit)) is stops


@pytest.mark.parametrize(
    ("action", "new", "old", "found"),
    [
        ("update", {"userPrincipalName": "b"}, {"userPrincipalName": "a"}, Figures(identity=True)),
        ("update", {"userPrincipalName": "b"}, {}, Figures()),
        ("add", {"userPrincipalName": "b"}, {}, Figures()),
        ("update", {"title": "b"}, {"title": "a"}, Figures()),
        ("update", {"title": None, "city": None}, {"title": "a", "city": "b"}, Figures(clears=2)),
        ("update", {"title": None}, {}, Figures()),
        ("update", {"accountEnabled": False}, {"accountEnabled": True}, Figures(disables=True)),
        ("update", {"accountEnabled": False}, {}, Figures(disables=True)),
        ("update", {"accountEnabled": True}, {"accountEnabled": False}, Figures()),
        ("disable", {"accountEnabled": False}, {}, Figures(disables=True)),
        ("delete", {}, {}, Figures()),
    ],
)
def test_what_an_update_counts(
    action: str, new: dict[str, object], old: dict[str, object], found: Figures
) -> None:
    assert figures(action, new, old) == found


def test_a_reference_to_who_is_deleted_ends_with_the_deletion() -> None:
    new = {"manager": None, "publicDelegates": None, "title": None}
    old = {"manager": "gone", "publicDelegates": ["gone", "here"], "title": "gone"}

    assert figures("update", new, old).clears == 3
    assert figures("update", new, old, lambda anchor: anchor != "gone").clears == 2


@pytest.mark.parametrize("listed", [list, tuple])
@pytest.mark.parametrize(
    ("old", "new", "counts"),
    [
        (["SMTP:a"], ["SMTP:b"], True),
        (["SMTP:a"], ["SMTP:a", "smtp:b"], False),
        (["SMTP:a", "smtp:b"], ["smtp:a", "SMTP:b"], True),
        (["SMTP:a"], None, True),
    ],
)
def test_the_primary_address_is_identity_the_others_are_not(
    listed: type, old: list[str], new: list[str] | None, *, counts: bool
) -> None:
    after = None if new is None else listed(new)
    found = figures("update", {"proxyAddresses": after}, {"proxyAddresses": listed(old)})
    assert found.identity is counts


def test_what_is_spent_is_what_was_counted() -> None:
    done = [
        change(Action.DELETE),
        change(Action.ADD, {"userPrincipalName": "a"}),
        change(Action.DISABLE, {"accountEnabled": False}),
        change(Action.UPDATE, {"userPrincipalName": "b", "city": None}, {"city": "c"}),
        change(Action.UPDATE, {"userPrincipalName": "b"}, {"userPrincipalName": "a"}),
        change(
            Action.UPDATE, {"userPrincipalName": "t"}, {"userPrincipalName": "a"}, temporary=True
        ),
        change(Action.LINKS, {}, {}, LinkChange("m", add=False), LinkChange("n", add=True)),
    ]

    sums = spent_by(done)

    assert sums == {
        "deletions:User": 1,
        "disables": 1,
        "identity-changes": 1,
        "clears": 1,
        "link-removals": 1,
    }
    spent = Spent.of(sums)
    assert spent.deletions[SyncObjectType.USER] == 1
    assert spent.deletions[SyncObjectType.GROUP] == 0
    assert (spent.disables, spent.identity_changes, spent.clears, spent.link_removals) == (
        1,
        1,
        1,
        1,
    )


@pytest.mark.parametrize(
    ("before", "now", "stops"), [(100, 70, False), (100, 69, True), (10, 0, False), (0, 0, False)]
)
def test_a_shrinking_source(before: int, now: int, *, stops: bool) -> None:
    assert source_shrank(before, now, 30) is stops
