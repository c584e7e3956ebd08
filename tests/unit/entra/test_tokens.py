"""Tokens: what is told without asking anybody, and what an authority's refusals mean."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from entrasync.emulator.certificates import KeyPair, make_application_pair, make_server_tls
from entrasync.entra.clouds import Cloud
from entrasync.entra.contracts import SERVICE_APPLICATION, SERVICE_ROLE
from entrasync.entra.login_refusals import LOGIN_REFUSALS, NOT_FEDERATED
from entrasync.entra.retrying import BusyError
from entrasync.entra.tokens import (
    CertificateCredential,
    Credential,
    FederatedCredential,
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
        handler: Handler,
        credential: Credential | Callable[[], Credential] = SECRET,
        now: dt.datetime = NOW,
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


def granted(token: str, seconds: int = 3599) -> httpx.Response:
    return httpx.Response(
        200, json={"token_type": "Bearer", "expires_in": seconds, "access_token": token}
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


def part(token: str, number: int) -> dict[str, Any]:
    text = token.split(".")[number]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def test_a_certificate_proves_the_application_by_an_assertion(
    start: Start, asked: list[httpx.Request], pair: KeyPair
) -> None:
    start(authority(granted(jwt(roles=[SERVICE_ROLE]))), of(pair.certificate, pair.key)).token()

    form = parse_qs(asked[1].content.decode())
    assert form["client_assertion_type"] == [
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    ]
    assert "client_secret" not in form
    # as bytes it would have been sent as `b'...'`
    (assertion,) = form["client_assertion"]
    certificate = x509.load_pem_x509_certificate(pair.certificate.encode())
    octets = certificate.public_bytes(serialization.Encoding.DER)
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(octets).digest()).decode()

    header, claims = part(assertion, 0), part(assertion, 1)
    assert (header["alg"], header["typ"]) == ("PS256", "JWT")
    # msal keeps the filling of base64 that the standard leaves away
    assert header["x5t#S256"].rstrip("=") == thumbprint.rstrip("=")
    assert "x5t" not in header
    assert [base64.b64decode(each) for each in header["x5c"]] == [octets]
    assert (claims["iss"], claims["sub"]) == (CLIENT, CLIENT)
    assert claims["aud"] == OPENID["token_endpoint"]
    assert 0 < claims["exp"] - claims["iat"] <= 600
    assert claims["jti"]


def test_an_assertion_is_signed_by_the_key(
    start: Start, asked: list[httpx.Request], pair: KeyPair
) -> None:
    start(authority(granted(jwt(roles=[SERVICE_ROLE]))), of(pair.certificate, pair.key)).token()
    (assertion,) = parse_qs(asked[1].content.decode())["client_assertion"]
    signed, _, signature = assertion.rpartition(".")
    key = x509.load_pem_x509_certificate(pair.certificate.encode()).public_key()
    assert isinstance(key, rsa.RSAPublicKey)

    # raises where the signature does not hold
    key.verify(
        base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4)),
        signed.encode(),
        padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH),
        hashes.SHA256(),
    )


@pytest.mark.parametrize(("seconds", "posts"), [(3599, 1), (290, 3), (0, 3)])
def test_a_token_is_renewed_before_it_expires(
    start: Start, asked: list[httpx.Request], seconds: int, posts: int
) -> None:
    token = jwt(roles=[SERVICE_ROLE])
    source = start(authority(granted(token, seconds)))

    assert [source.token() for _ in range(3)] == [token] * 3

    assert [each.method for each in asked].count("POST") == posts


def test_a_token_that_is_no_longer_good_is_asked_for_anew(start: Start) -> None:
    tokens = [jwt(roles=[SERVICE_ROLE], n=number) for number in (1, 2)]
    answers = list(tokens)

    def handle(request: httpx.Request) -> httpx.Response:
        if "openid" in request.url.path:
            return httpx.Response(200, json=OPENID)
        return granted(answers.pop(0))

    source = start(handle)
    source.renew()  # of nothing
    assert source.token() == source.token() == tokens[0]

    source.renew()

    assert source.token() == source.token() == tokens[1]


@pytest.mark.parametrize(
    ("seconds", "secrets"), [(3599, ["old", "new"]), (290, ["old", "new"] * 2)]
)
def test_a_rotated_secret_is_used_by_the_next_token_and_not_sooner(
    start: Start, asked: list[httpx.Request], seconds: int, secrets: list[str]
) -> None:
    token = jwt(roles=[SERVICE_ROLE])
    now = SecretCredential(secret="old")
    source = start(authority(granted(token, seconds)), lambda: now)
    source.token()

    now = SecretCredential(secret="new")
    source.token()
    if seconds == 290:  # it is asked for each time
        now = SecretCredential(secret="old")
        source.token()
        now = SecretCredential(secret="new")
    else:
        source.renew()
    source.token()

    sent = [parse_qs(each.content.decode()) for each in asked if each.method == "POST"]
    assert [form["client_secret"] for form in sent] == [[each] for each in secrets]


def test_a_secret_that_is_gone_by_then_is_named(start: Start) -> None:
    found: list[Credential] = [SECRET, SECRET]

    def read() -> Credential:
        if found:
            return found.pop()
        raise ConfigurationError("SecretNotFound", "Secret contoso-entra-app was not found")

    source = start(authority(granted(jwt(roles=[SERVICE_ROLE]), 290)), read)
    source.token()

    with pytest.raises(ConfigurationError) as caught:
        source.token()
    assert caught.value.reason == "SecretNotFound"


# --- workload identity -------------------------------------------------------------------------

SUBJECT = "system:serviceaccount:identity:contoso-sync"
ISSUER = "https://oidc.cluster.test"


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    found = tmp_path / "token"
    found.write_text(jwt(iss=ISSUER, sub=SUBJECT, aud=["api://AzureADTokenExchange"]) + "\n")
    return found


def test_a_service_accounts_token_proves_the_application(
    start: Start, asked: list[httpx.Request], token_file: Path
) -> None:
    credential = FederatedCredential(token_file=token_file)
    start(authority(granted(jwt(roles=[SERVICE_ROLE]))), credential).token()

    form = parse_qs(asked[1].content.decode())
    assert form["client_assertion"] == [token_file.read_text().strip()]
    assert form["client_assertion_type"] == [
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    ]
    assert form["client_id"] == [CLIENT]


def test_a_service_accounts_token_is_read_again_each_time(
    start: Start, asked: list[httpx.Request], token_file: Path
) -> None:
    # the kubelet replaces the file before what it holds expires
    token = granted(jwt(roles=[SERVICE_ROLE]), 60)
    source = start(authority(token), FederatedCredential(token_file=token_file))
    source.token()
    token_file.write_text("second")
    source.token()

    forms = [parse_qs(each.content.decode()) for each in asked if each.method == "POST"]
    assert [each["client_assertion"][0] for each in forms][1:] == ["second"]


@pytest.mark.parametrize("content", [None, b"", b" \n", b"\xff\xfe"])
def test_a_service_account_without_a_token_is_told(
    start: Start, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "token"
    if content is not None:
        file.write_bytes(content)
    error = refusal(start(authority(granted("x")), FederatedCredential(token_file=file)))

    assert isinstance(error, ConfigurationError)
    assert (error.reason, error.field) == (
        "CredentialsRejected",
        "spec.application.workloadIdentity",
    )
    assert str(file) in error.message


@pytest.mark.parametrize("code", sorted(NOT_FEDERATED))
def test_a_service_account_that_is_not_trusted_is_told_what_to_enter(
    start: Start, token_file: Path, code: int
) -> None:
    error = refusal(start(authority(answer(401, code)), FederatedCredential(token_file=token_file)))

    assert isinstance(error, ConfigurationError)
    assert (error.reason, error.field) == (
        "CredentialsRejected",
        "spec.application.workloadIdentity",
    )
    for told in (f"AADSTS{code}", ISSUER, SUBJECT, "api://AzureADTokenExchange", CLIENT):
        assert told in error.message
    assert token_file.read_text().strip() not in str(error)


def test_a_service_account_is_not_told_of_certificates(start: Start, token_file: Path) -> None:
    error = refusal(
        start(authority(answer(401, 700027)), FederatedCredential(token_file=token_file))
    )

    assert "certificate" not in error.message
    assert "federated credentials of the application" in error.message


@pytest.mark.parametrize("text", ["opaque", "a.b.c", "a.W10.c"])
def test_a_token_that_tells_nothing_is_no_reason_to_fall(
    start: Start, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "token"
    file.write_text(text)
    error = refusal(start(authority(answer(401, 70021)), FederatedCredential(token_file=file)))

    assert "issuer `unknown`" in error.message


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
        (authority(answer(429, 90055)), "Throttled"),
        (authority(httpx.Response(429, text="slow")), "Throttled"),
        (authority(httpx.Response(200, text="<html>")), "ServerUnreachable"),
        (authority(httpx.Response(200, json=[])), "ServerUnreachable"),
    ],
)
def test_what_passes_by_itself_is_no_fault_of_the_configuration(
    start: Start, handler: Handler, reason: str
) -> None:
    error = refusal(start(handler))

    assert isinstance(error, TransientError)
    assert error.reason == reason
    # what is busy is waited for longer than what fails
    assert isinstance(error, BusyError) is (reason == "Throttled")


@pytest.mark.parametrize("status", [429, 503])
def test_an_authority_says_how_long_to_wait(start: Start, status: int) -> None:
    later = httpx.Response(status, headers={"retry-after": "17"}, text="slow")

    for handler in (authority(later), authority(granted("x"), later)):
        error = refusal(start(handler))
        assert isinstance(error, BusyError)
        assert error.retry_after == 17


def test_an_authority_out_of_reach_is_named(start: Start) -> None:
    def unreachable(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    error = refusal(start(unreachable))

    assert (type(error), error.reason) == (TransientError, "ServerUnreachable")
    assert (error.field, "login.test" in error.message) == ("spec.loginAuthority", True)


@pytest.mark.parametrize("code", [*sorted(LOGIN_REFUSALS), 7000218, 50034])
def test_a_refused_secret_is_told_by_its_code(start: Start, code: int) -> None:
    error = refusal(start(authority(answer(401, code))))

    assert isinstance(error, ConfigurationError)
    known = LOGIN_REFUSALS.get(code)
    assert error.reason == (known.reason if known else "CredentialsRejected")
    origin = "spec.application.clientSecretSecretRef"
    assert error.field == ((known and known.field) or origin)
    assert f"AADSTS{code}" in error.message
    assert CLIENT in error.message
    assert SECRET.secret not in str(error)
    assert "words" not in error.message


@pytest.mark.parametrize("code", sorted(LOGIN_REFUSALS))
def test_every_code_has_a_cause_and_a_remedy(code: int) -> None:
    known = LOGIN_REFUSALS[code]

    assert known.cause
    assert known.remedy
    assert not (known.cause + known.remedy).endswith(".")


@pytest.mark.parametrize("codes", [None, "700016", [None, "x", "\u00b2", -1], {}])
def test_codes_that_are_none_are_passed_over(start: Start, codes: object) -> None:
    refused = httpx.Response(401, json={"error": "invalid_client", "error_codes": codes})

    assert "(invalid_client)" in refusal(start(authority(refused))).message


def test_a_refused_certificate_is_told_by_its_thumbprint(start: Start, pair: KeyPair) -> None:
    error = refusal(start(authority(answer(401, 700027)), of(pair.certificate, pair.key)))

    assert error.field == "spec.application.certificateSecretRef"
    assert "of the certificate " in error.message
    assert "PRIVATE" not in str(error)


def test_a_refusal_without_words_is_one(start: Start) -> None:
    assert refusal(start(authority(httpx.Response(200, json={})))).reason == "CredentialsRejected"
