"""A branch of the company that a test has for itself, in a directory that many tests share."""

from __future__ import annotations

import itertools
from typing import Any, Final

from tests.support.hand import Hand

BASE_DN: Final = "DC=contoso,DC=test"
DOMAIN: Final = "contoso.test"
_NUMBERS: Final = itertools.count(1)


class Branch:
    """An organizational unit of its own, with names nobody else in the domain has.

    Args:
        hand: changes the directory.
    """

    def __init__(self, hand: Hand) -> None:
        self.hand = hand
        self.name = f"b{next(_NUMBERS)}"
        self.dn = hand.add(f"OU={self.name},{BASE_DN}", "organizationalUnit")

    def unit(self, name: str) -> str:
        """An organizational unit below the branch."""
        return self.hand.add(f"OU={name},{self.dn}", "organizationalUnit")

    def account(self, name: str) -> str:
        """The account name of somebody or something of the branch."""
        return f"{name}-{self.name}"

    def upn(self, name: str) -> str:
        """The user principal name of a name in this branch."""
        return f"{name}.{self.name}@{DOMAIN}"

    def person(self, name: str, *, unit: str | None = None, **attributes: Any) -> str:
        """Adds a user and gives its DN."""
        standard = {
            "sAMAccountName": self.account(name),
            "userPrincipalName": self.upn(name),
            "displayName": name,
            "title": "Clerk",
        }
        wanted = {key: each for key, each in (standard | attributes).items() if each is not None}
        return self.hand.add(f"CN={name},{unit or self.dn}", "user", **wanted)

    def people(self, count: int, *, unit: str | None = None, **attributes: Any) -> list[str]:
        """Adds as many users."""
        before = unit.partition(",")[0].lower().removeprefix("ou=") if unit else "p"
        return [
            self.person(f"{before}{number}", unit=unit, **attributes) for number in range(count)
        ]

    def group(self, name: str, *members: str) -> str:
        """Adds a group with its members and gives its DN."""
        dn = self.hand.add(
            f"CN={name},{self.dn}",
            "group",
            sAMAccountName=self.account(name),
            displayName=name,
        )
        if members:
            self.hand.link(dn, *members)
        return dn

    def contact(self, name: str, *, unit: str | None = None) -> str:
        """Adds a contact and gives its DN."""
        mail = f"{name}-{self.name}@partner.example"
        return self.hand.add(
            f"CN={name},{unit or self.dn}",
            "contact",
            displayName=name,
            mail=mail,
            proxyAddresses=f"SMTP:{mail}",
        )
