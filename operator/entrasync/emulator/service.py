"""The sync service: one SOAP request in, one answer or fault out. Knows nothing of HTTP."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import structlog

from entrasync.api.azure_cloud import EndpointVersion
from entrasync.emulator.persistence import DataFile
from entrasync.emulator.readback import CookieError, read_page
from entrasync.emulator.tenant import RunningTenant
from entrasync.emulator.tokens import Authority, InvalidTokenError
from entrasync.entra.contracts import (
    ACCESS_DENIED_TEXT,
    ACTION_PREFIX,
    APPLICATION_IDS,
    BUSY_CODE,
    BUSY_TEXT,
    COMPANY_CONFIGURATION,
    FINALIZE_EXPORT,
    NOT_ACTIVATED_TEXT,
    NS_SERVICE,
    PROVISION,
    READ_BACK,
    SERVICE_PATH,
    SERVICE_ROLE,
    CompanyConfiguration,
    SyncObject,
    SyncVersion,
)
from entrasync.entra.envelope import answer, leaf
from entrasync.entra.faults import ACTION_NOT_SUPPORTED, encode_fault, encode_redirection_fault
from entrasync.entra.infoset import CodecError, CodecLimits
from entrasync.entra.nbfx import NbfxWriter
from entrasync.entra.requests import (
    FinalizeExportRequest,
    ReadBackRequest,
    RequestEnvelope,
    decode_envelope,
    decode_payload,
)
from entrasync.entra.responses import (
    encode_company_configuration_response,
    encode_finalize_export_response,
    encode_provision_response,
    encode_read_back_response,
)

MAX_BODY: Final = 64 * 1024 * 1024
CAPABILITIES: Final = "Capabilities"
_CAPABILITIES_DOCUMENT: Final = (
    "<ServiceCapability><MicrosoftOnline><Protocol><Application>"
    "<LatestProductVersion>3.2</LatestProductVersion>"
    "<MinimumProductVersion>1.0</MinimumProductVersion>"
    "<BlackList><Enabled>false</Enabled><ClientVersion/></BlackList>"
    "</Application></Protocol></MicrosoftOnline></ServiceCapability>"
)
_SERVER_NAME: Final = "EMULATOR"
_LIMITS: Final = CodecLimits(max_bytes=MAX_BODY)

_RESILIENCY_BITS: Final = 8 | 32
_SOFT_MATCH_BIT: Final = 16
_ALWAYS_SET_BIT: Final = 32768
_BLOCK_SOFT_MATCH_BIT: Final = 524288

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class SoapAnswer:
    """An answer and whether it is a fault."""

    body: bytes
    fault: bool = False


class _FaultError(Exception):
    """The request as a whole is refused."""

    def __init__(
        self,
        name: str,
        description: str,
        *,
        soap_code: str = "Sender",
        error_code: int | None = None,
        redirect_url: str | None = None,
    ) -> None:
        super().__init__(name)
        self.name = name
        self.description = description
        self.soap_code = soap_code
        self.error_code = error_code
        self.redirect_url = redirect_url


@dataclass(slots=True)
class _Outcome:
    body: bytes
    counts: Mapping[str, int] = field(default_factory=dict)


class SyncService:
    """Answers the operations of the sync service for all tenants.

    Args:
        tenants: running tenants by id.
        authority: checks tokens.
        audiences: audiences of tokens that are taken.
        versions: sets of operations on offer.
        data: where changes are kept.
        clock: gives the time.
    """

    def __init__(
        self,
        tenants: Mapping[str, RunningTenant],
        authority: Authority,
        *,
        audiences: frozenset[str],
        versions: frozenset[EndpointVersion],
        data: DataFile,
        clock: Callable[[], dt.datetime],
    ) -> None:
        self._tenants = tenants
        self._authority = authority
        self._audiences = audiences
        self._versions = versions
        self._data = data
        self._clock = clock

    def handle(self, body: bytes, host: str) -> SoapAnswer:
        """Answers one request.

        Args:
            body: the binary envelope.
            host: host and port it was sent to.
        """
        request: RequestEnvelope | None = None
        tenant: RunningTenant | None = None
        counts: Mapping[str, int] = {}
        try:
            request = decode_envelope(body, _LIMITS)
            tenant = self._tenant_of(request)
            with tenant.lock:
                self._misbehave(tenant, host)
                self._admit(tenant, request)
                outcome = self._dispatch(tenant, request)
                self._data.write(tenant.config.tenant_id, tenant.store.writes())
            answered, counts, name = SoapAnswer(body=outcome.body), outcome.counts, "Success"
        except CodecError as error:
            refused = _FaultError("DeserializationFailed", error.message)
            answered, name = _fault(refused, request), refused.name
        except _FaultError as refused:
            answered, name = _fault(refused, request), refused.name
        self._note(tenant, request, name, counts)
        return answered

    def _note(
        self,
        tenant: RunningTenant | None,
        request: RequestEnvelope | None,
        outcome: str,
        counts: Mapping[str, int],
    ) -> None:
        operation = request.operation if request else ""
        tenant_id = tenant.config.tenant_id if tenant else None
        _log.info("sync_request", tenant=tenant_id, operation=operation, outcome=outcome, **counts)
        if tenant is not None:
            time = self._clock().isoformat(timespec="milliseconds")
            tenant.log(operation, time, outcome, counts)

    def _tenant_of(self, request: RequestEnvelope) -> RunningTenant:
        if request.token is None:
            raise _FaultError("TokenMissing", ACCESS_DENIED_TEXT)
        try:
            claims = self._authority.check(request.token.bearer_token, self._audiences)
        except InvalidTokenError as error:
            _log.info("token_refused", why=str(error))
            raise _FaultError("TokenInvalid", ACCESS_DENIED_TEXT) from None
        tenant = self._tenants.get(claims["tid"])
        if tenant is None or SERVICE_ROLE not in claims.get("roles", []):
            raise _FaultError("RoleMissing", ACCESS_DENIED_TEXT)
        return tenant

    def _misbehave(self, tenant: RunningTenant, host: str) -> None:
        """Redirects and busy answers, as switched on."""
        own = tenant.switches.redirect_host
        if own is not None:
            port = urlsplit(f"//{host}").port
            target = own if port is None or urlsplit(f"//{own}").port else f"{own}:{port}"
            if target.lower() != host.lower():
                raise _redirection(target)
        if tenant.redirects_left > 0:
            tenant.redirects_left -= 1
            raise _redirection(host)
        tenant.calls += 1
        every = tenant.switches.busy_every
        if every and tenant.calls % every == 0:
            raise _FaultError("Busy", BUSY_TEXT, soap_code="Receiver", error_code=BUSY_CODE)

    def _admit(self, tenant: RunningTenant, request: RequestEnvelope) -> None:
        minimum = tenant.switches.minimum_build
        build = request.token.dirsync_build_number if request.token else ""
        if minimum is not None and _build(build) < _build(minimum):
            # Guessed: how the service words this is not known.
            raise _FaultError("BuildTooOld", "This version of the client is no longer supported.")
        active = tenant.config.directory_sync_enabled and not tenant.switches.sync_off
        if request.operation != COMPANY_CONFIGURATION and not active:
            raise _FaultError("NotActivated", NOT_ACTIVATED_TEXT)

    def _dispatch(self, tenant: RunningTenant, request: RequestEnvelope) -> _Outcome:
        operation, relates_to = request.operation, request.message_id
        if operation == CAPABILITIES:
            return _Outcome(_encode_capabilities(relates_to))
        version = self._version_of(tenant, operation)
        payload = decode_payload(request)
        if operation == COMPANY_CONFIGURATION:
            company = _company_of(tenant)
            return _Outcome(encode_company_configuration_response(company, relates_to=relates_to))
        if isinstance(payload, FinalizeExportRequest):
            counts = {
                "exported": payload.total_exported,
                "succeeded": payload.successful_export_count,
            }
            return _Outcome(encode_finalize_export_response(relates_to=relates_to), counts)
        if isinstance(payload, ReadBackRequest) and version is not None:
            return _read_back(tenant, version, payload, relates_to)
        if isinstance(payload, list) and version is not None:
            return _provision(tenant, version, payload, relates_to)
        raise _unsupported(operation)

    def _version_of(self, tenant: RunningTenant, operation: str) -> SyncVersion | None:
        """The version an operation belongs to, `None` for those of both."""
        for version in SyncVersion:
            if operation in {PROVISION[version], READ_BACK[version]}:
                offered = EndpointVersion(version.value) in self._versions
                switched_off = version is SyncVersion.V2 and tenant.switches.v2_off
                if not offered or switched_off:
                    raise _unsupported(operation)
                return version
        if operation not in {COMPANY_CONFIGURATION, FINALIZE_EXPORT}:
            raise _unsupported(operation)
        return None


def _provision(
    tenant: RunningTenant, version: SyncVersion, changes: Sequence[SyncObject], relates_to: str
) -> _Outcome:
    links = sum(len(change.links) for change in changes)
    most = tenant.switches.max_links_per_request
    if version is SyncVersion.V2 and links > most:
        # Guessed: that the limit is enforced, and how.
        raise _FaultError("TooManyLinks", f"A request must not change more than {most} links.")
    limit = tenant.switches.group_limit(EndpointVersion(version.value))
    results = [tenant.store.apply(change, max_members=limit) for change in changes]
    succeeded = sum(result.success for result in results)
    counts = {
        "objects": len(results),
        "links": links,
        "succeeded": succeeded,
        "failed": len(results) - succeeded,
    }
    return _Outcome(encode_provision_response(version, results, relates_to=relates_to), counts)


def _read_back(
    tenant: RunningTenant, version: SyncVersion, request: ReadBackRequest, relates_to: str
) -> _Outcome:
    try:
        page = read_page(
            tenant.store,
            tenant.config.tenant_id,
            version,
            cookie=request.input_cookie,
            page_size=tenant.switches.read_back_page_size,
        )
    except CookieError:
        # Guessed: what the service says to a cookie it does not know.
        raise _FaultError("CookieInvalid", "The cookie is not valid or has expired.") from None
    counts = {"objects": len(page.objects)}
    return _Outcome(encode_read_back_response(version, page, relates_to=relates_to), counts)


def _company_of(tenant: RunningTenant) -> CompanyConfiguration:
    config = tenant.config
    bits = _ALWAYS_SET_BIT
    bits |= _RESILIENCY_BITS if config.duplicate_attribute_resiliency else 0
    bits |= _SOFT_MATCH_BIT if config.soft_match_on_upn else 0
    bits |= _BLOCK_SOFT_MATCH_BIT if config.block_soft_match else 0
    return CompanyConfiguration(
        tenant_id=config.tenant_id,
        display_name=config.display_name,
        directory_sync_enabled=config.directory_sync_enabled and not tenant.switches.sync_off,
        features=("ObjectWriteback", "PasswordWriteback"),
        feature_bits=bits,
        anchor_attribute="mS-DS-ConsistencyGuid",
        max_links_per_request=tenant.switches.max_links_per_request,
        deletion_threshold=500,
        application_version=APPLICATION_IDS[SyncVersion.V1],
        client_version="8.0",
        synchronization_interval="PT30M",
    )


def _encode_capabilities(relates_to: str) -> bytes:
    def body(writer: NbfxWriter) -> None:
        writer.start("", f"{CAPABILITIES}Response")
        writer.namespace("", NS_SERVICE)
        leaf(writer, "", f"{CAPABILITIES}Result", _CAPABILITIES_DOCUMENT)
        writer.end()

    return answer(f"{ACTION_PREFIX}{CAPABILITIES}Response", relates_to, body)


def _redirection(host: str) -> _FaultError:
    url = f"https://{host}{SERVICE_PATH}"
    return _FaultError("Redirected", "BindingRedirectionFault", redirect_url=url)


def _unsupported(operation: str) -> _FaultError:
    return _FaultError(
        ACTION_NOT_SUPPORTED,
        f"The message with Action '{ACTION_PREFIX}{operation}' cannot be processed at the"
        " receiver, due to a ContractFilter mismatch at the EndpointDispatcher.",
        soap_code=ACTION_NOT_SUPPORTED,
    )


def _fault(refused: _FaultError, request: RequestEnvelope | None) -> SoapAnswer:
    relates_to = request.message_id if request else None
    tracking_id = request.token.tracking_id if request and request.token else None
    if refused.redirect_url is not None:
        body = encode_redirection_fault(refused.redirect_url, relates_to=relates_to)
    elif refused.soap_code == ACTION_NOT_SUPPORTED:
        body = encode_fault(refused.soap_code, refused.description, relates_to=relates_to)
    else:
        body = encode_fault(
            refused.soap_code,
            refused.description,
            error_code=refused.error_code,
            description=refused.description,
            tracking_id=tracking_id,
            server_name=_SERVER_NAME,
            relates_to=relates_to,
        )
    return SoapAnswer(body=body, fault=True)


def _build(text: str) -> tuple[int, ...]:
    """A build number that compares; what is none counts as the oldest."""
    parts = text.split(".")
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else ()
