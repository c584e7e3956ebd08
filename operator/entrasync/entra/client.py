"""The client of the sync service."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final, Self
from urllib.parse import urlsplit

import httpx
import structlog

from entrasync.entra.clouds import Cloud, redirected, service_url
from entrasync.entra.contracts import (
    ACCESS_DENIED_TEXT,
    APPLICATION_IDS,
    BUSY_CODE,
    COMPANY_CONFIGURATION,
    CONTENT_TYPE,
    DEFAULT_BUILD,
    FINALIZE_EXPORT,
    NOT_ACTIVATED_TEXT,
    PROVISION,
    READ_BACK,
    SERVICE_ROLE,
    CompanyConfiguration,
    ObjectResult,
    ReadBackPage,
    RequestHeader,
    SyncObject,
    SyncToken,
    SyncVersion,
)
from entrasync.entra.faults import Fault, SoapFaultError
from entrasync.entra.infoset import CodecError
from entrasync.entra.object_errors import NO_RESULT_CODE
from entrasync.entra.privacy import REDACTED
from entrasync.entra.requests import (
    CompanyConfigurationRequest,
    FinalizeExportRequest,
    ReadBackRequest,
    encode_company_configuration_request,
    encode_finalize_export_request,
    encode_provision_request,
    encode_read_back_request,
)
from entrasync.entra.responses import (
    decode_company_configuration_response,
    decode_finalize_export_response,
    decode_provision_response,
    decode_read_back_response,
    open_response,
)
from entrasync.entra.tokens import TokenSource
from entrasync.entra.transport import READ_SECONDS, http_client, transport_error
from entrasync.errors import ConfigurationError, EntrasyncError, TransientError

MAX_HOPS: Final = 5
MAX_TRIES: Final = 6
FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 60.0
MAX_PAGES: Final = 100_000
MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024

_APPLICATIONS: Final = {
    COMPANY_CONFIGURATION: APPLICATION_IDS[SyncVersion.V1],
    PROVISION[SyncVersion.V1]: APPLICATION_IDS[SyncVersion.V1],
}
_BUSY_STATUSES: Final = frozenset({429, 502, 503, 504})
_HTTP_OK, _HTTP_SERVER_ERROR = 200, 500

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the client takes from outside, so that tests decide it.

    Attributes:
        sleep: waits so many seconds.
        new_id: makes GUIDs.
        random: jitter between 0 and 1.
        clock: aware now, to read `Retry-After` dates.
    """

    sleep: Callable[[float], None]
    new_id: Callable[[], str]
    random: Callable[[], float] = random.random
    clock: Callable[[], dt.datetime] = field(default=lambda: dt.datetime.now(dt.UTC))


class SyncServiceClient:
    """Speaks to one tenant; a context manager. One connection, kept.

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
        version: SyncVersion = SyncVersion.V2,
        resource: str = "",
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._cloud = cloud
        self._tenant_id = tenant_id
        self._tokens = tokens
        self._surroundings = surroundings
        self._version = version
        self._resource = resource
        self._url = service_url(cloud.sync_service_url)
        self._http = http_client(cloud, read_seconds=READ_SECONDS, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._http.close()

    @property
    def endpoint_url(self) -> str:
        """Address in use: the tenant's own host once a redirection told it."""
        return self._url

    def company_configuration(self) -> CompanyConfiguration:
        """What the tenant says of itself."""
        answer = self._call(
            COMPANY_CONFIGURATION,
            lambda header: encode_company_configuration_request(
                header, CompanyConfigurationRequest()
            ),
        )
        return decode_company_configuration_response(answer)

    def provision(self, objects: Sequence[SyncObject]) -> list[ObjectResult]:
        """Exports objects; one result for each, in the same order.

        Results are matched by anchor. An object the service says nothing of has failed.
        """
        answer = self._call(
            PROVISION[self._version],
            lambda header: encode_provision_request(header, self._version, objects),
        )
        return match_results(objects, decode_provision_response(answer))

    def read_back(self, *, full: bool = True) -> Iterator[ReadBackPage]:
        """What the tenant holds, page by page.

        How an answer says that there is more is not known for certain: while it says so, or gives a
        new cookie together with objects, the next page is asked for.
        """
        cookie: str | None = None
        for _ in range(MAX_PAGES):
            request = ReadBackRequest(input_cookie=cookie, is_full_sync=full)
            answer = self._call(
                READ_BACK[self._version],
                lambda header, request=request: encode_read_back_request(  # type: ignore[misc]  # binds the loop
                    header, self._version, request
                ),
            )
            page = decode_read_back_response(answer)
            yield page
            progressed = page.cookie is not None and page.cookie != cookie
            if not progressed or not (page.more or page.objects):
                if page.more:
                    raise TransientError(
                        "RunFailed",
                        "the sync service says there is more to read, but not where to go on",
                        resource=self._resource,
                    )
                return
            cookie = page.cookie
        raise TransientError(
            "RunFailed", "reading back the tenant did not come to an end", resource=self._resource
        )

    def finalize_export(self, total: int, successful: int) -> None:
        """Says that an export is done."""
        request = FinalizeExportRequest(total_exported=total, successful_export_count=successful)
        answer = self._call(
            FINALIZE_EXPORT, lambda header: encode_finalize_export_request(header, request)
        )
        decode_finalize_export_response(answer)

    def _call(self, operation: str, encode: Callable[[RequestHeader], bytes]) -> bytes:
        """One call: redirections followed, what passes by itself tried again."""
        tracking_id = self._surroundings.new_id()
        hops = 0
        tries = 0
        while True:
            tries += 1
            try:
                return self._try(operation, encode, tracking_id)
            except _RedirectError as redirect:
                hops += 1
                tries -= 1
                self._follow(redirect.url, hops)
            except CodecError:
                # what is to be sent cannot travel: it will not the next time either
                raise
            except TransientError as error:
                if tries >= MAX_TRIES:
                    raise
                wait = self._wait_for(tries, error.retry_after)
                log.warning(
                    "sync_service_busy",
                    operation=operation,
                    tracking_id=tracking_id,
                    tries=tries,
                    wait_seconds=round(wait, 1),
                    reason=error.reason,
                )
                self._surroundings.sleep(wait)

    def _try(
        self, operation: str, encode: Callable[[RequestHeader], bytes], tracking_id: str
    ) -> bytes:
        application = _APPLICATIONS.get(operation, APPLICATION_IDS[self._version])
        token = self._tokens.token()
        header = RequestHeader(
            to=self._url,
            message_id=self._surroundings.new_id(),
            token=SyncToken(
                application_id=application, bearer_token=token, tracking_id=tracking_id
            ),
        )
        content = encode(header)
        headers = self._headers(operation, application, tracking_id)
        log.debug("sync_service_call", operation=operation, tracking_id=tracking_id)
        try:
            with self._http.stream("POST", self._url, content=content, headers=headers) as answer:
                body = self._body(answer)
        except httpx.HTTPError as error:
            raise transport_error(error, self._cloud, self._url, "spec.syncService.url") from None
        try:
            open_response(body)
        except SoapFaultError as error:
            raise self._from_fault(error.fault, token) from None
        except CodecError as error:
            raise TransientError(
                "RunFailed",
                f"the sync service gave an answer that cannot be read ({error.message})",
                resource=self._resource,
            ) from None
        return body

    def _headers(self, operation: str, application: str, tracking_id: str) -> dict[str, str]:
        """What Entra Connect sends; the service is not known to read it."""
        return {
            "Content-Type": CONTENT_TYPE,
            "User-Agent": "",
            "client-request-id": tracking_id,
            "x-ms-aadmsods-apiaction": operation,
            "x-ms-aadmsods-appid": application,
            "x-ms-aadmsods-clientversion": "8.0",
            "x-ms-aadmsods-dirsyncbuildnumber": DEFAULT_BUILD,
            "x-ms-aadmsods-fimbuildnumber": DEFAULT_BUILD,
            "x-ms-aadmsods-tenantid": self._tenant_id,
        }

    def _body(self, answer: httpx.Response) -> bytes:
        """What the service itself said; of anything else not an octet is read."""
        content_type = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != CONTENT_TYPE or answer.status_code not in {
            _HTTP_OK,
            _HTTP_SERVER_ERROR,
        }:
            raise self._not_soap(answer)
        body = bytearray()
        for chunk in answer.iter_bytes():
            body += chunk
            if len(body) > MAX_ANSWER_BYTES:
                raise TransientError(
                    "RunFailed",
                    f"the sync service gave an answer of more than {MAX_ANSWER_BYTES} bytes",
                    resource=self._resource,
                )
        return bytes(body)

    def _not_soap(self, answer: httpx.Response) -> EntrasyncError:
        """A gateway in front answered: its body is never given to the decoder."""
        status = answer.status_code
        if status in _BUSY_STATUSES or status >= _HTTP_SERVER_ERROR:
            return TransientError(
                "Throttled",
                f"the sync service is busy (HTTP {status})",
                resource=self._resource,
                retry_after=self._retry_after(answer),
            )
        return ConfigurationError(
            "EndpointNotOffered",
            f"{self._host} answered HTTP {status} and does not speak for the sync service; look at"
            " `spec.syncService.url` of the cloud",
            resource=f"AzureCloud/{self._cloud.name}",
            field="spec.syncService.url",
        )

    def _from_fault(self, fault: Fault, token: str) -> EntrasyncError:
        if fault.redirect_url is not None:
            return _RedirectError(fault.redirect_url)
        # a service that repeats the request in its complaint must not put the token into a log
        text = fault.text.replace(token, REDACTED) if token else fault.text
        if fault.error_code == BUSY_CODE:
            return TransientError("Throttled", "the tenant is busy", resource=self._resource)
        if NOT_ACTIVATED_TEXT in text:
            return ConfigurationError(
                "SyncDisabledInTenant",
                "directory sync is switched off in the tenant; switch on `onPremisesSyncEnabled`"
                " of the organization",
                resource=self._resource,
                field="spec.tenantId",
            )
        if ACCESS_DENIED_TEXT in text:
            return ConfigurationError(
                "RoleMissing",
                f"the tenant denies access to the sync service; grant the role {SERVICE_ROLE} to"
                " the application",
                resource=self._resource,
                field="spec.application.clientId",
            )
        if fault.code == "ActionNotSupported":
            return ConfigurationError(
                "EndpointNotOffered",
                f"the service at {self._host} does not offer the {self._version} operations",
                resource=self._resource,
                field="spec.transport",
            )
        return TransientError(
            "RunFailed", f"the sync service answered: {text}", resource=self._resource
        )

    def _follow(self, url: str, hops: int) -> None:
        if hops > MAX_HOPS:
            raise TransientError(
                "RunFailed",
                f"the sync service redirected more than {MAX_HOPS} times",
                resource=self._resource,
            )
        target = redirected(url, self._cloud, self._url)
        if target is None:
            host = _host_of(url)
            raise ConfigurationError(
                "EndpointNotOffered",
                f"the sync service redirected to {host}, which is not below the hosts of"
                " `spec.syncService.redirectSuffixes`; nothing was sent there",
                resource=f"AzureCloud/{self._cloud.name}",
                field="spec.syncService.redirectSuffixes",
            )
        self._url = target

    @property
    def _host(self) -> str:
        return _host_of(self._url)

    def _wait_for(self, tries: int, retry_after: float | None) -> float:
        """Seconds to wait: as told, else doubling with jitter."""
        if retry_after is not None:
            return min(retry_after, LONGEST_WAIT * 5)
        longest: float = min(FIRST_WAIT * 2 ** (tries - 1), LONGEST_WAIT)
        return longest * (0.5 + self._surroundings.random() / 2)

    def _retry_after(self, answer: httpx.Response) -> float | None:
        text = answer.headers.get("retry-after", "")
        if text.isascii() and text.isdigit():
            return float(text)
        try:
            moment = parsedate_to_datetime(text)
        except (ValueError, TypeError, OverflowError):
            return None
        if moment.tzinfo is None:  # HTTP knows no other zone
            moment = moment.replace(tzinfo=dt.UTC)
        return max(0.0, (moment - self._surroundings.clock()).total_seconds())


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).hostname or "no host"
    except ValueError:
        return "no host"


class _RedirectError(EntrasyncError):
    """The tenant lives on another host."""

    def __init__(self, url: str) -> None:
        super().__init__("RunFailed", "the sync service redirects")
        self.url = url


def match_results(
    objects: Sequence[SyncObject], results: Sequence[ObjectResult]
) -> list[ObjectResult]:
    """One result for each object, by anchor; several of one anchor in the order they came."""
    by_anchor: dict[str, list[ObjectResult]] = {}
    for result in results:
        by_anchor.setdefault(result.source_anchor, []).append(result)
    matched = []
    for one in objects:
        found = by_anchor.get(one.source_anchor)
        if found:
            matched.append(found.pop(0))
        else:
            matched.append(
                ObjectResult(
                    source_anchor=one.source_anchor,
                    success=False,
                    code=NO_RESULT_CODE,
                    description="the service said nothing of this object",
                )
            )
    return matched
