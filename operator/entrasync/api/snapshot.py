"""The snapshot of a run: the resources it works from, as YAML documents.

The operator writes one into an immutable ConfigMap per run; `entrasync run --config DIR` reads the
same documents from files, so that a run can be reproduced, or made without a cluster.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import ValidationError

from entrasync.api.active_directory import ActiveDirectory, CaProviderType
from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.choices import DeletionPolicy
from entrasync.api.common import API_VERSION, Resource
from entrasync.api.directory_sync import DELETION_FINALIZER, DirectorySync
from entrasync.api.entra_tenant import EntraTenant
from entrasync.api.shipped_clouds import shipped_clouds
from entrasync.api.sync_run import TRIGGER_LABEL, RunMode, SyncRun, Trigger
from entrasync.errors import ConfigurationError

SNAPSHOT_FILE: Final = "run.yaml"
"""Key of the ConfigMap, and name of the file, that holds the documents."""
CONFIG_MAP_FOLDER: Final = "configmaps"
"""Folder beside it that holds mounted ConfigMaps: `configmaps/<name>/<key>`."""
TOKEN_FILE_VARIABLE: Final = "AZURE_FEDERATED_TOKEN_FILE"  # noqa: S105  - a variable's name
"""Environment variable that names the file with the token of the pod's ServiceAccount, as Azure's
own tools read it."""
EXTRA_CA_VARIABLE: Final = "ENTRASYNC_EXTRA_CA_FILE"
"""Environment variable that names a file with certificates (PEM) to trust for the cloud, beside the
system's: those of a proxy that opens connections. Directories do not trust them."""
TOKEN_AUDIENCE: Final = "api://AzureADTokenExchange"  # noqa: S105  - an address
"""Audience of that token; the federated credential of the application must name the same."""

_R = TypeVar("_R", bound=Resource)

KINDS: Final[dict[str, type[Resource]]] = {
    "AzureCloud": AzureCloud,
    "EntraTenant": EntraTenant,
    "ActiveDirectory": ActiveDirectory,
    "DirectorySync": DirectorySync,
    "SyncRun": SyncRun,
}


@dataclass(slots=True, frozen=True, kw_only=True)
class Snapshot:
    """The resources of one run, references resolved.

    Attributes:
        run: the SyncRun, `None` when run from files without one.
        sync: the DirectorySync; `None` when only a tenant or a directory is checked.
        directories: the ActiveDirectories by name.
        tenant: the EntraTenant; `None` when only a directory is checked.
        cloud: its AzureCloud.
        config_maps: contents of ConfigMaps by (name, key), for CA certificates.
    """

    run: SyncRun | None
    sync: DirectorySync | None
    directories: dict[str, ActiveDirectory]
    tenant: EntraTenant | None
    cloud: AzureCloud | None
    config_maps: dict[tuple[str, str], str]

    @property
    def is_last(self) -> bool:
        """Whether this is the last run of a sync that is deleted together with what it owns."""
        return self.run is not None and self.sync is not None and is_last(self.run, self.sync)


def is_last(run: SyncRun, sync: DirectorySync) -> bool:
    """Whether a run removes what a sync owns, as it is being deleted.

    The label alone makes no such run: it holds only while the sync itself waits for it.
    """
    return (
        run.metadata.labels.get(TRIGGER_LABEL) == Trigger.DELETION
        and sync.metadata.deletion_timestamp is not None
        and DELETION_FINALIZER in sync.metadata.finalizers
        and sync.spec.deletion_policy is DeletionPolicy.DELETE
    )


def parse_resource(document: dict[str, Any]) -> Resource:
    """One manifest as a typed resource.

    Raises:
        ConfigurationError: it is of another group, an unknown kind, or does not fit the schema.
    """
    kind = str(document.get("kind", ""))
    if document.get("apiVersion") != API_VERSION or kind not in KINDS:
        raise ConfigurationError(
            "ConfigurationInvalid",
            f"a document is no {API_VERSION} resource of a known kind: {kind!r}",
        )
    try:
        return KINDS[kind].model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str((document.get("metadata") or {}).get("name", ""))
        raise ConfigurationError(
            "ConfigurationInvalid",
            str(first["msg"]),
            resource=f"{kind}/{name}",
            field=".".join(str(part) for part in first["loc"]),
        ) from None


def load_snapshot(paths: list[Path], mode: RunMode | None = None) -> Snapshot:
    """Reads a snapshot from YAML files and folders of them.

    The shipped clouds need not be among the files. Secrets are ignored: they come from their own
    folder, never from here.

    Args:
        paths: files and folders.
        mode: what the run is to do, `None` for what its SyncRun says.

    Raises:
        ConfigurationError: a file cannot be read, or a referenced resource is missing or ambiguous.
    """
    resources: list[Resource] = []
    config_maps: dict[tuple[str, str], str] = {}
    for document in _documents(paths):
        if document.get("apiVersion") == API_VERSION:
            resources.append(parse_resource(document))
        elif document.get("kind") == "ConfigMap":
            name = document.get("metadata", {}).get("name", "")
            config_maps |= {(name, key): str(v) for key, v in (document.get("data") or {}).items()}
    for folder in (path for path in paths if path.is_dir()):
        config_maps |= _mounted_config_maps(folder / CONFIG_MAP_FOLDER)
    return resolve(resources, config_maps, mode)


def resolve(
    resources: list[Resource],
    config_maps: dict[tuple[str, str], str],
    mode: RunMode | None = None,
) -> Snapshot:
    """Puts resources together by their references; a report needs none of those.

    Args:
        resources: all there are.
        config_maps: contents of ConfigMaps by (name, key).
        mode: as of `load_snapshot`.

    Raises:
        ConfigurationError: something referenced is missing, or there are several candidates.
    """
    runs = [r for r in resources if isinstance(r, SyncRun)]
    syncs = [r for r in resources if isinstance(r, DirectorySync)]
    tenants = {r.metadata.name: r for r in resources if isinstance(r, EntraTenant)}
    directories = {r.metadata.name: r for r in resources if isinstance(r, ActiveDirectory)}
    clouds = {r.metadata.name: r for r in shipped_clouds()}
    clouds |= {r.metadata.name: r for r in resources if isinstance(r, AzureCloud)}
    if len(syncs) > 1 or len(runs) > 1:
        raise ConfigurationError(
            "ConfigurationInvalid",
            "the files hold more than one DirectorySync or SyncRun; name one file",
        )
    sync = syncs[0] if syncs else None
    run = runs[0] if runs else None
    tenant: EntraTenant | None
    if (mode or (run and run.spec.mode)) is RunMode.REPORT:
        # it reads the state alone, and must say what it knows although a reference is gone
        return Snapshot(run=run, sync=sync, directories={}, tenant=None, cloud=None, config_maps={})
    if sync is not None:
        tenant = _referenced(tenants, sync.spec.target.entra_tenant_ref.name, sync, "spec.target")
        reads = run is None or not is_last(run, sync)
        wanted = [each.active_directory_ref.name for each in sync.spec.sources if reads]
        directories = {n: _referenced(directories, n, sync, "spec.sources") for n in wanted}
    else:
        tenant = next(iter(tenants.values()), None)
    cloud = None
    if tenant is not None:
        cloud = _referenced(clouds, tenant.spec.cloud_ref.name, tenant, "spec.cloudRef")
    return Snapshot(
        run=run,
        sync=sync,
        directories=directories,
        tenant=tenant,
        cloud=cloud,
        config_maps=config_maps,
    )


def dump_snapshot(resources: list[Resource]) -> str:
    """Resources as YAML documents, in the order given."""
    return yaml.safe_dump_all(
        [resource.to_manifest() for resource in resources], sort_keys=False, allow_unicode=True
    )


def ca_certificates(directory: ActiveDirectory, snapshot: Snapshot, secrets: Path) -> str | None:
    """PEM certificates to trust for a directory, `None` for the system's own.

    Raises:
        ConfigurationError: the object that should hold them, or its key, is missing.
    """
    provider = directory.spec.ca_provider
    if provider is None:
        return directory.spec.ca_bundle
    if provider.type is CaProviderType.CONFIG_MAP:
        found = snapshot.config_maps.get((provider.name, provider.key))
        reason = "ReferenceNotFound"
    else:
        path = secrets / provider.name / provider.key
        found = path.read_text() if path.is_file() else None
        reason = "SecretNotFound"
    if found is None:
        raise ConfigurationError(
            reason,
            f"{provider.type} {provider.name} with key {provider.key} was not found; create it, or"
            " name another in `spec.caProvider`",
            resource=directory.key,
            field="spec.caProvider",
        )
    return found


def _referenced(found: dict[str, _R], name: str, owner: Resource, field: str) -> _R:
    if name not in found:
        raise ConfigurationError(
            "ReferenceNotFound",
            f"it names {name}, which does not exist; create it or correct the name",
            resource=owner.key,
            field=field,
        )
    return found[name]


def _documents(paths: list[Path]) -> list[dict[str, Any]]:
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
        else:
            files.append(path)
    documents: list[dict[str, Any]] = []
    for file in files:
        try:
            loaded = list(yaml.safe_load_all(file.read_text(encoding="utf-8")))
        except (OSError, yaml.YAMLError) as error:
            raise ConfigurationError(
                "ConfigurationInvalid", f"{file} cannot be read: {error}"
            ) from None
        documents += [document for document in loaded if isinstance(document, dict)]
    return documents


def _mounted_config_maps(folder: Path) -> dict[tuple[str, str], str]:
    return {
        (file.parent.name, file.name): file.read_text(encoding="utf-8")
        for file in folder.glob("*/*")
        if file.is_file()
    }
