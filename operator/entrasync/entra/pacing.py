"""Pacing: a tenant takes so many writes in five minutes, and not all of them are ours.

Documented: 7,000 writes in 5 minutes, for all writers together, which cannot be raised. Not
documented: whether a change of a membership is a write of its own. It counts nothing until the
service says, by being busy, that it does.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from entrasync.entra.batches import BatchLimits

TENANT_WRITES: Final = 7_000
"""Writes a tenant takes in `WINDOW_SECONDS`; documented."""
WINDOW_SECONDS: Final = 300
DEFAULT_PERCENT: Final = 80
"""Share of the tenant's writes to use: the rest is left to administrators and other programs."""
LINK_WEIGHTS: Final = (0, 10, 25, 50, 100)
"""Hundredths of a write that a link counts for, step by step; a guess that the service corrects."""
WEIGHT_KEPT_SECONDS: Final = 86_400
"""After so long the weight falls a step: it may have been another writer's fault."""

_SLICE_SECONDS: Final = 1.0
_LEAST_SECONDS: Final = 0.05
"""Less is within the rounding of a clock that counts from 1970."""
_SMALLEST_PART: Final = 100
_VERSION: Final = 1


def share_of(percent: int) -> int:
    """Writes in five minutes that a percentage of the tenant's quota allows; at least one."""
    return max(1, TENANT_WRITES * percent // 100)


@dataclass(slots=True)
class _Spend:
    """Writes of one second.

    Attributes:
        time: whole seconds since 1970, the second after the call ended.
        writes: what was counted.
        links: reference values sent.
    """

    time: int
    writes: int
    links: int


class Pacer:
    """Keeps the writes of all runs of one sync within a share of the tenant's quota.

    What is spent comes back five minutes after its call ended: so no five minutes, wherever they
    begin, hold more than the share, and whatever is within it is never slowed down.

    Args:
        quota: writes allowed in any five minutes, see `share_of`.
        started: the time, aware, to compare with what earlier runs wrote.
        monotonic: clock in seconds; within a run only it counts, whatever happens to the time.
        sleep: waits so many seconds.
        memory: what `memory` gave in an earlier run; nonsense is taken for nothing.
    """

    def __init__(
        self,
        quota: int,
        *,
        started: dt.datetime,
        monotonic: Callable[[], float],
        sleep: Callable[[float], None],
        memory: str | None = None,
    ) -> None:
        self.quota = max(1, quota)
        self.paced_seconds = 0.0
        """Seconds waited for the quota."""
        self.throttled = 0
        """Times the service said that it is busy."""
        self._monotonic = monotonic
        self._sleep = sleep
        self._offset = started.timestamp() - monotonic()
        self._spent: deque[_Spend] = deque()
        self._open: _Spend | None = None
        """Spent for the call under way; it counts as long as that lasts."""
        self._step = 0
        self._raised = 0
        self._recall(memory)

    # --- what a request costs ----------------------------------------------------------------

    @property
    def link_weight_percent(self) -> int:
        """Hundredths of a write that a link counts for."""
        return LINK_WEIGHTS[self._step]

    def cost(self, objects: int, links: int) -> int:
        """Writes that so many objects with so many links count for."""
        return objects + math.ceil(self.link_weight_percent * links / 100)

    def limits(self, objects: int, links: int) -> BatchLimits:
        """What the next request may hold so that it can be sent at once, see `make_room`.

        Args:
            objects: most objects, as the service takes them well.
            links: most links, as the tenant's configuration says.
        """
        budget = max(1, self.room())
        if not self.link_weight_percent:
            return BatchLimits(objects=min(objects, budget), links=links)
        taken = min(objects, max(1, budget // 2))
        affordable = (budget - taken) * 100 // self.link_weight_percent
        return BatchLimits(objects=taken, links=max(1, min(links, affordable)))

    # --- spending ----------------------------------------------------------------------------

    def room(self) -> int:
        """Writes that may be made now."""
        self._forget()
        return max(0, self.quota - sum(each.writes for each in self._spent))

    def seconds_until(self, writes: int) -> float:
        """Seconds until there is room for so many writes; for more than the quota, all of it."""
        missing = min(writes, self.quota) - self.room()
        if missing <= 0:
            return 0.0
        for each in self._spent:
            missing -= each.writes
            if missing <= 0:
                return each.time + WINDOW_SECONDS - self._now()
        return 0.0

    def make_room(
        self, wanted: int, cancelled: Callable[[], bool], told: Callable[[float], None]
    ) -> bool:
        """Waits until there is room for a request worth sending; false when cancelled before.

        That is all that is wanted, or a hundredth of the quota: less would travel in crumbs, more
        would leave much of it unused.

        Args:
            wanted: writes that are still to be made.
            cancelled: as with `wait`.
            told: as with `wait`.
        """
        return self.wait(min(wanted, max(1, self.quota // _SMALLEST_PART)), cancelled, told)

    def wait(
        self, writes: int, cancelled: Callable[[], bool], told: Callable[[float], None]
    ) -> bool:
        """Waits until there is room for so many writes; false when cancelled before.

        Args:
            writes: what is to be spent.
            cancelled: asked at least every second.
            told: given the seconds that are still to wait, once a second.
        """
        while (seconds := self.seconds_until(writes)) > 0:
            if cancelled():
                return False
            told(seconds)
            before = self._monotonic()
            self._sleep(min(max(seconds, _LEAST_SECONDS), _SLICE_SECONDS))
            self.paced_seconds += max(0.0, self._monotonic() - before)
        return True

    def reserve(self, objects: int, links: int) -> None:
        """Spends for a call that is about to be made, so that `memory` knows of it."""
        self._open = _Spend(self._second(), self.cost(objects, links), links)
        self._spent.append(self._open)

    def settle(self) -> None:
        """Says that the call ended: the service counted at any time until now."""
        spend, self._open = self._spent.pop(), None
        spend.time = self._second()
        if self._spent and self._spent[-1].time == spend.time:
            self._spent[-1].writes += spend.writes
            self._spent[-1].links += spend.links
        else:
            self._spent.append(spend)

    @contextmanager
    def call(self) -> Iterator[None]:
        """Around the call that was reserved for."""
        try:
            yield
        finally:
            self.settle()

    def busy(self, *, writing: bool = True) -> None:
        """Says that the service was busy although the quota had room.

        Links that were sent within the last five minutes seem to count then, more than was thought;
        the weight rises one step, once in five minutes.

        Args:
            writing: whether it was asked to write; else it only counts as throttled.
        """
        self.throttled += 1
        if not writing:
            return
        self._forget()
        calm = self._now() - self._raised >= WINDOW_SECONDS
        if calm and any(each.links for each in self._spent) and self._step + 1 < len(LINK_WEIGHTS):
            self._step += 1
            self._raised = self._second()

    # --- looking ahead -----------------------------------------------------------------------

    def forecast(self, writes: int, links: int) -> float:
        """Seconds until so many writes with so many links can have been made, as the quota goes.

        The time that the service itself takes comes on top.
        """
        room = self.room()
        missing = self.cost(writes, links) - room
        if missing <= 0:
            return 0.0
        # what comes back in the next five minutes comes back in the same rhythm after them
        windows, missing = divmod(missing - 1, self.quota)
        missing += 1
        for each in self._spent:
            missing -= each.writes
            if missing <= 0:
                return windows * WINDOW_SECONDS + max(0.0, each.time + WINDOW_SECONDS - self._now())
        return float((windows + 1) * WINDOW_SECONDS)

    # --- memory ------------------------------------------------------------------------------

    def memory(self) -> str:
        """What a later run needs, as JSON."""
        self._forget()
        return json.dumps(
            {
                "v": _VERSION,
                "spent": [[each.time, each.writes, each.links] for each in self._spent],
                "linkWeight": self.link_weight_percent,
                "raised": self._raised,
            },
            separators=(",", ":"),
        )

    def _recall(self, memory: str | None) -> None:
        try:
            known = json.loads(memory or "{}")
            spent = sorted((int(t), int(w), int(n)) for t, w, n in known.get("spent", ()))
            weight, raised = int(known.get("linkWeight", 0)), int(known.get("raised", 0))
        except (ValueError, TypeError, AttributeError, OverflowError):
            return
        now = self._second()
        # a time to come is one of a clock that was set back since: at worst five minutes are lost
        self._spent.extend(_Spend(min(time, now), writes, links) for time, writes, links in spent)
        self._raised = min(raised, now)
        step = LINK_WEIGHTS.index(weight) if weight in LINK_WEIGHTS else 0
        self._step = max(0, step - (now - self._raised) // WEIGHT_KEPT_SECONDS)
        self._forget()

    def _forget(self) -> None:
        past = self._now() - WINDOW_SECONDS
        while self._spent and self._spent[0].time <= past and self._spent[0] is not self._open:
            self._spent.popleft()

    def _now(self) -> float:
        return self._monotonic() + self._offset

    def _second(self) -> int:
        """The second after now: what is spent then comes back late rather than early."""
        return math.floor(self._now()) + 1
