"""Membership as it is sent: changes of what the tenant holds (V2), or the complete list (V1)."""

from __future__ import annotations

from dataclasses import replace

from entrasync.engine.changes import Action, PlannedChange
from entrasync.entra.contracts import KEY_MEMBER, SyncObject
from entrasync.state.store import Store


class Memberships:
    """Turns planned changes of links into what the service takes.

    It refuses all links of a request that names an object the tenant does not hold. So nobody is
    added who could not be created or is frozen and was never there, and whole lists leave out who
    was deleted. They hold everybody else whom the tenant names as a member, also who is not known
    here, a device for example: who is left out of a whole list is removed.

    Args:
        store: knows what the tenant holds at any time of the export.
        whole: whether the complete list of members is sent each time, as V1 wants it (documented);
            otherwise changes, as V2 takes them.
    """

    def __init__(self, store: Store, *, whole: bool) -> None:
        self._store = store
        self._whole = whole

    def sendable(self, change: PlannedChange) -> PlannedChange | None:
        """The change without members to add that the tenant does not hold, `None` if none is left.

        What is left of it is what is counted and recorded, whatever travels.
        """
        if change.action is not Action.LINKS:
            return change
        absent = self._store.checkpoints.absent_members(change.number)
        if not absent:
            return change
        links = change.message.links
        held = tuple(link for link in links if not link.add or link.anchor not in absent)
        if len(held) == len(links):
            return change
        return replace(change, message=replace(change.message, links=held)) if held else None

    def message(self, change: PlannedChange) -> SyncObject:
        """What is sent for a change."""
        if change.action is not Action.LINKS or not self._whole:
            return change.message
        members = sorted(self._store.checkpoints.names(self._after(change)))
        return replace(change.message, properties={KEY_MEMBER: tuple(members)}, links=())

    def size(self, change: PlannedChange) -> int:
        """Members that travel with a change of links if all of it can be done."""
        return len(self._after(change)) if self._whole else len(change.message.links)

    def slices(self, change: PlannedChange, room: int) -> int:
        """Objects that a change of links becomes when a request takes so many links."""
        return 1 if self._whole else -(-len(change.message.links) // room)

    def _after(self, change: PlannedChange) -> set[int]:
        members = self._store.cloud.members(change.number)
        links = change.message.links
        numbers = self._store.database.anchor_numbers(link.anchor for link in links)
        for link in links:
            (members.add if link.add else members.discard)(numbers[link.anchor])
        return members
