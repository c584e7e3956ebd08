"""Reads of a large directory: pages, limits, and servers and networks that fail half way.

OpenLDAP is no Active Directory, so it is read below `DirectorySession`, whose questions only Active
Directory answers.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from entrasync.directory.ber import decode_message
from entrasync.directory.connect import connect
from entrasync.directory.entries import Wanted
from entrasync.directory.errors import DirectoryError, ReadFailedError
from entrasync.directory.link import BASE, SUBTREE, Link, Search
from entrasync.directory.reader import Reader
from entrasync.errors import TransientError
from tests.support.forwarder import Forwarder, forwarding
from tests.support.slapd import (
    BASE_DN,
    GROUPS_DN,
    HOST,
    PEOPLE_DN,
    TEN_ATTRIBUTES,
    SlapdServer,
    guid_of,
    person_dn,
)
from tests.support.wire import entry, message

if TYPE_CHECKING:
    from entrasync.directory.ber import RawEntry

pytestmark = pytest.mark.integration
PEOPLE = 3000
GROUPS = (10, 2500)
PEOPLE_SEARCH = Search(
    base=PEOPLE_DN, scope=SUBTREE, attributes=TEN_ATTRIBUTES, filter="(objectClass=user)"
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlapdServer]:
    folder = tmp_path_factory.mktemp("slapd")
    with SlapdServer(folder, people=PEOPLE, groups=GROUPS) as running:
        yield running


@pytest.fixture
def link(server: SlapdServer) -> Iterator[Link]:
    with closing(connect(server.config())) as opened:
        yield opened


@pytest.fixture
def forwarder(server: SlapdServer) -> Iterator[Forwarder]:
    with forwarding(HOST, (HOST, server.port)) as running:
        yield running


@contextmanager
def reading(server: SlapdServer, page_size: int = 1000, **changes: Any) -> Iterator[Reader]:
    with closing(connect(server.config(**changes))) as opened:
        yield Reader(opened, page_size=page_size)


@pytest.mark.parametrize("page_size", [7, 1000, PEOPLE, PEOPLE + 1])
def test_pages_of_any_size_give_everybody_once(link: Link, page_size: int) -> None:
    names = [raw.dn for raw in Reader(link, page_size=page_size).pages(PEOPLE_SEARCH)]
    assert len(names) == len(set(names)) == PEOPLE


def test_entries_say_what_was_put_in(link: Link) -> None:
    reader = Reader(link, page_size=1000)
    wanted = Wanted(TEN_ATTRIBUTES)
    found = {
        each.guid: each for each in (reader.complete(raw, wanted) for raw in everybody(reader))
    }
    dn = person_dn(PEOPLE - 1)
    last = found[guid_of(dn)]
    assert last.dn.casefold() == dn.casefold()  # slapd writes the types in small letters
    assert set(last.attributes) == set(TEN_ATTRIBUTES)
    assert last.attributes["objectClass"] == (b"top", b"person", b"organizationalPerson", b"user")
    assert last.attributes["userPrincipalName"] == (b"p002999@contoso.test",)
    assert last.attributes["userAccountControl"] == (b"512",)
    assert last.members is None


def everybody(reader: Reader) -> Iterator[RawEntry]:
    return reader.pages(PEOPLE_SEARCH)


def test_a_group_in_one_message_has_all_its_members(link: Link) -> None:
    search = Search(base=GROUPS_DN, scope=SUBTREE, attributes=["member"], filter="(member=*)")
    groups = [raw.attributes["member"] for raw in Reader(link, page_size=100).pages(search)]
    assert sorted(map(len, groups)) == sorted(GROUPS)
    assert {value.decode() for value in max(groups, key=len)} == {
        person_dn(number) for number in range(max(GROUPS))
    }


def test_nobody_is_no_error_and_a_base_that_is_gone_is(link: Link) -> None:
    reader = Reader(link, page_size=10)
    none = Search(base=PEOPLE_DN, scope=SUBTREE, attributes=["cn"], filter="(cn=nobody)")
    assert list(reader.pages(none)) == []
    gone = Search(base=f"OU=Gone,{BASE_DN}", scope=SUBTREE, attributes=["cn"])
    with pytest.raises(ReadFailedError) as caught:
        list(reader.pages(gone))
    assert caught.value.code == 32


def test_a_read_given_up_half_way_leaves_the_connection_usable(link: Link) -> None:
    reader = Reader(link, page_size=500)
    for _ in range(3):
        pages = everybody(reader)
        next(pages)
        pages.close()  # type: ignore[attr-defined]  # a generator
        assert reader.one(Search(base=BASE_DN, scope=BASE, attributes=["dc"])) is not None


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        (("sizelimit 500",), 4),
        (("limits users size.prtotal=500 size.hard=500",), 4),
        (("limits users size.pr=100 size.hard=unlimited",), 11),
        (("limits users size.prtotal=disabled",), 11),
    ],
)
def test_a_limit_of_the_server_is_an_error_never_a_short_list(
    tmp_path_factory: pytest.TempPathFactory, settings: tuple[str, ...], code: int
) -> None:
    folder = tmp_path_factory.mktemp("limited")
    seen: list[RawEntry] = []
    with (
        SlapdServer(folder, people=600, settings=settings) as limited,
        reading(limited, page_size=200) as reader,
        pytest.raises(ReadFailedError) as caught,
    ):
        seen.extend(everybody(reader))
    assert caught.value.code == code
    assert len(seen) < 600
    assert "Nothing that was read is taken as complete" in caught.value.message


@pytest.mark.parametrize("page_size", [100, PEOPLE + 1])
def test_a_server_killed_in_mid_read_fails_the_read(
    tmp_path_factory: pytest.TempPathFactory, page_size: int
) -> None:
    with SlapdServer(tmp_path_factory.mktemp("killed"), people=PEOPLE) as server:
        gone = server.config()
        with (
            forwarding(HOST, (HOST, server.port)) as between,
            closing(connect(server.config(port=between.port))) as opened,
        ):
            between.on_cut = server.stop
            between.cut_after = between.received + 50_000
            with pytest.raises(DirectoryError) as caught:
                list(everybody(Reader(opened, page_size=page_size)))
        assert caught.value.reason == "ServerUnreachable"
        with pytest.raises(TransientError):
            connect(gone)
        server.start()
        with reading(server, page_size=100) as reader:
            assert len(list(everybody(reader))) == PEOPLE


def test_every_cut_of_the_network_fails_the_read(server: SlapdServer, forwarder: Forwarder) -> None:
    with closing(connect(server.config(port=forwarder.port))) as opened:
        before = forwarder.received
        assert len(list(everybody(Reader(opened, page_size=500)))) == PEOPLE
        length = forwarder.received - before
    for part in range(1, 8):
        with closing(connect(server.config(port=forwarder.port))) as opened:
            forwarder.cut_after = forwarder.received + length * part // 8
            seen: list[RawEntry] = []
            with pytest.raises(DirectoryError) as caught:
                seen.extend(everybody(Reader(opened, page_size=500)))
            assert caught.value.reason == "ServerUnreachable"
            assert len(seen) < PEOPLE
            forwarder.cut_after = None


def test_a_network_that_stalls_is_given_up(server: SlapdServer, forwarder: Forwarder) -> None:
    with closing(connect(server.config(port=forwarder.port, receive_timeout=1))) as opened:
        pages = everybody(Reader(opened, page_size=100))
        next(pages)
        forwarder.silent = True
        with pytest.raises(DirectoryError, match="TimeoutError") as caught:
            list(pages)
        assert caught.value.reason == "ServerUnreachable"


def test_a_server_that_stands_still_is_given_up(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with (
        SlapdServer(tmp_path_factory.mktemp("still"), people=600) as server,
        reading(server, page_size=100, receive_timeout=1) as reader,
    ):
        pages = everybody(reader)
        next(pages)
        server.pause()
        with pytest.raises(DirectoryError, match="TimeoutError"):
            list(pages)


def test_bytes_changed_on_the_way_fail_the_read(server: SlapdServer, forwarder: Forwarder) -> None:
    with closing(connect(server.config(port=forwarder.port))) as opened:
        pages = everybody(Reader(opened, page_size=100))
        next(pages)
        forwarder.spoil = True
        with pytest.raises(DirectoryError) as caught:
            list(pages)
        assert caught.value.reason == "ServerUnreachable"


Words = Callable[[int], bytes]
"""What a server answers to the question of this number."""


def accepted(number: int) -> bytes:
    return message(number, 0x61, b"\x0a\x01\x00\x04\x00\x04\x00")


@pytest.mark.parametrize(
    "words",
    [
        lambda _: b"HTTP/1.1 400 Bad Request\r\n\r\n",
        lambda _: b"\x30\x84\xff\xff\xff\xff",
        lambda number: entry(number) * 200,
        lambda number: entry(number + 7),
        accepted,
        entry,
        lambda _: b"",
    ],
)
def test_a_server_that_speaks_no_ldap_is_refused(server: SlapdServer, words: Words) -> None:
    with (
        trusted_server(server, accepted, words) as port,
        closing(connect(server.config(port=port, receive_timeout=5))) as opened,
        pytest.raises(DirectoryError),
    ):
        list(everybody(Reader(opened, page_size=100)))


@pytest.mark.parametrize(
    "words",
    [
        lambda number: message(number, 0x61, b""),
        lambda number: accepted(number + 7),
        lambda _: b"\x30\x03\x01\x02\x03",
        lambda _: b"x" * 100_000,
        lambda _: b"",
    ],
)
def test_a_bind_that_is_not_answered_in_ldap_is_refused(server: SlapdServer, words: Words) -> None:
    with trusted_server(server, words) as port, pytest.raises(TransientError) as caught:
        connect(server.config(port=port, receive_timeout=5))
    assert caught.value.reason == "ServerUnreachable"


@contextmanager
def trusted_server(server: SlapdServer, *answers: Words) -> Iterator[int]:
    """A server with the right certificate and words of its own, then the end; gives its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*server.certificate_files)

    def serve(listener: socket.socket) -> None:
        with suppress(OSError):
            client, _ = listener.accept()
            with client, context.wrap_socket(client, server_side=True) as secured:
                for answer in answers:
                    question = secured.recv(4096)
                    secured.sendall(answer(decode_message(question).message_id))

    with closing(socket.create_server((HOST, 0))) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            thread.join()
