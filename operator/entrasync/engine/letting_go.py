"""Who let go of a value for a moment, and whether that is worth doing again.

It is noted in the state before it is sent, so that a run killed in between leaves nobody with a
name that nobody knows of: the next one finishes the change, or gives the old value back.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from entrasync.engine.changes import Action, Phase, PlannedChange
from entrasync.engine.releases import UNIQUE_KEYS
from entrasync.entra.contracts import SyncObject, SyncObjectType, SyncOperation
from entrasync.state.rows import decode_properties, encode_properties
from entrasync.state.schema import Part
from entrasync.state.store import Store

META_GIVEN_BACK: Final = "given-back"
META_TEMPORARY: Final = "temporary-names"
"""Who is, or may be, without a value of theirs: by SourceAnchor, with what they had."""
RESTS: Final = dt.timedelta(hours=6)
"""How long a swap that was refused is not begun again, unless something about it changed: whoever
lets go cannot sign in meanwhile, and a run may come every half hour."""


class LettingGo:
    """Objects without a value of theirs until their own change is taken.

    Args:
        store: remembers who they are, and whose swaps were refused.
        now: the time.
    """

    def __init__(self, store: Store, now: dt.datetime) -> None:
        self._store = store
        self._now = now
        self._digest = store.checkpoints.phase_digest(Phase.RELEASES)
        self._noted = json.loads(store.get(META_TEMPORARY) or "{}")
        self._changed = False
        self._open: dict[str, PlannedChange] = {}
        self._left = self._left_behind()
        known = json.loads(store.get(META_GIVEN_BACK) or "{}")
        good = known.get("releases") == self._digest and known.get("until", "") > now.isoformat()
        self._resting = frozenset(known["anchors"]) if good else frozenset()

    def __bool__(self) -> bool:
        """Whether this run left anybody without a value of theirs so far."""
        return bool(self._open)

    def rests(self, change: PlannedChange) -> bool:
        """Whether a change would begin a swap that was refused not long ago."""
        return change.temporary and change.message.source_anchor in self._resting

    def promise(self, changes: Iterable[PlannedChange]) -> None:
        """Notes durably who is about to let go, before that is sent."""
        for change in changes:
            anchor = change.message.source_anchor
            if change.temporary and anchor not in self._noted:
                self._noted[anchor] = _noted(change)
                self._changed = True
        self.save()

    def note(self, change: PlannedChange) -> None:
        """Takes notice of a change that the service took."""
        anchor = change.message.source_anchor
        if change.temporary and anchor not in self._open and anchor not in self._left:
            self._open[anchor] = change
        elif change.action is Action.DELETE or not UNIQUE_KEYS.isdisjoint(
            change.message.properties
        ):
            self._forget(anchor)

    def refused(self, change: PlannedChange) -> None:
        """Takes notice that somebody did not let go."""
        anchor = change.message.source_anchor
        if anchor not in self._open and anchor not in self._left:
            self._forget(anchor)

    def save(self) -> None:
        """Remembers who is without a value, in the transaction that is open if there is one."""
        if self._changed:
            self._store.put(META_TEMPORARY, json.dumps(self._noted) if self._noted else None)
            self._changed = False

    def left_behind(self, *, planned: bool) -> list[PlannedChange]:
        """What restores those whom an earlier run left without their value.

        Args:
            planned: also those whose own change is planned, which mends it as well.
        """
        return [
            _backwards(change)
            for change in self._left.values()
            if planned or not self._store.checkpoints.is_planned(change.number, Part.OBJECT)
        ]

    def give_back(self) -> list[PlannedChange]:
        """What restores those whose own change was refused; remembered before it is sent."""
        if self._open:
            kept = {
                "releases": self._digest,
                "anchors": sorted(self._open),
                "until": (self._now + RESTS).isoformat(),
            }
            self._store.put(META_GIVEN_BACK, json.dumps(kept))
        return [_backwards(change) for change in self._open.values()]

    def close(self) -> list[PlannedChange]:
        """What could not be restored; the next run tries again."""
        left = list(self._open.values())
        self._open.clear()
        return left

    def _forget(self, anchor: str) -> None:
        self._open.pop(anchor, None)
        self._left.pop(anchor, None)
        self._changed |= self._noted.pop(anchor, None) is not None

    def _left_behind(self) -> dict[str, PlannedChange]:
        """Whom an earlier run left without their value; who has another one by now is none."""
        found: dict[str, PlannedChange] = {}
        for anchor, noted in list(self._noted.items()):
            number = self._store.database.anchor_number(anchor)
            change = _told(anchor, number, noted)
            holds = self._store.cloud.properties(number)
            temporary = change.message.properties
            if holds is not None and all(
                holds.get(key) == value for key, value in temporary.items()
            ):
                found[anchor] = change
            else:
                self._noted.pop(anchor)
                self._changed = True
        return found


def _backwards(change: PlannedChange) -> PlannedChange:
    return replace(change, message=replace(change.message, properties=change.previous))


def _noted(change: PlannedChange) -> dict[str, str | None]:
    return {
        "type": str(change.message.object_type),
        "guid": change.guid,
        "temporary": encode_properties(change.message.properties),
        "previous": encode_properties(change.previous),
    }


def _told(anchor: str, number: int, noted: Mapping[str, str]) -> PlannedChange:
    """The change that made somebody let go, as it was noted."""
    return PlannedChange(
        phase=Phase.RELEASES,
        action=Action.UPDATE,
        message=SyncObject(
            object_type=SyncObjectType(noted["type"]),
            operation=SyncOperation.SET,
            source_anchor=anchor,
            properties=decode_properties(noted["temporary"]),
        ),
        guid=noted["guid"],
        previous=decode_properties(noted["previous"]),
        temporary=True,
        number=number,
    )
