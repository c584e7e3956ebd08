"""What became of owned objects that are no longer wanted: each is read again by its GUID."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from entrasync.directory.model import SourceEntry
from entrasync.engine.anchors import GUID_BYTES
from entrasync.engine.groups import GuidReader
from entrasync.engine.plan import CloudObject, Evidence
from entrasync.engine.scope import Scope
from entrasync.engine.selection import Selection
from entrasync.engine.source import SourceKind, SourceObject

_DEEPEST: Final = 200
_MEMBER_OF: Final = "memberOf"


class EvidenceGatherer:
    """Reads objects again, and the containers above them, wherever they lie now.

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

    def gather(
        self, candidates: Iterable[CloudObject], progress: Callable[[], None]
    ) -> dict[str, Evidence]:
        """Evidence by SourceAnchor."""
        found: dict[str, Evidence] = {}
        for candidate in candidates:
            guid = candidate.guid or guid_of_anchor(candidate.anchor)
            found[candidate.anchor] = Evidence.UNKNOWN if guid is None else self._look_at(guid)
            progress()
        return found

    def _look_at(self, guid: str) -> Evidence:
        entry = self._reader.read_guid(guid, self._attributes)
        if entry is None:
            return Evidence.UNKNOWN
        if entry.deleted:
            return Evidence.DELETED
        inside = self._is_inside(entry)
        if inside is None:
            return Evidence.UNKNOWN
        if not inside or self._takes_no_part(entry):
            return Evidence.OUT_OF_SCOPE
        # it is there and in scope: what was read before must be incomplete
        return Evidence.UNKNOWN

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
                return False
            current = self._container(current.parent_guid)
        return None

    def _container(self, guid: str) -> SourceEntry | None:
        if guid not in self._containers:
            self._containers[guid] = self._reader.read_guid(guid, ("objectClass",))
        return self._containers[guid]


def guid_of_anchor(anchor: str) -> str | None:
    """The objectGUID an anchor most likely was made of."""
    try:
        raw = base64.b64decode(anchor, validate=True)
    except ValueError:
        return None
    return str(uuid.UUID(bytes_le=raw)) if len(raw) == GUID_BYTES else None
