"""The fence before each change: whoever does not lead reads, and sends nothing else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from kubernetes import client
from typing_extensions import override

from entrasync.controller.election import NotLeadingError
from entrasync.controller.transport import Policy, Transport


class BusyServer(ThreadingHTTPServer):
    """An API server that is busy the first time, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), BusyHandler)
        self.asked: list[str] = []


class BusyHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, BusyServer)
        self.server.asked.append(self.command)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        busy = len(self.server.asked) == 1
        self.send_response(429 if busy else 200)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815  - the library's names

    @override
    def log_message(self, format: str, *args: object) -> None:
        """Nothing is worth a line."""


class Leader:
    """Leads for a number of questions."""

    def __init__(self, times: int) -> None:
        self.times = times

    def permit(self) -> None:
        if self.times == 0:
            raise NotLeadingError
        self.times -= 1


@pytest.fixture
def server() -> Iterator[BusyServer]:
    with BusyServer() as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def transport(server: BusyServer, leader: Leader) -> Transport:
    settings = client.Configuration()
    settings.host = f"http://127.0.0.1:{server.server_address[1]}"
    return Transport(client.ApiClient(settings), Policy(permit=leader.permit))


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_who_does_not_lead_changes_nothing(server: BusyServer, method: str) -> None:
    with pytest.raises(NotLeadingError):
        transport(server, Leader(0)).send(method, "/x", body={})
    assert server.asked == []


def test_who_does_not_lead_reads(server: BusyServer) -> None:
    assert transport(server, Leader(0)).send("GET", "/x") == b"{}"
    assert server.asked == ["GET", "GET"]


def test_what_is_sent_again_is_asked_for_again(server: BusyServer) -> None:
    with pytest.raises(NotLeadingError):
        transport(server, Leader(1)).send("POST", "/x", body={})
    assert server.asked == ["POST"]


def test_a_leader_goes_on(server: BusyServer) -> None:
    assert transport(server, Leader(2)).send("POST", "/x", body={}) == b"{}"
    assert server.asked == ["POST", "POST"]
