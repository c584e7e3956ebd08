"""Workload identity: tokens of others that prove an application."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import ValidationError

from entrasync.emulator.assertions import ASSERTION_TYPE
from entrasync.emulator.config import Application, Tenant
from entrasync.emulator.logins import LoginError, registered_applications
from entrasync.emulator.tokens import Authority
from entrasync.entra.contracts import SERVICE_APPLICATION

TENANT = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
CLIENT = "7d444840-9dc0-11d1-b245-5ffdce74fad2"
ISSUER = "https://oidc.cluster.test"
SUBJECT = "system:serviceaccount:identity:contoso-sync"
AUDIENCE = "api://AzureADTokenExchange"
NOW = dt.datetime(2026, 11, 24, 12, 0, tzinfo=dt.UTC)
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVE_KEY = ec.generate_private_key(ec.SECP256R1())


def jwks() -> dict[str, Any]:
    public = jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    curve = jwt.algorithms.ECAlgorithm.to_jwk(CURVE_KEY.public_key(), as_dict=True)
    return {"keys": [public | {"kid": "rsa", "use": "sig"}, curve | {"kid": "ec", "use": "sig"}]}


def credential(**changes: Any) -> dict[str, Any]:
    return {"issuer": ISSUER, "subject": SUBJECT, "jwks": jwks()} | changes


def assertion(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = KEY,
    algorithm: str = "RS256",
    key_id: str | None = "rsa",
    **changes: Any,
) -> str:
    seconds = int(NOW.timestamp())
    claims = {
        "iss": ISSUER,
        "sub": SUBJECT,
        "aud": [AUDIENCE],
        "nbf": seconds,
        "exp": seconds + 3600,
    }
    headers = {} if key_id is None else {"kid": key_id}
    return jwt.encode(claims | changes, key, algorithm=algorithm, headers=headers)


def issue(token: str, credentials: list[dict[str, Any]]) -> str:
    application = {"clientId": CLIENT, "federatedCredentials": credentials}
    tenant = Tenant.model_validate({"tenantId": TENANT, "applications": [application]})
    authority = Authority(
        {TENANT: registered_applications(tenant)}, clock=lambda: NOW, new_id=lambda: "id"
    )
    form = {
        "grant_type": "client_credentials",
        "client_id": CLIENT,
        "scope": f"{SERVICE_APPLICATION}/.default",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": token,
    }
    found: str = authority.issue("https://login.test", TENANT, form)["access_token"]
    return found


@pytest.mark.parametrize(
    "token",
    [
        assertion(),
        assertion(key_id=None),
        assertion(aud=AUDIENCE),
        assertion(aud=["other", AUDIENCE]),
        assertion(CURVE_KEY, "ES256", "ec"),
    ],
)
def test_a_token_of_the_trusted_issuer_proves_the_application(token: str) -> None:
    assert issue(token, [credential(subject="other"), credential()])


@pytest.mark.parametrize(
    ("token", "code"),
    [
        (assertion(iss="https://other.test"), 700211),
        (assertion(iss=ISSUER + "/"), 700211),
        (assertion(sub="system:serviceaccount:identity:Contoso-Sync"), 700213),
        (assertion(aud="api://other"), 700212),
        (assertion(OTHER_KEY), 50013),
        (assertion(key_id="ec"), 50013),
        (assertion(key_id="unknown"), 50013),
        (assertion(exp=int(NOW.timestamp())), 700024),
        (assertion(nbf=int(NOW.timestamp()) + 3600), 700024),
        ("no.token.at-all", 700027),
    ],
)
def test_a_token_that_says_something_else_has_microsofts_code(token: str, code: int) -> None:
    with pytest.raises(LoginError) as caught:
        issue(token, [credential()])

    assert (caught.value.code, caught.value.error) == (code, "invalid_client")
    assert caught.value.status == 401


def test_an_application_that_trusts_nobody_says_so() -> None:
    with pytest.raises(LoginError) as caught:
        issue(assertion(), [])

    assert (caught.value.code, caught.value.error) == (70021, "invalid_request")
    assert SUBJECT in caught.value.message


def test_keys_are_read_from_a_file_each_time(tmp_path: Path) -> None:
    file = tmp_path / "jwks.json"
    listed = [credential(jwks=None, jwksFile=str(file))]
    for content in (None, "no JSON", "[]", '{"keys": []}', '{"keys": [{"kty": "?"}]}'):
        if content is not None:
            file.write_text(content)
        with pytest.raises(LoginError) as caught:
            issue(assertion(), listed)
        assert caught.value.code == 50013

    file.write_text(json.dumps(jwks()))
    assert issue(assertion(), listed)


@pytest.mark.parametrize("keys", [{"jwks": None}, {"jwksFile": "/x"}])
def test_keys_come_from_one_place(keys: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="exactly one of `jwks` and `jwksFile`"):
        Application.model_validate(
            {"clientId": CLIENT, "federatedCredentials": [credential(**keys)]}
        )
