"""Reading and writing our resources as models, and telling people by Events."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.bounds import bounded
from entrasync.api.common import Resource
from entrasync.api.directory_sync import DirectorySync
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.sync_run import SyncRun
from entrasync.controller.classes import is_of_class, named_by
from entrasync.controller.events import Transition, build_event, transitions
from entrasync.controller.gateway import ApiError, Gateway, core_path, resource_path
from entrasync.controller.metrics import OperatorMetrics

R = TypeVar("R", bound=Resource)


class Resources:
    """Our five kinds, read and written.

    Args:
        gateway: the API.
        metrics: told of what is read and written; `None` for some that nobody sees.
        class_name: class of the resources that are served; empty for those without one.

    Attributes:
        metrics: for all who work with resources.
        unreadable: what was read and not understood, by its path.
    """

    def __init__(
        self,
        gateway: Gateway,
        metrics: OperatorMetrics | None = None,
        class_name: str = "",
    ) -> None:
        self._gateway = gateway
        self._class_name = class_name
        self.metrics = metrics or OperatorMetrics()
        self.unreadable: dict[str, dict[str, Any]] = {}

    def get(self, kind: type[R], namespace: str | None, name: str) -> R | None:
        """One resource; `None` when there is none, or it is not readable as what it should be."""
        path = path_of(kind, namespace, name)
        found = self._gateway.get(path)
        if found is None:
            self.metrics.forget(kind.definition.kind, namespace, name)
            return None
        resource = _parse(kind, found)
        if resource is None:
            self.unreadable[path] = found
        if resource is not None and is_of_class(resource, self._class_name):
            self.metrics.observed(resource, getattr(resource, "status", None))
        return resource

    def is_own(self, resource: Resource) -> bool:
        """Whether this operator serves a resource; a run follows what it names."""
        named = named_by(resource) if isinstance(resource, SyncRun) else None
        if named is None:
            return is_of_class(resource, self._class_name)
        kind, name = named
        found = self.get(kind, resource.metadata.namespace, name)
        return not self._class_name if found is None else is_of_class(found, self._class_name)

    def serves(self, manifest: Mapping[str, Any]) -> bool:
        """Whether this operator serves an object, as it is stored."""
        return bool((manifest.get("spec") or {}).get("className", "") == self._class_name)

    def account_labels(self, tenant: EntraTenant) -> Mapping[str, str] | None:
        """Labels of the ServiceAccount a tenant names; `None` when it names or there is none."""
        identity = tenant.spec.application.workload_identity
        if identity is None:
            return None
        namespace = tenant.metadata.namespace or ""
        found = self._gateway.get(
            core_path("serviceaccounts", namespace, identity.service_account_name)
        )
        return None if found is None else found["metadata"].get("labels", {})

    def list(
        self,
        kind: type[R],
        namespace: str | None = None,
        *,
        fields: Mapping[str, str] | None = None,
    ) -> list[R]:
        """All resources of a kind, in one namespace or in all.

        Args:
            kind: of resources.
            namespace: `None` for all.
            fields: values of the kind's selectable fields; the API server selects.
        """
        plural = kind.definition.plural
        path = resource_path(plural, None if kind.definition.cluster_scoped else namespace)
        parsed = [_parse(kind, found) for found in self._gateway.list(path, fields=fields)]
        return [resource for resource in parsed if resource is not None]

    def write_status(self, resource: Resource, before: BaseModel | None, after: BaseModel) -> bool:
        """Writes a status when it changed; what went away is cleared, at every depth.

        What exceeds the bounds of the schema is cut.

        False when the resource changed meanwhile: it will be looked at again.
        """
        self.metrics.observed(resource, after)
        old = {} if before is None else bounded(_dump(before), type(before))
        new = bounded(_dump(after), type(after))
        if old == new:
            return True
        return self._gateway.patch_status(
            path_of(type(resource), resource.metadata.namespace, resource.metadata.name),
            merge_patch(old, new),
            resource.metadata.resource_version,
        )

    def publish(
        self, resource: Resource, before: BaseModel | None, after: BaseModel, now: dt.datetime
    ) -> bool:
        """Tells people what changes, then writes the status; as `write_status` otherwise.

        In this order, and with names that follow from the change, nothing is told twice or lost.
        """
        old, new = (getattr(each, "conditions", []) for each in (before, after))
        for what in transitions(old, new, resource.metadata.resource_version):
            self._tell(resource, what, now)
        return self.write_status(resource, before, after)

    def _tell(self, resource: Resource, what: Transition, now: dt.datetime) -> None:
        event = build_event(resource, what, now)
        try:
            self._gateway.create(core_path("events", event["metadata"]["namespace"]), event)
        except ApiError as error:
            # a namespace that ends, or a quota on Events, must not keep a status from being written
            structlog.get_logger().warning(
                "event_refused", kind=resource.kind, name=resource.metadata.name, error=str(error)
            )


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) that turns one document into another.

    Members that went away are null at every depth: a merge leaves what a patch does not name, so
    that the counts of a plan blocked before would stay among those of the next one.
    """
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            patch[key] = merge_patch(before, value)
        else:
            patch[key] = value
    return patch


def path_of(kind: type[Resource], namespace: str | None, name: str) -> str:
    """Path of one of our resources."""
    plural = kind.definition.plural
    return resource_path(plural, None if kind.definition.cluster_scoped else namespace, name)


def _parse(kind: type[R], manifest: dict[str, Any]) -> R | None:
    status = manifest.get("status") or {}
    if status.get("observedGeneration") == -1 and len(status) == 1:
        # the schema's default: nothing was ever written
        manifest = {key: value for key, value in manifest.items() if key != "status"}
    try:
        return kind.model_validate(manifest)
    except ValidationError as error:
        # an object stored by another version of the schema must not stop all others
        structlog.get_logger().warning(
            "resource_unreadable",
            kind=kind.definition.kind,
            name=manifest.get("metadata", {}).get("name"),
            fields=[".".join(map(str, entry["loc"])) for entry in error.errors()],
        )
        return None


def _dump(model: BaseModel) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True, exclude_none=True)


KINDS: Final[dict[str, type[Resource]]] = {
    kind.definition.plural: kind
    for kind in (AzureCloud, EntraTenant, ActiveDirectory, DirectorySync, SyncRun)
}
