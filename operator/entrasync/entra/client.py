"""The client of the sync service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Self

import httpx

from entrasync.entra.calling import Caller
from entrasync.entra.capabilities import (
    Capabilities,
    decode_capabilities_response,
    encode_capabilities_request,
)
from entrasync.entra.clouds import Cloud
from entrasync.entra.contracts import (
    CAPABILITIES,
    COMPANY_CONFIGURATION,
    FINALIZE_EXPORT,
    PROVISION,
    READ_BACK,
    CompanyConfiguration,
    ObjectResult,
    ReadBackPage,
    SyncObject,
    SyncVersion,
)
from entrasync.entra.privacy import redact_token
from entrasync.entra.reading_back import read_pages
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
)
from entrasync.entra.results import match_results
from entrasync.entra.retrying import Throttled
from entrasync.entra.surroundings import Surroundings
from entrasync.entra.tokens import TokenSource

__all__ = ["Surroundings", "SyncServiceClient"]


class SyncServiceClient:
    """Speaks to one tenant; a context manager. One connection, kept.

    A call that fails for what passes by itself is sent again: busy tenants are waited for with
    `Surroundings.patience`, other failures are tried a few times. That is safe for every call here.
    Reading changes nothing. What `provision` sends are upserts, deletions and changes of links by
    anchor: sent twice they have the effect of once, and a deletion sent again is the very one that
    passed the brakes before it was sent first. Nothing is ever added to a request on repetition.

    Each try has a GUID of its own, as tracking id, message id and `client-request-id`. It stands
    in the log of the try and in the message of the error that ends a call.

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
        self._version = version
        self._resource = resource
        self._caller = Caller(
            cloud,
            tenant_id,
            tokens,
            surroundings,
            version=version,
            resource=resource,
            transport=transport,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._caller.close()

    @property
    def endpoint_url(self) -> str:
        """Address in use: the tenant's own host once a redirection told it."""
        return self._caller.url

    @property
    def throttled(self) -> Throttled:
        """How often, and for how long, this client had to wait for a busy service so far."""
        return self._caller.throttled

    def company_configuration(self) -> CompanyConfiguration:
        """What the tenant says of itself."""
        request = CompanyConfigurationRequest()
        return self._caller.call(
            COMPANY_CONFIGURATION,
            lambda header: encode_company_configuration_request(header, request),
            decode_company_configuration_response,
        )

    def capabilities(self) -> Capabilities:
        """Which clients the service says it accepts."""
        return self._caller.call(
            CAPABILITIES, encode_capabilities_request, decode_capabilities_response
        )

    def provision(self, objects: Sequence[SyncObject]) -> list[ObjectResult]:
        """Exports objects; one result for each, in the same order.

        Results are matched by anchor. An object the service says nothing of has failed.

        Raises:
            RequestRefusedError: the service refuses the request as a whole, and would again.
            TransientError: what became of the objects is not known; sending them again does no
                harm.
            ConfigurationError: a person must act; nothing was exported.
        """
        results = self._caller.call(
            PROVISION[self._version],
            lambda header: encode_provision_request(header, self._version, objects),
            decode_provision_response,
        )
        return match_results(objects, [self._without_token(each) for each in results])

    def read_back(self, cookie: str | None = None) -> Iterator[ReadBackPage]:
        """What the tenant holds, or what changed of it, page by page.

        The last page carries the cookie to go on from another time: it is worth keeping only once
        the iterator has ended by itself. A page with `restart` says that all pages before are void
        and that the tenant is read in full from there.

        Args:
            cookie: where an earlier read-back ended: the changes since, deletions among them;
                `None` for everything.

        Raises:
            TransientError: what was read is not all there is.
        """
        first = ReadBackRequest(input_cookie=cookie, is_full_sync=cookie is None)
        return read_pages(self._read_page, first, resource=self._resource)

    def _read_page(self, request: ReadBackRequest) -> ReadBackPage:
        return self._caller.call(
            READ_BACK[self._version],
            lambda header: encode_read_back_request(header, self._version, request),
            decode_read_back_response,
        )

    def finalize_export(self, total: int, successful: int) -> None:
        """Says that an export is done."""
        request = FinalizeExportRequest(total_exported=total, successful_export_count=successful)
        self._caller.call(
            FINALIZE_EXPORT,
            lambda header: encode_finalize_export_request(header, request),
            decode_finalize_export_response,
        )

    def _without_token(self, result: ObjectResult) -> ObjectResult:
        """The result, should the service repeat the token in its complaint of an object."""
        code, words = (
            text and redact_token(text, self._caller.sent_token)
            for text in (result.code, result.description)
        )
        return replace(result, code=code, description=words)
