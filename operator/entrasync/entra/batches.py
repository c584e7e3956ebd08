"""Cutting a list of changes into requests the service takes, as large as it takes them well."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from entrasync.entra.contracts import KEY_MEMBER, LinkChange, SyncObject

START_OBJECTS: Final = 100
"""Objects of the first request. How many the service takes is unknown; Entra Connect sends some."""
MOST_OBJECTS: Final = 500
"""Most objects of a request, however quick the service is."""
QUICK_SECONDS: Final = 5.0
"""A full request that took no longer may be followed by a larger one."""
SLOW_SECONDS: Final = 30.0
"""A request that took longer is followed by smaller ones; well below the client's time-out."""
LOST_SECONDS: Final = 60.0
"""Without an answer after so long, tries of the client included, a request was too much."""
MARGIN: Final = 0.02
"""Part of the tenant's link limit that is left unused: what exactly it counts is inferred."""

REFERENCE_KEYS: Final = frozenset(
    {
        KEY_MEMBER,
        "altRecipient",
        "authOrig",
        "dLMemRejectPerms",
        "dLMemSubmitPerms",
        "managedBy",
        "manager",
        "msExchBypassModerationLink",
        "msExchCoManagedByLink",
        "msExchDelegateListLink",
        "msExchModeratedByLink",
        "msExchTeamMailboxOwners",
        "msExchTeamMailboxSharePointLinkedBy",
        "publicDelegates",
        "unauthOrig",
    }
)
"""Properties whose values name other objects, in the spelling in which they are sent."""


class BatchSize:
    """How many objects a request should have: learnt from how the last ones went.

    Full requests that are answered quickly make it grow by half; one that is slow, does not come
    back, or is refused for its size, halves it. What was refused for its size is never tried again
    with this instance.

    Args:
        monotonic: clock in seconds.
        start: objects to begin with, for example what an earlier run had learnt.
        most: objects it never exceeds.
    """

    def __init__(
        self,
        monotonic: Callable[[], float],
        *,
        start: int = START_OBJECTS,
        most: int = MOST_OBJECTS,
    ) -> None:
        self._monotonic = monotonic
        self._most = max(1, most)
        self._objects = min(max(1, start), self._most)

    @property
    def objects(self) -> int:
        """Objects that the next request may have; at least one."""
        return self._objects

    @property
    def now(self) -> float:
        """Reading of the clock, for `took`."""
        return self._monotonic()

    def took(self, sent: int, since: float) -> None:
        """Learns from a call with so many objects that was answered, begun at `since`."""
        seconds = self._monotonic() - since
        if seconds > SLOW_SECONDS:
            self._shrink(sent)
        elif seconds <= QUICK_SECONDS and sent >= self._objects:
            self._objects = min(self._objects + max(1, self._objects // 2), self._most)

    def lost(self, sent: int, since: float) -> None:
        """Learns from a call, begun at `since`, that had no answer.

        One that failed at once did not fail for its size.
        """
        if self._monotonic() - since > LOST_SECONDS:
            self._shrink(sent)

    def too_large(self, sent: int) -> None:
        """Learns that so many objects were refused, while all of them were taken in parts."""
        self._most = max(1, min(self._most, sent - 1))
        self._objects = min(self._objects, max(1, sent // 2))

    def _shrink(self, sent: int) -> None:
        self._objects = max(1, min(self._objects, sent) // 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """What one request may hold.

    Attributes:
        objects: most objects.
        links: most reference values, a margin already taken off.
    """

    objects: int
    links: int


def links_within(limit: int, margin: float = MARGIN) -> int:
    """Links to send at most, when the tenant's configuration allows `limit`; 14,706 of 15,000."""
    return math.ceil(limit / (1 + margin))


def plan_batches(
    objects: Sequence[SyncObject],
    max_objects: int = START_OBJECTS,
    max_links: int = 15_000,
    margin: float = MARGIN,
) -> Iterator[list[SyncObject]]:
    """Cuts objects into batches as `adaptive_batches` does, with limits that stay the same.

    Args:
        objects: what to export.
        max_objects: most objects of a batch.
        max_links: most references of a batch, as the tenant's configuration says.
        margin: part of `max_links` to leave unused.

    Raises:
        ValueError: a limit leaves room for nothing.
    """
    limits = BatchLimits(objects=max_objects, links=links_within(max_links, margin))
    return adaptive_batches(objects, lambda: limits)


def adaptive_batches(
    objects: Iterable[SyncObject], limits: Callable[[], BatchLimits]
) -> Iterator[list[SyncObject]]:
    """Cuts objects into batches, in the order given.

    A group with more changes than a batch takes is cut into several; its properties travel with the
    first. Removals of a group come before its additions, never the same member of a group twice in
    one batch and no object twice in one batch. A complete list of members (V1) is never cut: it is
    a batch of its own if it must be.

    Args:
        objects: what to export, gone through once.
        limits: asked anew for each batch, so that it may learn from the one before.

    Raises:
        ValueError: a limit leaves room for nothing.
    """
    batch = _Batch(limits=_checked(limits()))
    for each in objects:
        if not each.links:  # as most: nothing of it can be cut
            if not batch.may_hold(each) or (batch.objects and references(each) > batch.left):
                yield batch.objects
                batch = _Batch(limits=_checked(limits()))
            batch.add(each)
            continue
        cutter = _Cutter(each)
        while not cutter.done:
            if not batch.may_hold(each):
                yield batch.objects
                batch = _Batch(limits=_checked(limits()))
            piece = cutter.cut(batch.limits.links, batch.left)
            if batch.objects and references(piece) > batch.left:
                # cut anew: the next batch has room of its own
                yield batch.objects
                batch = _Batch(limits=_checked(limits()))
                continue
            cutter.take(piece)
            batch.add(piece)
    if batch.objects:
        yield batch.objects


def references(each: SyncObject) -> int:
    """Reference values an object counts for: members, manager and the like."""
    count = len(each.links)
    if REFERENCE_KEYS.isdisjoint(each.properties):
        return count  # most have none, and every object is counted several times
    for key in REFERENCE_KEYS.intersection(each.properties):
        value = each.properties[key]
        if value is not None:
            count += len(value) if isinstance(value, tuple) else 1
    return count


def _checked(limits: BatchLimits) -> BatchLimits:
    if limits.links < 1 or limits.objects < 1:
        msg = "a batch needs room for one object and one link"
        raise ValueError(msg)
    return limits


def _identity(each: SyncObject) -> str:
    return each.source_anchor or each.cloud_anchor or ""


@dataclass(slots=True, kw_only=True)
class _Batch:
    """A batch being filled."""

    limits: BatchLimits
    objects: list[SyncObject] = field(default_factory=list)
    identities: set[str] = field(default_factory=set)
    used: int = 0

    @property
    def left(self) -> int:
        return self.limits.links - self.used

    def may_hold(self, each: SyncObject) -> bool:
        return len(self.objects) < self.limits.objects and _identity(each) not in self.identities

    def add(self, piece: SyncObject) -> None:
        self.objects.append(piece)
        self.identities.add(_identity(piece))
        self.used += references(piece)


class _Cutter:
    """One object, cut piece by piece."""

    def __init__(self, each: SyncObject) -> None:
        self._each = each
        self._fixed = references(replace(each, links=()))
        self._runs = _runs(each.links)
        self._started = False

    @property
    def done(self) -> bool:
        return self._started and not self._runs

    def cut(self, room: int, left: int) -> SyncObject:
        """The next piece, for a batch that takes `room` links and has place for `left`.

        It fits `room` unless it cannot be cut, and `left` only where the rest would not fit a batch
        of its own anyway.
        """
        fixed, properties = (0, {}) if self._started else (self._fixed, dict(self._each.properties))
        if not self._runs or (fixed and fixed >= room):
            # no link fits beside the references among the properties: these go alone
            return replace(self._each, properties=properties, links=())
        size = room - fixed
        if sum(map(len, self._runs)) > size and left > fixed:
            size = left - fixed
        return replace(self._each, properties=properties, links=self._runs[0][:size])

    def take(self, piece: SyncObject) -> None:
        """Goes on behind a piece that found its batch."""
        self._started = True
        if self._runs and piece.links:
            rest = self._runs[0][len(piece.links) :]
            self._runs = [rest, *self._runs[1:]] if rest else self._runs[1:]


def _runs(links: tuple[LinkChange, ...]) -> list[tuple[LinkChange, ...]]:
    """Links without repetition; in one run if no member is both removed and added."""
    removed = tuple({link.anchor: link for link in links if not link.add}.values())
    added = tuple({link.anchor: link for link in links if link.add}.values())
    if {link.anchor for link in removed} & {link.anchor for link in added}:
        return [removed, added]
    return [removed + added] if links else []
