"""What flows: Entra Connect's main attributes, by the service's names."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from entrasync.engine.flows import flow, generalized_time
from entrasync.engine.source import SourceObject

GUID = "00112233-4455-6677-8899-aabbccddeeff"
BOSS = "ffeeddcc-bbaa-9988-7766-554433221100"


def flowed(kind: str, **attributes: str | bytes) -> dict[str, Any]:
    raw = {k: (v if isinstance(v, bytes) else v.encode(),) for k, v in attributes.items()}
    source = SourceObject(
        guid=GUID,
        dn="CN=old",
        parent_guid=None,
        attributes={"objectClass": (kind.encode(),)} | raw,
    )
    anchors = {BOSS: "boss-anchor"}
    return dict(flow(source, dn="CN=new,DC=x", domain="contoso.test", anchor_of=anchors.get))


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
    found = flowed("user", sAMAccountName="ann", cn="Ann")

    assert found["onPremisesDistinguishedName"] == "CN=new,DC=x"
    assert found["onPremisesObjectIdentifier"] == uuid.UUID(GUID).bytes_le
    assert found["dnsDomainName"] == "contoso.test"
    # who has no UPN signs in by account name and domain
    assert found["userPrincipalName"] == "ann@contoso.test"
    assert (found["displayName"], found["commonName"]) == ("Ann", "Ann")


def test_a_manager_flows_as_an_anchor_when_it_takes_part() -> None:
    assert flowed("user", manager=BOSS)["manager"] == "boss-anchor"
    assert "manager" not in flowed("user", manager=str(uuid.UUID(int=5)))
    assert "manager" not in flowed("group", manager=BOSS)


@pytest.mark.parametrize(
    ("kind", "security"), [("-2147483646", True), ("2", False), ("-2147483640", True)]
)
def test_groups_are_security_groups_or_not(kind: str, *, security: bool) -> None:
    found = flowed("group", groupType=kind, description="Team", sAMAccountName="team")

    assert (found["securityEnabled"], found["Description"]) == (security, "Team")


def test_absent_and_blank_values_are_absent() -> None:
    found = flowed("contact", mail=" ", displayName="A contact", sn=b"\xff")

    assert found == {"displayName": "A contact"}


def test_time_of_the_last_password_change() -> None:
    assert generalized_time(132_091_514_220_000_000) == "20190801164342.0Z"
    never = flowed("user", pwdLastSet="0")
    assert "lastPasswordChangeTimestamp" not in never
