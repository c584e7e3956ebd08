"""Tokens: what is told without asking anybody, and what an authority's refusals mean."""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.emulator.certificates import KeyPair, make_application_pair, make_server_tls
from entrasync.entra.clouds import Cloud
from entrasync.entra.contracts import SERVICE_APPLICATION, SERVICE_ROLE
from entrasync.entra.tokens import (
    CertificateCredential,
    MsalTokenSource,
    SecretCredential,
    _claims,
)
from entrasync.errors import ConfigurationError, EntrasyncError, TransientError
from tests.unit.entra.samples import MODERATE, TENANT

CLIENT = "7d444840-9dc0-11d1-b245-5ffdce74fad2"
NOW = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
LOGIN = "https://login.test"
CLOUD = Cloud(name="private", login_authority=LOGIN, sync_service_url="https://sync.test")
SECRET = SecretCredential(secret="s3cret-of-the-application")
OPENID = {
    "issuer": f"{LOGIN}/{TENANT}/v2.0",
    "authorization_endpoint": f"{LOGIN}/{TENANT}/oauth2/v2.0/authorize",
    "token_endpoint": f"{LOGIN}/{TENANT}/oauth2/v2.0/token",
}

Handler = Callable[[httpx.Request], httpx.Response]
Credential = CertificateCredential | SecretCredential
Start = Callable[..., MsalTokenSource]


@pytest.fixture(scope="module")
def pair() -> KeyPair:
    return make_application_pair(CLIENT, NOW)


@pytest.fixture(scope="module")
def other_pair() -> KeyPair:
    return make_application_pair(CLIENT, NOW)


@pytest.fixture
def asked() -> list[httpx.Request]:
    return []


@pytest.fixture
def start(asked: list[httpx.Request]) -> Iterator[Start]:
    sources: list[MsalTokenSource] = []

    def make(
        handler: Handler, credential: Credential = SECRET, now: dt.datetime = NOW
    ) -> MsalTokenSource:
        source = MsalTokenSource(
            CLOUD, TENANT, CLIENT, credential, resource="EntraTenant/contoso", clock=lambda: now
        )

        def noted(request: httpx.Request) -> httpx.Response:
            asked.append(request)
            return handler(request)

        # the adapter makes its own client; the network behind it is what a test must not have
        source._http.close()
        source._http._client = httpx.Client(transport=httpx.MockTransport(noted))
        sources.append(source)
        return source

    yield make
    for each in sources:
        each.close()


def authority(answer: httpx.Response, openid: httpx.Response | None = None) -> Handler:
    """An authority that describes itself well unless told otherwise."""

    def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/.well-known/openid-configuration"):
            return openid or httpx.Response(200, json=OPENID)
        return answer

    return handle


def nobody(request: httpx.Request) -> httpx.Response:
    pytest.fail(f"{request.url} was asked")


def jwt(**claims: Any) -> str:
    parts = (json.dumps(each).encode() for each in ({"alg": "none"}, claims))
    return ".".join(base64.urlsafe_b64encode(each).rstrip(b"=").decode() for each in parts) + ".s"


def granted(token: str) -> httpx.Response:
    return httpx.Response(
        200, json={"token_type": "Bearer", "expires_in": 3599, "access_token": token}
    )


def refusal(source: MsalTokenSource) -> EntrasyncError:
    with pytest.raises(EntrasyncError) as caught:
        source.token()
    return caught.value


def of(certificate: str, key: str) -> CertificateCredential:
    return CertificateCredential(certificate=certificate, private_key=key)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (NOW + dt.timedelta(days=366), "expired at 2027-11-24"),
        (NOW - dt.timedelta(hours=2), "not valid before 2026-11-24"),
    ],
)
def test_a_certificate_out_of_its_time_is_never_sent(
    start: Start, pair: KeyPair, now: dt.datetime, words: str
) -> None:
    error = refusal(start(nobody, of(pair.certificate, pair.key), now))

    assert isinstance(error, ConfigurationError)
    assert error.reason == "CredentialsRejected"
    assert error.field == "spec.application.certificateSecretRef"
    assert words in error.message


def test_a_key_of_another_certificate_is_never_used(
    start: Start, pair: KeyPair, other_pair: KeyPair
) -> None:
    error = refusal(start(nobody, of(pair.certificate, other_pair.key)))

    assert error.message == "`tls.key` is not the key of `tls.crt`"


def test_a_key_that_is_no_rsa_key_is_named(start: Start) -> None:
    elliptic = make_server_tls(["x.test"], NOW).server

    error = refusal(start(nobody, of(elliptic.certificate, elliptic.key)))

    assert (error.reason, "no RSA key" in error.message) == ("CredentialsRejected", True)


@pytest.mark.parametrize("broken", ["", "rubbish", "-----BEGIN CERTIFICATE-----\n", "Ü", "\ud800"])
def test_rubbish_is_no_credential(start: Start, pair: KeyPair, broken: str) -> None:
    for credential in (of(broken, pair.key), of(pair.certificate, broken)):
        error = refusal(start(nobody, credential))
        assert error.reason == "CredentialsRejected"
        assert "no PEM certificate or unencrypted PEM key" in error.message


def test_a_certificate_and_a_key_in_the_wrong_places_are_no_credential(
    start: Start, pair: KeyPair
) -> None:
    assert "PEM" in refusal(start(nobody, of(pair.key, pair.certificate))).message


def test_keys_and_secrets_are_not_printed(pair: KeyPair) -> None:
    assert "PRIVATE" not in repr(of(pair.certificate, pair.key))
    assert SECRET.secret not in repr(SECRET)


def test_a_token_is_asked_for_once_and_kept(start: Start, asked: list[httpx.Request]) -> None:
    token = jwt(roles=[SERVICE_ROLE])
    source = start(authority(granted(token)))

    assert (source.token(), source.token()) == (token, token)

    assert [each.method for each in asked] == ["GET", "POST"]
    form = parse_qs(asked[1].content.decode())
    assert form["grant_type"] == ["client_credentials"]
    assert form["scope"] == [f"{SERVICE_APPLICATION}/.default"]


def test_a_certificate_proves_the_application_by_an_assertion(
    start: Start, asked: list[httpx.Request], pair: KeyPair
) -> None:
    start(authority(granted(jwt(roles=[SERVICE_ROLE]))), of(pair.certificate, pair.key)).token()

    form = parse_qs(asked[1].content.decode())
    (assertion,) = form["client_assertion"]
    # as bytes it would have been sent as `b'...'`
    claims = _claims(assertion)
    assert (claims["iss"], claims["aud"]) == (CLIENT, OPENID["token_endpoint"])


@pytest.mark.parametrize(
    "token",
    [
        jwt(roles=[SERVICE_ROLE]),
        jwt(roles=["Other.Role", SERVICE_ROLE]),
        # an opaque token has no claims to read: the service tells
        "opaque",
        "a.b.c",
        "a.W10.c",
    ],
)
def test_a_token_that_may_hold_the_role_is_used(start: Start, token: str) -> None:
    assert start(authority(granted(token))).token() == token


@pytest.mark.parametrize("claims", [{}, {"roles": []}, {"roles": ["Other.Role"]}])
def test_a_token_without_the_role_is_useless(start: Start, claims: dict[str, Any]) -> None:
    token = jwt(tid=TENANT, **claims)
    error = refusal(start(authority(granted(token))))

    assert isinstance(error, ConfigurationError)
    assert (error.reason, error.field) == ("RoleMissing", "spec.application.clientId")
    assert SERVICE_ROLE in error.message
    assert token not in str(error)


@MODERATE
@given(
    st.one_of(st.text(), st.binary().map(lambda b: f"a.{base64.urlsafe_b64encode(b).decode()}.c"))
)
def test_claims_of_anything_are_a_mapping(token: str) -> None:
    assert isinstance(_claims(token), dict)


def answer(status: int, code: int = 0, error: str = "invalid_client") -> httpx.Response:
    document = {
        "error": error,
        "error_description": f"AADSTS{code}: words. Trace ID: t",
        "error_codes": [code],
    }
    return httpx.Response(status, json=document)


@pytest.mark.parametrize("code", [90002, 900021, 900023])
def test_an_unknown_tenant_is_told_where_the_authority_describes_itself(
    start: Start, code: int
) -> None:
    # msal keeps what the authority said to itself
    for status in (400, 404):
        refused = answer(status, code, "invalid_tenant")
        error = refusal(start(authority(granted("x"), refused)))
        assert isinstance(error, ConfigurationError)
        assert (error.reason, error.field) == ("TenantNotFound", "spec.tenantId")


@pytest.mark.parametrize("code", [90002, 900021])
def test_an_unknown_tenant_is_told_where_tokens_are_given(start: Start, code: int) -> None:
    assert refusal(start(authority(answer(400, code)))).reason == "TenantNotFound"


@pytest.mark.parametrize(
    "openid",
    [
        httpx.Response(404, text="<html>"),
        httpx.Response(400, json={"error": "other"}),
        httpx.Response(200, text="<html>"),
        httpx.Response(200, json={}),
        httpx.Response(200, json=[]),
        httpx.Response(200, json={"authorization_endpoint": 1, "token_endpoint": None}),
    ],
)
def test_an_authority_that_does_not_describe_itself_is_for_a_person_to_settle(
    start: Start, openid: httpx.Response
) -> None:
    error = refusal(start(authority(granted("x"), openid)))

    assert isinstance(error, ConfigurationError)
    assert (error.reason, error.field) == ("CredentialsRejected", "spec.tenantId")
    assert LOGIN in error.message


def test_a_tenant_is_looked_for_again_by_the_next_call(start: Start) -> None:
    answers = [answer(400, 90002, "invalid_tenant"), httpx.Response(200, json=OPENID)]
    token = jwt(roles=[SERVICE_ROLE])

    def handle(request: httpx.Request) -> httpx.Response:
        return answers.pop(0) if "openid" in request.url.path else granted(token)

    source = start(handle)

    assert refusal(source).reason == "TenantNotFound"
    assert source.token() == token


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (authority(granted("x"), httpx.Response(503)), "Throttled"),
        (authority(granted("x"), httpx.Response(429, text="slow")), "Throttled"),
        (authority(httpx.Response(500, text="<html>")), "Throttled"),
        (authority(answer(400, 90033, "temporarily_unavailable")), "Throttled"),
        (authority(httpx.Response(200, text="<html>")), "ServerUnreachable"),
        (authority(httpx.Response(200, json=[])), "ServerUnreachable"),
    ],
)
def test_what_passes_by_itself_is_no_fault_of_the_configuration(
    start: Start, handler: Handler, reason: str
) -> None:
    error = refusal(start(handler))

    assert (type(error), error.reason) == (TransientError, reason)


def test_an_authority_out_of_reach_is_named(start: Start) -> None:
    def unreachable(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    error = refusal(start(unreachable))

    assert (type(error), error.reason) == (TransientError, "ServerUnreachable")
    assert (error.field, "login.test" in error.message) == ("spec.loginAuthority", True)


@pytest.mark.parametrize("code", [7000215, 700016, 700027])
def test_a_refused_secret_is_told_by_its_code(start: Start, code: int) -> None:
    error = refusal(start(authority(answer(401, code))))

    assert isinstance(error, ConfigurationError)
    assert error.reason == "CredentialsRejected"
    assert error.field == "spec.application.clientSecretSecretRef"
    assert f"AADSTS{code}" in error.message
    assert SECRET.secret not in str(error)


def test_a_refused_certificate_is_told_by_its_thumbprint(start: Start, pair: KeyPair) -> None:
    error = refusal(start(authority(answer(401, 700027)), of(pair.certificate, pair.key)))

    assert error.field == "spec.application.certificateSecretRef"
    assert "of the certificate " in error.message
    assert "PRIVATE" not in str(error)


def test_a_refusal_without_words_is_one(start: Start) -> None:
    assert refusal(start(authority(httpx.Response(200, json={})))).reason == "CredentialsRejected"
