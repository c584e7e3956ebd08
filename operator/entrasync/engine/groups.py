"""Groups that decide what takes part: who is in them, by the links of the source space."""

from __future__ import annotations

from functools import cached_property
from typing import Final

from entrasync.state.groups import GroupSpace
from entrasync.state.parts import PartSpace
from entrasync.state.rows import guid_bytes, guid_text

_NONE: Final[frozenset[str]] = frozenset()


class GroupMembers:
    """Who is in a group, looked up when asked; circles of groups end by themselves.

    Args:
        group: its objectGUID.
        nested: whether members of groups in it count.
        groups: the links.
        parts: the objects.
    """

    def __init__(self, group: str, *, nested: bool, groups: GroupSpace, parts: PartSpace) -> None:
        self._group = group
        self._groups = groups
        self._nested = nested
        self._number = parts.number_of(guid_bytes(group)) or 0

    @cached_property
    def groups(self) -> frozenset[str]:
        """ObjectGUIDs of the group, and with nested of all groups in it."""
        if not self._nested:
            return frozenset({self._group})
        return frozenset(map(guid_text, self._groups.reach(self._number)))

    @cached_property
    def complete(self) -> bool:
        """Whether every group in it could be seen."""
        return not self._nested or (bool(self.groups) and self._groups.all_seen(self._number))

    def holds(self, guid: str, member_of: frozenset[str] = _NONE) -> bool:
        """Whether an object is in it.

        Args:
            guid: the object.
            member_of: groups that the object itself, read again, says it is in.
        """
        if not self.groups.isdisjoint(member_of):
            return True
        look_up = self._groups.is_within if self._nested else self._groups.is_member
        return look_up(self._number, guid_bytes(guid))

    def mark_changed(self) -> bool:
        """Marks objects whose membership changed; tells whether that is enough."""
        return bool(self.groups) and self._groups.mark_members(self._number, nested=self._nested)
