"""One call of the sync service: where it goes, what is tried again, and what is told of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeVar

import httpx
import structlog

from entrasync.entra import refusals
from entrasync.entra.clouds import Cloud, redirected, service_url
from entrasync.entra.contracts import (
    APPLICATION_IDS,
    CAPABILITIES,
    COMPANY_CONFIGURATION,
    CONTENT_TYPE,
    DEFAULT_BUILD,
    FINALIZE_EXPORT,
    PROVISION,
    RequestHeader,
    SyncToken,
    SyncVersion,
)
from entrasync.entra.faults import RequestRefusedError, SoapFaultError
from entrasync.entra.infoset import CodecError
from entrasync.entra.refusals import AccessDeniedError, Asked, CookieRefusedError, RedirectError
from entrasync.entra.retrying import (
    Attempts,
    BusyError,
    TenantBusyError,
    Throttled,
    retry_after_seconds,
)
from entrasync.entra.surroundings import Surroundings
from entrasync.entra.tokens import TokenSource
from entrasync.entra.transport import (
    READ_SECONDS,
    SMALL_CALL_SECONDS,
    host_is_lost,
    http_client,
    timeout_of,
    transport_error,
)
from entrasync.errors import TransientError

MAX_HOPS: Final = 5
MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024

_SMALL_CALLS: Final = frozenset({COMPANY_CONFIGURATION, CAPABILITIES, FINALIZE_EXPORT})
_CALLS_OF_V1: Final = frozenset({COMPANY_CONFIGURATION, CAPABILITIES, PROVISION[SyncVersion.V1]})
"""What Entra Connect asks under the application id of V1; either id works with either call."""
_HTTP_OK, _HTTP_SERVER_ERROR = 200, 500

_Answer = TypeVar("_Answer")
Encode = Callable[[RequestHeader], bytes]
"""Writes a request, given its header."""

log = structlog.get_logger()


class Caller:
    """Calls the service of one tenant, over one connection that is kept.

    Args:
        cloud: hosts and trust.
        tenant_id: the tenant.
        tokens: access tokens.
        surroundings: time, ids, waiting.
        version: V2 or V1.
        resource: `Kind/name` that errors point at.
        transport: of the HTTP client, for tests.
    """

    def __init__(
        self,
        cloud: Cloud,
        tenant_id: str,
        tokens: TokenSource,
        surroundings: Surroundings,
        *,
        version: SyncVersion,
        resource: str,
        transport: httpx.BaseTransport | None,
    ) -> None:
        self._cloud = cloud
        self._tenant_id = tenant_id
        self._tokens = tokens
        self._surroundings = surroundings
        self._version = version
        self._resource = resource
        self._discovery_url = service_url(cloud.sync_service_url)
        self._accepted_token = ""
        self.url = self._discovery_url
        """Address in use."""
        self.sent_token = ""
        """Token of the last try."""
        self.throttled = Throttled()
        """What was spent on waiting so far."""
        self._http = http_client(cloud, read_seconds=READ_SECONDS, transport=transport)

    def close(self) -> None:
        """Closes the connection."""
        self._http.close()

    def call(self, operation: str, encode: Encode, decode: Callable[[bytes], _Answer]) -> _Answer:
        """One call: redirections followed, what passes by itself tried again.

        Args:
            operation: name of the operation.
            encode: writes the request, anew for each try.
            decode: reads the answer; runs once for each answer of the service itself.

        Raises:
            CodecError: what is to be sent cannot travel.
            EntrasyncError: the call failed; its message names the last try.
        """
        attempts = Attempts(
            self._surroundings.patience,
            clock=self._surroundings.clock,
            random=self._surroundings.random,
        )
        hops, renewed = 0, False
        while True:
            tracking_id = self._surroundings.new_id()
            try:
                return self._try(operation, encode, decode, tracking_id)
            except RedirectError as redirect:
                hops += 1
                self._follow(self._asked(operation, tracking_id), redirect.url, hops)
            except AccessDeniedError:
                if renewed or self.sent_token != self._accepted_token:
                    raise
                # it was good before, so that it may only have been withdrawn or outlived
                renewed = True
                log.info("token_renewed", operation=operation, tracking_id=tracking_id)
                self._tokens.renew()
            except (CodecError, RequestRefusedError, CookieRefusedError):
                # the same again has the same fate; a CodecError tells of what is to be sent
                raise
            except TransientError as error:
                self._note(error, operation)
                wait = attempts.wait_after(error)
                if wait is None:
                    raise
                hops = 0
                self._wait(operation, tracking_id, error, wait)

    def _try(
        self,
        operation: str,
        encode: Encode,
        decode: Callable[[bytes], _Answer],
        tracking_id: str,
    ) -> _Answer:
        self.sent_token = self._tokens.token()
        asked = self._asked(operation, tracking_id)
        header = RequestHeader(
            to=asked.url,
            message_id=tracking_id,
            token=SyncToken(
                application_id=asked.application_id,
                bearer_token=asked.token,
                tracking_id=tracking_id,
            ),
        )
        content = encode(header)
        log.debug(
            "sync_service_call",
            operation=operation,
            tracking_id=tracking_id,
            host=asked.host,
            octets=len(content),
        )
        body, retry_after = self._exchange(asked, content)
        try:
            answer = decode(body)
        except SoapFaultError as error:
            failure = refusals.of_fault(asked, error.fault, retry_after)
        except CodecError as error:
            failure = refusals.unreadable(asked, error)
        else:
            self._accepted_token = asked.token
            return answer
        # outside of the handlers, so that no context holds the service's own words
        raise refusals.name_try(failure, tracking_id)

    def _asked(self, operation: str, tracking_id: str) -> Asked:
        of_v1 = self._version is SyncVersion.V1 or operation in _CALLS_OF_V1
        return Asked(
            cloud=self._cloud,
            resource=self._resource,
            version=self._version,
            operation=operation,
            url=self.url,
            application_id=APPLICATION_IDS[SyncVersion.V1 if of_v1 else SyncVersion.V2],
            tracking_id=tracking_id,
            token=self.sent_token,
        )

    def _exchange(self, asked: Asked, content: bytes) -> tuple[bytes, float | None]:
        """What the service itself answered, and how long it asks to be left alone."""
        seconds = SMALL_CALL_SECONDS if asked.operation in _SMALL_CALLS else READ_SECONDS
        try:
            with self._http.stream(
                "POST",
                asked.url,
                content=content,
                headers=self._headers(asked),
                timeout=timeout_of(seconds),
            ) as answer:
                return self._body(asked, answer), self._retry_after(answer)
        except httpx.HTTPError as error:
            failure = transport_error(error, self._cloud, asked.url, "spec.syncService.url")
            if host_is_lost(error) and self.url != self._discovery_url:
                # the tenant may have moved since it was redirected
                log.warning("sync_service_host_lost", host=asked.host)
                self.url = self._discovery_url
        raise refusals.name_try(failure, asked.tracking_id)

    def _headers(self, asked: Asked) -> dict[str, str]:
        """What Entra Connect sends; the service is not known to read it."""
        return {
            "Content-Type": CONTENT_TYPE,
            "User-Agent": "",
            "client-request-id": asked.tracking_id,
            "x-ms-aadmsods-apiaction": asked.operation,
            "x-ms-aadmsods-appid": asked.application_id,
            "x-ms-aadmsods-clientversion": "8.0",
            "x-ms-aadmsods-dirsyncbuildnumber": DEFAULT_BUILD,
            "x-ms-aadmsods-fimbuildnumber": DEFAULT_BUILD,
            "x-ms-aadmsods-tenantid": self._tenant_id,
        }

    def _body(self, asked: Asked, answer: httpx.Response) -> bytes:
        """What the service itself said; of anything else not an octet is read."""
        content_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        status = answer.status_code
        if content_type != CONTENT_TYPE or status not in {_HTTP_OK, _HTTP_SERVER_ERROR}:
            failure = refusals.of_status(
                asked, status, self._retry_after(answer), answered=bool(self._accepted_token)
            )
            raise refusals.name_try(failure, asked.tracking_id)
        body = bytearray()
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                failure = refusals.too_long(asked, MAX_ANSWER_BYTES)
                raise refusals.name_try(failure, asked.tracking_id)
        return bytes(body)

    def _retry_after(self, answer: httpx.Response) -> float | None:
        return retry_after_seconds(
            answer.headers.get("retry-after", ""), self._surroundings.clock()
        )

    def _follow(self, asked: Asked, url: str, hops: int) -> None:
        """Remembers the tenant's own host, unless the token must not go there."""
        if hops > MAX_HOPS:
            raise refusals.name_try(
                TransientError(
                    "RunFailed",
                    f"the sync service redirected more than {MAX_HOPS} times; the next run asks"
                    " anew, if it goes on look at `spec.syncService.url` of the cloud",
                    resource=self._resource,
                ),
                asked.tracking_id,
            )
        target = redirected(url, self._cloud, self.url)
        if target is None:
            failure = refusals.foreign_redirection(asked, url)
            raise refusals.name_try(failure, asked.tracking_id)
        log.info(
            "sync_service_redirected",
            operation=asked.operation,
            tracking_id=asked.tracking_id,
            host=asked.host,
            to=refusals.host_of(target),
        )
        self.url = target

    def _note(self, error: TransientError, operation: str) -> None:
        if isinstance(error, BusyError):
            self.throttled = replace(self.throttled, times=self.throttled.times + 1)
        if isinstance(error, TenantBusyError) and self._surroundings.on_busy is not None:
            self._surroundings.on_busy(operation)

    def _wait(self, operation: str, tracking_id: str, error: TransientError, wait: float) -> None:
        busy = isinstance(error, BusyError)
        log.warning(
            "sync_service_busy" if busy else "sync_service_try_failed",
            operation=operation,
            tracking_id=tracking_id,
            reason=error.reason,
            message=error.message,
            wait_seconds=round(wait, 1),
        )
        self._surroundings.sleep(wait)
        if busy:
            self.throttled = replace(self.throttled, seconds=self.throttled.seconds + wait)
