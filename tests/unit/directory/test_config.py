"""What is refused before any connection, and what must never be shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from entrasync.directory.model import DirectoryConfig
from entrasync.directory.session import open_session
from entrasync.errors import BindRejectedError, ConfigurationError

CONFIG = DirectoryConfig(
    servers=("ldaps://dc1.contoso.test",),
    base_dn=None,
    bind_user="reader@contoso.test",
    bind_password="Secret!1",
    ca_pem=None,
    start_tls=False,
)


def test_the_password_is_not_shown() -> None:
    assert "Secret!1" not in repr(CONFIG)


@pytest.mark.parametrize(
    ("url", "start_tls", "field"),
    [
        ("ldap://dc1.contoso.test", False, "spec.startTLS"),
        ("ldapi://%2Frun%2Fldapi", True, "spec.servers"),
        ("dc1.contoso.test", True, "spec.servers"),
    ],
)
def test_nothing_is_ever_sent_in_clear(*, url: str, start_tls: bool, field: str) -> None:
    config = replace(CONFIG, servers=("ldaps://127.0.0.1:9", url), start_tls=start_tls)
    with pytest.raises(ConfigurationError) as caught:
        open_session(config)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "config", [replace(CONFIG, bind_user=""), replace(CONFIG, bind_password="")]
)
def test_an_empty_password_is_no_login(config: DirectoryConfig) -> None:
    with pytest.raises(BindRejectedError) as caught:
        open_session(config)
    assert caught.value.field == "spec.bindSecretRef"


@pytest.mark.parametrize("pem", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAA==\n"])
def test_a_ca_that_is_none_is_a_configuration_error(pem: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_session(replace(CONFIG, ca_pem=pem))
    assert caught.value.reason == "CertificateNotTrusted"
    assert caught.value.field == "spec.caProvider"
