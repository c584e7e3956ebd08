from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.emulator.config import Tenant
from entrasync.emulator.overview import Overview, title_of
from entrasync.emulator.persistence import DataFile
from entrasync.emulator.store import TenantStore
from entrasync.emulator.switches import Switches
from entrasync.emulator.tenant import start_tenant
from entrasync.entra.contracts import LinkChange, SyncObject, SyncObjectType, SyncOperation

MANY = 1000
PEOPLE = st.sampled_from(["u1", "u2", "u3"])
GROUPS = st.sampled_from(["g1", "g2"])
CHANGES = st.lists(
    st.one_of(
        st.tuples(st.just("put"), PEOPLE),
        st.tuples(st.just("delete"), st.one_of(PEOPLE, GROUPS)),
        st.tuples(st.just("link"), GROUPS, PEOPLE),
        st.tuples(st.just("unlink"), GROUPS, PEOPLE),
    ),
    max_size=20,
)


def store() -> TenantStore:
    numbers = itertools.count()
    tenant = Tenant.model_validate(
        {
            "tenantId": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
            "verifiedDomains": ["x.test"],
            "applications": [{"clientId": "7d444840-9dc0-11d1-b245-5ffdce74fad2"}],
        }
    )
    with DataFile(None) as data:
        started = start_tenant(
            tenant,
            Switches(),
            data,
            new_id=lambda: f"id-{next(numbers):03}",
            digits=lambda: "0000",
        )
    return started.store


def kind_of(anchor: str) -> SyncObjectType:
    return SyncObjectType.GROUP if anchor.startswith("g") else SyncObjectType.USER


def put(tenant: TenantStore, anchor: str, *links: LinkChange, **properties: Any) -> None:
    change = SyncObject(
        object_type=kind_of(anchor),
        operation=SyncOperation.SET,
        source_anchor=anchor,
        properties=properties,
        links=links,
    )
    tenant.apply(change, max_members=MANY)


def delete(tenant: TenantStore, anchor: str) -> None:
    change = SyncObject(
        object_type=kind_of(anchor), operation=SyncOperation.DELETE, source_anchor=anchor
    )
    tenant.apply(change, max_members=MANY)


def perform(tenant: TenantStore, change: tuple[str, ...]) -> None:
    match change:
        case ("put", anchor):
            put(tenant, anchor)
        case ("delete", anchor):
            delete(tenant, anchor)
        case (what, group, anchor):
            put(tenant, group, LinkChange(anchor=anchor, add=what == "link"))
        case _:
            raise AssertionError(change)


@given(CHANGES)
def test_counts_are_those_of_counting_anew(changes: list[tuple[str, ...]]) -> None:
    tenant = store()
    overview = Overview(tenant)
    for change in changes:
        perform(tenant, change)
        counts = overview.counts()

        everything = list(tenant.objects())
        live = [each for each in everything if not each.deleted]
        assert counts.deleted == len(everything) - len(live) == len(overview.deleted())
        for kind in SyncObjectType:
            assert overview.live(kind) == [each for each in live if each.object_type is kind]
            assert counts.live[kind] == len(overview.live(kind))
        assert counts.links == sum(len(list(tenant.members(each))) for each in live)
        for group in overview.live(SyncObjectType.GROUP):
            assert overview.member_anchors(group) == sorted(
                each.source_anchor for each in tenant.members(group)
            )


def test_nothing_is_counted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = store()
    put(tenant, "u1")
    put(tenant, "g1", LinkChange(anchor="u1", add=True))
    overview = Overview(tenant)
    counts, group = overview.counts(), tenant.find("g1")
    assert group is not None
    anchors = overview.member_anchors(group)

    def refuse(*_: object) -> None:
        raise AssertionError("the tenant did not change")

    monkeypatch.setattr(TenantStore, "objects", refuse)
    monkeypatch.setattr(TenantStore, "members", refuse)
    assert overview.counts() is counts
    assert overview.member_anchors(group) is anchors
    assert [each.source_anchor for each in overview.live(SyncObjectType.USER)] == ["u1"]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_members_come_piece_by_piece_while_they_change(size: int) -> None:
    tenant = store()
    overview = Overview(tenant)
    people = [f"u{number}" for number in range(5)]
    for each in people:
        put(tenant, each)
    put(tenant, "g1", *(LinkChange(anchor=each, add=True) for each in people))
    group = tenant.find("g1")
    assert group is not None

    seen: list[str] = []
    last = ""
    while piece := overview.members_after(group, last, size):
        seen += [each.source_anchor for each in piece]
        last = piece[-1].cloud_anchor
        put(tenant, people[0], city="Bonn")

    assert seen == people


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["u1", "u2"]),
        ("ANN", ["u1"]),
        ("smtp:b@", ["u2"]),
        ("example", ["u1", "u2"]),
        ("user_id-001", ["u2"]),
        ("carl", []),
    ],
)
def test_objects_are_found_by_what_people_know(text: str, found: list[str]) -> None:
    tenant = store()
    overview = Overview(tenant)
    put(tenant, "u1", displayName="Ann Example", userPrincipalName="ann@x.test")
    put(tenant, "u2", displayName="Bob Example", proxyAddresses=("smtp:b@x.test",))

    def search(wanted: str) -> list[str]:
        listed = overview.live(SyncObjectType.USER)
        return [each.source_anchor for each in overview.matching(listed, wanted)]

    assert search(text) == found
    put(tenant, "u1", displayName="Carl Example")
    assert search("carl") == ["u1"]


@pytest.mark.parametrize(
    ("properties", "title"),
    [
        ({"displayName": "Ann Example", "userPrincipalName": "ann@x.test"}, "Ann Example"),
        ({"userPrincipalName": "ann@x.test"}, "ann@x.test"),
        ({}, "u1"),
    ],
)
def test_an_object_has_a_title(properties: dict[str, str], title: str) -> None:
    tenant = store()
    put(tenant, "u1", **properties)
    found = tenant.find("u1")
    assert found is not None
    assert title_of(found) == title
