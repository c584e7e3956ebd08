"""What a cycle reads of the directories before it can decide."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from entrasync.api.directory_sync import PinnedScope, SyncMode
from entrasync.api.sync_run import RunScope, SourceRead
from entrasync.directory.deltas import FULL_COMPARISON
from entrasync.directory.errors import CookieRejectedError
from entrasync.directory.model import SourceEntry
from entrasync.directory.session import DirectorySession
from entrasync.engine.change_resolver import Elsewhere
from entrasync.engine.containers import (
    FoundGroup,
    FoundScope,
    find_groups,
    find_scope,
    load_pins,
    save_pins,
)
from entrasync.engine.directory_reader import SourceReading
from entrasync.engine.facts import (
    AttributeRules,
    directory_facts,
    require_readable,
    usable_attributes,
)
from entrasync.engine.importing import full_read_due, import_changes, import_full, usable_cookie
from entrasync.engine.inputs import CycleInputs, CycleParts, SourceInputs
from entrasync.engine.latency import note_changes
from entrasync.engine.outcome import CycleOutcome
from entrasync.engine.scope import Scope
from entrasync.engine.scoping_groups import read_groups_within

DAILY_READ: Final = (
    "Everything was read, as it is once a day: the directory does not tell this account every"
    " change."
)

log = structlog.get_logger()


@dataclass(slots=True, frozen=True, kw_only=True)
class FoundSources:
    """The scopes of all sources as found, in order of precedence.

    Attributes:
        scopes: containers in and out, by name of source.
        group_guids: objectGUIDs of the groups that filters name, by DN as written.
        attributes: what each source was asked for.
        pinned: containers and groups, to remember and to show.
    """

    scopes: Mapping[str, Scope]
    group_guids: dict[str, str]
    attributes: Mapping[str, tuple[str, ...]]
    pinned: tuple[PinnedScope, ...]


def read_sources(
    sessions: Mapping[str, DirectorySession],
    inputs: CycleInputs,
    parts: CycleParts,
    outcome: CycleOutcome,
) -> FoundSources:
    """Finds the scopes and brings the source space up to date.

    Args:
        sessions: the open directories by name of source.
        inputs: what the cycle is to do.
        parts: what it does it with.
        outcome: told what is learnt.

    Raises:
        EntrasyncError: a part of a scope is not found, or a directory cannot be read.
    """
    return _SourcesReader(sessions, inputs, parts, outcome).read()


class _SourcesReader:
    def __init__(
        self,
        sessions: Mapping[str, DirectorySession],
        inputs: CycleInputs,
        parts: CycleParts,
        outcome: CycleOutcome,
    ) -> None:
        # in order of precedence, whatever the order they were opened in
        self._sessions = {source.name: sessions[source.name] for source in inputs.sources}
        self._inputs = inputs
        self._parts = parts
        self._outcome = outcome
        self._rules = AttributeRules(
            flows=inputs.flows,
            selection=inputs.selection,
            anchors=inputs.anchors,
            join_users=inputs.join_users,
        )
        self._read = 0

    def read(self) -> FoundSources:
        """Finds everything first, so that a scope that is not there costs no reading."""
        store, selection = self._parts.store, self._inputs.selection
        for source in self._inputs.sources:
            name = source.resource.partition("/")[2]
            self._outcome.directories[name] = directory_facts(self._sessions[source.name])
        attributes = {
            source.name: usable_attributes(
                self._sessions[source.name], source.resource, self._rules
            )
            for source in self._inputs.sources
        }
        scopes, groups = self._find()
        pinned = (
            *(each for scope in scopes.values() for each in scope.pinned),
            *(group.pinned for group in groups.values()),
        )
        save_pins(store, pinned)
        self._outcome.scopes = pinned
        numbers = store.sources.open_sources(list(self._sessions))
        readings = {
            source.name: self._reading(
                source, numbers[source.name], attributes[source.name], scopes, groups
            )
            for source in self._inputs.sources
        }
        for reading in readings.values():
            self._import(reading)
        nested = frozenset(groups[dn].group.guid for dn in selection.nested_groups)
        read_groups_within(self._sessions, store, readings, nested)
        return FoundSources(
            scopes={name: scope.scope for name, scope in scopes.items()},
            group_guids={dn: group.group.guid for dn, group in groups.items()},
            attributes=attributes,
            pinned=pinned,
        )

    def _find(self) -> tuple[dict[str, FoundScope], dict[str, FoundGroup]]:
        pins = load_pins(self._parts.store, self._inputs.remembered)
        scopes = {
            source.name: find_scope(
                self._sessions[source.name],
                self._sessions[source.name].root.base_dn,
                source.where,
                pins,
            )
            for source in self._inputs.sources
        }
        groups = find_groups(
            self._sessions, self._inputs.selection.groups, pins, self._inputs.sync_resource
        )
        return scopes, groups

    def _reading(
        self,
        source: SourceInputs,
        number: int,
        attributes: tuple[str, ...],
        scopes: Mapping[str, FoundScope],
        groups: Mapping[str, FoundGroup],
    ) -> SourceReading:
        domain = self._sessions[source.name].root.domain
        self._parts.store.sources.set_domain(number, domain)
        include = scopes[source.name].include
        # several filters may name the same group
        own = {
            found.group.guid: found.group
            for found in groups.values()
            if found.source == source.name
        }
        return SourceReading(
            name=source.name,
            number=number,
            containers=include,
            attributes=attributes,
            digest=digest(sorted(each.guid for each in include), attributes, domain, sorted(own)),
            resource=source.resource,
            groups=tuple(own.values()),
        )

    def _import(self, reading: SourceReading) -> None:
        """Reads what changed where that is possible, everything otherwise."""
        session, store = self._sessions[reading.name], self._parts.store
        before = self._read

        def progress(done: int) -> None:
            self._parts.progress("Import", before + done, None)

        now = self._parts.clock()
        cookie = self._cookie(session, reading)
        if cookie is not None:
            try:
                read = import_changes(
                    session,
                    store,
                    reading,
                    cookie,
                    progress,
                    self._others_than(reading.name),
                    partial(note_changes, session, store, reading.name, now)
                    if self._inputs.mode is SyncMode.APPLY
                    else lambda _: {},
                )
            except CookieRejectedError as error:
                log.warning("delta_not_possible", reason=error.reason, message=error.message)
                self._tell(error.message)
            else:
                self._took(read, RunScope.DELTA, session.delta_method[0])
                return
        require_readable(session, reading.attributes, reading.resource, self._rules)
        read = import_full(session, store, reading, now, progress)
        self._took(read, RunScope.FULL, FULL_COMPARISON)

    def _cookie(self, session: DirectorySession, reading: SourceReading) -> bytes | None:
        """Where to go on from, `None` when everything is to be read."""
        if self._inputs.scope is RunScope.FULL:
            return None
        store = self._parts.store
        cookie = usable_cookie(store, reading.name, reading.digest)
        if cookie is not None and full_read_due(
            store, reading.name, session.delta_method, self._parts.clock()
        ):
            log.info("full_read_due", source=reading.name, method=session.delta_method)
            self._tell(DAILY_READ)
            return None
        return cookie

    def _others_than(self, name: str) -> Elsewhere:
        """Finds an object in the directories of the other sources."""
        others = [session for other, session in self._sessions.items() if other != name]

        def find(guid: str) -> SourceEntry | None:
            for session in others:
                found = session.read_guid(guid, ("objectClass",))
                if found is not None and not found.deleted:
                    return found
            return None

        return find

    def _took(self, read: int, scope: RunScope, method: str) -> None:
        """Sums up the sources: one that was read in full makes it a full read."""
        outcome = self._outcome
        self._read += read
        if outcome.source is None or scope is RunScope.FULL:
            outcome.scope = scope
            outcome.source = SourceRead(read=self._read, method=method)
        else:
            outcome.source = outcome.source.model_copy(update={"read": self._read})

    def _tell(self, message: str) -> None:
        if message not in self._outcome.message:
            self._outcome.message = f"{self._outcome.message} {message}".strip()


def digest(*parts: object) -> str:
    """A digest that differs where the parts do."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
