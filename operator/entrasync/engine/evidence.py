"""What became of owned objects that are no longer wanted: each is read again by its GUID."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum, auto
from itertools import islice
from typing import Final

import structlog

from entrasync.directory.model import SourceEntry
from entrasync.engine.directory_reader import GuidReader
from entrasync.engine.reading import FoundSources
from entrasync.engine.removals import Evidence
from entrasync.engine.scope import Scope
from entrasync.engine.selection import Selection
from entrasync.engine.source import SourceKind, SourceObject
from entrasync.engine.tenant import guid_of_anchor
from entrasync.errors import EntrasyncError, TransientError
from entrasync.state.evaluation import Candidate
from entrasync.state.rows import guid_text
from entrasync.state.store import Store

_DEEPEST: Final = 200
_MEMBER_OF: Final = "memberOf"
_CLASS: Final = "objectClass"
_ROOT_CLASSES: Final = frozenset({b"domain", b"domainDNS"})
"""Only what is one of these has nothing above it."""
_AT_ONCE: Final = 500
"""Candidates whose evidence is written together."""

log = structlog.get_logger()


class Sight(Enum):
    """What one source shows of an object."""

    NOTHING = auto()
    TOMBSTONE = auto()
    OUTSIDE = auto()
    INSIDE = auto()
    UNCLEAR = auto()


def conclude_from(sights: Iterable[Sight]) -> Evidence:
    """What the sights of all sources together prove."""
    seen = set(sights)
    if Sight.UNCLEAR in seen:
        return Evidence.UNKNOWN
    if Sight.INSIDE in seen:
        # it is there and in scope: it came there just now, or what was read before is incomplete
        return Evidence.MOVED if Sight.TOMBSTONE in seen else Evidence.UNKNOWN
    if Sight.OUTSIDE in seen:
        return Evidence.OUT_OF_SCOPE
    return Evidence.DELETED if Sight.TOMBSTONE in seen else Evidence.UNKNOWN


def gather_evidence(
    sessions: Mapping[str, GuidReader],
    found: FoundSources,
    selection: Selection,
    store: Store,
    progress: Callable[[int, int | None], None],
) -> None:
    """Looks at every candidate again, in every source, and writes what that told.

    Args:
        sessions: the directories by name of source.
        found: scopes, and the attributes to ask for.
        selection: what of the containers takes part.
        store: the state, evaluated.
        progress: told the candidates so far, and all of them.
    """
    observers = [
        Observer(sessions[name], scope, found.attributes[name], selection)
        for name, scope in found.scopes.items()
    ]
    done, total = 0, store.evaluation.candidate_count()
    for batch in _batches(store.evaluation.candidates()):
        concluded: list[tuple[int, Evidence]] = []
        for candidate in batch:
            guid = candidate.guid or _guid_of(candidate.anchor)
            sights = [] if guid is None else [each.look_at(guid) for each in observers]
            concluded.append((candidate.number, conclude_from(sights)))
        with store.transaction():
            for number, evidence in concluded:
                store.evaluation.set_evidence(number, evidence)
        done += len(batch)
        progress(done, total)


def _guid_of(anchor: str) -> str | None:
    """The objectGUID an anchor most likely was made of."""
    guid = guid_of_anchor(anchor)
    return None if guid is None else guid_text(guid)


def _batches(candidates: Iterator[Candidate]) -> Iterator[list[Candidate]]:
    while batch := list(islice(candidates, _AT_ONCE)):
        yield batch


class Observer:
    """Reads objects of one source again, and the containers above them, wherever they lie now.

    Places are told by objectGUIDs all the way up: names may change while we look.

    Args:
        reader: the directory.
        scope: containers in and out.
        attributes: names to ask for.
        selection: what of the containers takes part.
    """

    def __init__(
        self,
        reader: GuidReader,
        scope: Scope,
        attributes: Sequence[str],
        selection: Selection | None = None,
    ) -> None:
        self._reader = reader
        self._scope = scope
        self._selection = selection or Selection()
        # what an object itself says of its groups is newer than the links that were read
        further = (_MEMBER_OF,) if self._selection.names_groups else ()
        self._attributes = (*attributes, *further)
        self._containers: dict[str, SourceEntry | None] = {}
        self._is_lost = False

    def look_at(self, guid: str) -> Sight:
        """What the source shows of an object now."""
        if self._is_lost:
            return Sight.UNCLEAR
        try:
            return self._look_at(guid)
        except EntrasyncError as error:
            # who cannot look has seen nothing; the object is kept
            log.warning("evidence_not_readable", reason=error.reason, message=error.message)
            self._is_lost = isinstance(error, TransientError)
            return Sight.UNCLEAR

    def _look_at(self, guid: str) -> Sight:
        entry = self._reader.read_guid(guid, self._attributes)
        if entry is None:
            return Sight.NOTHING
        if entry.deleted:
            return Sight.TOMBSTONE
        inside = self._is_inside(entry)
        if inside is None or not entry.attributes.get(_CLASS):
            # nothing is without a class: the account may not read what it is
            return Sight.UNCLEAR
        return Sight.OUTSIDE if not inside or self._takes_no_part(entry) else Sight.INSIDE

    def _takes_no_part(self, entry: SourceEntry) -> bool:
        """Whether it is beyond doubt that an object is left out."""
        source = SourceObject(
            guid=entry.guid,
            dn=entry.dn,
            parent_guid=entry.parent_guid,
            attributes={name: values for name, values in entry.attributes.items() if values},
        )
        if source.kind is SourceKind.OTHER:
            return True
        rule = self._selection.left_out_by(source, frozenset(source.texts(_MEMBER_OF)))
        return rule is not None and self._selection.is_certain(source.kind, rule)

    def _is_inside(self, entry: SourceEntry) -> bool | None:
        """Whether an object lies in scope; `None` when the way up cannot be seen."""
        current: SourceEntry | None = entry
        for _ in range(_DEEPEST):
            if current is None or current.deleted:
                return None
            if current.guid in self._scope.exclude:
                return False
            if current.guid in self._scope.include:
                return True
            if current.parent_guid is None:
                # anything else has a container that the account may not read
                is_root = not _ROOT_CLASSES.isdisjoint(current.attributes.get(_CLASS, ()))
                return False if is_root else None
            current = self._container(current.parent_guid)
        return None

    def _container(self, guid: str) -> SourceEntry | None:
        if guid not in self._containers:
            self._containers[guid] = self._reader.read_guid(guid, (_CLASS,))
        return self._containers[guid]
