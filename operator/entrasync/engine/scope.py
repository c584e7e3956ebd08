"""Which objects take part, by the containers above them, and what their DNs are now.

Containers are known by objectGUID, so renaming or moving one changes nothing for what is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from entrasync.engine.source import first_rdn


@dataclass(slots=True, frozen=True, kw_only=True)
class Scope:
    """Containers in and out; the nearest one above an object decides.

    Attributes:
        include: objectGUIDs of containers whose subtrees take part.
        exclude: objectGUIDs of containers whose subtrees do not.
    """

    include: frozenset[str]
    exclude: frozenset[str] = frozenset()


class _Place(NamedTuple):
    """Whether a container lies in scope, and its DN of now; empty when nobody knows it."""

    inside: bool
    dn: str


_NOWHERE = _Place(inside=False, dn="")


class Places:
    """Where objects lie, by the numbers of what is above them.

    Containers are looked up once and kept, nothing else is.

    Args:
        look_up: container and DN of a number, `None` when it is not known.
        verdicts: whether a container of the scope is in or out, by its number.
    """

    def __init__(
        self,
        look_up: Callable[[int], tuple[int | None, str] | None],
        verdicts: Mapping[int, bool],
    ) -> None:
        self._look_up = look_up
        self._verdicts = verdicts
        self._places: dict[int, _Place] = {}

    def holds(self, number: int, parent: int | None) -> bool:
        """Whether an object is in scope."""
        own = self._verdicts.get(number)
        return self._place(parent).inside if own is None else own

    def dn_of(self, dn: str, parent: int | None) -> str:
        """A DN as it is now: a renamed container renames all below it, without telling.

        Args:
            dn: as it was last told.
            parent: the container.
        """
        above = self._place(parent).dn
        return f"{first_rdn(dn)},{above}" if above else dn

    def _place(self, number: int | None) -> _Place:
        """The place of a container, found from the top so that no depth is too deep."""
        if number is None:
            return _NOWHERE
        known = self._places.get(number)
        if known is not None:
            return known
        path: list[tuple[int, str | None]] = []
        current: int | None = number
        place = _NOWHERE
        while current is not None:
            known = self._places.get(current)
            if known is not None:
                place = known
                break
            # a circle, which no directory should have, ends here
            self._places[current] = _NOWHERE
            row = self._look_up(current)
            path.append((current, None if row is None else row[1]))
            current = None if row is None else row[0]
        for each, dn in reversed(path):
            place = self._places[each] = self._within(each, dn, place)
        return place

    def _within(self, number: int, dn: str | None, above: _Place) -> _Place:
        inside = self._verdicts.get(number, above.inside)
        if dn is None:
            return _Place(inside=inside, dn="")
        return _Place(inside=inside, dn=f"{first_rdn(dn)},{above.dn}" if above.dn else dn)
