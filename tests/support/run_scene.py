"""A run on a cluster in memory: what plays along, and what its runner may say."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from entrasync.api.result import RunResult
from entrasync.api.sync_run import Changes, KindChanges
from tests.support import samples
from tests.support.memory_cluster import Cluster, resource_at
from tests.support.memory_jobs import Jobs
from tests.support.samples import NOW

DONE = RunResult(
    outcome="Succeeded",
    reason="Synchronized",
    mode="Apply",
    changes=Changes(users=KindChanges(add=3)),
)
STOPPED = RunResult(
    outcome="Cancelled",
    reason="Cancelled",
    message="somebody asked the run to end",
    mode="Apply",
    changes=Changes(users=KindChanges(add=2)),
)


def minutes(count: float) -> dt.timedelta:
    return dt.timedelta(minutes=count)


def line(stage: str, done: int, **more: Any) -> str:
    members = {"event": "progress", "timestamp": NOW.isoformat(), "stage": stage, "done": done}
    return json.dumps(members | more)


class Scene:
    """A sync whose parts are good, and the controllers that make pods of its Jobs."""

    def __init__(self, **spec: Any) -> None:
        self.cluster = Cluster(
            samples.cloud(), samples.tenant(), samples.directory(), samples.sync(**spec)
        )
        self.jobs = Jobs(self.cluster)

    def look(self, run: str = "manual", after: dt.timedelta = dt.timedelta()) -> None:
        """The operator looks at a run once more, some time later, as often as it wants to."""
        self.cluster.now += after
        for _ in range(5):
            due = self.cluster.reconcile("syncruns", run)
            if due is None or due > self.cluster.now + dt.timedelta(seconds=1):
                return

    def running(self, run: str = "manual", **spec: Any) -> str:
        """A run whose pod is at work; returns the pod's name."""
        self.cluster.start(run, **spec)
        return self.jobs.start(run)

    def cancel(self, run: str = "manual") -> None:
        self.cluster.change(resource_at("syncruns", run), {"spec": {"cancel": True}})

    def phase(self, run: str = "manual") -> str:
        return str(self.cluster.status("syncruns", run)["phase"])

    def said(self, run: str = "manual", kind: str = "Ready") -> tuple[str, str, str]:
        found = self.cluster.conditions("syncruns", run)[kind]
        return found["status"], found["reason"], found["message"]
