"""What a session tells of its directory, and which attributes are read there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from entrasync.api.choices import AnchorSource, JoinBy
from entrasync.api.result import DirectoryFacts
from entrasync.directory.schema import SchemaAttribute
from entrasync.directory.session import DirectorySession
from entrasync.engine.flows import FlowSet, flow_set
from entrasync.engine.inputs import AnchorRules
from entrasync.engine.selection import SelectionRules, UsedAttribute
from entrasync.engine.source import DECIDING_ATTRIBUTES, OPTIONAL_ATTRIBUTES
from entrasync.errors import ConfigurationError


class SchemaReader(Protocol):
    """What finding usable attributes needs of a directory session."""

    def schema_attributes(self, names: Sequence[str]) -> dict[str, SchemaAttribute]:
        """Attributes of the schema by folded name."""
        ...

    def unreadable_attributes(self, names: Sequence[str]) -> tuple[str, ...]:
        """Attributes that the account can read of nobody."""
        ...


@dataclass(slots=True, frozen=True, kw_only=True)
class AttributeRules:
    """What is done with the attributes of a directory.

    Attributes:
        flows: how they travel.
        selection: filters of the sync.
        anchors: where anchors come from.
        join_users: what joins users of several sources.
    """

    flows: FlowSet
    selection: SelectionRules = field(default_factory=SelectionRules)
    anchors: AnchorRules = field(default_factory=AnchorRules)
    join_users: JoinBy = JoinBy.NONE

    @property
    def required(self) -> tuple[str, ...]:
        """Attributes that every directory must have."""
        joins = ("mail",) if self.join_users is JoinBy.MAIL else ()
        return _once(sorted({*self.flows.required, *DECIDING_ATTRIBUTES, *joins}))

    @property
    def optional(self) -> tuple[str, ...]:
        """Attributes that are read where the directory has them."""
        joins = ("msExchMasterAccountSID",) if self.join_users is JoinBy.OBJECT_SID else ()
        required = {name.lower() for name in self.required}
        names = sorted({*self.flows.attributes, *OPTIONAL_ATTRIBUTES, *joins})
        return _once(name for name in names if name.lower() not in required)

    @property
    def own_sources(self) -> list[str]:
        """Attributes that only flows of the sync itself read."""
        return sorted({*self.flows.required} - {*flow_set().attributes})

    @property
    def named(self) -> tuple[UsedAttribute, ...]:
        """Attributes that a person named; without them what was meant cannot be done."""
        anchor = self.anchors.attribute
        if self.anchors.source is not AnchorSource.ATTRIBUTE or anchor is None:
            return self.selection.attributes
        used = UsedAttribute(name=anchor, field="spec.sourceAnchor", only_presence=False)
        return (*self.selection.attributes, used)


def directory_facts(session: DirectorySession) -> DirectoryFacts:
    """Server, domain and how changes can be read."""
    method, reason = session.delta_method
    return DirectoryFacts(
        server=session.root.server,
        domain=session.root.domain,
        functional_level=session.root.functional_level,
        delta_method=method,
        delta_method_reason=reason,
    )


def usable_attributes(
    session: SchemaReader, resource: str, rules: AttributeRules
) -> tuple[str, ...]:
    """The attributes to read, each once, as flows, rules or else the schema spell them.

    All that must be there, the optional ones that are, and those that filters and anchors look at.

    Args:
        session: the directory.
        resource: `Kind/name` of the directory, for errors.
        rules: what is done with the attributes.

    Raises:
        ConfigurationError: `SchemaAttributeMissing`.
    """
    required, optional = rules.required, rules.optional
    known = session.schema_attributes(_once((*_names(rules.named), *required, *optional)))
    missing = [name for name in required if name.lower() not in known]
    if missing:
        raise ConfigurationError(
            "SchemaAttributeMissing",
            f"the directory's schema has no {', '.join(missing)}; check that it is an Active"
            " Directory, that the account may read its schema, and the flows that name it",
            resource=resource,
            field="spec.servers",
        )
    found = {name.lower(): name for name in (*required, *optional) if name.lower() in known}
    for used in rules.named:
        attribute = _usable(used, known.get(used.name.lower()), rules.selection.resource)
        found.setdefault(used.name.lower(), attribute.name)
    for name in rules.own_sources:
        if not known[name.lower()].followed:
            raise _not_followed(name, rules.selection.resource)
    return tuple(found.values())


def require_readable(
    session: SchemaReader, attributes: Sequence[str], resource: str, rules: AttributeRules
) -> None:
    """Tries to read attributes; takes some searches, so it is for checks and before full reads.

    Args:
        session: the directory.
        attributes: as `usable_attributes` gave them.
        resource: `Kind/name` of the directory, for errors.
        rules: what is done with the attributes.

    Raises:
        ConfigurationError: `SchemaAttributeMissing`: what is never readable would look as if
            nobody had it.
    """
    # what is optional may as well be hidden: nothing depends on it alone
    hidden = {name.lower() for name in session.unreadable_attributes(attributes)}
    for used in rules.named:
        if used.name.lower() in hidden:
            raise ConfigurationError(
                "SchemaAttributeMissing",
                f"the account can read {used.name} of no user, group or contact; grant it the"
                " right to read the attribute, or use another one",
                resource=rules.selection.resource,
                field=f"{used.field}.attribute",
            )
    lacking = [name for name in rules.required if name.lower() in hidden]
    if lacking:
        raise ConfigurationError(
            "SchemaAttributeMissing",
            f"the account can read {', '.join(lacking)} of no user, group or contact; grant it the"
            " right to read these attributes",
            resource=resource,
            field="spec.bindSecretRef",
        )


def _not_followed(name: str, resource: str) -> ConfigurationError:
    return ConfigurationError(
        "SchemaAttributeMissing",
        f"the attribute {name}, which is the source of a flow, is made up by the server or kept in"
        " links, so that its changes cannot be followed; use another one",
        resource=resource,
        field="spec.objects",
    )


def _names(named: Sequence[UsedAttribute]) -> list[str]:
    return sorted({used.name for used in named})


def _once(names: Iterable[str]) -> tuple[str, ...]:
    """Names that differ in more than letter case, in order."""
    return tuple({name.lower(): name for name in names}.values())


def _usable(used: UsedAttribute, known: SchemaAttribute | None, resource: str) -> SchemaAttribute:
    """An attribute that a person named, if one can go by it."""
    why = ""
    if known is None:
        why = "is not in the directory's schema; correct the name, or extend the schema"
    elif not known.followed:
        why = (
            "is made up by the server or kept in links, so that its changes cannot be followed;"
            " use another one, or for groups the operator IsMemberOf"
        )
    elif known.names_objects and not used.only_presence:
        why = "names other objects; only IsNull and IsNotNull can be asked of it"
    if known is None or why:
        raise ConfigurationError(
            "SchemaAttributeMissing",
            f"the attribute {used.name} {why}",
            resource=resource,
            field=f"{used.field}.attribute",
        )
    return known
