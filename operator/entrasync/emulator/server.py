"""Serving the emulated cloud over TLS, and telling how to reach it."""

from __future__ import annotations

import datetime as dt
import gc
import ipaddress
import os
import signal
import socket
import ssl
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import structlog
import uvicorn
from typing_extensions import override

from entrasync.emulator.app import EmulatorApp, Sources, split_listen
from entrasync.emulator.certificates import KeyPair
from entrasync.emulator.config import DEFAULT_HOSTNAMES, load_config
from entrasync.emulator.http import Scope
from entrasync.emulator.persistence import DataFile
from entrasync.emulator.preparation import Prepared, describe, prepare, public_url
from entrasync.errors import ConfigurationError, EntrasyncError

EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
EXIT_CONFIGURATION: Final = 2
_log = structlog.get_logger()


class EmulatorServer(uvicorn.Server):
    """A server that tells once it listens.

    Args:
        prepared: the cloud.
        data: where changes go.
        on_start: is called once.
        sources: time, ids and chance.
    """

    def __init__(
        self,
        prepared: Prepared,
        data: DataFile,
        *,
        on_start: Callable[[], None],
        sources: Sources | None = None,
    ) -> None:
        self.app = EmulatorApp(prepared.config, data, sources, cut=self._cut)
        """The cloud without its connections."""
        super().__init__(
            uvicorn.Config(
                self.app,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                proxy_headers=False,
                limit_concurrency=200,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=5,
                ssl_context_factory=lambda *_: server_context(prepared.tls.server),
            )
        )
        self._on_start = on_start

    def _cut(self, scope: Scope) -> None:
        """Breaks the TCP connection a request came by, without goodbye."""
        for connection in list(self.server_state.connections):
            transport = getattr(connection, "transport", None)
            if getattr(connection, "scope", None) is scope and transport is not None:
                transport.abort()

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_start()

    @override
    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # Clients keep connections, and TLS would wait for each of them to say goodbye.
        for connection in list(self.server_state.connections):
            cycle = getattr(connection, "cycle", None)
            transport = getattr(connection, "transport", None)
            if transport is not None and (cycle is None or cycle.response_complete):
                transport.abort()
        await super().shutdown(sockets)


def server_context(pair: KeyPair) -> ssl.SSLContext:
    """TLS 1.2 or later with this certificate; the key is on disk for an instant only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "server.pem"
        file.touch(mode=0o600)
        file.write_text(pair.certificate + "\n" + pair.key)
        try:
            context.load_cert_chain(file)
        except ssl.SSLError as error:
            raise ConfigurationError(
                "CertificateNotTrusted",
                "the server's certificate and key are no pair of PEM files.",
                field="tls.certFile",
            ) from error
    return context


def run_emulator(
    *,
    config: Path | None = None,
    listen: str,
    data: Path | None = None,
    hostnames: Sequence[str] = (),
) -> int:
    """Prints the cloud's resources and serves it; the body of `entrasync emulate`.

    Args:
        config: configuration file, `None` for one tenant.
        listen: `HOST:PORT`; port 0 takes a free one.
        data: file that keeps what the tenants hold, `None` to forget it at the end.
        hostnames: names of the server's certificate instead of those of the configuration.

    Returns:
        The exit code.
    """
    try:
        host, port = split_listen(listen)
        loaded = load_config(config) if config is not None else None
        with DataFile(data) as kept:
            names = hostnames or ([] if loaded is not None else _names_for(host))
            prepared = prepare(loaded, kept, names, dt.datetime.now(dt.UTC))
            with open_socket(host, port) as bound:
                bound_port = bound.getsockname()[1]
                server = EmulatorServer(
                    prepared, kept, on_start=lambda: _announce(prepared, bound_port)
                )
                _run_until_told(server, bound)
    except EntrasyncError as error:
        _log.error("emulator_cannot_start", reason=error.reason, message=str(error))
        return EXIT_CONFIGURATION if isinstance(error, ConfigurationError) else EXIT_FAILED
    _log.info("emulator_stopped")
    return EXIT_DONE if server.started else EXIT_FAILED


def open_socket(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        ConfigurationError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio sends small answers at once only on sockets that say that they are TCP.
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen()
    except (OSError, OverflowError) as error:
        bound.close()
        raise ConfigurationError(
            "RunFailed", f"--listen {host}:{port} cannot be had: {error}."
        ) from error
    return bound


def _announce(prepared: Prepared, port: int) -> None:
    """Prints the resources: the port is bound, so they are true from the first line."""
    sys.stdout.write(describe(prepared, port))
    sys.stdout.flush()
    clouds = prepared.config.served_clouds
    _log.info(
        "emulator_started",
        urls=[public_url(prepared.config, port, cloud) for cloud in clouds],
        tenants=len(prepared.config.tenants),
    )


def _run_until_told(server: uvicorn.Server, bound: socket.socket) -> None:
    """Serves until SIGTERM or SIGINT, which the server raises again when it is done with it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    # what the tenants hold already stays: looking for garbage among it would hold up requests
    gc.collect()
    gc.freeze()
    server.run(sockets=[bound])


def _names_for(host: str) -> list[str]:
    """Names of a certificate nobody asked for: where it listens, and this host's own."""
    try:
        anywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        anywhere = False
    extra = [os.uname().nodename.lower()] if anywhere else [host]
    return [*DEFAULT_HOSTNAMES, *(name for name in extra if name not in DEFAULT_HOSTNAMES)]
