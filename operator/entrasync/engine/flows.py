"""Attribute flows: which property of a cloud object comes from which attribute.

Names on the right are the service's, as Entra Connect sends them; the main attributes of its
default rules. An absent value is an absent key: the plan turns a value that went away into a clear.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from typing import Final

from entrasync.engine.source import (
    ACCOUNT_DISABLED,
    FILETIME_NEVER,
    SECURITY_GROUP,
    SourceKind,
    SourceObject,
)
from entrasync.entra.contracts import PropertyValue

MANAGER: Final = "manager"
"""The reference that is exported once the object it names exists."""
OBJECT_IDENTIFIER: Final = "onPremisesObjectIdentifier"
"""The objectGUID a user comes from, as the tenant remembers it."""

_COMMON: Final = {
    "mail": "mail",
}
_PERSON: Final = _COMMON | {
    "c": "country",
    "company": "company",
    "department": "department",
    "facsimileTelephoneNumber": "facsimileTelephoneNumber",
    "givenName": "givenName",
    "l": "city",
    "mobile": "mobile",
    "physicalDeliveryOfficeName": "physicalDeliveryOfficeName",
    "postalCode": "postalCode",
    "sn": "surname",
    "st": "state",
    "streetAddress": "streetAddress",
    "telephoneNumber": "telephoneNumber",
    "title": "title",
}
_USER: Final = _PERSON | {
    "employeeID": "employeeId",
    "employeeType": "employeeType",
    "sAMAccountName": "onPremisesSamAccountName",
    "userPrincipalName": "userPrincipalName",
}
_GROUP: Final = _COMMON | {
    "description": "Description",
    "sAMAccountName": "onPremisesSamAccountName",
}
_EPOCH: Final = dt.datetime(1601, 1, 1, tzinfo=dt.UTC)


def flow(
    source: SourceObject, *, dn: str, domain: str, anchor_of: Callable[[str], str | None]
) -> dict[str, PropertyValue]:
    """All properties of an object's cloud twin, anchors and members left out.

    Args:
        source: the object.
        dn: its DN as it is now.
        domain: DNS name of its domain.
        anchor_of: SourceAnchor of an objectGUID in scope, `None` when it does not take part.
    """
    texts = {SourceKind.USER: _USER, SourceKind.GROUP: _GROUP}.get(source.kind, _PERSON)
    properties: dict[str, PropertyValue] = _direct(source, texts)
    display_name = source.text("displayName") or source.text("cn") or source.text("name")
    if display_name is not None:
        properties["displayName"] = display_name
    addresses = source.texts("proxyAddresses")
    if addresses:
        properties["proxyAddresses"] = tuple(sorted(addresses))
    if source.kind is SourceKind.USER:
        properties |= _user(source, dn, domain)
    elif source.kind is SourceKind.GROUP:
        properties |= _group(source, dn, domain)
    if source.kind is not SourceKind.GROUP:
        properties |= _manager(source, anchor_of)
    return properties


def _direct(source: SourceObject, names: Mapping[str, str]) -> dict[str, PropertyValue]:
    found = ((target, source.text(name)) for name, target in names.items())
    return {target: text for target, text in found if text is not None}


def _user(source: SourceObject, dn: str, domain: str) -> dict[str, PropertyValue]:
    control = source.integer("userAccountControl") or 0
    properties: dict[str, PropertyValue] = {
        "accountEnabled": not control & ACCOUNT_DISABLED,
        "dnsDomainName": domain,
        "onPremisesDistinguishedName": dn,
        OBJECT_IDENTIFIER: uuid.UUID(source.guid).bytes_le,
    }
    if "userPrincipalName" not in _direct(source, _USER):
        # as in Entra Connect: who has no UPN signs in by account name and domain
        properties["userPrincipalName"] = f"{source.text('sAMAccountName')}@{domain}"
    common_name = source.text("cn")
    if common_name is not None:
        properties["commonName"] = common_name
    code = source.integer("countryCode")
    if code:
        properties["countryCode"] = code
    sid = source.raw("objectSid")
    if sid is not None:
        properties["onPremiseSecurityIdentifier"] = sid
    changed = source.integer("pwdLastSet")
    if changed is not None and changed not in FILETIME_NEVER:
        properties["lastPasswordChangeTimestamp"] = generalized_time(changed)
    return properties


def _group(source: SourceObject, dn: str, domain: str) -> dict[str, PropertyValue]:
    properties: dict[str, PropertyValue] = {
        "securityEnabled": bool((source.integer("groupType") or 0) & SECURITY_GROUP),
        "dnsDomainName": domain,
        "onPremisesDistinguishedName": dn,
    }
    sid = source.raw("objectSid")
    if sid is not None:
        properties["onPremiseSecurityIdentifier"] = sid
    return properties


def _manager(
    source: SourceObject, anchor_of: Callable[[str], str | None]
) -> dict[str, PropertyValue]:
    guid = source.text("manager")
    anchor = anchor_of(guid) if guid is not None else None
    return {} if anchor is None else {MANAGER: anchor}


def generalized_time(filetime: int) -> str:
    """100 ns ticks since 1601 as `20190801164342.0Z`."""
    moment = _EPOCH + dt.timedelta(microseconds=filetime // 10)
    return moment.strftime("%Y%m%d%H%M%S.0Z")
