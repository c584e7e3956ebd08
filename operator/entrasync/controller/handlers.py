"""kopf's handlers: they note what was seen and put keys on the queue, and nothing else.

They are coroutines, though they never wait: kopf runs plain functions in threads, and the queue
belongs to the event loop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import kopf
from typing_extensions import override

from entrasync.api.common import GROUP, VERSION
from entrasync.api.sync_run import OPEN_RUNS, RUN_LABEL, SYNC_LABEL
from entrasync.controller.harvest import job_has_ended, pod_has_ended
from entrasync.controller.interest import facts_of
from entrasync.controller.manifests import MANAGED_BY, MANAGED_SELECTOR
from entrasync.controller.queue import Key
from entrasync.controller.resources import KINDS
from entrasync.controller.worker import Worker

DELETED = "DELETED"


class NoDiffs(kopf.DiffBaseStorage):
    """Keeps no earlier state: kopf would compute a difference for each event, and nobody asks."""

    @override
    def build(self, *, body: kopf.Body, **_: Any) -> kopf.BodyEssence:
        return cast("kopf.BodyEssence", {})

    @override
    def fetch(self, *, body: kopf.Body) -> kopf.BodyEssence | None:
        return None

    @override
    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: kopf.BodyEssence) -> None:
        """Keeps nothing."""


def configure_watches(settings: kopf.OperatorSettings) -> None:
    """Has the API server select what is of interest: all that has ended never comes here.

    What ends while it is watched leaves the selection, and the API server tells that it was
    deleted; `DELETED` means no more than that here.
    """
    watching = settings.watching
    watching.field_selectors[GROUP, VERSION, "syncruns"] = OPEN_RUNS
    watching.label_selectors["batch", "v1", "jobs"] = MANAGED_SELECTOR
    watching.field_selectors["batch", "v1", "jobs"] = "status.successful=0"
    watching.label_selectors["", "v1", "pods"] = MANAGED_SELECTOR
    watching.field_selectors["", "v1", "pods"] = "status.phase!=Succeeded,status.phase!=Failed"
    # kopf keeps an object as long as the task that handled it
    watching.chunk_size = 100
    settings.queueing.idle_timeout = 0.1
    settings.persistence.diffbase_storage = NoDiffs()


def register(registry: kopf.OperatorRegistry, worker: Worker) -> None:
    """Registers the watch handlers.

    Args:
        registry: kopf's.
        worker: told of what was seen, from the event loop.
    """
    for plural in KINDS:
        _register_kind(registry, plural, worker)

    @kopf.on.event("batch", "v1", "jobs", labels=dict(MANAGED_BY), registry=registry, id="job")
    async def job_seen(body: kopf.Body, type: str | None, **_: Any) -> None:  # noqa: A002  - kopf's name
        worker.metrics.watch_event("jobs", worker.clock())
        for key in concerned_by_job(body, deleted=type == DELETED):
            if key in worker.interest:
                worker.queue.add(key)

    @kopf.on.event("", "v1", "pods", labels=dict(MANAGED_BY), registry=registry, id="pod")
    async def pod_seen(body: kopf.Body, type: str | None, **_: Any) -> None:  # noqa: A002  - same
        worker.metrics.watch_event("pods", worker.clock())
        sync, run = concerned_by_pod(body, deleted=type == DELETED)
        for key in {run, *worker.interest.open_runs_of(sync)} if sync else {run}:
            if key is not None and key in worker.interest:
                worker.queue.add(key)
        # a sync that is being deleted waits for its last pod
        deleting = body["metadata"].get("deletionTimestamp")
        if sync is not None and sync in worker.interest and type == DELETED and deleting:
            worker.queue.add(sync)


def _register_kind(registry: kopf.OperatorRegistry, plural: str, worker: Worker) -> None:
    @kopf.on.event(GROUP, VERSION, plural, registry=registry, id=plural)
    async def seen(
        name: str,
        namespace: str | None,
        body: kopf.Body,
        type: str | None,  # noqa: A002  - kopf's name
        **_: Any,
    ) -> None:
        worker.metrics.watch_event(plural, worker.clock())
        key = Key(plural, namespace or "", name)
        facts = facts_of(plural, body)
        if type is None and key in worker.interest:
            worker.relisted()
        if type != DELETED:
            worker.saw(key, facts)
        elif facts.ended:
            worker.ended(key)
        else:
            worker.gone(key)


def concerned_by_job(job: Mapping[str, Any], *, deleted: bool) -> list[Key]:
    """The run that has to look at a Job; none while the Job only goes on."""
    meta = job["metadata"]
    if not (deleted or meta.get("deletionTimestamp") or job_has_ended(dict(job))):
        return []
    namespace = meta.get("namespace") or ""
    return [
        Key("syncruns", namespace, owner["name"])
        for owner in meta.get("ownerReferences", ())
        if owner["kind"] == "SyncRun"
    ]


def concerned_by_pod(pod: Mapping[str, Any], *, deleted: bool) -> tuple[Key | None, Key | None]:
    """The sync whose runs wait for a pod, and its run; `None` where nothing is to be seen."""
    waiting = any(
        (status.get("state") or {}).get("waiting")
        for status in (pod.get("status") or {}).get("containerStatuses", ())
    )
    ended = deleted or pod_has_ended(dict(pod)) or pod["metadata"].get("deletionTimestamp")
    if not ended and not waiting:
        return None, None
    labels = pod["metadata"].get("labels", {})
    annotations = pod["metadata"].get("annotations", {})
    namespace = pod["metadata"].get("namespace") or ""
    sync = labels.get(SYNC_LABEL)
    # the label holds the name of its Job, which is cut when it is too long
    run = annotations.get(RUN_LABEL) or labels.get(RUN_LABEL)
    return (
        Key("directorysyncs", namespace, sync) if sync and ended else None,
        Key("syncruns", namespace, run) if run else None,
    )
