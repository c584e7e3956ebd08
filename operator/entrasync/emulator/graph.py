"""The part of Microsoft Graph that verifies a tenant: organization, sync settings, what is there.

Addresses, properties, permissions and the form of errors are documented. Which code and sentence
an error carries is inferred from the documentation's examples: clients should go by the status.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from entrasync.emulator import graph_documents as documents
from entrasync.emulator.config import EmulatorConfig
from entrasync.emulator.graph_calls import (
    BehaviourChange,
    Call,
    ConfigurationChange,
    GraphError,
    OrganizationChange,
    SynchronizationChange,
    bad_request,
    listed,
    no_content,
    not_found,
    one_or_many,
    page_size,
    position,
    read_change,
    require_get,
    unauthenticated,
)
from entrasync.emulator.http import (
    BAD_REQUEST,
    HttpRequest,
    HttpResponse,
    json_response,
    whole_number,
)
from entrasync.emulator.objects import CloudObject
from entrasync.emulator.persistence import DataFile
from entrasync.emulator.service import feature_bits
from entrasync.emulator.tenant import RunningTenant
from entrasync.emulator.tokens import GRAPH_RESOURCES, Authority, InvalidTokenError
from entrasync.entra.contracts import SyncObjectType

_log = structlog.get_logger()

GRAPH_ROOT: Final = "/v1.0/"
_BEHAVIOUR: Final = "onPremisesSyncBehavior"
_ORGANIZATION: Final = ("Organization", "Directory")
_SYNCHRONIZATION: Final = ("OnPremDirectorySynchronization",)
_USERS: Final = ("User", "Directory")
_GROUPS: Final = ("Group", "Directory")
_MEMBERS: Final = ("GroupMember", "Group", "Directory")


class Graph:
    """Answers below `/v1.0/`.

    Args:
        config: which tenants live at which host.
        tenants: running tenants by id.
        authority: checks tokens.
        data: where changes are kept.
        clock: gives the time.
    """

    def __init__(
        self,
        config: EmulatorConfig,
        tenants: Mapping[str, RunningTenant],
        authority: Authority,
        *,
        data: DataFile,
        clock: Callable[[], dt.datetime],
    ) -> None:
        self._config = config
        self._tenants = tenants
        self._authority = authority
        self._data = data
        self._clock = clock

    def handle(self, request: HttpRequest) -> HttpResponse:
        """Answers a request whose path begins with `/v1.0/`."""
        segments = request.path.strip("/").split("/")[1:]
        try:
            call = self._admit(request)
            with call.tenant.lock:
                answer = _route(call, segments)
                self._data.write(call.tenant.config.tenant_id, call.tenant.store.writes())
        except GraphError as error:
            answer = self._error(request, error)
        # what follows may be a person's name
        resource = segments[0] if segments else ""
        _log.info("graph_request", method=request.method, resource=resource, status=answer.status)
        return answer

    def _admit(self, request: HttpRequest) -> Call:
        kind, _, text = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not text.strip():
            raise unauthenticated("Access token is empty.")
        try:
            token = self._authority.check(text.strip())
            tenant = self._tenants.get(token.tenant_id)
            if tenant is None or not self._config.is_served(
                tenant.config, request.host, tenant.switches
            ):
                raise InvalidTokenError("the tenant is of another cloud")  # noqa: TRY301
            token.require_audience({*GRAPH_RESOURCES, f"https://{request.host}"})
            if not tenant.misbehaviour.takes_token(token.issued, self._clock().timestamp()):
                raise InvalidTokenError("the token is expired")  # noqa: TRY301
        except InvalidTokenError as error:
            raise unauthenticated(f"Access token validation failure: {error}.") from None
        return Call(tenant=tenant, request=request, roles=frozenset(token.roles))

    def _error(self, request: HttpRequest, error: GraphError) -> HttpResponse:
        request_id = str(uuid.uuid4())
        return json_response(
            {
                "error": {
                    "code": error.code,
                    "message": error.message,
                    "innerError": {
                        "date": self._clock().strftime("%Y-%m-%dT%H:%M:%S"),
                        "request-id": request_id,
                        "client-request-id": request.headers.get("client-request-id", request_id),
                    },
                }
            },
            error.status,
        )


def _route(call: Call, segments: list[str]) -> HttpResponse:
    match [each if index else each.lower() for index, each in enumerate(segments)]:
        case ["organization"]:
            return _organization(call, None)
        case ["organization", tenant_id]:
            return _organization(call, tenant_id)
        case ["directory", name, *rest] if name.lower() == "onpremisessynchronization":
            return _synchronization(call, rest)
        case ["users" | "groups" as name, object_id, behaviour] if behaviour == _BEHAVIOUR:
            return _sync_behaviour(call, name, object_id)
        case ["users", *rest]:
            call.require(_USERS)
            return _users(call, rest)
        case ["groups", *rest]:
            call.require(_MEMBERS if rest[1:] else _GROUPS)
            return _groups(call, rest)
        case segments:
            raise _no_segment(segments[0] if segments else "")


def _users(call: Call, rest: list[str]) -> HttpResponse:
    match rest:
        case []:
            return _objects(call, SyncObjectType.USER, _user_of(call))
        case [name]:
            return _object(call, _find_user(call.tenant, name), _user_of(call))
        case _:
            raise _no_segment(rest[1])


def _groups(call: Call, rest: list[str]) -> HttpResponse:
    if not rest:
        return _objects(call, SyncObjectType.GROUP, documents.group)
    group = _find(call.tenant, SyncObjectType.GROUP, rest[0])
    match rest[1:]:
        case []:
            return _object(call, group, documents.group)
        case ["members"]:
            return _members(call, group)
        case _:
            raise _no_segment(rest[1])


def _no_segment(name: str) -> GraphError:
    return GraphError(BAD_REQUEST, "BadRequest", f"Resource not found for the segment '{name}'.")


def _organization(call: Call, tenant_id: str | None) -> HttpResponse:
    known = call.tenant.config.tenant_id
    if tenant_id is not None and tenant_id.lower() != known:
        raise not_found(tenant_id)
    if call.request.method == "PATCH" and tenant_id is not None:
        call.require(_ORGANIZATION, write=True)
        change = read_change(call.request, OrganizationChange)
        call.tenant.company.enable_sync(on=change.on_premises_sync_enabled)
        return no_content()
    require_get(call)
    call.require(_ORGANIZATION)
    found = documents.selected(
        [documents.organization(call.tenant)], call.request.query.get("$select")
    )
    return one_or_many(call, "organization", found, one=tenant_id is not None)


def _synchronization(call: Call, rest: list[str]) -> HttpResponse:
    known = call.tenant.config.tenant_id
    if len(rest) > 1 or (rest and rest[0].lower() != known):
        raise not_found("/".join(rest))
    if call.request.method == "PATCH" and rest:
        call.require(_SYNCHRONIZATION, write=True)
        _change_synchronization(call)
        return no_content()
    require_get(call)
    call.require(_SYNCHRONIZATION)
    bits = feature_bits(call.tenant)
    found = documents.selected(
        [documents.on_premises_synchronization(call.tenant, bits)],
        call.request.query.get("$select"),
    )
    return one_or_many(call, "directory/onPremisesSynchronization", found, one=bool(rest))


def _change_synchronization(call: Call) -> None:
    change, company = read_change(call.request, SynchronizationChange), call.tenant.company
    unknown = sorted(set(change.features or {}) - set(documents.FEATURE_BITS))
    if unknown:
        raise bad_request(f"Invalid property '{unknown[0]}'.")
    for name, on in (change.features or {}).items():
        company.set_features(documents.FEATURE_BITS[name], on=on)
    configuration = change.configuration or ConfigurationChange()
    prevention = configuration.accidental_deletion_prevention
    if prevention is not None:
        how, threshold = prevention.synchronization_prevention_type, prevention.alert_threshold
        company.prevent_deletions(
            company.deletion_prevention if how is None else how,
            company.alert_threshold if threshold is None else threshold,
        )
    interval = configuration.customer_requested_synchronization_interval
    if interval is not None:
        company.set_interval(interval)


def _sync_behaviour(call: Call, name: str, object_id: str) -> HttpResponse:
    """Who has authority over an object; converting it is documented."""
    kind = SyncObjectType.USER if name == "users" else SyncObjectType.GROUP
    each = _find(call.tenant, kind, object_id)
    if call.request.method == "PATCH":
        call.require([f"{kind}-OnPremisesSyncBehavior"], write=True)
        change = read_change(call.request, BehaviourChange)
        call.tenant.store.set_cloud_managed(each, cloud_managed=change.is_cloud_managed)
        return no_content()
    require_get(call)
    call.require([f"{kind}-OnPremisesSyncBehavior"])
    found = {"id": documents.id_of(each), "isCloudManaged": each.sync_blocked}
    return one_or_many(call, f"{name}('{object_id}')/{_BEHAVIOUR}", [found], one=True)


def _objects(call: Call, kind: SyncObjectType, document: documents.Document) -> HttpResponse:
    require_get(call)
    size = page_size(call.request)
    number = whole_number(position(call.request) or "0")
    if number is None:
        raise bad_request("Invalid skip token.")
    live = call.tenant.overview.live(kind)
    page = live[number : number + size]
    proceed = str(number + size) if len(live) > number + size else None
    name = f"{kind.value.lower()}s"
    return listed(call, name, [document(each) for each in page], proceed)


def _members(call: Call, group: CloudObject) -> HttpResponse:
    require_get(call)
    size = page_size(call.request)
    found = call.tenant.overview.members_after(group, position(call.request), size + 1)
    page = found[:size]
    proceed = page[-1].cloud_anchor if len(found) > size else None
    return listed(call, "directoryObjects", [documents.member(each) for each in page], proceed)


def _object(call: Call, each: CloudObject, document: documents.Document) -> HttpResponse:
    require_get(call)
    kind = f"{each.object_type.value.lower()}s"
    names = call.request.query.get("$select")
    return one_or_many(call, kind, documents.selected([document(each)], names), one=True)


def _user_of(call: Call) -> documents.Document:
    if call.request.query.get("$select"):
        return documents.user
    return lambda each: documents.user_defaults(documents.user(each))


def _find_user(tenant: RunningTenant, name: str) -> CloudObject:
    """A user by object id, or by the UPN everybody sees."""
    if "@" not in name:
        return _find(tenant, SyncObjectType.USER, name)
    for each in tenant.overview.live(SyncObjectType.USER):
        if (each.user_principal_name or "").lower() == name.lower():
            return each
    raise not_found(name)


def _find(tenant: RunningTenant, kind: SyncObjectType, object_id: str) -> CloudObject:
    found = tenant.store.find_by(f"{kind.value}_{object_id}", cloud=True)
    if found is None or found.deleted or found.object_type is not kind:
        raise not_found(object_id)
    return found
