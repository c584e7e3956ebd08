"""Servers that are trusted, and yet answer the first questions with anything."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from entrasync.directory import ber
from entrasync.directory.model import DirectoryConfig
from entrasync.directory.session import open_session
from entrasync.emulator.certificates import Authority
from entrasync.errors import TransientError
from tests.support.wire import entry, message, tlv

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration

HOST = "127.0.0.77"
ENDLESS = b"\x30\x84\x7f\xff\xff\xff" + bytes(1 << 16)
NESTED = b""
for _ in range(4000):
    NESTED = tlv(0x30, NESTED)
SUCCESS = b"\x0a\x01\x00\x04\x00\x04\x00"
STARTED = b"STARTED"
"""Stands for the right answer to StartTLS."""


class Trusted:
    """A server with a certificate; after the first question it says what it likes."""

    def __init__(self, folder: Path, says: Callable[[], Iterator[bytes]], *, plain: bytes) -> None:
        self._says = says
        self._plain = plain
        authority = Authority("test CA", dt.datetime.now(dt.UTC))
        pair = authority.issue([HOST])
        path = folder / "pair.pem"
        path.write_text(pair.certificate + pair.key)
        self.ca_pem = authority.certificate
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(path)
        self._listener = socket.create_server((HOST, 0))
        self.port = self._listener.getsockname()[1]
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.ended.set()
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        with suppress(OSError):
            client, _ = self._listener.accept()
            with client:
                if self._plain:
                    number = ber.decode_message(client.recv(4096)).message_id
                    started = message(number, 0x78, SUCCESS)
                    client.sendall(self._plain.replace(STARTED, started))
                with self._tls.wrap_socket(client, server_side=True) as inner:
                    inner.recv(4096)
                    for piece in self._says():
                        inner.sendall(piece)
                    self.ended.wait()


@contextmanager
def trusted(
    folder: Path, says: Callable[[], Iterator[bytes]], *, plain: bytes = b""
) -> Iterator[tuple[Trusted, DirectoryConfig]]:
    server = Trusted(folder, says, plain=plain)
    scheme = "ldap" if plain else "ldaps"
    try:
        yield (
            server,
            DirectoryConfig(
                servers=(f"{scheme}://{HOST}:{server.port}",),
                base_dn=None,
                bind_user="reader@contoso.test",
                bind_password="Secret!1",
                ca_pem=server.ca_pem,
                start_tls=bool(plain),
                receive_timeout=2,
            ),
        )
    finally:
        server.stop()


def endless() -> Iterator[bytes]:
    while True:
        yield ENDLESS


def entries() -> Iterator[bytes]:
    """Give answers to a search that nobody asked for."""
    while True:
        yield entry(1) * 100


def other_numbers() -> Iterator[bytes]:
    yield entry(99) * 100


def notices() -> Iterator[bytes]:
    while True:
        yield message(0, 0x78, SUCCESS)


def nested() -> Iterator[bytes]:
    yield NESTED


def nothing_that_is_said_to_be_something() -> Iterator[bytes]:
    yield message(1, 0x61, b"")


def silence() -> Iterator[bytes]:
    return iter(())


ODD = [endless, entries, other_numbers, notices, nested, nothing_that_is_said_to_be_something]


@pytest.mark.parametrize("says", [*ODD, silence])
def test_no_answer_to_the_bind_is_waited_for_without_end(
    tmp_path: Path, says: Callable[[], Iterator[bytes]]
) -> None:
    with trusted(tmp_path, says) as (_, config), pytest.raises(TransientError) as caught:
        open_session(config)
    assert caught.value.reason == "ServerUnreachable"
    assert "Secret!1" not in str(caught.value)


@pytest.mark.parametrize("said", [ENDLESS * 40, entry(1) * 20_000, NESTED, b"\x30\x05"])
def test_no_answer_to_starttls_is_waited_for_without_end(tmp_path: Path, said: bytes) -> None:
    with (
        trusted(tmp_path, silence, plain=said) as (_, config),
        pytest.raises(TransientError) as caught,
    ):
        open_session(config)
    assert caught.value.reason == "ServerUnreachable"


def test_a_bind_that_comes_byte_by_byte_ends_in_time(tmp_path: Path) -> None:
    with trusted(tmp_path, silence) as (server, config):

        def byte_by_byte() -> Iterator[bytes]:
            for piece in ENDLESS:
                server.ended.wait(0.2)  # sooner than the server is given up for its silence
                yield bytes((piece,))

        server._says = byte_by_byte
        with pytest.raises(TransientError, match=r"took too long|timed out"):
            open_session(config)


def test_after_starttls_the_limits_are_the_same(tmp_path: Path) -> None:
    with (
        trusted(tmp_path, endless, plain=STARTED) as (_, config),
        pytest.raises(TransientError, match="more than an answer"),
    ):
        open_session(config)
