"""Checks of tenants and directories on their own."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Final

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.sync_run import DIRECTORY_FIELD, TENANT_FIELD, SyncRun, Trigger
from entrasync.controller import manifests, part_status, remedies
from entrasync.controller.check_pace import CheckPace
from entrasync.controller.check_times import check_due, is_forced
from entrasync.controller.decide import active_run
from entrasync.controller.durations import format_time
from entrasync.controller.gateway import ApiError, Gateway, resource_path
from entrasync.controller.queue import CONFLICT_LOOK, JOB_LOOK, QUEUE_LOOK
from entrasync.controller.references import reference_problem
from entrasync.controller.requests import requested
from entrasync.controller.resources import Resources
from entrasync.controller.run_status import trigger_of, was_ended

KEPT_CHECKS: Final = 2
NEXT_NAME: Final = dt.timedelta(seconds=1)
"""Names of checks tell seconds apart."""


@dataclass(slots=True, frozen=True, kw_only=True)
class CheckReconciler:
    """Reconciles EntraTenants and ActiveDirectories.

    Attributes:
        gateway: the API.
        resources: our kinds on top of it.
        pace: how many checks begin at once.
    """

    gateway: Gateway
    resources: Resources
    pace: CheckPace = field(default_factory=CheckPace)

    def tenant(self, namespace: str | None, name: str, now: dt.datetime) -> dt.datetime | None:
        """Checks a tenant when it is new, changed, asked for, or not usable."""
        tenant = self.resources.get(EntraTenant, namespace, name)
        if tenant is None or tenant.metadata.deletion_timestamp:
            return None
        if not self.resources.is_own(tenant):
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
        if not self.resources.is_own(directory):
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
        self._prune_checks(runs)
        if active_run(runs) is not None:
            part_status.part_checking(part, now)
            self._write_part(part, before, now)
            return now + JOB_LOOK
        due = check_due(part, now)
        if due is None or due > now:
            look = part_status.part_waited(part, due, now)
            written = self._write_part(part, before, now)
            return look if written else now + CONFLICT_LOOK
        place = self.pace.moment_for((part.kind, part.metadata.namespace, part.metadata.name), now)
        forced = is_forced(part, now)
        part_status.part_checking(part, now)
        if place > now:
            part_status.status_of(part).next_check_time = format_time(place)
            self._write_part(part, before, now)
            return place
        name = _check_name(part, now)
        path = resource_path("syncruns", part.metadata.namespace)
        try:
            made = self.gateway.create(path, manifests.build_check(part, name))
        except ApiError as error:
            if not remedies.is_not_let(error):
                raise
            message = f"its check cannot be made: {remedies.refused(error.message)}"
            part_status.part_blocked(part, "JobCannotStart", message, now)
            self._write_part(part, before, now)
            return now + 3 * QUEUE_LOOK
        if not made:
            return now + NEXT_NAME  # one of this second has ended already
        status = part_status.status_of(part)
        status.last_handled_request = requested(part)
        if forced:
            status.last_forced_check_time = format_time(now)
        self._write_part(part, before, now)
        return now + JOB_LOOK

    def _checks_of(self, part: EntraTenant | ActiveDirectory) -> list[SyncRun]:
        named_by = TENANT_FIELD if isinstance(part, EntraTenant) else DIRECTORY_FIELD
        fields = {named_by: part.metadata.name}
        return self.resources.list(SyncRun, part.metadata.namespace, fields=fields)

    def _prune_checks(self, runs: list[SyncRun]) -> None:
        ended = [r for r in runs if was_ended(r) and trigger_of(r) == Trigger.CHECK]
        ended.sort(
            key=lambda run: (run.metadata.creation_timestamp or "", run.metadata.name), reverse=True
        )
        for run in ended[KEPT_CHECKS:]:
            self.gateway.delete(
                resource_path("syncruns", run.metadata.namespace, run.metadata.name)
            )

    def _write_part(
        self, part: EntraTenant | ActiveDirectory, before: object, now: dt.datetime
    ) -> bool:
        """Writes what is said of a part now; false when it changed meanwhile."""
        if part.status is None:
            return True
        old = before if isinstance(before, type(part.status)) else None
        return self.resources.publish(part, old, part.status, now)


def _check_name(part: EntraTenant | ActiveDirectory, now: dt.datetime) -> str:
    kind = part.definition.short_names[0]
    name = part.metadata.name[:150]
    return f"{name}-check-{kind}-{part.metadata.generation}-{int(now.timestamp())}"
