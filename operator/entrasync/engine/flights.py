"""Planned changes on their way: what of them can be sent, and what is still out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final, Self

from entrasync.engine.changes import Action, Phase, PlannedChange
from entrasync.engine.letting_go import LettingGo
from entrasync.engine.memberships import Memberships
from entrasync.entra.contracts import KEY_MEMBER, LinkChange, PropertyValue, SyncObject
from entrasync.state.store import Store

_PAGE: Final = 500
"""Changes of which it is found out together what they are about."""
_BY_THEMSELVES: Final = frozenset({Action.ADD, Action.DELETE})
"""What needs nobody to be there."""


@dataclass(slots=True, kw_only=True)
class Flight:
    """A change on its way.

    Attributes:
        planned: as it was planned.
        change: what of it can be sent.
        left: links, or 1 for an object, of which there is no answer yet.
        failed: whether any of it was refused for this run.
        goes_again: whether any of it is to be sent once more.
        again: links to be sent once more.
    """

    planned: PlannedChange
    change: PlannedChange
    left: int = 1
    failed: bool = False
    goes_again: bool = False
    again: list[LinkChange] = field(default_factory=list)

    @classmethod
    def of(cls, planned: PlannedChange, change: PlannedChange | None = None) -> Self:
        """The flight of a change, or of what can be sent of it."""
        found = cls(planned=planned, change=change or planned)
        found.left = found.size
        return found

    @property
    def size(self) -> int:
        """What there will be answers for."""
        return len(self.change.message.links) if self.change.action is Action.LINKS else 1

    @property
    def is_whole(self) -> bool:
        """Whether all that was planned of an object is sent."""
        return self.change is self.planned

    def part_of(self, message: SyncObject) -> PlannedChange:
        """The change itself, or the part of its links that one request carries."""
        if message is self.change.message or KEY_MEMBER in message.properties:
            return self.change
        if self.change.action is not Action.LINKS:
            return self.change
        return replace(self.change, message=message)

    def go_again(self) -> None:
        """Begins anew with what was refused for the moment."""
        if self.again:
            message = replace(self.change.message, links=tuple(self.again))
            self.change = replace(self.change, message=message)
            self.again = []
        self.goes_again = False
        self.left = self.size


def flights_of(
    store: Store, memberships: Memberships, let_go: LettingGo, changes: Iterable[PlannedChange]
) -> Iterator[Flight]:
    """What of planned changes can be sent when some objects are not there.

    One member that was refused must not hold up its group: the service refuses all links of a
    request that names what does not exist. Nor is anything said of an object that is not there.
    """
    for together in _pages(changes):
        held = _Held(store, together)
        for planned in together:
            change = None if let_go.rests(planned) else planned
            if change is not None and change.action not in _BY_THEMSELVES:
                change = _without_absent(store, held, change)
            if change is not None:
                change = memberships.sendable(change)
            if change is not None:
                yield Flight.of(planned, change)


def _pages(changes: Iterable[PlannedChange]) -> Iterator[list[PlannedChange]]:
    """Some changes at a time; a group with many links soon fills a page."""
    page: list[PlannedChange] = []
    size = 0
    for change in changes:
        page.append(change)
        size += 1 + len(change.message.links)
        if size >= _PAGE:
            yield page
            page, size = [], 0
    if page:
        yield page


class _Held:
    """Whether the tenant holds what some changes are about, and what these name.

    Looked up before the first of them is sent, which is as good as just before each: who names
    others and who is created or deleted are never sent in the same step.
    """

    def __init__(self, store: Store, changes: Iterable[PlannedChange]) -> None:
        numbers: set[int] = set()
        names: set[str] = set()
        for change in changes:
            if change.action not in _BY_THEMSELVES:
                numbers.add(change.number)
                if change.phase is Phase.REFERENCES:
                    for value in change.message.properties.values():
                        if isinstance(value, str):
                            names.add(value)
                        elif isinstance(value, tuple):
                            names.update(each for each in value if isinstance(each, str))
        known = store.database.known_anchors(names)
        self._numbers = store.cloud.held({*numbers, *known.values()})
        self._names = {name for name, number in known.items() if number in self._numbers}

    def object(self, number: int) -> bool:
        """Whether an object is there, by the number of its anchor."""
        return number in self._numbers

    def name(self, anchor: str) -> bool:
        """Whether an object is there, by its anchor."""
        return anchor in self._names


def _without_absent(store: Store, held: _Held, change: PlannedChange) -> PlannedChange | None:
    """The change without references to what the tenant does not hold, `None` if none is left."""
    if not held.object(change.number):
        return None
    if change.phase is not Phase.REFERENCES:
        return change
    properties = change.message.properties
    left = {key: _present(held, value) for key, value in properties.items()}
    if left == properties:
        return change
    known = store.cloud.properties(change.number) or {}
    left = {
        key: value
        for key, value in left.items()
        if value == properties[key] or (value is not None and value != known.get(key))
    }
    return replace(change, message=replace(change.message, properties=left)) if left else None


def _present(held: _Held, value: PropertyValue) -> PropertyValue:
    """A reference, or list of references, without those to what the tenant does not hold."""
    match value:
        case str():
            return value if held.name(value) else None
        case tuple():
            there = tuple(each for each in value if isinstance(each, str) and held.name(each))
            return there or None
        case _:
            return value
