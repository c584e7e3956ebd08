"""Distinguished names of what a plan changes, as they are now: personal data."""

from __future__ import annotations

from collections.abc import Callable

from entrasync.engine.changes import PlannedChange
from entrasync.engine.scope import Places
from entrasync.state.rows import guid_bytes
from entrasync.state.store import Store


def names_of(store: Store) -> Callable[[PlannedChange], str | None]:
    """Tells the DN of the object a change is about; `None` where there is none any more."""
    parts = store.evaluation.parts
    places = Places(parts.place, {})

    def name_of(change: PlannedChange) -> str | None:
        number = parts.number_of(guid_bytes(change.guid)) if change.guid else None
        found = None if number is None else parts.place(number)
        return None if found is None else places.dn_of(found[1], found[0])

    return name_of
