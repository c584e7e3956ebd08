from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.emulator.naming import NameIndex
from entrasync.emulator.objects import Attributes
from entrasync.emulator.store import MatchingRules, TenantStore
from entrasync.entra.contracts import (
    LinkChange,
    ObjectResult,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)

LIMIT = 10


def store(*, resiliency: bool = True, block_soft_match: bool = False) -> TenantStore:
    numbers = itertools.count(1)
    digits = itertools.count(1)
    return TenantStore(
        names=NameIndex(
            initial_domain="contoso.onmicrosoft.com",
            verified_domains=frozenset({"contoso.test"}),
            resiliency=resiliency,
            digits=lambda: f"{next(digits):04}",
        ),
        matching=MatchingRules(block_soft_match=block_soft_match),
        new_id=lambda: f"id-{next(numbers)}",
    )


def put(
    tenant: TenantStore,
    anchor: str,
    kind: SyncObjectType = SyncObjectType.USER,
    *,
    add: tuple[str, ...] = (),
    remove: tuple[str, ...] = (),
    limit: int = LIMIT,
    **properties: Any,
) -> ObjectResult:
    links = [LinkChange(anchor=each, add=True) for each in add]
    links += [LinkChange(anchor=each, add=False) for each in remove]
    change = SyncObject(
        object_type=kind,
        operation=SyncOperation.SET,
        source_anchor=anchor,
        properties=properties,
        links=tuple(links),
    )
    return tenant.apply(change, max_members=limit)


def delete(
    tenant: TenantStore, anchor: str, kind: SyncObjectType = SyncObjectType.USER
) -> ObjectResult:
    change = SyncObject(object_type=kind, operation=SyncOperation.DELETE, source_anchor=anchor)
    return tenant.apply(change, max_members=LIMIT)


def attributes(tenant: TenantStore, anchor: str) -> dict[str, Any]:
    found = tenant.find(anchor)
    assert found is not None
    return dict(found.attributes.items())


def members(tenant: TenantStore, anchor: str) -> set[str]:
    found = tenant.find(anchor)
    assert found is not None
    return {each.source_anchor for each in tenant.members(found)}


def test_an_upsert_keeps_what_is_absent_and_clears_what_is_nil() -> None:
    tenant = store()
    first = put(tenant, "a", displayName="Ann", city="Bonn", title="Dr")
    second = put(tenant, "a", DISPLAYNAME="Anna", city=None, proxyAddresses=())

    assert first.success
    assert first.cloud_anchor == second.cloud_anchor == "User_id-1"
    assert attributes(tenant, "a") == {"displayName": "Anna", "title": "Dr"}


def test_an_object_is_found_by_its_cloud_anchor_too() -> None:
    tenant = store()
    put(tenant, "a")
    change = SyncObject(
        object_type=SyncObjectType.USER,
        operation=SyncOperation.SET,
        source_anchor="",
        cloud_anchor="User_id-1",
        properties={"city": "Bonn"},
    )

    result = tenant.apply(change, max_members=LIMIT)

    assert (result.success, result.source_anchor) == (True, "a")
    assert attributes(tenant, "a") == {"city": "Bonn"}


def test_an_anchor_of_another_type_is_refused() -> None:
    tenant = store()
    put(tenant, "a")

    assert put(tenant, "a", SyncObjectType.GROUP).code == "ObjectTypeMismatch"
    assert delete(tenant, "a", SyncObjectType.CONTACT).code == "ObjectTypeMismatch"


def test_a_source_anchor_can_be_set_only_once() -> None:
    tenant = store()
    put(tenant, "a")
    change = SyncObject(
        object_type=SyncObjectType.USER,
        operation=SyncOperation.SET,
        source_anchor="b",
        cloud_anchor="User_id-1",
    )

    assert tenant.apply(change, max_members=LIMIT).code == "AttributeUpdateNotAllowed"
    assert tenant.find("b") is None


def test_a_deletion_of_what_is_not_there_says_what_the_service_says() -> None:
    result = delete(store(), "nobody")

    assert (result.success, result.code) == (False, "114")
    assert result.description == (
        "This synchronization operation, Delete, is not valid. Contact Technical Support."
    )


def test_a_cloud_only_object_cannot_be_deleted() -> None:
    tenant = store()
    target = tenant.add_cloud_only(SyncObjectType.USER, Attributes())
    change = SyncObject(
        object_type=SyncObjectType.USER,
        operation=SyncOperation.DELETE,
        source_anchor="",
        cloud_anchor=target.cloud_anchor,
    )

    result = tenant.apply(change, max_members=LIMIT)

    assert not result.success
    assert "cloud-only" in (result.description or "")


def test_a_deleted_user_is_restored_with_its_memberships() -> None:
    tenant = store()
    put(tenant, "a", displayName="Ann")
    put(tenant, "g", SyncObjectType.GROUP, add=("a",))
    delete(tenant, "a")
    assert members(tenant, "g") == set()

    restored = put(tenant, "a", city="Bonn")

    assert restored.cloud_anchor == "User_id-1"
    assert attributes(tenant, "a") == {"displayName": "Ann", "city": "Bonn"}
    assert members(tenant, "g") == {"a"}


@pytest.mark.parametrize("kind", [k for k in SyncObjectType if k is not SyncObjectType.USER])
def test_what_is_no_user_comes_back_as_a_new_object(kind: SyncObjectType) -> None:
    tenant = store()
    put(tenant, "a")
    first = put(tenant, "x", kind, displayName="old")
    put(tenant, "g", SyncObjectType.GROUP, add=("a", "x"))
    delete(tenant, "x", kind)
    assert delete(tenant, "x", kind).success
    second = put(tenant, "x", kind)

    assert second.cloud_anchor != first.cloud_anchor
    assert attributes(tenant, "x") == {}
    assert members(tenant, "g") == {"a"}


def test_a_deleted_group_comes_back_empty_even_as_another_type() -> None:
    tenant = store()
    put(tenant, "a")
    put(tenant, "g", SyncObjectType.GROUP, add=("a",))
    delete(tenant, "g", SyncObjectType.GROUP)

    assert put(tenant, "g", SyncObjectType.CONTACT).success
    delete(tenant, "g", SyncObjectType.CONTACT)
    assert put(tenant, "g", SyncObjectType.GROUP).success
    assert members(tenant, "g") == set()


def test_an_unknown_reference_refuses_the_group_wholly() -> None:
    tenant = store()
    put(tenant, "a")
    put(tenant, "g", SyncObjectType.GROUP, displayName="old")

    result = put(tenant, "g", SyncObjectType.GROUP, add=("a", "nobody"), displayName="new")

    assert (result.success, result.code) == (False, "ReferenceNotFound")
    assert members(tenant, "g") == set()
    assert attributes(tenant, "g") == {"displayName": "old"}


def test_a_deleted_object_can_be_removed_but_not_added() -> None:
    tenant = store()
    put(tenant, "a")
    put(tenant, "g", SyncObjectType.GROUP, add=("a",))
    delete(tenant, "a")

    assert put(tenant, "g", SyncObjectType.GROUP, add=("a",)).code == "ReferenceNotFound"
    assert put(tenant, "g", SyncObjectType.GROUP, remove=("a",)).success
    put(tenant, "a")
    assert members(tenant, "g") == set()


def test_a_group_over_its_limit_is_refused_wholly() -> None:
    tenant = store()
    anchors = tuple(f"u{number}" for number in range(LIMIT + 1))
    for anchor in anchors:
        put(tenant, anchor)
    put(tenant, "g", SyncObjectType.GROUP, add=anchors[:LIMIT])

    refused = put(tenant, "g", SyncObjectType.GROUP, add=anchors[LIMIT:])
    swapped = put(tenant, "g", SyncObjectType.GROUP, add=anchors[LIMIT:], remove=anchors[:1])

    assert not refused.success
    assert swapped.success
    assert members(tenant, "g") == set(anchors[1:])


def test_the_whole_list_of_members_replaces_it() -> None:
    tenant = store()
    for anchor in "abc":
        put(tenant, anchor)
    put(tenant, "g", SyncObjectType.GROUP, member=("a", "b"))
    assert members(tenant, "g") == {"a", "b"}

    put(tenant, "g", SyncObjectType.GROUP, Member=("b", "c"))
    assert members(tenant, "g") == {"b", "c"}
    put(tenant, "g", SyncObjectType.GROUP, member=None)
    assert members(tenant, "g") == set()


def test_the_whole_list_has_no_unknown_member() -> None:
    tenant = store()
    put(tenant, "a")
    put(tenant, "g", SyncObjectType.GROUP, member=("a",))

    assert put(tenant, "g", SyncObjectType.GROUP, member=("nobody",)).code == "ReferenceNotFound"
    assert members(tenant, "g") == {"a"}


def test_a_manager_must_be_known_and_not_deleted() -> None:
    tenant = store()
    put(tenant, "boss")
    assert put(tenant, "a", manager="boss").success
    delete(tenant, "boss")

    for anchor, manager in (("a", "boss"), ("b", "nobody")):
        assert put(tenant, anchor, manager=manager).code == "ReferenceNotFound"
    assert put(tenant, "a", manager=None).success
    assert tenant.find("b") is None


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({"userCertificate": (b"c",) * 15}, None),
        ({"userCertificate": (b"c",) * 16}, "LargeObject"),
        ({"UserSMIMECertificate": (b"c",) * 16}, "LargeObject"),
        ({"proxyAddresses": tuple(f"smtp:a{n}@contoso.test" for n in range(300))}, None),
        ({"proxyAddresses": tuple(f"smtp:a{n}@contoso.test" for n in range(301))}, "LargeObject"),
        ({"extension_0_note": "x" * 250}, None),
        ({"extension_0_note": "x" * 251}, "ExceededAllowedLength"),
        ({"extension_0_notes": ("x", "x" * 251)}, "ExceededAllowedLength"),
        ({f"extension_0_n{n}": "x" for n in range(100)}, None),
        ({f"extension_0_n{n}": "x" for n in range(101)}, "ExceededAllowedLength"),
        ({"displayName": "x" * 1000}, None),
    ],
)
def test_what_is_too_large_is_refused(properties: dict[str, Any], code: str | None) -> None:
    result = put(store(), "a", **properties)

    assert (result.success, result.code) == (code is None, code)


def test_a_large_group_with_deleted_members_is_counted_rightly() -> None:
    tenant = store()
    anchors = tuple(f"u{number}" for number in range(LIMIT + 2))
    for anchor in anchors:
        put(tenant, anchor)
    put(tenant, "g", SyncObjectType.GROUP, add=anchors[:LIMIT])
    delete(tenant, anchors[0])
    group = tenant.find("g")
    assert group is not None
    assert tenant.member_count(group) == LIMIT - 1

    assert put(tenant, "g", SyncObjectType.GROUP, add=anchors[LIMIT : LIMIT + 1]).success
    refused = put(tenant, "g", SyncObjectType.GROUP, add=anchors[-1:], remove=anchors[:1])
    assert (refused.success, refused.code) == (False, "LargeObject")
    assert tenant.member_count(group) == LIMIT


def test_only_groups_have_members() -> None:
    tenant = store()
    put(tenant, "a")

    assert not put(tenant, "b", add=("a",)).success


def test_an_unverified_suffix_becomes_the_initial_domain_for_others_only() -> None:
    tenant = store()
    put(tenant, "a", userPrincipalName="ann@else.example")
    found = tenant.find("a")

    assert found is not None
    assert found.user_principal_name == "ann@contoso.onmicrosoft.com"
    assert attributes(tenant, "a") == {"userPrincipalName": "ann@else.example"}


def test_a_name_that_is_taken_is_quarantined_and_the_placeholder_stays() -> None:
    tenant = store()
    put(tenant, "a", userPrincipalName="ann@contoso.test")
    result = put(tenant, "b", userPrincipalName="ANN@contoso.test", proxyAddresses=("SMTP:x@y",))
    put(tenant, "b", city="Bonn")
    found = tenant.find("b")

    assert found is not None
    assert result.success
    assert "some modified properties" in (result.description or "")
    assert "ANN" not in (result.description or "")
    assert found.user_principal_name == "ANN+0001@contoso.onmicrosoft.com"

    delete(tenant, "a")
    put(tenant, "b", city="Köln")
    assert found.user_principal_name == "ANN@contoso.test"


@pytest.mark.parametrize(
    ("properties", "created", "updated"),
    [
        (
            {"userPrincipalName": "Ann@contoso.test"},
            "InvalidSoftMatch",
            "AttributeValueMustBeUnique",
        ),
        (
            {"proxyAddresses": ("SMTP:ann@contoso.test",)},
            "InvalidSoftMatch",
            "AttributeValueMustBeUnique",
        ),
        (
            {"proxyAddresses": ("smtp:ann@contoso.test",)},
            "AttributeValueMustBeUnique",
            "AttributeValueMustBeUnique",
        ),
        ({"mail": "ann@contoso.test"}, "InvalidSoftMatch", "AttributeValueMustBeUnique"),
    ],
)
def test_without_resiliency_a_name_that_is_taken_refuses_the_object(
    properties: dict[str, Any], created: str, updated: str
) -> None:
    tenant = store(resiliency=False)
    put(
        tenant,
        "a",
        userPrincipalName="ann@contoso.test",
        proxyAddresses=("SMTP:ann@contoso.test",),
    )

    result = put(tenant, "b", **properties)
    assert (result.success, result.code) == (False, created)
    assert tenant.find("b") is None

    put(tenant, "b", userPrincipalName="bob@contoso.test")
    result = put(tenant, "b", **properties)
    assert (result.success, result.code) == (False, updated)


def test_a_cloud_only_user_is_taken_over_by_its_name_unless_that_is_blocked() -> None:
    for blocked in (False, True):
        tenant = store(block_soft_match=blocked)
        target = tenant.add_cloud_only(
            SyncObjectType.USER, Attributes([("userPrincipalName", "ann@contoso.test")])
        )
        result = put(tenant, "a", userPrincipalName="ann@contoso.test")

        assert result.success is not blocked
        assert (result.code == "InvalidSoftMatch") is blocked
        assert (target.source_anchor == "a") is not blocked


def test_names_of_a_deleted_object_are_free() -> None:
    tenant = store(resiliency=False)
    put(tenant, "a", userPrincipalName="ann@contoso.test")
    delete(tenant, "a")

    assert put(tenant, "b", userPrincipalName="ann@contoso.test").success


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abcde")), max_size=30))
def test_links_are_the_sum_of_their_changes(changes: list[tuple[bool, str]]) -> None:
    tenant = store()
    for anchor in "abcde":
        put(tenant, anchor)
    put(tenant, "g", SyncObjectType.GROUP)
    expected: set[str] = set()
    for add, anchor in changes:
        result = put(
            tenant,
            "g",
            SyncObjectType.GROUP,
            add=(anchor,) if add else (),
            remove=() if add else (anchor,),
        )
        assert result.success
        (expected.add if add else expected.discard)(anchor)

    assert members(tenant, "g") == expected
