"""What Entra Connect leaves out by default, each rule under its name.

A rule looks at one object; the first that holds names the reason in reports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from entrasync.engine.source import SECURITY_GROUP, SourceKind, SourceObject, StoredValue

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


_UNUSUAL_RECIPIENTS: Final = _NEVER_SYNCED_RECIPIENTS | _ROLE_GROUP | _LINKED_MAILBOX
_UNUSUAL_NAMES: Final = ("AAD_", "CAS_", "MSOL_", "SUPPORT_", "SystemMailbox{")
_NUMBERS: Final = {SourceKind.USER: "userAccountControl", SourceKind.GROUP: "groupType"}


def is_usual(kind: SourceKind, dn: str, values: Mapping[str, list[StoredValue]]) -> bool:
    """Whether a few looks tell that no rule holds, as of most users and security groups.

    Whoever it is not sure of is looked at rule by rule.

    Args:
        kind: what the object is.
        dn: as last told.
        values: its attributes as the state keeps them.
    """
    if "CNF:" in dn or "adminDescription" in values or "isCriticalSystemObject" in values:
        return False
    try:
        account, number = values["sAMAccountName"][0], values[_NUMBERS[kind]][0]
        if not isinstance(account, str) or not isinstance(number, str):
            return False
        digits = int(number)
    except (LookupError, ValueError):
        return False
    if kind is SourceKind.GROUP and (not digits & SECURITY_GROUP or digits & _BUILT_IN):
        return False
    account = account.strip()
    if not account or account.startswith(_UNUSUAL_NAMES):
        return False
    for name in values.get("name", ()):
        if "CNF:" in name:
            return False
    mailbox = "msExchRecipientTypeDetails" in values or "mailNickname" in values
    return not mailbox or _is_usual_mailbox(values)


def _is_usual_mailbox(values: Mapping[str, list[StoredValue]]) -> bool:
    for name in values.get("mailNickname", ()):
        if not isinstance(name, str) or name.strip().startswith(_UNUSUAL_NAMES):
            return False
    try:
        (recipient,) = values.get("msExchRecipientTypeDetails", ("0",))
        return isinstance(recipient, str) and not int(recipient) & _UNUSUAL_RECIPIENTS
    except ValueError:
        return False


def excluded_by(source: SourceObject) -> str | None:
    """Name of the first rule that leaves this object out, `None` when it takes part."""
    if source.stored is not None and is_usual(source.kind, source.dn, source.stored):
        return None
    rules = _RULES.get(source.kind, ())
    return next((name for name, holds in rules if holds(source)), None)
