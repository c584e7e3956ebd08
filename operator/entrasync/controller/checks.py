"""Checks of tenants and directories on their own."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.sync_run import SyncRun, Trigger
from entrasync.controller import manifests, part_status
from entrasync.controller.check_times import check_due, request_of
from entrasync.controller.conditions import ready_changed
from entrasync.controller.decide import active_run
from entrasync.controller.gateway import Gateway, resource_path
from entrasync.controller.queue import JOB_LOOK, QUEUE_LOOK
from entrasync.controller.references import reference_problem
from entrasync.controller.resources import Resources
from entrasync.controller.run_status import trigger_of, was_ended

KEPT_CHECKS: Final = 2


@dataclass(slots=True, frozen=True, kw_only=True)
class CheckReconciler:
    """Reconciles EntraTenants and ActiveDirectories.

    Attributes:
        gateway: the API.
        resources: our kinds on top of it.
    """

    gateway: Gateway
    resources: Resources

    def tenant(self, namespace: str | None, name: str, now: dt.datetime) -> dt.datetime | None:
        """Checks a tenant when it is new, changed, asked for, or not usable."""
        tenant = self.resources.get(EntraTenant, namespace, name)
        if tenant is None or tenant.metadata.deletion_timestamp:
            return None
        before = tenant.status.model_copy(deep=True) if tenant.status else None
        cloud = self.resources.get(AzureCloud, None, tenant.spec.cloud_ref.name)
        problem = reference_problem(tenant, cloud, self.resources.account_labels(tenant))
        if problem is not None:
            reason, message = problem
            part_status.part_blocked(tenant, reason, message, now)
            self._write_part(tenant, before, now)
            return now + QUEUE_LOOK
        return self._check_part(tenant, before, now)

    def directory(self, namespace: str | None, name: str, now: dt.datetime) -> dt.datetime | None:
        """Checks a directory when it is new, changed, asked for, or not usable."""
        directory = self.resources.get(ActiveDirectory, namespace, name)
        if directory is None or directory.metadata.deletion_timestamp:
            return None
        before = directory.status.model_copy(deep=True) if directory.status else None
        return self._check_part(directory, before, now)

    def _check_part(
        self,
        part: EntraTenant | ActiveDirectory,
        before: object,
        now: dt.datetime,
    ) -> dt.datetime | None:
        runs = self._checks_of(part)
        if active_run(runs) is not None:
            part_status.part_checking(part, now)
            self._write_part(part, before, now)
            return now + JOB_LOOK
        due = check_due(part, now)
        if due is None or due > now:
            self._prune_checks(runs)
            return due
        name = _check_name(part, now)
        path = resource_path("syncruns", part.metadata.namespace)
        self.gateway.create(path, manifests.build_check(part, name))
        part_status.part_checking(part, now)
        if part.status is not None:
            part.status.last_handled_request = request_of(part)
        self._write_part(part, before, now)
        return now + JOB_LOOK

    def _checks_of(self, part: EntraTenant | ActiveDirectory) -> list[SyncRun]:
        found = []
        for run in self.resources.list(SyncRun, part.metadata.namespace):
            spec = run.spec
            ref = (
                spec.entra_tenant_ref
                if isinstance(part, EntraTenant)
                else spec.active_directory_ref
            )
            if ref is not None and ref.name == part.metadata.name:
                found.append(run)
        return found

    def _prune_checks(self, runs: list[SyncRun]) -> None:
        ended = [r for r in runs if was_ended(r) and trigger_of(r) == Trigger.CHECK]
        ended.sort(key=lambda run: run.metadata.creation_timestamp or "", reverse=True)
        for run in ended[KEPT_CHECKS:]:
            self.gateway.delete(
                resource_path("syncruns", run.metadata.namespace, run.metadata.name)
            )

    def _write_part(
        self, part: EntraTenant | ActiveDirectory, before: object, now: dt.datetime
    ) -> None:
        if part.status is None:
            return
        old = before if isinstance(before, type(part.status)) else None
        if self.resources.write_status(part, old, part.status):
            self.resources.tell(part, ready_changed(old, part.status), now)


def _check_name(part: EntraTenant | ActiveDirectory, now: dt.datetime) -> str:
    kind = part.definition.short_names[0]
    name = part.metadata.name[:150]
    return f"{name}-check-{kind}-{part.metadata.generation}-{int(now.timestamp())}"
