"""Containers and groups of the scope, pinned by objectGUID so that a renamed one loses nobody."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from entrasync.api.directory_sync import PinnedScope
from entrasync.directory.model import Container, SourceEntry
from entrasync.engine.scope import Scope
from entrasync.errors import ConfigurationError
from entrasync.state.store import Store

META_SCOPES: Final = "scopes"


class ContainerFinder(Protocol):
    """What finding containers needs of a directory session."""

    def resolve_container(self, dn: str, *, field: str = "spec.baseDN") -> Container:
        """The container of a DN."""
        ...

    def resolve_container_guid(self, guid: str) -> Container | None:
        """The container of an objectGUID, wherever it is now."""
        ...

    def read_guid(self, guid: str, attributes: Sequence[str]) -> SourceEntry | None:
        """One object, with members when it is a group."""
        ...


@dataclass(slots=True, frozen=True, kw_only=True)
class ScopeSpec:
    """A scope as a person wrote it.

    Attributes:
        include: DNs of containers to read; empty for the base.
        exclude: DNs of containers to leave out.
        source: name of the source, for messages.
        resource: `Kind/name` that errors point at.
        groups: DNs of groups that decide what takes part, and the field of each.
    """

    include: tuple[str, ...]
    exclude: tuple[str, ...]
    source: str
    resource: str
    groups: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True, frozen=True, kw_only=True)
class FoundScope:
    """A scope as found in the directory.

    Attributes:
        include: containers to read, by their names of now.
        exclude: containers to leave out.
        pinned: what to remember and to show.
        groups: groups that decide what takes part, by DN as written.
    """

    include: tuple[Container, ...]
    exclude: tuple[Container, ...]
    pinned: tuple[PinnedScope, ...]
    groups: Mapping[str, Container] = field(default_factory=dict)

    @property
    def scope(self) -> Scope:
        """The same, as the evaluation needs it."""
        return Scope(
            include=frozenset(each.guid for each in self.include),
            exclude=frozenset(each.guid for each in self.exclude),
        )

    @property
    def group_guids(self) -> dict[str, str]:
        """ObjectGUIDs of the groups by DN as written."""
        return {dn: group.guid for dn, group in self.groups.items()}


def find_scope(
    finder: ContainerFinder, base_dn: str, spec: ScopeSpec, pins: Mapping[str, str]
) -> FoundScope:
    """Finds the containers and groups of a scope, by their pins where there are any.

    Args:
        finder: the directory.
        base_dn: what is included when the scope names nothing.
        spec: the scope as written.
        pins: objectGUIDs by DN as written, from an earlier run.

    Raises:
        ConfigurationError: `BaseNotFound`, `ScopeMoved` when a pinned container is gone, or
            `ScopeGroupNotFound`.
    """
    pinned: list[PinnedScope] = []

    def find(dn: str, name: str) -> Container:
        found = _find(finder, dn, pins.get(dn), f"spec.sources[{spec.source}].{name}", spec)
        pinned.append(PinnedScope(dn=dn, guid=found.guid, current_dn=found.dn))
        return found

    include = tuple(find(dn, "include") for dn in spec.include)
    exclude = tuple(find(dn, "exclude") for dn in spec.exclude)
    groups: dict[str, Container] = {}
    for dn, written_in in spec.groups.items():
        found = groups[dn] = find_group(finder, dn, pins.get(dn), written_in, spec.resource)
        pinned.append(PinnedScope(dn=dn, guid=found.guid, current_dn=found.dn))
    return FoundScope(
        include=include or (finder.resolve_container(base_dn),),
        exclude=exclude,
        pinned=tuple(pinned),
        groups=groups,
    )


def find_group(
    finder: ContainerFinder, dn: str, guid: str | None, field: str, resource: str
) -> Container:
    """Finds a group, by its pin when there is one.

    Args:
        finder: the directory.
        dn: as written.
        guid: its pin, `None` before the first run.
        field: where it is written.
        resource: `Kind/name` that errors point at.

    Raises:
        ConfigurationError: `ScopeGroupNotFound`.
    """
    if guid is None:
        return _first_sight(finder, dn, field, resource)
    found = finder.resolve_container_guid(guid)
    if found is None:
        raise ConfigurationError(
            "ScopeGroupNotFound",
            f"the group written as {dn} was objectGUID {guid}, which is deleted or no longer"
            " readable; restore it or the account's right to read it, or name the group that takes"
            " its place: one of the same name by writing it in another letter case",
            resource=resource,
            field=field,
        )
    return found


def _first_sight(finder: ContainerFinder, dn: str, field: str, resource: str) -> Container:
    """A group that is about to be pinned; what is none must not be."""
    try:
        found = finder.resolve_container(dn, field=field)
    except ConfigurationError:
        found = None
    entry = None if found is None else finder.read_guid(found.guid, ("objectClass",))
    if found is None or entry is None or entry.members is None:
        raise ConfigurationError(
            "ScopeGroupNotFound",
            f"the directory has no group {dn}, or the account may not read it; correct the"
            " distinguished name, or grant the account the right to read the group",
            resource=resource,
            field=field,
        )
    return found


def _find(
    finder: ContainerFinder, dn: str, guid: str | None, field: str, spec: ScopeSpec
) -> Container:
    if guid is None:
        try:
            return finder.resolve_container(dn, field=field)
        except ConfigurationError as error:
            error.resource = spec.resource
            raise
    found = finder.resolve_container_guid(guid)
    if found is None:
        raise ConfigurationError(
            "ScopeMoved",
            f"the container written as {dn} was objectGUID {guid}, which is deleted or no longer"
            " readable; restore it or the account's right to read it, or name the container that"
            " takes its place",
            resource=spec.resource,
            field=field,
        )
    return found


def load_pins(store: Store, remembered: Sequence[PinnedScope]) -> dict[str, str]:
    """Pins of the store, else those the status remembers, which outlive a lost volume."""
    kept = store.get(META_SCOPES)
    if kept is not None:
        return {str(dn): str(guid) for dn, guid in json.loads(kept).items()}
    return {scope.dn: scope.guid for scope in remembered}


def save_pins(store: Store, found: FoundScope) -> None:
    """Remembers the pins of the containers the scope names now, and no others."""
    store.put(META_SCOPES, json.dumps({scope.dn: scope.guid for scope in found.pinned}))
