"""The cloud space: what the tenant holds, as read back and as the store keeps it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from entrasync.engine.anchors import GUID_BYTES
from entrasync.engine.evidence import guid_of_anchor
from entrasync.engine.flows import OBJECT_IDENTIFIER
from entrasync.engine.plan import CloudObject
from entrasync.entra.contracts import (
    KEY_MEMBER,
    PropertyValue,
    SyncObject,
    SyncObjectType,
    SyncOperation,
)
from entrasync.state.rows import CloudRow
from entrasync.state.store import META_PENDING, Store

META_READ_BACK: Final = "cloud-read-back"
"""Says that the tenant was read back in full at least once."""

FLOWED_KEYS: Final = (
    "accountEnabled",
    "city",
    "commonName",
    "company",
    "country",
    "countryCode",
    "department",
    "Description",
    "displayName",
    "dnsDomainName",
    "employeeId",
    "employeeType",
    "facsimileTelephoneNumber",
    "givenName",
    "lastPasswordChangeTimestamp",
    "mail",
    "manager",
    "mobile",
    "onPremiseSecurityIdentifier",
    "onPremisesDistinguishedName",
    OBJECT_IDENTIFIER,
    "onPremisesSamAccountName",
    "physicalDeliveryOfficeName",
    "postalCode",
    "proxyAddresses",
    "securityEnabled",
    "state",
    "streetAddress",
    "surname",
    "telephoneNumber",
    "title",
    "userPrincipalName",
)
"""Properties that flow. What else the tenant tells of an object is not ours to compare or clear."""

_SPELLING: Final = {key.lower(): key for key in FLOWED_KEYS}
_EMPTY: Final = (None, "", ())
_KINDS: Final = frozenset({SyncObjectType.USER, SyncObjectType.GROUP, SyncObjectType.CONTACT})


def load_cloud(store: Store) -> dict[str, CloudObject]:
    """What the store knows of the tenant, by SourceAnchor."""
    return {
        anchor: CloudObject(
            anchor=anchor,
            object_type=SyncObjectType(row.object_type),
            guid=row.guid,
            properties=row.properties,
            members=row.members,
            owned=row.owned,
        )
        for anchor, row in store.load_cloud().items()
    }


def recorded_anchors(cloud: Mapping[str, CloudObject]) -> dict[str, str]:
    """Anchors by objectGUID, as the tenant itself remembers where its users come from.

    It outlives a lost volume: an object whose anchor would be another one now is known by this, and
    not created a second time.
    """
    found: dict[str, str] = {}
    for anchor, each in cloud.items():
        identifier = each.properties.get(OBJECT_IDENTIFIER)
        if isinstance(identifier, bytes) and len(identifier) == GUID_BYTES:
            found[str(uuid.UUID(bytes_le=identifier))] = anchor
    return found


def distrust_cloud_space(store: Store) -> None:
    """Makes the next run read the tenant back: it holds something else than was thought."""
    store.put(META_READ_BACK, None)


def take_read_back(store: Store, objects: Iterable[SyncObject]) -> None:
    """Replaces the cloud space by what was read back; what was owned stays owned.

    So does what an interrupted export call may have created: it was to be ours.
    """
    known = store.load_cloud()
    rows = build_rows(objects, known, frozenset(store.pending()))
    store.replace_cloud(rows)
    store.put(META_READ_BACK, "1")
    store.put(META_PENDING, None)


def build_rows(
    objects: Iterable[SyncObject], known: Mapping[str, CloudRow], pending: frozenset[str]
) -> list[CloudRow]:
    """Rows of all synced objects; such without SourceAnchor are the cloud's own.

    Members are all that the tenant names, also devices and the cloud's own: nobody may take them
    for absent. Who has no SourceAnchor goes by its CloudAnchor.
    """
    live: dict[str, SyncObject] = {}
    by_cloud_anchor: dict[str, str] = {}
    for each in objects:
        if not each.source_anchor:
            continue
        if each.cloud_anchor is not None:
            by_cloud_anchor[each.cloud_anchor] = each.source_anchor
        if each.object_type not in _KINDS:
            continue
        if each.operation is SyncOperation.DELETE:
            live.pop(each.source_anchor, None)
        else:
            live[each.source_anchor] = each
    rows = [_row(each, by_cloud_anchor, known.get(anchor)) for anchor, each in live.items()]
    return [
        replace(row, owned=True, guid=row.guid or guid_of_anchor(row.anchor))
        if row.anchor in pending
        else row
        for row in rows
    ]


def _row(each: SyncObject, by_cloud_anchor: Mapping[str, str], before: CloudRow | None) -> CloudRow:
    properties = {
        _SPELLING[key.lower()]: _comparable(value)
        for key, value in each.properties.items()
        if key.lower() in _SPELLING and value not in _EMPTY
    }
    members = {
        by_cloud_anchor.get(link.anchor, link.anchor) if link.by_cloud_anchor else link.anchor
        for link in each.links
        if link.add
    }
    for key, value in each.properties.items():
        if key.lower() == KEY_MEMBER and isinstance(value, tuple):
            members |= {item for item in value if isinstance(item, str)}
    return CloudRow(
        anchor=each.source_anchor,
        object_type=str(each.object_type),
        guid=None if before is None else before.guid,
        properties=properties,
        members=frozenset(members - {""}),
        owned=before is not None and before.owned,
    )


def _comparable(value: PropertyValue) -> PropertyValue:
    """Lists are sets to the service: flows sort them, so does this."""
    if isinstance(value, tuple):
        return tuple(sorted(value))  # type: ignore[return-value]  # all of one sort
    return value
