"""The operator's parts, put together: what health rests on, and kopf's settings."""

from __future__ import annotations

import asyncio
import datetime as dt
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast

import kopf
import pytest
import structlog

from entrasync.api.shipped_clouds import shipped_clouds
from entrasync.controller import app
from entrasync.controller.app import apply_clouds, build_health, configure
from entrasync.controller.election import LeaderElection
from entrasync.controller.gateway import Gateway
from entrasync.controller.health import HealthServer
from entrasync.controller.queue import Key, WorkQueue
from entrasync.controller.resync import Found, Resync
from entrasync.controller.transport import ApiError
from entrasync.controller.worker import Worker


@dataclass
class Parts:
    """A worker and an election, as far as health asks them."""

    last_beat: float = 0.0
    leads: bool = True
    silent: float = 0.0

    def is_leading(self) -> bool:
        return self.leads

    def silence(self) -> float:
        return self.silent


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(app, "boot_clock", lambda: now[0])
    return now


def problems_of(parts: Parts) -> Any:
    return build_health(cast("LeaderElection", parts), cast("Worker", parts)).problems


def test_a_stuck_worker_makes_the_leader_unhealthy(clock: list[float]) -> None:
    parts = Parts()
    problems = problems_of(parts)
    assert problems() == {}

    clock[0] += 300
    assert problems() == {}
    clock[0] += 1
    assert problems() == {"worker": "the worker has not ticked for 300 s"}

    parts.last_beat += 5
    assert problems() == {}


def test_a_standby_has_no_worker_that_could_be_stuck(clock: list[float]) -> None:
    parts = Parts(leads=False)
    problems = problems_of(parts)
    assert problems() == {}

    clock[0] += 3600
    assert problems() == {}
    # its worker has all the time of its own once it leads
    parts.leads = True
    assert problems() == {}


def test_an_election_that_does_not_try_is_unhealthy(clock: list[float]) -> None:
    parts = Parts(leads=False, silent=60.0)
    assert problems_of(parts)() == {}
    parts.silent = 61.0
    assert problems_of(parts)() == {"election": "the election has not tried for 60 s"}
    assert clock


def test_kopf_neither_scans_nor_posts_nor_peers() -> None:
    settings = kopf.OperatorSettings()
    configure(settings)
    assert settings.scanning.disabled
    assert settings.peering.standalone
    assert not settings.posting.enabled
    assert settings.networking.request_timeout == 60


class Clouds:
    """An API server to which clouds are applied."""

    def __init__(self, refusal: ApiError | None = None) -> None:
        self.refusal = refusal
        self.applied: list[str] = []

    def apply(self, path: str, manifest: dict[str, Any], manager: str) -> bool:
        assert manager == "entrasync-shipped"
        assert path.endswith(manifest["metadata"]["name"])
        if self.refusal is not None:
            raise self.refusal
        self.applied.append(path.rpartition("/")[2])
        return not path.endswith("/azure-china")


def test_clouds_that_somebody_changed_stay_as_they_are() -> None:
    clouds = Clouds()
    with structlog.testing.capture_logs() as logs:
        apply_clouds(cast("Gateway", clouds), shipped_clouds())
    assert len(clouds.applied) == 5
    assert [(each["event"], each["cloud"]) for each in logs] == [
        ("shipped_cloud_kept_as_changed", "azure-china")
    ]


def test_an_operator_without_rights_on_clouds_works_with_those_there_are() -> None:
    clouds = Clouds(ApiError(403, "azureclouds is forbidden"))
    with structlog.testing.capture_logs() as logs:
        apply_clouds(cast("Gateway", clouds), shipped_clouds())
    assert {each["event"] for each in logs} == {"shipped_cloud_not_applied"}


def test_other_refusals_are_failures() -> None:
    with pytest.raises(ApiError):
        apply_clouds(cast("Gateway", Clouds(ApiError(422, "invalid"))), shipped_clouds())


class EmptyCluster:
    """A look through everything that finds nothing."""

    def look(self, known: Mapping[Key, str]) -> Found:
        assert not known
        return Found(changed={}, gone={}, complete=True)


@contextmanager
def running(worker: Worker) -> Iterator[asyncio.AbstractEventLoop]:
    """The worker at work, in a thread and event loop of its own."""
    started: queue.Queue[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = queue.Queue()

    async def work() -> None:
        task = asyncio.create_task(worker.run())
        started.put((asyncio.get_running_loop(), task))
        with suppress(asyncio.CancelledError):
            await task

    thread = threading.Thread(target=asyncio.run, args=[work()])
    thread.start()
    loop, task = started.get(timeout=60)
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()


def test_a_stuck_event_loop_is_told_and_its_recovery_as_well(clock: list[float]) -> None:
    """The real worker and server: the loop hangs in a call that should not have been made."""
    worker = Worker(
        queue=WorkQueue(lambda: dt.datetime.now(dt.UTC)),
        reconcilers={},
        resync=cast("Resync", EmptyCluster()),
        clock=lambda: dt.datetime.now(dt.UTC),
    )
    server = HealthServer(build_health(cast("LeaderElection", Parts()), worker), 0)
    server.start()
    hanging, go_on = threading.Event(), threading.Event()

    def hang() -> None:
        hanging.set()
        go_on.wait(60)

    with running(worker) as loop:
        try:
            loop.call_soon_threadsafe(hang)
            assert hanging.wait(60)
            assert _status(server) == 200

            clock[0] += 301
            assert _status(server) == 500

            beat = worker.last_beat
            go_on.set()
            while worker.last_beat == beat:
                loop.call_soon_threadsafe(worker.queue.nudge)
            assert _status(server) == 200
        finally:
            go_on.set()
            server.stop()


def _status(server: HealthServer) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/healthz") as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return int(error.code)
