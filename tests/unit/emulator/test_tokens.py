from __future__ import annotations

import base64
import datetime as dt
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from entrasync.emulator.assertions import ASSERTION_TYPE
from entrasync.emulator.certificates import KeyPair, make_application_pair
from entrasync.emulator.logins import LoginError, RegisteredApplication, load_certificate
from entrasync.emulator.tokens import AccessToken, Authority, InvalidTokenError
from entrasync.entra.contracts import SERVICE_APPLICATION, SERVICE_ROLE

TENANT = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
CLIENT = "7d444840-9dc0-11d1-b245-5ffdce74fad2"
BASE = "https://login.test"
ENDPOINT = f"{BASE}/{TENANT}/oauth2/v2.0/token"
SCOPE = f"{SERVICE_APPLICATION}/.default"
NOW = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)


class Clock:
    now = NOW

    def __call__(self) -> dt.datetime:
        return self.now


@pytest.fixture(scope="module")
def pair() -> KeyPair:
    return make_application_pair(CLIENT, NOW)


@pytest.fixture(scope="module")
def other_pair() -> KeyPair:
    return make_application_pair(CLIENT, NOW)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def authority(pair: KeyPair, clock: Clock) -> Authority:
    application = RegisteredApplication(
        client_id=CLIENT,
        client_secret="right",
        certificate=load_certificate(pair.certificate),
        roles=(SERVICE_ROLE,),
    )
    return Authority({TENANT: {CLIENT: application}}, clock=clock, new_id=lambda: "id")


def form(**changes: str) -> dict[str, str]:
    members = {"grant_type": "client_credentials", "client_id": CLIENT, "scope": SCOPE}
    return members | {"client_secret": "right"} | changes


def assertion(
    pair: KeyPair, *, algorithm: str = "PS256", thumbprint: str = "", **changes: Any
) -> dict[str, str]:
    certificate = load_certificate(pair.certificate)
    digest = certificate.fingerprint(hashes.SHA256())
    known = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    seconds = int(NOW.timestamp())
    claims = {
        "aud": ENDPOINT,
        "iss": CLIENT,
        "sub": CLIENT,
        "nbf": seconds,
        "exp": seconds + 600,
        "jti": "1",
    } | changes
    key = serialization.load_pem_private_key(pair.key.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    token = jwt.encode(claims, key, algorithm=algorithm, headers={"x5t#S256": thumbprint or known})
    members = {"grant_type": "client_credentials", "client_id": CLIENT, "scope": SCOPE}
    return members | {"client_assertion_type": ASSERTION_TYPE, "client_assertion": token}


def refusal(authority: Authority, given: dict[str, str], tenant: str = TENANT) -> LoginError:
    with pytest.raises(LoginError) as caught:
        authority.issue(BASE, tenant, given)
    return caught.value


def test_a_token_names_tenant_application_and_role(authority: Authority) -> None:
    token = authority.check(authority.issue(BASE, TENANT, form())["access_token"])

    assert token == AccessToken(
        tenant_id=TENANT,
        client_id=CLIENT,
        audience=SERVICE_APPLICATION,
        roles=(SERVICE_ROLE,),
        issued=NOW.timestamp(),
    )
    token.require_audience({SERVICE_APPLICATION})
    with pytest.raises(InvalidTokenError):
        token.require_audience({"other"})


@pytest.mark.parametrize("algorithm", ["PS256", "RS256"])
def test_a_certificate_proves_the_application(
    authority: Authority, pair: KeyPair, algorithm: str
) -> None:
    assert authority.issue(BASE, TENANT, assertion(pair, algorithm=algorithm))["access_token"]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (form(client_secret="wrong"), 7000215),
        (form(client_secret=""), 7000218),
        (form(client_id="11111111-2222-3333-4444-555555555555"), 700016),
        (form(scope=SERVICE_APPLICATION), 1002012),
        (form(scope="https://vault.azure.net/.default"), 500011),
        (form(grant_type="password"), 70003),
    ],
)
def test_a_refusal_carries_microsofts_code(
    authority: Authority, given: dict[str, str], code: int
) -> None:
    error = refusal(authority, given)

    assert error.code == code
    document = error.document(trace_id="t", now=NOW)
    assert document["error_codes"] == [code]
    assert document["error_description"].startswith(f"AADSTS{code}: ")


def test_another_tenant_is_not_found(authority: Authority) -> None:
    assert refusal(authority, form(), "no-tenant").code == 90002
    with pytest.raises(LoginError):
        authority.openid_configuration(BASE, "no-tenant")


@pytest.mark.parametrize(
    "changes",
    [{"aud": "https://login.test/other"}, {"iss": "other"}, {"sub": "other"}, {"thumbprint": "x"}],
)
def test_an_assertion_that_says_something_else_is_refused(
    authority: Authority, pair: KeyPair, changes: dict[str, Any]
) -> None:
    assert refusal(authority, assertion(pair, **changes)).code == 700027


def test_an_assertion_of_another_key_is_refused(
    authority: Authority, pair: KeyPair, other_pair: KeyPair
) -> None:
    certificate = load_certificate(pair.certificate)
    digest = certificate.fingerprint(hashes.SHA256())
    thumbprint = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    assert refusal(authority, assertion(other_pair)).code == 700027
    assert refusal(authority, assertion(other_pair, thumbprint=thumbprint)).code == 700027
    assert refusal(authority, assertion(pair) | {"client_assertion": "x.y.z"}).code == 700027


def test_an_old_assertion_and_an_old_certificate_are_refused(
    authority: Authority, pair: KeyPair, clock: Clock
) -> None:
    old = assertion(pair)
    clock.now = NOW + dt.timedelta(minutes=11)
    assert refusal(authority, old).code == 700024

    clock.now = NOW + dt.timedelta(days=400)
    seconds = int(clock.now.timestamp())
    fresh = assertion(pair, nbf=seconds, exp=seconds + 600)
    assert refusal(authority, fresh).code == 700027


def test_a_token_ends_and_is_from_one_issuer(authority: Authority, clock: Clock) -> None:
    token = authority.issue(BASE, TENANT, form())["access_token"]
    other = Authority({}, clock=clock, new_id=lambda: "id")

    for given, checker in (
        (token, other),
        (token[:-8] + "AAAAAAAA", authority),
        ("", authority),
    ):
        with pytest.raises(InvalidTokenError):
            checker.check(given)
    clock.now = NOW + dt.timedelta(minutes=61)
    with pytest.raises(InvalidTokenError):
        authority.check(token)


def test_the_published_key_checks_a_token(authority: Authority) -> None:
    (published,) = authority.keys(TENANT)["keys"]
    token = authority.issue(BASE, TENANT, form())["access_token"]
    key = jwt.PyJWK(published).key

    claims = jwt.decode(
        token,
        key,
        algorithms=["RS256"],
        audience=SERVICE_APPLICATION,
        options={"verify_exp": False, "verify_nbf": False, "verify_iat": False},
    )
    assert claims["tid"] == TENANT
