"""Cutting a list of changes into requests the service takes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from entrasync.entra.contracts import KEY_MEMBER, LinkChange, SyncObject

_REFERENCE_KEYS = frozenset({KEY_MEMBER, "manager"})


def plan_batches(
    objects: Sequence[SyncObject],
    max_objects: int = 100,
    max_links: int = 15_000,
    margin: float = 0.02,
) -> Iterator[list[SyncObject]]:
    """Cut objects into batches, in the order given.

    A batch holds at most `max_objects` objects and at most `max_links` references less `margin`.
    A group with more changes is cut into several; its properties travel with the first. Removals
    of a group come before its additions, never the same member of a group twice in one batch and
    no object twice in one batch. A complete list of members (V1) is never cut: it is a batch of
    its own if it must be.

    Args:
        objects: what to export.
        max_objects: most objects of a batch.
        max_links: most references of a batch, as the tenant's configuration says.
        margin: part of `max_links` to leave unused.

    Raises:
        ValueError: a limit leaves room for nothing.
    """
    room = math.ceil(max_links / (1 + margin))
    if room < 1 or max_objects < 1:
        msg = "a batch needs room for one object and one link"
        raise ValueError(msg)
    batch: list[SyncObject] = []
    anchors: set[str] = set()
    used = 0
    for each in objects:
        for piece in _slices(each, room, room - used):
            cost = _references(piece)
            identity = piece.source_anchor or piece.cloud_anchor or ""
            full = len(batch) >= max_objects or used + cost > room or identity in anchors
            if batch and full:
                yield batch
                batch, anchors, used = [], set(), 0
            batch.append(piece)
            anchors.add(identity)
            used += cost
    if batch:
        yield batch


def _references(each: SyncObject) -> int:
    """Reference values an object counts for."""
    count = len(each.links)
    for key, value in each.properties.items():
        if key.lower() in _REFERENCE_KEYS and value is not None:
            count += len(value) if isinstance(value, tuple) else 1
    return count


def _slices(each: SyncObject, room: int, left: int) -> Iterator[SyncObject]:
    """An object in pieces of at most `room` links, the first of at most `left` where it helps."""
    fixed = _references(replace(each, links=()))
    properties = each.properties
    start = True
    if each.links and fixed >= room:
        # no link fits beside the references among the properties: these go alone
        yield replace(each, links=())
        start, properties, fixed, left = False, {}, 0, 0
    size = room - fixed
    if len(each.links) > size and left > fixed:
        size = left - fixed
    for run in _runs(each.links):
        while run:
            piece, run = run[:size], run[size:]  # noqa: PLW2901 - consumed
            yield replace(each, properties=properties if start else {}, links=piece)
            start, size = False, room
            properties = {}
    if start:
        yield each


def _runs(links: tuple[LinkChange, ...]) -> Iterator[tuple[LinkChange, ...]]:
    """Links without repetition; in one run if no member is both removed and added."""
    removed = tuple({link.anchor: link for link in links if not link.add}.values())
    added = tuple({link.anchor: link for link in links if link.add}.values())
    if {link.anchor for link in removed} & {link.anchor for link in added}:
        yield removed
        yield added
    elif links:
        yield removed + added
