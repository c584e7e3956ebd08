"""Entra Connect's default exclusions, one case at least for each."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.engine.exclusions import (
    CONTACT_RULES,
    GROUP_RULES,
    USER_RULES,
    excluded_by,
)
from entrasync.engine.source import SourceKind, SourceObject
from entrasync.state.rows import encode_attributes

USER = {"objectClass": ["user"], "sAMAccountName": ["ada"], "userAccountControl": ["512"]}
SECURITY = {"objectClass": ["group"], "sAMAccountName": ["team"], "groupType": ["-2147483646"]}
DISTRIBUTION = SECURITY | {"groupType": ["2"], "mail": ["list@contoso.test"]}
HIDDEN = {"msExchHideFromAddressLists": "TRUE"}
CONTACT = {"objectClass": ["contact"], "mail": ["partner@fabrikam.example"]}


def source(base: dict[str, list[str]], dn: str = "CN=x,DC=t", **more: str | None) -> SourceObject:
    attributes = {k: tuple(v.encode() for v in values) for k, values in base.items()}
    for name, value in more.items():
        key = name.replace("_", "-")
        if value is None:
            attributes.pop(key, None)
        else:
            attributes[key] = (value.encode(),)
    return SourceObject(guid="0" * 32, dn=dn, parent_guid=None, attributes=attributes)


USER_CASES = [
    ("CriticalSystemObject", source(USER, isCriticalSystemObject="TRUE")),
    ("NoAccountName", source(USER, sAMAccountName=None)),
    ("NoUserAccountControl", source(USER, userAccountControl=None)),
    ("SyncServiceAccount", source(USER, sAMAccountName="MSOL_0123")),
    ("SyncServiceAccount", source(USER, sAMAccountName="AAD_0123")),
    ("SupportAccount", source(USER, sAMAccountName="SUPPORT_388945a0")),
    ("SystemMailbox", source(USER, sAMAccountName="SystemMailbox{1f05}")),
    ("SystemMailbox", source(USER, mailNickname="SystemMailbox{1f05}")),
    ("ClientAccessMailbox", source(USER, sAMAccountName="CAS_{1f05}")),
    ("ClientAccessMailbox", source(USER, mailNickname="CAS_{1f05}x")),
    ("SystemRecipient", source(USER, msExchRecipientTypeDetails=str(0x1000000))),
    ("LinkedMailboxWithoutAnchor", source(USER, msExchRecipientTypeDetails="2")),
    ("ReplicationConflict", source(USER, dn="CN=ada\\0ACNF:12,DC=t")),
    ("ReplicationConflict", source(USER, name="ada\nCNF:12")),
    ("WrittenBack", source(USER, adminDescription="User_12")),
]
GROUP_CASES = [
    ("CriticalSystemObject", source(SECURITY, isCriticalSystemObject="TRUE")),
    ("BuiltInGroup", source(SECURITY, groupType=str(0x5 - 0x80000000))),
    ("NoAccountName", source(SECURITY, sAMAccountName=None)),
    ("RichCoexistenceGroup", source(SECURITY, sAMAccountName="MSOL_AD_Sync_RichCoexistence")),
    ("RoleGroup", source(SECURITY, msExchRecipientTypeDetails=str(0x40000000))),
    ("DistributionGroupWithoutMail", source(DISTRIBUTION, mail=None)),
    ("DistributionGroupWithoutMail", source(DISTRIBUTION, mail="list")),
    ("DistributionGroupWithoutMail", source(DISTRIBUTION, mail=None, proxyAddresses="X500:/o=x")),
    ("ReplicationConflict", source(SECURITY, dn="CN=team\\0ACNF:12,DC=t")),
    ("WrittenBack", source(SECURITY, adminDescription="Group_12")),
]
CONTACT_CASES = [
    ("CriticalSystemObject", source(CONTACT, isCriticalSystemObject="TRUE")),
    ("NoAddress", source(CONTACT, mail=None)),
    ("NoAddress", source(CONTACT, mail=None, proxyAddresses="X500:/o=x")),
    ("SyncServiceContact", source(CONTACT, **HIDDEN, displayName="Somebody (MSOL)")),
    ("ClientAccessMailbox", source(CONTACT, mailNickname="CAS_{1f05}")),
    ("ReplicationConflict", source(CONTACT, dn="CN=partner\\0ACNF:12,DC=t")),
]
TAKING_PART = [
    source(USER),
    source(USER, userAccountControl="514"),
    source(USER, msExchRecipientTypeDetails="1"),
    source(USER, adminDescription="Group_12"),
    source(SECURITY),
    source(SECURITY, groupType="-2147483644"),
    source(SECURITY, adminDescription="User_12"),
    source(DISTRIBUTION),
    source(DISTRIBUTION, mail=None, proxyAddresses="smtp:list@contoso.test"),
    source(CONTACT),
    source(CONTACT, mail=None, proxyAddresses="SMTP:partner@fabrikam.example"),
    source(CONTACT, **HIDDEN),
    source(CONTACT, displayName="Somebody (MSOL)"),
    source(USER, sAMAccountName="CAS_1f05"),
]


@pytest.mark.parametrize(("rule", "found"), USER_CASES + GROUP_CASES + CONTACT_CASES)
def test_it_is_left_out_by_the_rule_named(rule: str, found: SourceObject) -> None:
    assert excluded_by(found) == rule


@pytest.mark.parametrize("found", TAKING_PART)
def test_it_takes_part(found: SourceObject) -> None:
    assert excluded_by(found) is None


@pytest.mark.parametrize(
    ("rules", "cases"),
    [(USER_RULES, USER_CASES), (GROUP_RULES, GROUP_CASES), (CONTACT_RULES, CONTACT_CASES)],
)
def test_every_rule_has_a_case(rules: object, cases: list[tuple[str, SourceObject]]) -> None:
    assert isinstance(rules, tuple)
    assert {name for name, _ in rules} == {name for name, _ in cases}


def test_the_page_names_every_rule() -> None:
    page = (Path(__file__).parents[3] / "docs" / "scope.md").read_text()
    rows = re.findall(r"^\| (users|groups|contacts) \| `(\w+)` \| ", page, re.MULTILINE)

    assert rows == [
        (kind, name)
        for kind, rules in (
            ("users", USER_RULES),
            ("groups", GROUP_RULES),
            ("contacts", CONTACT_RULES),
        )
        for name, _ in rules
    ]


RULES = {
    SourceKind.USER: USER_RULES,
    SourceKind.GROUP: GROUP_RULES,
    SourceKind.CONTACT: CONTACT_RULES,
}
WORDS = st.sampled_from(
    [
        "",
        " ",
        "ada",
        " AAD_1",
        "MSOL_1",
        "CAS_{1}",
        "CAS_1",
        "SystemMailbox{1}",
        "TRUE",
        "x",
        "SUPPORT_388945a0",
        "MSOL_AD_Sync_RichCoexistence",
        "a\nCNF:1",
        "User_1",
        "Group_1",
        "512",
        "2",
        "1",
        "-2147483646",
        "-2147483643",
        "16777216",
        "1073741824",
        "a@b.test",
        "smtp:a@b.test",
    ]
).map(str.encode)
VALUES = st.lists(st.one_of(WORDS, st.binary(max_size=3)), max_size=2).map(tuple)
NAMES = [
    "sAMAccountName",
    "userAccountControl",
    "groupType",
    "name",
    "mailNickname",
    "mail",
    "isCriticalSystemObject",
    "msExchRecipientTypeDetails",
    "adminDescription",
    "displayName",
    "mS-DS-ConsistencyGuid",
    "proxyAddresses",
    "msExchHideFromAddressLists",
]


@given(
    kind=st.sampled_from(list(RULES)),
    dn=st.sampled_from(["CN=x,DC=t", "CN=x\\0ACNF:1,DC=t", "CN=CNF:1,DC=t"]),
    base=st.sampled_from([{}, USER | SECURITY]),
    drawn=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4),
)
def test_a_few_looks_tell_what_the_rules_say(
    kind: SourceKind, dn: str, base: dict[str, list[str]], drawn: dict[str, tuple[bytes, ...]]
) -> None:
    usual = {name: tuple(v.encode() for v in values) for name, values in base.items()}
    found = SourceObject(
        guid="0" * 32,
        dn=dn,
        parent_guid=None,
        stored=json.loads(encode_attributes(usual | drawn)),
        known_kind=kind,
    )

    assert excluded_by(found) == next((name for name, rule in RULES[kind] if rule(found)), None)
