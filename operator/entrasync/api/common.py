"""What all custom resources share: the base models, references, conditions and field types."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP: Final = "entrasync.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
CATEGORY: Final = "entrasync"

GUID_PATTERN: Final = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
NAME_PATTERN: Final = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
HTTPS_PATTERN: Final = "^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/.*)?$"
DURATION_PATTERN: Final = "^([0-9]{1,5}(h|m|s|ms)){1,4}$"
DIGEST_PATTERN: Final = "^sha256:[0-9a-f]{64}$"

ResourceName = Annotated[str, Field(min_length=1, max_length=253, pattern=NAME_PATTERN)]
Guid = Annotated[str, Field(max_length=36, pattern=GUID_PATTERN)]
HttpsUrl = Annotated[str, Field(max_length=2048, pattern=HTTPS_PATTERN)]
Duration = Annotated[str, Field(max_length=32, pattern=DURATION_PATTERN)]
Digest = Annotated[str, Field(max_length=71, pattern=DIGEST_PATTERN)]
DistinguishedName = Annotated[
    str, Field(min_length=3, max_length=2048, pattern="^[A-Za-z][A-Za-z0-9.-]*=.+$")
]
PemText = Annotated[str, Field(max_length=65536, pattern="-----BEGIN CERTIFICATE-----")]
SecretKey = Annotated[str, Field(min_length=1, max_length=253, pattern="^[-._a-zA-Z0-9]+$")]

DEFAULT_IN_CODE: Final = "x-default-in-code"
"""Marks a field whose default stays out of the schema: inside a list or a one-of group a schema
default breaks the one-of rule, or shows as drift in GitOps tools."""


def rule(expression: str, message: str, field_path: str | None = None) -> dict[str, str]:
    """One CEL rule of a schema (`x-kubernetes-validations`).

    Args:
        expression: CEL over `self` (and `oldSelf` for transitions).
        message: what the user reads; names the fields and the remedy.
        field_path: the field the API server names in its answer.
    """
    entry = {"rule": expression, "message": message}
    if field_path is not None:
        entry["fieldPath"] = field_path
    return entry


def immutable(field: str) -> dict[str, str]:
    """The CEL rule of a field that may never change."""
    return rule("self == oldSelf", f"`{field}` must not change; create a new resource instead")


class ApiModel(BaseModel):
    """Base of everything a user writes: camelCase on the wire, unknown fields refused."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        use_attribute_docstrings=True,
        frozen=True,
    )
    validations: ClassVar[tuple[dict[str, str], ...]] = ()
    """CEL rules of this object's schema."""


class StatusModel(BaseModel):
    """Base of everything the operator writes: tolerant, so that old operators read newer status."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="ignore",
        use_attribute_docstrings=True,
    )
    validations: ClassVar[tuple[dict[str, str], ...]] = ()


class ObjectMeta(BaseModel):
    """The part of Kubernetes' object metadata that entrasync reads."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")

    name: str = ""
    namespace: str | None = None
    uid: str = ""
    generation: int = 1
    resource_version: str = ""
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    finalizers: list[str] = Field(default_factory=list)
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)


class LocalReference(ApiModel):
    """A resource in the same namespace."""

    name: ResourceName
    """Name of the resource."""


class SecretReference(ApiModel):
    """A Secret in the same namespace."""

    name: ResourceName
    """Name of the Secret."""


class SecretKeyReference(ApiModel):
    """One key of a Secret in the same namespace."""

    name: ResourceName
    """Name of the Secret."""
    key: SecretKey
    """Key within the Secret."""


class Condition(StatusModel):
    """One condition, as in the Kubernetes API conventions."""

    type: Annotated[str, Field(max_length=316)]
    """Name of the condition."""
    status: Annotated[str, Field(max_length=7)]
    """`True`, `False` or `Unknown`."""
    observed_generation: int = 0
    """Generation of the resource this condition speaks of."""
    last_transition_time: Annotated[str, Field(max_length=64)] = ""
    """When `status` last changed (RFC 3339)."""
    reason: Annotated[str, Field(max_length=1024)] = ""
    """CamelCase reason for programs."""
    message: Annotated[str, Field(max_length=32768)] = ""
    """What happened and what to do, for people."""


Conditions = Annotated[
    list[Condition],
    Field(
        max_length=32,
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    ),
]


class CheckedStatus(StatusModel):
    """What every resource that is checked on its own says of its last check."""

    observed_generation: int | None = None
    """Generation of the spec this status speaks of."""
    last_check_time: Annotated[str, Field(max_length=64)] | None = None
    """When the last check ended (RFC 3339)."""
    last_check_generation: int | None = None
    """Generation the last check looked at."""
    consecutive_failures: int | None = None
    """Checks in a row that ended with the same reason; absent when the last one went well."""
    next_check_time: Annotated[str, Field(max_length=64)] | None = None
    """When it is checked again (RFC 3339); absent while it is checked, and when all is well."""
    last_forced_check_time: Annotated[str, Field(max_length=64)] | None = None
    """When it was last checked before fifteen minutes had passed since BindRejected, because
    somebody asked for it or changed the spec (RFC 3339); absent once a check ended otherwise."""
    last_handled_request: Annotated[str, Field(max_length=256)] | None = None
    """Echo of the annotation entrasync.dev/run-requested-at."""
    conditions: Conditions = Field(default_factory=list)
    """Ready; Reconciling and Stalled while they hold. Of a tenant CredentialsValid as well."""


class PrinterColumn(BaseModel):
    """A column of `kubectl get`."""

    name: str
    type: str
    json_path: str
    priority: int = 0
    description: str = ""


def condition_column(name: str, kind: str, member: str, *, priority: int = 0) -> PrinterColumn:
    """A column that shows a member of a condition; above priority 0 with `-o wide` only."""
    path = f'.status.conditions[?(@.type=="{kind}")].{member}'
    return PrinterColumn(name=name, type="string", json_path=path, priority=priority)


READY_COLUMN: Final = condition_column("Ready", "Ready", "status")
REASON_COLUMN: Final = condition_column("Reason", "Ready", "reason")
MESSAGE_COLUMN: Final = condition_column("Message", "Ready", "message", priority=1)
"""What went wrong and what to do, in one line: only with `-o wide`."""
AGE_COLUMN: Final = PrinterColumn(name="Age", type="date", json_path=".metadata.creationTimestamp")


class ResourceDefinition(BaseModel):
    """What a CustomResourceDefinition says beside its schema."""

    kind: str
    plural: str
    singular: str
    short_names: tuple[str, ...]
    cluster_scoped: bool = False
    columns: tuple[PrinterColumn, ...] = ()
    name_max_length: int | None = None
    selectable_fields: tuple[str, ...] = ()
    """Fields that field selectors may name, for example `spec.directorySyncRef.name`."""


class Resource(BaseModel):
    """Base of the five kinds. Subclasses narrow `spec` and `status`."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="ignore")
    definition: ClassVar[ResourceDefinition]

    api_version: str = API_VERSION
    kind: str
    metadata: ObjectMeta = Field(default_factory=ObjectMeta)

    @property
    def key(self) -> str:
        """`Kind/name`, as messages name a resource."""
        return f"{self.kind}/{self.metadata.name}"

    def to_manifest(self) -> dict[str, Any]:
        """The resource as a Kubernetes object (camelCase, absent members left out)."""
        manifest = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        manifest["metadata"] = self.metadata.model_dump(
            mode="json", by_alias=True, exclude_none=True, exclude_defaults=True
        )
        return manifest
