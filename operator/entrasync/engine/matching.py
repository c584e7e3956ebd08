"""What the service will do with an addition: create, or meet an account that is there already.

The service's own rules, documented: (1) hard match by the anchor, (2) soft match by the primary
mail address, or the user name where that is switched on, onto accounts of the cloud that have no
anchor, (3) restore of a deleted user with that anchor, (4) create. Where they are not known to the
letter, this errs towards a takeover, which a person may be asked about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from entrasync.entra.contracts import PropertyValue, SyncObjectType
from entrasync.entra.dirsync_features import DirSyncFeature
from entrasync.entra.graph import Account
from entrasync.entra.graph_accounts import address_of, fold

_PRIMARY: Final = "SMTP:"
_BY_ANCHOR, _BY_ADDRESS, _BY_NAME = "a:", "m:", "u:"


class Outcome(StrEnum):
    """What becomes of an addition."""

    CREATE = "create"
    ADOPT = "adopt"
    """An object that a sync engine exported before, by the same anchor."""
    RESTORE = "restore"
    HARD_MATCH = "hardMatch"
    SOFT_MATCH = "softMatch"
    BLOCKED = "blocked"
    UNKNOWN = "unknown"


TAKEOVERS: Final = frozenset({Outcome.HARD_MATCH, Outcome.SOFT_MATCH})
"""Outcomes that give the engine authority over an account of the cloud."""


class Block(StrEnum):
    """Why the service refuses an addition, by its own codes."""

    HARD_MATCH = "InvalidHardMatch"
    HARDENED = "AttributeUpdateNotAllowed"
    SOFT_MATCH = "InvalidSoftMatch"
    TYPE = "ObjectTypeMismatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What becomes of one addition.

    Attributes:
        outcome: what.
        block: why it is blocked.
    """

    outcome: Outcome
    block: Block | None = None

    @property
    def text(self) -> str:
        """As a plan shows it."""
        return self.outcome.value if self.block is None else f"{self.outcome} ({self.block})"

    @property
    def takeovers(self) -> int:
        """Accounts of the cloud that are taken over."""
        return int(self.outcome in TAKEOVERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchFeatures:
    """What the tenant has switched on.

    Attributes:
        block_soft_match: nobody is taken over by a name.
        block_hard_match: nobody is taken over by an anchor.
        soft_match_on_upn: user names match too.
        hold_back_names: a user name that is taken is held back, its object is not refused.
        hold_back_addresses: the same for a mail address.
    """

    block_soft_match: bool = False
    block_hard_match: bool = False
    soft_match_on_upn: bool = True
    hold_back_names: bool = True
    hold_back_addresses: bool = True

    @classmethod
    def of(cls, feature_bits: int) -> Self:
        """From the bits of the company configuration."""
        found = DirSyncFeature(feature_bits)
        return cls(
            block_soft_match=DirSyncFeature.BLOCK_SOFT_MATCH in found,
            block_hard_match=DirSyncFeature.BLOCK_HARD_MATCH in found,
            soft_match_on_upn=DirSyncFeature.SOFT_MATCH_ON_UPN in found,
            hold_back_names=DirSyncFeature.DUPLICATE_UPN_RESILIENCY in found,
            hold_back_addresses=DirSyncFeature.DUPLICATE_PROXY_ADDRESS_RESILIENCY in found,
        )

    @property
    def block_all(self) -> bool:
        """Whether the tenant itself lets nobody be taken over."""
        return self.block_soft_match and self.block_hard_match


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """A new object, as far as matching goes by it.

    Attributes:
        object_type: user, group or contact.
        anchor: its SourceAnchor.
        primary: its primary mail address, folded; empty when it has none.
        others: its other mail addresses, folded.
        name: its user principal name, folded; empty when it has none.
        identifier: objectGUID it comes from, as the tenant is to remember it.
    """

    object_type: SyncObjectType
    anchor: str
    primary: str = ""
    others: tuple[str, ...] = ()
    name: str = ""
    identifier: bytes | None = None

    @classmethod
    def of(
        cls, object_type: SyncObjectType, anchor: str, properties: Mapping[str, PropertyValue]
    ) -> Self:
        """From what is exported; letter case of the properties' names does not matter."""
        named = {key.lower(): value for key, value in properties.items()}
        proxies = _texts(named.get("proxyaddresses"))
        mail = next(iter(_texts(named.get("mail"))), "")
        primary = next((each for each in proxies if each.startswith(_PRIMARY)), mail)
        first = address_of(primary) or ""
        addresses = {each for each in map(address_of, (*proxies, mail)) if each}
        identifier = named.get("onpremisesobjectidentifier")
        is_user = object_type is SyncObjectType.USER
        names = _texts(named.get("userprincipalname")) if is_user else ()
        return cls(
            object_type=object_type,
            anchor=anchor,
            primary=first,
            others=tuple(sorted(addresses - {first})),
            name=fold(next(iter(names), "")),
            identifier=identifier if isinstance(identifier, bytes) else None,
        )

    @property
    def addresses(self) -> tuple[str, ...]:
        """All mail addresses, the primary one first."""
        return (self.primary, *self.others) if self.primary else self.others

    def wanted_keys(self) -> Iterator[str]:
        """Keys of the accounts it might meet."""
        yield _BY_ANCHOR + self.anchor
        for each in self.addresses:
            yield _BY_ADDRESS + each
        if self.name:
            yield _BY_NAME + self.name


def keys_of(account: Account, features: MatchFeatures) -> list[str]:
    """Keys by which additions find an account; none when nothing could come of it.

    What is synced has its names from an engine. Where names that are taken are held back, nothing
    but its anchor matters.
    """
    keys = [] if account.immutable_id is None else [_BY_ANCHOR + account.immutable_id]
    if account.deleted:
        return keys
    if not (account.synced and features.hold_back_addresses):
        keys += [_BY_ADDRESS + each for each in account.addresses]
    if account.user_principal_name and not (account.synced and features.hold_back_names):
        keys.append(_BY_NAME + account.user_principal_name)
    return keys


def can_take_over(addition: Addition, features: MatchFeatures) -> bool:
    """Whether the tenant lets this take over an account, were there one."""
    if addition.object_type is SyncObjectType.USER and not features.block_hard_match:
        return True
    by_name = bool(addition.name) and features.soft_match_on_upn
    return not features.block_soft_match and (by_name or bool(addition.addresses))


def forecast_of(
    addition: Addition, accounts: Sequence[Account], features: MatchFeatures
) -> Forecast:
    """What becomes of an addition.

    Args:
        addition: the new object.
        accounts: all that share its anchor, a mail address or its user name; others do no harm.
        features: the tenant's switches.
    """
    return (
        _hard_match(addition, accounts, features)
        or _soft_match(addition, accounts, features)
        or Forecast(outcome=Outcome.CREATE)
    )


def _hard_match(
    addition: Addition, accounts: Sequence[Account], features: MatchFeatures
) -> Forecast | None:
    same = [each for each in accounts if each.immutable_id == addition.anchor]
    if not same:
        return None
    found = min(same, key=lambda each: each.deleted)
    if found.object_type is not addition.object_type:
        return _blocked(Block.TYPE)
    if found.synced and not found.deleted:
        return Forecast(outcome=Outcome.ADOPT)
    if features.block_hard_match:
        return _blocked(Block.HARD_MATCH)
    if None not in {found.identifier, addition.identifier} and (
        found.identifier != addition.identifier
    ):
        return _blocked(Block.HARDENED)
    return Forecast(outcome=Outcome.RESTORE if found.deleted else Outcome.HARD_MATCH)


def _soft_match(
    addition: Addition, accounts: Sequence[Account], features: MatchFeatures
) -> Forecast | None:
    live = [each for each in accounts if not each.deleted]
    if addition.primary:
        holders = (each for each in live if addition.primary in each.addresses)
        for each in holders:
            if not (each.synced and features.hold_back_addresses):
                return _onto(addition, each, features)
    if addition.name and features.soft_match_on_upn:
        holders = (each for each in live if each.user_principal_name == addition.name)
        for each in holders:
            if not (each.synced and features.hold_back_names):
                return _onto(addition, each, features)
    # documented is the primary address alone; to be told of one too many does no harm
    for each in live:
        found = _onto(addition, each, features)
        if found.takeovers and set(addition.others) & set(each.addresses):
            return found
    return None


def _onto(addition: Addition, account: Account, features: MatchFeatures) -> Forecast:
    """A soft match onto an account that has a name of the addition."""
    if features.block_soft_match:
        return _blocked(Block.SOFT_MATCH)
    if account.object_type is not addition.object_type:
        return _blocked(Block.TYPE)
    if account.synced or account.immutable_id is not None:
        return _blocked(Block.SOFT_MATCH)
    return Forecast(outcome=Outcome.SOFT_MATCH)


def _blocked(why: Block) -> Forecast:
    return Forecast(outcome=Outcome.BLOCKED, block=why)


def _texts(value: PropertyValue) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,) if value else ()
    if isinstance(value, tuple):
        return tuple(each for each in value if isinstance(each, str))
    return ()
