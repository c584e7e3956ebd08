"""Access tokens for the sync service, by msal: the only module that knows it."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import httpx
import msal
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from msal.exceptions import MsalServiceError

from entrasync.entra.clouds import Cloud
from entrasync.entra.contracts import SERVICE_APPLICATION, SERVICE_ROLE
from entrasync.entra.transport import TOKEN_SECONDS, http_client, transport_error
from entrasync.errors import ConfigurationError, TransientError

SCOPE: Final = f"{SERVICE_APPLICATION}/.default"

_UNKNOWN_TENANT: Final = frozenset({90002, 900021, 900023})
_TOO_MANY_REQUESTS: Final = 429
_TENANT_TEXTS: Final = ("AADSTS90002", "AADSTS900021", "AADSTS900023", "invalid_tenant")


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateCredential:
    """A certificate and its private key, both PEM."""

    certificate: str
    private_key: str = field(repr=False)
    origin: str = "spec.application.certificateSecretRef"
    """Field to look at when it is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretCredential:
    """A client secret."""

    secret: str = field(repr=False)
    origin: str = "spec.application.clientSecretSecretRef"
    """Field to look at when it is refused."""


class TokenSource(Protocol):
    """Gives tokens that are good for a while."""

    def token(self) -> str:
        """An access token; renewed before it expires."""
        ...


class MsalTokenSource:
    """Tokens by client credentials.

    Args:
        cloud: whose login authority issues them.
        tenant_id: the tenant.
        client_id: the application.
        credential: how it proves itself.
        resource: `Kind/name` that errors point at.
        clock: aware now, to tell an expired certificate.
    """

    def __init__(
        self,
        cloud: Cloud,
        tenant_id: str,
        client_id: str,
        credential: CertificateCredential | SecretCredential,
        *,
        resource: str,
        clock: Callable[[], dt.datetime],
    ) -> None:
        self._cloud = cloud
        self._tenant_id = tenant_id
        self._client_id = client_id
        self._credential = credential
        self._resource = resource
        self._clock = clock
        self._http = _HttpAdapter(cloud)
        self._application: Any = None

    def close(self) -> None:
        """Closes the connection to the login authority."""
        self._http.close()

    def token(self) -> str:
        """An access token that holds the role the sync service asks for.

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
        return token

    def _acquire(self) -> Mapping[str, Any]:
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
            found: Mapping[str, Any] = self._application.acquire_token_for_client(scopes=[SCOPE])
        except (ValueError, TypeError, AttributeError):
            raise TransientError(
                "ServerUnreachable",
                f"{self._cloud.login_authority} answered with something that is no token: check"
                " the proxy and `spec.loginAuthority` of the cloud",
                resource=self._resource,
            ) from None
        return found

    def _client_credential(self) -> str | dict[str, str]:
        match self._credential:
            case SecretCredential(secret=secret):
                return secret
            case CertificateCredential(certificate=certificate, private_key=key):
                self._check_certificate(certificate, key)
                return {"private_key": key, "public_certificate": certificate}

    def _check_certificate(self, certificate: str, key: str) -> None:
        """Says here what the login authority would only hint at."""
        try:
            parsed = x509.load_pem_x509_certificate(certificate.encode())
            private = serialization.load_pem_private_key(key.encode(), None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise self._bad_certificate(
                "`tls.crt` or `tls.key` is no PEM certificate or unencrypted PEM key"
            ) from None
        now = self._clock()
        if now > parsed.not_valid_after_utc:
            raise self._bad_certificate(
                f"the certificate expired at {parsed.not_valid_after_utc:%Y-%m-%d}; renew `tls.crt`"
                " and `tls.key`, and upload the new certificate to the application"
            )
        if now < parsed.not_valid_before_utc:
            raise self._bad_certificate(
                f"the certificate is not valid before {parsed.not_valid_before_utc:%Y-%m-%d}"
            )
        if not isinstance(private, rsa.RSAPrivateKey):
            raise self._bad_certificate("`tls.key` is no RSA key: Microsoft Entra takes no other")
        encoding = serialization.Encoding.DER
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        if private.public_key().public_bytes(encoding, form) != parsed.public_key().public_bytes(
            encoding, form
        ):
            raise self._bad_certificate("`tls.key` is not the key of `tls.crt`")

    def _bad_certificate(self, message: str) -> ConfigurationError:
        return ConfigurationError(
            "CredentialsRejected",
            message,
            resource=self._resource,
            field=self._credential.origin,
        )

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

    def _busy(self) -> TransientError:
        return TransientError("Throttled", "the login authority is busy", resource=self._resource)

    def _tenant_not_found(self) -> ConfigurationError:
        return ConfigurationError(
            "TenantNotFound",
            f"{self._cloud.login_authority} knows no tenant {self._tenant_id}; correct"
            " `spec.tenantId`, or `spec.cloudRef` when the tenant lives in another cloud",
            resource=self._resource,
            field="spec.tenantId",
        )

    def _refused(self, answer: Mapping[str, Any]) -> ConfigurationError | TransientError:
        codes = {int(code) for code in answer.get("error_codes", []) if str(code).isdigit()}
        description = str(answer.get("error_description", ""))
        if codes & _UNKNOWN_TENANT or any(text in description for text in _TENANT_TEXTS):
            return self._tenant_not_found()
        if answer.get("error") == "temporarily_unavailable":
            return self._busy()
        told = " ".join(f"AADSTS{code}" for code in sorted(codes)) or str(answer.get("error"))
        thumbprint = ""
        if isinstance(self._credential, CertificateCredential):
            parsed = x509.load_pem_x509_certificate(self._credential.certificate.encode())
            thumbprint = f" of the certificate {parsed.fingerprint(hashes.SHA256()).hex()[:16]}..."
        return ConfigurationError(
            "CredentialsRejected",
            f"the tenant refused the credential{thumbprint} of application {self._client_id}"
            f" ({told}); correct the Secret, or add the credential to the application",
            resource=self._resource,
            field=self._credential.origin,
        )

    def _require_role(self, token: str) -> None:
        if SERVICE_ROLE in _claims(token).get("roles", [SERVICE_ROLE]):
            return
        raise ConfigurationError(
            "RoleMissing",
            f"the token of application {self._client_id} lacks the role {SERVICE_ROLE}; grant it on"
            " Microsoft Entra AD Synchronization Service with admin consent",
            resource=self._resource,
            field="spec.application.clientId",
        )


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


class _HttpAdapter:
    """What msal needs of an HTTP client, by httpx with the cloud's trust."""

    def __init__(self, cloud: Cloud) -> None:
        self._client = http_client(cloud, read_seconds=TOKEN_SECONDS)
        self.discovery = (0, "")
        """Status and text of the last GET: msal sends none but for the OpenID configuration."""

    def get(self, url: str, params: Any = None, headers: Any = None, **_: Any) -> _HttpAnswer:
        answer = _HttpAnswer(self._client.get(url, params=params, headers=headers))
        self.discovery = answer.status_code, answer.text
        return answer

    def post(
        self, url: str, params: Any = None, data: Any = None, headers: Any = None, **_: Any
    ) -> _HttpAnswer:
        # msal gives the assertion as bytes, of which httpx would send the `repr`
        data = {
            key: value.decode() if isinstance(value, bytes) else value
            for key, value in (data or {}).items()
        }
        return _HttpAnswer(self._client.post(url, params=params, data=data, headers=headers))

    def close(self) -> None:
        self._client.close()


class _HttpAnswer:
    """What msal reads of an answer."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer
        self.status_code = answer.status_code
        self.text = answer.text
        self.headers = dict(answer.headers)

    def raise_for_status(self) -> None:
        self._answer.raise_for_status()
