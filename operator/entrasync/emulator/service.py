"""The sync service: one SOAP request in, one answer or fault out. Knows nothing of HTTP."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from entrasync.api.azure_cloud import EndpointVersion
from entrasync.emulator.config import EmulatorConfig
from entrasync.emulator.features import configured_bits
from entrasync.emulator.misbehaviour import AbandonedError, Fate, SoapAnswer
from entrasync.emulator.operations import (
    Outcome,
    provision,
    read_back,
    read_capabilities,
)
from entrasync.emulator.persistence import DataFile
from entrasync.emulator.refusals import (
    BUILD_TOO_OLD_TEXT,
    FaultError,
    undeserializable,
    unsupported,
)
from entrasync.emulator.switches import Switches
from entrasync.emulator.tenant import RunningTenant
from entrasync.emulator.tokens import Authority, InvalidTokenError
from entrasync.entra.contracts import (
    ACCESS_DENIED_TEXT,
    APPLICATION_IDS,
    CAPABILITIES,
    COMPANY_CONFIGURATION,
    FINALIZE_EXPORT,
    NOT_ACTIVATED_TEXT,
    PROVISION,
    READ_BACK,
    SERVICE_ROLE,
    CompanyConfiguration,
    SyncVersion,
)
from entrasync.entra.infoset import CodecError, CodecLimits
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
)

MAX_BODY: Final = 64 * 1024 * 1024
_LIMITS: Final = CodecLimits(max_bytes=MAX_BODY)

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Served:
    """A request that took effect."""

    outcome: Outcome
    fate: Fate


class SyncService:
    """Answers the operations of the sync service for all tenants.

    Args:
        config: clouds, with the versions and audiences of each.
        tenants: running tenants by id.
        authority: checks tokens.
        data: where changes are kept.
        clock: gives the time.
    """

    def __init__(
        self,
        config: EmulatorConfig,
        tenants: Mapping[str, RunningTenant],
        authority: Authority,
        *,
        data: DataFile,
        clock: Callable[[], dt.datetime],
    ) -> None:
        self._config = config
        self._tenants = tenants
        self._authority = authority
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
            tenant = self._tenant_of(request, host)
            with tenant.lock:
                served = self._serve(tenant, request, host)
            counts, fate = served.outcome.counts, served.fate
            name = fate.mishap.value if fate.mishap else "Success"
            answered = SoapAnswer(
                body=served.outcome.body,
                mishap=fate.mishap,
                delay_seconds=fate.delay_seconds,
                switches=tenant.switches,
            )
        except CodecError as error:
            refused = undeserializable(error.message)
            answered, name = SoapAnswer(body=refused.encode(request), fault=True), refused.name
        except FaultError as refused:
            answered, name = SoapAnswer(body=refused.encode(request), fault=True), refused.name
        except AbandonedError as error:
            switches = tenant.switches if tenant else Switches()
            answered = SoapAnswer(mishap=error.mishap, switches=switches)
            name = error.mishap.value
        self._note(tenant, request, name, counts)
        return answered

    def _serve(self, tenant: RunningTenant, request: RequestEnvelope, host: str) -> _Served:
        tenant.misbehaviour.redirect(host)
        fate = tenant.misbehaviour.begin(request.operation)
        self._admit(tenant, request)
        tenant.retry_when_due(self._clock().timestamp())
        outcome = self._dispatch(tenant, request)
        self._data.write(tenant.config.tenant_id, tenant.store.writes())
        return _Served(outcome=outcome, fate=fate)

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

    def _tenant_of(self, request: RequestEnvelope, host: str) -> RunningTenant:
        if request.token is None:
            raise FaultError("TokenMissing", ACCESS_DENIED_TEXT)
        try:
            token = self._authority.check(request.token.bearer_token)
            tenant = self._tenants.get(token.tenant_id)
            if tenant is None or not self._config.is_served(tenant.config, host, tenant.switches):
                raise InvalidTokenError("the tenant is of another cloud")  # noqa: TRY301
            cloud = self._config.cloud_of(tenant.config)
            token.require_audience(tenant.switches.audience or cloud.audience)
            if not tenant.misbehaviour.takes_token(token.issued, self._clock().timestamp()):
                raise InvalidTokenError("the token was made to expire")  # noqa: TRY301
        except InvalidTokenError as error:
            _log.info("token_refused", why=str(error))
            raise FaultError("TokenInvalid", ACCESS_DENIED_TEXT) from None
        if SERVICE_ROLE not in token.roles:
            raise FaultError("RoleMissing", ACCESS_DENIED_TEXT)
        return tenant

    def _admit(self, tenant: RunningTenant, request: RequestEnvelope) -> None:
        minimum = tenant.switches.minimum_build
        build = request.token.dirsync_build_number if request.token else ""
        if minimum is not None and _build(build) < _build(minimum):
            raise FaultError("BuildTooOld", BUILD_TOO_OLD_TEXT)
        if request.operation != COMPANY_CONFIGURATION and not tenant.is_syncing:
            raise FaultError("NotActivated", NOT_ACTIVATED_TEXT)

    def _dispatch(self, tenant: RunningTenant, request: RequestEnvelope) -> Outcome:
        operation, relates_to = request.operation, request.message_id
        if operation == CAPABILITIES:
            decode_payload(request)  # it has no members, but must end well
            return read_capabilities(relates_to)
        version = self._version_of(tenant, operation)
        payload = decode_payload(request)
        if operation == COMPANY_CONFIGURATION:
            company = _company_of(tenant)
            return Outcome(encode_company_configuration_response(company, relates_to=relates_to))
        if isinstance(payload, FinalizeExportRequest):
            tenant.company.note_sync(self._clock())
            counts = {
                "exported": payload.total_exported,
                "succeeded": payload.successful_export_count,
            }
            return Outcome(encode_finalize_export_response(relates_to=relates_to), counts)
        now = self._clock().timestamp()
        if isinstance(payload, ReadBackRequest) and version is not None:
            return read_back(tenant, version, payload, relates_to, now)
        if isinstance(payload, list) and version is not None:
            return provision(tenant, version, payload, relates_to, now)
        raise unsupported(operation)

    def _version_of(self, tenant: RunningTenant, operation: str) -> SyncVersion | None:
        """The version an operation belongs to, `None` for those of both."""
        for version in SyncVersion:
            if operation in {PROVISION[version], READ_BACK[version]}:
                cloud = self._config.cloud_of(tenant.config)
                offered = EndpointVersion(version.value) in cloud.endpoint_versions
                switched_off = version is SyncVersion.V2 and tenant.switches.v2_off
                if not offered or switched_off:
                    raise unsupported(operation)
                return version
        if operation not in {COMPANY_CONFIGURATION, FINALIZE_EXPORT}:
            raise unsupported(operation)
        return None


def _company_of(tenant: RunningTenant) -> CompanyConfiguration:
    config = tenant.config
    return CompanyConfiguration(
        tenant_id=config.tenant_id,
        display_name=config.display_name,
        directory_sync_enabled=tenant.is_syncing,
        features=("ObjectWriteback", "PasswordWriteback"),
        feature_bits=tenant.company.feature_bits(configured_bits(config)),
        anchor_attribute="mS-DS-ConsistencyGuid",
        max_links_per_request=tenant.switches.max_links_per_request,
        deletion_threshold=tenant.company.deletion_threshold,
        application_version=APPLICATION_IDS[SyncVersion.V1],
        client_version="8.0",
        synchronization_interval=tenant.company.synchronization_interval,
    )


def feature_bits(tenant: RunningTenant) -> int:
    """The bits of DirSyncFeatures as the tenant tells them."""
    return _company_of(tenant).feature_bits


def _build(text: str) -> tuple[int, ...]:
    """A build number that compares; what is none counts as the oldest."""
    parts = text.split(".")
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else ()
