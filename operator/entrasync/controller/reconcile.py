"""Level-triggered reconciling: read, decide, apply, write status.

Each function returns when it wants to be called again at the latest; `None` for not before
something changes. What they do may be done twice: names are deterministic, and "already there" is
fine.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.directory_sync import DirectorySync, DirectorySyncStatus
from entrasync.api.sync_run import REQUEST_ANNOTATION, Trigger
from entrasync.controller import manifests, remedies
from entrasync.controller.checks import CheckReconciler
from entrasync.controller.claims import TenantClaims
from entrasync.controller.conditions import unready_for
from entrasync.controller.decide import (
    Active,
    Blocked,
    Decision,
    ObservedSync,
    StartRun,
    Wait,
    decide,
    inputs_now,
    next_start,
    runs_to_prune,
)
from entrasync.controller.environment import Environment
from entrasync.controller.finalizing import DeletionReconciler
from entrasync.controller.gateway import ApiError, Gateway, resource_path
from entrasync.controller.inputs import INPUTS_ANNOTATION
from entrasync.controller.observe import Observer
from entrasync.controller.part_status import cloud_status
from entrasync.controller.queue import CONFLICT_LOOK, JOB_LOOK, QUEUE_LOOK
from entrasync.controller.resources import Resources
from entrasync.controller.runs import RunReconciler
from entrasync.controller.runs_of_sync import is_answered, request_of
from entrasync.controller.sync_status import sync_status
from entrasync.controller.unreadable import UnreadableTeller

BLOCKED_SHARE: Final = 6
"""A sync that is blocked is looked at again after this part of the time it has been blocked."""
LONGEST_BLOCKED_LOOK: Final = dt.timedelta(minutes=2)

Reconcile = Callable[[str | None, str, dt.datetime], dt.datetime | None]
"""Namespace, name and now -> when to be called again."""


def build_reconcilers(
    gateway: Gateway, resources: Resources, environment: Environment
) -> Mapping[str, Reconcile]:
    """What reconciles each kind, by its plural."""
    observer = Observer(
        resources=resources, claims=TenantClaims(gateway, environment.lock_namespace)
    )
    checks = CheckReconciler(gateway=gateway, resources=resources)
    runs = RunReconciler(
        gateway=gateway, resources=resources, observer=observer, environment=environment
    )
    deletion = DeletionReconciler(gateway=gateway, resources=resources, observer=observer)
    syncs = SyncReconciler(
        gateway=gateway, resources=resources, observer=observer, deletion=deletion
    )
    teller = UnreadableTeller(
        gateway=gateway, resources=resources, class_name=environment.class_name
    )
    reconcilers: Mapping[str, Reconcile] = {
        "azureclouds": syncs.cloud,
        "entratenants": checks.tenant,
        "activedirectories": checks.directory,
        "directorysyncs": syncs.sync,
        "syncruns": runs.run,
    }
    return {plural: teller.after(plural, each) for plural, each in reconcilers.items()}


@dataclass(slots=True, frozen=True, kw_only=True)
class SyncReconciler:
    """Reconciles DirectorySyncs, and accepts AzureClouds.

    Attributes:
        gateway: the API.
        resources: our kinds on top of it.
        observer: what a sync rests on.
        deletion: what becomes of a sync that is deleted together with what it owns.
    """

    gateway: Gateway
    resources: Resources
    observer: Observer
    deletion: DeletionReconciler

    def cloud(self, _: str | None, name: str, now: dt.datetime) -> dt.datetime | None:
        """Accepts a cloud."""
        cloud = self.resources.get(AzureCloud, None, name)
        if cloud is None:
            return None
        written = self.resources.publish(cloud, cloud.status, cloud_status(cloud, now), now)
        return None if written else now + CONFLICT_LOOK

    def sync(self, namespace: str | None, name: str, now: dt.datetime) -> dt.datetime | None:
        """Decides what a sync does next, and does it."""
        sync = self.resources.get(DirectorySync, namespace, name)
        if sync is None:
            # its claim goes with it; a tenant is only free once nothing of it is at work any more
            released = self.observer.claims.release(namespace or "", name)
            due = self.deletion.let_unreadable_go(namespace, name, now)
            return due if released else now + JOB_LOOK
        if not self.resources.is_own(sync):
            return None
        if self.deletion.concerns(sync):
            return self.deletion.step(sync, now)
        observed = self.observer.observe(sync)
        decision = decide(observed, now)
        answered = is_answered(observed)
        if isinstance(decision, StartRun):
            decision, made = self._try_to_make(observed, decision)
            answered |= made
        after = sync_status(sync, decision, next_start(observed, decision, now), now, observed.runs)
        if answered:
            after.last_handled_request = request_of(observed) or after.last_handled_request
        published = self.resources.publish(sync, sync.status, after, now)
        self.resources.metrics.sync_observed(sync, after, observed.runs, now)
        if not published:
            return now + CONFLICT_LOOK
        for run in runs_to_prune(observed):
            # only now: what the runs tell is in the status
            self.gateway.delete(resource_path("syncruns", namespace, run))
        return _look_again(decision, after, now)

    def _try_to_make(self, observed: ObservedSync, start: StartRun) -> tuple[Decision, bool]:
        """Makes a SyncRun; what is decided where it is refused, and whether it answers a request.

        Raises:
            ApiError: it is refused for no reason of the namespace's own.
        """
        try:
            made = self._make(observed, start)
        except ApiError as error:
            if not remedies.is_not_let(error):
                raise
            message = f"SyncRun {start.name} cannot be made: {remedies.refused(error.message)}"
            return Blocked("JobCannotStart", message, stalled=True), False
        return start, made and start.trigger is Trigger.ANNOTATION

    def _make(self, observed: ObservedSync, start: StartRun) -> bool:
        """Makes a SyncRun; false when there is one of this name."""
        sync = observed.sync
        told = {INPUTS_ANNOTATION: inputs_now(observed)}
        if start.trigger is Trigger.ANNOTATION:
            told[REQUEST_ANNOTATION] = request_of(observed) or ""
        made = self.gateway.create(
            resource_path("syncruns", sync.metadata.namespace),
            manifests.build_sync_run(
                sync, start.name, start.trigger, scope=start.scope, annotations=told
            ),
        )
        structlog.get_logger().info(
            "run_made",
            namespace=sync.metadata.namespace,
            sync=sync.metadata.name,
            run=start.name,
            trigger=str(start.trigger),
            new=made,
        )
        return made


def _look_again(
    decision: Decision, after: DirectorySyncStatus, now: dt.datetime
) -> dt.datetime | None:
    """When a sync is looked at again, should no event wake it."""
    match decision:
        case Wait(until):
            return until
        case Blocked():
            return now + _look_at_blocked(unready_for(after.conditions, now))
        case StartRun() | Active():
            return now + JOB_LOOK


def _look_at_blocked(blocked_for: dt.timedelta) -> dt.timedelta:
    """When to look again at a sync that is blocked for so long already.

    What it waits for wakes it in most cases. Thousands may wait for one directory.
    """
    return min(max(QUEUE_LOOK, blocked_for / BLOCKED_SHARE), LONGEST_BLOCKED_LOOK)
