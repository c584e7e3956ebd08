"""How an application proves itself: secret, certificate, or a token of somebody it trusts."""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.types import Options

from entrasync.emulator.http import BAD_REQUEST
from entrasync.emulator.logins import (
    LoginError,
    RegisteredApplication,
    TrustedIssuer,
    refused_client,
)

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_ENDPOINTS: Final = ("oauth2/v2.0/token", "oauth2/token", "v2.0", "v2.0/")
_CLOCK_SKEW: Final = 300
_FEDERATED_ALGORITHMS: Final = ["RS256", "RS384", "RS512", "PS256", "ES256", "ES384"]
_NO_MATCH: Final = "No matching federated identity record found for presented assertion"
_MORE: Final = (
    "Check your federated identity credential Subject, Audience and Issuer against the presented"
    " assertion."
)


def check_secret(application: RegisteredApplication, secret: str | None) -> None:
    """Checks a client secret.

    Raises:
        LoginError: it is missing or another.
    """
    if not secret:
        raise refused_client(
            7000218,
            "The request body must contain the following parameter: 'client_assertion' or"
            " 'client_secret'.",
        )
    known = application.client_secret
    if known is None or not hmac.compare_digest(known.encode(), secret.encode()):
        raise refused_client(
            7000215,
            "Invalid client secret provided. Ensure the secret being sent in the request is the"
            " client secret value, not the client secret ID, for a secret added to app"
            f" '{application.client_id}'.",
        )


def check_assertion(
    application: RegisteredApplication, root: str, assertion: str, now: dt.datetime
) -> None:
    """Checks a client assertion: by the application's own certificate, or of a trusted issuer.

    Args:
        application: who it is to prove.
        root: base address of the tenant at the login authority.
        assertion: the JWT.
        now: the time.

    Raises:
        LoginError: it proves nothing.
    """
    try:
        claims = jwt.decode(assertion, options=unchecked([]) | {"verify_signature": False})
    except jwt.PyJWTError as error:
        raise _bad_certificate(f"{error}.") from None
    if claims.get("iss") == application.client_id or not application.federated:
        if application.certificate is None and claims.get("iss") != application.client_id:
            raise _no_federation(claims)
        _check_own(application, root, assertion, now)
    else:
        _check_federated(application.federated, claims, assertion, now)


def unchecked(required: Sequence[str]) -> Options:
    """The signature is checked by the library; times and names here, by our clock."""
    return {
        "verify_aud": False,
        "verify_exp": False,
        "verify_nbf": False,
        "verify_iat": False,
        "require": list(required),
    }


def _check_own(
    application: RegisteredApplication, root: str, assertion: str, now: dt.datetime
) -> None:
    certificate = application.certificate
    if certificate is None:
        raise _bad_certificate("The key was not found: no certificate is registered.")
    try:
        _check_thumbprint(certificate, jwt.get_unverified_header(assertion))
        public_key = certificate.public_key()
        if not isinstance(public_key, rsa.RSAPublicKey):
            raise _bad_certificate("The registered certificate has no RSA key.")
        claims = jwt.decode(
            assertion,
            public_key,
            algorithms=["PS256", "RS256"],
            options=unchecked(["exp", "aud", "iss", "sub"]),
        )
    except jwt.PyJWTError as error:
        raise _bad_certificate(f"{error}.") from None
    _check_times(claims, now)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise _bad_certificate("The certificate used to sign the client assertion is expired.")
    if claims["aud"] not in {f"{root}/{endpoint}" for endpoint in _ENDPOINTS}:
        raise _bad_certificate("The audience is not the token endpoint.")
    if not claims["iss"] == claims["sub"] == application.client_id:
        raise _bad_certificate("Issuer and subject must be the client id.")


def _check_federated(
    trusted: Sequence[TrustedIssuer], claims: Mapping[str, Any], assertion: str, now: dt.datetime
) -> None:
    """Issuer, subject and audience must be those of one credential; letter case counts."""
    found = [each for each in trusted if each.issuer == claims.get("iss")]
    if not found:
        raise _mismatch(700211, "issuer", claims.get("iss"))
    found = [each for each in found if each.subject == claims.get("sub")]
    if not found:
        raise _mismatch(700213, "subject", claims.get("sub"))
    given = claims.get("aud")
    audiences = given if isinstance(given, list) else [given]
    found = [each for each in found if each.audience in audiences]
    if not found:
        raise _mismatch(700212, "audience", given)
    if not any(_is_signed_by(each, assertion) for each in found):
        raise refused_client(50013, "Assertion failed signature validation.")
    _check_times(claims, now)


def _is_signed_by(trusted: TrustedIssuer, assertion: str) -> bool:
    try:
        key_id = jwt.get_unverified_header(assertion).get("kid")
        keys = jwt.PyJWKSet.from_dict(dict(_keys_of(trusted))).keys
    except (jwt.PyJWTError, OSError, ValueError, TypeError, AttributeError):
        return False
    for key in keys:
        if key_id is not None and key.key_id not in {None, key_id}:
            continue
        try:
            jwt.decode(
                assertion,
                key.key,
                algorithms=_FEDERATED_ALGORITHMS,
                options=unchecked(["exp", "iss", "sub", "aud"]),
            )
        except (jwt.PyJWTError, TypeError, ValueError):
            continue
        return True
    return False


def _keys_of(trusted: TrustedIssuer) -> Mapping[str, Any]:
    if trusted.jwks_file is None:
        return trusted.jwks or {}
    found: Mapping[str, Any] = json.loads(trusted.jwks_file.read_text(encoding="utf-8"))
    return found


def _check_times(claims: Mapping[str, Any], now: dt.datetime) -> None:
    moment = now.timestamp()
    expires, begins = claims.get("exp", 0), claims.get("nbf", 0)
    numbers = isinstance(expires, int | float) and isinstance(begins, int | float)
    if not numbers or expires <= moment or begins > moment + _CLOCK_SKEW:
        raise refused_client(700024, "Client assertion is not within its valid time range.")


def _check_thumbprint(certificate: x509.Certificate, header: Mapping[str, Any]) -> None:
    known = {
        "x5t#S256": certificate.fingerprint(hashes.SHA256()),
        "x5t": certificate.fingerprint(hashes.SHA1()),  # noqa: S303  - the protocol's own hash
    }
    given = {name: str(header[name]) for name in known if name in header}
    # msal pads its base64url
    if not given or any(v.rstrip("=") != _base64url(known[name]) for name, v in given.items()):
        raise _bad_certificate("The key was not found: no certificate has this thumbprint.")


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bad_certificate(message: str) -> LoginError:
    return refused_client(
        700027,
        "The certificate with identifier used to sign the client assertion is not accepted."
        f" {message}",
    )


def _mismatch(code: int, what: str, given: object) -> LoginError:
    return refused_client(code, f"{_NO_MATCH} {what} '{given}'. {_MORE}")


def _no_federation(claims: Mapping[str, Any]) -> LoginError:
    """The application trusts nobody at all; code, status and sentence as seen in 2022."""
    return LoginError(
        "invalid_request",
        70021,
        f"{_NO_MATCH}. Assertion Issuer: '{claims.get('iss')}'. Assertion Subject:"
        f" '{claims.get('sub')}'. Assertion Audience: '{claims.get('aud')}'.",
        BAD_REQUEST,
    )
