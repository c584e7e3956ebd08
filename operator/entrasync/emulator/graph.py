"""The part of Microsoft Graph that verifies a tenant: organization, sync settings, what is there.

The same is served below `/v1.0/` and `/beta/`; what only the beta has is told there only.

Addresses, properties, permissions and the form of errors are documented. Which code and sentence
an error carries is inferred from the documentation's examples: clients should go by the status.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import structlog

from entrasync.emulator import graph_documents as documents
from entrasync.emulator.config import EmulatorConfig
from entrasync.emulator.graph_batch import BATCH, answer_batch
from entrasync.emulator.graph_calls import (
    BehaviourChange,
    Call,
    GraphError,
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
from entrasync.emulator.graph_filters import filter_of
from entrasync.emulator.graph_settings import organization, synchronization
from entrasync.emulator.http import (
    BAD_REQUEST,
    HttpRequest,
    HttpResponse,
    json_response,
    whole_number,
)
from entrasync.emulator.objects import CloudObject
from entrasync.emulator.persistence import DataFile
from entrasync.emulator.tenant import RunningTenant
from entrasync.emulator.tokens import GRAPH_RESOURCES, Authority, InvalidTokenError
from entrasync.entra.contracts import SyncObjectType

_log = structlog.get_logger()

GRAPH_ROOTS: Final = ("/v1.0/", "/beta/")
_BEHAVIOUR: Final = "onPremisesSyncBehavior"
_DELETED: Final = "deleteditems"
_DELETED_USERS: Final = "microsoft.graph.user"
_USERS: Final = ("User", "Directory")
_GROUPS: Final = ("Group", "Directory")
_CONTACTS: Final = ("OrgContact", "Directory")
_MEMBERS: Final = ("GroupMember", "Group", "Directory")


class Graph:
    """Answers below `GRAPH_ROOTS`.

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
        """Answers a request whose path begins with one of `GRAPH_ROOTS`."""
        segments = request.segments[1:]
        try:
            call = self._admit(request)
            with call.tenant.lock:
                is_batch = segments == [BATCH]
                answer = answer_batch(call, self._answer) if is_batch else _route(call, segments)
                self._data.write(call.tenant.config.tenant_id, call.tenant.store.writes())
        except GraphError as error:
            answer = self._error(request, error)
        # what follows may be a person's name
        resource = segments[0] if segments else ""
        _log.info("graph_request", method=request.method, resource=resource, status=answer.status)
        return answer

    def _answer(self, call: Call) -> HttpResponse:
        """The answer to one of several requests."""
        try:
            return _route(call, call.request.segments[1:])
        except GraphError as error:
            return self._error(call.request, error)

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
            return organization(call, None)
        case ["organization", tenant_id]:
            return organization(call, tenant_id)
        case ["directory", name, *rest] if name.lower() == "onpremisessynchronization":
            return synchronization(call, rest)
        case ["directory", name, kind] if name.lower() == _DELETED:
            call.require(_USERS)
            return _deleted(call, kind)
        case ["contacts"]:
            call.require(_CONTACTS)
            return _objects(call, SyncObjectType.CONTACT, documents.contact)
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
    size = page_size(call.request, filtered=True)
    live: Sequence[CloudObject] = call.tenant.overview.live(kind)
    text = call.request.query.get("$filter")
    if text is not None:
        matches = filter_of(text, kind)
        live = [each for each in live if matches(each)]
    return _part(call, f"{kind.value.lower()}s", live, size, document)


def _deleted(call: Call, kind: str) -> HttpResponse:
    """Deleted users; Graph tells of one kind at a time."""
    require_get(call)
    if kind.lower() != _DELETED_USERS:
        raise _no_segment(kind)
    size = page_size(call.request)
    found = [each for each in call.tenant.overview.deleted() if each.restorable]
    return _part(call, "users", found, size, documents.deleted_user)


def _part(
    call: Call,
    name: str,
    found: Sequence[CloudObject],
    size: int,
    document: documents.Document,
) -> HttpResponse:
    """The page of a list that a request asks for."""
    number = whole_number(position(call.request) or "0")
    if number is None:
        raise bad_request("Invalid skip token.")
    page = found[number : number + size]
    proceed = str(number + size) if len(found) > number + size else None
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
        in_beta = call.request.segments[0].lower() == "beta"
        return documents.user_in_beta if in_beta else documents.user
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
