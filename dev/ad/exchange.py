"""Extends the schema by attributes of Exchange, as its installation does, without Exchange."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any

import ldb

HOLDER = "Mail-Recipient"
"""The auxiliary class of users, groups and contacts."""
OID = "1.3.6.1.4.1.7165.4.255.9"
"""In Samba's part of the tree: the true numbers do not matter to anybody here."""
FIRST_LINK = 6000
"""Links have even numbers, what is derived from them the odd ones after."""


@dataclass(frozen=True)
class Syntax:
    """How values are written, in the two numberings of the schema."""

    attribute: str
    om: int
    object_class: bytes | None = None


TEXT = Syntax("2.5.5.12", 64)
INTEGER = Syntax("2.5.5.9", 2)
LARGE = Syntax("2.5.5.16", 65)
BOOLEAN = Syntax("2.5.5.8", 1)
BYTES = Syntax("2.5.5.10", 4)
SID = Syntax("2.5.5.17", 4)
TIME = Syntax("2.5.5.11", 24)
NAME = Syntax("2.5.5.1", 127, bytes.fromhex("2b0c0287731c00854a"))

ONE_VALUE: dict[str, Syntax] = {
    "mailNickname": TEXT,
    "targetAddress": TEXT,
    **{f"extensionAttribute{number}": TEXT for number in range(1, 16)},
    "msExchArchiveGUID": BYTES,
    "msExchHideFromAddressLists": BOOLEAN,
    "msExchLitigationHoldDate": TIME,
    "msExchMailboxGuid": BYTES,
    "msExchMasterAccountSid": SID,
    "msExchRecipientDisplayType": INTEGER,
    "msExchRecipientTypeDetails": LARGE,
    "msExchUsageLocation": TEXT,
}
LISTS: dict[str, Syntax] = {
    **{f"msExchExtensionCustomAttribute{number}": TEXT for number in range(1, 6)},
    "msExchUserHoldPolicies": TEXT,
}
ONE_LINK = ("altRecipient",)
LINKS = (
    "authOrig",
    "dLMemRejectPerms",
    "dLMemSubmitPerms",
    "msExchBypassModerationLink",
    "msExchCoManagedByLink",
    "msExchDelegateListLink",
    "msExchModeratedByLink",
    "msExchTeamMailboxOwners",
    "msExchTeamMailboxSharePointLinkedBy",
    "publicDelegates",
    "unauthOrig",
)


def extend(database: Any) -> None:
    """Adds the attributes; each in a transaction of its own, as the schema wants it."""
    schema = str(database.get_schema_basedn())
    names: list[str] = []

    def add(name: str, syntax: Syntax, *, single: bool, link: int | None = None) -> None:
        entry: dict[str, Any] = {
            "dn": f"CN={name},{schema}",
            "objectClass": "attributeSchema",
            "lDAPDisplayName": name,
            "attributeID": f"{OID}.{len(names) + 1}",
            "attributeSyntax": syntax.attribute,
            "oMSyntax": str(syntax.om),
            "isSingleValued": str(single).upper(),
            "schemaIDGUID": uuid.uuid5(uuid.NAMESPACE_OID, name).bytes_le,
        }
        if syntax.object_class is not None:
            entry["oMObjectClass"] = syntax.object_class
        if link is not None:
            entry["linkID"] = str(link)
        database.add(entry)
        names.append(name)

    for name, syntax in ONE_VALUE.items():
        add(name, syntax, single=True)
    for name, syntax in LISTS.items():
        add(name, syntax, single=False)
    for number, name in enumerate((*ONE_LINK, *LINKS)):
        link = FIRST_LINK + 2 * number
        add(name, NAME, single=name in ONE_LINK, link=link)
        add(f"{name}BL", NAME, single=False, link=link + 1)
    _load(database)
    held = [name for name in names if not name.endswith("BL")]
    message = ldb.Message(ldb.Dn(database, f"CN={HOLDER},{schema}"))
    message["mayContain"] = ldb.MessageElement(held, ldb.FLAG_MOD_ADD, "mayContain")
    database.modify(message)
    _load(database)


def _load(database: Any) -> None:
    """Makes what was added to the schema known."""
    message = ldb.Message(ldb.Dn(database, ""))
    message["schemaUpdateNow"] = ldb.MessageElement("1", ldb.FLAG_MOD_REPLACE, "schemaUpdateNow")
    database.modify(message)
