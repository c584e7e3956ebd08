"""Metrics of real operators on a real API server: of the one that acts, and of a standby."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Callable
from contextlib import closing
from typing import Any, Final
from urllib.error import URLError

import pytest

from entrasync.api.common import Resource
from entrasync.api.result import ChangeLatency
from entrasync.api.sync_run import Changes, KindChanges
from tests.support import samples
from tests.support.control_plane import ControlPlane, eventually
from tests.support.kubelet import GOOD, Kubelet
from tests.support.operator_process import OperatorProcess
from tests.support.scraped import Scraped

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

DID: Final = GOOD.model_copy(
    update={"changes": Changes(users=KindChanges(add=3)), "latency": ChangeLatency.of([45])}
)
KINDS: Final = ("DirectorySync", "EntraTenant", "ActiveDirectory", "SyncRun", "Job", "Pod")


class Served:
    """The metrics of one operator.

    Args:
        start: starts it, with a port for its metrics.
    """

    def __init__(self, start: Callable[[str], OperatorProcess]) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as found:
            port = found.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}/metrics"
        self.operator = start(str(port))

    def read(self) -> Scraped:
        with urllib.request.urlopen(self._url, timeout=10) as answer:  # noqa: S310  - our own address
            return Scraped(answer.read().decode())

    def eventually(self, holds: Callable[[Scraped], object], otherwise: str) -> Scraped:
        """What was read when something held of it."""
        found: list[Scraped] = []

        def look() -> object:
            try:
                found[:] = [self.read()]
            except (URLError, OSError):
                return False  # it has not begun
            return holds(found[0])

        eventually(look, otherwise)
        return found[0]


def test_the_one_that_acts_tells_of_resources_and_a_standby_of_itself(
    control_plane: ControlPlane,
    namespace: str,
    start_operator: Callable[..., OperatorProcess],
) -> None:
    def start(port: str) -> OperatorProcess:
        return start_operator(
            namespace, ENTRASYNC_METRICS_PORT=port, ENTRASYNC_RELEASE=f"metrics-{namespace}"
        )

    leader = Served(start)
    leader.eventually(lambda seen: seen.values("entrasync_leader") == [1], "nobody leads")
    standby = Served(start)
    _create_all(control_plane, namespace)
    of_sync = {"namespace": namespace, "name": "contoso"}

    with Kubelet(control_plane.kube, answer=lambda _: DID, namespace=namespace):
        seen = leader.eventually(
            lambda seen: any(seen.values("entrasync_runs_total", phase="Succeeded", **of_sync)),
            "no run was counted",
        )

    assert seen.value("entrasync_runs_total", phase="Succeeded", **of_sync) == 1
    changes = seen.by("entrasync_changes_total", "kind", "operation", **of_sync)
    assert changes == {("users", "add"): 3}
    assert seen.value("entrasync_change_latency_seconds_count", **of_sync) == 1
    ready = {"type": "Ready", "status": "True", "namespace": namespace}
    kinds = seen.by("entrasync_condition", "kind", **ready)
    assert kinds.keys() >= {"EntraTenant", "ActiveDirectory"}
    told = set(seen.by("entrasync_watch_last_event_timestamp_seconds", "kind"))
    assert told >= set(KINDS)
    assert set(seen.by("entrasync_reconcile_duration_seconds_count", "result")) >= {"Succeeded"}
    assert seen.value("entrasync_worker_last_tick_timestamp_seconds") > 0
    assert seen.by("entrasync_api_requests_total", "verb", code="200").keys() >= {"GET", "PATCH"}
    waits = standby.eventually(
        lambda seen: seen.values("entrasync_leader") == [0], "the standby says nothing"
    )
    assert waits.value("entrasync_build_info") == 1
    assert waits.naming(namespace) == []

    control_plane.kube.delete("DirectorySync", "contoso", namespace)
    leader.eventually(
        lambda seen: not seen.values("entrasync_sync_info", namespace=namespace),
        "the sync is told of although it is gone",
    )
    left = leader.read()
    syncs = {**of_sync, "kind": "DirectorySync"}
    assert left.values("entrasync_condition", **syncs) == []
    assert left.values("entrasync_runs_total", namespace=namespace) == []

    leader.operator.kill()
    standby.eventually(
        lambda seen: seen.values("entrasync_leader") == [1], "the standby did not take over"
    )


def _create_all(plane: ControlPlane, namespace: str) -> None:
    resources: tuple[Resource, ...] = (
        samples.tenant(ready=False, tenantId="3f2504e0-4f89-41d3-9a0c-0305e82c33a1"),
        samples.directory(ready=False),
        samples.sync(),
    )
    for each in resources:
        manifest: dict[str, Any] = each.to_manifest()
        manifest.pop("status", None)
        manifest["metadata"] = {"name": "contoso", "namespace": namespace}
        plane.kube.create(manifest)
