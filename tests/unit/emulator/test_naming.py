"""What a tenant makes of exported names: sign-in names, nicknames, addresses."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrasync.emulator.addresses import check_upn
from entrasync.emulator.matching import MatchingRules
from entrasync.emulator.naming import FixedNameRules, NameIndex
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

INITIAL = "contoso.onmicrosoft.com"
LICENSED = Standing(licensed=True)


def store(rules: FixedNameRules | None = None) -> TenantStore:
    numbers, digits = itertools.count(1), itertools.count(1)
    return TenantStore(
        names=NameIndex(
            initial_domain=INITIAL,
            verified_domains=frozenset({"Contoso.test"}),
            digits=lambda: f"{next(digits):04}",
            rules=rules,
        ),
        matching=MatchingRules(soft_match_on_upn=False),
        new_id=lambda: f"id-{next(numbers)}",
    )


def put(
    tenant: TenantStore,
    anchor: str = "a",
    kind: SyncObjectType = SyncObjectType.USER,
    **properties: Any,
) -> ObjectResult:
    change = SyncObject(
        object_type=kind,
        operation=SyncOperation.SET,
        source_anchor=anchor,
        properties=properties,
    )
    return tenant.apply(change, max_members=0)


def made(
    tenant: TenantStore,
    anchor: str = "a",
    kind: SyncObjectType = SyncObjectType.USER,
    **properties: Any,
) -> CloudObject:
    assert put(tenant, anchor, kind, **properties).success
    found = tenant.find(anchor)
    assert found is not None
    return found


# Sign-in names


@pytest.mark.parametrize(
    "upn",
    [
        "ann@contoso.test",
        "A-n_n.o'neil!#^~9@contoso.test",
        f"{'a' * 64}@{'d' * 48}",
    ],
)
def test_a_good_sign_in_name(upn: str) -> None:
    check_upn(upn)


@pytest.mark.parametrize(
    "upn",
    [
        "no-at",
        "@contoso.test",
        "ann@",
        "an n@contoso.test",
        "ann.@contoso.test",
        "ann@bob@contoso.test",
        "änn@contoso.test",
        "ann+bob@contoso.test",
        "ann&@contoso.test",
        f"{'a' * 65}@contoso.test",
        f"ann@{'d' * 49}",
        "ann@contoso.test\n",
    ],
)
def test_a_malformed_sign_in_name_is_refused(upn: str) -> None:
    with pytest.raises(RefusedError) as caught:
        check_upn(upn)
    assert caught.value.code == "IdentityDataValidationFailed"
    tenant = store()
    assert put(tenant, userPrincipalName=upn).code == "IdentityDataValidationFailed"
    assert tenant.find("a") is None


def test_the_documented_scenarios_of_an_unverified_suffix() -> None:
    tenant = store()
    user = made(
        tenant,
        proxyAddresses=("SMTP:user1@contoso.local",),
        mail="user2@contoso.local",
        userPrincipalName="user3@contoso.local",
    )
    steps: Iterator[tuple[dict[str, Any], str, str]] = iter(
        [
            ({}, "user1", f"user1@{INITIAL}"),
            ({"mailNickname": "user4"}, "user4", f"user1@{INITIAL}"),
            ({"userPrincipalName": "user5@contoso.local"}, "user4", f"user4@{INITIAL}"),
            (
                {"proxyAddresses": ("SMTP:user6@contoso.local",), "mail": "user7@contoso.local"},
                "user4",
                f"user4@{INITIAL}",
            ),
            ({"userPrincipalName": "user5@contoso.test"}, "user4", "user5@contoso.test"),
        ]
    )
    for properties, nickname, upn in steps:
        made(tenant, **properties)
        assert (user.names.mail_nickname, user.user_principal_name) == (nickname, upn)


@pytest.mark.parametrize(
    ("attributes", "nickname"),
    [
        ({"mailNickname": "nick", "mail": "m@x.test"}, "nick"),
        ({"proxyAddresses": ("smtp:s@x.test", "SMTP:p@x.test"), "mail": "m@x.test"}, "p"),
        ({"mail": "m@x.test", "userPrincipalName": "u@contoso.test"}, "m"),
        ({"userPrincipalName": "u@contoso.test", "proxyAddresses": ("smtp:s@x.test",)}, "u"),
        ({"proxyAddresses": ("smtp:s@x.test",)}, "s"),
        ({"mailNickname": "a b"}, "a_b"),
        ({}, None),
    ],
)
def test_where_a_nickname_comes_from(attributes: dict[str, Any], nickname: str | None) -> None:
    assert made(store(), **attributes).names.mail_nickname == nickname


@pytest.mark.parametrize(
    ("follows", "licensed", "expected"),
    [
        (True, True, "new@contoso.test"),
        (True, False, "new@contoso.test"),
        (False, False, "new@contoso.test"),
        (False, True, "old@contoso.test"),
    ],
)
def test_whether_the_sign_in_name_follows(*, follows: bool, licensed: bool, expected: str) -> None:
    tenant = store(FixedNameRules(synchronize_upns=follows))
    user = made(tenant, userPrincipalName="old@contoso.test")
    tenant.edit(user, {}, standing=Standing(licensed=licensed))

    made(tenant, userPrincipalName="new@contoso.test")
    assert user.user_principal_name == expected
    # the shadow is what was exported
    (told,) = read_page(tenant, "t", SyncVersion.V2, cookie=None, page_size=1).objects
    assert told.properties["UserPrincipalName"] == "new@contoso.test"


def test_a_licensed_user_that_never_follows_takes_no_malformed_name() -> None:
    tenant = store(FixedNameRules(synchronize_upns=False))
    user = made(tenant, userPrincipalName="old@contoso.test")
    tenant.edit(user, {}, standing=LICENSED)

    assert not put(tenant, userPrincipalName="no-at").success


# Addresses


@pytest.mark.parametrize(
    ("kind", "attributes", "expected", "mail"),
    [
        (
            SyncObjectType.USER,
            {"userPrincipalName": "ann@contoso.test"},
            {f"smtp:ann@{INITIAL}"},
            None,
        ),
        (
            SyncObjectType.USER,
            {"mail": "Ann@contoso.test"},
            {"SMTP:Ann@contoso.test", f"smtp:Ann@{INITIAL}"},
            "Ann@contoso.test",
        ),
        (
            SyncObjectType.USER,
            {"proxyAddresses": ("smtp:ann@contoso.test",), "mail": "ann@contoso.test"},
            {"SMTP:ann@contoso.test", f"smtp:ann@{INITIAL}"},
            "ann@contoso.test",
        ),
        (
            SyncObjectType.USER,
            {
                "userPrincipalName": "ann@contoso.test",
                "proxyAddresses": (
                    "SMTP:ann.b@contoso.test",
                    "smtp:ann@contoso.local",
                    f"smtp:other@{INITIAL}",
                    "smtp:x@fabrikam.microsoftonline.com",
                    "SIP:ann@contoso.test",
                    "X500:/o=Contoso/cn=ann",
                    "X400:c=de",
                    "without-protocol@contoso.test",
                    "smtp:a b@contoso.test",
                ),
            },
            {
                "SMTP:ann.b@contoso.test",
                "SIP:ann@contoso.test",
                "X500:/o=Contoso/cn=ann",
                f"smtp:ann.b@{INITIAL}",
            },
            "ann.b@contoso.test",
        ),
        (
            SyncObjectType.GROUP,
            {"proxyAddresses": ("SMTP:g@contoso.test", "smtp:g@contoso.local")},
            {"SMTP:g@contoso.test"},
            "g@contoso.test",
        ),
        (
            SyncObjectType.CONTACT,
            {"proxyAddresses": ("SMTP:p@fabrikam.example",)},
            {"SMTP:p@fabrikam.example"},
            "p@fabrikam.example",
        ),
        (SyncObjectType.USER, {"mail": "ann@contoso.local"}, {f"smtp:ann@{INITIAL}"}, None),
    ],
)
def test_which_addresses_an_object_has(
    kind: SyncObjectType, attributes: dict[str, Any], expected: set[str], mail: str | None
) -> None:
    tenant = store()
    found = made(tenant, "a", kind, **attributes)

    assert set(found.calculated_proxy_addresses) == expected
    assert len(found.calculated_proxy_addresses) == len(expected)
    if mail is not None:
        assert found.mail == mail
    assert dict(found.attributes.items()) == attributes


def test_a_licensed_user_has_its_sign_in_name_as_an_address() -> None:
    tenant = store()
    user = made(tenant, userPrincipalName="ann@contoso.test")
    tenant.edit(user, {}, standing=LICENSED)
    assert set(user.calculated_proxy_addresses) == {"SMTP:ann@contoso.test", f"smtp:ann@{INITIAL}"}

    made(tenant, mail="ann.b@contoso.test")
    assert set(user.calculated_proxy_addresses) == {
        "SMTP:ann.b@contoso.test",
        "smtp:ann@contoso.test",
        f"smtp:ann@{INITIAL}",
    }
    assert user.mail == "ann.b@contoso.test"


def test_the_routing_address_stays_and_is_nobody_elses() -> None:
    tenant = store()
    first = made(tenant, "a", mailNickname="nick", userPrincipalName="a@contoso.test")
    second = made(tenant, "b", mailNickname="nick", userPrincipalName="b@contoso.test")
    made(tenant, "a", mailNickname="other")
    made(tenant, "b", mail="b@contoso.test")

    assert first.calculated_proxy_addresses == (f"smtp:nick@{INITIAL}",)
    assert second.calculated_proxy_addresses == (
        "SMTP:b@contoso.test",
        f"smtp:nick0001@{INITIAL}",
    )


def test_quarantined_values_are_out_until_they_are_free() -> None:
    tenant = store()
    made(tenant, "a", mail="x@contoso.test", proxyAddresses=("smtp:y@contoso.test",))
    result = put(
        tenant,
        "b",
        mailNickname="b",
        proxyAddresses=("SMTP:x@contoso.test", "smtp:y@contoso.test", "smtp:z@contoso.test"),
    )
    user = tenant.find("b")
    assert user is not None

    assert (result.success, result.code) == (True, "QuarantinedAttributeValueMustBeUnique")
    assert set(user.calculated_proxy_addresses) == {"smtp:z@contoso.test", f"smtp:b@{INITIAL}"}
    assert user.quarantined == {"proxyAddresses": ("SMTP:x@contoso.test", "smtp:y@contoso.test")}
    assert user.mail is None

    made(tenant, "a", mail=None, proxyAddresses=())
    assert user.quarantined
    before = tenant.version
    tenant.retry_quarantined()
    assert not user.quarantined
    assert user.mail == "x@contoso.test"
    tenant.retry_quarantined()
    assert tenant.version == before + 1


def test_sign_in_names_and_addresses_are_quarantined_by_switches_of_their_own() -> None:
    tenant = store(FixedNameRules(quarantine_upns=False))
    made(tenant, "a", userPrincipalName="x@contoso.test", mail="x@contoso.test")

    assert put(tenant, "b", mail="x@contoso.test").success
    refused = put(tenant, "c", userPrincipalName="x@contoso.test")
    assert (refused.success, refused.code) == (False, "AttributeValueMustBeUnique")


def test_the_cloud_may_use_the_initial_domain() -> None:
    tenant = store()
    own = (f"SMTP:ann@{INITIAL}",)
    user = tenant.add_cloud_only(
        SyncObjectType.USER,
        Attributes([("userPrincipalName", f"ann@{INITIAL}"), ("proxyAddresses", own)]),
    )

    assert user.calculated_proxy_addresses == own
    with pytest.raises(RefusedError):
        tenant.edit(user, {"userPrincipalName": "no-at"}, standing=LICENSED)
    assert not user.standing.licensed


ADDRESSES = st.sampled_from(
    [
        f"{protocol}{name}@{domain}"
        for protocol in ("SMTP:", "smtp:", "sip:", "")
        for name in ("a", "b")
        for domain in ("contoso.test", "contoso.local", INITIAL)
    ]
)
NAMES = st.sampled_from(["a@contoso.test", "a@contoso.local", f"b@{INITIAL}", None])


@example([("x", None, None, ("SMTP:a@contoso.test", "SMTP:b@contoso.test"), False)])
@given(
    st.lists(
        st.tuples(
            st.sampled_from("xyz"),
            NAMES,
            NAMES,
            st.lists(ADDRESSES, max_size=4).map(tuple),
            st.booleans(),
        ),
        max_size=12,
    )
)
def test_names_are_the_tenants_own_and_nobody_elses(
    exports: list[tuple[str, str | None, str | None, tuple[str, ...], bool]],
) -> None:
    tenant = store()
    for anchor, upn, mail, addresses, licensed in exports:
        user = made(tenant, anchor, userPrincipalName=upn, mail=mail, proxyAddresses=addresses)
        tenant.edit(user, {}, standing=Standing(licensed=licensed))
        shadow = user.attributes
        assert shadow.text("userPrincipalName") == upn
        assert shadow.texts("proxyAddresses") == addresses
    users = list(tenant.objects())
    held = [each.lower() for user in users for each in user.calculated_proxy_addresses]
    upns = [user.user_principal_name.lower() for user in users if user.user_principal_name]
    assert len(set(held)) == len(held)
    assert len(set(upns)) == len(upns)
    for name in (*held, *upns):
        assert name.endswith(("@contoso.test", f"@{INITIAL}"))
    for user in users:
        assert sum(each.startswith("SMTP:") for each in user.calculated_proxy_addresses) <= 1
