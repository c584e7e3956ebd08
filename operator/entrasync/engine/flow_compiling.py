"""Flows of one kind of object as tables and closures, made once and run for every object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from entrasync.api.choices import Apply, Merge
from entrasync.engine.flow_computations import COMPUTATIONS
from entrasync.engine.flow_rules import Flow, Precedence
from entrasync.engine.flow_values import (
    CONVERTERS,
    AnchorOf,
    Contributor,
    Converter,
    Values,
    ValueType,
    as_anchor,
    as_anchors,
    as_integer,
    as_text,
)
from entrasync.engine.source import ACCOUNT_DISABLED
from entrasync.entra.contracts import PropertyValue

MAILBOX_TYPES: Final = 0x3F
"""Bits of msExchRecipientTypeDetails: user, linked, shared, legacy, room and equipment mailbox."""
PRECEDENCE_ATTRIBUTES: Final = (
    "msExchMailboxGuid",
    "msExchRecipientTypeDetails",
    "userAccountControl",
)
"""What tells which of several objects has the account, and which the mailbox."""

Attributes = Mapping[str, Values]
ValueOf = Callable[[Sequence[Contributor], AnchorOf], PropertyValue]
"""A flow's value, of the objects that contribute in their order of precedence."""
_Read = Callable[[Contributor, AnchorOf], PropertyValue]
_Refer = Callable[[Values, AnchorOf], PropertyValue]


class CompiledFlow(NamedTuple):
    """A flow that can be run."""

    target: str
    precedence: Precedence
    refers: bool
    value_of: ValueOf


class _Kept(NamedTuple):
    """A target whose value in the cloud counts: before what flows, or when nothing does."""

    target: str
    first: bool
    refers: bool


class Flowed(NamedTuple):
    """What a cloud object should be.

    Attributes:
        properties: values by key; what has none is absent.
        references: SourceAnchors by key, one or a sorted tuple of them.
    """

    properties: dict[str, PropertyValue]
    references: dict[str, PropertyValue]

    def add(self, flow: CompiledFlow, value: PropertyValue) -> None:
        """Takes the value of a flow; `None` is none."""
        if value is not None:
            (self.references if flow.refers else self.properties)[flow.target] = value


class FlowTable:
    """The flows of one kind of object.

    Args:
        flows: those in force.
    """

    def __init__(self, flows: Iterable[Flow]) -> None:
        self._all: list[CompiledFlow] = []
        # for an object on its own: by the attribute, as it has few of those that might flow
        self._texts: dict[str, str] = {}  # most of what flows is one text, whatever else there is
        self._plain: dict[str, tuple[str, Converter | None, _Refer, str | None]] = {}
        self._computed: list[tuple[str, Callable[[Contributor], PropertyValue]]] = []
        self._other: list[CompiledFlow] = []
        self._constants: dict[str, PropertyValue] = {}
        self._kept: list[_Kept] = []
        conditions: set[str] = set()
        for flow in flows:
            self._add(flow)
            if flow.when is not None:
                conditions.add(flow.when)
        self._conditions: tuple[str, ...] = tuple(sorted(conditions))

    def _add(self, flow: Flow) -> None:
        on_creation = flow.apply is Apply.ON_CREATE
        if on_creation or not flow.clears:
            self._kept.append(_Kept(flow.target, on_creation, flow.type.refers))
        if not flow.sources and flow.computation is None:
            if flow.constant is not None:
                self._constants[flow.target] = flow.constant
            return
        compiled = CompiledFlow(flow.target, flow.precedence, flow.type.refers, compile_flow(flow))
        self._all.append(compiled)
        if flow.computation is not None and flow.when is None:
            self._computed.append((flow.target, COMPUTATIONS[flow.computation].value_of))
        elif len(flow.sources) != 1 or flow.default is not None or _folds(flow):
            self._other.append(compiled)
        elif flow.sources[0] in self._plain:
            self._other.append(compiled)  # few attributes flow twice
        else:
            convert = CONVERTERS.get(flow.type)
            refer = _REFERENCES.get(flow.type, as_anchor)
            self._plain[flow.sources[0]] = (flow.target, convert, refer, flow.when)
            if flow.type is ValueType.TEXT and flow.when is None:
                self._texts[flow.sources[0]] = flow.target

    def run(
        self,
        contributors: Sequence[Contributor],
        anchor_of: AnchorOf,
        before: Mapping[str, PropertyValue] | None,
    ) -> Flowed:
        """What the cloud object should be; arguments as of `FlowSet.flow`."""
        if len(contributors) == 1:
            flowed = self._of_one(contributors[0], anchor_of)
        else:
            flowed = self._of_several(contributors, anchor_of)
        if before is not None:
            self.keep(flowed, before)
        return flowed

    def _of_one(self, contributor: Contributor, anchor_of: AnchorOf) -> Flowed:
        flowed = self._of_attributes(contributor.source.values, anchor_of)
        properties = flowed.properties
        for target, compute in self._computed:
            value = compute(contributor)
            if value is not None:
                properties[target] = value
        alone = (contributor,)
        for target, _, refers, value_of in self._other:
            value = value_of(alone, anchor_of)
            if value is not None:
                (flowed.references if refers else properties)[target] = value
        return flowed

    def _of_attributes(self, attributes: Attributes, anchor_of: AnchorOf) -> Flowed:
        """What flows from one attribute each, and constants."""
        held = [name for name in self._conditions if _has(attributes, name)]
        properties = dict(self._constants)
        references: dict[str, PropertyValue] = {}
        text_target, plain = self._texts.get, self._plain.get
        value: PropertyValue
        for name, values in attributes.items():
            text_flows_to = text_target(name)
            if text_flows_to is not None and len(values) == 1:
                # as `as_text` does, without a call
                text = values[0]
                if isinstance(text, str):
                    text = text.strip()
                    if text:
                        properties[text_flows_to] = text
                    continue
            flow = plain(name)
            if flow is None:
                continue
            target, convert, refer, when = flow
            if when is not None and when not in held:
                continue
            if convert is None:
                value = refer(values, anchor_of)
                if value is not None:
                    references[target] = value
            else:
                value = convert(values)
                if value is not None:
                    properties[target] = value
        return Flowed(properties, references)

    def _of_several(self, contributors: Sequence[Contributor], anchor_of: AnchorOf) -> Flowed:
        orders = {precedence: sorted(contributors, key=rank) for precedence, rank in _RANKS.items()}
        flowed = Flowed(dict(self._constants), {})
        for flow in self._all:
            flowed.add(flow, flow.value_of(orders[flow.precedence], anchor_of))
        return flowed

    def keep(self, flowed: Flowed, before: Mapping[str, PropertyValue]) -> None:
        """Takes over values of the cloud that count; see `FlowSet.keep`."""
        for target, first, refers in self._kept:
            found = flowed.references if refers else flowed.properties
            value = before.get(target)
            if value is not None and (first or target not in found):
                found[target] = value
            elif first:
                found.pop(target, None)


def compile_flow(flow: Flow) -> ValueOf:
    """The callable that gives a flow's value; a flow of any sort ends up as one of these."""
    read = _under(flow.when, _reader(flow))
    default = flow.default

    if flow.type.several and flow.merge is not Merge.UPDATE:
        fold = _folds(flow)

        def merged(contributors: Sequence[Contributor], anchor_of: AnchorOf) -> PropertyValue:
            found = [read(contributor, anchor_of) for contributor in contributors]
            return _merge(found, fold=fold) or default

        return merged

    def first(contributors: Sequence[Contributor], anchor_of: AnchorOf) -> PropertyValue:
        for contributor in contributors:
            value = read(contributor, anchor_of)
            if value is not None:
                return value
        return default

    return first


def _folds(flow: Flow) -> bool:
    """Whether values that differ by letter case only are one, in one object as well."""
    return flow.type.several and flow.merge is Merge.MERGE_CASE_INSENSITIVE


def _reader(flow: Flow) -> _Read:
    if flow.computation is not None:
        compute = COMPUTATIONS[flow.computation].value_of
        return lambda contributor, _: compute(contributor)
    if flow.type.refers:
        return _first_of(flow.sources, _REFERENCES[flow.type])
    convert = CONVERTERS[flow.type]
    return _first_of(flow.sources, lambda values, _: convert(values))


def _first_of(sources: tuple[str, ...], convert: _Refer) -> _Read:
    """The first attribute that has a value."""

    def read(contributor: Contributor, anchor_of: AnchorOf) -> PropertyValue:
        attributes = contributor.source.values
        for name in sources:
            if name in attributes:
                value = convert(attributes[name], anchor_of)
                if value is not None:
                    return value
        return None

    return read


def _under(condition: str | None, read: _Read) -> _Read:
    if condition is None:
        return read

    def conditional(contributor: Contributor, anchor_of: AnchorOf) -> PropertyValue:
        if not _has(contributor.source.values, condition):
            return None
        return read(contributor, anchor_of)

    return conditional


def _has(attributes: Attributes, name: str) -> bool:
    return name in attributes and as_text(attributes[name]) is not None


def _merge(found: Iterable[PropertyValue], *, fold: bool) -> PropertyValue:
    """All values of several objects; of those that are the same the first object's."""
    merged: dict[object, str | bytes] = {}
    for values in found:
        if isinstance(values, tuple):
            for value in values:
                same = value.casefold() if fold and isinstance(value, str) else value
                merged.setdefault(same, value)
    return tuple(sorted(merged.values())) or None  # type: ignore[return-value]  # all of one sort


def _without_account(contributor: Contributor) -> bool:
    control = as_integer(contributor.source.values.get("userAccountControl", ()))
    return control is None or bool(control & ACCOUNT_DISABLED)


def _without_mailbox(contributor: Contributor) -> bool:
    attributes = contributor.source.values
    if attributes.get("msExchMailboxGuid"):
        return False
    kinds = as_integer(attributes.get("msExchRecipientTypeDetails", ())) or 0
    return not kinds & MAILBOX_TYPES


_RANKS: Final[dict[Precedence, Callable[[Contributor], bool]]] = {
    Precedence.ACCOUNT: _without_account,
    Precedence.MAILBOX: _without_mailbox,
    Precedence.SOURCE: lambda _: False,
}
"""Sorting keeps the order of sources among equals."""

_REFERENCES: Final[dict[ValueType, _Refer]] = {
    ValueType.REFERENCE: as_anchor,
    ValueType.REFERENCES: as_anchors,
}
