"""Metrics are served from a thread of their own, as Prometheus reads them."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Iterator
from contextlib import closing

import pytest

from entrasync.controller.metrics import OperatorMetrics
from entrasync.controller.metrics_server import serve_metrics
from entrasync.errors import ConfigurationError
from tests.support.scraped import Scraped

LOOPBACK = "127.0.0.1"


def free_port() -> int:
    with closing(socket.create_server((LOOPBACK, 0))) as found:
        port: int = found.getsockname()[1]
        return port


@pytest.fixture
def served() -> Iterator[tuple[OperatorMetrics, str]]:
    metrics = OperatorMetrics()
    port = free_port()
    close = serve_metrics(metrics, port, LOOPBACK)
    yield metrics, f"http://{LOOPBACK}:{port}/metrics"
    close()


def get(url: str) -> tuple[str, str]:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310  - our own address
        return answer.headers["Content-Type"], answer.read().decode()


def test_they_are_as_they_are_now(served: tuple[OperatorMetrics, str]) -> None:
    metrics, url = served
    kind, text = get(url)
    assert kind.startswith("text/plain")
    assert Scraped(text).value("entrasync_leader") == 0
    metrics.leading(leads=True)
    assert Scraped(get(url)[1]).value("entrasync_leader") == 1


def test_a_port_that_is_taken_says_which_setting_helps() -> None:
    with (
        closing(socket.create_server((LOOPBACK, 0))) as taken,
        pytest.raises(ConfigurationError, match="ENTRASYNC_METRICS_PORT"),
    ):
        serve_metrics(OperatorMetrics(), taken.getsockname()[1], LOOPBACK)


def test_it_ends_when_it_is_told_to() -> None:
    port = free_port()
    serve_metrics(OperatorMetrics(), port, LOOPBACK)()
    with closing(socket.create_server((LOOPBACK, port))) as again:
        assert again.getsockname()[1] == port
