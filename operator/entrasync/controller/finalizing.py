"""The finalizer of a DirectorySync with `deletionPolicy: Delete`: set, obeyed, and dropped.

While it is set, the claim with the state belongs to nobody: whoever deletes the sync "in the
foreground" would otherwise have it deleted first, and with it the knowledge of what is owned. The
same holds of the last run. Both are given to the sync again before it goes, and so go with it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, assert_never

import structlog

from entrasync.api.directory_sync import DELETION_FINALIZER, DirectorySync
from entrasync.api.sync_run import TRIGGER_LABEL, SyncRun, Trigger
from entrasync.controller import manifests
from entrasync.controller.decisions import Active, Decision, StartRun, Wait
from entrasync.controller.deletion import (
    LEFT,
    PATIENCE,
    AwaitDeletion,
    DeletionDecision,
    Drop,
    EndRuns,
    LastRunActive,
    ObservedDeletion,
    StartLastRun,
    decide_deletion,
    has_finalizer,
    wants_finalizer,
)
from entrasync.controller.durations import parse_time
from entrasync.controller.events import Transition, build_event
from entrasync.controller.gateway import ApiError, Gateway, core_path, resource_path
from entrasync.controller.observe import Observer
from entrasync.controller.queue import JOB_LOOK, QUEUE_LOOK
from entrasync.controller.resources import Resources, path_of
from entrasync.controller.storage import belongs_to_sync
from entrasync.controller.sync_status import sync_status

FORBIDDEN: Final = 403
_ENDS: Final = "NamespaceTerminating"


@dataclass(slots=True, frozen=True, kw_only=True)
class DeletionReconciler:
    """Looks after syncs that are, or may be, deleted together with what they own.

    Attributes:
        gateway: the API.
        resources: our kinds on top of it.
        observer: what a sync rests on.
    """

    gateway: Gateway
    resources: Resources
    observer: Observer

    def concerns(self, sync: DirectorySync) -> bool:
        """Whether a deleted sync waits for us, or the finalizer is not as it should be."""
        if sync.metadata.deletion_timestamp:
            return has_finalizer(sync)
        return wants_finalizer(sync) != has_finalizer(sync)

    def step(self, sync: DirectorySync, now: dt.datetime) -> dt.datetime | None:
        """Takes such a sync one step further; returns when it is to be looked at again."""
        if not sync.metadata.deletion_timestamp:
            wanted = wants_finalizer(sync)
            self._own_claim(sync, owned=not wanted)
            self._set_finalizer(sync, on=wanted)
            return now
        of_sync = self.observer.observe(sync)
        ends = self._namespace_ends(sync.metadata.namespace or "")
        decision = decide_deletion(ObservedDeletion(of_sync=of_sync, namespace_ends=ends), now)
        try:
            return self._apply(sync, of_sync.runs, decision, now)
        except ApiError as error:
            if _ENDS not in error.causes:
                raise
        ended = ObservedDeletion(of_sync=of_sync, namespace_ends=True)
        return self._apply(sync, of_sync.runs, decide_deletion(ended, now), now)

    def let_unreadable_go(
        self, namespace: str | None, name: str, now: dt.datetime
    ) -> dt.datetime | None:
        """Drops the finalizer of a deleted sync that this version does not understand.

        For it no last run can be made. An operator that does understand it has an hour to come.

        Returns:
            When to look again; `None` where nobody waits.
        """
        path = path_of(DirectorySync, namespace, name)
        found = self.resources.unreadable.get(path)
        if found is None or not self.resources.serves(found):
            return None
        metadata = found["metadata"]
        deleted = parse_time(metadata.get("deletionTimestamp"))
        finalizers = metadata.get("finalizers") or []
        if deleted is None or DELETION_FINALIZER not in finalizers:
            return None
        if now < min(deleted, now) + PATIENCE:
            return min(deleted, now) + PATIENCE
        others = [each for each in finalizers if each != DELETION_FINALIZER]
        patch = {"metadata": {"finalizers": others}}
        structlog.get_logger().warning("deleted_unread", namespace=namespace, sync=name)
        dropped = self.gateway.patch(path, patch, metadata["resourceVersion"])
        return None if dropped else now + QUEUE_LOOK

    def _apply(
        self,
        sync: DirectorySync,
        runs: Sequence[SyncRun],
        decision: DeletionDecision,
        now: dt.datetime,
    ) -> dt.datetime | None:
        namespace = sync.metadata.namespace
        match decision:
            case Drop():
                return self._drop(sync, runs, decision, now)
            case EndRuns(names):
                for name in names:
                    path = resource_path("syncruns", namespace, name)
                    self.gateway.patch(path, {"spec": {"cancel": True}})
            case StartLastRun(name):
                self._make(sync, name)
            case LastRunActive() | AwaitDeletion():
                pass
            case _:
                assert_never(decision)
        after = sync_status(sync, _as_decision(decision), None, now, runs)
        self.resources.publish(sync, sync.status, after, now)
        return (
            min(decision.until, now + JOB_LOOK)
            if isinstance(decision, AwaitDeletion)
            else (now + JOB_LOOK)
        )

    def _make(self, sync: DirectorySync, name: str) -> None:
        manifest = manifests.build_sync_run(sync, name, Trigger.DELETION)
        manifest["metadata"]["ownerReferences"] = []
        made = self.gateway.create(resource_path("syncruns", sync.metadata.namespace), manifest)
        structlog.get_logger().info(
            "last_run_made",
            namespace=sync.metadata.namespace,
            sync=sync.metadata.name,
            run=name,
            new=made,
        )

    def _drop(
        self, sync: DirectorySync, runs: Sequence[SyncRun], what: Drop, now: dt.datetime
    ) -> dt.datetime | None:
        """Lets a sync go, and says what becomes of what it owned."""
        namespace = sync.metadata.namespace or ""
        self._own_claim(sync, owned=True)
        for run in runs:
            if run.metadata.labels.get(TRIGGER_LABEL) == Trigger.DELETION:
                path = resource_path("syncruns", namespace, run.metadata.name)
                self._own(path, sync, owned=True)
        self._tell(sync, what, now)
        structlog.get_logger().info(
            "deletion_ended",
            namespace=namespace,
            sync=sync.metadata.name,
            reason=what.reason,
            message=what.message,
        )
        return None if self._set_finalizer(sync, on=False) else now + QUEUE_LOOK

    def _tell(self, sync: DirectorySync, what: Drop, now: dt.datetime) -> None:
        told = Transition(
            reason=what.reason,
            message=what.message,
            warning=what.reason == LEFT,
            key=f"deletion {what.reason}",
        )
        try:
            self.gateway.create(
                core_path("events", sync.metadata.namespace or ""), build_event(sync, told, now)
            )
        except ApiError as error:
            # no Event can be made in a namespace that ends; the log has it
            structlog.get_logger().warning("event_refused", error=error.message)

    def _set_finalizer(self, sync: DirectorySync, *, on: bool) -> bool:
        others = [each for each in sync.metadata.finalizers if each != DELETION_FINALIZER]
        return self.gateway.patch(
            resource_path("directorysyncs", sync.metadata.namespace, sync.metadata.name),
            {"metadata": {"finalizers": [*others, DELETION_FINALIZER] if on else others}},
            sync.metadata.resource_version,
        )

    def _own_claim(self, sync: DirectorySync, *, owned: bool) -> None:
        """Gives the claim that we made to its sync, or to nobody; there may be none.

        What only has its name is somebody else's, and would be deleted with the sync.
        """
        claim = manifests.build_claim(sync)
        if claim is None:
            return
        namespace = sync.metadata.namespace or ""
        path = core_path("persistentvolumeclaims", namespace, claim["metadata"]["name"])
        found = self.gateway.get(path)
        if found is not None and belongs_to_sync(sync, found):
            self._own(path, sync, owned=owned, uid=found["metadata"]["uid"])

    def _own(self, path: str, sync: DirectorySync, *, owned: bool, uid: str | None = None) -> None:
        owners = [manifests.owner_reference(sync)] if owned else []
        # a uid that is not the object's is refused: another one of its name was made meanwhile
        meant = {} if uid is None else {"uid": uid}
        try:
            self.gateway.patch(path, {"metadata": {"ownerReferences": owners, **meant}})
        except ApiError as error:
            # a namespace that ends takes it along whoever owns it
            if error.status != FORBIDDEN:
                raise

    def _namespace_ends(self, namespace: str) -> bool:
        try:
            found = self.gateway.get(f"/api/v1/namespaces/{namespace}")
        except ApiError as error:
            if error.status != FORBIDDEN:
                raise
            return False  # an operator of some namespaces only; the API server says it then
        return found is None or bool(found["metadata"].get("deletionTimestamp"))


def _as_decision(decision: DeletionDecision) -> Decision:
    """The same in the words of the status."""
    match decision:
        case StartLastRun(name):
            return StartRun(name, Trigger.DELETION)
        case LastRunActive(run):
            return Active(run)
        case AwaitDeletion(until):
            return Wait(until)
        case _:
            return Wait(None)
