"""What an export call did whose results were lost, as far as the brakes and approvals go."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace

from entrasync.engine.approvals import Approvals
from entrasync.engine.changes import Action, PlannedChange
from entrasync.engine.plan import change_of
from entrasync.state.store import Store


def settle_interrupted(store: Store, now: dt.datetime) -> int:
    """Counts what an interrupted call did against the window, and strikes off its approvals.

    Once the tenant was read back, and before it is forgotten which call that was; in one
    transaction with both. Without it a run killed again and again would remove more than the brakes
    know of.

    Returns:
        How many changes, or groups with members removed, the call seems to have done.
    """
    done = list(_done(store))
    if done:
        approvals = Approvals(store, now)
        approvals.begin(())
        store.checkpoints.spend(now, approvals.settle(done))
    return len(done)


def _done(store: Store) -> Iterator[PlannedChange]:
    """What was planned of the objects of the call, as far as the tenant is like it by now."""
    for row in store.checkpoints.interrupted():
        change = change_of(row)
        if change.held is not None or change.temporary:
            continue
        if change.action is Action.DELETE:
            if not store.cloud.holds(change.number):
                yield change
        elif change.action is Action.LINKS:
            part = _removed(store, change)
            if part.message.links:
                yield part
        elif change.message.properties and _is_so(store, change):
            yield change


def _removed(store: Store, change: PlannedChange) -> PlannedChange:
    """Of links, those that were to be removed and are gone: only these count."""
    removed = [link for link in change.message.links if not link.add]
    members = store.cloud.members(change.number) if removed else set()
    numbers = store.database.anchor_numbers(link.anchor for link in removed)
    gone = tuple(link for link in removed if numbers[link.anchor] not in members)
    return replace(change, message=replace(change.message, links=gone))


def _is_so(store: Store, change: PlannedChange) -> bool:
    known = store.cloud.properties(change.number)
    return known is not None and all(
        known.get(key) == value for key, value in change.message.properties.items()
    )
