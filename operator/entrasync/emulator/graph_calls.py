"""Requests of Microsoft Graph: who may make them, what they ask for, how answers look."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError
from pydantic.alias_generators import to_camel

from entrasync.emulator.company import DeletionPrevention
from entrasync.emulator.graph_documents import selected
from entrasync.emulator.http import (
    BAD_REQUEST,
    FORBIDDEN,
    METHOD_NOT_ALLOWED,
    NO_CONTENT,
    NOT_FOUND,
    UNAUTHORIZED,
    HttpRequest,
    HttpResponse,
    json_response,
    whole_number,
)
from entrasync.emulator.tenant import RunningTenant

_DEFAULT_PAGE: Final = 100
_LARGEST_PAGE: Final = 999
_DURATION: Final = r"^P(T?\d+[DHMS])+$"


class GraphError(Exception):
    """What Graph refuses.

    Args:
        status: HTTP status.
        code: its code.
        message: its sentence.
    """

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request by an application that may make it, if it has the role."""

    tenant: RunningTenant
    request: HttpRequest
    roles: frozenset[str]

    def require(self, names: Sequence[str], *, write: bool = False) -> None:
        """Checks that the application holds a permission on one of the names."""
        accepted = {f"{name}.ReadWrite.All" for name in names}
        if not write:
            accepted |= {f"{name}.Read.All" for name in names}
        if not accepted & self.roles:
            raise GraphError(
                FORBIDDEN,
                "Authorization_RequestDenied",
                "Insufficient privileges to complete the operation.",
            )


class _Change(BaseModel):
    """Base of what may be changed: Graph's names, and nothing unknown."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


_ChangeT = TypeVar("_ChangeT", bound=_Change)


class OrganizationChange(_Change):
    """What may be changed of the organization; Graph knows more."""

    on_premises_sync_enabled: StrictBool


class BehaviourChange(_Change):
    """Who is to have authority over an object."""

    is_cloud_managed: StrictBool


class _PreventionChange(_Change):
    synchronization_prevention_type: DeletionPrevention | None = None
    alert_threshold: int | None = Field(default=None, ge=0, le=2**31 - 1)


class ConfigurationChange(_Change):
    """What may be changed of the settings of synchronization."""

    accidental_deletion_prevention: _PreventionChange | None = None
    customer_requested_synchronization_interval: str | None = Field(default=None, pattern=_DURATION)


class SynchronizationChange(_Change):
    """What may be changed of synchronization as a whole."""

    configuration: ConfigurationChange | None = None
    features: dict[str, StrictBool] | None = None


def read_change(request: HttpRequest, model: type[_ChangeT]) -> _ChangeT:
    """The change a PATCH asks for.

    Raises:
        GraphError: it is none, or names something that cannot be changed.
    """
    try:
        return model.model_validate_json(request.body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise bad_request(f"Invalid property '{where}': {first['msg']}.") from None


def listed(call: Call, name: str, found: list[dict[str, Any]], proceed: str | None) -> HttpResponse:
    """A list, with a link to the rest of it.

    Args:
        call: the request.
        name: of the collection.
        found: this part.
        proceed: where the rest begins, `None` at the end.
    """
    request = call.request
    document: dict[str, Any] = {"@odata.context": _context(request, name)}
    if proceed is not None:
        token = base64.urlsafe_b64encode(proceed.encode()).decode().rstrip("=")
        query = {**request.query, "$skiptoken": token}
        path = quote(request.path, safe="/@")
        document["@odata.nextLink"] = f"https://{request.host}{path}?{urlencode(query, safe='$,')}"
    document["value"] = selected(found, request.query.get("$select"))
    return json_response(document)


def one_or_many(call: Call, name: str, found: list[dict[str, Any]], *, one: bool) -> HttpResponse:
    """One resource, or a list that is whole."""
    context = {"@odata.context": _context(call.request, name + ("/$entity" if one else ""))}
    return json_response(context | (found[0] if one else {"value": found}))


def _context(request: HttpRequest, name: str) -> str:
    version = request.path.split("/")[1]
    return f"https://{request.host}/{version}/$metadata#{name}"


def page_size(request: HttpRequest, *, filtered: bool = False) -> int:
    """How many a request wants at most.

    Args:
        request: the request.
        filtered: whether `$filter` is understood here.

    Raises:
        GraphError: it is out of range, or asks for what the emulator does not do.
    """
    text = request.query.get("$top", str(_DEFAULT_PAGE))
    size = whole_number(text)
    if size is None or not 1 <= size <= _LARGEST_PAGE:
        raise GraphError(
            BAD_REQUEST,
            "Request_BadRequest",
            f"Invalid page size specified: '{text}'. Must be between 1 and 999 inclusive.",
        )
    known = {"$top", "$select", "$skiptoken"} | ({"$filter"} if filtered else set())
    unsupported = sorted(request.query.keys() - known)
    if unsupported:
        raise GraphError(
            BAD_REQUEST,
            "Request_UnsupportedQuery",
            f"Unsupported query parameter '{unsupported[0]}' of the emulator.",
        )
    return size


def position(request: HttpRequest) -> str:
    """Where the page before ended; empty at the beginning.

    Raises:
        GraphError: the token is none.
    """
    token = request.query.get("$skiptoken", "")
    try:
        return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except (ValueError, binascii.Error):
        raise bad_request("Invalid skip token.") from None


def require_get(call: Call) -> None:
    """Refuses any other method.

    Raises:
        GraphError: it is another one.
    """
    if call.request.method != "GET":
        raise GraphError(
            METHOD_NOT_ALLOWED,
            "Request_BadRequest",
            "Specified HTTP method is not allowed for the request target.",
        )


def no_content() -> HttpResponse:
    """The answer to a change that was made."""
    return HttpResponse(status=NO_CONTENT, content_type="text/plain", body=b"")


def unauthenticated(message: str) -> GraphError:
    """Nobody known asks."""
    return GraphError(UNAUTHORIZED, "InvalidAuthenticationToken", message)


def bad_request(message: str) -> GraphError:
    """The request makes no sense."""
    return GraphError(BAD_REQUEST, "Request_BadRequest", message)


def not_found(name: str) -> GraphError:
    """There is no such resource."""
    return GraphError(
        NOT_FOUND,
        "Request_ResourceNotFound",
        f"Resource '{name}' does not exist or one of its queried reference-property objects are"
        " not present.",
    )
