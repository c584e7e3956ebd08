"""Cutting a list of changes into requests the service takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from entrasync.entra.contracts import LinkChange, SyncObject

DEFAULT_MAX_OBJECTS: Final = 100
"""Objects a request; the service's own limit is unknown."""
DEFAULT_MAX_LINKS: Final = 15_000
"""Links a request, where the tenant does not say."""
MARGIN: Final = 0.02
"""How much of the link limit stays unused: 250,000 members make 17 requests all the same."""


def plan_batches(
    objects: Sequence[SyncObject],
    *,
    max_objects: int = DEFAULT_MAX_OBJECTS,
    max_links: int = DEFAULT_MAX_LINKS,
    margin: float = MARGIN,
) -> Iterator[list[SyncObject]]:
    """Requests in the order given; groups with many changes of members come in slices.

    Members are removed before others are added, and never both for one member in one request.

    Args:
        objects: what to send.
        max_objects: most objects a request.
        max_links: most links a request, of all its objects together.
        margin: share of `max_links` left unused.
    """
    limit = max(1, int(max_links * (1 - margin)))
    batch: list[SyncObject] = []
    links = 0
    for part in _parts(objects, limit):
        together = links + len(part.links)
        if batch and (len(batch) >= max_objects or together > limit or _clashes(batch, part)):
            yield batch
            batch, links = [], 0
        batch.append(part)
        links += len(part.links)
    if batch:
        yield batch


def _parts(objects: Sequence[SyncObject], limit: int) -> Iterator[SyncObject]:
    for whole in objects:
        slices = list(_slices(whole.links, limit))
        if len(slices) <= 1:
            yield whole
            continue
        for index, links in enumerate(slices):
            yield replace(whole, links=links, properties=whole.properties if index == 0 else {})


def _slices(links: tuple[LinkChange, ...], limit: int) -> Iterator[tuple[LinkChange, ...]]:
    """Slices of at most `limit` links; a member that is removed and added comes in two slices."""
    removed = [link for link in links if not link.add]
    added = [link for link in links if link.add]
    if {link.anchor for link in removed} & {link.anchor for link in added}:
        groups = [removed, added]
    else:
        groups = [removed + added]
    for group in groups:
        for start in range(0, len(group), limit):
            yield tuple(group[start : start + limit])


def _clashes(batch: Sequence[SyncObject], part: SyncObject) -> bool:
    """Whether a request holds the same object already: its changes must come one after another."""
    return any(other.source_anchor == part.source_anchor for other in batch)
