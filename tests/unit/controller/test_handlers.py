"""What watches tell, and who is woken by it."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import kopf
import pytest

from entrasync.api.sync_run import OPEN_RUNS, RunPhase
from entrasync.controller.handlers import (
    NoDiffs,
    concerned_by_job,
    concerned_by_pod,
    configure_watches,
    register,
)
from entrasync.controller.interest import facts_of
from entrasync.controller.queue import Key, WorkQueue
from entrasync.controller.resync import Resync
from entrasync.controller.worker import Worker
from tests.support import samples
from tests.support.samples import NOW

SYNC = Key("directorysyncs", "identity", "contoso")
RUN = Key("syncruns", "identity", "contoso-1")
OWNER = {"kind": "SyncRun", "name": "contoso-1"}
COMPLETE = {"conditions": [{"type": "Complete", "status": "True"}]}


def job(status: dict[str, Any] | None = None, **meta: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "job", "namespace": "identity", "ownerReferences": [OWNER]} | meta,
        "status": status or {},
    }


def pod(phase: str = "Running", state: str = "running", **meta: Any) -> dict[str, Any]:
    labels = {"entrasync.dev/sync": "contoso", "entrasync.dev/run": "contoso-1"}
    return {
        "metadata": {"name": "pod", "namespace": "identity", "labels": labels} | meta,
        "status": {"phase": phase, "containerStatuses": [{"state": {state: {"x": 1}}}]},
    }


@pytest.mark.parametrize(
    ("body", "deleted", "woken"),
    [
        (job({"active": 1}), False, []),
        (job(COMPLETE), False, [RUN]),
        (job({"active": 1}, deletionTimestamp="now"), False, [RUN]),
        (job({"active": 1}), True, [RUN]),
        (job(COMPLETE, ownerReferences=[{"kind": "Other", "name": "x"}]), False, []),
    ],
)
def test_a_job_wakes_its_run_when_it_ends(
    body: dict[str, Any], woken: list[Key], *, deleted: bool
) -> None:
    assert concerned_by_job(body, deleted=deleted) == woken


@pytest.mark.parametrize(
    ("body", "deleted", "woken"),
    [
        (pod(), False, (None, None)),
        (pod("Pending", "waiting"), False, (None, RUN)),
        (pod("Succeeded", "terminated"), False, (SYNC, RUN)),
        (pod(deletionTimestamp="now"), False, (SYNC, RUN)),
        (pod(), True, (SYNC, RUN)),
    ],
)
def test_a_pod_wakes_its_run_when_it_does_not_start_and_all_runs_when_it_ends(
    body: dict[str, Any], woken: tuple[Key | None, Key | None], *, deleted: bool
) -> None:
    assert concerned_by_pod(body, deleted=deleted) == woken


def test_the_whole_name_of_a_run_is_in_an_annotation() -> None:
    body = pod("Failed", annotations={"entrasync.dev/run": "a-very-long-name"})
    assert concerned_by_pod(body, deleted=False)[1] == Key(
        "syncruns", "identity", "a-very-long-name"
    )


def test_the_api_server_selects_what_has_not_ended() -> None:
    for phase in RunPhase:
        assert (f"status.phase!={phase}" in OPEN_RUNS.split(",")) == (
            phase not in {RunPhase.QUEUED, RunPhase.RUNNING}
        )
    settings = kopf.OperatorSettings()
    configure_watches(settings)
    assert OPEN_RUNS in settings.watching.field_selectors.values()
    assert isinstance(settings.persistence.diffbase_storage, NoDiffs)


class Play:
    """A worker that does nothing, and the handlers in front of it."""

    def __init__(self) -> None:
        self.registry = kopf.OperatorRegistry()
        self.worker = Worker(
            queue=WorkQueue(lambda: NOW),
            reconcilers={},
            resync=cast("Resync", None),
            clock=lambda: NOW,
        )
        self.worker._next_resync = float("inf")
        register(self.registry, self.worker)

    def tell(self, handler: str, kind: str | None, body: dict[str, Any]) -> list[Key]:
        """An event; tells whom it woke."""
        (found,) = [each for each in self.registry._watching._handlers if each.id == handler]
        meta = body["metadata"]
        told = {"name": meta["name"], "namespace": meta["namespace"], "type": kind, "body": body}
        asyncio.run(cast("Any", found.fn)(**told))
        woken = sorted(self.worker.queue._due)
        while (key := self.worker.queue.take()) is not None:
            self.worker.queue.finish(key)
        return woken


def run(version: str, phase: str | None = None) -> dict[str, Any]:
    found = samples.run(phase=phase).to_manifest()
    found["metadata"]["resourceVersion"] = version
    return found


def test_a_run_that_leaves_the_selection_because_it_ended_wakes_its_sync_only() -> None:
    play = Play()
    assert play.tell("syncruns", "ADDED", run("1")) == [SYNC, RUN]
    assert play.tell("syncruns", "MODIFIED", run("2", "Running")) == [SYNC]
    assert play.tell("syncruns", "DELETED", run("3", "Succeeded")) == [SYNC]
    assert RUN not in play.worker.interest


def test_a_run_that_is_really_deleted_is_looked_at_once_more() -> None:
    play = Play()
    play.tell("syncruns", "ADDED", run("1", "Running"))
    assert play.tell("syncruns", "DELETED", run("2", "Running")) == [SYNC, RUN]


def test_jobs_and_pods_wake_only_what_has_not_ended() -> None:
    play = Play()
    assert play.tell("job", "MODIFIED", job(COMPLETE)) == []
    assert play.tell("pod", "DELETED", pod("Succeeded")) == []
    play.tell("syncruns", "ADDED", run("1", "Running"))
    assert play.tell("job", "MODIFIED", job(COMPLETE)) == [RUN]
    assert play.tell("pod", "DELETED", pod("Succeeded")) == [RUN]


def test_a_pod_that_is_really_deleted_wakes_a_sync_that_may_wait_for_it() -> None:
    play = Play()
    sync = samples.sync().to_manifest()
    play.worker.saw(SYNC, facts_of("directorysyncs", sync))
    while (key := play.worker.queue.take()) is not None:
        play.worker.queue.finish(key)
    assert play.tell("pod", "DELETED", pod("Succeeded", deletionTimestamp="now")) == [SYNC]


def test_a_watch_that_begins_anew_calls_for_a_resync() -> None:
    play = Play()
    play.tell("syncruns", None, run("1"))
    assert play.worker._next_resync == float("inf")
    play.tell("syncruns", None, run("1"))
    assert play.worker._next_resync < float("inf")
