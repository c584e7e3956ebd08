"""From what the sync service, or a gateway before it, answers to what a person can act on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeVar
from urllib.parse import urlsplit

from entrasync.entra.clouds import Cloud
from entrasync.entra.contracts import (
    ACCESS_DENIED_TEXT,
    BUILD_WORDS,
    BUSY_CODE,
    BUSY_TEXT,
    COMPANY_CONFIGURATION,
    COOKIE_WORD,
    DEFAULT_BUILD,
    NOT_ACTIVATED_TEXT,
    READ_BACK,
    SERVICE_ROLE,
    SyncVersion,
)
from entrasync.entra.faults import (
    ACTION_NOT_SUPPORTED,
    REFUSAL_CODES,
    Fault,
    RequestRefusedError,
)
from entrasync.entra.infoset import CodecError
from entrasync.entra.privacy import redact_token
from entrasync.entra.retrying import TenantBusyError
from entrasync.errors import ConfigurationError, EntrasyncError, TransientError

_TOO_LARGE: Final = 413
_TIMED_OUT: Final = 408
_BUSY_STATUSES: Final = frozenset({429, 503})
_SERVER_ERROR: Final = 500
_AGAIN: Final = "it is tried again by itself"
_FORMATTER_TEXT: Final = "The formatter threw an exception"
"""Begins what WCF says of a message it cannot read, for example of an unknown `xsi:type`."""

Told = TypeVar("Told", bound=EntrasyncError)


class RedirectError(EntrasyncError):
    """The tenant lives on another host."""

    def __init__(self, url: str) -> None:
        super().__init__("RunFailed", "the sync service redirects")
        self.url = url


class AccessDeniedError(ConfigurationError):
    """The service does not let the token in: it lacks the role, or is no longer good."""


class CookieRefusedError(TransientError):
    """The service does not take the cookie of a read-back: all must be read from the start."""


class UnknownFaultError(TransientError):
    """The service answered with a fault that nobody has described yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One try, as far as its failure is told by it."""

    cloud: Cloud
    resource: str
    """`Kind/name` of the tenant."""
    version: SyncVersion
    operation: str
    url: str
    """Address posted to."""
    application_id: str
    tracking_id: str
    """GUID of this try, without which Microsoft's support finds nothing."""
    token: str = field(repr=False)

    @property
    def host(self) -> str:
        """Host posted to."""
        return host_of(self.url)


def host_of(url: str) -> str:
    """Host of any text that may be a URL; for messages only."""
    try:
        return urlsplit(url).hostname or "no host"
    except ValueError:
        return "no host"


def name_try(error: Told, tracking_id: str) -> Told:
    """The same error, whose message names the try it comes from."""
    error.message = f"{error.message.removesuffix('.')} (tracking id {tracking_id})"
    error.args = (error.message,)
    return error


def of_fault(asked: Asked, fault: Fault, retry_after: float | None = None) -> EntrasyncError:
    """What a fault means; the token is taken out of its words.

    The texts that tell of busy tenants, switched-off sync and missing rights were seen in
    practice or are documented; how a refused cookie is worded is guessed.
    """
    if fault.redirect_url is not None:
        return RedirectError(fault.redirect_url)
    text = redact_token(fault.text, asked.token)
    if fault.error_code == BUSY_CODE or BUSY_TEXT in text:
        return TenantBusyError(
            "Throttled",
            f"the tenant is busy; {_AGAIN}. If it stays so, lower `spec.writeQuotaPercent`, or look"
            " for other programs that write to the tenant",
            resource=asked.resource,
            retry_after=retry_after,
        )
    if NOT_ACTIVATED_TEXT in text:
        return ConfigurationError(
            "SyncDisabledInTenant",
            "directory sync is switched off in the tenant; switch on `onPremisesSyncEnabled`"
            " of the organization",
            resource=asked.resource,
            field="spec.tenantId",
        )
    if ACCESS_DENIED_TEXT in text:
        return AccessDeniedError(
            "RoleMissing",
            f"the tenant denies access to the sync service; grant the role {SERVICE_ROLE} to"
            " the application",
            resource=asked.resource,
            field="spec.application.clientId",
        )
    if fault.code == ACTION_NOT_SUPPORTED:
        return ConfigurationError(
            "EndpointNotOffered",
            f"the service at {asked.host} does not offer the {asked.version} operations"
            f" ({asked.operation}); correct `spec.syncService.endpoints` of the cloud, or"
            " `spec.cloudRef` of the tenant",
            resource=asked.resource,
            field="spec.transport",
        )
    return _of_other_fault(asked, fault, text)


def _of_other_fault(asked: Asked, fault: Fault, text: str) -> EntrasyncError:
    words = f"the sync service answered: {text}"
    if asked.operation == COMPANY_CONFIGURATION and _is_of_version(text):
        return ConfigurationError(
            "EndpointNotOffered",
            f"the sync service no longer serves clients of build {DEFAULT_BUILD}, which this one"
            f' says it is ("{text.removesuffix(".")}"); install a newer entrasync',
            resource=asked.resource,
        )
    if asked.operation in READ_BACK.values() and COOKIE_WORD in text.lower():
        return CookieRefusedError("RunFailed", words, resource=asked.resource)
    if fault.code in REFUSAL_CODES or text.startswith(_FORMATTER_TEXT):
        return RequestRefusedError("RunFailed", words, resource=asked.resource)
    return UnknownFaultError("RunFailed", words, resource=asked.resource)


def _is_of_version(text: str) -> bool:
    """Whether a fault tells that the client is too old; its words are guessed."""
    lower = text.lower()
    return all(word in lower for word in BUILD_WORDS)


def of_status(
    asked: Asked, status: int, retry_after: float | None, *, answered: bool = False
) -> EntrasyncError:
    """What an answer means that is not the service's own: a gateway in front gave it.

    Its body is never looked at.

    Args:
        asked: the try.
        status: HTTP status.
        retry_after: seconds it asks to be left alone.
        answered: whether the service itself has answered before, so that the address is right.
    """
    if status in _BUSY_STATUSES:
        return TenantBusyError(
            "Throttled",
            f"the sync service is busy (HTTP {status}); {_AGAIN}",
            resource=asked.resource,
            retry_after=retry_after,
        )
    if status == _TOO_LARGE:
        return RequestRefusedError(
            "RunFailed",
            f"a gateway before {asked.host} takes no request of this size (HTTP {status}); raise"
            " its limit",
            resource=asked.resource,
        )
    if answered and status < _SERVER_ERROR and status != _TIMED_OUT:
        return TransientError(
            "ServerUnreachable",
            f"something before {asked.host} answered instead of the sync service (HTTP {status});"
            f" {_AGAIN}. If it stays so, look at the proxy and the firewall",
            resource=asked.resource,
            retry_after=retry_after,
        )
    if status >= _SERVER_ERROR or status == _TIMED_OUT:
        return TransientError(
            "ServerUnreachable",
            f"a gateway before {asked.host} cannot reach the sync service (HTTP {status});"
            f" {_AGAIN}",
            resource=asked.resource,
            retry_after=retry_after,
        )
    return ConfigurationError(
        "EndpointNotOffered",
        f"{asked.host} answered HTTP {status} and does not speak for the sync service; look at"
        " `spec.syncService.url` of the cloud",
        resource=f"AzureCloud/{asked.cloud.name}",
        field="spec.syncService.url",
    )


def unreadable(asked: Asked, error: CodecError) -> TransientError:
    """What it means that an answer cannot be decoded.

    Never a `CodecError`: that one tells that what is to be sent cannot travel.
    """
    why = redact_token(error.message, asked.token)
    return TransientError(
        "RunFailed",
        f"the sync service gave an answer that cannot be read ({why}); {_AGAIN}. If it stays so,"
        f" look for a proxy between here and {asked.host} that changes answers",
        resource=asked.resource,
    )


def too_long(asked: Asked, limit: int) -> TransientError:
    """What it means that an answer does not end."""
    return TransientError(
        "RunFailed",
        f"the sync service gave an answer of more than {limit} bytes",
        resource=asked.resource,
    )


def foreign_redirection(asked: Asked, url: str) -> ConfigurationError:
    """What it means that the service sends a tenant where its token must not go."""
    return ConfigurationError(
        "EndpointNotOffered",
        f"the sync service redirected to {host_of(url)}, which is not below the hosts of"
        " `spec.syncService.redirectSuffixes`; nothing was sent there",
        resource=f"AzureCloud/{asked.cloud.name}",
        field="spec.syncService.redirectSuffixes",
    )
