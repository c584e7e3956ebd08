"""An HTTP server in front of the API server: it fails calls as it is told to, and cuts watches.

The operator speaks plain HTTP to it; it speaks to the API server as administrator.
"""

from __future__ import annotations

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from typing_extensions import override

from tests.support.control_plane import ControlPlane

_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


@dataclass(slots=True, frozen=True, kw_only=True)
class Call:
    """One call.

    Attributes:
        number: counted from 1, watches left out.
        method: of HTTP.
        path: with its query.
    """

    number: int
    method: str
    path: str

    @property
    def changes(self) -> bool:
        """Whether it changes anything."""
        return self.method != "GET"

    @property
    def elects(self) -> bool:
        """Whether it is about who leads."""
        return "/leases/entrasync-leader" in self.path


@dataclass(slots=True, frozen=True)
class Answer:
    """Answered here, never seen by the API server."""

    status: int
    retry_after: int | None = None


@dataclass(slots=True, frozen=True)
class Lose:
    """The connection is cut; when it was `done`, only after the API server did as it was asked."""

    done: bool


Fault = Answer | Lose
Plan = Callable[[Call], Fault | None]


class FaultyApi(ThreadingHTTPServer):
    """The server.

    Args:
        plane: what it stands in front of.

    Attributes:
        plan: what goes wrong; nothing at first.
        calls: all calls so far, watches left out.
        blind: whether watches are refused.
    """

    daemon_threads = True

    def __init__(self, plane: ControlPlane) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.block_on_close = False
        self.plan: Plan = lambda _: None
        self.calls: list[Call] = []
        self.blind = False
        self.lock = threading.Lock()
        self.watches: set[http.client.HTTPConnection] = set()
        self._target = urlsplit(plane.server)
        ca, certificate, key = plane.pair_of("admin")
        self._context = ssl.create_default_context(cafile=str(ca))
        self._context.load_cert_chain(str(certificate), str(key))

    def kubeconfig(self, folder: Path) -> Path:
        """KUBECONFIG of one who speaks to it."""
        path = folder / "faulty.kubeconfig"
        cluster = {"server": f"http://127.0.0.1:{self.server_port}"}
        context = {"cluster": "faulty", "user": "nobody"}
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "faulty", "cluster": cluster}],
                    "users": [{"name": "nobody", "user": {"token": "none"}}],
                    "contexts": [{"name": "faulty", "context": context}],
                    "current-context": "faulty",
                }
            )
        )
        return path

    def cut_watches(self) -> int:
        """Ends all watches at once, and tells how many there were."""
        with self.lock:
            cut = list(self.watches)
        for connection in cut:
            if connection.sock is not None:
                with suppress(OSError):
                    connection.sock.shutdown(2)
        return len(cut)

    def connect(self) -> http.client.HTTPSConnection:
        """A connection to the API server."""
        return http.client.HTTPSConnection(
            self._target.hostname or "", self._target.port, context=self._context, timeout=120
        )

    @override
    def handle_error(self, request: object, client_address: object) -> None:
        """The operator ends its connections as it likes, and may be killed."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _serve(self) -> None:
        api = cast("FaultyApi", self.server)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "watch=true" in self.path:
            if api.blind:
                self.close_connection = True
            else:
                self._watch(api)
            return
        with api.lock:
            call = Call(number=len(api.calls) + 1, method=self.command, path=self.path)
            api.calls.append(call)
        fault = api.plan(call)
        if isinstance(fault, Answer):
            self._tell(fault)
            return
        if fault is None or fault.done:
            status, headers, data = self._forward(api, body)
        if isinstance(fault, Lose):
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815  - the library's names

    def _forward(self, api: FaultyApi, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = api.connect()
        try:
            connection.request(self.command, self.path, body or None, self._headers())
            answer = connection.getresponse()
            kept = [(n, v) for n, v in answer.getheaders() if n.lower() not in _HOP]
            return answer.status, kept, answer.read()
        except OSError:
            return 503, [], b'{"message": "the API server is away"}'
        finally:
            connection.close()

    def _watch(self, api: FaultyApi) -> None:
        connection = api.connect()
        self.close_connection = True
        try:
            connection.request("GET", self.path, headers=self._headers())
            answer = connection.getresponse()
            with api.lock:
                api.watches.add(connection)
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            # as the API server does it: what is cut within an event is seen to be cut
            self.send_header("Transfer-Encoding", "chunked")
            self.send_header("Connection", "close")
            self.end_headers()
            while data := answer.read1(65536):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
        except (OSError, http.client.HTTPException):
            return
        finally:
            with api.lock:
                api.watches.discard(connection)
            connection.close()

    def _headers(self) -> dict[str, str]:
        dropped = _HOP | {"host", "authorization", "accept-encoding"}
        return {n: v for n, v in self.headers.items() if n.lower() not in dropped}

    def _tell(self, answer: Answer) -> None:
        reason = {409: "Conflict", 429: "TooManyRequests"}.get(answer.status, "InternalError")
        told = {"kind": "Status", "apiVersion": "v1", "reason": reason, "code": answer.status}
        data = json.dumps(told | {"message": "as it was told"}).encode()
        self.send_response(answer.status)
        if answer.retry_after is not None:
            self.send_header("Retry-After", str(answer.retry_after))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    @override
    def log_message(self, format: str, *arguments: object) -> None:
        del format, arguments


@contextmanager
def faulty_api(plane: ControlPlane) -> Iterator[FaultyApi]:
    """Stands in front of an API server while the block runs."""
    with FaultyApi(plane) as api:
        thread = threading.Thread(target=api.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield api
        finally:
            api.cut_watches()
            api.shutdown()
            thread.join()
