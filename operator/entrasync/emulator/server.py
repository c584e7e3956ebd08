"""Serving the emulated cloud over TLS, and telling how to reach it."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import signal
import socket
import ssl
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import structlog
import uvicorn
from typing_extensions import override

from entrasync.emulator.app import EmulatorApp, split_listen
from entrasync.emulator.certificates import (
    KeyPair,
    ServerTls,
    make_application_pair,
    make_server_tls,
)
from entrasync.emulator.config import (
    DEFAULT_HOSTNAMES,
    EmulatorConfig,
    Tenant,
    Tls,
    default_config,
    load_config,
)
from entrasync.emulator.manifests import cloud_manifest, render, tenant_manifests
from entrasync.emulator.persistence import DataFile
from entrasync.errors import ConfigurationError, EntrasyncError

EXIT_DONE: Final = 0
EXIT_FAILED: Final = 1
EXIT_CONFIGURATION: Final = 2
_HTTPS_PORT: Final = 443
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A cloud ready to serve: nothing is missing in its configuration any more."""

    config: EmulatorConfig
    tls: ServerTls
    pairs: Mapping[str, KeyPair]
    """Certificates made for applications that had no credential, by client id."""


def prepare(
    config: EmulatorConfig | None, data: DataFile, hostnames: Sequence[str], now: dt.datetime
) -> Prepared:
    """Makes what the configuration leaves out, or finds it in the data file.

    Args:
        config: the cloud, `None` for one tenant with ids of its own.
        data: keeps what is made, so that a restart changes nothing for clients.
        hostnames: names of the server's certificate; empty: those of the configuration.
        now: when certificates begin to be valid.

    Raises:
        ConfigurationError: a certificate file cannot be read.
    """
    if config is None:
        ids = data.fact("ids", lambda: [str(uuid.uuid4()), str(uuid.uuid4())])
        config = default_config(*ids)
    pairs: dict[str, KeyPair] = {}
    tenants = [_with_credentials(tenant, data, now, pairs) for tenant in config.tenants]
    names = list(hostnames or config.tls.hostnames)
    config = config.model_copy(
        update={"tenants": tenants, "tls": config.tls.model_copy(update={"hostnames": names})}
    )
    return Prepared(config=config, tls=_server_tls(config.tls, data, now), pairs=pairs)


class EmulatorServer(uvicorn.Server):
    """A server that tells once it listens.

    Args:
        prepared: the cloud.
        data: where changes go.
        on_start: is called once.
    """

    def __init__(
        self,
        prepared: Prepared,
        data: DataFile,
        *,
        on_start: Callable[[], None],
    ) -> None:
        super().__init__(
            uvicorn.Config(
                EmulatorApp(prepared.config, data),
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


def public_url(config: EmulatorConfig, port: int) -> str:
    """Where clients reach the emulator."""
    if config.public_url is not None:
        return config.public_url.rstrip("/")
    host = config.tls.hostnames[0]
    return f"https://{host}" if port == _HTTPS_PORT else f"https://{host}:{port}"


def describe(prepared: Prepared, url: str) -> str:
    """The cloud, its tenants and their credentials as YAML to apply."""
    manifests = [cloud_manifest(prepared.config, url, prepared.tls.ca)]
    for tenant in prepared.config.tenants:
        manifests += tenant_manifests(prepared.config, tenant, prepared.pairs)
    return render(manifests)


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
                url = public_url(prepared.config, bound.getsockname()[1])
                server = EmulatorServer(prepared, kept, on_start=lambda: _announce(prepared, url))
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
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ConfigurationError(
            "RunFailed", f"--listen {host}:{port} cannot be had: {error.strerror or error}."
        ) from error


def _announce(prepared: Prepared, url: str) -> None:
    """Prints the resources: the port is bound, so they are true from the first line."""
    sys.stdout.write(describe(prepared, url))
    sys.stdout.flush()
    _log.info("emulator_started", url=url, tenants=len(prepared.config.tenants))


def _run_until_told(server: uvicorn.Server, bound: socket.socket) -> None:
    """Serves until SIGTERM or SIGINT, which the server raises again when it is done with it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server.run(sockets=[bound])


def _with_credentials(
    tenant: Tenant, data: DataFile, now: dt.datetime, pairs: dict[str, KeyPair]
) -> Tenant:
    applications = []
    for each in tenant.applications:
        if each.client_secret is None and each.certificate is None:
            client_id = each.client_id
            pair = KeyPair(
                **data.fact(
                    f"application/{client_id}",
                    lambda: asdict(make_application_pair(client_id, now)),  # noqa: B023 - at once
                )
            )
            pairs[client_id] = pair
            applications.append(each.model_copy(update={"certificate": pair.certificate}))
        else:
            applications.append(each)
    return tenant.model_copy(update={"applications": applications})


def _server_tls(tls: Tls, data: DataFile, now: dt.datetime) -> ServerTls:
    if tls.cert_file is not None and tls.key_file is not None:
        ca = _read(tls.ca_file, "tls.caFile") if tls.ca_file is not None else ""
        pair = KeyPair(
            certificate=_read(tls.cert_file, "tls.certFile"),
            key=_read(tls.key_file, "tls.keyFile"),
        )
        return ServerTls(server=pair, ca=ca)
    fact = f"tls/{','.join(tls.hostnames)}"
    kept = data.fact(fact, lambda: asdict(make_server_tls(tls.hostnames, now)))
    return ServerTls(server=KeyPair(**kept["server"]), ca=kept["ca"])


def _read(file: Path, field: str) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            "SecretNotFound", f"{file} cannot be read: {error.strerror}.", field=field
        ) from error


def _names_for(host: str) -> list[str]:
    """Names of a certificate nobody asked for: where it listens, and this host's own."""
    try:
        anywhere = ipaddress.ip_address(host).is_unspecified
    except ValueError:
        anywhere = False
    extra = [os.uname().nodename.lower()] if anywhere else [host]
    return [*DEFAULT_HOSTNAMES, *(name for name in extra if name not in DEFAULT_HOSTNAMES)]
