"""`/healthz`: whether the process works, told by leader and standby alike.

It has a thread of its own: an event loop that is stuck is what it must be able to tell.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

from typing_extensions import override

from entrasync.errors import ConfigurationError

HEALTH_PATH: Final = "/healthz"
Check = Callable[[], str | None]
"""Says what is wrong, or nothing."""


@dataclass(slots=True)
class Standstill:
    """Tells how long something that should move has not moved; no clock that jumps is asked.

    Attributes:
        value: what should move.
        clock: seconds that only run forward.
    """

    value: Callable[[], object]
    clock: Callable[[], float]
    _seen: object = field(default_factory=object)
    _since: float = 0.0

    def seconds(self) -> float:
        """Seconds since it was first seen as it is."""
        now, value = self.clock(), self.value()
        if value != self._seen:
            self._seen, self._since = value, now
        return now - self._since


@dataclass(slots=True, frozen=True)
class Health:
    """Everything that must hold.

    Attributes:
        checks: by name.
    """

    checks: Mapping[str, Check]

    def problems(self) -> dict[str, str]:
        """What does not hold, by name."""
        found = {}
        for name, check in self.checks.items():
            problem = check()
            if problem is not None:
                found[name] = problem
        return found


class HealthServer:
    """Serves `/healthz` until the process ends.

    Args:
        health: what is told.
        port: to listen at; 0 for any that is free.

    Raises:
        ConfigurationError: the port cannot be had.
    """

    def __init__(self, health: Health, port: int) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = 5

            def do_GET(self) -> None:
                if self.path != HEALTH_PATH:
                    self.send_error(404)
                    return
                problems = health.problems()
                body = json.dumps({"healthy": not problems, **problems}).encode()
                self.send_response(500 if problems else 200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            @override
            def log_message(self, format: str, *args: object) -> None:
                """Probes come every few seconds; they are not worth a line."""

        try:
            self._server = ThreadingHTTPServer(("0.0.0.0", port), Handler)  # noqa: S104  - the kubelet asks from the node
        except OSError as error:
            raise ConfigurationError(
                "ConfigurationInvalid",
                f"port {port} for {HEALTH_PATH} cannot be had ({error.strerror}); set another one"
                " with ENTRASYNC_HEALTH_PORT",
            ) from None
        self._server.daemon_threads = True

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Begins to serve, in a thread."""
        threading.Thread(target=self._server.serve_forever, name="health", daemon=True).start()

    def stop(self) -> None:
        """Ends it."""
        self._server.shutdown()
        self._server.server_close()
