"""How long a change of the directory takes to be confirmed by the service.

From `whenChanged` on the domain controller that was read to the service's answer, recorded. That
attribute has a resolution of one second, and each controller keeps its own, so that what
replication among them takes is not in it; the two clocks need not agree to the second either.

Only objects whose change a delta read saw are measured: the first fill and full reads would tell
how old a directory is. At most some are, of many evenly chosen, and what waits is kept with the
cookie: a run that is killed or braked, or a change that is refused at first, counts with all the
time it took.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

import structlog

from entrasync.api.result import ChangeLatency
from entrasync.engine.importing import META_FULL_READ, key_of
from entrasync.errors import EntrasyncError
from entrasync.state.store import Store
from entrasync.state.unsent import has_unsent

META_WAITING: Final = "latency-waiting"
"""JSON: objectGUID -> Unix time of its change, of what a delta told and is not confirmed yet."""
META_READ: Final = "latency-read"
"""When a delta of a source was last read for a run that exports, in ISO 8601."""
SKEW: Final = dt.timedelta(minutes=10)
"""By how much the clock of a domain controller may be behind ours."""
MOST: Final = 1000
"""Objects of one read that are measured, and that wait at a time."""
LONGEST: Final = dt.timedelta(days=7)
"""After that long nobody asks any more how quick it was."""

log = structlog.get_logger()


class ChangeTimes(Protocol):
    """What measuring needs of a directory session."""

    def change_times(self, guids: Iterable[str]) -> Mapping[str, dt.datetime]:
        """When objects changed last; who is not found is absent."""
        ...


def note_changes(
    directory: ChangeTimes, store: Store, source: str, now: dt.datetime, guids: Sequence[str]
) -> dict[str, str]:
    """Looks up when what a delta tells was changed; gives what is to be kept with its cookie.

    What was changed before the last read only came into sight since, and is not measured.

    Args:
        directory: that was read.
        store: the state.
        source: its name.
        now: the time.
        guids: who was told as changed.
    """
    oldest = (now - LONGEST).timestamp()
    waiting = {guid: time for guid, time in _waiting(store).items() if time > oldest}
    since = max(oldest, _read_before(store, source) - SKEW.total_seconds())
    for guid, time in _times(directory, guids).items():
        if time.timestamp() >= since:
            waiting.setdefault(guid, int(time.timestamp()))
    latest = sorted(waiting.items(), key=lambda each: each[1])[-MOST:]
    return {META_WAITING: json.dumps(dict(latest)), key_of(META_READ, source): now.isoformat()}


def _times(directory: ChangeTimes, guids: Sequence[str]) -> Mapping[str, dt.datetime]:
    """When some of many objects changed; nothing where that cannot be read."""
    if not guids:
        return {}
    try:
        return directory.change_times(guids[:: -(-len(guids) // MOST)])
    except EntrasyncError as error:
        # how quick a run is, is worth knowing, but never worth a run
        log.warning("change_times_unreadable", reason=error.reason, message=error.message)
        return {}


def _read_before(store: Store, source: str) -> float:
    """When a source was last read, as far as that is known."""
    times = filter(None, (store.get(key_of(fact, source)) for fact in (META_READ, META_FULL_READ)))
    return max((dt.datetime.fromisoformat(time).timestamp() for time in times), default=0.0)


class ExportLatency:
    """Measures one export.

    Args:
        store: the state.
        now: clock.
    """

    def __init__(self, store: Store, now: Callable[[], dt.datetime]) -> None:
        self._store = store
        self._now = now
        self._waiting = _waiting(store)
        self._confirmed: dict[str, float] = {}

    def confirmed(self, guid: str | None) -> None:
        """A change of an object was taken, and that is recorded; its last one counts."""
        if guid in self._waiting and guid is not None:
            self._confirmed[guid] = self._now().timestamp()

    def finish(self) -> ChangeLatency | None:
        """Sums up, and keeps waiting for what is still to be sent; `None` for nothing measured."""
        if not self._waiting:
            return None
        rest = {
            guid: time
            for guid, time in self._waiting.items()
            if guid not in self._confirmed and has_unsent(self._store.database, guid)
        }
        self._store.put(META_WAITING, json.dumps(rest) if rest else None)
        took = [time - self._waiting[guid] for guid, time in self._confirmed.items()]
        return ChangeLatency.of(took) if took else None


def _waiting(store: Store) -> dict[str, int]:
    kept = store.get(META_WAITING)
    found: dict[str, int] = {} if kept is None else json.loads(kept)
    return found
