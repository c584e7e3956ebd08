from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.snapshot import Snapshot, resolve
from entrasync.errors import ConfigurationError, TransientError
from entrasync.runner.secret_files import SecretFiles
from entrasync.runner.source import WAITS, directory_config, open_patiently


def snapshot(**spec: Any) -> tuple[ActiveDirectory, Snapshot]:
    directory = ActiveDirectory.model_validate(
        {
            "metadata": {"name": "contoso"},
            "spec": {
                "servers": ["ldaps://dc1.contoso.test"],
                "bindSecretRef": {"name": "reader"},
                **spec,
            },
        }
    )
    return directory, resolve([directory], {("ca", "ca.crt"): "PEM"})


@pytest.fixture
def secrets(tmp_path: Path) -> SecretFiles:
    folder = tmp_path / "reader"
    folder.mkdir()
    (folder / "username").write_text("reader@contoso.test\n")
    (folder / "password").write_text(" pass word \n")
    return SecretFiles(folder=tmp_path)


def test_reads_name_and_password_without_the_line_end(secrets: SecretFiles) -> None:
    config = directory_config(*snapshot(), secrets)

    assert config.bind_user == "reader@contoso.test"
    assert config.bind_password == " pass word "
    assert config.ca_pem is None
    assert "pass word" not in repr(config)


def test_a_domain_takes_the_place_of_servers(secrets: SecretFiles) -> None:
    config = directory_config(*snapshot(servers=None, domain="contoso.test"), secrets)

    assert (config.servers, config.domain) == ((), "contoso.test")


def test_neither_servers_nor_a_domain_cannot_be_connected_to(secrets: SecretFiles) -> None:
    with pytest.raises(ConfigurationError) as caught:
        directory_config(*snapshot(servers=None), secrets)

    assert caught.value.field == "spec.servers"


def test_takes_the_ca_from_the_config_map(secrets: SecretFiles) -> None:
    config = directory_config(*snapshot(caProvider={"type": "ConfigMap", "name": "ca"}), secrets)

    assert config.ca_pem == "PEM"


def test_a_missing_ca_is_a_missing_reference(secrets: SecretFiles) -> None:
    with pytest.raises(ConfigurationError) as caught:
        directory_config(*snapshot(caProvider={"type": "ConfigMap", "name": "gone"}), secrets)

    assert caught.value.reason == "ReferenceNotFound"


def test_a_missing_bind_secret_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        directory_config(*snapshot(), SecretFiles(folder=tmp_path))

    assert caught.value.reason == "SecretNotFound"
    assert caught.value.resource == "ActiveDirectory/contoso"


def test_a_directory_that_does_not_answer_is_asked_again_for_some_seconds(
    secrets: SecretFiles,
) -> None:
    resource, found = snapshot(servers=["ldaps://127.0.0.1:1"], caProvider=None)
    waits: list[float] = []

    with pytest.raises(TransientError) as caught:
        open_patiently(directory_config(resource, found, secrets), waits.append)

    assert caught.value.reason == "ServerUnreachable"
    assert waits == list(WAITS)


KEYTAB: dict[str, Any] = {
    "bindSecretRef": None,
    "keytabSecretRef": {"name": "key"},
    "principal": "reader@CONTOSO.TEST",
}


def test_a_keytab_takes_the_place_of_the_password(tmp_path: Path) -> None:
    (tmp_path / "key").mkdir()
    (tmp_path / "key" / "keytab").write_bytes(b"\x05\x02\xff")

    config = directory_config(*snapshot(**KEYTAB), SecretFiles(folder=tmp_path))

    assert config.keytab == tmp_path / "key" / "keytab"
    assert config.principal == "reader@CONTOSO.TEST"
    assert (config.bind_user, config.bind_password) == ("", "")


@pytest.mark.parametrize("content", [None, b""])
def test_a_keytab_that_is_not_there_is_a_missing_secret(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "key").mkdir()
        (tmp_path / "key" / "own").write_bytes(content)
    spec = KEYTAB | {"keytabSecretRef": {"name": "key", "key": "own"}}

    with pytest.raises(ConfigurationError, match="`own`") as caught:
        directory_config(*snapshot(**spec), SecretFiles(folder=tmp_path))

    assert caught.value.reason == "SecretNotFound"
    assert caught.value.field == "spec.keytabSecretRef"


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"bindSecretRef": None}, "spec.bindSecretRef"),
        (KEYTAB | {"bindSecretRef": {"name": "reader"}}, "spec.bindSecretRef"),
        (KEYTAB | {"principal": None}, "spec.principal"),
        ({"principal": "reader@CONTOSO.TEST"}, "spec.principal"),
    ],
)
def test_what_admission_would_refuse_is_refused(
    secrets: SecretFiles, spec: dict[str, Any], field: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        directory_config(*snapshot(**spec), secrets)

    assert (caught.value.resource, caught.value.field) == ("ActiveDirectory/contoso", field)
