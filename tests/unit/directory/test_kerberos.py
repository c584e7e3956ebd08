"""Keytabs where Kerberos is not to be had, and what its errors mean."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from entrasync.directory.kerberos import ticket, why_no_ticket
from entrasync.directory.model import DirectoryConfig
from entrasync.directory.session import open_session
from entrasync.errors import BindRejectedError, ConfigurationError, EntrasyncError, TransientError

FIRST = -1765328384


class GSSError(Exception):
    """As the library's."""

    def __init__(self, code: int, *, unsigned: bool) -> None:
        super().__init__()
        number = FIRST + code
        self.min_code = number + (1 << 32) if unsigned else number

    def gen_message(self) -> str:
        return f"Major (851968): Unspecified GSS failure, Minor ({self.min_code}): it does not work"


class Credentials:
    """A ticket, or none."""

    fails: GSSError | None = None
    asked: dict[str, Any] | None = None

    def __init__(self, **asked: Any) -> None:
        Credentials.asked = asked

    def inquire(self, *, lifetime: bool) -> None:
        assert lifetime
        if self.fails is not None:
            raise self.fails


def config(principal: str = "reader@CONTOSO.TEST") -> DirectoryConfig:
    return DirectoryConfig(
        servers=("ldaps://dc1.contoso.test",),
        base_dn=None,
        bind_user="",
        bind_password="",
        ca_pem=None,
        start_tls=False,
        keytab=Path("/secrets/keytab"),
        principal=principal,
    )


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> type[Credentials]:
    stub = SimpleNamespace(
        Credentials=Credentials,
        Name=lambda name, kind: (name, kind),
        NameType=SimpleNamespace(kerberos_principal="principal"),
        exceptions=SimpleNamespace(GSSError=GSSError),
    )
    monkeypatch.setitem(sys.modules, "gssapi", stub)
    monkeypatch.setattr(Credentials, "fails", None)
    return Credentials


def test_without_the_extra_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gssapi", None)
    with pytest.raises(ConfigurationError, match=r"entrasync\[kerberos\]") as caught:
        open_session(config())
    assert (caught.value.reason, caught.value.field) == (
        "KerberosNotInstalled",
        "spec.keytabSecretRef",
    )


@pytest.mark.usefixtures("library")
def test_a_keytab_needs_a_principal() -> None:
    with pytest.raises(ConfigurationError) as caught:
        ticket(config(principal=""))
    assert caught.value.field == "spec.principal"


def test_the_ticket_stays_in_memory(library: type[Credentials]) -> None:
    assert isinstance(ticket(config()), library)
    assert library.asked is not None
    assert library.asked["store"]["client_keytab"] == "FILE:/secrets/keytab"
    assert library.asked["store"]["ccache"].startswith("MEMORY:")


@pytest.mark.parametrize("unsigned", [True, False])
@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (6, BindRejectedError, "does not know the principal"),
        (14, BindRejectedError, "AES keys"),
        (18, BindRejectedError, "disabled, expired or locked"),
        (23, BindRejectedError, "password of the account has expired"),
        (24, BindRejectedError, "old one"),
        (195, BindRejectedError, "no key of a principal so spelled"),
        (37, TransientError, "it does not work. Set the clock"),
        (154, TransientError, "it does not work. Check that the realm"),
        (156, TransientError, "port 88"),
    ],
)
def test_what_errors_of_kerberos_mean(
    library: type[Credentials],
    monkeypatch: pytest.MonkeyPatch,
    *,
    code: int,
    error: type[EntrasyncError],
    words: str,
    unsigned: bool,
) -> None:
    monkeypatch.setattr(library, "fails", GSSError(code, unsigned=unsigned))
    with pytest.raises(error, match=words) as caught:
        open_session(config())
    assert caught.value.reason in {"BindRejected", "ServerUnreachable"}
    assert caught.value.resource == "ActiveDirectory/contoso"


def test_only_errors_of_kerberos_are_told_as_such() -> None:
    assert why_no_ticket(OSError("closed")) is None
    assert why_no_ticket(GSSError(7, unsigned=True)) == (
        "Kerberos gives no ticket for it: it does not work"
    )
