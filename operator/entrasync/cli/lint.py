"""`entrasync lint`: whether manifests would be accepted and could be worked with.

It needs no cluster. Beside what the API server would refuse (schemas, rules between fields, what a
cloud offers) it finds what only a run would: flows, filters, schedules and time zones that cannot
be used, and two syncs that want the same tenant.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import yaml
from pydantic import ValidationError
from typing_extensions import override

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.common import GROUP, Resource
from entrasync.api.directory_sync import DirectorySync, SyncMode
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.schema_rules import broken_rules
from entrasync.api.shipped_clouds import shipped_clouds
from entrasync.api.snapshot import KINDS
from entrasync.controller.references import cloud_problem
from entrasync.controller.schedule import Timetable
from entrasync.errors import ConfigurationError
from entrasync.runner.inputs import flow_rules, safety_limits, selection_rules

R = TypeVar("R", bound=Resource)
CLEAN = 0
PROBLEMS = 2


@dataclass(slots=True, frozen=True, kw_only=True)
class Found(Generic[R]):
    """One resource of one file.

    Attributes:
        file: where it stands.
        resource: the resource.
    """

    file: Path
    resource: R


@dataclass(slots=True, frozen=True, kw_only=True)
class Problem:
    """Something to mend.

    Attributes:
        file: where it stands.
        where: `Kind/name` and the field, as far as they are known.
        message: what is wrong, and what to do.
        certain: false for what may be all right where it is applied.
    """

    file: Path
    where: str
    message: str
    certain: bool = True

    @override
    def __str__(self) -> str:
        kind = "error" if self.certain else "notice"
        where = f" {self.where}:" if self.where else ""
        return f"{self.file}: {kind}:{where} {self.message}"


def lint(paths: Sequence[Path]) -> int:
    """Checks manifests and prints what is amiss.

    Args:
        paths: files, and folders that are searched with all below them.

    Returns:
        0 when nothing must be mended, 2 otherwise.
    """
    found: list[Found[Resource]] = []
    problems: list[Problem] = []
    files = list(_files(paths))
    for file in files:
        for each in _read(file):
            if isinstance(each, Found):
                found.append(each)
            else:
                problems.append(each)
    problems += _between(found)
    sys.stdout.writelines(f"{each}\n" for each in problems)
    errors = [each for each in problems if each.certain]
    sys.stdout.write(
        f"{len(files)} files, {len(found)} resources of {GROUP}: {len(errors)} errors,"
        f" {len(problems) - len(errors)} notices\n"
    )
    return PROBLEMS if errors or not files else CLEAN


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from sorted(each for each in path.rglob("*") if each.suffix in {".yaml", ".yml"})
        else:
            yield path


def _read(file: Path) -> Iterator[Found[Resource] | Problem]:
    """What a file holds of ours, and what is wrong with it; other groups are passed over."""
    try:
        documents = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        yield Problem(file=file, where="", message=f"it cannot be read: {_one_line(error)}")
        return
    for document in documents:
        if isinstance(document, dict) and str(document.get("apiVersion")).startswith(f"{GROUP}/"):
            yield from _check(file, document)


def _check(file: Path, document: dict[str, Any]) -> Iterator[Found[Resource] | Problem]:
    """One document: its schema, the rules between its fields, and what a run makes of it."""
    kind = KINDS.get(str(document.get("kind")))
    if kind is None:
        known = ", ".join(KINDS)
        message = f"`kind` {document.get('kind')} is not known; it must be one of {known}"
        yield Problem(file=file, where="", message=message)
        return
    metadata = document.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    key = f"{document['kind']}/{name or ''}"
    try:
        resource = kind.model_validate(document)
    except ValidationError as error:
        for entry in error.errors(include_url=False, include_input=False):
            field = ".".join(str(part) for part in entry["loc"])
            yield Problem(file=file, where=f"{key} `{field}`", message=str(entry["msg"]))
        return
    yield from _broken(file, kind, document, key)
    for flaw in _unusable(resource):
        where = f"{key} `{flaw.field}`" if flaw.field else key
        yield Problem(file=file, where=where, message=flaw.message)
    yield Found(file=file, resource=resource)


def _broken(
    file: Path, kind: type[Resource], document: dict[str, Any], key: str
) -> Iterator[Problem]:
    for broken in broken_rules(kind, document):
        where = f"{key} `{broken.field}`" if broken.field else key
        yield Problem(file=file, where=where, message=broken.message)


def _unusable(resource: Resource) -> Iterator[ConfigurationError]:
    """What a run would stumble over."""
    if not isinstance(resource, DirectorySync):
        return
    spec = resource.spec
    attempts: tuple[Callable[[], object], ...] = (
        lambda: _next_start(resource),
        lambda: flow_rules(spec.objects),
        lambda: selection_rules(spec.objects, resource=resource.key),
        lambda: safety_limits(spec.safety),
    )
    for attempt in attempts:
        try:
            attempt()
        except ConfigurationError as error:
            yield error


def _next_start(sync: DirectorySync) -> object:
    """Asks for a start: a schedule that cannot be, or never lets a run start, refuses."""
    timetable = Timetable.of(sync.spec.schedule, sync.metadata.name)
    now = dt.datetime.now(dt.UTC)
    return timetable.by_slot(now, now)


def _between(found: Sequence[Found[Resource]]) -> Iterator[Problem]:
    """What is amiss between resources."""
    yield from _doubles(found)
    clouds = {each.metadata.name: each for each in shipped_clouds()}
    clouds |= {each.resource.metadata.name: each.resource for each in _of(found, AzureCloud)}
    tenants = {_place(each.resource): each.resource for each in _of(found, EntraTenant)}
    directories = {_place(each.resource) for each in _of(found, ActiveDirectory)}
    for each in _of(found, EntraTenant):
        yield from _cloud_of(each, clouds)
    owners: dict[tuple[str, str], DirectorySync] = {}
    for sync in _of(found, DirectorySync):
        yield from _references_of(sync, tenants, directories)
        yield from _owner_of(sync, tenants, owners)


def _doubles(found: Sequence[Found[Resource]]) -> Iterator[Problem]:
    first: dict[tuple[str, str, str], Path] = {}
    for each in found:
        identity = (each.resource.kind, *_place(each.resource))
        if identity in first:
            other = first[identity]
            message = f"it stands in {other} already; of two applied together the last one wins"
            # a tree of overlays may well hold one object several times, each for another cluster
            same = other == each.file
            yield Problem(file=each.file, where=each.resource.key, message=message, certain=same)
        first.setdefault(identity, each.file)


def _cloud_of(found: Found[EntraTenant], clouds: dict[str, AzureCloud]) -> Iterator[Problem]:
    tenant = found.resource
    name = tenant.spec.cloud_ref.name
    if name not in clouds:
        message = f"AzureCloud {name} is neither shipped nor among these files"
        yield _missing(found, "spec.cloudRef", message)
        return
    problem = cloud_problem(tenant, clouds[name])
    if problem is not None:
        yield Problem(file=found.file, where="", message=problem[1])


def _references_of(
    found: Found[DirectorySync],
    tenants: dict[tuple[str, str], EntraTenant],
    directories: set[tuple[str, str]],
) -> Iterator[Problem]:
    spec = found.resource.spec
    namespace = found.resource.metadata.namespace or ""
    tenant = spec.target.entra_tenant_ref.name
    if (namespace, tenant) not in tenants:
        yield _missing(found, "spec.target", f"EntraTenant {tenant} is not among these files")
    for number, source in enumerate(spec.sources):
        name = source.active_directory_ref.name
        if (namespace, name) not in directories:
            message = f"ActiveDirectory {name} is not among these files"
            yield _missing(found, f"spec.sources[{number}]", message)


def _owner_of(
    found: Found[DirectorySync],
    tenants: dict[tuple[str, str], EntraTenant],
    owners: dict[tuple[str, str], DirectorySync],
) -> Iterator[Problem]:
    """One sync in mode Apply owns a tenant."""
    sync = found.resource
    tenant = tenants.get((sync.metadata.namespace or "", sync.spec.target.entra_tenant_ref.name))
    if tenant is None or sync.spec.mode is not SyncMode.APPLY:
        return
    identity = (tenant.spec.cloud_ref.name, tenant.spec.tenant_id)
    owner = owners.setdefault(identity, sync)
    if _place(owner) != _place(sync):
        message = (
            f"{owner.key} in namespace {owner.metadata.namespace} owns this tenant already; set"
            " `spec.mode` of one of them to Preview"
        )
        yield Problem(file=found.file, where=f"{sync.key} `spec.target`", message=message)


def _of(found: Iterable[Found[Resource]], kind: type[R]) -> list[Found[R]]:
    return [
        Found(file=each.file, resource=each.resource)
        for each in found
        if isinstance(each.resource, kind)
    ]


def _missing(found: Found[R], field: str, message: str) -> Problem:
    where = f"{found.resource.key} `{field}`"
    message = f"{message}; it must be in the cluster by the time this is applied"
    return Problem(file=found.file, where=where, message=message, certain=False)


def _place(resource: Resource) -> tuple[str, str]:
    return resource.metadata.namespace or "", resource.metadata.name


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
