"""HTTP to the API server: one pool of connections for all threads, tokens, tries, and errors.

    EntrasyncError
    +-- ApiError            the API server refused the call; sending it again changes nothing
    +-- TransientError      it could not be reached
        +-- ServerError     it answered that it cannot do it now (429, 5xx)

Only reading is sent again by itself after a lost connection. Changes are tried again by whoever
reconciles, who looks first at what is there. What the API server refused because it is busy was not
done, and is sent again when it says so, as long as that is soon: nobody waits long in here.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import orjson
import urllib3
from kubernetes import client
from urllib3.exceptions import HTTPError

from entrasync.errors import EntrasyncError, TransientError

CONNECT_SECONDS: Final = 5.0
READ_SECONDS: Final = 30.0
RETRIES: Final = 2
LONGEST_PAUSE: Final = 2.0
"""Longest time the API server may ask to wait for the call to be sent again from here."""
UNAUTHORIZED: Final = 401
TOO_MANY_REQUESTS: Final = 429
SERVER_ERRORS: Final = 500
_SUCCESS: Final = range(200, 300)

Manifest = dict[str, Any]


class ApiError(EntrasyncError):
    """The API server refused a call.

    Args:
        status: HTTP status.
        message: what it said.
        reason: its own word for it, for example `Forbidden`.
        causes: reasons of the details, for example `NamespaceTerminating`.
    """

    def __init__(
        self, status: int, message: str, *, reason: str = "", causes: tuple[str, ...] = ()
    ) -> None:
        super().__init__("RunFailed", message)
        self.status = status
        self.api_reason = reason
        self.causes = causes


class ServerError(TransientError):
    """The API server cannot do it now.

    Args:
        status: HTTP status.
        message: what it said.
        retry_after: seconds it asks to wait; `None` when it did not say.
    """

    def __init__(self, status: int, message: str, retry_after: float | None) -> None:
        super().__init__("RunFailed", message, retry_after=retry_after)
        self.status = status


@dataclass(slots=True, frozen=True, kw_only=True)
class Policy:
    """How calls are made.

    Attributes:
        permit: asked right before each call that changes something; raises when it may not be.
        counted: told of each call: its method and the HTTP status, 0 when there was no answer.
        renew: reads the credentials anew, once the API server knows them no more.
        seconds: longest wait for an answer.
        retries: how often a call is sent again by itself.
        pause: waits so many seconds.
    """

    permit: Callable[[], None] = lambda: None
    counted: Callable[[str, int], None] = lambda _, __: None
    renew: Callable[[], None] = lambda: None
    seconds: float = READ_SECONDS
    retries: int = RETRIES
    pause: Callable[[float], None] = time.sleep


class Transport:
    """Sends calls; safe to use from several threads.

    Args:
        api: a configured client.
        policy: how.
    """

    def __init__(self, api: client.ApiClient, policy: Policy) -> None:
        self._settings = api.configuration
        self._pool: urllib3.PoolManager = api.rest_client.pool_manager
        self._policy = policy
        self._timeout = urllib3.Timeout(
            connect=min(policy.seconds, CONNECT_SECONDS), read=policy.seconds
        )

    def send(
        self,
        method: str,
        path: str,
        *,
        body: Manifest | None = None,
        query: Mapping[str, str] | None = None,
        content: str = "application/json",
        accept: str = "application/json",
    ) -> bytes:
        """One call; gives the body of its answer.

        Raises:
            ApiError: it was refused.
            TransientError: there was no answer, or the API server is busy.
        """
        url = f"{self._settings.host}{path}" + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else orjson.dumps(body)
        headers = {"Accept": accept, "Content-Type": content, "User-Agent": "entrasync-operator"}
        for left in reversed(range(self._policy.retries + 1)):
            try:
                answer = self._send_once(method, url, data, headers)
            except (HTTPError, OSError) as error:
                self._policy.counted(method, 0)
                if left and method == "GET":
                    continue
                raise TransientError(
                    "RunFailed", f"the Kubernetes API cannot be reached ({type(error).__name__})"
                ) from None
            self._policy.counted(method, answer.status)
            if answer.status in _SUCCESS:
                return answer.data
            if not left or not self._may_again(answer):
                raise _error_of(answer)
        raise AssertionError("unreachable: the last try returns or raises")

    def _send_once(
        self, method: str, url: str, data: bytes | None, headers: Mapping[str, str]
    ) -> urllib3.BaseHTTPResponse:
        token = self._settings.get_api_key_with_prefix("BearerToken", alias="authorization")
        sent = {**headers, "Authorization": token} if token else dict(headers)
        if method != "GET":
            self._policy.permit()
        # tries are counted here: the library's own would sleep as long as it is told to
        return self._pool.request(
            method, url, body=data, headers=sent, timeout=self._timeout, retries=False
        )

    def _may_again(self, answer: urllib3.BaseHTTPResponse) -> bool:
        """Whether a refused call may be sent again now; waits as long as was asked."""
        if answer.status == UNAUTHORIZED:
            self._policy.renew()
            return True
        asked = _retry_after(answer)
        if asked is None or asked > LONGEST_PAUSE:
            return False
        self._policy.pause(asked)
        return True


def _error_of(answer: urllib3.BaseHTTPResponse) -> ApiError | ServerError:
    told = _told(answer.data)
    message = str(told.get("message") or "the API server gave no reason")
    status = answer.status
    if status == TOO_MANY_REQUESTS or status >= SERVER_ERRORS:
        return ServerError(status, message, _retry_after(answer))
    causes = (told.get("details") or {}).get("causes") or ()
    return ApiError(
        status,
        message,
        reason=str(told.get("reason") or ""),
        causes=tuple(str(cause.get("reason", "")) for cause in causes),
    )


def _told(data: bytes) -> Manifest:
    try:
        told = orjson.loads(data)
    except orjson.JSONDecodeError:
        return {}
    return told if isinstance(told, dict) else {}


def _retry_after(answer: urllib3.BaseHTTPResponse) -> float | None:
    """Seconds the API server asks to wait, of an answer that says it is busy."""
    if answer.status != TOO_MANY_REQUESTS and answer.status < SERVER_ERRORS:
        return None
    try:
        return max(0.0, float(answer.headers.get("Retry-After", "")))
    except ValueError:
        return None
