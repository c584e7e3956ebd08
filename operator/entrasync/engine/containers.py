"""Containers and groups of the scope, pinned by objectGUID so that a renamed one loses nobody."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from entrasync.api.directory_sync import PinnedScope
from entrasync.directory.model import Container, RootInfo, SourceEntry
from entrasync.directory.values import split_name
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


class RootedFinder(ContainerFinder, Protocol):
    """A directory session that tells which names it holds."""

    @property
    def root(self) -> RootInfo:
        """The server and its naming contexts."""
        ...


@dataclass(slots=True, frozen=True, kw_only=True)
class ScopeSpec:
    """The scope of one source as a person wrote it.

    Attributes:
        include: DNs of containers to read; empty for the base.
        exclude: DNs of containers to leave out.
        source: name of the source, for messages.
        resource: `Kind/name` that errors point at.
    """

    include: tuple[str, ...]
    exclude: tuple[str, ...]
    source: str
    resource: str


@dataclass(slots=True, frozen=True, kw_only=True)
class FoundScope:
    """The scope of one source as found in its directory.

    Attributes:
        include: containers to read, by their names of now.
        exclude: containers to leave out.
        pinned: what to remember and to show.
    """

    include: tuple[Container, ...]
    exclude: tuple[Container, ...]
    pinned: tuple[PinnedScope, ...]

    @property
    def scope(self) -> Scope:
        """The same, as the evaluation needs it."""
        return Scope(
            include=frozenset(each.guid for each in self.include),
            exclude=frozenset(each.guid for each in self.exclude),
        )


@dataclass(slots=True, frozen=True, kw_only=True)
class FoundGroup:
    """A group that decides what takes part, as found.

    Attributes:
        source: name of the source whose directory holds it.
        group: its objectGUID and its name of now.
        pinned: what to remember and to show.
    """

    source: str
    group: Container
    pinned: PinnedScope


def find_scope(
    finder: ContainerFinder, base_dn: str, spec: ScopeSpec, pins: Mapping[str, str]
) -> FoundScope:
    """Finds the containers of a scope, by their pins where there are any.

    Args:
        finder: the directory.
        base_dn: what is included when the scope names nothing.
        spec: the scope as written.
        pins: objectGUIDs by DN as written, from an earlier run.

    Raises:
        ConfigurationError: `BaseNotFound`, or `ScopeMoved` when a pinned container is gone.
    """
    pinned: list[PinnedScope] = []

    def find(dn: str, name: str) -> Container:
        found = _find(finder, dn, pins.get(dn), f"spec.sources[{spec.source}].{name}", spec)
        pinned.append(_pinned(dn, found))
        return found

    include = tuple(find(dn, "include") for dn in spec.include)
    exclude = tuple(find(dn, "exclude") for dn in spec.exclude)
    return FoundScope(
        include=include or (finder.resolve_container(base_dn),),
        exclude=exclude,
        pinned=tuple(pinned),
    )


def find_groups(
    finders: Mapping[str, RootedFinder],
    groups: Mapping[str, str],
    pins: Mapping[str, str],
    resource: str,
) -> dict[str, FoundGroup]:
    """Finds groups, each in the source whose directory its name belongs to.

    One that is pinned and is not there any more may have moved to the domain of another source.

    Args:
        finders: the directories by name of source, in order of precedence.
        groups: DNs as written, and the field of each.
        pins: objectGUIDs by DN as written, from an earlier run.
        resource: `Kind/name` that errors point at.

    Raises:
        ConfigurationError: `ScopeGroupNotFound`.
    """
    found: dict[str, FoundGroup] = {}
    for dn, field in groups.items():
        source = source_of(dn, finders)
        guid = pins.get(dn)
        if guid is not None:
            source = _where_pinned(guid, source, finders)
        group = find_group(finders[source], dn, guid, field, resource)
        found[dn] = FoundGroup(source=source, group=group, pinned=_pinned(dn, group))
    return found


def source_of(dn: str, finders: Mapping[str, RootedFinder]) -> str:
    """Name of the source whose directory a DN belongs to: the longest end in common decides.

    Args:
        dn: as a person wrote it.
        finders: the directories by name of source, in order of precedence; the first one holds
            what none of them seems to hold.
    """
    parts = _parts(dn)

    def common(finder: RootedFinder) -> int:
        roots = (_parts(name) for name in (finder.root.base_dn, *finder.root.naming_contexts))
        return max((len(root) for root in roots if root and parts[-len(root) :] == root), default=0)

    return max(finders, key=lambda name: common(finders[name]))


def _parts(dn: str) -> list[str]:
    parts = (part.partition("=") for part in split_name(dn.casefold()))
    return [f"{name.strip()}={value.strip()}" for name, _, value in parts]


def _where_pinned(guid: str, likely: str, finders: Mapping[str, RootedFinder]) -> str:
    for source in (likely, *finders):
        if finders[source].resolve_container_guid(guid) is not None:
            return source
    return likely


def _pinned(dn: str, found: Container) -> PinnedScope:
    return PinnedScope(dn=dn, guid=found.guid, current_dn=found.dn)


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


def save_pins(store: Store, pinned: Iterable[PinnedScope]) -> None:
    """Remembers the pins of what the scopes name now, and no others."""
    store.put(META_SCOPES, json.dumps({scope.dn: scope.guid for scope in pinned}))
