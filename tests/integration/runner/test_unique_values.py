"""Names that change hands within one run, against a tenant that quarantines what is taken."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.emulator import EmulatorServer
from tests.support.hand import Hand
from tests.support.rig import Rig

pytestmark = pytest.mark.integration

TOP = "OU=Contoso,DC=contoso,DC=test"
STAFF = f"OU=Staff,{TOP}"


def person(hand: Hand, name: str) -> str:
    return hand.add(
        f"CN={name},{STAFF}",
        "user",
        sAMAccountName=f"acc-{name}",  # an account name may stand for no other's UPN
        userPrincipalName=f"{name}@contoso.test",
        mail=f"{name}@contoso.test",
        proxyAddresses=[f"SMTP:{name}@contoso.test", f"smtp:{name}.old@contoso.test"],
    )


def become(hand: Hand, dn: str, name: str) -> None:
    """Gives somebody the names of another one."""
    hand.replace(dn, "userPrincipalName", f"{name}@contoso.test")
    hand.replace(dn, "mail", f"{name}@contoso.test")
    hand.replace(dn, "proxyAddresses", f"SMTP:{name}@contoso.test", f"smtp:{name}.old@contoso.test")


def users(rig: Rig) -> dict[str, dict[str, Any]]:
    """Users by account name."""
    found = rig.cloud.objects("User")
    return {each["attributes"]["onPremisesSamAccountName"]: each for each in found}


def requests(cloud: EmulatorServer) -> int:
    return len(cloud.requests("ProvisionAzureADSyncObjects2"))


def test_names_change_hands_in_a_circle_a_chain_and_to_a_newcomer(
    fresh: Rig, hand: Hand, cloud: EmulatorServer
) -> None:
    dns = {name: person(hand, name) for name in ("anna", "bert", "carl", "dora", "emil")}
    fresh.run()
    before = requests(cloud)

    # a directory refuses duplicates too: somebody steps aside first
    become(hand, dns["anna"], "aside")
    become(hand, dns["bert"], "anna")
    become(hand, dns["anna"], "bert")
    become(hand, dns["emil"], "free")
    become(hand, dns["dora"], "emil")
    become(hand, dns["carl"], "dora")
    hand.add(
        f"CN=newcomer,{STAFF}",
        "user",
        sAMAccountName="acc-newcomer",
        userPrincipalName="carl@contoso.test",
        proxyAddresses=["SMTP:carl@contoso.test"],
    )
    braked = fresh.run(code=3)
    assert braked.blocked_plan is not None
    assert braked.blocked_plan.users == {"update": 5}  # the step aside is no change of its own
    fresh.sync["spec"]["safety"] = {"identityChanges": {"percent": 100}}
    result = fresh.run()

    assert result.outcome == "Succeeded", result.message
    assert result.changes is not None
    assert result.changes.users.model_dump() == {"add": 1, "update": 5, "delete": 0, "failed": 0}
    found = users(fresh)
    assert {name: found[f"acc-{name}"]["userPrincipalName"] for name in (*dns, "newcomer")} == {
        "anna": "bert@contoso.test",
        "bert": "anna@contoso.test",
        "carl": "dora@contoso.test",
        "dora": "emil@contoso.test",
        "emil": "free@contoso.test",
        "newcomer": "carl@contoso.test",
    }
    for name, user in found.items():
        assert not user["quarantined"], name
    assert requests(cloud) - before <= 4

    assert fresh.run().message == "nothing had changed"
    assert fresh.run(scope="Full").message == "nothing had changed"


def test_a_group_takes_the_address_of_a_user(fresh: Rig, hand: Hand) -> None:
    user = person(hand, "office")
    fresh.run()

    hand.replace(user, "proxyAddresses", "SMTP:office.new@contoso.test")
    hand.replace(user, "mail", "office.new@contoso.test")
    hand.add(
        f"CN=Front Office,{TOP}",
        "group",
        sAMAccountName="front-office",
        mail="office@contoso.test",
        proxyAddresses=["SMTP:office@contoso.test"],
    )
    result = fresh.run()

    assert result.outcome == "Succeeded", result.message
    group = next(
        each
        for each in fresh.cloud.objects("Group")
        if each["attributes"]["onPremisesSamAccountName"] == "front-office"
    )
    assert "SMTP:office@contoso.test" in group["proxyAddresses"]
    assert not group["quarantined"]
