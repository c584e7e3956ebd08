"""Through a company's proxy: one that forwards, and one whose CA is trusted in addition."""

from __future__ import annotations

import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from typing_extensions import override

from entrasync.entra.clouds import Cloud
from entrasync.entra.login_http import LoginHttp
from entrasync.entra.transport import http_client
from tests.unit.entra.test_transport import tls_server


class _Tunnel(socketserver.StreamRequestHandler):
    """Answers CONNECT, and carries what comes between both sides."""

    @override
    def handle(self) -> None:
        method, target, _ = self.rfile.readline().decode().split()
        while self.rfile.readline().strip():
            pass
        assert isinstance(self.server, _Proxy)
        self.server.asked.append((method, target))
        host, _, port = target.rpartition(":")
        with socket.create_connection((host, int(port))) as there:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            pairs = {self.connection: there, there: self.connection}
            while True:
                for ready in select.select(list(pairs), [], [])[0]:
                    data = ready.recv(65_536)
                    if not data:
                        return
                    pairs[ready].sendall(data)


class _Proxy(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.asked: list[tuple[str, str]] = []


@contextmanager
def proxy(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Iterator[_Proxy]:
    for name in ("HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with _Proxy() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{server.server_address[1]}")
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield server
        server.shutdown()
        thread.join()


def target_of(cloud: Cloud) -> str:
    return cloud.sync_service_url.removeprefix("https://")


def test_calls_and_logins_go_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    with tls_server() as cloud, proxy(monkeypatch) as between:
        with http_client(cloud, read_seconds=30) as client:
            assert client.post(cloud.sync_service_url, content=b"x").status_code == 200
        login = LoginHttp(cloud)
        assert login.post(cloud.login_authority, data={"a": "b"}).status_code == 200
        login.close()
    assert between.asked == [("CONNECT", target_of(cloud))] * 2


@pytest.mark.parametrize("hosts", ["localhost", ".example,localhost"])
def test_hosts_may_be_left_out(monkeypatch: pytest.MonkeyPatch, hosts: str) -> None:
    with (
        tls_server() as cloud,
        proxy(monkeypatch, NO_PROXY=hosts) as between,
        http_client(cloud, read_seconds=30) as client,
    ):
        assert client.post(cloud.sync_service_url, content=b"x").status_code == 200
    assert between.asked == []


def test_the_authority_of_a_proxy_that_opens_connections_is_trusted() -> None:
    with tls_server() as cloud:
        inspected = replace(cloud, ca_bundle_pem=None, extra_ca_pem=cloud.ca_bundle_pem)
        with http_client(inspected, read_seconds=30) as client:
            assert client.post(cloud.sync_service_url, content=b"x").status_code == 200
