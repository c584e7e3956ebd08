"""A domain controller found by DNS, and what its certificate must say."""

from __future__ import annotations

import socket
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from entrasync.directory.locate import locate
from entrasync.directory.session import open_session
from entrasync.errors import BindRejectedError, ConfigurationError, TransientError
from tests.integration.directory.test_connect import nobody
from tests.support.forwarder import forwarding
from tests.support.nameserver import serving

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from entrasync.directory.model import DirectoryConfig
    from tests.integration.directory.conftest import Domain

pytestmark = pytest.mark.integration

LDAP = "_ldap._tcp.dc._msdcs.contoso.test"
LDAPS = "_ldaps._tcp.dc._msdcs.contoso.test"


@pytest.fixture(autouse=True)
def _addresses(domain: Domain, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every host of contoso.test have the domain controller's address."""
    real = socket.getaddrinfo

    def look_up(host: Any, *arguments: Any, **options: Any) -> Any:
        known = isinstance(host, str) and host.endswith(".contoso.test")
        return real(domain.host if known else host, *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def open_found(config: DirectoryConfig, records: Mapping[str, Sequence[str]]) -> str:
    """Connect as DNS says; tell where to."""
    with serving(records) as server:
        session = open_session(config, find=partial(locate, resolver=server.resolver))
    with session:
        return session.root.server


@pytest.fixture
def by_name(domain: Domain) -> DirectoryConfig:
    return replace(domain.service, servers=(), domain="contoso.test")


def test_the_domain_controller_is_found_and_verified(by_name: DirectoryConfig) -> None:
    records = {LDAP: ["0 100 389 dc1.contoso.test."]}

    assert open_found(by_name, records) == "ldaps://dc1.contoso.test:636"
    assert open_found(replace(by_name, start_tls=True), records) == "ldap://dc1.contoso.test:389"


def test_the_next_is_asked_when_the_first_is_down(by_name: DirectoryConfig) -> None:
    down = nobody().rpartition(":")[2]
    records = {LDAPS: [f"0 0 {down} dc1.contoso.test.", "1 0 636 dc1.contoso.test."]}

    assert open_found(by_name, records) == "ldaps://dc1.contoso.test:636"
    with pytest.raises(TransientError) as caught:
        open_found(by_name, {LDAPS: records[LDAPS][:1]})
    assert (caught.value.reason, caught.value.field) == ("ServerUnreachable", "spec.domain")


def test_the_certificate_must_be_for_the_name_dns_gave(by_name: DirectoryConfig) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_found(by_name, {LDAP: ["0 0 389 dc9.contoso.test."]})

    assert (caught.value.reason, caught.value.field) == ("CertificateNotTrusted", "spec.domain")


def test_a_refused_password_is_offered_to_nobody_else(
    domain: Domain, by_name: DirectoryConfig
) -> None:
    config = replace(by_name, bind_password="wrong Secret!1")
    target = (domain.host, 636)
    with forwarding(domain.host, target) as first, forwarding(domain.host, target) as second:
        ports = (first.port, second.port)
        records = {LDAPS: [f"{n} 0 {port} dc1.contoso.test." for n, port in enumerate(ports)]}
        with pytest.raises(BindRejectedError):
            open_found(config, records)
        assert (first.connections, second.connections) == (1, 0)
