"""Whether a new object takes over one that is there: the rules of 2026."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.emulator.matching import PRIVILEGED_ROLES, MatchingRules
from entrasync.emulator.naming import NameIndex
from entrasync.emulator.objects import Attributes, CloudObject, RefusedError, Standing
from entrasync.emulator.readback import read_page
from entrasync.emulator.store import TenantStore
from entrasync.entra.contracts import (
    ObjectResult,
    SyncObject,
    SyncObjectType,
    SyncOperation,
    SyncVersion,
)

ANN = "ann@contoso.test"
MINE, OTHER = b"\x01" * 16, b"\x02" * 16
HARDENED = "AttributeUpdateNotAllowed"
OPEN = MatchingRules()
BLOCKED = MatchingRules(block_hard_match=True, block_soft_match=True)


def store(matching: MatchingRules = OPEN, *, resiliency: bool = True) -> TenantStore:
    numbers = itertools.count(1)
    return TenantStore(
        names=NameIndex(
            initial_domain="contoso.onmicrosoft.com",
            verified_domains=frozenset({"contoso.test"}),
            digits=lambda: "0000",
            resiliency=resiliency,
        ),
        matching=matching,
        new_id=lambda: f"id-{next(numbers)}",
    )


def export(
    tenant: TenantStore,
    anchor: str = "a",
    kind: SyncObjectType = SyncObjectType.USER,
    *,
    operation: SyncOperation = SyncOperation.SET,
    cloud_anchor: str | None = None,
    **properties: Any,
) -> ObjectResult:
    change = SyncObject(
        object_type=kind,
        operation=operation,
        source_anchor=anchor,
        cloud_anchor=cloud_anchor,
        properties=properties,
    )
    return tenant.apply(change, max_members=10)


def delete(tenant: TenantStore, kind: SyncObjectType = SyncObjectType.USER) -> ObjectResult:
    return export(tenant, kind=kind, operation=SyncOperation.DELETE)


def in_cloud(
    tenant: TenantStore,
    kind: SyncObjectType = SyncObjectType.USER,
    *,
    immutable_id: str = "",
    standing: Standing | None = None,
    **attributes: Any,
) -> CloudObject:
    return tenant.add_cloud_only(
        kind, Attributes(attributes.items()), immutable_id=immutable_id, standing=standing
    )


def synced(tenant: TenantStore, anchor: str = "a", **properties: Any) -> CloudObject:
    assert export(tenant, anchor, **properties).success
    found = tenant.find(anchor)
    assert found is not None
    return found


def read_back(tenant: TenantStore) -> dict[str, SyncObject]:
    page = read_page(tenant, "t", SyncVersion.V2, cookie=None, page_size=100)
    return {each.source_anchor: each for each in page.objects}


# Hard match

HELD = {
    "holds a privileged role": Standing(roles=frozenset({"Global Administrator"})),
    "may hold a privileged role": Standing(eligible_roles=frozenset({"user administrator"})),
    "holds another role": Standing(roles=frozenset({"Message Center Reader"})),
    "holds none": Standing(licensed=True),
}


@pytest.mark.parametrize(
    ("held", "identifier", "exported", "rules", "code"),
    [
        ("holds none", None, None, OPEN, None),
        ("holds none", None, MINE, OPEN, None),
        ("holds none", MINE, MINE, OPEN, None),
        ("holds none", MINE, None, OPEN, None),
        ("holds none", OTHER, MINE, OPEN, HARDENED),
        ("holds another role", None, MINE, OPEN, None),
        ("holds a privileged role", None, MINE, OPEN, HARDENED),
        ("may hold a privileged role", None, MINE, OPEN, HARDENED),
        ("holds none", None, MINE, BLOCKED, "InvalidHardMatch"),
        ("holds a privileged role", OTHER, MINE, BLOCKED, "InvalidHardMatch"),
    ],
)
@pytest.mark.parametrize("state", ["made in the cloud", "deleted", "authority given back"])
def test_who_is_taken_over_by_its_anchor(
    held: str,
    identifier: bytes | None,
    exported: bytes | None,
    rules: MatchingRules,
    code: str | None,
    state: str,
) -> None:
    tenant = store(rules)
    tied: dict[str, Any] = {} if identifier is None else {"onPremisesObjectIdentifier": identifier}
    if state == "made in the cloud":
        target = in_cloud(tenant, immutable_id="a", standing=HELD[held], **tied)
    else:
        target = synced(tenant, **tied)
        tenant.edit(target, {}, standing=HELD[held])
        if state == "deleted":
            assert delete(tenant).success
        else:
            tenant.set_cloud_managed(target, cloud_managed=True)
            tenant.set_cloud_managed(target, cloud_managed=False)
    assert not target.synced

    result = export(tenant, city="Bonn", onPremisesObjectIdentifier=exported)

    assert (result.success, result.code) == (code is None, code)
    assert target.synced is (code is None)
    assert (target.attributes.get("city") == "Bonn") is (code is None)
    if code is None:
        assert result.cloud_anchor == target.cloud_anchor
    if code == HARDENED:
        assert "security hardening" in (result.description or "")


def test_matching_is_for_new_objects_only() -> None:
    tenant = store(BLOCKED)
    target = synced(tenant, onPremisesObjectIdentifier=OTHER)
    tenant.edit(target, {}, standing=HELD["holds a privileged role"])

    assert export(tenant, onPremisesObjectIdentifier=MINE).success


def test_the_tie_can_be_cleared_in_the_cloud() -> None:
    tenant = store()
    target = in_cloud(tenant, immutable_id="a", onPremisesObjectIdentifier=OTHER)
    assert export(tenant, onPremisesObjectIdentifier=MINE).code == HARDENED

    tenant.edit(target, {"onPremisesObjectIdentifier": None})

    assert export(tenant, onPremisesObjectIdentifier=MINE).success


def test_an_anchor_can_be_given_by_the_cloud_anchor_under_the_same_rules() -> None:
    for standing, code in ((Standing(), None), (HELD["holds a privileged role"], HARDENED)):
        tenant = store()
        target = in_cloud(tenant, standing=standing)
        result = export(tenant, cloud_anchor=target.cloud_anchor)

        assert result.code == code
        assert target.source_anchor == ("a" if code is None else "")


def test_a_cloud_only_object_is_not_changed_without_an_anchor() -> None:
    tenant = store()
    target = in_cloud(tenant)

    assert export(tenant, "", cloud_anchor=target.cloud_anchor, city="Bonn").code == HARDENED


def test_an_immutable_id_is_nobody_elses() -> None:
    tenant = store()
    synced(tenant)

    with pytest.raises(RefusedError, match="AttributeValueMustBeUnique"):
        in_cloud(tenant, immutable_id="a")


def test_names_of_roles_have_no_letter_case() -> None:
    assert {role.lower() for role in PRIVILEGED_ROLES} == PRIVILEGED_ROLES


# Soft match


@pytest.mark.parametrize(
    ("target", "exported", "rules", "code"),
    [
        ({"mail": ANN}, {"proxyAddresses": (f"SMTP:{ANN}",)}, OPEN, None),
        ({"proxyAddresses": (f"smtp:{ANN}",)}, {"mail": ANN.upper()}, OPEN, None),
        ({"userPrincipalName": ANN}, {"userPrincipalName": ANN}, OPEN, None),
        ({"mail": ANN}, {"mail": ANN}, BLOCKED, "InvalidSoftMatch"),
        ({"immutable_id": "b", "mail": ANN}, {"mail": ANN}, OPEN, "InvalidSoftMatch"),
        (
            {"mail": ANN, "standing": HELD["holds another role"]},
            {"mail": ANN},
            OPEN,
            "ExistingAdminRoleConflict",
        ),
        (
            {"userPrincipalName": ANN, "standing": HELD["may hold a privileged role"]},
            {"userPrincipalName": ANN},
            OPEN,
            "ExistingAdminRoleConflict",
        ),
        ({"kind": SyncObjectType.GROUP, "mail": ANN}, {"mail": ANN}, OPEN, "ObjectTypeMismatch"),
    ],
)
def test_who_is_taken_over_by_its_names(
    target: dict[str, Any],
    exported: dict[str, Any],
    rules: MatchingRules,
    code: str | None,
) -> None:
    tenant = store(rules)
    found = in_cloud(tenant, **target)

    result = export(tenant, **exported)

    assert (result.success, result.code) == (code is None, code)
    assert found.synced is (code is None)
    if code is None:
        assert found.source_anchor == "a"
    else:
        assert tenant.find("a") is None


@pytest.mark.parametrize(
    ("target", "exported", "rules"),
    [
        ({"mail": ANN}, {"proxyAddresses": (f"smtp:{ANN}", "SMTP:bob@contoso.test")}, OPEN),
        (
            {"userPrincipalName": ANN},
            {"userPrincipalName": ANN},
            MatchingRules(soft_match_on_upn=False),
        ),
    ],
    ids=["a secondary address", "a UPN while that is off"],
)
def test_what_is_no_soft_match_is_a_new_object_that_loses_the_name(
    target: dict[str, Any], exported: dict[str, Any], rules: MatchingRules
) -> None:
    tenant = store(rules)
    found = in_cloud(tenant, **target)

    result = export(tenant, **exported)

    assert (result.success, result.code) == (True, "QuarantinedAttributeValueMustBeUnique")
    assert result.cloud_anchor != found.cloud_anchor
    assert not found.synced


def test_a_synced_object_is_no_soft_match() -> None:
    for resiliency, code in (
        (True, "QuarantinedAttributeValueMustBeUnique"),
        (False, "InvalidSoftMatch"),
    ):
        tenant = store(resiliency=resiliency)
        synced(tenant, "b", mail=ANN)

        result = export(tenant, mail=ANN)

        assert (result.success, result.code) == (resiliency, code)


def test_contacts_and_groups_are_matched_by_their_address() -> None:
    for kind in (SyncObjectType.CONTACT, SyncObjectType.GROUP):
        tenant = store()
        found = in_cloud(tenant, kind, proxyAddresses=(f"SMTP:{ANN}",))

        assert export(tenant, "a", kind, mail=ANN).cloud_anchor == found.cloud_anchor


# Source of authority


def test_nothing_is_exported_for_what_was_converted_to_cloud_managed() -> None:
    tenant = store()
    target = synced(tenant, city="Bonn")
    tenant.set_cloud_managed(target, cloud_managed=True)

    for result in (export(tenant, city="Köln"), delete(tenant)):
        assert (result.success, result.code) == (False, "OnPremisesSyncBlocked")
    assert target.attributes.get("city") == "Bonn"
    told = read_back(tenant)["a"]
    assert told.properties["BlockOnPremisesSync"] is True
    assert told.properties["CloudMastered"] is True
    # others still know it
    group = SyncObject(
        object_type=SyncObjectType.GROUP,
        operation=SyncOperation.SET,
        source_anchor="g",
        properties={"member": ("a",)},
    )
    assert tenant.apply(group, max_members=10).success

    tenant.set_cloud_managed(target, cloud_managed=False)
    assert read_back(tenant)["a"].properties.keys() & {"BlockOnPremisesSync"} == set()
    assert delete(tenant).code == "114"
    assert export(tenant, city="Köln").success
    assert "CloudMastered" not in read_back(tenant)["a"].properties


def test_what_is_cloud_managed_is_not_deleted_by_an_engine() -> None:
    tenant = store()
    in_cloud(tenant, immutable_id="a")

    assert delete(tenant).code == "114"


def test_what_was_deleted_is_told_and_restored() -> None:
    tenant = store()
    target = synced(tenant, userPrincipalName=ANN)
    cookie = read_page(tenant, "t", SyncVersion.V2, cookie=None, page_size=9).cookie
    delete(tenant)
    told = read_page(tenant, "t", SyncVersion.V2, cookie=cookie, page_size=9)
    assert [each.operation for each in told.objects] == [SyncOperation.DELETE]
    assert target.user_principal_name == ANN

    synced(tenant, "b", userPrincipalName=ANN)
    result = export(tenant, city="Bonn")

    assert (result.success, result.cloud_anchor) == (True, target.cloud_anchor)
    assert result.code == "QuarantinedAttributeValueMustBeUnique"
    assert target.quarantined == {"userPrincipalName": (ANN,)}
    assert target.user_principal_name == "ann+0000@contoso.onmicrosoft.com"


# Whatever happens


@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["set", "delete", "cloud", "remove", "convert", "give back"]),
            st.sampled_from("abc"),
            st.sampled_from(["x@contoso.test", "y@contoso.test", None]),
        ),
        max_size=30,
    ),
    resiliency=st.booleans(),
    rules=st.builds(MatchingRules, block_soft_match=st.booleans(), block_hard_match=st.booleans()),
)
def test_a_name_has_one_owner_whatever_happens(
    *, steps: list[tuple[str, str, str | None]], resiliency: bool, rules: MatchingRules
) -> None:
    tenant = store(rules, resiliency=resiliency)
    for step, anchor, mail in steps:
        found = tenant.find(anchor)
        if step == "set":
            before = tenant.version
            result = export(tenant, anchor, mail=mail, userPrincipalName=mail)
            assert result.success or tenant.version == before
        elif step == "delete":
            export(tenant, anchor, operation=SyncOperation.DELETE)
        elif step == "cloud" and found is None:
            in_cloud(tenant, immutable_id=anchor)
        elif found is not None and not found.deleted:
            if step == "remove":
                tenant.remove(found)
            else:
                tenant.set_cloud_managed(found, cloud_managed=step == "convert")
    live = [each for each in tenant.objects() if not each.deleted]
    addresses = [a.lower() for each in live for a in each.calculated_proxy_addresses]
    upns = [each.user_principal_name for each in live if each.user_principal_name]
    assert len(set(addresses)) == len(addresses)
    assert len(set(upns)) == len(upns)
    for each in live:
        assert not (each.synced and each.sync_blocked)
        if not resiliency:
            assert not each.quarantined


def test_a_user_restored_in_the_cloud_is_cloud_managed_until_it_is_exported() -> None:
    tenant = store()
    target = synced(tenant, mail=ANN)
    delete(tenant)
    tenant.edit(target, {"city": "Bonn"}, standing=Standing(licensed=True))
    assert target.deleted

    tenant.recover(target)

    assert (target.deleted, target.synced, target.mail) == (False, False, ANN)
    assert read_back(tenant)["a"].properties["CloudMastered"] is True
    assert delete(tenant).code == "114"
    assert export(tenant, mail=ANN).cloud_anchor == target.cloud_anchor
    assert target.synced


def test_a_name_taken_meanwhile_is_not_restored_without_resiliency() -> None:
    tenant = store(resiliency=False)
    target = synced(tenant, mail=ANN)
    tenant.remove(target)
    synced(tenant, "b", mail=ANN)

    with pytest.raises(RefusedError, match="AttributeValueMustBeUnique"):
        tenant.recover(target)
    assert export(tenant).code == "AttributeValueMustBeUnique"
    assert target.deleted
