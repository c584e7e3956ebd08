"""The login authority: OpenID configuration, client credentials, and tokens that can be checked.

Errors carry the codes and the manner of Microsoft's own, because clients act on them.
"""

from __future__ import annotations

import base64
import datetime as dt
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.types import Options

from entrasync.entra.contracts import SERVICE_APPLICATION

LEGACY_RESOURCE: Final = "https://graph.windows.net"
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TOKEN_LIFETIME: Final = dt.timedelta(minutes=60)
_RESOURCES: Final = frozenset(
    {SERVICE_APPLICATION, f"api://{SERVICE_APPLICATION}", LEGACY_RESOURCE}
)
_SCOPE_SUFFIX: Final = "/.default"
_BAD_REQUEST: Final = 400
_UNAUTHORIZED: Final = 401


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredApplication:
    """An application as a tenant knows it."""

    client_id: str
    client_secret: str | None = None
    certificate: x509.Certificate | None = None
    roles: tuple[str, ...] = ()


class LoginError(Exception):
    """What the authority refuses, in its own words.

    Args:
        error: OAuth error, such as `invalid_client`.
        code: number of the AADSTS code.
        message: sentence after the code.
        status: HTTP status.
    """

    def __init__(self, error: str, code: int, message: str, status: int = _BAD_REQUEST) -> None:
        super().__init__(f"AADSTS{code}")
        self.error = error
        self.code = code
        self.message = message
        self.status = status

    def document(self, *, trace_id: str, now: dt.datetime) -> dict[str, Any]:
        """The JSON body of the answer."""
        timestamp = now.strftime("%Y-%m-%d %H:%M:%SZ")
        return {
            "error": self.error,
            "error_description": f"AADSTS{self.code}: {self.message} Trace ID: {trace_id}"
            f" Correlation ID: {trace_id} Timestamp: {timestamp}",
            "error_codes": [self.code],
            "timestamp": timestamp,
            "trace_id": trace_id,
            "correlation_id": trace_id,
        }


class InvalidTokenError(Exception):
    """The sync service does not take this access token."""


class Authority:
    """Issues and checks access tokens.

    Args:
        tenants: applications by client id, by tenant id.
        clock: gives the time.
        new_id: gives GUIDs for tokens.
    """

    def __init__(
        self,
        tenants: Mapping[str, Mapping[str, RegisteredApplication]],
        *,
        clock: Callable[[], dt.datetime],
        new_id: Callable[[], str],
    ) -> None:
        self._tenants = tenants
        self._clock = clock
        self._new_id = new_id
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._key_id = new_id()

    def openid_configuration(self, base_url: str, tenant_id: str) -> dict[str, Any]:
        """What clients discover.

        Raises:
            LoginError: there is no such tenant.
        """
        self._applications(tenant_id)
        root = f"{base_url}/{tenant_id}"
        return {
            "issuer": f"{root}/v2.0",
            "authorization_endpoint": f"{root}/oauth2/v2.0/authorize",
            "token_endpoint": f"{root}/oauth2/v2.0/token",
            "jwks_uri": f"{root}/discovery/v2.0/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "response_types_supported": ["token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    def keys(self, tenant_id: str) -> dict[str, Any]:
        """Public keys of the tokens.

        Raises:
            LoginError: there is no such tenant.
        """
        self._applications(tenant_id)
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [public | {"kid": self._key_id, "use": "sig", "alg": "RS256"}]}

    def issue(self, base_url: str, tenant_id: str, form: Mapping[str, str]) -> dict[str, Any]:
        """Answers a token request with client credentials.

        Raises:
            LoginError: it is refused.
        """
        applications = self._applications(tenant_id)
        if form.get("grant_type") != "client_credentials":
            raise LoginError(
                "unsupported_grant_type", 70003, "The app requested an unsupported grant type."
            )
        client_id = form.get("client_id", "").lower()
        application = applications.get(client_id)
        if application is None:
            raise LoginError(
                "unauthorized_client",
                700016,
                f"Application with identifier '{client_id}' was not found in the directory"
                f" '{tenant_id}'.",
            )
        audience = _audience_of(form)
        if form.get("client_assertion_type") == ASSERTION_TYPE:
            self._check_assertion(application, base_url, tenant_id, form)
        else:
            _check_secret(application, form.get("client_secret"))
        return {
            "token_type": "Bearer",
            "expires_in": int(TOKEN_LIFETIME.total_seconds()),
            "ext_expires_in": int(TOKEN_LIFETIME.total_seconds()),
            "access_token": self._token(base_url, tenant_id, application, audience),
        }

    def check(self, token: str, audiences: frozenset[str]) -> dict[str, Any]:
        """Claims of an access token the sync service may take.

        Raises:
            InvalidTokenError: it is not ours, expired, or for somebody else.
        """
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key.public_key(),
                algorithms=["RS256"],
                options=_options(["exp", "aud", "tid"]),
            )
        except jwt.PyJWTError as error:
            raise InvalidTokenError(str(error)) from None
        if self._clock().timestamp() >= claims["exp"]:
            raise InvalidTokenError("the token is expired")
        if str(claims["aud"]).removeprefix("api://").rstrip("/") not in audiences:
            raise InvalidTokenError("the token is for another audience")
        return claims

    def _applications(self, tenant_id: str) -> Mapping[str, RegisteredApplication]:
        found = self._tenants.get(tenant_id.lower())
        if found is None:
            raise LoginError(
                "invalid_tenant",
                90002,
                f"Tenant '{tenant_id}' not found. Check to make sure you have the correct tenant"
                " ID and are signing into the correct cloud.",
            )
        return found

    def _token(
        self, base_url: str, tenant_id: str, application: RegisteredApplication, audience: str
    ) -> str:
        now = self._clock()
        claims: dict[str, Any] = {
            "aud": audience,
            "iss": f"{base_url}/{tenant_id}/v2.0",
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int((now + TOKEN_LIFETIME).timestamp()),
            "appid": application.client_id,
            "azp": application.client_id,
            "tid": tenant_id.lower(),
            "uti": self._new_id(),
            "ver": "1.0",
        }
        if application.roles:
            claims["roles"] = list(application.roles)
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._key_id})

    def _check_assertion(
        self,
        application: RegisteredApplication,
        base_url: str,
        tenant_id: str,
        form: Mapping[str, str],
    ) -> None:
        certificate = application.certificate
        if certificate is None:
            raise _bad_assertion("The key was not found: no certificate is registered.")
        assertion = form.get("client_assertion", "")
        try:
            _check_thumbprint(certificate, jwt.get_unverified_header(assertion))
            public_key = certificate.public_key()
            if not isinstance(public_key, rsa.RSAPublicKey):
                raise _bad_assertion("The registered certificate has no RSA key.")
            claims = jwt.decode(
                assertion,
                public_key,
                algorithms=["PS256", "RS256"],
                options=_options(["exp", "aud", "iss", "sub"]),
            )
        except jwt.PyJWTError as error:
            raise _bad_assertion(f"{error}.") from None
        self._check_times(certificate, claims)
        root = f"{base_url}/{tenant_id}"
        endpoints = ("oauth2/v2.0/token", "oauth2/token", "v2.0", "v2.0/")
        if claims["aud"] not in {f"{root}/{endpoint}" for endpoint in endpoints}:
            raise _bad_assertion("The audience is not the token endpoint.")
        if not claims["iss"] == claims["sub"] == application.client_id:
            raise _bad_assertion("Issuer and subject must be the client id.")

    def _check_times(self, certificate: x509.Certificate, claims: Mapping[str, Any]) -> None:
        now = self._clock()
        outside = claims["exp"] <= now.timestamp() or claims.get("nbf", 0) > now.timestamp() + 300
        if outside:
            raise LoginError(
                "invalid_client",
                700024,
                "Client assertion is not within its valid time range.",
                _UNAUTHORIZED,
            )
        if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
            raise _bad_assertion("The certificate used to sign the client assertion is expired.")


def _options(required: list[str]) -> Options:
    """The signature is checked by the library; times and names here, by our clock."""
    return {
        "verify_aud": False,
        "verify_exp": False,
        "verify_nbf": False,
        "verify_iat": False,
        "require": required,
    }


def _check_secret(application: RegisteredApplication, secret: str | None) -> None:
    if not secret:
        raise LoginError(
            "invalid_client",
            7000218,
            "The request body must contain the following parameter: 'client_assertion' or"
            " 'client_secret'.",
            _UNAUTHORIZED,
        )
    known = application.client_secret
    if known is None or not hmac.compare_digest(known.encode(), secret.encode()):
        raise LoginError(
            "invalid_client",
            7000215,
            "Invalid client secret provided. Ensure the secret being sent in the request is the"
            " client secret value, not the client secret ID, for a secret added to app"
            f" '{application.client_id}'.",
            _UNAUTHORIZED,
        )


def _check_thumbprint(certificate: x509.Certificate, header: Mapping[str, Any]) -> None:
    known = {
        "x5t#S256": certificate.fingerprint(hashes.SHA256()),
        "x5t": certificate.fingerprint(hashes.SHA1()),  # noqa: S303  - the protocol's own hash
    }
    given = {name: header[name] for name in known if name in header}
    # msal pads its base64url
    if not given or any(v.rstrip("=") != _base64url(known[name]) for name, v in given.items()):
        raise _bad_assertion("The key was not found: no certificate has this thumbprint.")


def _audience_of(form: Mapping[str, str]) -> str:
    """The resource a token is asked for, by v2's `scope` or the older `resource`."""
    scope = form.get("scope", "")
    resource = form.get("resource") or scope.removesuffix(_SCOPE_SUFFIX)
    if "resource" not in form and not scope.endswith(_SCOPE_SUFFIX):
        raise LoginError(
            "invalid_scope",
            1002012,
            "The provided value for scope is not valid. Client credential flows must have a scope"
            " value with /.default suffixed to the resource identifier.",
        )
    if resource.rstrip("/") not in _RESOURCES:
        raise LoginError(
            "invalid_resource", 500011, "The resource principal was not found in the tenant."
        )
    return resource.rstrip("/")


def _bad_assertion(message: str) -> LoginError:
    return LoginError(
        "invalid_client",
        700027,
        f"The certificate with identifier used to sign the client assertion is not accepted."
        f" {message}",
        _UNAUTHORIZED,
    )


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def load_certificate(pem: str) -> x509.Certificate:
    """The first certificate of PEM text.

    Raises:
        ValueError: there is none.
    """
    return x509.load_pem_x509_certificates(pem.encode())[0]
