"""The sync Job: the part `spec.runner` of a DirectorySync."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from entrasync.api.common import ApiModel

Quantity = Annotated[
    str, Field(max_length=32, pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi)?$")
]


class StorageType(StrEnum):
    """Where the state of a sync is kept."""

    PERSISTENT_VOLUME_CLAIM = "PersistentVolumeClaim"
    EPHEMERAL = "Ephemeral"


class AccessMode(StrEnum):
    """Access modes that keep a second writer away."""

    READ_WRITE_ONCE_POD = "ReadWriteOncePod"
    READ_WRITE_ONCE = "ReadWriteOnce"


class Storage(ApiModel):
    """Where the state of this sync is kept."""

    type: StorageType = StorageType.PERSISTENT_VOLUME_CLAIM
    """`PersistentVolumeClaim` keeps state between runs. With `Ephemeral` every run is a full one,
    and none knows what an earlier one owned: whoever leaves the scope is an orphan, and stays."""
    size: Quantity | None = None
    """Size of the claim. Default `10Gi`."""
    storage_class_name: Annotated[str, Field(max_length=253)] | None = None
    """Storage class. Default: the cluster's."""
    access_mode: AccessMode | None = None
    """Access mode. Default `ReadWriteOncePod`."""


class ResourceRequirements(ApiModel):
    """Compute resources of the sync pod."""

    requests: Annotated[dict[str, Quantity], Field(max_length=8)] | None = None
    """Requested, for example `{cpu: 100m, memory: 256Mi}`."""
    limits: Annotated[dict[str, Quantity], Field(max_length=8)] | None = None
    """Limits."""


class Runner(ApiModel):
    """The sync Job."""

    storage: Storage | None = None
    """Where state is kept. Default: a claim of 10Gi."""
    active_deadline_seconds: Annotated[int, Field(ge=60, le=604_800)] | None = None
    """Seconds a run may take in all. Default 86400."""
    resources: ResourceRequirements | None = None
    """Compute resources of the sync pod. Default: requests of 100m CPU and 256Mi."""
