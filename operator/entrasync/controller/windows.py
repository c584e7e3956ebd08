"""Times in which runs start by themselves, and times in which they do not. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from entrasync.api.schedule import Schedule, WindowKind
from entrasync.controller.cron import Cron
from entrasync.controller.durations import parse_duration
from entrasync.errors import ConfigurationError

HORIZON: Final = dt.timedelta(days=366)
"""Windows that let no run start for so long are a mistake."""
MOST_TURNS: Final = 500
"""So are those of which, so many times in a row, one opens when another one closes."""
FIELD: Final = "spec.schedule.windows"
SHORTEST: Final = dt.timedelta(minutes=1)


@dataclass(slots=True, frozen=True, kw_only=True)
class Opening:
    """When one window opens, and for how long.

    Attributes:
        field: where it stands, such as `spec.schedule.windows[0]`.
        cron: when it opens.
        duration: how long it stays open, in elapsed time: clocks that are put on do not stretch it.
    """

    field: str
    cron: Cron
    duration: dt.timedelta

    def closes(self, moment: dt.datetime) -> dt.datetime | None:
        """When it closes, if it is open at a moment; else `None`."""
        opened = self.cron.before(moment)
        if opened is None or opened + self.duration <= moment:
            return None
        return opened + self.duration


@dataclass(slots=True, frozen=True, kw_only=True)
class Windows:
    """All windows of a schedule.

    Attributes:
        allow: runs start by themselves only while one of these is open; with none, always.
        deny: no run starts by itself while one of these is open.
    """

    allow: Sequence[Opening] = ()
    deny: Sequence[Opening] = ()

    @classmethod
    def of(cls, schedule: Schedule | None) -> Self:
        """Reads the windows of a schedule.

        Raises:
            ConfigurationError: one has no valid cron or time zone (`ScheduleInvalid`).
        """
        found: dict[WindowKind, list[Opening]] = {WindowKind.ALLOW: [], WindowKind.DENY: []}
        for index, window in enumerate((schedule.windows if schedule else None) or ()):
            field = f"{FIELD}[{index}]"
            zone = window.time_zone or (schedule.time_zone if schedule else None)
            found[window.kind].append(
                Opening(
                    field=field,
                    cron=Cron.parse(window.cron, zone, field),
                    duration=max(parse_duration(window.duration), SHORTEST),
                )
            )
        return cls(allow=tuple(found[WindowKind.ALLOW]), deny=tuple(found[WindowKind.DENY]))

    def closed_by(self, moment: dt.datetime) -> str | None:
        """What lets no run start at a moment, as a field; `None` when nothing does."""
        for window in self.deny:
            if window.closes(moment) is not None:
                return f"`{window.field}`"
        if self.allow and all(window.closes(moment) is None for window in self.allow):
            return f"`{FIELD}`"
        return None

    def first_open(self, moment: dt.datetime) -> dt.datetime:
        """The first moment from this one on at which a run may start.

        Raises:
            ConfigurationError: there is none for very long (`ScheduleInvalid`).
        """
        at = moment
        for _ in range(MOST_TURNS):
            if at - moment >= HORIZON:
                break
            later = self._denied_until(at) or self._not_allowed_until(at)
            if later is None:
                return at
            at = later
        raise ConfigurationError(
            "ScheduleInvalid",
            "the windows let no run start for very long; make room between those of kind Deny, or"
            " within those of kind Allow",
            field=FIELD,
        )

    def _denied_until(self, moment: dt.datetime) -> dt.datetime | None:
        closing = (window.closes(moment) for window in self.deny)
        return max((each for each in closing if each is not None), default=None)

    def _not_allowed_until(self, moment: dt.datetime) -> dt.datetime | None:
        if not self.allow or any(window.closes(moment) is not None for window in self.allow):
            return None
        opening = (window.cron.after(moment) for window in self.allow)
        return min((each for each in opening if each is not None), default=moment + HORIZON)
