"""What failures of HTTP mean for a person."""

from __future__ import annotations

import datetime as dt
import ssl
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import httpx
import pytest
from typing_extensions import override

from entrasync.emulator.certificates import make_server_tls
from entrasync.entra.clouds import Cloud
from entrasync.entra.transport import http_client, timeout_of, transport_error
from entrasync.errors import ConfigurationError, TransientError

CLOUD = Cloud(
    name="private", login_authority="https://login.test", sync_service_url="https://sync.test"
)
URL = "https://sync.test:8443/provisioningservice.svc"


def chained(cause: BaseException) -> httpx.ConnectError:
    """As httpx raises it: the certificate's failure behind two others."""
    middle = OSError("wrapped")
    middle.__cause__ = cause
    error = httpx.ConnectError("failed")
    error.__context__ = middle
    return error


@pytest.mark.parametrize(
    "error",
    [
        chained(ssl.SSLCertVerificationError("self-signed certificate")),
        httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"),
    ],
)
def test_a_certificate_not_trusted_is_for_a_person_to_settle(error: httpx.HTTPError) -> None:
    found = transport_error(error, CLOUD, URL, "spec.syncService.url")

    assert isinstance(found, ConfigurationError)
    assert (found.reason, found.field) == ("CertificateNotTrusted", "spec.caBundle")
    assert found.resource == "AzureCloud/private"
    assert "sync.test" in found.message


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("cut"),
        chained(ssl.SSLError("wrong version")),
    ],
)
def test_anything_else_passes_by_itself(error: httpx.HTTPError) -> None:
    found = transport_error(error, CLOUD, URL, "spec.syncService.url")

    assert isinstance(found, TransientError)
    assert (found.reason, found.field) == ("ServerUnreachable", "spec.syncService.url")
    assert type(error).__name__ in found.message
    assert str(error) not in found.message


def test_a_client_follows_no_redirection_and_waits_as_long_as_an_export_takes() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(302, headers={"location": "/x"}))
    with http_client(CLOUD, read_seconds=600, transport=transport) as client:
        assert client.get(URL).status_code == 302
        assert (client.timeout.read, client.timeout.connect) == (600, 20)


def test_a_client_with_a_broken_bundle_is_not_made() -> None:
    broken = Cloud(
        name="private",
        login_authority="https://login.test",
        sync_service_url="https://sync.test",
        ca_bundle_pem="rubbish",
    )
    with pytest.raises(ConfigurationError):
        http_client(broken, read_seconds=1)


def test_no_cookies_are_kept() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, headers={"set-cookie": "affinity=1; Path=/"})

    with http_client(CLOUD, read_seconds=1, transport=httpx.MockTransport(answer)) as client:
        client.get(URL)
        client.get(URL)

    assert all("cookie" not in each.headers for each in seen)


def test_one_exchange_may_have_limits_of_its_own() -> None:
    found = timeout_of(120)

    assert (found.read, found.write, found.connect, found.pool) == (120, 120, 20, 20)


class _Counting(BaseHTTPRequestHandler):
    """Answers everything, and counts connections."""

    protocol_version = "HTTP/1.1"
    connections: ClassVar[set[object]] = set()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.connections.add(self.client_address)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Says nothing."""


@contextmanager
def tls_server() -> Iterator[Cloud]:
    tls = make_server_tls(["localhost"], dt.datetime.now(dt.UTC))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
        certificate.write_text(tls.server.certificate)
        key.write_text(tls.server.key)
        context.load_cert_chain(certificate, key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Counting)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = f"https://localhost:{server.server_address[1]}"
        yield Cloud(name="private", login_authority=url, sync_service_url=url, ca_bundle_pem=tls.ca)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_one_connection_serves_many_calls() -> None:
    _Counting.connections.clear()
    with tls_server() as cloud, http_client(cloud, read_seconds=30) as client:
        for _ in range(5):
            assert client.post(cloud.sync_service_url, content=b"x").status_code == 200

    assert len(_Counting.connections) == 1
