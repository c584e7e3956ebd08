"""Who must let go of a unique value before another object can take it.

The service refuses a value that another object still holds, or quarantines it: a user who takes
over the address of a colleague renamed in the same run would get a placeholder. So whoever gives up
a value that another change takes is written first, in requests of its own; nothing else is moved.
Where objects swap values, one of each circle lets go for a moment: its addresses are narrowed, its
mail is cleared, or it gets a temporary user principal name. Nobody can sign in by such a name, so
that its own change follows as soon as what it waits for was sent, ahead of everything else as well.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from entrasync.entra.contracts import PropertyValue

UPN: Final = "userPrincipalName"
MAIL: Final = "mail"
ADDRESSES: Final = "proxyAddresses"
UNIQUE_KEYS: Final = frozenset({UPN, MAIL, ADDRESSES})
"""Properties whose values one object of a tenant may have at a time."""
LAST_STEP: Final = 15
"""A longer chain lets go for a moment in between: each step is a request at least, and thousands of
accounts may be renumbered at once."""
MOST_ROUNDS: Final = 50
"""Circles left after so many searches are one great tangle, in which all let go for a moment."""
TEMPORARY_NAMES: Final = uuid.UUID("7b0a9a3c-6a55-4f0e-9b8e-2f5f0f6f9d11")
"""Namespace of the names that objects have while they swap."""

Properties = Mapping[str, PropertyValue]
Value = tuple[str, str]
"""Property, and what of its value must be unique."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Move:
    """A planned change as far as unique values go.

    Attributes:
        anchor: SourceAnchor of the object.
        phase: when it is sent by itself; a later phase travels in later requests.
        before: properties the cloud holds; empty for an object to be created.
        after: properties it will hold.
    """

    anchor: str
    phase: int
    before: Properties
    after: Properties


@dataclass(slots=True, frozen=True, kw_only=True)
class ReleaseOrder:
    """What is sent ahead of everything else that creates or updates.

    Attributes:
        steps: changes to send ahead, by anchor; those of a higher step in later requests.
        temporary: what to write at step 0 on objects that let go for a moment, by anchor.
    """

    steps: Mapping[str, int] = field(default_factory=dict)
    temporary: Mapping[str, Properties] = field(default_factory=dict)


def order_releases(moves: Iterable[Move]) -> ReleaseOrder:
    """Finds few changes to send ahead so that no value is taken while it is held.

    Args:
        moves: at most one of an object.
    """
    moving = {move.anchor: move for move in moves}
    if not any(move.before for move in moving.values()):
        return ReleaseOrder()  # a first fill: there is nobody to wait for
    exchange = _Exchange(moving.values())
    takers = {
        anchor: waiting for anchor in exchange.given if (waiting := exchange.takers_from(anchor))
    }
    yielding: set[str] = set()
    while True:
        steps, more = _Graph(moving, takers, yielding).steps()
        if not more:
            break
        yielding |= more
    return ReleaseOrder(
        steps=steps,
        temporary={
            anchor: _let_go(moving[anchor], exchange.wanted_from(anchor))
            for anchor in sorted(yielding)
        },
    )


def unique_values(properties: Properties) -> frozenset[Value]:
    """The unique values of an object; addresses without regard to which is the primary one."""
    found: set[Value] = set()
    upn, mail, addresses = (properties.get(key) for key in (UPN, MAIL, ADDRESSES))
    if isinstance(upn, str) and upn:
        # who has a mailbox has its user principal name as an address too
        found |= {(UPN, f"upn:{upn.lower()}"), (UPN, f"smtp:{upn.lower()}")}
    if isinstance(mail, str) and mail:
        # another object's address of the same name is as much in the way as its mail
        found.add((MAIL, f"smtp:{mail.lower()}"))
    if isinstance(addresses, tuple):
        found.update((ADDRESSES, each.lower()) for each in addresses if isinstance(each, str))
    return frozenset(found)


class _Exchange:
    """Who gives up what, and who takes it.

    Args:
        moves: all changes.
    """

    def __init__(self, moves: Iterable[Move]) -> None:
        self.given: dict[str, frozenset[Value]] = {}
        """What an object gives up, by its anchor."""
        self._takers: defaultdict[str, set[str]] = defaultdict(set)
        for move in moves:
            before, after = unique_values(move.before), unique_values(move.after)
            if before - after:
                self.given[move.anchor] = before - after
            for _, name in after - before:
                self._takers[name].add(move.anchor)

    def takers_from(self, anchor: str) -> set[str]:
        """Anchors of the others that take what an object gives up."""
        found: set[str] = set()
        for _, name in self.given[anchor]:
            found |= self._takers.get(name, set())
        return found - {anchor}

    def wanted_from(self, anchor: str) -> set[Value]:
        """What others take of what an object gives up."""
        return {
            value for value in self.given[anchor] if self._takers.get(value[1], set()) - {anchor}
        }


class _Graph:
    """Changes that must come one after another.

    Args:
        moving: all changes by anchor.
        takers: who waits for whom: anchors by the anchor waited for.
        yielding: anchors of those that let go at step 0, so that nobody waits for their change;
            it is sent ahead as well, for them not to wait longer than need be.
    """

    def __init__(
        self, moving: Mapping[str, Move], takers: Mapping[str, set[str]], yielding: set[str]
    ) -> None:
        self._takers = {
            giver: sorted(takers[giver]) for giver in sorted(takers) if giver not in yielding
        }
        self._givers: defaultdict[str, list[str]] = defaultdict(list)
        for giver, waiting in self._takers.items():
            for taker in waiting:
                self._givers[taker].append(giver)
        self._yielding = yielding
        self._after_yielding = yielding.union(*(takers[giver] for giver in yielding))
        self._waiting = {anchor: len(self._givers[anchor]) for anchor in self._ahead(moving)}
        self._steps: dict[str, int] = {}
        self._freed: set[str] = set()
        self._more: set[str] = set()

    def steps(self) -> tuple[Mapping[str, int], set[str]]:
        """Steps of what is sent ahead, and who else must let go before that is an order."""
        self._follow([anchor for anchor, count in self._waiting.items() if not count])
        rounds = 0
        while stuck := self._waiting.keys() - self._steps.keys():
            rounds += 1
            chosen = self._one_of_each_circle(stuck) if rounds < MOST_ROUNDS else set(stuck)
            self._more |= chosen - self._yielding
            self._follow(self._free(chosen))
        return self._steps, self._more

    def _follow(self, ready: list[str]) -> None:
        """Gives steps to those who wait for nobody, and to all who waited for them only."""
        while ready:
            anchor = ready.pop()
            self._steps[anchor] = self._step_of(anchor)
            ready += self._free({anchor})

    def _step_of(self, anchor: str) -> int:
        givers = [each for each in self._givers[anchor] if each not in self._more]
        late = {each for each in givers if self._steps[each] == LAST_STEP}
        self._more |= late
        after = [self._steps[each] for each in givers if each not in late]
        if len(after) < len(self._givers[anchor]) or anchor in self._after_yielding:
            after.append(0)
        return 1 + max(after, default=-1)

    def _free(self, anchors: set[str]) -> list[str]:
        """Nobody waits for these any longer; gives those who wait for nobody now."""
        ready: list[str] = []
        for anchor in sorted(anchors - self._freed):
            self._freed.add(anchor)
            for taker in self._takers.get(anchor, ()):
                if taker in self._waiting:
                    self._waiting[taker] -= 1
                    if not self._waiting[taker]:
                        ready.append(taker)
        return ready

    def _one_of_each_circle(self, stuck: Iterable[str]) -> set[str]:
        """Anchors without which the circles found are none; further ones may be left."""
        chosen: set[str] = set()
        seen: set[str] = set()
        for start in sorted(stuck):
            path: list[str] = []
            anchor = start
            while anchor not in seen:
                seen.add(anchor)
                path.append(anchor)
                anchor = next(each for each in self._givers[anchor] if each not in self._freed)
            if anchor in path:
                chosen.add(min(path[path.index(anchor) :]))
        return chosen

    def _ahead(self, moving: Mapping[str, Move]) -> list[str]:
        """Those whose own phase is too late, and those they wait for themselves."""
        late = [
            giver
            for giver, takers in self._takers.items()
            if any(moving[taker].phase <= moving[giver].phase for taker in takers)
        ]
        late += self._yielding
        moved = set(late)
        while late:
            for giver in self._givers[late.pop()]:
                if giver not in moved:
                    moved.add(giver)
                    late.append(giver)
        return sorted(moved)


def _let_go(move: Move, wanted: set[Value]) -> dict[str, PropertyValue]:
    """What an object holds for a moment: all it has, without what others take."""
    found: dict[str, PropertyValue] = {}
    keys = {key for key, _ in wanted}
    if UPN in keys:
        found[UPN] = _temporary_name(move.anchor, str(move.before[UPN]))
    if MAIL in keys:
        found[MAIL] = None
    if ADDRESSES in keys:
        names = {name for key, name in wanted if key == ADDRESSES}
        found[ADDRESSES] = _narrowed(move.before[ADDRESSES], names)
    return found


def _narrowed(addresses: PropertyValue, names: set[str]) -> PropertyValue:
    values = addresses if isinstance(addresses, tuple) else ()
    kept = tuple(each for each in values if isinstance(each, str) and each.lower() not in names)
    return kept or None


def _temporary_name(anchor: str, name: str) -> str:
    """A user principal name nobody else has, the same whenever it is needed."""
    return f"{uuid.uuid5(TEMPORARY_NAMES, anchor)}@{name.rpartition('@')[2]}"
