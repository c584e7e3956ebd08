"""Names that must be unique in a tenant: user principal names and proxy addresses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from entrasync.emulator.addresses import (
    MAIL,
    MAIL_NICKNAME,
    PRIMARY,
    PROXY_ADDRESSES,
    SECONDARY,
    UPN,
    check_upn,
    domain_of,
    is_mail_address,
    is_reserved,
    is_smtp,
    nickname_of,
    prefix_of,
    primary_of,
    well_formed,
)
from entrasync.emulator.objects import Attributes, CloudObject, Names, RefusedError
from entrasync.entra.contracts import SyncObjectType


class NameRules(Protocol):
    """What a tenant does with names that are taken or change."""

    @property
    def quarantine_upns(self) -> bool:
        """Whether a UPN that is taken is held back instead of refusing its object."""

    @property
    def quarantine_addresses(self) -> bool:
        """Whether an address that is taken is held back instead of refusing its object."""

    @property
    def synchronize_upns(self) -> bool:
        """Whether the UPN of a licensed user follows its export."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FixedNameRules:
    """Rules nobody changes."""

    quarantine_upns: bool = True
    quarantine_addresses: bool = True
    synchronize_upns: bool = True


class NameIndex:
    """Who owns which name.

    Args:
        initial_domain: domain that replaces UPN suffixes that are not verified.
        verified_domains: domains names may use.
        digits: gives four digits for a placeholder.
        resiliency: quarantine what is taken instead of refusing the object.
        rules: rules that decide instead of `resiliency`, and may change.
    """

    def __init__(
        self,
        *,
        initial_domain: str,
        verified_domains: frozenset[str],
        digits: Callable[[], str],
        resiliency: bool = True,
        rules: NameRules | None = None,
    ) -> None:
        self.initial_domain = initial_domain.lower()
        self.rules: NameRules = rules or FixedNameRules(
            quarantine_upns=resiliency, quarantine_addresses=resiliency
        )
        self._verified = {domain.lower() for domain in verified_domains} | {self.initial_domain}
        self._digits = digits
        self._owners: dict[str, str] = {}

    def owner(self, claim: str) -> str | None:
        """CloudAnchor of the object that has a claim, such as `upn:...` or `proxy:...`."""
        return self._owners.get(claim)

    def is_verified(self, address: str) -> bool:
        """Whether the domain of an address is the tenant's own."""
        return domain_of(address) in self._verified

    def is_taken(self, claim: str, cloud_anchor: str) -> bool:
        """Whether another object has the claim."""
        return self._owners.get(claim, cloud_anchor) != cloud_anchor

    def plan(self, target: CloudObject, attributes: Attributes, *, synced: bool) -> Names:
        """The names an object would get.

        Args:
            target: the object as it is, so that what was calculated once stays the same.
            attributes: what it is to hold.
            synced: whether a sync engine will have authority over it.

        Raises:
            RefusedError: a name is taken and resiliency is off, or a UPN is malformed.
        """
        return _Plan(self, target, attributes, synced=synced).names()

    def take(self, cloud_anchor: str, before: frozenset[str], after: frozenset[str]) -> None:
        """Gives an object its planned claims instead of those it had."""
        for claim in before - after:
            if self._owners.get(claim) == cloud_anchor:
                del self._owners[claim]
        for claim in after:
            self._owners[claim] = cloud_anchor

    def with_digits(self, prefix: str, claim: Callable[[str], str]) -> str:
        """An address in the initial domain that nobody has: the prefix and four digits."""
        while True:
            candidate = f"{prefix}{self._digits()}@{self.initial_domain}"
            if claim(candidate) not in self._owners:
                return candidate


class _Plan:
    """The names of one object, being worked out."""

    def __init__(
        self, index: NameIndex, target: CloudObject, attributes: Attributes, *, synced: bool
    ) -> None:
        self._index = index
        self._target = target
        self._attributes = attributes
        self._synced = synced
        self._is_user = target.object_type is SyncObjectType.USER
        self._claims: set[str] = set()
        self._quarantined: dict[str, tuple[str, ...]] = {}
        self._addresses: dict[str, str] = {}

    def names(self) -> Names:
        nickname = self._nickname()
        upn = self._user_principal_name(nickname)
        self._take_exported()
        if self._is_user:
            self._add_upn(upn)
            self._add_routing_address(nickname)
        addresses = tuple(self._addresses.values())
        return Names(
            user_principal_name=upn,
            mail_nickname=nickname,
            addresses=addresses,
            mail=primary_of(addresses) or self._plain_mail(),
            claims=frozenset(self._claims),
            quarantined=self._quarantined,
        )

    def _nickname(self) -> str | None:
        """Calculated once; later only an exported nickname changes it (documented)."""
        if self._attributes.text(MAIL_NICKNAME):
            return nickname_of(self._attributes)
        return self._target.names.mail_nickname or nickname_of(self._attributes)

    def _user_principal_name(self, nickname: str | None) -> str | None:
        exported = self._attributes.text(UPN)
        if not self._is_user or exported is None:
            return None
        upn = self._kept_upn(exported) or self._new_upn(exported, nickname)
        if self._index.is_taken(upn_claim(upn), self._target.cloud_anchor):
            self._conflict(UPN, exported)
            upn = self._placeholder(prefix_of(upn))
        self._claims.add(upn_claim(upn))
        return upn

    def _kept_upn(self, exported: str) -> str | None:
        """The UPN it has, unless it is another export's or a placeholder (documented)."""
        names = self._target.names
        if names.user_principal_name is None or UPN in names.quarantined:
            return None
        if exported == self._target.attributes.text(UPN):
            return names.user_principal_name
        check_upn(exported)
        # Documented: that it is not updated. Inferred: that the export succeeds all the same.
        licensed = self._synced and self._target.standing.licensed
        follows = self._index.rules.synchronize_upns or not licensed
        return None if follows else names.user_principal_name

    def _new_upn(self, exported: str, nickname: str | None) -> str:
        check_upn(exported)
        if self._index.is_verified(exported):
            return exported
        return f"{nickname}@{self._index.initial_domain}"

    def _placeholder(self, prefix: str) -> str:
        current = self._target.names.user_principal_name or ""
        mine = not self._index.is_taken(upn_claim(current), self._target.cloud_anchor)
        if mine and current.startswith(f"{prefix}+") and UPN in self._target.names.quarantined:
            return current
        return self._index.with_digits(f"{prefix}+", upn_claim)

    def _take_exported(self) -> None:
        for each in well_formed(self._attributes.texts(PROXY_ADDRESSES)):
            if self._usable(each):
                self._take(PROXY_ADDRESSES, each)
        mail = self._attributes.text(MAIL)
        if mail and self._primary() is None and is_mail_address(mail) and self._usable(mail):
            self._take(MAIL, f"{PRIMARY}{mail}")

    def _usable(self, address: str) -> bool:
        """Documented for licensed users; the emulator takes every user for a mail recipient."""
        if self._target.object_type is SyncObjectType.CONTACT or "@" not in address:
            return True
        if self._synced and is_reserved(address):
            return False
        return self._index.is_verified(address) or address.partition(":")[0].lower() == "x500"

    def _take(self, attribute: str, address: str) -> None:
        claim = proxy_claim(address)
        if self._index.is_taken(claim, self._target.cloud_anchor):
            self._conflict(attribute, address)
            return
        if claim not in self._addresses or address.startswith(PRIMARY):
            self._addresses[claim] = address
        self._claims.add(claim)

    def _primary(self) -> str | None:
        return primary_of(tuple(self._addresses.values()))

    def _add_upn(self, upn: str | None) -> None:
        """The UPN of a licensed user is an address too (documented)."""
        if upn is None or not self._target.standing.licensed:
            return
        address = f"{PRIMARY if self._primary() is None else SECONDARY}{upn}"
        if not self._index.is_taken(proxy_claim(address), self._target.cloud_anchor):
            self._take(UPN, address)

    def _add_routing_address(self, nickname: str | None) -> None:
        """The address in the initial domain every user has; it stays what it was at first."""
        initial = self._index.initial_domain
        if any(is_smtp(each) and domain_of(each) == initial for each in self._addresses.values()):
            return
        for each in self._target.names.addresses:
            free = not self._index.is_taken(proxy_claim(each), self._target.cloud_anchor)
            if is_smtp(each) and domain_of(each) == initial and free:
                self._take(PROXY_ADDRESSES, f"{SECONDARY}{each[len(SECONDARY) :]}")
                return
        if nickname is None:
            return
        address = f"{SECONDARY}{nickname}@{initial}"
        if self._index.is_taken(proxy_claim(address), self._target.cloud_anchor):
            address = self._index.with_digits(f"{SECONDARY}{nickname}", proxy_claim)
        self._take(PROXY_ADDRESSES, address)

    def _plain_mail(self) -> str | None:
        """`mail` of who has no primary address, unless it is another object's."""
        return None if self._quarantined else self._attributes.text(MAIL)

    def _conflict(self, attribute: str, value: str) -> None:
        rules = self._index.rules
        quarantine = rules.quarantine_upns if attribute == UPN else rules.quarantine_addresses
        if not quarantine:
            raise RefusedError(
                "AttributeValueMustBeUnique",
                "Unable to update this object because the following attributes associated with"
                " this object have values that may already be associated with another object in"
                f" your local directory services: [{attribute} <pii>{value}</pii>;].",
            )
        self._quarantined[attribute] = (*self._quarantined.get(attribute, ()), value)


def upn_claim(upn: str) -> str:
    """The claim to a user principal name."""
    return f"upn:{upn.lower()}"


def proxy_claim(address: str) -> str:
    """The claim to a proxy address; `SMTP:` and `smtp:` name the same one."""
    return f"proxy:{address.lower()}"
