"""What becomes of cloud objects that are wanted no longer, and of those that are not ours.

Only with evidence that it is gone from the scope does anything happen to an object; without it is
kept, and told as unaccounted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Final

from entrasync.api.choices import OnRemoval, OrphanPolicy
from entrasync.engine.changes import Action
from entrasync.engine.source import SourceKind
from entrasync.entra.contracts import SyncObjectType
from entrasync.state.removals import RemovalRule
from entrasync.state.store import Store


class Evidence(StrEnum):
    """What reading an object again by its GUID told, or that nobody wants any of them any more."""

    DELETED = "Deleted"
    OUT_OF_SCOPE = "OutOfScope"
    MOVED = "Moved"
    SYNC_DELETED = "SyncDeleted"
    UNKNOWN = "Unknown"


REMOVING: Final[Mapping[Evidence, str]] = {
    Evidence.DELETED: "deleted in the directory",
    Evidence.OUT_OF_SCOPE: "left the scope",
    Evidence.SYNC_DELETED: "its DirectorySync is deleted",
}
"""Evidence that something is gone, in words."""
WHY_ORPHAN: Final = "nobody wants it, and it is not owned"
_TYPES: Final = {
    SourceKind.USER: SyncObjectType.USER,
    SourceKind.GROUP: SyncObjectType.GROUP,
    SourceKind.CONTACT: SyncObjectType.CONTACT,
}


def plan_removals(
    store: Store, on_removal: Mapping[SourceKind, OnRemoval], orphans: OrphanPolicy
) -> None:
    """Makes pending what follows from the evidence, and takes back what does not any more.

    Args:
        store: the state.
        on_removal: what becomes of candidates, by each kind that is synced; of others nothing goes.
        orphans: what becomes of synced objects that are not ours, of the same kinds.
    """
    store.plan.removals.replace(
        list(_rules(on_removal)),
        [object_type for kind, object_type in _TYPES.items() if kind in on_removal]
        if orphans is OrphanPolicy.DELETE
        else [],
        WHY_ORPHAN,
    )


def unaccounted(store: Store) -> Iterator[str]:
    """SourceAnchors of what vanished without a trace and is kept."""
    return store.plan.removals.unaccounted(REMOVING)


def count_unaccounted(store: Store) -> int:
    """How many `unaccounted` gives."""
    return store.plan.removals.count_unaccounted(REMOVING)


def _rules(on_removal: Mapping[SourceKind, OnRemoval]) -> Iterable[RemovalRule]:
    for kind, object_type in _TYPES.items():
        action = _action(kind, on_removal.get(kind, OnRemoval.KEEP))
        for evidence, why in REMOVING.items():
            if action is not None:
                yield RemovalRule(type=object_type, evidence=evidence, action=action, why=why)


def _action(kind: SourceKind, what: OnRemoval) -> Action | None:
    if what is OnRemoval.DELETE:
        return Action.DELETE
    # only accounts can be disabled
    return Action.DISABLE if what is OnRemoval.DISABLE and kind is SourceKind.USER else None
