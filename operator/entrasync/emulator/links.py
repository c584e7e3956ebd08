"""References between objects: members of groups and managers, resolved and counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from entrasync.emulator.objects import CloudObject, RefusedError
from entrasync.entra.contracts import (
    KEY_MEMBER,
    LinkChange,
    PropertyValue,
    SyncObject,
    SyncObjectType,
)

CODE_UNKNOWN_REFERENCE: Final = "ReferenceNotFound"
"""Guessed: how the service names a link to an object it does not have is not known."""
CODE_INVALID_LINKS: Final = "DataValidationFailed"
"""Guessed."""

_MEMBER: Final = KEY_MEMBER.lower()
_MANAGER: Final = "manager"


class Directory(Protocol):
    """Where references are looked up."""

    def find(self, anchor: str) -> CloudObject | None:
        """An object by either anchor, deleted ones included."""

    def find_by(self, anchor: str, *, cloud: bool) -> CloudObject | None:
        """An object by its CloudAnchor or by its SourceAnchor, deleted ones included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkPlan:
    """CloudAnchors a group gains and loses: only such as change something."""

    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()


_NOTHING: Final = LinkPlan()


def split_members(
    properties: Mapping[str, PropertyValue],
) -> tuple[Mapping[str, PropertyValue], tuple[str, ...] | None]:
    """Attributes without `member`, and the complete list of members.

    The list is V1's form, and `None` when there is none; nil is an empty one.
    """
    for name, value in properties.items():
        if name.lower() == _MEMBER:
            rest = {other: each for other, each in properties.items() if other != name}
            if isinstance(value, tuple):
                return rest, tuple(each for each in value if isinstance(each, str))
            return rest, (value,) if isinstance(value, str) else ()
    return properties, None


def plan_links(
    directory: Directory, target: CloudObject, change: SyncObject, whole: Sequence[str] | None
) -> LinkPlan:
    """What a change does to the members of its object.

    Costs as much as the change is long, not as the group is large, unless it has the whole list.

    Args:
        directory: where anchors are looked up.
        target: the object.
        change: what is exported for it.
        whole: the complete list of members, `None` when there is none.

    Raises:
        RefusedError: a member is unknown, or the object can have none.
    """
    if whole is None and not change.links:
        return _NOTHING
    if target.object_type is not SyncObjectType.GROUP:
        raise RefusedError(CODE_INVALID_LINKS, "Only groups have members.")
    if whole is None:
        return _plan_changes(directory, target, change.links)
    wanted = frozenset(_resolve(directory, anchor, cloud=False) for anchor in whole)
    return LinkPlan(
        added=wanted - target.members, removed=frozenset(target.members.difference(wanted))
    )


def check_manager(directory: Directory, properties: Mapping[str, PropertyValue]) -> None:
    """Refuses a manager nobody knows.

    Raises:
        RefusedError: there is no such object, or it is deleted.
    """
    for name, value in properties.items():
        if isinstance(value, str) and name.lower() == _MANAGER:
            found = directory.find(value)
            if found is None or found.deleted:
                raise _unknown(value, _MANAGER)


def _plan_changes(
    directory: Directory, target: CloudObject, changes: Iterable[LinkChange]
) -> LinkPlan:
    added: set[str] = set()
    removed: set[str] = set()
    for change in changes:
        if change.add:
            added.add(_resolve(directory, change.anchor, cloud=change.by_cloud_anchor))
        else:
            removed.add(
                _resolve(directory, change.anchor, cloud=change.by_cloud_anchor, deleted=True)
            )
    if added & removed:
        raise RefusedError(CODE_INVALID_LINKS, "A member is both added and removed in one change.")
    return LinkPlan(
        added=frozenset(added.difference(target.members)),
        removed=frozenset(removed.intersection(target.members)),
    )


def _resolve(directory: Directory, anchor: str, *, cloud: bool, deleted: bool = False) -> str:
    found = directory.find_by(anchor, cloud=cloud)
    if found is None or (found.deleted and not deleted):
        raise _unknown(anchor, KEY_MEMBER)
    return found.cloud_anchor


def _unknown(anchor: str, attribute: str) -> RefusedError:
    return RefusedError(
        CODE_UNKNOWN_REFERENCE,
        f"The reference {anchor} of attribute {attribute} names no object of this tenant.",
    )
