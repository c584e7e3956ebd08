"""A small face of ASGI: whole requests in, whole answers out."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

OK: Final = 200
BAD_REQUEST: Final = 400
NOT_FOUND: Final = 404
METHOD_NOT_ALLOWED: Final = 405
TOO_LARGE: Final = 413
SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request, read whole."""

    method: str
    path: str
    query: Mapping[str, str]
    host: str
    """Host and port it was sent to."""
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """One answer."""

    status: int = OK
    content_type: str
    body: bytes


class TooLargeError(Exception):
    """The body is larger than allowed."""


def json_response(document: Mapping[str, Any], status: int = OK) -> HttpResponse:
    """An answer in JSON."""
    body = json.dumps(document, ensure_ascii=False).encode()
    return HttpResponse(status=status, content_type="application/json; charset=utf-8", body=body)


def html_response(page: str) -> HttpResponse:
    """A page for people."""
    return HttpResponse(content_type="text/html; charset=utf-8", body=page.encode())


def error_response(status: int, message: str) -> HttpResponse:
    """An error of the emulator's own addresses."""
    return json_response({"error": message}, status)


async def read_request(scope: Scope, receive: Receive, max_body: int) -> HttpRequest:
    """Reads a request whole.

    Raises:
        TooLargeError: its body is larger than `max_body`.
        ConnectionError: the peer went away.
    """
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        body += message.get("body", b"")
        if len(body) > max_body:
            raise TooLargeError
        if not message.get("more_body", False):
            break
    return HttpRequest(
        method=scope["method"],
        path=scope["path"],
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        host=headers.get("host", "localhost"),
        body=bytes(body),
    )


async def send_response(send: Send, response: HttpResponse) -> None:
    """Sends an answer whole."""
    await send(
        {
            "type": "http.response.start",
            "status": response.status,
            "headers": [
                (b"content-type", response.content_type.encode()),
                (b"content-length", str(len(response.body)).encode()),
                (b"cache-control", b"no-store"),
            ],
        }
    )
    await send({"type": "http.response.body", "body": response.body})
