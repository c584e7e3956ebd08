"""An operator that is killed before any of its writes: the next one goes on as if nothing was.

Between two writes nothing outside the operator changes, so that being killed at any call is being
killed before the write that would have come next. The whole story is told once without a kill, and
once for each of its writes with one there; a new operator goes on each time.
"""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from dataclasses import replace
from typing import Any, Final

import pytest

from entrasync.api.result import CheckOutcome, DirectoryFacts, EarlierResult, RunResult
from entrasync.api.sync_run import Changes, KindChanges
from entrasync.controller.gateway import Manifest
from entrasync.controller.harvest import job_has_ended
from entrasync.controller.nodes import pod_has_ended
from tests.support import samples
from tests.support.memory_cluster import NAMESPACE, Cluster, job_at, pod_at, resource_at
from tests.support.memory_jobs import Jobs

KINDS: Final = (
    "azureclouds",
    "entratenants",
    "activedirectories",
    "directorysyncs",
    "syncruns",
)
SYNC: Final = resource_at("directorysyncs", "contoso")
WRITES: Final = frozenset({"create", "replace", "patch", "patch_status", "apply", "delete"})
MOST_PASSES: Final = 30


class KilledError(Exception):
    """The operator was killed."""


class Killer:
    """Kills the operator once, before its n-th write.

    Attributes:
        at: which write, from 1; 0 for none.
        writes: how many there were.
    """

    def __init__(self) -> None:
        self.at = 0
        self.writes = 0

    def __call__(self, verb: str, path: str, body: Manifest | None) -> None:
        del path, body
        if verb not in WRITES:
            return
        self.writes += 1
        if self.writes == self.at:
            raise KilledError


class Story:
    """A sync from its first appearance to its end, with an operator that may be killed."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.jobs = Jobs(self.cluster)
        self.killer = Killer()
        self.kills = 0
        self.lost = ""
        self.cluster.watchers.append(self._look_for_two)

    def tell(self, first: int = 0) -> None:
        """The story from one of its chapters on."""
        for chapter in CHAPTERS[first:]:
            chapter(self)
            self._settle()

    def as_it_stands(self, kill_at: int) -> Story:
        """The same from here on, with a kill to come."""
        story = Story()
        story.cluster.take_from(self.cluster)
        story.jobs = replace(self.jobs, cluster=story.cluster)
        story.killer.writes, story.killer.at, story.lost = self.killer.writes, kill_at, self.lost
        return story

    # --- chapters --------------------------------------------------------------------------

    def _appears(self) -> None:
        for each in (
            samples.sync(),
            samples.directory(ready=False),
            samples.tenant(ready=False),
            samples.cloud(),
        ):
            self.cluster.add(each)
            self._settle()

    def _is_checked(self) -> None:
        check = CheckOutcome(ok=True, reason="Accepted")
        for run in self._runs("Running"):
            self.jobs.start(run)
            self._settle()
            result = RunResult(
                outcome="Succeeded",
                reason="Accepted",
                mode="Check",
                tenant_check=check,
                directory_checks={"contoso": check},
            )
            self.jobs.end(run, result)

    def _runs_first(self) -> None:
        (run,) = self._runs("Running")
        pod = self.jobs.start(run)
        told = {"event": "progress", "timestamp": "", "stage": "Export", "done": 3, "total": 9}
        self.jobs.progress(pod, json.dumps(told))
        self._settle()
        self.jobs.end(run, self._done())

    def _is_cancelled(self) -> None:
        run = self._next_run()
        pod = self.jobs.start(run)
        self._settle()
        self.cluster.change(resource_at("syncruns", run), {"spec": {"cancel": True}})
        self._settle()
        stopped = self._done(outcome="Cancelled", reason="Cancelled").to_message()
        self.cluster.objects[pod_at(pod)]["status"] |= {
            "phase": "Failed",
            "containerStatuses": [
                {"name": "run", "state": {"terminated": {"message": stopped, "exitCode": 1}}}
            ],
        }

    def _loses_a_result(self) -> None:
        self.cluster.change(
            SYNC, {"metadata": {"annotations": {"entrasync.dev/run-requested-at": "now"}}}
        )
        run = self._next_run()
        pod = self.jobs.start(run)
        self._settle()
        self.cluster.remove(job_at(run))
        self.cluster.pod_gone(NAMESPACE, pod)
        self.lost = run

    def _tells_it_later(self) -> None:
        run = self._next_run()
        self.jobs.start(run)
        earlier = EarlierResult(
            run=self.lost,
            time=self.cluster.now.isoformat(),
            outcome="Succeeded",
            reason="Synchronized",
            mode="Apply",
            changes=Changes(users=KindChanges(add=7)),
        )
        self.jobs.end(run, self._done(earlier=[earlier]))

    def _is_deleted(self) -> None:
        run = self._next_run()
        pod = self.jobs.start(run)
        self._settle()
        self.cluster.delete(SYNC)
        self._settle()
        self.cluster.pod_gone(NAMESPACE, pod)
        self._settle()
        assert SYNC not in self.cluster.objects

    # --- the operator ----------------------------------------------------------------------

    def _settle(self) -> None:
        """The operator looks at everything, at this very time, until it has nothing to do."""
        for _ in range(MOST_PASSES):
            before = self._versions(), self.kills
            for plural, name in self._keys():
                self._look(plural, name)
            if (self._versions(), self.kills) == before:
                return
        raise AssertionError("the operator does not come to rest")

    def _look(self, plural: str, name: str) -> None:
        self.cluster.watchers.append(self.killer)
        try:
            self.cluster.reconcile(plural, name)
        except KilledError:
            self.kills += 1
        finally:
            self.cluster.watchers.remove(self.killer)

    def _next_run(self) -> str:
        """Time goes by until a run is under way; returns its name."""
        for _ in range(20):
            self.cluster.now += dt.timedelta(minutes=10)
            self._settle()
            running = self._runs("Running")
            if running:
                (run,) = running
                return run
        raise AssertionError("no run was started")

    def _done(self, **more: Any) -> RunResult:
        members: dict[str, Any] = {
            "outcome": "Succeeded",
            "reason": "Synchronized",
            "mode": "Apply",
            "changes": Changes(users=KindChanges(add=3)),
            "directories": {"contoso": DirectoryFacts(domain="contoso.test")},
        }
        return RunResult.model_validate(members | more)

    # --- what is there ---------------------------------------------------------------------

    def _keys(self) -> list[tuple[str, str]]:
        found = [
            (path.split("/")[-2], path.split("/")[-1])
            for path in self.cluster.objects
            if path.split("/")[-2] in KINDS
        ]
        # what is gone is looked at once more, as its watch event has it
        return sorted({*found, ("directorysyncs", "contoso")})

    def _versions(self) -> dict[str, str]:
        return {
            path: each["metadata"].get("resourceVersion", "")
            for path, each in self.cluster.objects.items()
        }

    def _runs(self, phase: str) -> list[str]:
        return [
            run["metadata"]["name"]
            for run in self.cluster.of_kind("SyncRun")
            if run.get("status", {}).get("phase") == phase
        ]

    def _look_for_two(self, verb: str, path: str, body: Manifest | None) -> None:
        """Never a second Job or pod of a sync while one may still write."""
        if verb != "create" or not path.endswith("/jobs") or body is None:
            return
        sync = body["metadata"]["labels"].get("entrasync.dev/sync")
        if sync is None or f"{path}/{body['metadata']['name']}" in self.cluster.objects:
            return
        for kind, has_ended in (("Job", job_has_ended), ("Pod", pod_has_ended)):
            for each in self.cluster.of_kind(kind):
                ours = each["metadata"].get("labels", {}).get("entrasync.dev/sync") == sync
                assert not ours or has_ended(each), f"{kind} {each['metadata']['name']} is alive"


CHAPTERS: Final = (
    Story._appears,
    Story._is_checked,
    Story._runs_first,
    Story._is_cancelled,
    Story._loses_a_result,
    Story._tells_it_later,
    Story._is_deleted,
)


def end_state(story: Story) -> dict[str, Any]:
    """All that is left, without what numbers the story's writes."""
    return {
        path: without_numbers(each)
        for path, each in sorted(story.cluster.objects.items())
        if each.get("kind") != "Event"
    }


def without_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        numbers = {"resourceVersion", "uid", "generation", "observedGeneration"}
        return {k: without_numbers(v) for k, v in value.items() if k not in numbers}
    if isinstance(value, list):
        return [without_numbers(each) for each in value]
    return value


def events(story: Story) -> Counter[tuple[str, str, str]]:
    """What people were told, and how often."""
    return Counter(
        (each["involvedObject"]["name"], each["reason"], each["message"])
        for each in story.cluster.events()
    )


@pytest.fixture(scope="module")
def unkilled() -> tuple[Story, list[Story]]:
    """The story without a kill, and how it stood at the beginning of each chapter."""
    story, before = Story(), []
    for chapter in CHAPTERS:
        before.append(story.as_it_stands(0))
        chapter(story)
        story._settle()
    return story, before


def test_the_story_without_a_kill(unkilled: tuple[Story, list[Story]]) -> None:
    story, _ = unkilled
    kinds = Counter(str(each.get("kind")) for each in story.cluster.objects.values())

    assert story.kills == 0
    assert story.killer.writes > 60
    # nothing of the sync is left, not even its claim on the tenant
    assert not {"DirectorySync", "PersistentVolumeClaim", "Lease"} & kinds.keys()
    assert kinds["SyncRun"] == kinds["Job"] == 2


@pytest.mark.parametrize("chapter", range(len(CHAPTERS)))
def test_a_kill_before_any_write_changes_nothing_in_the_end(
    unkilled: tuple[Story, list[Story]], chapter: int
) -> None:
    whole, before = unkilled
    wanted, told = end_state(whole), events(whole)
    written = [each.killer.writes for each in (*before, whole)]
    for at in range(written[chapter] + 1, written[chapter + 1] + 1):
        story = before[chapter].as_it_stands(at)
        story.tell(chapter)

        assert story.kills == 1, at
        assert end_state(story) == wanted, at
        assert events(story) == told, at
