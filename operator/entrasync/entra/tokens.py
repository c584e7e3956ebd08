"""Access tokens, for the sync service and for Microsoft Graph: the only module that knows msal."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import httpx
import msal
import structlog
from msal.exceptions import MsalServiceError

from entrasync.entra.clouds import Cloud
from entrasync.entra.contracts import SERVICE_APPLICATION, SERVICE_ROLE
from entrasync.entra.credentials import (
    CertificateCredential,
    Credential,
    FederatedCredential,
    SecretCredential,
    check_certificate,
    read_assertion,
)
from entrasync.entra.login_http import LoginHttp
from entrasync.entra.login_refusals import SERVICE_NAME, refused_login
from entrasync.entra.retrying import BusyError, retry_after_seconds
from entrasync.entra.transport import transport_error
from entrasync.errors import ConfigurationError, TransientError

__all__ = [
    "SCOPE",
    "SYNC_SERVICE",
    "Audience",
    "CertificateCredential",
    "Credential",
    "FederatedCredential",
    "MsalTokenSource",
    "SecretCredential",
    "TokenSource",
]

SCOPE: Final = f"{SERVICE_APPLICATION}/.default"


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """Whom tokens are for.

    Attributes:
        scope: what the login authority is asked for.
        role: role without which a token is of no use, `None` where the other side decides.
    """

    scope: str
    role: str | None = None


SYNC_SERVICE: Final = Audience(scope=SCOPE, role=SERVICE_ROLE)
"""The sync service."""

_RENEWED_BEFORE: Final = dt.timedelta(minutes=5)
"""How long before its end msal asks for another token."""
_UNKNOWN_TENANT: Final = frozenset({90002, 900021, 900023})
_TOO_MANY_REQUESTS: Final = 429
_BUSY_ERRORS: Final = frozenset({"temporarily_unavailable", "server_error"})
_TENANT_TEXTS: Final = ("AADSTS90002", "AADSTS900021", "AADSTS900023", "invalid_tenant")

log = structlog.get_logger()


class TokenSource(Protocol):
    """Gives tokens that are good for a while."""

    def token(self) -> str:
        """An access token; renewed before it expires."""
        ...

    def renew(self) -> None:
        """Says that the token is no longer good: the next one asked for is another."""
        ...


class MsalTokenSource:
    """Tokens by client credentials.

    A token is kept, and asked for anew once it has less than five minutes left.

    Args:
        cloud: whose login authority issues them.
        tenant_id: the tenant.
        client_id: the application.
        credential: how it proves itself, or what reads that anew before each token is asked for.
        resource: `Kind/name` that errors point at.
        clock: aware now, to tell an expired certificate.
        audience: whom the tokens are for.
    """

    def __init__(
        self,
        cloud: Cloud,
        tenant_id: str,
        client_id: str,
        credential: Credential | Callable[[], Credential],
        *,
        resource: str,
        clock: Callable[[], dt.datetime],
        audience: Audience = SYNC_SERVICE,
    ) -> None:
        self._cloud = cloud
        self._tenant_id = tenant_id
        self._client_id = client_id
        self._read_credential = credential if callable(credential) else lambda: credential
        self._credential = self._read_credential()
        self._good_until = clock()
        self._resource = resource
        self._clock = clock
        self._audience = audience
        self._http = LoginHttp(cloud)
        self._application: Any = None

    def close(self) -> None:
        """Closes the connection to the login authority."""
        self._http.close()

    def renew(self) -> None:
        """Forgets the token that is kept, so that the next call of `token` asks for another."""
        # with everything msal remembers; its own way would leave older answers in its HTTP cache
        self._application = None

    def token(self) -> str:
        """An access token that holds the role its audience asks for.

        Raises:
            ConfigurationError: `CredentialsRejected`, `TenantNotFound` or `RoleMissing`.
            TransientError: the login authority cannot be reached or is busy.
        """
        try:
            answer = self._acquire()
        except httpx.HTTPError as error:
            raise transport_error(
                error, self._cloud, self._cloud.login_authority, "spec.loginAuthority"
            ) from None
        except MsalServiceError:
            # how msal tells of a status of 500 and above
            raise self._busy() from None
        token = answer.get("access_token")
        if not isinstance(token, str):
            raise self._refused(answer)
        self._require_role(token)
        self._good_until = self._clock() + _lifetime(answer) - _RENEWED_BEFORE
        return token

    def _acquire(self) -> Mapping[str, Any]:
        if self._application is None or self._clock() >= self._good_until:
            self._renew_credential()
        if self._application is None:
            try:
                self._application = msal.ConfidentialClientApplication(
                    self._client_id,
                    client_credential=self._client_credential(),
                    authority=f"{self._cloud.login_authority.rstrip('/')}/{self._tenant_id}",
                    # the authority is named by the cloud; nothing else may be asked about it
                    instance_discovery=False,
                    http_client=self._http,
                )
            except (ValueError, KeyError, TypeError, AttributeError):
                # KeyError and what follows: the configuration is JSON, but not the expected
                raise self._no_configuration() from None
        try:
            found: Mapping[str, Any] = self._application.acquire_token_for_client(
                scopes=[self._audience.scope]
            )
        except (ValueError, TypeError, AttributeError):
            if self._http.posted == _TOO_MANY_REQUESTS:
                raise self._busy() from None
            raise TransientError(
                "ServerUnreachable",
                f"{self._cloud.login_authority} answered with something that is no token: check"
                " the proxy and `spec.loginAuthority` of the cloud",
                resource=self._resource,
            ) from None
        return found

    def _renew_credential(self) -> None:
        """Takes the credential as it is now: whoever rotated it need not end the run for that."""
        found = self._read_credential()
        if found != self._credential:
            self._credential = found
            self._application = None
            log.info("credential_changed", resource=self._resource)

    def _client_credential(self) -> str | dict[str, Any]:
        """The credential as msal takes it.

        With a certificate it signs by PS256 and names the certificate by its SHA-256.
        """
        match self._credential:
            case SecretCredential(secret=secret):
                return secret
            case CertificateCredential(certificate=certificate, private_key=key):
                check_certificate(self._credential, self._resource, self._clock())
                return {"private_key": key, "public_certificate": certificate}
            case FederatedCredential():
                # called for each token
                return {"client_assertion": self._assertion}

    def _assertion(self) -> str:
        if not isinstance(self._credential, FederatedCredential):
            return ""
        return read_assertion(self._credential, self._resource)

    def _no_configuration(self) -> ConfigurationError | TransientError:
        """What the authority's refusal to describe itself means.

        An unknown tenant shows here first. msal does not repeat what the authority said, so that
        the answer itself is asked.
        """
        status, text = self._http.discovery
        if any(each in text for each in _TENANT_TEXTS):
            return self._tenant_not_found()
        if status == _TOO_MANY_REQUESTS:
            return self._busy()
        return ConfigurationError(
            "CredentialsRejected",
            f"the login authority {self._cloud.login_authority} gave no usable OpenID"
            f" configuration for tenant {self._tenant_id}; look at `spec.tenantId` and at"
            " `spec.loginAuthority` of the cloud",
            resource=self._resource,
            field="spec.tenantId",
        )

    def _busy(self) -> BusyError:
        retry_after = retry_after_seconds(self._http.retry_after, self._clock())
        return BusyError(
            "Throttled",
            "the login authority is busy",
            resource=self._resource,
            retry_after=retry_after,
        )

    def _tenant_not_found(self) -> ConfigurationError:
        return ConfigurationError(
            "TenantNotFound",
            f"{self._cloud.login_authority} knows no tenant {self._tenant_id}; correct"
            " `spec.tenantId`, or `spec.cloudRef` when the tenant lives in another cloud",
            resource=self._resource,
            field="spec.tenantId",
        )

    def _refused(self, answer: Mapping[str, Any]) -> ConfigurationError | TransientError:
        codes = _codes(answer)
        description = str(answer.get("error_description", ""))
        if codes & _UNKNOWN_TENANT or any(text in description for text in _TENANT_TEXTS):
            return self._tenant_not_found()
        if self._http.posted == _TOO_MANY_REQUESTS or answer.get("error") in _BUSY_ERRORS:
            return self._busy()
        return refused_login(
            codes,
            " ".join(f"AADSTS{code}" for code in sorted(codes)) or str(answer.get("error")),
            credential=self._credential,
            client_id=self._client_id,
            resource=self._resource,
            claims=_claims(self._assertion()),
        )

    def _require_role(self, token: str) -> None:
        role = self._audience.role
        if role is None or role in _claims(token).get("roles", [role]):
            return
        raise ConfigurationError(
            "RoleMissing",
            f"the token of application {self._client_id} lacks the role {role}; grant it on"
            f" {SERVICE_NAME} with admin consent",
            resource=self._resource,
            field="spec.application.clientId",
        )


def _lifetime(answer: Mapping[str, Any]) -> dt.timedelta:
    """How long a token is still good; no time where that is not told."""
    told = answer.get("expires_in")
    return dt.timedelta(seconds=told if isinstance(told, int) else 0)


def _codes(answer: Mapping[str, Any]) -> set[int]:
    """Numbers of a refusal."""
    found = answer.get("error_codes")
    if not isinstance(found, list):
        return set()
    return {int(code) for code in map(str, found) if code.isascii() and code.isdigit()}


def _claims(token: str) -> Mapping[str, Any]:
    """Claims of a JWT, unverified: the service verifies it. An opaque token has none to read."""
    try:
        payload = token.split(".")[1]
        found = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    # a token for an application that holds no role at all has no such claim
    return {"roles": []} | found
