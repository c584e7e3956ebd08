"""A place of its own for each test in a real Active Directory, and sessions to read it."""

from __future__ import annotations

import ssl
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import ldap3
import pytest

from entrasync.directory.model import DirectoryConfig
from entrasync.directory.session import DirectorySession, open_session
from tests.support.front import NO_DIRSYNC, fronting
from tests.support.hand import Hand
from tests.support.samba import SambaServer

if TYPE_CHECKING:
    from collections.abc import Iterator


STAFF = "OU=Staff,OU=Contoso,DC=contoso,DC=test"


@dataclass(frozen=True, kw_only=True)
class Domain:
    """A running domain controller and who may do what there."""

    host: str
    base_dn: str
    service: DirectoryConfig
    """The service account, which only reads."""
    admin_user: str
    admin_password: str


class Place:
    """An organizational unit of a test's own, and a hand that changes what is in it."""

    def __init__(self, connection: Any, base_dn: str, name: str) -> None:
        self.connection = connection
        self.name = name
        self.dn = f"OU=Büro {name},{base_dn}"
        connection.add(self.dn, "organizationalUnit")

    def dn_of(self, name: str) -> str:
        return f"CN={name} {self.name},{self.dn}"

    def add(self, kind: str, name: str, **attributes: Any) -> str:
        dn = self.dn_of(name)
        account = {} if kind == "contact" else {"sAMAccountName": f"{name}{self.name}"}
        self.connection.add(dn, kind, {**account, **attributes})
        return dn

    def replace(self, dn: str, attribute: str, *values: str) -> None:
        self.connection.modify(dn, {attribute: [(ldap3.MODIFY_REPLACE, list(values))]})

    def link(self, group: str, *members: str) -> None:
        self.connection.modify(group, {"member": [(ldap3.MODIFY_ADD, list(members))]})

    def unlink(self, group: str, *members: str) -> None:
        self.connection.modify(group, {"member": [(ldap3.MODIFY_DELETE, list(members))]})

    def rename(self, dn: str, name: str, *, parent: str | None = None) -> None:
        self.connection.modify_dn(dn, name, new_superior=parent)

    def delete(self, dn: str) -> None:
        self.connection.delete(dn)


class Sessions:
    """Opens sessions that end with the test."""

    def __init__(self, domain: Domain, stack: ExitStack) -> None:
        self._domain = domain
        self._stack = stack

    def __call__(self, config: DirectoryConfig | None = None, **changes: Any) -> DirectorySession:
        session = open_session(replace(config or self._domain.service, **changes))
        return self._stack.enter_context(session)


class People:
    """Adds people and groups under names nobody else has."""

    def __init__(self, hand: Hand) -> None:
        self._hand = hand
        self.mark = uuid4().hex[:6]

    def add(self, name: str, kind: str = "user", **attributes: Any) -> str:
        full = f"{name}{self.mark}"
        return self._hand.add(f"CN={full},{STAFF}", kind, sAMAccountName=full, **attributes)


def config_of(server: SambaServer) -> DirectoryConfig:
    """Read as the service account: it may replicate changes and list tombstones, no more."""
    return DirectoryConfig(
        servers=(server.url,),
        base_dn=None,
        bind_user=server.bind_user,
        bind_password=server.bind_password,
        ca_pem=server.ca_pem,
        start_tls=False,
    )


@pytest.fixture(scope="session")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Domain]:
    """Start a domain controller for the tests of this folder, which change it."""
    with SambaServer(tmp_path_factory.mktemp("ad") / "directory") as server:
        yield Domain(
            host=server.host,
            base_dn=server.base_dn,
            service=config_of(server),
            admin_user=server.admin_user,
            admin_password=server.admin_password,
        )


@pytest.fixture
def connection(domain: Domain) -> Iterator[ldap3.Connection]:
    server = ldap3.Server(
        domain.service.servers[0],
        get_info=ldap3.NONE,
        tls=ldap3.Tls(validate=ssl.CERT_NONE),
    )
    connection = ldap3.Connection(
        server,
        domain.admin_user,
        domain.admin_password,
        auto_bind=True,
        raise_exceptions=True,
        check_names=False,
    )
    yield connection
    connection.unbind()


@pytest.fixture
def place(domain: Domain, connection: Any) -> Place:
    return Place(connection, domain.base_dn, uuid4().hex[:6])


@pytest.fixture
def sessions(domain: Domain) -> Iterator[Sessions]:
    with ExitStack() as stack:
        yield Sessions(domain, stack)


@pytest.fixture
def session(sessions: Sessions) -> DirectorySession:
    return sessions()


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SambaServer]:
    """Start a directory in which Exchange was prepared, to be changed."""
    with SambaServer(tmp_path_factory.mktemp("ad") / "exchange", exchange=True) as server:
        yield server


@pytest.fixture
def hand(exchange: SambaServer) -> Iterator[Hand]:
    with Hand(exchange) as hand:
        yield hand


@pytest.fixture
def people(hand: Hand) -> People:
    return People(hand)


@pytest.fixture(params=["DirSync", "UsnChanged"])
def either(
    request: pytest.FixtureRequest, exchange: SambaServer, sessions: Sessions
) -> Iterator[DirectorySession]:
    """Read changes of that directory by one method, and by the other."""
    config = config_of(exchange)
    if request.param == "DirSync":
        yield sessions(config)
        return
    with fronting(exchange, [NO_DIRSYNC]) as front:
        yield sessions(config, servers=(front.url,))
