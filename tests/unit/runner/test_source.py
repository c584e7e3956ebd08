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
