"""What a session tells of its directory."""

from __future__ import annotations

from entrasync.api.result import DirectoryFacts
from entrasync.directory.session import DirectorySession
from entrasync.engine.source import OPTIONAL_ATTRIBUTES, SOURCE_ATTRIBUTES
from entrasync.errors import ConfigurationError


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


def usable_attributes(session: DirectorySession, resource: str) -> tuple[str, ...]:
    """The attributes to read: all that must be there, and the optional ones that are.

    Raises:
        ConfigurationError: `SchemaAttributeMissing`.
    """
    absent = session.missing_attributes((*SOURCE_ATTRIBUTES, *OPTIONAL_ATTRIBUTES))
    missing = [name for name in SOURCE_ATTRIBUTES if name in absent]
    if missing:
        raise ConfigurationError(
            "SchemaAttributeMissing",
            f"the directory's schema has no {', '.join(missing)}; check that it is an Active"
            " Directory and that the account may read its schema",
            resource=resource,
            field="spec.servers",
        )
    return tuple(name for name in (*SOURCE_ATTRIBUTES, *OPTIONAL_ATTRIBUTES) if name not in absent)
