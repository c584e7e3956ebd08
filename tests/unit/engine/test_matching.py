"""What the service will do with an addition, case by case."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.emulator.config import Tenant
from entrasync.emulator.features import configured_bits as feature_bits
from entrasync.emulator.persistence import DataFile
from entrasync.emulator.switches import Switches
from entrasync.emulator.tenant import start_tenant
from entrasync.engine.matching import (
    Addition,
    Forecast,
    MatchFeatures,
    Outcome,
    can_take_over,
    forecast_of,
    keys_of,
)
from entrasync.entra.contracts import SyncObject, SyncObjectType, SyncOperation
from entrasync.entra.graph import Account

USER, GROUP = SyncObjectType.USER, SyncObjectType.GROUP
GUID, OTHER = b"\x01" * 16, b"\x02" * 16
USUAL = MatchFeatures()
ANN = Addition.of(
    USER,
    "YW5u",
    {
        "userPrincipalName": "Ann@contoso.test",
        "mail": "ann@contoso.test",
        "proxyAddresses": ("SMTP:Ann@contoso.test", "smtp:a@contoso.test", "x500:/o=x"),
        "onPremisesObjectIdentifier": GUID,
    },
)


def account(**members: Any) -> Account:
    return Account(**{"id": "1", "object_type": USER} | members)


MAIL = account(addresses=("ann@contoso.test",))
SECOND = account(addresses=("a@contoso.test",))
NAME = account(user_principal_name="ann@contoso.test")
ANCHOR = account(immutable_id="YW5u")


def test_an_addition_has_its_names_folded() -> None:
    folded = Addition(
        object_type=USER,
        anchor="YW5u",
        primary="ann@contoso.test",
        others=("a@contoso.test",),
        name="ann@contoso.test",
        identifier=GUID,
    )
    assert folded == ANN


@pytest.mark.parametrize(
    ("properties", "primary", "others"),
    [
        ({}, "", ()),
        ({"mail": "", "proxyAddresses": None}, "", ()),
        ({"mail": "B@x.test"}, "b@x.test", ()),
        ({"Mail": "b@x.test", "ProxyAddresses": ("smtp:c@x.test",)}, "b@x.test", ("c@x.test",)),
        ({"mail": "b@x.test", "proxyAddresses": "SMTP:d@x.test"}, "d@x.test", ("b@x.test",)),
        ({"proxyAddresses": ("sip:b@x.test", "smtp:c@x.test")}, "", ("c@x.test",)),
        ({"proxyAddresses": (b"\x00",), "mail": 5}, "", ()),
    ],
)
def test_the_primary_address_is_told_from_the_others(
    properties: dict[str, Any], primary: str, others: tuple[str, ...]
) -> None:
    found = Addition.of(USER, "x", properties)

    assert (found.primary, found.others) == (primary, others)


def test_only_users_have_user_names() -> None:
    assert Addition.of(GROUP, "x", {"userPrincipalName": "x@contoso.test"}).name == ""


SOFT_BLOCKED = replace(USUAL, block_soft_match=True)
HARD_BLOCKED = replace(USUAL, block_hard_match=True)
NO_UPN = replace(USUAL, soft_match_on_upn=False)
STRICT = replace(USUAL, hold_back_names=False, hold_back_addresses=False)


@pytest.mark.parametrize(
    ("features", "accounts", "expected"),
    [
        (USUAL, [], "create"),
        # by the anchor
        (USUAL, [ANCHOR], "hardMatch"),
        (USUAL, [replace(ANCHOR, synced=True)], "adopt"),
        (HARD_BLOCKED, [replace(ANCHOR, synced=True)], "adopt"),
        (USUAL, [replace(ANCHOR, deleted=True)], "restore"),
        (USUAL, [replace(ANCHOR, deleted=True, synced=True)], "restore"),
        (HARD_BLOCKED, [replace(ANCHOR, deleted=True)], "blocked (InvalidHardMatch)"),
        (HARD_BLOCKED, [ANCHOR], "blocked (InvalidHardMatch)"),
        (SOFT_BLOCKED, [ANCHOR], "hardMatch"),
        (USUAL, [replace(ANCHOR, identifier=GUID)], "hardMatch"),
        (USUAL, [replace(ANCHOR, identifier=OTHER)], "blocked (AttributeUpdateNotAllowed)"),
        (USUAL, [replace(ANCHOR, object_type=GROUP)], "blocked (ObjectTypeMismatch)"),
        (USUAL, [replace(ANCHOR, immutable_id="YW5U")], "create"),  # letter case counts
        (USUAL, [replace(ANCHOR, id="2", deleted=True), ANCHOR], "hardMatch"),
        (USUAL, [replace(MAIL, id="2"), ANCHOR], "hardMatch"),  # the anchor goes first
        # by the primary address
        (USUAL, [MAIL], "softMatch"),
        (HARD_BLOCKED, [MAIL], "softMatch"),
        (SOFT_BLOCKED, [MAIL], "blocked (InvalidSoftMatch)"),
        (USUAL, [replace(MAIL, immutable_id="else")], "blocked (InvalidSoftMatch)"),
        (USUAL, [replace(MAIL, object_type=GROUP)], "blocked (ObjectTypeMismatch)"),
        (USUAL, [replace(MAIL, synced=True, immutable_id="else")], "create"),
        (STRICT, [replace(MAIL, synced=True, immutable_id="x")], "blocked (InvalidSoftMatch)"),
        (STRICT, [replace(MAIL, synced=True)], "blocked (InvalidSoftMatch)"),
        (USUAL, [replace(MAIL, deleted=True)], "create"),
        # by another address: careful
        (USUAL, [SECOND], "softMatch"),
        (SOFT_BLOCKED, [SECOND], "create"),
        (USUAL, [replace(SECOND, object_type=GROUP)], "create"),
        (USUAL, [replace(SECOND, synced=True)], "create"),
        # by the user name
        (USUAL, [NAME], "softMatch"),
        (NO_UPN, [NAME], "create"),
        (SOFT_BLOCKED, [NAME], "blocked (InvalidSoftMatch)"),
        (USUAL, [replace(NAME, immutable_id="else")], "blocked (InvalidSoftMatch)"),
        (USUAL, [replace(NAME, synced=True)], "create"),
        # others do no harm
        (USUAL, [account(addresses=("b@x.test",), user_principal_name="b@x.test")], "create"),
    ],
)
def test_what_becomes_of_an_addition(
    features: MatchFeatures, accounts: list[Account], expected: str
) -> None:
    found = forecast_of(ANN, accounts, features)

    assert found.text == expected
    assert found.takeovers == (expected in {"hardMatch", "softMatch"})


@pytest.mark.parametrize(
    ("features", "addition", "expected"),
    [
        (USUAL, ANN, True),
        (SOFT_BLOCKED, ANN, True),
        (HARD_BLOCKED, ANN, True),
        (replace(HARD_BLOCKED, block_soft_match=True), ANN, False),
        (USUAL, Addition(object_type=USER, anchor="x"), True),
        (HARD_BLOCKED, Addition(object_type=USER, anchor="x"), False),
        (HARD_BLOCKED, Addition(object_type=USER, anchor="x", name="x@y"), True),
        (
            replace(HARD_BLOCKED, soft_match_on_upn=False),
            Addition(object_type=USER, anchor="x", name="x@y"),
            False,
        ),
        (USUAL, Addition(object_type=GROUP, anchor="x"), False),
        (USUAL, Addition(object_type=GROUP, anchor="x", others=("x@y",)), True),
        (SOFT_BLOCKED, Addition(object_type=GROUP, anchor="x", primary="x@y"), False),
    ],
)
def test_whether_anybody_could_be_taken_over(
    features: MatchFeatures, addition: Addition, *, expected: bool
) -> None:
    assert can_take_over(addition, features) is expected


@pytest.mark.parametrize(
    ("bits", "expected"),
    [
        (
            0,
            MatchFeatures(
                soft_match_on_upn=False, hold_back_names=False, hold_back_addresses=False
            ),
        ),
        (41016, MatchFeatures()),  # seen in a tenant
        (41016 | 524288 | 1048576, MatchFeatures(block_soft_match=True, block_hard_match=True)),
        (41016 & ~8, MatchFeatures(hold_back_names=False)),
        (41016 & ~32, MatchFeatures(hold_back_addresses=False)),
    ],
)
def test_features_are_bits_and_unknown_ones_do_no_harm(bits: int, expected: MatchFeatures) -> None:
    assert MatchFeatures.of(bits) == expected
    assert MatchFeatures.of(bits | 1 << 40) == expected
    assert expected.block_all is (expected.block_soft_match and expected.block_hard_match)


_NAMES = st.sampled_from(["", "a@contoso.test", "b@contoso.test"])
_ACCOUNTS = st.builds(
    Account,
    id=st.sampled_from("123"),
    object_type=st.sampled_from([USER, GROUP]),
    synced=st.booleans(),
    immutable_id=st.sampled_from([None, "x", "y"]),
    user_principal_name=_NAMES,
    addresses=st.sets(_NAMES.filter(bool)).map(lambda some: tuple(sorted(some))),
    deleted=st.booleans(),
).map(
    # groups have no such id
    lambda each: each if each.object_type is USER else replace(each, immutable_id=None)
)
_FEATURES = st.builds(
    MatchFeatures,
    **dict.fromkeys(MatchFeatures.__dataclass_fields__, st.booleans()),
)
_ADDITIONS = st.builds(
    Addition,
    object_type=st.sampled_from([USER, GROUP]),
    anchor=st.sampled_from("xz"),
    primary=_NAMES,
    others=st.sets(_NAMES.filter(bool)).map(lambda some: tuple(sorted(some))),
    name=_NAMES,
)


@given(addition=_ADDITIONS, accounts=st.lists(_ACCOUNTS, max_size=4), features=_FEATURES)
def test_keys_find_every_account_that_matters(
    addition: Addition, accounts: list[Account], features: MatchFeatures
) -> None:
    wanted = set(addition.wanted_keys())
    found = [each for each in accounts if wanted & set(keys_of(each, features))]

    assert forecast_of(addition, found, features) == forecast_of(addition, accounts, features)


@given(addition=_ADDITIONS, accounts=st.lists(_ACCOUNTS, max_size=4), features=_FEATURES)
def test_nobody_is_taken_over_where_the_tenant_lets_nobody(
    addition: Addition, accounts: list[Account], features: MatchFeatures
) -> None:
    if not can_take_over(addition, features):
        assert not forecast_of(addition, accounts, features).takeovers


# --- as the emulated service does it -----------------------------------------------------------

SEEDS: list[dict[str, Any]] = [
    {"type": "User", "immutableId": "hard"},
    {"type": "User", "attributes": {"mail": "soft@contoso.test"}},
    {"type": "User", "immutableId": "tied", "attributes": {"mail": "tied@contoso.test"}},
    {"type": "User", "attributes": {"userPrincipalName": "name@contoso.test"}},
    {"type": "Group", "attributes": {"mail": "team@contoso.test"}},
    {"type": "User", "sourceAnchor": "synced", "attributes": {"mail": "synced@contoso.test"}},
    {"type": "User", "sourceAnchor": "gone", "deleted": True},
]


@pytest.mark.parametrize(
    "switches",
    [
        {},
        {"blockSoftMatch": True},
        {"blockHardMatch": True},
        {"softMatchOnUpn": False},
        {"duplicateAttributeResiliency": False},
    ],
)
@pytest.mark.parametrize(
    ("kind", "anchor", "properties"),
    [
        (USER, "new", {"mail": "new@contoso.test"}),
        (USER, "hard", {}),
        (USER, "soft", {"mail": "SOFT@contoso.test"}),
        (USER, "soft", {"proxyAddresses": ("SMTP:tied@contoso.test",)}),
        (USER, "name", {"userPrincipalName": "name@contoso.test"}),
        (USER, "team", {"mail": "team@contoso.test"}),
        (GROUP, "team", {"mail": "team@contoso.test"}),
        (GROUP, "hard", {}),
        (USER, "else", {"mail": "synced@contoso.test"}),
        (USER, "gone", {}),
    ],
)
def test_the_emulated_service_does_what_was_foreseen(
    switches: dict[str, Any], kind: SyncObjectType, anchor: str, properties: dict[str, Any]
) -> None:
    config = Tenant.model_validate(
        {
            "tenantId": "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
            "verifiedDomains": ["contoso.test"],
            "applications": [{"clientId": "7d444840-9dc0-11d1-b245-5ffdce74fad2"}],
            "objects": SEEDS,
        }
        | switches
    )
    numbers = iter(range(1000))
    with DataFile(None) as data:
        tenant = start_tenant(
            config,
            Switches(),
            data,
            new_id=lambda: f"{next(numbers):036}",
            digits=lambda: f"{next(numbers):04}",
        )
        held = list(tenant.store.objects())
        accounts = [
            Account(
                id=each.cloud_anchor,
                object_type=each.object_type,
                synced=each.synced,
                immutable_id=each.source_anchor or None,
                user_principal_name=(each.user_principal_name or "").lower(),
                addresses=tuple(
                    a.partition(":")[2].lower() for a in each.calculated_proxy_addresses
                ),
                deleted=each.deleted,
            )
            for each in held
        ]
        told = forecast_of(
            Addition.of(kind, anchor, properties),
            accounts,
            MatchFeatures.of(tenant.company.feature_bits(feature_bits(config))),
        )
        result = tenant.store.apply(
            SyncObject(
                object_type=kind,
                operation=SyncOperation.SET,
                source_anchor=anchor,
                properties=properties,
            ),
            max_members=10,
        )

    known = {each.cloud_anchor for each in held}
    if told.block is not None:
        assert (result.success, result.code) == (False, told.block.value)
    elif told.outcome is Outcome.CREATE and switches.get("duplicateAttributeResiliency") is False:
        assert result.cloud_anchor not in known
    else:
        assert result.success
        assert (result.cloud_anchor in known) is (told.outcome is not Outcome.CREATE)


def test_a_forecast_is_told_in_a_word() -> None:
    assert Forecast(outcome=Outcome.UNKNOWN).text == "unknown"
