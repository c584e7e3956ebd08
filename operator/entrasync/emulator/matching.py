"""Whether a new object takes over one that is in the tenant already.

Hard match goes by the anchor, soft match by names; both are evaluated only for objects that are not
synced yet (documented). Rules of 2026: a hard match onto a user that is tied to another directory
object, or that holds or may hold a privileged role, is refused. The codes are documented unless
said otherwise; in which order several reasons are told is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from entrasync.emulator.addresses import NAME_KEYS, PRIMARY, UPN, exported_primary
from entrasync.emulator.naming import NameIndex, proxy_claim, upn_claim
from entrasync.emulator.objects import (
    KEY_OBJECT_IDENTIFIER,
    Attributes,
    CloudObject,
    RefusedError,
)
from entrasync.entra.contracts import SyncObject, SyncObjectType

CODE_HARD_MATCH_BLOCKED: Final = "InvalidHardMatch"
CODE_HARDENED: Final = "AttributeUpdateNotAllowed"
CODE_SOFT_MATCH: Final = "InvalidSoftMatch"
CODE_ADMIN_ROLE: Final = "ExistingAdminRoleConflict"
"""Documented as "Existing Admin Role Conflict"; that the code has no spaces is inferred."""
CODE_TYPE: Final = "ObjectTypeMismatch"
CODE_CLOUD_MANAGED: Final = "OnPremisesSyncBlocked"
"""Guessed: documented is only that nothing flows to an object converted to cloud-managed, and that
Entra Connect skips it by itself. How the service refuses an engine that does not is unknown."""

HARDENED_TEXT: Final = (
    "Hard match operation blocked due to security hardening. Review OnPremisesObjectIdentifier"
    " mapping."
)

PRIVILEGED_ROLES: Final = frozenset(
    {
        "application administrator",
        "application developer",
        "authentication administrator",
        "authentication extensibility administrator",
        "b2c ief keyset administrator",
        "cloud application administrator",
        "cloud device administrator",
        "conditional access administrator",
        "directory synchronization accounts",
        "directory writers",
        "domain name administrator",
        "external identity provider administrator",
        "global administrator",
        "global reader",
        "helpdesk administrator",
        "hybrid identity administrator",
        "intune administrator",
        "lifecycle workflows administrator",
        "partner tier1 support",
        "partner tier2 support",
        "password administrator",
        "privileged authentication administrator",
        "privileged role administrator",
        "security administrator",
        "security operator",
        "security reader",
        "user administrator",
    }
)
"""Display names, in lower case, of the roles Microsoft marks as privileged."""


class MatchRules(Protocol):
    """How new objects meet those that are there, as set for the tenant."""

    @property
    def soft_match_on_upn(self) -> bool:
        """Whether a UPN matches too, not only the primary mail address."""

    @property
    def block_soft_match(self) -> bool:
        """Whether every soft match is refused (BlockSoftMatch)."""

    @property
    def block_hard_match(self) -> bool:
        """Whether every hard match is refused (BlockCloudObjectTakeoverThroughHardMatch)."""


_IDENTIFIER: Final = frozenset({KEY_OBJECT_IDENTIFIER.lower()})


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchingRules:
    """Rules nobody changes."""

    soft_match_on_upn: bool = True
    block_soft_match: bool = False
    block_hard_match: bool = False


def check_hard_match(rules: MatchRules, target: CloudObject, change: SyncObject) -> None:
    """Whether an object that is not synced may be taken over by the anchor that names it.

    Raises:
        RefusedError: it may not.
    """
    check_authority(target)
    if not change.source_anchor:
        raise RefusedError(CODE_HARDENED, "A cloud-only object cannot be updated by a sync engine.")
    if rules.block_hard_match:
        raise RefusedError(
            CODE_HARD_MATCH_BLOCKED,
            "Hard match is blocked in this tenant (BlockCloudObjectTakeoverThroughHardMatch).",
        )
    if _is_tied_elsewhere(target, change) or _is_privileged(target):
        raise RefusedError(CODE_HARDENED, HARDENED_TEXT)


def check_type(target: CloudObject, kind: SyncObjectType) -> None:
    """Refuses an anchor or a name that belongs to an object of another type.

    Raises:
        RefusedError: it does.
    """
    if target.object_type is not kind:
        raise RefusedError(
            CODE_TYPE,
            f"The anchor or name belongs to a {target.object_type}, not to a {kind}.",
        )


def check_authority(target: CloudObject) -> None:
    """Refuses what is exported for an object that was converted to cloud-managed.

    Raises:
        RefusedError: it was.
    """
    if target.sync_blocked:
        raise RefusedError(
            CODE_CLOUD_MANAGED,
            "The source of authority of the object is the cloud (blockOnPremisesSync).",
        )


def soft_match(
    rules: MatchRules,
    names: NameIndex,
    change: SyncObject,
    find: Callable[[str], CloudObject | None],
) -> CloudObject | None:
    """The object a new one takes over by its names, `None` when there is none.

    An object that is synced with another anchor is no match. Without resiliency that refuses the
    new one; with it, uniqueness of names decides (documented: there is no `InvalidSoftMatch` then).
    A cloud-managed one that has another anchor refuses it always (inferred).

    Args:
        rules: the tenant's rules.
        names: who has which name.
        change: the new object.
        find: gives an object by its CloudAnchor.

    Raises:
        RefusedError: there is one that must not be taken over.
    """
    for claim, quarantine in _claims(rules, names, change):
        target = find(names.owner(claim) or "")
        if target is None or (target.synced and quarantine):
            continue
        _check_soft_match(rules, target, change)
        return target
    return None


def _claims(rules: MatchRules, names: NameIndex, change: SyncObject) -> Iterator[tuple[str, bool]]:
    """Names a soft match goes by, and whether one that is taken may be quarantined.

    Of the addresses only the primary one counts (documented).
    """
    wanted = _named(change, NAME_KEYS)
    if address := exported_primary(wanted):
        yield proxy_claim(f"{PRIMARY}{address}"), names.rules.quarantine_addresses
    is_user = change.object_type is SyncObjectType.USER
    if rules.soft_match_on_upn and is_user and (upn := wanted.text(UPN)):
        yield upn_claim(upn), names.rules.quarantine_upns


def _check_soft_match(rules: MatchRules, target: CloudObject, change: SyncObject) -> None:
    if rules.block_soft_match:
        raise RefusedError(
            CODE_SOFT_MATCH, "Soft match is blocked in this tenant (BlockSoftMatch)."
        )
    check_type(target, change.object_type)
    if target.source_anchor:
        raise RefusedError(
            CODE_SOFT_MATCH,
            "Unable to update this object because the following attributes associated with this"
            " object have values that may already be associated with another object in your local"
            " directory services.",
        )
    if target.standing.all_roles:
        raise RefusedError(
            CODE_ADMIN_ROLE, "Existing Admin Role Conflict: the name belongs to an administrator."
        )


def _is_tied_elsewhere(target: CloudObject, change: SyncObject) -> bool:
    """Whether both name a directory object, and not the same (that both must is inferred)."""
    mine = target.attributes.get(KEY_OBJECT_IDENTIFIER)
    theirs = _named(change, _IDENTIFIER).get(KEY_OBJECT_IDENTIFIER)
    return None not in {mine, theirs} and mine != theirs


def _named(change: SyncObject, names: frozenset[str]) -> Attributes:
    """What is exported under some names, which are in lower case."""
    return Attributes(
        (name, value)
        for name, value in change.properties.items()
        if value is not None and name.lower() in names
    )


def _is_privileged(target: CloudObject) -> bool:
    return any(role.lower() in PRIVILEGED_ROLES for role in target.standing.all_roles)
