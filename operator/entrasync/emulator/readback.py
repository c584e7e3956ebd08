"""Read-back: the changes of a tenant in pages, behind an opaque cookie.

Every change gives its object a new version, so that a position in the order of versions is all a
cookie has to keep: an object that changes while somebody reads moves to the end and is read again.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from entrasync.emulator.objects import CloudObject
from entrasync.emulator.store import TenantStore
from entrasync.entra.contracts import (
    PropertyValue,
    ReadBackPage,
    SyncObject,
    SyncObjectType,
    SyncOperation,
    SyncVersion,
)

_KEYS: Final = {
    SyncObjectType.USER: (
        "AccountEnabled City CommonName Company Country Department DisplayName EmployeeId"
        " FacsimileTelephoneNumber GivenName Mail Manager Mobile OnPremisesDistinguishedName"
        " OnPremisesSamAccountName PhysicalDeliveryOfficeName ProxyAddresses State StreetAddress"
        " Surname TelephoneNumber ThumbnailPhoto Title UsageLocation UserPrincipalName UserType"
    ),
    SyncObjectType.GROUP: (
        "Description DisplayName Mail OnPremisesDistinguishedName OnPremisesSamAccountName"
        " ProxyAddresses SecurityEnabled"
    ),
    SyncObjectType.CONTACT: "City Company DisplayName GivenName Mail ProxyAddresses Surname Title",
    SyncObjectType.DEVICE: "AccountEnabled DeviceId DeviceOSType DeviceOSVersion DisplayName",
}
"""A part of the schema, which V1 answers whole, empty attributes included."""


class CookieError(Exception):
    """The cookie is none of this tenant's, or too old.

    Args:
        name: what the log of requests calls it.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True, kw_only=True)
class _Position:
    tenant: str
    after: int = 0
    """Version up to which everything was read."""
    until: int | None = None
    """Version at which the series ends; `None` between two series."""
    full: int | None = None
    """In a full series: deletions up to this version are of no interest."""
    given: float = 0.0
    """When the cookie was given, in seconds."""


def read_page(
    store: TenantStore,
    tenant_id: str,
    version: SyncVersion,
    *,
    cookie: str | None,
    page_size: int,
    now: float = 0.0,
    takes: Callable[[float], bool] = lambda _: True,
) -> ReadBackPage:
    """One page of what the tenant holds.

    Args:
        store: the tenant's objects.
        tenant_id: whose cookie it must be.
        version: V1 sends empty attributes too.
        cookie: where the last page ended, `None` to begin from nothing. It alone decides: clients
            say `isFullSync` on every page of a full series.
        page_size: most objects of a page.
        now: the time in seconds.
        takes: whether a cookie given at a time is still taken.

    Raises:
        CookieError: the cookie is not one this tenant gave, or is not taken any more.
    """
    position = _Position(tenant=tenant_id) if cookie is None else _open(cookie, tenant_id, store)
    if cookie is not None and not takes(position.given):
        raise CookieError("CookieExpired")
    if position.until is None:
        position = _Position(
            tenant=tenant_id,
            after=position.after,
            until=store.version,
            full=store.version if cookie is None else None,
        )
    page: list[CloudObject] = []
    last, more = position.after, False
    for each in store.changed_since(position.after):
        if len(page) == page_size:
            more = each.version <= (position.until or 0)
            break
        last = each.version
        if not (each.deleted and each.version <= (position.full or 0)):
            page.append(each)
    reached = _Position(
        tenant=tenant_id,
        after=last,
        until=position.until if more else None,
        full=position.full if more else None,
        given=now,
    )
    return ReadBackPage(
        objects=tuple(_outbound(store, each, version) for each in page),
        cookie=_seal(reached),
        more=more,
    )


def _outbound(store: TenantStore, each: CloudObject, version: SyncVersion) -> SyncObject:
    if each.deleted:
        return SyncObject(
            object_type=each.object_type,
            operation=SyncOperation.DELETE,
            source_anchor=each.source_anchor,
            cloud_anchor=each.cloud_anchor,
        )
    properties: dict[str, PropertyValue] = {}
    if version is SyncVersion.V1:
        properties |= dict.fromkeys(_KEYS[each.object_type].split())
    for name, value in each.attributes.items():
        properties[name[:1].upper() + name[1:]] = value
    properties |= each.marks
    anchors = tuple(sorted(m.source_anchor for m in store.members(each) if m.source_anchor))
    if anchors:
        properties["member"] = anchors
    return SyncObject(
        object_type=each.object_type,
        operation=SyncOperation.SET,
        source_anchor=each.source_anchor,
        cloud_anchor=each.cloud_anchor,
        properties=properties,
    )


def _seal(position: _Position) -> str:
    return base64.b64encode(json.dumps(asdict(position)).encode()).decode()


def _open(cookie: str, tenant_id: str, store: TenantStore) -> _Position:
    try:
        position = _Position(**json.loads(base64.b64decode(cookie, validate=True)))
        # what JSON says, whatever the class says
        numbers: tuple[Any, ...] = (position.after, position.until or 0, position.full or 0)
        valid = position.tenant == tenant_id and isinstance(position.given, float | int)
        valid = valid and all(isinstance(n, int) and 0 <= n <= store.version for n in numbers)
    except (ValueError, TypeError, RecursionError, binascii.Error):
        valid = False
    if not valid:
        raise CookieError("CookieInvalid")
    return position
