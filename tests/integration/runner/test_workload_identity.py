"""A tenant whose application is proven by the token of a Kubernetes ServiceAccount."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric import rsa

from entrasync.api.common import API_VERSION
from entrasync.api.result import RunResult
from entrasync.api.snapshot import TOKEN_AUDIENCE, TOKEN_FILE_VARIABLE
from entrasync.runner.run import run
from tests.support.emulator import CLIENT_ID, EmulatorServer

pytestmark = pytest.mark.integration

ISSUER = "https://oidc.cluster.test"
SUBJECT = "system:serviceaccount:identity:contoso-sync"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
FIELD = "spec.application.workloadIdentity"


@pytest.fixture(scope="module")
def cloud() -> Iterator[EmulatorServer]:
    public = jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    trusted = {
        "issuer": ISSUER,
        "subject": SUBJECT,
        "jwks": {"keys": [public | {"kid": "cluster", "use": "sig"}]},
    }
    application = {"clientId": CLIENT_ID, "federatedCredentials": [trusted]}
    with EmulatorServer({"applications": [application]}) as server:
        yield server


def token(**changes: Any) -> str:
    """A token as the kubelet would project it."""
    now = int(dt.datetime.now(dt.UTC).timestamp())
    claims = {
        "iss": ISSUER,
        "sub": SUBJECT,
        "aud": [TOKEN_AUDIENCE],
        "iat": now,
        "nbf": now,
        "exp": now + 3600,
    }
    return jwt.encode(claims | changes, KEY, algorithm="RS256", headers={"kid": "cluster"})


def check(folder: Path, cloud: EmulatorServer) -> RunResult:
    tenant = {
        "apiVersion": API_VERSION,
        "kind": "EntraTenant",
        "metadata": {"name": "contoso"},
        "spec": {
            "cloudRef": {"name": cloud.cloud_manifest()["metadata"]["name"]},
            "tenantId": cloud.tenant_id,
            "application": {
                "clientId": cloud.client_id,
                "workloadIdentity": {"serviceAccountName": "contoso-sync"},
            },
        },
    }
    config, message = folder / "run.yaml", folder / "message"
    config.write_text(yaml.safe_dump_all([cloud.cloud_manifest(), tenant]))
    run([config], secrets=folder, state=None, mode="Check", termination_log=message)
    result = RunResult.from_message(message.read_text())
    assert result is not None
    return result


def test_a_token_of_the_account_is_enough(
    tmp_path: Path, cloud: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text(token() + "\n")
    monkeypatch.setenv(TOKEN_FILE_VARIABLE, str(file))

    result = check(tmp_path, cloud)

    assert result.outcome == "Succeeded", result.message
    assert result.endpoint_version == "V2"


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        token(sub="system:serviceaccount:identity:default"),
        token(aud=["https://kubernetes.default.svc"]),
    ],
)
def test_any_other_is_refused_by_the_field(
    text: str | None,
    tmp_path: Path,
    cloud: EmulatorServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(TOKEN_FILE_VARIABLE, str(tmp_path / "token"))
    if text is not None:
        (tmp_path / "token").write_text(text)

    result = check(tmp_path, cloud)

    assert (result.reason, result.resource) == ("CredentialsRejected", "EntraTenant/contoso")
    assert FIELD in result.message


def test_without_a_token_the_message_says_where_it_is_looked_for(
    tmp_path: Path, cloud: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOKEN_FILE_VARIABLE, raising=False)

    result = check(tmp_path, cloud)

    assert (result.reason, result.resource) == ("CredentialsRejected", "EntraTenant/contoso")
    assert FIELD in result.message
    assert TOKEN_FILE_VARIABLE in result.message
