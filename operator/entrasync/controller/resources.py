"""Reading and writing our resources as models, and telling people by Events."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import structlog
from pydantic import BaseModel, ValidationError

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.common import API_VERSION, Resource
from entrasync.api.directory_sync import DirectorySync
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.sync_run import SyncRun
from entrasync.controller.conditions import FALSE, Wanted
from entrasync.controller.durations import format_time
from entrasync.controller.gateway import Gateway, core_path, resource_path

R = TypeVar("R", bound=Resource)
EVENT_MESSAGE_LENGTH: Final = 1024


class Resources:
    """Our five kinds, read and written.

    Args:
        gateway: the API.
        new_id: makes unique suffixes for Events.
    """

    def __init__(self, gateway: Gateway, new_id: Callable[[], str]) -> None:
        self._gateway = gateway
        self._new_id = new_id

    def get(self, kind: type[R], namespace: str | None, name: str) -> R | None:
        """One resource; `None` when there is none, or it is not readable as what it should be."""
        found = self._gateway.get(_path(kind, namespace, name))
        return None if found is None else _parse(kind, found)

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

    def list(self, kind: type[R], namespace: str | None = None) -> list[R]:
        """All resources of a kind, in one namespace or in all."""
        plural = kind.definition.plural
        path = resource_path(plural, None if kind.definition.cluster_scoped else namespace)
        parsed = [_parse(kind, found) for found in self._gateway.list(path)]
        return [resource for resource in parsed if resource is not None]

    def write_status(self, resource: Resource, before: BaseModel | None, after: BaseModel) -> bool:
        """Writes a status when it changed; what went away is cleared, at every depth.

        False when the resource changed meanwhile: it will be looked at again.
        """
        old = {} if before is None else _dump(before)
        new = _dump(after)
        if old == new:
            return True
        return self._gateway.patch_status(
            _path(type(resource), resource.metadata.namespace, resource.metadata.name),
            merge_patch(old, new),
            resource.metadata.resource_version,
        )

    def tell(self, resource: Resource, what: Wanted | None, now: dt.datetime) -> None:
        """An Event about a change; nothing when there is none."""
        if what is None:
            return
        namespace = resource.metadata.namespace or "default"
        moment = format_time(now)
        self._gateway.create(
            core_path("events", namespace),
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {
                    "name": f"{resource.metadata.name}.{self._new_id()}",
                    "namespace": namespace,
                },
                "involvedObject": {
                    "apiVersion": API_VERSION,
                    "kind": resource.kind,
                    "name": resource.metadata.name,
                    "namespace": resource.metadata.namespace,
                    "uid": resource.metadata.uid,
                },
                "type": "Warning" if what.status == FALSE else "Normal",
                "reason": what.reason,
                "message": what.message[:EVENT_MESSAGE_LENGTH] or what.reason,
                "source": {"component": "entrasync"},
                "reportingComponent": "entrasync",
                "firstTimestamp": moment,
                "lastTimestamp": moment,
                "count": 1,
            },
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


def _path(kind: type[Resource], namespace: str | None, name: str) -> str:
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
