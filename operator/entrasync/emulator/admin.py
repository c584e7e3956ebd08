"""The emulator's own addresses: what the tenants hold, for tests and for people."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from entrasync.emulator.http import (
    BAD_REQUEST,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    HttpRequest,
    HttpResponse,
    error_response,
    json_response,
    whole_number,
)
from entrasync.emulator.objects import CloudObject, Value
from entrasync.emulator.persistence import DataFile
from entrasync.emulator.tenant import RunningTenant
from entrasync.entra.contracts import OBJECT_TYPES, SyncObjectType

_DEFAULT_LIMIT: Final = 500
_MOST: Final = 10_000

_Item = TypeVar("_Item")


class _BadRequestError(Exception):
    """The request makes no sense; the message says why."""


class _NotFoundError(Exception):
    """There is no such thing; the message says what."""


class Admin:
    """Answers below `/admin/`.

    Args:
        tenants: running tenants by id.
        data: where changes are kept.
        clock: gives the time.
    """

    def __init__(
        self,
        tenants: Mapping[str, RunningTenant],
        data: DataFile,
        *,
        clock: Callable[[], dt.datetime],
    ) -> None:
        self._tenants = tenants
        self._data = data
        self._clock = clock

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answers a request whose path begins with `/admin/`."""
        segments = request.path.strip("/").split("/")[1:]
        try:
            match segments:
                case ["tenants"]:
                    return _only_get(request) or self._list_tenants()
                case ["tenants", tenant_id, *rest]:
                    tenant = self._tenant(tenant_id)
                    if rest == ["faults"] and request.method == "PUT":
                        return _set_faults(tenant, request, self._clock().timestamp())
                    if rest == ["quarantine", "retry"] and request.method == "POST":
                        return self._retry(tenant)
                    return _of_tenant(tenant, rest, request)
                case _:
                    return error_response(NOT_FOUND, "no such address")
        except _NotFoundError as error:
            return error_response(NOT_FOUND, str(error))
        except _BadRequestError as error:
            return error_response(BAD_REQUEST, str(error))

    def _tenant(self, tenant_id: str) -> RunningTenant:
        tenant = self._tenants.get(tenant_id.lower())
        if tenant is None:
            raise _NotFoundError("no such tenant")
        return tenant

    def _retry(self, tenant: RunningTenant) -> HttpResponse:
        """Does now what the tenant does every hour."""
        with tenant.lock:
            tenant.store.retry_quarantined()
            self._data.write(tenant.config.tenant_id, tenant.store.writes())
            objects = tenant.store.objects()
            return json_response({"quarantined": sum(1 for o in objects if o.quarantined)})

    def _list_tenants(self) -> HttpResponse:
        items = []
        for tenant in self._tenants.values():
            with tenant.lock:
                items.append(
                    {
                        "tenantId": tenant.config.tenant_id,
                        "displayName": tenant.config.display_name,
                        "initialDomain": tenant.config.initial_domain,
                        "cloud": tenant.config.cloud,
                        "objects": _counts(tenant),
                    }
                )
        return json_response({"items": items})


def _only_get(request: HttpRequest) -> HttpResponse | None:
    """The refusal of any other method."""
    if request.method == "GET":
        return None
    return error_response(METHOD_NOT_ALLOWED, "only GET is possible here")


def _of_tenant(tenant: RunningTenant, segments: list[str], request: HttpRequest) -> HttpResponse:
    refused = _only_get(request)
    if refused is not None:
        return refused
    with tenant.lock:
        match segments:
            case ["objects"]:
                return _objects(tenant, request)
            case ["objects", name]:
                return _object(tenant, name)
            case ["links"]:
                return _links(tenant, request)
            case ["requests"]:
                return _requests(tenant, request)
            case ["faults"]:
                return _faults(tenant)
            case _:
                return error_response(NOT_FOUND, "no such address")


def _counts(tenant: RunningTenant) -> dict[str, int]:
    counts = tenant.overview.counts()
    by_kind = {kind.value: counts.live[kind] for kind in SyncObjectType}
    return by_kind | {"deleted": counts.deleted, "links": counts.links}


def _objects(tenant: RunningTenant, request: HttpRequest) -> HttpResponse:
    wanted = request.query.get("type")
    if wanted is not None and wanted not in OBJECT_TYPES:
        raise _BadRequestError(f"`type` must be one of {', '.join(sorted(OBJECT_TYPES))}")
    kind = None if wanted is None else SyncObjectType(wanted)
    return _page(tenant.store.objects(kind), request, lambda each: _document(tenant, each))


def _object(tenant: RunningTenant, name: str) -> HttpResponse:
    try:
        anchor = base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
    except (ValueError, binascii.Error):
        raise _BadRequestError("the anchor in the path must be base64url") from None
    return json_response(_document(tenant, _find(tenant, anchor)))


def _links(tenant: RunningTenant, request: HttpRequest) -> HttpResponse:
    # A plus sign that was not encoded arrives as a space, which no anchor has.
    group = _find(tenant, request.query.get("group", "").replace(" ", "+"))
    return _page(tenant.overview.member_anchors(group), request, lambda anchor: anchor)


def _requests(tenant: RunningTenant, request: HttpRequest) -> HttpResponse:
    return _page(tuple(tenant.requests), request, asdict)


def _faults(tenant: RunningTenant) -> HttpResponse:
    return json_response(tenant.switches.model_dump(mode="json", by_alias=True))


def _set_faults(tenant: RunningTenant, request: HttpRequest, now: float) -> HttpResponse:
    try:
        changes = json.loads(request.body or b"{}")
        if not isinstance(changes, dict):
            raise _BadRequestError("the body must be a JSON object")
        tenant.switch(changes, now)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _BadRequestError(f"`{where}`: {first['msg']}") from None
    except (ValueError, RecursionError):
        raise _BadRequestError("the body must be a JSON object") from None
    return _faults(tenant)


def _find(tenant: RunningTenant, anchor: str) -> CloudObject:
    found = tenant.store.find(anchor)
    if found is None:
        raise _NotFoundError("no object has this anchor")
    return found


def _page(
    items: Iterable[_Item], request: HttpRequest, document: Callable[[_Item], Any]
) -> HttpResponse:
    begin = _number(request, "continue", 0, 0)
    limit = min(_number(request, "limit", _DEFAULT_LIMIT, 1), _MOST)
    found = list(itertools.islice(items, begin, begin + limit + 1))
    answer: dict[str, Any] = {"items": [document(item) for item in found[:limit]]}
    if len(found) > limit:
        answer["continue"] = str(begin + limit)
    return json_response(answer)


def _number(request: HttpRequest, name: str, default: int, least: int) -> int:
    number = whole_number(request.query.get(name) or str(default))
    if number is None or number < least:
        raise _BadRequestError(f"`{name}` must be a number of at least {least}")
    return number


def _document(tenant: RunningTenant, each: CloudObject) -> dict[str, Any]:
    document: dict[str, Any] = {
        "type": each.object_type.value,
        "sourceAnchor": each.source_anchor or None,
        "cloudAnchor": each.cloud_anchor,
        "attributes": {name: _plain(value) for name, value in each.attributes.items()},
        "deleted": each.deleted,
        "userPrincipalName": each.user_principal_name,
        "proxyAddresses": each.calculated_proxy_addresses,
        "mail": each.mail,
        "quarantined": each.quarantined,
        "synced": each.synced,
        "cloudManaged": each.sync_blocked,
    }
    if each.object_type is SyncObjectType.GROUP:
        document["memberCount"] = tenant.overview.member_count(each)
    return document


def _plain(value: Value) -> Any:
    """A value in JSON; octets as base64."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
