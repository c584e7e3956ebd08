"""A TCP forwarder in front of a real server: it counts connections, and can cut them."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHUNK = 4096


class Forwarder:
    """Forwards to one address.

    Args:
        host: address to listen on; a certificate may have to name it.
        target: host and port of the real server.
    """

    def __init__(self, host: str, target: tuple[str, int]) -> None:
        self._target = target
        self._listener = socket.create_server((host, 0))
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self.received = 0
        """Bytes the server sent."""
        self.cut_after: int | None = None
        """Cut all connections once the server has sent that many bytes."""
        self.on_cut: Callable[[], None] | None = None
        """Called when that is so, before anything is cut."""
        self.silent = False
        """Swallow what the server sends."""
        self.spoil = False
        """Change what the server sends."""

    def start(self) -> None:
        self._run(self._accept)

    def stop(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()
        for end in self._open:
            end.close()

    def cut(self) -> None:
        """End all connections at once."""
        _end(*self._open)

    def _run(self, work: Callable[..., None], *arguments: socket.socket) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            server = socket.create_connection(self._target)
            self._open += [client, server]
            self._run(self._send_on, client, server)
            self._run(self._bring_back, server, client)

    def _send_on(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(_CHUNK):
                server.sendall(data)
        _end(client, server)

    def _bring_back(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(_CHUNK):
                self.received += len(data)
                if self.cut_after is not None and self.received > self.cut_after:
                    if self.on_cut is not None:
                        self.on_cut()
                    break
                if not self.silent:
                    client.sendall(data[::-1] if self.spoil else data)
        _end(client, server)


def _end(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def forwarding(host: str, target: tuple[str, int]) -> Iterator[Forwarder]:
    """Forward while the block runs."""
    forwarder = Forwarder(host, target)
    forwarder.start()
    try:
        yield forwarder
    finally:
        forwarder.stop()
