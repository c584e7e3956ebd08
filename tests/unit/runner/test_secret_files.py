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


def test_keys_that_belong_together_are_of_one_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "app"
    folder.mkdir()
    keys = ("tls.crt", "tls.key")
    for key in keys:
        (folder / key).write_text("old")
    read = SecretFiles.read

    def rotated_in_between(self: SecretFiles, name: str, key: str, **more: str) -> str:
        found = read(self, name, key, **more)
        for each in keys:  # once the first of them was read
            (folder / each).write_text("new")
        return found

    monkeypatch.setattr(SecretFiles, "read", rotated_in_between)
    files = SecretFiles(folder=tmp_path)

    assert files.read_together("app", keys, resource="EntraTenant/x", field="spec.application") == (
        "new",
        "new",
    )


def test_no_certificates_are_trusted_in_addition_by_default(tmp_path: Path) -> None:
    assert SecretFiles.of(tmp_path, {}).extra_ca() is None


def test_certificates_to_trust_in_addition_are_read(tmp_path: Path) -> None:
    file = tmp_path / "ca.crt"
    file.write_text("PEM")
    files = SecretFiles.of(tmp_path, {"ENTRASYNC_EXTRA_CA_FILE": str(file)})
    assert files.extra_ca() == "PEM"


def test_missing_certificates_name_the_config_map(tmp_path: Path) -> None:
    missing = tmp_path / "company-ca" / "ca.crt"
    with pytest.raises(ConfigurationError, match=r"ConfigMap company-ca with key `ca\.crt`"):
        SecretFiles.of(tmp_path, {"ENTRASYNC_EXTRA_CA_FILE": str(missing)}).extra_ca()
