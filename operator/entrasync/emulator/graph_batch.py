"""`$batch` of Microsoft Graph: up to 20 requests in one, each with a status of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl, unquote

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from entrasync.emulator.graph_calls import Call, GraphError, bad_request
from entrasync.emulator.http import (
    METHOD_NOT_ALLOWED,
    HttpRequest,
    HttpResponse,
    json_response,
)

BATCH: Final = "$batch"
MOST_REQUESTS: Final = 20

Answer = Callable[[Call], HttpResponse]
"""Answers one request; what it refuses is an answer too."""


class _Item(BaseModel):
    """One request of several. `dependsOn` is not served: all are answered in their order."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1)
    method: str
    url: str = Field(pattern="^/")
    headers: dict[str, str] = Field(default_factory=dict)
    body: dict[str, Any] | None = None


class _Batch(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    requests: list[_Item] = Field(min_length=1, max_length=MOST_REQUESTS)


def answer_batch(call: Call, answer: Answer) -> HttpResponse:
    """Answers several requests.

    Raises:
        GraphError: they are none, are too many, or two have the same id.
    """
    if call.request.method != "POST":
        raise GraphError(METHOD_NOT_ALLOWED, "BadRequest", "Only POST is allowed for $batch.")
    try:
        batch = _Batch.model_validate_json(call.request.body)
    except ValidationError:
        raise bad_request("Invalid batch payload format.") from None
    if len({each.id for each in batch.requests}) < len(batch.requests):
        raise bad_request("Each request of a batch must have an id of its own.")
    return json_response({"responses": [_answered(call, each, answer) for each in batch.requests]})


def _answered(call: Call, item: _Item, answer: Answer) -> dict[str, Any]:
    found = answer(replace(call, request=_request(call.request, item)))
    document: dict[str, Any] = {
        "id": item.id,
        "status": found.status,
        "headers": {"Content-Type": found.content_type, **dict(found.headers)},
    }
    if found.body:
        document["body"] = json.loads(found.body)
    return document


def _request(outer: HttpRequest, item: _Item) -> HttpRequest:
    """The request an item stands for; it is made by whoever sent the batch."""
    path, _, query = item.url.partition("?")
    return HttpRequest(
        method=item.method.upper(),
        path=f"/{outer.segments[0]}{unquote(path)}",
        query=dict(parse_qsl(query, keep_blank_values=True)),
        host=outer.host,
        headers={name.lower(): value for name, value in item.headers.items()},
        body=b"" if item.body is None else json.dumps(item.body).encode(),
    )
