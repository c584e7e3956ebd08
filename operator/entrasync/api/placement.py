"""Where the pod of a run may be placed: Kubernetes' own words, bounded, for one namespace."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final

from pydantic import Field

from entrasync.api.common import ApiModel, rule

LABEL_KEY_PATTERN: Final = (
    r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
)
LABEL_VALUE_PATTERN: Final = r"^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$"

LabelKey = Annotated[str, Field(min_length=1, max_length=317, pattern=LABEL_KEY_PATTERN)]
LabelValue = Annotated[str, Field(max_length=63, pattern=LABEL_VALUE_PATTERN)]
_ATOMIC: Final[dict[str, Any]] = {"x-kubernetes-list-type": "atomic"}
_Values = Annotated[list[LabelValue], Field(max_length=32, json_schema_extra=_ATOMIC)]


class TolerationOperator(StrEnum):
    """How the value of a taint is compared."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """What a taint does to pods that do not tolerate it."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(ApiModel):
    """One taint that the pod tolerates."""

    validations: ClassVar[tuple[dict[str, str], ...]] = (
        rule(
            "!has(self.value) || !has(self.operator) || self.operator == 'Equal'",
            "`value` may not be specified when `operator` is Exists",
            ".value",
        ),
        rule(
            "!has(self.tolerationSeconds) || (has(self.effect) && self.effect == 'NoExecute')",
            "`effect` must be NoExecute when `tolerationSeconds` is specified",
            ".tolerationSeconds",
        ),
    )

    key: LabelKey
    """Key of the taint."""
    operator: TolerationOperator | None = None
    """`Exists` or `Equal`. Default `Equal`."""
    value: LabelValue | None = None
    """Value of the taint, for `Equal`."""
    effect: TaintEffect | None = None
    """`NoSchedule`, `PreferNoSchedule` or `NoExecute`. Default: all of them."""
    toleration_seconds: Annotated[int, Field(ge=0, le=604_800)] | None = None
    """Seconds the pod stays once the taint comes, for `NoExecute`. Default: for ever."""


class NodeOperator(StrEnum):
    """How a label of a node is compared."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"
    GREATER = "Gt"
    LESS = "Lt"


class PodOperator(StrEnum):
    """How a label of a pod is compared."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class NodeRequirement(ApiModel):
    """One demand on a label of a node."""

    key: LabelKey
    """Key of the label."""
    operator: NodeOperator
    """`In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt` or `Lt`."""
    values: _Values | None = None
    """Values to compare with."""


class NodeTerm(ApiModel):
    """Demands on a node that must all hold."""

    match_expressions: Annotated[
        list[NodeRequirement], Field(min_length=1, max_length=16, json_schema_extra=_ATOMIC)
    ]
    """Demands on its labels."""


class NodeSelector(ApiModel):
    """Nodes that fit one of several terms."""

    node_selector_terms: Annotated[
        list[NodeTerm], Field(min_length=1, max_length=8, json_schema_extra=_ATOMIC)
    ]
    """Terms, of which one must hold."""


_Weight = Annotated[int, Field(ge=1, le=100)]


class PreferredNode(ApiModel):
    """Nodes that are preferred."""

    weight: _Weight
    """How much, from 1 to 100."""
    preference: NodeTerm
    """Which."""


class NodeAffinity(ApiModel):
    """Nodes the pod must or should run on."""

    required_during_scheduling_ignored_during_execution: NodeSelector | None = None
    """Nodes it must run on."""
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[list[PreferredNode], Field(max_length=8, json_schema_extra=_ATOMIC)] | None
    ) = None
    """Nodes it should run on."""


class PodRequirement(ApiModel):
    """One demand on a label of a pod."""

    key: LabelKey
    """Key of the label."""
    operator: PodOperator
    """`In`, `NotIn`, `Exists` or `DoesNotExist`."""
    values: _Values | None = None
    """Values to compare with."""


class PodSelector(ApiModel):
    """Pods of the same namespace by their labels."""

    match_labels: Annotated[dict[str, LabelValue], Field(max_length=16)] | None = None
    """Labels they have."""
    match_expressions: (
        Annotated[list[PodRequirement], Field(max_length=16, json_schema_extra=_ATOMIC)] | None
    ) = None
    """Demands on their labels."""


class PodTerm(ApiModel):
    """Pods of the same namespace, and how near is near."""

    label_selector: PodSelector
    """Which pods."""
    topology_key: LabelKey
    """Label of nodes that are near each other, for example `kubernetes.io/hostname`."""


class PreferredPods(ApiModel):
    """Pods to be near to, or far from, if possible."""

    weight: _Weight
    """How much, from 1 to 100."""
    pod_affinity_term: PodTerm
    """Which."""


class PodAffinity(ApiModel):
    """Pods the pod must or should be near to, or far from."""

    required_during_scheduling_ignored_during_execution: (
        Annotated[list[PodTerm], Field(max_length=8, json_schema_extra=_ATOMIC)] | None
    ) = None
    """It must."""
    preferred_during_scheduling_ignored_during_execution: (
        Annotated[list[PreferredPods], Field(max_length=8, json_schema_extra=_ATOMIC)] | None
    ) = None
    """It should."""


class Affinity(ApiModel):
    """Nodes and pods the sync pod wants to be near to, or far from."""

    node_affinity: NodeAffinity | None = None
    """Nodes it wants."""
    pod_affinity: PodAffinity | None = None
    """Pods of the same namespace it wants to be near to."""
    pod_anti_affinity: PodAffinity | None = None
    """Pods of the same namespace it wants to be far from."""
