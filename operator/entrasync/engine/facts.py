"""What a session tells of its directory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from entrasync.api.result import DirectoryFacts
from entrasync.directory.schema import SchemaAttribute
from entrasync.directory.session import DirectorySession
from entrasync.engine.selection import SelectionRules, UsedAttribute
from entrasync.engine.source import OPTIONAL_ATTRIBUTES, SOURCE_ATTRIBUTES
from entrasync.errors import ConfigurationError


class SchemaReader(Protocol):
    """What finding usable attributes needs of a directory session."""

    def schema_attributes(self, names: Sequence[str]) -> dict[str, SchemaAttribute]:
        """Attributes of the schema by folded name."""
        ...

    def unreadable_attributes(self, names: Sequence[str]) -> tuple[str, ...]:
        """Attributes that the account can read of nobody."""
        ...


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
    session: SchemaReader, resource: str, selection: SelectionRules | None = None
) -> tuple[str, ...]:
    """The attributes to read.

    All that must be there, the optional ones that are, and those that filters look at.

    Args:
        session: the directory.
        resource: `Kind/name` of the directory, for errors.
        selection: filters of the sync.

    Raises:
        ConfigurationError: `SchemaAttributeMissing`.
    """
    rules = selection or SelectionRules()
    own = (*SOURCE_ATTRIBUTES, *OPTIONAL_ATTRIBUTES)
    known = session.schema_attributes((*own, *sorted({used.name for used in rules.attributes})))
    missing = [name for name in SOURCE_ATTRIBUTES if name.lower() not in known]
    if missing:
        raise ConfigurationError(
            "SchemaAttributeMissing",
            f"the directory's schema has no {', '.join(missing)}; check that it is an Active"
            " Directory and that the account may read its schema",
            resource=resource,
            field="spec.servers",
        )
    found = {name.lower(): name for name in own if name.lower() in known}
    for used in rules.attributes:
        attribute = _usable(used, known.get(used.name.lower()), rules.resource)
        found.setdefault(used.name.lower(), attribute.name)
    return tuple(found.values())


def require_readable(
    session: SchemaReader,
    attributes: Sequence[str],
    resource: str,
    selection: SelectionRules | None = None,
) -> None:
    """Tries to read attributes; takes some searches, so it is for checks and before full reads.

    Args:
        session: the directory.
        attributes: as `usable_attributes` gave them.
        resource: `Kind/name` of the directory, for errors.
        selection: filters of the sync.

    Raises:
        ConfigurationError: `SchemaAttributeMissing`: what is never readable would look as if
            nobody had it.
    """
    rules = selection or SelectionRules()
    # what is optional may as well be hidden: nothing depends on it alone
    hidden = {name.lower() for name in session.unreadable_attributes(attributes)}
    for used in rules.attributes:
        if used.name.lower() in hidden:
            raise ConfigurationError(
                "SchemaAttributeMissing",
                f"the account can read {used.name} of no user, group or contact; grant it the"
                " right to read the attribute, or filter by another one",
                resource=rules.resource,
                field=f"{used.field}.attribute",
            )
    lacking = [name for name in SOURCE_ATTRIBUTES if name.lower() in hidden]
    if lacking:
        raise ConfigurationError(
            "SchemaAttributeMissing",
            f"the account can read {', '.join(lacking)} of no user, group or contact; grant it the"
            " right to read these attributes",
            resource=resource,
            field="spec.bindSecretRef",
        )


def _usable(used: UsedAttribute, known: SchemaAttribute | None, resource: str) -> SchemaAttribute:
    """An attribute of a filter, if a filter can go by it."""
    why = ""
    if known is None:
        why = "is not in the directory's schema; correct the name, or extend the schema"
    elif not known.followed:
        why = (
            "is made up by the server or kept in links, so that its changes cannot be followed;"
            " filter by another one, or use IsMemberOf for groups"
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
