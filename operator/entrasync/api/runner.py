"""The sync Job: the part `spec.runner` of a DirectorySync.

What a pod is made of stays the operator's: there is no field for an image, a command, a
ServiceAccount, a volume of the host or a mount, and none that lets the pod stand above others of
the cluster.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from entrasync.api.common import ApiModel, Duration, ResourceName, rule
from entrasync.api.placement import Affinity, LabelValue, Toleration

Quantity = Annotated[
    str, Field(max_length=32, pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi)?$")
]
_Labels = Annotated[dict[str, LabelValue], Field(max_length=16)]
_ATOMIC: Final[dict[str, Any]] = {"x-kubernetes-list-type": "atomic"}

RESERVED_LABELS: Final = (
    "app.kubernetes.io/managed-by",
    "app.kubernetes.io/part-of",
    "controller-uid",
    "job-name",
)
"""Labels by which runs are found; beside those with `RESERVED_PREFIXES`."""
RESERVED_PREFIXES: Final = ("entrasync.dev/", "batch.kubernetes.io/")
SAFE_TO_EVICT: Final = "cluster-autoscaler.kubernetes.io/safe-to-evict"
"""The one annotation of Kubernetes' own domains that may be set."""

_FREE_LABEL: Final = " && ".join(
    [f"k != '{label}'" for label in RESERVED_LABELS]
    + [f"!k.startsWith('{prefix}')" for prefix in RESERVED_PREFIXES]
)
_FREE_ANNOTATION: Final = (
    f"k == '{SAFE_TO_EVICT}' || (!k.startsWith('entrasync.dev/')"
    " && !k.contains('kubernetes.io/') && !k.contains('k8s.io/'))"
)


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

    validations: ClassVar[tuple[dict[str, str], ...]] = (
        rule(
            "!has(self.claimName)"
            " || !(has(self.size) || has(self.storageClassName) || has(self.accessMode))",
            "`size`, `storageClassName` and `accessMode` may not be specified when `claimName` is:"
            " an existing claim is taken as it is",
            ".claimName",
        ),
        rule(
            "!has(self.claimName) || !has(self.type) || self.type == 'PersistentVolumeClaim'",
            "`claimName` may not be specified when `type` is Ephemeral",
            ".claimName",
        ),
    )

    type: StorageType = StorageType.PERSISTENT_VOLUME_CLAIM
    """`PersistentVolumeClaim` keeps state between runs. With `Ephemeral` every run is a full one,
    and none knows what an earlier one owned: whoever leaves the scope is an orphan, and stays."""
    size: Quantity | None = None
    """Size of the claim. Default `10Gi`. A larger one lets an existing claim grow where its storage
    class allows it; a claim never shrinks."""
    storage_class_name: Annotated[str, Field(max_length=253)] | None = None
    """Storage class. Default: the cluster's. An existing claim keeps its own."""
    access_mode: AccessMode | None = None
    """Access mode. Default `ReadWriteOncePod`. An existing claim keeps its own."""
    claim_name: ResourceName | None = None
    """Name of an existing claim to keep the state in, instead of one that the operator makes. It
    must carry the label `entrasync.dev/sync` with the name of this DirectorySync, and have the
    access mode `ReadWriteOncePod` or `ReadWriteOnce`. It is never changed or deleted."""


class ResourceRequirements(ApiModel):
    """Compute resources of the sync pod."""

    requests: Annotated[dict[str, Quantity], Field(max_length=8)] | None = None
    """Requested, for example `{cpu: 100m, memory: 256Mi}`."""
    limits: Annotated[dict[str, Quantity], Field(max_length=8)] | None = None
    """Limits."""


class Runner(ApiModel):
    """The sync Job."""

    validations: ClassVar[tuple[dict[str, str], ...]] = (
        rule(
            "!has(self.priorityClassName) || !self.priorityClassName.startsWith('system-')",
            "`priorityClassName` must not be one of the classes of the cluster's own pods",
            ".priorityClassName",
        ),
        rule(
            f"!has(self.podLabels) || self.podLabels.all(k, {_FREE_LABEL})",
            "`podLabels` must not set `app.kubernetes.io/managed-by`, `app.kubernetes.io/part-of`,"
            " `job-name`, `controller-uid`, or labels of `entrasync.dev` and `batch.kubernetes.io`:"
            " runs are found by them",
            ".podLabels",
        ),
        rule(
            f"!has(self.podAnnotations) || self.podAnnotations.all(k, {_FREE_ANNOTATION})",
            "`podAnnotations` must not be of `entrasync.dev`, `kubernetes.io` or `k8s.io`, but for"
            f" `{SAFE_TO_EVICT}`",
            ".podAnnotations",
        ),
    )

    storage: Storage | None = None
    """Where state is kept. Default: a claim of 10Gi."""
    active_deadline_seconds: Annotated[int, Field(ge=60, le=604_800)] | None = None
    """Seconds a run may take in all. Default 86400."""
    no_progress_deadline: Duration | None = None
    """How long a run may take without getting any further, at least a minute; it is ended then, and
    the next one goes on where it stopped. Waiting for the tenant's quota of writes is progress.
    Default `1h`."""
    resources: ResourceRequirements | None = None
    """Compute resources of the sync pod. Default: requests of 100m CPU and 256Mi."""
    node_selector: _Labels | None = None
    """Labels of the nodes the sync pod may run on."""
    tolerations: (
        Annotated[list[Toleration], Field(max_length=16, json_schema_extra=_ATOMIC)] | None
    ) = None
    """Taints of nodes that the sync pod tolerates."""
    affinity: Affinity | None = None
    """Nodes and pods the sync pod wants to be near to, or far from."""
    priority_class_name: ResourceName | None = None
    """Priority class of the sync pod, but none of the cluster's own (`system-...`)."""
    pod_labels: _Labels | None = None
    """Labels of the sync pod beside the operator's own."""
    pod_annotations: (
        Annotated[dict[str, Annotated[str, Field(max_length=1024)]], Field(max_length=16)] | None
    ) = None
    """Annotations of the sync pod, but none of Kubernetes' own domains."""
