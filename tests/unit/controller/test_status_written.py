"""A status is written when it changed and its Events are told once, whoever is killed at it."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable
from typing import Any, Final

import pytest

from entrasync.api.directory_sync import BlockedPlan
from entrasync.api.result import RunResult
from entrasync.controller.gateway import ApiError
from tests.support import samples
from tests.support.memory_api import Watcher
from tests.support.memory_cluster import Cluster, resource_at

MINUTE: Final = dt.timedelta(minutes=1)
SYNC: Final = resource_at("directorysyncs", "contoso")
DIGEST: Final = "sha256:" + "0" * 64
GOOD: Final = RunResult(outcome="Succeeded", reason="Synchronized", mode="Apply", message="done")
BRAKED: Final = RunResult(
    outcome="Blocked",
    reason="DeletionThresholdExceeded",
    message="too many",
    mode="Apply",
    blocked_plan=BlockedPlan(digest=DIGEST, reason="DeletionThresholdExceeded"),
)
UNREACHABLE: Final = RunResult(
    outcome="Failed",
    reason="ServerUnreachable",
    message="no answer",
    mode="Apply",
    resource="AzureCloud/azure-commercial",  # which says nothing against tenant or directory
)


class KilledError(Exception):
    """The operator was killed."""


def made() -> Cluster:
    cluster = Cluster(samples.cloud(), samples.tenant(), samples.directory(), samples.sync())
    cluster.reconcile("directorysyncs", "contoso")
    return cluster


def active(cluster: Cluster) -> str:
    return str(cluster.status("directorysyncs", "contoso")["activeRun"]["name"])


def settle(cluster: Cluster) -> None:
    """What there is to be done about the sync now, all of it."""
    for _ in range(3):
        cluster.reconcile("directorysyncs", "contoso")


def run(cluster: Cluster, result: RunResult) -> None:
    """The run of the sync that is due starts, and ends with a result."""
    if "activeRun" not in cluster.status("directorysyncs", "contoso"):
        cluster.now += MINUTE * 31
        settle(cluster)
    name = active(cluster)
    cluster.reconcile("syncruns", name)
    cluster.now += MINUTE
    cluster.finish(name, result.to_message())
    settle(cluster)


def told(cluster: Cluster) -> list[str]:
    return [f"{each['type']} {each['reason']}" for each in cluster.events("contoso")]


def test_the_story_of_a_sync_is_told_once_a_change() -> None:
    cluster = made()
    for result in (GOOD, GOOD, BRAKED, UNREACHABLE, UNREACHABLE, BRAKED, GOOD):
        run(cluster, result)

    assert told(cluster) == [
        "Normal InitialSync",
        "Normal Synchronized",
        "Warning DeletionThresholdExceeded",
        "Warning ServerUnreachable",
        "Warning DeletionThresholdExceeded",
        "Normal Synchronized",
        "Normal DeletionThresholdExceeded",
    ]


def test_a_run_tells_its_start_and_its_end() -> None:
    cluster = made()
    name = active(cluster)
    run(cluster, BRAKED)

    events = [f"{each['type']} {each['reason']}" for each in cluster.events(name)]
    assert events[-2:] == ["Normal RunActive", "Warning DeletionThresholdExceeded"]


def test_a_suspension_begins_and_ends() -> None:
    cluster = made()
    run(cluster, GOOD)
    before = len(told(cluster))
    for suspend in (True, False):
        cluster.change(SYNC, {"spec": {"suspend": suspend}})
        settle(cluster)
    assert told(cluster)[before:] == ["Normal Suspended", "Normal Suspended"]
    assert cluster.events("contoso")[-1]["message"] == "Suspended no longer holds"


@pytest.mark.parametrize("result", [GOOD, BRAKED, UNREACHABLE])
def test_a_second_look_writes_nothing(result: RunResult) -> None:
    cluster = made()
    run(cluster, result)
    version, events = version_of(cluster), told(cluster)
    settle(cluster)
    assert (version_of(cluster), told(cluster)) == (version, events)


def version_of(cluster: Cluster) -> str:
    return str(cluster.objects[SYNC]["metadata"]["resourceVersion"])


def test_an_operator_killed_at_any_call_tells_nothing_twice_and_loses_nothing() -> None:
    expected = told_with(lambda _: None)
    for calls in itertools.count():
        killed = [False]
        assert told_with(killing(calls, killed)) == expected
        if not killed[0]:
            break
    assert calls > 5


def told_with(prepare: Callable[[Cluster], None]) -> list[str]:
    """What is told when a braked run is looked at, by an operator that may be killed at it."""
    cluster = made()
    name = active(cluster)
    cluster.reconcile("syncruns", name)
    cluster.now += MINUTE
    cluster.finish(name, BRAKED.to_message())
    prepare(cluster)
    try:
        cluster.reconcile("directorysyncs", "contoso")
    except KilledError:
        cluster.now += MINUTE / 6
    cluster.watchers.clear()
    settle(cluster)
    return told(cluster)


def killing(calls: int, killed: list[bool]) -> Callable[[Cluster], None]:
    left = itertools.count(calls, -1)

    def watch(verb: str, path: str, body: Any) -> None:
        del verb, path, body
        if next(left) == 0:
            killed[0] = True
            raise KilledError

    def prepare(cluster: Cluster) -> None:
        cluster.watchers.append(watch)

    return prepare


def test_where_events_are_refused_the_status_is_written_all_the_same() -> None:
    cluster = Cluster(samples.cloud(), samples.tenant(), samples.directory(), samples.sync())
    cluster.watchers.append(refusing_events())

    cluster.reconcile("directorysyncs", "contoso")

    assert cluster.conditions("directorysyncs", "contoso")["Ready"]["reason"] == "InitialSync"
    assert cluster.events() == []


def refusing_events() -> Watcher:
    def watch(verb: str, path: str, body: Any) -> None:
        del body
        if verb == "create" and path.endswith("/events"):
            raise ApiError(403, "events is forbidden: exceeded quota")

    return watch


def test_a_status_that_exceeds_its_schema_is_cut_and_written_once() -> None:
    cluster = made()
    name = active(cluster)
    run(cluster, UNREACHABLE.model_copy(update={"message": "words " * 400}))
    status = cluster.status("directorysyncs", "contoso")
    assert len(status["lastRun"]["message"]) <= 1024
    assert len(cluster.conditions("syncruns", name)["Ready"]["message"]) <= 1024
    version = version_of(cluster)
    settle(cluster)
    assert version_of(cluster) == version
