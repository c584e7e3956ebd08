from __future__ import annotations

from pathlib import Path

import pytest

from entrasync.errors import ConfigurationError
from entrasync.runner.secret_files import SecretFiles


def read(folder: Path, key: str = "password") -> str:
    return SecretFiles(folder=folder).read(
        "reader", key, resource="ActiveDirectory/contoso", field="spec.bindSecretRef"
    )


def put(folder: Path, content: bytes) -> None:
    (folder / "reader").mkdir()
    (folder / "reader" / "password").write_bytes(content)


def test_reads_a_key_as_it_is(tmp_path: Path) -> None:
    put(tmp_path, "pässword ".encode())

    assert read(tmp_path) == "pässword "


def test_a_missing_secret_names_secret_key_and_field(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path)

    assert caught.value.reason == "SecretNotFound"
    assert caught.value.resource == "ActiveDirectory/contoso"
    assert caught.value.field == "spec.bindSecretRef"
    assert "Secret reader with key `password`" in caught.value.message


def test_a_missing_key_is_a_missing_secret(tmp_path: Path) -> None:
    put(tmp_path, b"x")

    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path, "username")

    assert "key `username`" in caught.value.message


@pytest.mark.parametrize(
    ("environment", "token"),
    [
        ({}, None),
        ({"AZURE_FEDERATED_TOKEN_FILE": ""}, None),
        ({"AZURE_FEDERATED_TOKEN_FILE": "/t/token"}, Path("/t/token")),
    ],
)
def test_the_environment_names_the_token(
    environment: dict[str, str], token: Path | None, tmp_path: Path
) -> None:
    assert SecretFiles.of(tmp_path, environment) == SecretFiles(folder=tmp_path, token_file=token)


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe"])
def test_an_unusable_key_is_refused_without_showing_it(tmp_path: Path, content: bytes) -> None:
    put(tmp_path, content)

    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path)

    assert caught.value.reason == "SecretNotFound"
