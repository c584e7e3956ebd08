"""Serves the metrics, from a thread of its own: before, beside and without kopf's event loop.

kopf ends every asyncio task that was made after its start, and a standby does not run it at all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from prometheus_client import start_http_server

from entrasync.controller.metrics import OperatorMetrics
from entrasync.errors import ConfigurationError

ALL_ADDRESSES: Final = "0.0.0.0"  # noqa: S104  - Prometheus comes from elsewhere in the cluster


def serve_metrics(
    metrics: OperatorMetrics, port: int, address: str = ALL_ADDRESSES
) -> Callable[[], None]:
    """Answers `GET /metrics` until the function that comes back is called.

    Args:
        metrics: what is served.
        port: where; 0 for any that is free, which only tests want.
        address: which of the host's addresses.

    Raises:
        ConfigurationError: the port cannot be had.
    """
    try:
        server, thread = start_http_server(port, address, metrics.registry)
    except OSError as error:
        raise ConfigurationError(
            "ConfigurationInvalid",
            f"port {port} for metrics cannot be had ({error.strerror}); set another one with"
            " ENTRASYNC_METRICS_PORT, in the chart `metrics.port`",
        ) from None

    def close() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return close
