"""A small face of ASGI: whole requests in, whole answers out."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final
from urllib.parse import parse_qsl

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

OK: Final = 200
NO_CONTENT: Final = 204
BAD_REQUEST: Final = 400
UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
METHOD_NOT_ALLOWED: Final = 405
TOO_LARGE: Final = 413
UNSUPPORTED_MEDIA_TYPE: Final = 415
SERVER_ERROR: Final = 500


_MOST_DIGITS: Final = 15
_MOST_READ: Final = 1024 * 1024 * 1024
"""Octets of a body that is too large that are read and forgotten, so that its sender, who may not
listen before it is done, gets to hear of it."""


class Cut(Enum):
    """Where the connection breaks instead of a whole answer."""

    AT_ONCE = "AtOnce"
    IN_THE_MIDDLE = "InTheMiddle"


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request, read whole."""

    method: str
    path: str
    query: Mapping[str, str]
    host: str
    """Host and port it was sent to."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Headers by their names in lower case; with the body they hold tokens, and are never shown."""
    body: bytes = field(repr=False)

    @property
    def segments(self) -> list[str]:
        """Parts of the path."""
        return self.path.strip("/").split("/")

    @property
    def media_type(self) -> str:
        """What the body is said to be, without parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """One answer."""

    status: int = OK
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    cut: Cut | None = None
    """Where the connection is cut, `None` when the answer goes out whole."""
    delay_seconds: float = 0.0
    """How long it is held back."""


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


def whole_number(text: str) -> int | None:
    """A number of a query that counts things, `None` when it is none or none can be that large."""
    if not text.isascii() or not text.isdigit() or len(text) > _MOST_DIGITS:
        return None
    return int(text)


def headers_of(scope: Scope) -> dict[str, str]:
    """Headers by their names in lower case."""
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}


async def read_request(scope: Scope, receive: Receive, max_body: int) -> HttpRequest:
    """Reads a request whole.

    Raises:
        TooLargeError: its body is larger than `max_body`.
        ConnectionError: the peer went away.
    """
    headers = headers_of(scope)
    _refuse_unsent(headers, max_body)
    body = bytearray()
    read = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError
        chunk = message.get("body", b"")
        read += len(chunk)
        if read <= max_body:
            body += chunk
        if not message.get("more_body", False) or read > _MOST_READ:
            break
    if read > max_body:
        raise TooLargeError
    return HttpRequest(
        method=scope["method"],
        path=scope["path"],
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        host=headers.get("host", "localhost"),
        headers=headers,
        body=bytes(body),
    )


def _refuse_unsent(headers: Mapping[str, str], max_body: int) -> None:
    """A sender that waits to be told to go on need not send what is too large."""
    length = headers.get("content-length", "")
    waits = headers.get("expect", "").lower() == "100-continue"
    if waits and length.isdigit() and int(length) > max_body:
        raise TooLargeError


async def send_response(send: Send, response: HttpResponse) -> None:
    """Sends an answer, whole or up to where it is to be cut."""
    headers = [(b"content-type", response.content_type.encode()), (b"cache-control", b"no-store")]
    if response.status != NO_CONTENT:
        headers.append((b"content-length", str(len(response.body)).encode()))
    headers += [(name.encode(), value.encode("latin-1")) for name, value in response.headers]
    start = {"type": "http.response.start", "status": response.status, "headers": headers}
    await send(start)
    half = response.body[: len(response.body) // 2]
    cut = response.cut is Cut.IN_THE_MIDDLE
    body = half if cut else response.body
    await send({"type": "http.response.body", "body": body, "more_body": cut})
