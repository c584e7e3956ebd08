"""A TLS server in front of a domain controller: it changes bytes of what that says.

So a real Active Directory becomes one that lacks something, or another one. What is put in place
must be as long as what it replaces.
"""

from __future__ import annotations

import select
import socket
import ssl
import tempfile
import threading
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from entrasync.directory.ber import frame_length

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.samba import SambaServer

Replacement = tuple[bytes, bytes]

_CHUNK = 1 << 16
_DIRSYNC = b"1.2.840.113556.1.4.841"
_USN = b"highestCommittedUSN"

NO_DIRSYNC: Replacement = (_DIRSYNC, b"1.2.840.113556.1.4.999")
"""The control is not offered."""
NO_USN: Replacement = (_USN, b"x" * len(_USN))
"""The server does not tell how far it is."""


class Front:
    """Listens on a port of its own at the domain controller's address.

    Args:
        server: the domain controller.
        answers: what to replace in what it says.
        most: how many messages of it a connection brings before it ends.
    """

    def __init__(
        self, server: SambaServer, answers: Sequence[Replacement] = (), most: int | None = None
    ) -> None:
        self.answers = list(answers)
        self._most = most
        self._target = (server.host, 636)
        self._listener = socket.create_server((server.host, 0))
        self.url = f"ldaps://{server.host}:{self._listener.getsockname()[1]}"
        self._inward = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pair.pem"
            path.write_text(server.pair.certificate + server.pair.key)
            self._inward.load_cert_chain(path)
        self._outward = ssl.create_default_context(cadata=server.ca_pem)
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        self._run(self._accept)

    def stop(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._open:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _run(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]  # a bound method
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(plain)
            self._run(self._serve, plain)

    def _serve(self, plain: socket.socket) -> None:
        with plain, suppress(OSError), ExitStack() as stack:
            client = stack.enter_context(self._inward.wrap_socket(plain, server_side=True))
            beyond = stack.enter_context(socket.create_connection(self._target))
            host = self._target[0]
            server = stack.enter_context(self._outward.wrap_socket(beyond, server_hostname=host))
            self._open += [client, server]
            # one thread for both ways: a TLS connection is not for two
            held = bytearray()
            brought = 0
            while True:
                both = (client, server)
                ready = [end for end in both if end.pending()] or select.select(both, [], [])[0]
                for end in ready:
                    data = end.recv(_CHUNK)
                    if not data:
                        return
                    if end is client:
                        server.sendall(data)
                        continue
                    held += data
                    for frame in _frames(held):
                        if brought == self._most:
                            return
                        brought += 1
                        client.sendall(_replaced(frame, self.answers))


def _frames(buffer: bytearray) -> Iterator[bytes]:
    """Takes the whole messages out of a buffer."""
    while (length := frame_length(bytes(buffer), 0)) is not None and length <= len(buffer):
        yield bytes(buffer[:length])
        del buffer[:length]


def _replaced(frame: bytes, replacements: Sequence[Replacement]) -> bytes:
    for old, new in replacements:
        assert len(old) == len(new)
        frame = frame.replace(old, new)
    return frame


@contextmanager
def fronting(
    server: SambaServer, answers: Sequence[Replacement] = (), most: int | None = None
) -> Iterator[Front]:
    """Stands in front of a domain controller while the block runs."""
    front = Front(server, answers, most)
    front.start()
    try:
        yield front
    finally:
        front.stop()
