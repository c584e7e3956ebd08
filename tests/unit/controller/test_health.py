"""`/healthz` tells a process that works from one that stands still."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from entrasync.controller.health import Health, HealthServer, Standstill
from entrasync.errors import ConfigurationError


class Part:
    def __init__(self) -> None:
        self.problem: str | None = None

    def __call__(self) -> str | None:
        return self.problem


@pytest.fixture
def part() -> Part:
    return Part()


@pytest.fixture
def server(part: Part) -> Iterator[HealthServer]:
    found = HealthServer(Health({"worker": part}), 0)
    found.start()
    yield found
    found.stop()


def ask(server: HealthServer, path: str = "/healthz") -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}", timeout=10) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_all_is_well(server: HealthServer) -> None:
    code, body = ask(server)
    assert code == 200
    assert json.loads(body) == {"healthy": True}


def test_what_is_amiss_is_named(server: HealthServer, part: Part) -> None:
    part.problem = "the worker has not ticked for 300 s"
    code, body = ask(server)
    assert code == 500
    assert json.loads(body) == {"healthy": False, "worker": part.problem}


def test_there_is_nothing_else(server: HealthServer) -> None:
    assert ask(server, "/")[0] == 404


def test_a_port_that_is_taken_is_named_with_the_remedy(server: HealthServer) -> None:
    with pytest.raises(ConfigurationError, match=f"port {server.port}.*ENTRASYNC_HEALTH_PORT"):
        HealthServer(Health({}), server.port)


def test_what_moves_does_not_stand_still() -> None:
    now, beat = 100.0, 1
    ticks = Standstill(lambda: beat, lambda: now)

    assert ticks.seconds() == 0
    now = 160.0
    assert ticks.seconds() == 60
    beat = 2
    assert ticks.seconds() == 0
    now = 161.0
    assert ticks.seconds() == 1
