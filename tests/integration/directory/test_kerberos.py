"""Binding by a keytab, against the domain controller's own key distribution centre."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from entrasync.directory.session import open_session
from entrasync.errors import BindRejectedError, TransientError
from tests.integration.directory.conftest import config_of
from tests.support.kerberos import LIBRARY, REALM, ticket_server
from tests.support.keytab import write_keytab
from tests.support.samba import READER_PASSWORD, SambaServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from entrasync.directory.model import DirectoryConfig

pytest.importorskip("gssapi", reason="needs the extra: pip install 'entrasync[kerberos]'")
pytestmark = pytest.mark.integration

ACCOUNT = "svc-entrasync"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaServer]:
    with ticket_server(tmp_path_factory.mktemp("ad") / "kerberos") as server:
        yield server


@pytest.fixture
def config(server: SambaServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DirectoryConfig:
    library = tmp_path / "krb5.conf"
    library.write_text(LIBRARY.format(host=server.host))
    monkeypatch.setenv("KRB5_CONFIG", str(library))
    return replace(
        config_of(server),
        bind_user="",
        bind_password="",
        keytab=write_keytab(tmp_path / "keytab", ACCOUNT, REALM, READER_PASSWORD),
        principal=f"{ACCOUNT}@{REALM}",
    )


@pytest.mark.parametrize("start_tls", [False, True])
def test_a_keytab_lets_in(server: SambaServer, config: DirectoryConfig, *, start_tls: bool) -> None:
    url = f"ldap://{server.host}" if start_tls else server.url
    with open_session(replace(config, servers=(url,), start_tls=start_tls)) as session:
        assert session.root.base_dn == server.base_dn
        # with its rights
        assert session.delta_method == ("DirSync", "ReplicationRightGranted")
        assert session.can_read_deleted()


def test_a_wrong_key_is_refused_once_and_asks_no_server(
    config: DirectoryConfig, tmp_path: Path
) -> None:
    wrong = write_keytab(tmp_path / "wrong", ACCOUNT, REALM, "wrong")
    with pytest.raises(BindRejectedError, match="old one") as caught:
        open_session(replace(config, keytab=wrong, servers=("ldaps://dc.invalid",)))
    assert caught.value.field == "spec.keytabSecretRef"


@pytest.mark.parametrize("principal", [f"other@{REALM}", "svc-entrasync@contoso.test"])
def test_a_key_of_somebody_else_is_none(config: DirectoryConfig, principal: str) -> None:
    with pytest.raises(BindRejectedError, match="so spelled"):
        open_session(replace(config, principal=principal))


@pytest.mark.parametrize("content", [b"", b"no keytab at all"])
def test_a_file_that_is_no_keytab(config: DirectoryConfig, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "none").write_bytes(content)
    for path in (tmp_path / "none", tmp_path / "missing"):
        with pytest.raises(BindRejectedError, match="the keytab is none"):
            open_session(replace(config, keytab=path))


def test_a_realm_nobody_knows_can_be_tried_again(config: DirectoryConfig, tmp_path: Path) -> None:
    keytab = write_keytab(tmp_path / "other", ACCOUNT, "OTHER.TEST", "x")
    with pytest.raises(TransientError, match=r"OTHER\.TEST") as caught:
        open_session(replace(config, keytab=keytab, principal=f"{ACCOUNT}@OTHER.TEST"))
    assert caught.value.reason == "ServerUnreachable"


def test_a_server_that_the_domain_does_not_know_is_left_for_the_next(
    server: SambaServer, config: DirectoryConfig
) -> None:
    stranger = f"ldaps://localhost.{server.host}"
    with pytest.raises(TransientError):
        open_session(replace(config, servers=(stranger,)))
    with open_session(replace(config, servers=(stranger, server.url))) as session:
        assert session.root.server == server.url
