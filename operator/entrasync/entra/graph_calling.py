"""One call of Microsoft Graph: what is tried again, and what a refusal means."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import httpx
import structlog

from entrasync.entra.clouds import Cloud
from entrasync.entra.retrying import Attempts, BusyError, retry_after_seconds
from entrasync.entra.surroundings import Surroundings
from entrasync.entra.tokens import TokenSource
from entrasync.entra.transport import SMALL_CALL_SECONDS, http_client, transport_error
from entrasync.errors import ConfigurationError, EntrasyncError, TransientError

BATCH_SIZE: Final = 20
"""Most requests of one `$batch`; documented."""
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024

_OK, _BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _SERVER_ERROR = 200, 400, 401, 403, 500
_BUSY_STATUSES: Final = frozenset({429, 503, 504})
_FIELD: Final = "spec.microsoftGraph"

log = structlog.get_logger()


class GraphRefusedError(EntrasyncError):
    """Graph does not answer this, and would not another time either.

    Args:
        status: HTTP status.
        resource: `Kind/name` to look at.
    """

    def __init__(self, status: int, resource: str) -> None:
        super().__init__(
            "RunFailed", f"Microsoft Graph refused a request (HTTP {status})", resource=resource
        )
        self.status = status


class GraphForbiddenError(GraphRefusedError):
    """The application lacks the permission, or gets no token for Graph at all."""


class GraphCaller:
    """Calls Graph over one connection that is kept. The token never leaves the cloud's own host.

    Args:
        cloud: hosts and trust.
        root: address of Graph.
        tokens: access tokens for Graph.
        surroundings: time, ids, waiting.
        resource: `Kind/name` that errors point at.
        transport: of the HTTP client, for tests.
    """

    def __init__(
        self,
        cloud: Cloud,
        root: str,
        tokens: TokenSource,
        surroundings: Surroundings,
        *,
        resource: str,
        transport: httpx.BaseTransport | None,
    ) -> None:
        self._cloud = cloud
        self._root = httpx.URL(root.rstrip("/"))
        self._tokens = tokens
        self._surroundings = surroundings
        self._resource = resource
        self._http = http_client(cloud, read_seconds=SMALL_CALL_SECONDS, transport=transport)

    def close(self) -> None:
        """Closes the connection."""
        self._http.close()

    def get(self, address: str) -> Mapping[str, Any]:
        """One answer.

        Args:
            address: below the root, version included; or where Graph said that a list goes on.

        Raises:
            GraphRefusedError: Graph does not answer this.
            TransientError: it cannot be reached, is busy, or answers what makes no sense.
            ConfigurationError: its certificate is not trusted.
        """
        return self._call("GET", self._url(address))

    def batch(self, version: str, paths: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Answers to several requests, sent together; those that failed in passing are repeated.

        Args:
            version: `v1.0` or `beta`.
            paths: addresses below the version, at most `BATCH_SIZE`.

        Raises:
            GraphRefusedError: Graph does not answer one of them.
            TransientError, ConfigurationError: as for `get`.
        """
        open_paths = {str(number): path for number, path in enumerate(paths)}
        attempts = self._attempts()
        while open_paths:
            failure: TransientError | None = None
            for number, status, body, told in self._send_batch(version, open_paths):
                problem = self._failure(status, told)
                if problem is None:
                    yield open_paths.pop(number), body
                elif isinstance(problem, TransientError):
                    failure = _longer(failure, problem)
                else:
                    raise problem
            if open_paths:
                self._wait(attempts, failure or self._senseless())

    def _send_batch(
        self, version: str, paths: Mapping[str, str]
    ) -> Iterator[tuple[str, int, Mapping[str, Any], float | None]]:
        """Number, status, body and wish to be left alone, of each answer that is one."""
        requests = [
            {"id": number, "method": "GET", "url": f"/{path}"} for number, path in paths.items()
        ]
        found = self._call("POST", self._url(f"{version}/$batch"), {"requests": requests})
        answers = found.get("responses")
        for each in answers if isinstance(answers, list) else ():
            if not isinstance(each, dict):
                continue
            number, status, body = each.get("id"), each.get("status"), each.get("body")
            if not isinstance(number, str) or number not in paths:
                continue
            if isinstance(status, int) and (isinstance(body, dict) or status != _OK):
                headers = each.get("headers")
                told = _retry_after(headers) if isinstance(headers, dict) else ""
                seconds = retry_after_seconds(told, self._surroundings.clock())
                yield number, status, body if isinstance(body, dict) else {}, seconds

    def _call(
        self, method: str, url: httpx.URL, content: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        attempts = self._attempts()
        renewed = False
        while True:
            try:
                return self._try(method, url, content)
            except GraphForbiddenError as error:
                if error.status != _UNAUTHORIZED or renewed:
                    raise
                # it may only have been withdrawn or outlived
                renewed = True
                self._tokens.renew()
            except TransientError as error:
                self._wait(attempts, error)

    def _try(
        self, method: str, url: httpx.URL, content: Mapping[str, Any] | None
    ) -> Mapping[str, Any]:
        tracking_id = self._surroundings.new_id()
        headers = {
            "Authorization": f"Bearer {self._token()}",
            "Accept": "application/json",
            "client-request-id": tracking_id,
        }
        try:
            with self._http.stream(method, url, json=content, headers=headers) as answer:
                told = answer.headers.get("retry-after", "")
                log.debug(
                    "graph_call", method=method, status=answer.status_code, tracking_id=tracking_id
                )
                failure: EntrasyncError | None = self._failure(
                    answer.status_code, retry_after_seconds(told, self._surroundings.clock())
                )
                if failure is None:
                    return self._document(answer)
        except httpx.HTTPError as error:
            failure = transport_error(error, self._cloud, str(self._root), _FIELD)
        # outside of the handler, so that no context holds addresses, which name people
        raise failure

    def _token(self) -> str:
        try:
            return self._tokens.token()
        except ConfigurationError as error:
            # a wrong credential fails at the sync service, and is told there
            log.warning("graph_token_refused", reason=error.reason)
        raise GraphForbiddenError(_UNAUTHORIZED, self._resource)

    def _document(self, answer: httpx.Response) -> Mapping[str, Any]:
        body = bytearray()
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise self._senseless()
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise self._senseless()
        return found

    def _failure(self, status: int, retry_after: float | None) -> EntrasyncError | None:
        """What a status means, `None` for a good one."""
        if status == _OK:
            return None
        if status in _BUSY_STATUSES:
            return BusyError(
                "Throttled",
                "Microsoft Graph is busy",
                resource=self._resource,
                retry_after=retry_after,
            )
        if status >= _SERVER_ERROR or status < _BAD_REQUEST:
            return TransientError(
                "ServerUnreachable",
                f"Microsoft Graph answered with HTTP {status}; the next run asks again",
                resource=self._resource,
                retry_after=retry_after,
            )
        if status in {_UNAUTHORIZED, _FORBIDDEN}:
            return GraphForbiddenError(status, self._resource)
        return GraphRefusedError(status, self._resource)

    def _senseless(self) -> TransientError:
        return TransientError(
            "ServerUnreachable",
            f"{self._root.host} answered with something that is not of Microsoft Graph: check the"
            f" proxy and `{_FIELD}` of the cloud",
            resource=self._resource,
            field=_FIELD,
        )

    def _attempts(self) -> Attempts:
        return Attempts(
            self._surroundings.patience,
            clock=self._surroundings.clock,
            random=self._surroundings.random,
        )

    def _wait(self, attempts: Attempts, error: TransientError) -> None:
        wait = attempts.wait_after(error)
        if wait is None:
            raise error
        log.warning("graph_try_failed", reason=error.reason, wait_seconds=round(wait, 1))
        self._surroundings.sleep(wait)

    def _url(self, address: str) -> httpx.URL:
        """Where to ask.

        Raises:
            TransientError: it is no address, or of another host, where the token must not go.
        """
        if "://" not in address:
            return httpx.URL(f"{self._root}/{address}")
        try:
            url = httpx.URL(address)
        except httpx.InvalidURL:
            raise self._senseless() from None
        if (url.scheme, url.host, url.port) != (
            self._root.scheme,
            self._root.host,
            self._root.port,
        ):
            raise self._senseless()
        return url


def _longer(one: TransientError | None, other: TransientError) -> TransientError:
    """Of two failures the one to wait longer for."""
    if one is None or (other.retry_after or 0.0) > (one.retry_after or 0.0):
        return other
    return one


def _retry_after(headers: Mapping[str, Any]) -> str:
    found = (str(headers[name]) for name in headers if name.lower() == "retry-after")
    return next(found, "")
