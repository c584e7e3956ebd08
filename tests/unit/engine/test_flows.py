"""What flows by default: Entra Connect's attributes by the service's names."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

import pytest

from entrasync.engine.flow_rules import parse_flows
from entrasync.engine.flows import generalized_time
from entrasync.engine.source import SourceKind
from tests.support.flow_objects import (
    ANCHORS,
    BOSS,
    DEFAULTS,
    GUID,
    PEER,
    Value,
    contributor,
    flowed,
    together,
)


@pytest.mark.parametrize(
    ("attribute", "target"),
    [
        ("givenName", "givenName"),
        ("sn", "surname"),
        ("l", "city"),
        ("st", "state"),
        ("c", "country"),
        ("employeeID", "employeeId"),
        ("sAMAccountName", "onPremisesSamAccountName"),
        ("userPrincipalName", "userPrincipalName"),
        ("telephoneNumber", "telephoneNumber"),
    ],
)
def test_a_user_s_attribute_has_the_service_s_name(attribute: str, target: str) -> None:
    assert flowed("user", **{attribute: " Zoë "})[target] == "Zoë"


@pytest.mark.parametrize(("control", "enabled"), [("512", True), ("514", False), ("66048", True)])
def test_disabled_accounts_are_disabled(control: str, *, enabled: bool) -> None:
    assert flowed("user", userAccountControl=control)["accountEnabled"] is enabled


def test_a_user_carries_where_it_comes_from() -> None:
    found = flowed("user", sAMAccountName="ann", cn="Ann", countryCode="0")

    assert found == {
        "accountEnabled": True,
        "commonName": "Ann",
        "displayName": "Ann",
        "dnsDomainName": "contoso.test",
        "onPremisesDistinguishedName": "CN=new,DC=x",
        "onPremisesObjectIdentifier": uuid.UUID(GUID).bytes_le,
        "onPremisesSamAccountName": "ann",
        # who has no UPN signs in by account name and domain
        "userPrincipalName": "ann@contoso.test",
    }


def test_who_has_no_account_name_either_has_no_name_to_sign_in_with() -> None:
    assert "userPrincipalName" not in flowed("user", cn="Ann")


def test_a_manager_flows_as_an_anchor_when_it_takes_part() -> None:
    assert flowed("user", manager=BOSS)["manager"] == "boss-anchor"
    assert "manager" not in flowed("user", manager=str(uuid.UUID(int=5)))
    assert "manager" not in flowed("user", manager="CN=boss,DC=elsewhere")
    assert "manager" not in flowed("group", manager=BOSS)
    assert flowed("group", managedBy=BOSS)["managedBy"] == "boss-anchor"


def test_references_stand_apart_and_are_sorted() -> None:
    one = contributor(mailNickname="team", authOrig=[PEER, BOSS, str(uuid.UUID(int=5))])

    found = DEFAULTS.flow(SourceKind.GROUP, [one], ANCHORS.get, None)

    assert found.references == {"authOrig": ("boss-anchor", "peer-anchor")}
    assert "authOrig" not in found.properties


@pytest.mark.parametrize(
    ("kind", "security"), [("-2147483646", True), ("2", False), ("-2147483640", True)]
)
def test_groups_are_security_groups_or_not(kind: str, *, security: bool) -> None:
    found = flowed("group", groupType=kind, description="Team", sAMAccountName="team")

    assert (found["securityEnabled"], found["Description"]) == (security, "Team")


def test_absent_and_blank_values_are_absent() -> None:
    found = flowed("contact", mail=" ", displayName="A contact", sn=b"\xff", proxyAddresses=[" "])

    assert found == {"displayName": "A contact"}


def test_addresses_are_trimmed_sorted_and_each_there_once() -> None:
    found = flowed("contact", proxyAddresses=["smtp:b@x ", "SMTP:a@x", "smtp:b@x", b"\xff"])

    assert found == {"proxyAddresses": ("SMTP:a@x", "smtp:b@x")}


@pytest.mark.parametrize(
    ("attribute", "value", "wanted"),
    [
        ("msExchHideFromAddressLists", "TRUE", True),
        ("msExchHideFromAddressLists", "FALSE", False),
        ("msExchHideFromAddressLists", "perhaps", None),
        ("msExchRecipientTypeDetails", "2147483648", 2_147_483_648),
        ("msExchRecipientDisplayType", "-2147483642", -2_147_483_642),
        ("msExchRecipientDisplayType", "many", None),
        ("msExchMailboxGuid", b"\x01\xff" * 8, b"\x01\xff" * 8),
        ("msExchMailboxGuid", b"", None),
        ("msExchResourceMetaData", ["b", "a"], ("a", "b")),
    ],
)
def test_attributes_of_exchange_have_types_and_need_a_nickname(
    attribute: str, value: Value, wanted: object
) -> None:
    assert flowed("user", mailNickname="ann", **{attribute: value}).get(attribute) == wanted
    assert attribute not in flowed("user", mailNickname=" ", **{attribute: value})
    assert attribute not in flowed("user", **{attribute: value})


def test_time_of_the_last_password_change() -> None:
    assert generalized_time(132_091_514_220_000_000) == "20190801164342.0Z"
    assert flowed("user", pwdLastSet="132091514220000000")["lastPasswordChangeTimestamp"] == (
        "20190801164342.0Z"
    )


def test_what_people_sign_in_with_comes_from_the_enabled_account() -> None:
    disabled = contributor(userAccountControl="514", sAMAccountName="mail", title="of mail")
    enabled = contributor(userAccountControl="512", sAMAccountName="ann", title="of account")

    found = together(DEFAULTS.flow(SourceKind.USER, [disabled, enabled], ANCHORS.get, None))

    assert found["accountEnabled"] is True
    assert found["onPremisesSamAccountName"] == "ann"
    # both or none have a mailbox: the first source
    assert found["title"] == "of mail"


@pytest.mark.parametrize(
    "mailbox", [{"msExchMailboxGuid": b"\x01" * 16}, {"msExchRecipientTypeDetails": "2"}]
)
def test_what_an_address_list_shows_comes_from_the_mailbox(mailbox: Mapping[str, Value]) -> None:
    account = contributor(userAccountControl="512", title="of account", c="DE")
    mail = contributor(mailbox, userAccountControl="514", title="of mail")

    found = together(DEFAULTS.flow(SourceKind.USER, [account, mail], ANCHORS.get, None))

    # what it does not have comes from the other
    assert (found["title"], found["country"]) == ("of mail", "DE")


def test_attributes_of_exchange_come_from_the_object_with_a_nickname() -> None:
    nameless = contributor(targetAddress="SMTP:old@x")
    named = contributor(targetAddress="SMTP:new@x", mailNickname="ann")

    found = together(DEFAULTS.flow(SourceKind.USER, [nameless, named], ANCHORS.get, None))

    assert found["targetAddress"] == "SMTP:new@x"


def test_a_file_of_flows_is_checked() -> None:
    text = "groups: [{from: here, kinds: [user], flows: [{target: a, %s}]}]"

    assert len(parse_flows(text % "source: b", SourceKind.USER)) == 1
    for broken in ("computation: c", "source: []", "source: b, computation: domain-name", "x: y"):
        with pytest.raises(ValueError, match="validation error"):
            parse_flows(text % broken, SourceKind.USER)
