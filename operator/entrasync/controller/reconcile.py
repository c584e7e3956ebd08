"""Level-triggered reconciling: read, decide, apply, write status.

Each function returns when it wants to be called again at the latest; `None` for not before
something changes. What they do may be done twice: names are deterministic, and "already there" is
fine.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.directory_sync import DirectorySync, DirectorySyncStatus
from entrasync.api.sync_run import REQUEST_ANNOTATION, Trigger
from entrasync.controller import manifests
from entrasync.controller.checks import CheckReconciler
from entrasync.controller.claims import TenantClaims
from entrasync.controller.conditions import ready_changed
from entrasync.controller.decide import (
    Active,
    Blocked,
    ObservedSync,
    StartRun,
    Wait,
    decide,
    due_time,
    runs_to_prune,
)
from entrasync.controller.environment import Environment
from entrasync.controller.gateway import Gateway, resource_path
from entrasync.controller.observe import Observer
from entrasync.controller.part_status import cloud_status
from entrasync.controller.queue import JOB_LOOK, QUEUE_LOOK
from entrasync.controller.resources import Resources
from entrasync.controller.runs import RunReconciler
from entrasync.controller.sync_status import sync_status
from entrasync.errors import ConfigurationError

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
    syncs = SyncReconciler(gateway=gateway, resources=resources, observer=observer)
    return {
        "azureclouds": syncs.cloud,
        "entratenants": checks.tenant,
        "activedirectories": checks.directory,
        "directorysyncs": syncs.sync,
        "syncruns": runs.run,
    }


@dataclass(slots=True, frozen=True, kw_only=True)
class SyncReconciler:
    """Reconciles DirectorySyncs, and accepts AzureClouds.

    Attributes:
        gateway: the API.
        resources: our kinds on top of it.
        observer: what a sync rests on.
    """

    gateway: Gateway
    resources: Resources
    observer: Observer

    def cloud(self, _: str | None, name: str, now: dt.datetime) -> dt.datetime | None:
        """Accepts a cloud."""
        cloud = self.resources.get(AzureCloud, None, name)
        if cloud is not None:
            self.resources.write_status(cloud, cloud.status, cloud_status(cloud, now))
        return None

    def sync(self, namespace: str | None, name: str, now: dt.datetime) -> dt.datetime | None:
        """Decides what a sync does next, and does it."""
        sync = self.resources.get(DirectorySync, namespace, name)
        if sync is None:
            self.observer.claims.release_abandoned()
            return None
        observed = self.observer.observe(sync)
        decision = decide(observed, now)
        if isinstance(decision, StartRun):
            path = resource_path("syncruns", namespace)
            made = self.gateway.create(
                path, manifests.build_sync_run(sync, decision.name, decision.trigger)
            )
            structlog.get_logger().info(
                "run_made",
                namespace=namespace,
                sync=name,
                run=decision.name,
                trigger=str(decision.trigger),
                new=made,
            )
        for run in runs_to_prune(observed):
            self.gateway.delete(resource_path("syncruns", namespace, run))
        due = _next_due(observed, now)
        after = sync_status(sync, decision, due, now, observed.runs)
        if isinstance(decision, StartRun) and decision.trigger is Trigger.ANNOTATION:
            after.last_handled_request = sync.metadata.annotations.get(REQUEST_ANNOTATION)
        if self.resources.write_status(sync, sync.status, after):
            self.resources.tell(sync, ready_changed(sync.status, after), now)
        match decision:
            case Wait(until):
                return until
            case Blocked():
                return now + QUEUE_LOOK
            case StartRun() | Active():
                return now + JOB_LOOK


def _next_due(observed: ObservedSync, now: dt.datetime) -> dt.datetime | None:
    status_now = observed.sync.status or DirectorySyncStatus()
    if observed.sync.spec.suspend or status_now.last_run is None:
        return None
    try:
        return due_time(observed, now)
    except ConfigurationError:
        return None
