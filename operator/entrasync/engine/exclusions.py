"""What Entra Connect leaves out by default, each rule under its name.

A rule looks at one object; the first that holds names the reason in reports.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from entrasync.engine.source import SECURITY_GROUP, SourceKind, SourceObject

_NEVER_SYNCED_RECIPIENTS: Final = 0x21C07000
"""Bits of msExchRecipientTypeDetails: system, arbitration, discovery mailboxes and the like."""
_ROLE_GROUP: Final = 0x40000000
_BUILT_IN: Final = 0x1
"""Bit of groupType: made by the system, as all in the container Builtin are."""
_LINKED_MAILBOX: Final = 2
WITHOUT_ACCOUNT: Final = "LinkedMailboxWithoutAnchor"
"""The rule about mailboxes of accounts in another forest: alone they are nobody, but they may be
joined with their account."""

_NO_ACCOUNT: Final = "NoAccountName"
_NO_CONTROL: Final = "NoUserAccountControl"
UNREADABLE: Final = frozenset({_NO_ACCOUNT, _NO_CONTROL})
"""Rules about what Active Directory gives every account: who lacks it may only hide it from us."""

Rule = Callable[[SourceObject], bool]


def _account(source: SourceObject) -> str:
    return source.text("sAMAccountName") or ""


def _recipient(source: SourceObject) -> int:
    return source.integer("msExchRecipientTypeDetails") or 0


def _conflict(source: SourceObject) -> bool:
    return "\\0ACNF:" in source.dn or "\nCNF:" in (source.text("name") or "")


def _written_back(prefix: str) -> Rule:
    return lambda source: (source.text("adminDescription") or "").startswith(prefix)


def _is_true(source: SourceObject, name: str) -> bool:
    return (source.text(name) or "").upper() == "TRUE"


def _is_critical(source: SourceObject) -> bool:
    return _is_true(source, "isCriticalSystemObject")


def _names(source: SourceObject) -> tuple[str, str]:
    return _account(source), source.text("mailNickname") or ""


def _is_system_mailbox(source: SourceObject) -> bool:
    return any(name.startswith("SystemMailbox{") for name in _names(source))


def _is_client_access_mailbox(source: SourceObject) -> bool:
    return any(name.startswith("CAS_") and "}" in name for name in _names(source))


def _has_address(source: SourceObject) -> bool:
    """Whether mail can be sent to it; an X.500 address alone is of no use."""
    return "@" in (source.text("mail") or "") or any(
        address.lower().startswith("smtp:") and "@" in address
        for address in source.texts("proxyAddresses")
    )


def _is_distribution_without_mail(source: SourceObject) -> bool:
    security = (source.integer("groupType") or 0) & SECURITY_GROUP
    return not security and not _has_address(source)


def _is_hidden_sync_contact(source: SourceObject) -> bool:
    hidden = _is_true(source, "msExchHideFromAddressLists")
    return hidden and "(MSOL)" in (source.text("displayName") or "")


USER_RULES: Final[tuple[tuple[str, Rule], ...]] = (
    ("CriticalSystemObject", _is_critical),
    (_NO_ACCOUNT, lambda source: not _account(source)),
    (_NO_CONTROL, lambda source: source.integer("userAccountControl") is None),
    ("SyncServiceAccount", lambda source: _account(source).startswith(("AAD_", "MSOL_"))),
    ("SupportAccount", lambda source: _account(source) == "SUPPORT_388945a0"),
    ("SystemMailbox", _is_system_mailbox),
    ("ClientAccessMailbox", _is_client_access_mailbox),
    ("SystemRecipient", lambda source: bool(_recipient(source) & _NEVER_SYNCED_RECIPIENTS)),
    (
        WITHOUT_ACCOUNT,
        lambda source: (
            _recipient(source) == _LINKED_MAILBOX and not source.raw("mS-DS-ConsistencyGuid")
        ),
    ),
    ("ReplicationConflict", _conflict),
    ("WrittenBack", _written_back("User_")),
)
GROUP_RULES: Final[tuple[tuple[str, Rule], ...]] = (
    ("CriticalSystemObject", _is_critical),
    ("BuiltInGroup", lambda source: bool((source.integer("groupType") or 0) & _BUILT_IN)),
    (_NO_ACCOUNT, lambda source: not _account(source)),
    ("RichCoexistenceGroup", lambda source: _account(source) == "MSOL_AD_Sync_RichCoexistence"),
    ("RoleGroup", lambda source: bool(_recipient(source) & _ROLE_GROUP)),
    ("DistributionGroupWithoutMail", _is_distribution_without_mail),
    ("ReplicationConflict", _conflict),
    ("WrittenBack", _written_back("Group_")),
)
CONTACT_RULES: Final[tuple[tuple[str, Rule], ...]] = (
    ("CriticalSystemObject", _is_critical),
    ("NoAddress", lambda source: not _has_address(source)),
    ("SyncServiceContact", _is_hidden_sync_contact),
    ("ClientAccessMailbox", _is_client_access_mailbox),
    ("ReplicationConflict", _conflict),
)
_RULES: Final = {
    SourceKind.USER: USER_RULES,
    SourceKind.GROUP: GROUP_RULES,
    SourceKind.CONTACT: CONTACT_RULES,
}


_UNUSUAL: Final = frozenset({"adminDescription", "isCriticalSystemObject"})
"""Attributes that few users and groups have."""
_UNUSUAL_RECIPIENTS: Final = _NEVER_SYNCED_RECIPIENTS | _ROLE_GROUP | _LINKED_MAILBOX
_UNUSUAL_NAMES: Final = ("AAD_", "CAS_", "MSOL_", "SUPPORT_", "SystemMailbox{")
_NUMBERS: Final = {SourceKind.USER: "userAccountControl", SourceKind.GROUP: "groupType"}


def _is_usual(source: SourceObject) -> bool:
    """Whether a few looks tell that no rule holds, as of most users and security groups.

    Whoever it is not sure of is looked at rule by rule.
    """
    values = source.stored
    name_of_number = _NUMBERS.get(source.kind)
    if values is None or name_of_number is None or not values.keys().isdisjoint(_UNUSUAL):
        return False
    if "CNF:" in source.dn:
        return False
    try:
        account, number = values["sAMAccountName"][0], values[name_of_number][0]
        if not isinstance(account, str) or not isinstance(number, str):
            return False
        digits = int(number)
    except (LookupError, ValueError):
        return False
    if source.kind is SourceKind.GROUP and (not digits & SECURITY_GROUP or digits & _BUILT_IN):
        return False
    account = account.strip()
    if not account or account.startswith(_UNUSUAL_NAMES):
        return False
    if "msExchRecipientTypeDetails" in values and _recipient(source) & _UNUSUAL_RECIPIENTS:
        return False
    if "mailNickname" in values and (source.text("mailNickname") or "").startswith(_UNUSUAL_NAMES):
        return False
    return "name" not in values or "CNF:" not in (source.text("name") or "")


def excluded_by(source: SourceObject) -> str | None:
    """Name of the first rule that leaves this object out, `None` when it takes part."""
    if _is_usual(source):
        return None
    rules = _RULES.get(source.kind, ())
    return next((name for name, holds in rules if holds(source)), None)
