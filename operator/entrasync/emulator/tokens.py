"""The login authority: OpenID configuration, client credentials, and tokens that can be checked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from entrasync.emulator.assertions import (
    ASSERTION_TYPE,
    check_assertion,
    check_secret,
    unchecked,
)
from entrasync.emulator.logins import LoginError, RegisteredApplication, unknown_tenant
from entrasync.entra.contracts import SERVICE_APPLICATION

LEGACY_RESOURCE: Final = "https://graph.windows.net"
GRAPH_RESOURCES: Final = frozenset(
    {
        "https://graph.microsoft.com",
        "https://graph.microsoft.us",
        "https://dod-graph.microsoft.us",
        "https://microsoftgraph.chinacloudapi.cn",
        "00000003-0000-0000-c000-000000000000",
    }
)
"""Names of Microsoft Graph; documented. The address of the emulator itself is one besides."""
TOKEN_LIFETIME: Final = dt.timedelta(minutes=60)
_SYNC_RESOURCES: Final = frozenset(
    {SERVICE_APPLICATION, f"api://{SERVICE_APPLICATION}", LEGACY_RESOURCE}
)
_SCOPE_SUFFIX: Final = "/.default"
_ISSUED: Final = "emulator_issued"
"""Claim of our own: `iat` has whole seconds, and tokens are to expire at a moment."""


class InvalidTokenError(Exception):
    """The service does not take this access token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """A token of ours that is not expired."""

    tenant_id: str
    client_id: str
    audience: str
    """Without `api://` and without a slash at its end."""
    roles: tuple[str, ...] = ()
    issued: float = 0.0
    """When it was issued, in seconds."""

    def require_audience(self, audiences: Collection[str]) -> None:
        """Checks whom the token is for.

        Raises:
            InvalidTokenError: it is for somebody else.
        """
        if self.audience not in audiences:
            raise InvalidTokenError("the token is for another audience")


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
        audience = _audience_of(form, base_url)
        if form.get("client_assertion_type") == ASSERTION_TYPE:
            assertion = form.get("client_assertion", "")
            check_assertion(application, f"{base_url}/{tenant_id}", assertion, self._clock())
        else:
            check_secret(application, form.get("client_secret"))
        return {
            "token_type": "Bearer",
            "expires_in": int(TOKEN_LIFETIME.total_seconds()),
            "ext_expires_in": int(TOKEN_LIFETIME.total_seconds()),
            "access_token": self._token(base_url, tenant_id, application, audience),
        }

    def check(self, token: str) -> AccessToken:
        """An access token that was issued here and is not expired.

        Raises:
            InvalidTokenError: it is none.
        """
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key.public_key(),
                algorithms=["RS256"],
                options=unchecked(["exp", "aud", "tid"]),
            )
        except jwt.PyJWTError as error:
            raise InvalidTokenError(str(error)) from None
        if self._clock().timestamp() >= claims["exp"]:
            raise InvalidTokenError("the token is expired")
        return AccessToken(
            tenant_id=claims["tid"],
            client_id=claims["appid"],
            audience=str(claims["aud"]).removeprefix("api://").rstrip("/"),
            roles=tuple(claims.get("roles", ())),
            issued=claims[_ISSUED],
        )

    def _applications(self, tenant_id: str) -> Mapping[str, RegisteredApplication]:
        found = self._tenants.get(tenant_id.lower())
        if found is None:
            raise unknown_tenant(tenant_id)
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
            _ISSUED: now.timestamp(),
        }
        for_sync = audience in _SYNC_RESOURCES
        roles = application.roles if for_sync else application.graph_roles
        if roles:
            claims["roles"] = list(roles)
        return jwt.encode(claims, self._key, algorithm="RS256", headers={"kid": self._key_id})


def _audience_of(form: Mapping[str, str], base_url: str) -> str:
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
    resource = resource.rstrip("/")
    if resource not in _SYNC_RESOURCES | GRAPH_RESOURCES | {base_url}:
        raise LoginError(
            "invalid_resource", 500011, "The resource principal was not found in the tenant."
        )
    return resource
