"""Which of several operators of a cluster serves a resource. Pure.

Tenants, directories and syncs say their class; clouds are everybody's, and every operator writes
the same status onto them. A SyncRun follows what it names; one that names nothing that exists is
told so by the operator without a class.
"""

from __future__ import annotations

from collections.abc import Iterable

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.common import Resource
from entrasync.api.directory_sync import DirectorySync
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.sync_run import SyncRun

Part = EntraTenant | ActiveDirectory
Classed = DirectorySync | Part


def class_of(resource: Classed) -> str:
    """Class of a resource; empty for that of operators without one."""
    return resource.spec.class_name or ""


def named_by(run: SyncRun) -> tuple[type[Classed], str] | None:
    """Kind and name of what a run is of."""
    spec = run.spec
    if spec.directory_sync_ref is not None:
        return DirectorySync, spec.directory_sync_ref.name
    if spec.entra_tenant_ref is not None:
        return EntraTenant, spec.entra_tenant_ref.name
    if spec.active_directory_ref is not None:
        return ActiveDirectory, spec.active_directory_ref.name
    return None


def class_problem(sync: DirectorySync, parts: Iterable[Part | None]) -> str | None:
    """A sentence about the first tenant or directory that another operator serves."""
    wanted = class_of(sync)
    for part in parts:
        if part is not None and class_of(part) != wanted:
            field = "spec.target" if isinstance(part, EntraTenant) else "spec.sources"
            return (
                f"`{field}`: {part.key} is of {_named(class_of(part))}, and this sync of"
                f" {_named(wanted)}; name one of the same class, or create one of them anew with"
                " the `spec.className` of the other"
            )
    return None


def is_of_class(resource: Resource, class_name: str) -> bool:
    """Whether operators of a class serve a tenant, directory, sync or cloud."""
    return not isinstance(resource, Classed) or class_of(resource) == class_name


def _named(class_name: str) -> str:
    return f"class {class_name}" if class_name else "no class"
