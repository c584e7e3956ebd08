"""Which flows there are: the defaults of `defaults.yaml`, changed by those of a sync."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Annotated, Final, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from entrasync.api.choices import Apply, Merge
from entrasync.directory.model import DN_ATTRIBUTES
from entrasync.engine.flow_computations import COMPUTATIONS
from entrasync.engine.flow_values import ValueType, from_word
from entrasync.engine.source import SourceKind
from entrasync.entra.contracts import (
    KEY_CLOUD_ANCHOR,
    KEY_MEMBER,
    KEY_SOURCE_ANCHOR,
    PropertyValue,
)
from entrasync.errors import ConfigurationError

KINDS: Final = (SourceKind.USER, SourceKind.GROUP, SourceKind.CONTACT)
AUTHORITATIVE_NULL: Final = "AuthoritativeNull"
"""Written as a constant: the property has no value, whatever anybody says."""
IGNORE_THIS_FLOW: Final = "IgnoreThisFlow"
"""Written as a constant: as if the flow were not there."""

_NEVER: Final = {name.lower() for name in (KEY_MEMBER, KEY_SOURCE_ANCHOR, KEY_CLOUD_ANCHOR)}


class Precedence(StrEnum):
    """Which of several objects that became one comes first; among equals the order of sources."""

    ACCOUNT = "account"
    """The one with an enabled account: what people sign in with."""
    MAILBOX = "mailbox"
    """The one with a mailbox: what an address list shows."""
    SOURCE = "source"
    """Nothing but the order of sources."""


@dataclass(slots=True, frozen=True, kw_only=True)
class FlowRule:
    """A flow of `spec.objects.<kind>.flows`.

    Attributes:
        target: property of the cloud object.
        source: LDAP name of an attribute.
        constant: value that every object gets; or `AuthoritativeNull`, or `IgnoreThisFlow`.
        omit: whether the property is left alone in the cloud.
        apply: always, or only while the object is not in the cloud yet.
        merge: what becomes of several values of several sources.
        default: value where the source has none.
    """

    target: str
    source: str | None = None
    constant: str | None = None
    omit: bool = False
    apply: Apply = Apply.ALWAYS
    merge: Merge = Merge.UPDATE
    default: str | None = None


@dataclass(slots=True, frozen=True, kw_only=True)
class Flow:
    """A flow that is in force, for one kind of object.

    Attributes:
        target: property of the cloud object, in the service's spelling.
        type: what the property holds.
        sources: LDAP names; the first with a value gives it.
        computation: name of what computes the value instead.
        constant: value that every object gets, when there is neither of them.
        default: value where nobody has one.
        when: an object contributes only if this attribute has a value.
        precedence: which of several objects comes first.
        merge: what becomes of several values of several objects.
        apply: always, or only while the object is not in the cloud yet.
        clears: whether the cloud's own value goes when there is none here.
        optional: whether the directory may lack the attributes.
        own: whether the sync says so, not the defaults.
    """

    target: str
    type: ValueType = ValueType.TEXT
    sources: tuple[str, ...] = ()
    computation: str | None = None
    constant: PropertyValue = None
    default: PropertyValue = None
    when: str | None = None
    precedence: Precedence = Precedence.SOURCE
    merge: Merge = Merge.UPDATE
    apply: Apply = Apply.ALWAYS
    clears: bool = True
    optional: bool = False
    own: bool = False

    @property
    def attributes(self) -> tuple[str, ...]:
        """LDAP names it reads."""
        computed = COMPUTATIONS[self.computation].attributes if self.computation else ()
        condition = () if self.when is None else (self.when,)
        return (*self.sources, *computed, *condition)

    @property
    def why(self) -> str:
        """The flow in a few words."""
        when = " (on creation)" if self.apply is Apply.ON_CREATE else ""
        if self.computation is not None:
            origin = f"<- {COMPUTATIONS[self.computation].words}"
        elif self.sources:
            origin = f"<- {', else '.join(self.sources)}"
        else:
            origin = f"= {AUTHORITATIVE_NULL if self.constant is None else _shown(self.constant)}"
        return f"{'flow of the sync:' if self.own else 'default flow'} {self.target} {origin}{when}"


def _shown(value: PropertyValue) -> str:
    match value:
        case bool():
            return str(value).lower()
        case tuple():
            return ", ".join(_shown(each) for each in value)
        case bytes():
            return f"{len(value)} bytes"
        case _:
            return str(value)


class _Settings(BaseModel):
    """What a group of flows may say for all of them."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kinds: tuple[Literal["user", "group", "contact"], ...] | None = None
    when: str | None = None
    precedence: Precedence | None = None
    optional: bool | None = None
    certainty: Literal["inferred"] | None = None


class _FlowModel(_Settings):
    """One flow of the file."""

    target: str
    source: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    computation: str | None = None
    type: ValueType = ValueType.TEXT
    merge: Merge = Merge.UPDATE
    clears: bool = True

    @model_validator(mode="before")
    @classmethod
    def _one_source(cls, data: object) -> object:
        if isinstance(data, dict) and isinstance(data.get("source"), str):
            return data | {"source": (data["source"],)}
        return data

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        if (self.source is None) == (self.computation is None):
            raise ValueError("exactly one of source and computation")
        if self.computation is not None and self.computation not in COMPUTATIONS:
            raise ValueError(f"no such computation: {self.computation}")
        return self


class _GroupModel(_Settings):
    """Flows taken from one section of a page."""

    page: Annotated[str, Field(alias="from")]
    flows: tuple[_FlowModel, ...]


class _FileModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    groups: tuple[_GroupModel, ...]


@cache
def default_flows(kind: SourceKind) -> tuple[Flow, ...]:
    """Entra Connect's documented flows for one kind of object."""
    return parse_flows(_shipped(), kind)


@cache
def _shipped() -> str:
    return (files("entrasync.engine") / "defaults.yaml").read_text(encoding="utf-8")


def parse_flows(text: str, kind: SourceKind) -> tuple[Flow, ...]:
    """Flows of a file such as `defaults.yaml` for one kind of object.

    Raises:
        pydantic.ValidationError: it is no such file.
    """
    groups = _FileModel.model_validate(yaml.load(text, Loader=yaml.CSafeLoader)).groups
    return tuple(
        _flow(group, each)
        for group in groups
        for each in group.flows
        if kind.value in (each.kinds or group.kinds or ())
    )


def _flow(group: _GroupModel, each: _FlowModel) -> Flow:
    optional = group.optional if each.optional is None else each.optional
    return Flow(
        target=each.target,
        type=each.type,
        sources=each.source or (),
        computation=each.computation,
        when=each.when or group.when,
        precedence=each.precedence or group.precedence or Precedence.SOURCE,
        merge=each.merge,
        clears=each.clears,
        optional=bool(optional),
    )


def resolve(kind: SourceKind, rules: Iterable[FlowRule]) -> tuple[tuple[Flow, ...], frozenset[str]]:
    """The flows in force for one kind of object, and the targets that are left alone.

    Raises:
        ConfigurationError: a flow of the sync makes no sense.
    """
    flows = {flow.target.lower(): flow for flow in default_flows(kind)}
    omitted = set()
    seen: set[str] = set()
    for rule in rules:
        key = rule.target.lower()
        if key in seen:
            raise _wrong(kind, rule, "has another flow; letter case makes no difference")
        seen.add(key)
        if key in _NEVER:
            raise _wrong(kind, rule, "is not a property that flows; remove it")
        if rule.omit:
            flows.pop(key, None)
            omitted.add(known_target(kind, rule.target))
        elif rule.constant != IGNORE_THIS_FLOW:
            flows[key] = _own_flow(kind, rule)
    return tuple(flows.values()), frozenset(omitted)


def _own_flow(kind: SourceKind, rule: FlowRule) -> Flow:
    usual = _usual(kind, rule.target)
    flow = Flow(
        target=usual.target if usual else rule.target,
        type=usual.type if usual else ValueType.TEXT,
        precedence=usual.precedence if usual else Precedence.SOURCE,
        merge=Merge.UPDATE if rule.source is None else rule.merge,
        apply=rule.apply,
        own=True,
    )
    if rule.source is None:
        return replace(flow, constant=_word(kind, rule, flow.type, rule.constant))
    name = spelled(rule.source)
    refers = name in _references()
    if usual is not None and usual.type.refers and not refers:
        raise _wrong(kind, rule, f"names objects, which {name} does not; choose another source")
    if usual is None or refers:
        flow = replace(flow, type=_type_of(name, rule.merge, usual))
    if not flow.type.several:
        flow = replace(flow, merge=Merge.UPDATE)  # one value cannot be merged
    default = _word(kind, rule, flow.type, rule.default)
    # a default flow's source may be missing from the directory, its schema not being extended;
    # what a person named must be there
    optional = usual is not None and name in usual.sources and usual.optional
    return replace(flow, sources=(name,), default=default, optional=optional)


def _type_of(name: str, merge: Merge, usual: Flow | None) -> ValueType:
    """Type of a target that the defaults do not know, or that refers now: as its source."""
    one = _source_types().get(name, ValueType.TEXT).singular
    if name in _references():
        one = ValueType.REFERENCE
    several = merge is not Merge.UPDATE if usual is None else usual.type.several
    return one.plural if several else one


def _word(kind: SourceKind, rule: FlowRule, held: ValueType, word: str | None) -> PropertyValue:
    if word is None or word in {AUTHORITATIVE_NULL, IGNORE_THIS_FLOW}:
        return None
    try:
        return from_word(held, word)
    except ValueError as error:
        raise _wrong(kind, rule, f"cannot have the value {word!r}: {error}") from error


def _wrong(kind: SourceKind, rule: FlowRule, what: str) -> ConfigurationError:
    return ConfigurationError(
        "FlowInvalid",
        f"The target {rule.target} {what}.",
        field=f"spec.objects.{kind.value}s.flows",
    )


def known_target(kind: SourceKind, target: str) -> str:
    """A target in the service's spelling, as far as the defaults know it."""
    usual = _usual(kind, target)
    return target if usual is None else usual.target


def _usual(kind: SourceKind, target: str) -> Flow | None:
    """The default flow of a target: of this kind, else of any."""
    order = sorted(KINDS, key=lambda other: other is not kind)
    found = (_by_target(each).get(target.lower()) for each in order)
    return next((flow for flow in found if flow is not None), None)


@cache
def _by_target(kind: SourceKind) -> dict[str, Flow]:
    return {flow.target.lower(): flow for flow in default_flows(kind)}


def spelled(attribute: str) -> str:
    """An LDAP name as the defaults spell it; the directory answers in the spelling it was asked."""
    return _spellings().get(attribute.lower(), attribute)


@cache
def _spellings() -> dict[str, str]:
    names: Sequence[str] = [name for flow in _all_defaults() for name in flow.attributes]
    return {name.lower(): name for name in (*DN_ATTRIBUTES, *names)}


@cache
def _source_types() -> dict[str, ValueType]:
    """Types by source, where a flow takes an attribute as it is."""
    return {flow.sources[0]: flow.type for flow in _all_defaults() if len(flow.sources) == 1}


def _all_defaults() -> tuple[Flow, ...]:
    return tuple(flow for kind in KINDS for flow in default_flows(kind))


@cache
def _references() -> frozenset[str]:
    """Attributes whose values are GUIDs of other objects."""
    flows = (flow for flow in _all_defaults() if flow.type.refers)
    return DN_ATTRIBUTES | {name for flow in flows for name in flow.sources}
