"""What the client of the sync service takes from outside."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from entrasync.entra.retrying import DEFAULT_PATIENCE, Patience


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the client takes from outside, so that tests decide it.

    Attributes:
        sleep: waits so many seconds.
        new_id: makes GUIDs.
        random: jitter between 0 and 1.
        clock: aware now, to read `Retry-After` dates and to measure patience.
        patience: how long a call goes on after what passes by itself.
        on_busy: told the operation, each time the sync service says that the tenant is busy, before
            the wait; so that whoever sends may send less from then on.
    """

    sleep: Callable[[float], None]
    new_id: Callable[[], str]
    random: Callable[[], float] = random.random
    clock: Callable[[], dt.datetime] = field(default=lambda: dt.datetime.now(dt.UTC))
    patience: Patience = DEFAULT_PATIENCE
    on_busy: Callable[[str], None] | None = None
