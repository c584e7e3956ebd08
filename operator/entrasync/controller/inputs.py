"""What of a spec affects results: a change of it starts a run by itself. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from entrasync.api.active_directory import ActiveDirectory
from entrasync.api.azure_cloud import AzureCloud
from entrasync.api.directory_sync import DirectorySync
from entrasync.api.entra_tenant import EntraTenant

INPUTS_ANNOTATION: Final = "entrasync.dev/inputs"
"""On a SyncRun the operator made, and on the Job of any run: digest of what it works from."""

_OF_NO_RESULT: Final[dict[type[BaseModel], frozenset[str]]] = {
    DirectorySync: frozenset(
        {
            "approved_plan",  # an approval counts when it comes, not when it goes: see below
            "class_name",
            "deletion_policy",
            "failed_runs_history_limit",
            "reporting",
            "runner",
            "schedule",
            "successful_runs_history_limit",
            "suspend",
        }
    ),
    EntraTenant: frozenset({"application", "class_name", "write_quota_percent"}),
    ActiveDirectory: frozenset(
        {
            "bind_secret_ref",
            "ca_bundle",
            "ca_provider",
            "class_name",
            "keytab_secret_ref",
            "principal",
            "start_tls",
        }
    ),
}
"""Fields that say when, where and by whom a run is made, not what comes of it. All others count,
those of later versions included."""
_DIGITS: Final = 16
_APPROVAL_DIGITS: Final = 12
_APPROVED: Final = "+"


def inputs_of(
    sync: DirectorySync,
    tenant: EntraTenant | None,
    cloud: AzureCloud | None,
    directories: Mapping[str, ActiveDirectory],
) -> str:
    """A digest of all that affects what a run of a sync does, with the approval it works under.

    Values equal to their defaults are left out, so that a field that a later version adds changes
    nothing.
    """
    content: dict[str, Any] = {
        "sync": _relevant(sync),
        "directories": {name: _relevant(each) for name, each in sorted(directories.items())},
    }
    if tenant is not None:
        content["tenant"] = _relevant(tenant)
    if cloud is not None:
        content["cloud"] = {
            "url": cloud.spec.sync_service.url,
            "endpoints": [_dump(each, frozenset()) for each in cloud.spec.sync_service.endpoints],
        }
    text = json.dumps(content, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]
    approved = sync.spec.approved_plan
    if approved is None:
        return digest
    return f"{digest}{_APPROVED}{approved.removeprefix('sha256:')[:_APPROVAL_DIGITS]}"


def call_for_a_run(inputs: str, earlier: str) -> bool:
    """Whether inputs differ from earlier ones in what matters: an approval that went does not."""
    digest, _, approved = inputs.partition(_APPROVED)
    digest_before, _, approved_before = earlier.partition(_APPROVED)
    return digest != digest_before or approved not in {"", approved_before}


def _relevant(resource: DirectorySync | EntraTenant | ActiveDirectory) -> dict[str, Any]:
    return _dump(resource.spec, _OF_NO_RESULT[type(resource)])


def _dump(model: BaseModel, without: frozenset[str]) -> dict[str, Any]:
    return model.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude=set(without))
