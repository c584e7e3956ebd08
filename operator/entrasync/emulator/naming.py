"""Names that must be unique in a tenant: user principal names and proxy addresses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from entrasync.emulator.objects import Attributes, RefusedError
from entrasync.entra.contracts import SyncObjectType

_UPN = "userPrincipalName"
_PROXIES = "proxyAddresses"


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names an object gets."""

    user_principal_name: str | None = None
    claims: frozenset[str] = frozenset()
    quarantined: dict[str, str] = field(default_factory=dict)

    @property
    def warning(self) -> str | None:
        """What the result of an accepted object says when it lost a value."""
        if not self.quarantined:
            return None
        return (
            "This object has been updated in your Azure Active Directory, but with some modified"
            " properties, because the following attributes are associated with another object:"
            f" [{', '.join(sorted(self.quarantined))}]"
        )


class NameIndex:
    """Who owns which name.

    Args:
        initial_domain: domain that replaces UPN suffixes that are not verified.
        verified_domains: domains UPNs may use.
        resiliency: quarantine what is taken instead of refusing the object.
        digits: gives four digits for a placeholder.
    """

    def __init__(
        self,
        *,
        initial_domain: str,
        verified_domains: frozenset[str],
        resiliency: bool,
        digits: Callable[[], str],
    ) -> None:
        self._initial = initial_domain.lower()
        self._verified = {domain.lower() for domain in verified_domains} | {self._initial}
        self._resiliency = resiliency
        self._digits = digits
        self._owners: dict[str, str] = {}

    def owner(self, claim: str) -> str | None:
        """CloudAnchor of the object that has a claim, such as `upn:...` or `proxy:...`."""
        return self._owners.get(claim)

    def plan(
        self, kind: SyncObjectType, cloud_anchor: str, attributes: Attributes, current: str | None
    ) -> Names:
        """The names an object would get.

        Args:
            kind: its type; only users have a UPN.
            cloud_anchor: who asks.
            attributes: what it is to hold.
            current: its calculated UPN, so that a placeholder stays the same.

        Raises:
            RefusedError: a name is taken and resiliency is off, or a UPN is malformed.
        """
        claims: set[str] = set()
        quarantined: dict[str, str] = {}
        upn = None
        if kind is SyncObjectType.USER and (exported := attributes.text(_UPN)):
            upn = self.calculate(exported)
            if self._taken(upn_claim(upn), cloud_anchor):
                self._conflict(_UPN, exported, quarantined)
                upn = self._placeholder(upn, cloud_anchor, current)
            claims.add(upn_claim(upn))
        for address in attributes.texts(_PROXIES):
            if self._taken(proxy_claim(address), cloud_anchor):
                self._conflict(_PROXIES, address, quarantined)
            else:
                claims.add(proxy_claim(address))
        return Names(user_principal_name=upn, claims=frozenset(claims), quarantined=quarantined)

    def take(self, cloud_anchor: str, before: frozenset[str], names: Names) -> None:
        """Gives an object its planned names instead of those it had."""
        for claim in before - names.claims:
            if self._owners.get(claim) == cloud_anchor:
                del self._owners[claim]
        for claim in names.claims:
            self._owners[claim] = cloud_anchor

    def calculate(self, exported: str) -> str:
        """The UPN everybody sees: an unverified suffix becomes the initial domain.

        Raises:
            RefusedError: it is no UPN.
        """
        prefix, at, suffix = exported.rpartition("@")
        if not at or not prefix or not suffix or any(each.isspace() for each in exported):
            raise RefusedError(
                "IdentityDataValidationFailed",
                f"The value <pii>{exported}</pii> of UserPrincipalName is not valid.",
            )
        return exported if suffix.lower() in self._verified else f"{prefix}@{self._initial}"

    def _taken(self, claim: str, cloud_anchor: str) -> bool:
        return self._owners.get(claim, cloud_anchor) != cloud_anchor

    def _conflict(self, attribute: str, value: str, quarantined: dict[str, str]) -> None:
        if not self._resiliency:
            raise RefusedError(
                "AttributeValueMustBeUnique",
                "Unable to update this object because the following attributes associated with"
                " this object have values that may already be associated with another object in"
                f" your local directory services: [{attribute} <pii>{value}</pii>;].",
            )
        quarantined[attribute] = value

    def _placeholder(self, upn: str, cloud_anchor: str, current: str | None) -> str:
        prefix = upn.rpartition("@")[0]
        if current and current.startswith(f"{prefix}+") and current.endswith(f"@{self._initial}"):
            mine = not self._taken(upn_claim(current), cloud_anchor)
            if mine:
                return current
        while True:
            candidate = f"{prefix}+{self._digits()}@{self._initial}"
            if upn_claim(candidate) not in self._owners:
                return candidate


def upn_claim(upn: str) -> str:
    """The claim to a user principal name."""
    return f"upn:{upn.lower()}"


def proxy_claim(address: str) -> str:
    """The claim to a proxy address; `SMTP:` and `smtp:` name the same one."""
    return f"proxy:{address.lower()}"
