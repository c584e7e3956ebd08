"""Connecting: what is trusted, who is asked, and how often."""

from __future__ import annotations

import socket
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from entrasync.directory.session import open_session
from entrasync.errors import (
    BindRejectedError,
    ConfigurationError,
    EntrasyncError,
    TransientError,
)
from tests.support.forwarder import forwarding

if TYPE_CHECKING:
    from collections.abc import Iterator

    from entrasync.directory.model import SourceEntry
    from entrasync.directory.session import DirectorySession
    from tests.integration.directory.conftest import Domain, Place, Sessions
    from tests.support.forwarder import Forwarder

pytestmark = pytest.mark.integration


def port_of(url: str) -> int:
    parts = urlsplit(url)
    return parts.port or {"ldap": 389, "ldaps": 636}[parts.scheme]


@pytest.fixture
def forwarder(domain: Domain) -> Iterator[Forwarder]:
    target = (domain.host, port_of(domain.service.servers[0]))
    with forwarding(domain.host, target) as forwarder:
        yield forwarder


def through(domain: Domain, forwarder: Forwarder) -> str:
    return f"ldaps://{domain.host}:{forwarder.port}"


def other_ca() -> str:
    """Make a CA that signed nothing."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Another CA")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def nobody() -> str:
    """Give an address at which nothing listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        return f"ldaps://127.0.0.1:{listener.getsockname()[1]}"


def test_the_root_says_what_the_server_is(domain: Domain, session: DirectorySession) -> None:
    root = session.root
    assert root.server == domain.service.servers[0]
    assert root.base_dn == domain.base_dn
    assert root.domain == "contoso.test"
    assert root.functional_level in {"2008R2", "2012R2", "2016"}
    assert domain.base_dn in root.naming_contexts
    assert root.invocation_id is not None


def test_tls_can_be_started_on_a_plain_port(domain: Domain, sessions: Sessions) -> None:
    session = sessions(servers=(f"ldap://{domain.host}",), start_tls=True)
    assert session.root.base_dn == domain.base_dn
    assert session._link._connection.tls_started


@pytest.mark.parametrize("scheme", ["ldaps", "ldap"])
def test_a_certificate_of_another_ca_ends_it(
    domain: Domain, forwarder: Forwarder, scheme: str
) -> None:
    servers = (f"{scheme}://{domain.host}", through(domain, forwarder))
    with pytest.raises(ConfigurationError) as caught:
        open_session(replace(domain.service, servers=servers, ca_pem=other_ca(), start_tls=True))
    assert caught.value.reason == "CertificateNotTrusted"
    assert caught.value.field == "spec.caProvider"
    assert forwarder.connections == 0


def test_a_certificate_of_another_name_ends_it(domain: Domain) -> None:
    target = (domain.host, port_of(domain.service.servers[0]))
    with (
        forwarding("127.0.0.99", target) as forwarder,
        pytest.raises(ConfigurationError) as caught,
    ):
        open_session(replace(domain.service, servers=(f"ldaps://127.0.0.99:{forwarder.port}",)))
    assert caught.value.reason == "CertificateNotTrusted"
    assert caught.value.field == "spec.servers"


@pytest.fixture
def _lockout(domain: Domain, place: Place) -> Iterator[None]:
    """Let wrong passwords be counted: without a lockout policy Samba does not."""
    place.replace(domain.base_dn, "lockoutThreshold", "10")
    yield
    place.replace(domain.base_dn, "lockoutThreshold", "0")


@pytest.mark.usefixtures("_lockout")
def test_a_refused_bind_is_tried_exactly_once(
    domain: Domain, forwarder: Forwarder, place: Place
) -> None:
    place.add("user", "locked", userPrincipalName=f"locked{place.name}@contoso.test")
    dn = place.dn_of("locked")
    config = replace(
        domain.service,
        servers=(domain.service.servers[0], through(domain, forwarder)),
        bind_user=f"locked{place.name}@contoso.test",
        bind_password="wrong Secret!1",
    )
    place.connection.extend.microsoft.modify_password(dn, "Right Secret!1")
    place.replace(dn, "userAccountControl", "512")
    with pytest.raises(BindRejectedError) as caught:
        open_session(config)
    assert caught.value.reason == "BindRejected"
    assert caught.value.field == "spec.bindSecretRef"
    assert "Secret!1" not in f"{caught.value} {caught.value.__cause__!r}"
    assert forwarder.connections == 0
    place.connection.search(dn, "(objectClass=*)", "BASE", attributes=["badPwdCount"])
    assert place.connection.response[0]["raw_attributes"]["badPwdCount"] == [b"1"]


def test_the_next_server_is_used_when_one_is_down(domain: Domain, sessions: Sessions) -> None:
    session = sessions(servers=(nobody(), "ldaps://dc.invalid", domain.service.servers[0]))
    assert session.root.server == domain.service.servers[0]


def test_all_servers_down_is_told_with_their_addresses(domain: Domain) -> None:
    servers = (nobody(), nobody())
    with pytest.raises(TransientError) as caught:
        open_session(replace(domain.service, servers=servers))
    assert caught.value.reason == "ServerUnreachable"
    assert caught.value.field == "spec.servers"
    assert all(server in caught.value.message for server in servers)


@pytest.mark.parametrize("words", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_a_server_that_speaks_no_tls_is_unreachable(domain: Domain, words: bytes) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"ldaps://127.0.0.1:{listener.getsockname()[1]}"
        config = replace(domain.service, servers=(url,), receive_timeout=1)

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                client.sendall(words)
                client.recv(1)
                if not words:
                    client.recv(65536)
                    client.recv(1)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(TransientError) as caught:
            open_session(config)
        thread.join()
    assert caught.value.reason == "ServerUnreachable"


@pytest.mark.parametrize(
    "base_dn", ["OU=Nowhere,DC=contoso,DC=test", "DC=fabrikam,DC=test", "no DN at all"]
)
def test_a_base_that_is_not_there_is_named(domain: Domain, base_dn: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_session(replace(domain.service, base_dn=base_dn))
    assert caught.value.reason == "BaseNotFound"
    assert caught.value.field == "spec.baseDN"


def test_every_cut_of_the_connection_is_an_error_never_a_short_list(
    domain: Domain, forwarder: Forwarder, sessions: Sessions, place: Place
) -> None:
    for number in range(30):
        place.add("user", f"u{number}")
    session = sessions(servers=(through(domain, forwarder),), page_size=7)
    before = forwarder.received
    whole = len(list(session.read_all(place.dn, ["mail"])))
    length = forwarder.received - before
    session.close()
    for part in range(1, 10):
        session = sessions(servers=(through(domain, forwarder),), page_size=7)
        forwarder.cut_after = forwarder.received + length * part // 10
        seen: list[SourceEntry] = []
        with pytest.raises(TransientError) as caught:
            seen.extend(session.read_all(place.dn, ["mail"]))
        assert caught.value.reason == "ServerUnreachable"
        assert len(seen) < whole
        forwarder.cut_after = None


def test_a_session_that_lost_its_connection_says_so_again(
    domain: Domain, forwarder: Forwarder, sessions: Sessions
) -> None:
    session = sessions(servers=(through(domain, forwarder),))
    forwarder.cut()
    for _ in range(2):
        with pytest.raises(EntrasyncError) as caught:
            session.resolve_container(domain.base_dn, field="spec.baseDN")
        assert caught.value.reason == "ServerUnreachable"


def test_a_server_that_falls_silent_is_not_waited_for_for_ever(
    domain: Domain, forwarder: Forwarder, sessions: Sessions
) -> None:
    session = sessions(servers=(through(domain, forwarder),), receive_timeout=0.5)
    forwarder.silent = True
    with pytest.raises(TransientError) as caught:
        list(session.read_all(domain.base_dn, ["mail"]))
    assert caught.value.reason == "ServerUnreachable"


def test_a_read_does_not_outlive_its_session(sessions: Sessions, place: Place) -> None:
    for number in range(5):
        place.add("user", f"u{number}")
    session = sessions(page_size=1)
    reading = session.read_all(place.dn, ["mail"])
    next(reading)
    session.close()
    with pytest.raises(TransientError):
        list(reading)


@pytest.mark.parametrize("reads", ["all", "changes"])
def test_what_was_cut_goes_on_at_the_next_server(
    domain: Domain, sessions: Sessions, place: Place, reads: str
) -> None:
    target = (domain.host, port_of(domain.service.servers[0]))
    with forwarding(domain.host, target) as forwarder:
        both = (through(domain, forwarder), domain.service.servers[0])
        session = sessions(servers=both, page_size=1)
        assert session.root.server == both[0]
        cookie = session.current_cookie()
        dn = place.add("user", "cut")
        reading: Iterator[object] = (
            session.read_all(place.dn, ("cn",))
            if reads == "all"
            else session.changes(cookie, ("cn",))
        )
        if reads == "all":
            next(reading)
        forwarder.cut()
        with pytest.raises(TransientError) as caught:
            list(reading)
        assert caught.value.reason == "ServerUnreachable"
    session = sessions(servers=both)
    assert session.root.server == both[1]
    (page,) = session.changes(cookie, ("cn",))
    assert [entry.dn for entry in page.entries] == [dn]
