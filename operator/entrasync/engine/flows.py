"""Attribute flows: which property of a cloud object comes from which attribute.

Names of properties are the service's, as Entra Connect sends them. An absent value is an absent
key: who compares turns a value that went away into a clear. The flows are compiled once; an object
then costs a look at each attribute it has.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Final

from entrasync.engine.flow_compiling import PRECEDENCE_ATTRIBUTES, Flowed, FlowTable
from entrasync.engine.flow_computations import REVISION, generalized_time
from entrasync.engine.flow_rules import KINDS, Flow, FlowRule, resolve
from entrasync.engine.flow_values import AnchorOf, Contributor
from entrasync.engine.source import SourceKind
from entrasync.entra.contracts import PropertyValue

__all__ = [
    "MANAGER",
    "OBJECT_IDENTIFIER",
    "Contributor",
    "FlowRule",
    "FlowSet",
    "Flowed",
    "flow_set",
    "generalized_time",
]

MANAGER: Final = "manager"
"""The reference that names a person's manager."""
OBJECT_IDENTIFIER: Final = "onPremisesObjectIdentifier"
"""The objectGUID a user comes from, as the tenant remembers it."""


class FlowSet:
    """The flows of a sync, ready to run.

    Args:
        flows: those in force, by kind of object.
        omitted: targets that are left alone, by kind.

    Attributes:
        attributes: LDAP names to read.
        required: those of them that every directory must have.
        targets: keys of all properties that flow, references included.
        reference_targets: those of them that name other objects.
        digest: changes exactly when the same objects may give other results.
    """

    def __init__(
        self,
        flows: Mapping[SourceKind, Sequence[Flow]],
        omitted: Mapping[SourceKind, frozenset[str]],
    ) -> None:
        everything = [flow for kind in flows for flow in flows[kind]]
        read = {name for flow in everything for name in flow.attributes}
        self.attributes: tuple[str, ...] = tuple(sorted({*read, *PRECEDENCE_ATTRIBUTES}))
        self.required: frozenset[str] = frozenset(
            name
            for flow in everything
            if not flow.optional
            for name in flow.attributes
            if name != flow.when
        )
        self.targets: frozenset[str] = frozenset(flow.target for flow in everything)
        self.reference_targets: frozenset[str] = frozenset(
            flow.target for flow in everything if flow.type.refers
        )
        self.digest: str = _digest(flows)
        self._flows = {kind: {flow.target.lower(): flow for flow in flows[kind]} for kind in flows}
        self._omitted = {kind: {name.lower(): name for name in omitted[kind]} for kind in omitted}
        self._targets = {kind: frozenset(flow.target for flow in flows[kind]) for kind in flows}
        self._tables = {kind: FlowTable(flows[kind]) for kind in flows}

    def flow(
        self,
        kind: SourceKind,
        contributors: Sequence[Contributor],
        anchor_of: AnchorOf,
        before: Mapping[str, PropertyValue] | None,
    ) -> Flowed:
        """What a cloud object should be, its anchor and members left out.

        Args:
            kind: what the object is.
            contributors: the objects it comes from, in the order of their sources.
            anchor_of: SourceAnchor of an objectGUID, `None` when it does not take part.
            before: what the cloud has, `None` for an object that is not there yet.
        """
        return self._tables[kind].run(contributors, anchor_of, before)

    def keep(self, kind: SourceKind, flowed: Flowed, before: Mapping[str, PropertyValue]) -> None:
        """Takes over values of the cloud that count: what `flow` does last when told of them.

        Args:
            kind: what the object is.
            flowed: what it should be as if it were not in the cloud yet; changed here.
            before: what the cloud has.
        """
        self._tables[kind].keep(flowed, before)

    def targets_of(self, kind: SourceKind) -> frozenset[str]:
        """Keys of the properties that flow for one kind of object, references included."""
        return self._targets.get(kind, frozenset())

    def why(self, kind: SourceKind, target: str) -> str:
        """The flow that gives a property, in a few words; empty when none does."""
        key = target.lower()
        flow = self._flows.get(kind, {}).get(key)
        if flow is not None:
            return flow.why
        name = self._omitted.get(kind, {}).get(key)
        return "" if name is None else f"flow of the sync omits {name}"


def flow_set(overrides: Mapping[SourceKind, Sequence[FlowRule]] | None = None) -> FlowSet:
    """The default flows, changed by those of a sync.

    Args:
        overrides: flows by kind; each replaces the default flow of its target, or is added.

    Raises:
        ConfigurationError: one of them makes no sense.
    """
    given = _spelled_alike(overrides or {})
    resolved = {kind: resolve(kind, given[kind]) for kind in KINDS}
    return FlowSet(
        {kind: flows for kind, (flows, _) in resolved.items()},
        {kind: omitted for kind, (_, omitted) in resolved.items()},
    )


def _spelled_alike(
    overrides: Mapping[SourceKind, Sequence[FlowRule]],
) -> dict[SourceKind, list[FlowRule]]:
    """One spelling for each name: attributes and properties know no letter case, keys do."""
    sources: dict[str, str] = {}
    targets: dict[str, str] = {}
    return {
        kind: [
            replace(
                rule,
                source=rule.source and sources.setdefault(rule.source.lower(), rule.source),
                target=targets.setdefault(rule.target.lower(), rule.target),
            )
            for rule in overrides.get(kind, ())
        ]
        for kind in KINDS
    }


def _digest(flows: Mapping[SourceKind, Sequence[Flow]]) -> str:
    lines = [
        f"{kind.value} " + " ".join(repr(getattr(flow, name)) for name in _DECIDING)
        for kind in flows
        for flow in flows[kind]
    ]
    return hashlib.sha256("\n".join([str(REVISION), *sorted(lines)]).encode()).hexdigest()


_DECIDING: Final = tuple(sorted({field.name for field in fields(Flow)} - {"own", "optional"}))
"""Who wrote a flow, and what a directory may lack, changes nothing about its result."""
