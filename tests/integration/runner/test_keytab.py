"""Whole runs that bind by a keytab from a Secret."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.emulator import EmulatorServer
from tests.support.kerberos import LIBRARY, REALM, ticket_server
from tests.support.keytab import write_keytab
from tests.support.rig import Rig
from tests.support.samba import READER, READER_PASSWORD, SambaServer

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaServer]:
    """Give a domain controller that is a key distribution centre, called by its address."""
    with ticket_server(tmp_path_factory.mktemp("ad") / "kerberos") as server:
        yield server


@pytest.fixture
def bound(
    tmp_path: Path, server: SambaServer, cloud: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> Rig:
    """A sync whose account has a keytab."""
    library = tmp_path / "krb5.conf"
    library.write_text(LIBRARY.format(host=server.host))
    monkeypatch.setenv("KRB5_CONFIG", str(library))
    rig = Rig(tmp_path, server, cloud)
    spec = rig.active_directory["spec"]
    del spec["bindSecretRef"]
    spec |= {"keytabSecretRef": {"name": "reader-keytab"}, "principal": f"{READER}@{REALM}"}
    put_key(rig, READER_PASSWORD)
    return rig


def put_key(rig: Rig, password: str) -> None:
    folder = rig.secrets / "reader-keytab"
    folder.mkdir(exist_ok=True)
    write_keytab(folder / "keytab", READER, REALM, password)


@pytest.fixture
def kerberos(bound: Rig) -> Rig:
    """The same, where Kerberos is installed."""
    pytest.importorskip("gssapi", reason="needs the extra: pip install 'entrasync[kerberos]'")
    return bound


def test_a_keytab_reads_and_stamps(kerberos: Rig, server: SambaServer) -> None:
    server.change("grant-stamping", READER)
    kerberos.sync["spec"]["sourceAnchor"] = {"stamp": True}

    assert kerberos.run(mode="Check").directory_checks["contoso"].ok
    result = kerberos.run()

    assert result.outcome == "Succeeded"
    assert "users were stamped" in result.message
    assert kerberos.anchors("User")
    facts = result.facts_of("contoso")
    assert facts is not None
    assert facts.delta_method_reason == "ReplicationRightGranted"


def test_an_old_key_is_told_of(kerberos: Rig) -> None:
    put_key(kerberos, "another password")

    result = kerberos.run(code=2)

    assert (result.reason, result.resource) == ("BindRejected", "ActiveDirectory/contoso")
    assert "spec.keytabSecretRef" in result.message


def test_a_keytab_that_is_not_there_is_a_missing_secret(bound: Rig) -> None:
    (bound.secrets / "reader-keytab" / "keytab").unlink()

    result = bound.run(code=2)

    assert (result.reason, result.resource) == ("SecretNotFound", "ActiveDirectory/contoso")
    assert "spec.keytabSecretRef" in result.message


def test_an_image_without_kerberos_says_so(bound: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", None)

    check = bound.run(mode="Check", code=2).directory_checks["contoso"]

    assert (check.ok, check.reason) == (False, "KerberosNotInstalled")
    assert "entrasync[kerberos]" in check.message
