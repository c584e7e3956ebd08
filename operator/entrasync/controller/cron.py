"""Cron expressions in a time zone, with the rules of Kubernetes' CronJob. Pure.

A slot is a minute whose clock reading in the zone matches the five fields. So a time that the
clocks leap over has no slot that day, and one that they show twice has two.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Final, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from entrasync.errors import ConfigurationError

DEFAULT_ZONE: Final = "Etc/UTC"
SECOND: Final = dt.timedelta(seconds=1)
STRIDE: Final = dt.timedelta(days=1)
"""No zone puts its clocks on twice in so short a time."""
LEAP: Final = dt.timedelta(days=2)
"""More than any zone ever put its clocks on at once (a day, across the date line)."""


@dataclass(slots=True, frozen=True)
class Cron:
    """A cron expression in its zone.

    Attributes:
        expressions: five fields each, as the library understands them; a slot of one of them is a
            slot.
        zone: whose clocks are read.
    """

    expressions: tuple[str, ...]
    zone: ZoneInfo

    @classmethod
    def parse(cls, text: str, zone: str | None, field: str) -> Self:
        """Reads an expression.

        Args:
            text: the five fields.
            zone: IANA name of the time zone; `None` for UTC.
            field: where it stands, such as `spec.schedule`; for the message.

        Raises:
            ConfigurationError: it is none, or its zone is not known (`ScheduleInvalid`).
        """
        expressions = _expressions(text)
        try:
            for expression in expressions:
                CronSim(expression, dt.datetime(2000, 1, 1))  # noqa: DTZ001  - no zone wanted
        except (CronSimError, ValueError, IndexError):
            raise ConfigurationError(
                "ScheduleInvalid",
                f"{text!r} is no five-field cron expression, or never comes; correct it",
                field=f"{field}.cron",
            ) from None
        try:
            return cls(expressions, ZoneInfo(zone or DEFAULT_ZONE))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ConfigurationError(
                "ScheduleInvalid",
                f"{zone!r} is no IANA time zone; name one such as Europe/Berlin",
                field=f"{field}.timeZone",
            ) from None

    def after(self, moment: dt.datetime) -> dt.datetime | None:
        """The first slot after a moment, in UTC; `None` when none comes."""
        found = (self._search(each, moment, forward=True) for each in self.expressions)
        return min((slot for slot in found if slot is not None), default=None)

    def before(self, moment: dt.datetime) -> dt.datetime | None:
        """The last slot at or before a moment, in UTC; `None` when there is none."""
        found = (self._search(each, moment, forward=False) for each in self.expressions)
        return max((slot for slot in found if slot is not None), default=None)

    def _search(self, expression: str, moment: dt.datetime, *, forward: bool) -> dt.datetime | None:
        """Looks from one change of the clocks to the next, in each as if there were none."""
        at = moment.astimezone(dt.UTC).replace(microsecond=0)
        inclusive = not forward
        try:
            while True:
                offset = self._offset(at)
                end = self._steady_until(at, offset, forward=forward)
                slot = _slot(expression, at + offset, forward=forward, inclusive=inclusive)
                if slot is None:
                    return None
                slot -= offset
                if slot < end if forward else slot > end:
                    return slot
                # whatever the clocks do, nothing comes much sooner than by the present reading
                at = max(end, slot - LEAP) if forward else min(end, slot + LEAP)
                inclusive = True
        except OverflowError:
            return None  # beyond the years a calendar knows

    def _offset(self, moment: dt.datetime) -> dt.timedelta:
        return moment.astimezone(self.zone).utcoffset() or dt.timedelta()

    def _steady_until(
        self, start: dt.datetime, offset: dt.timedelta, *, forward: bool
    ) -> dt.datetime:
        """How far the clocks keep their offset: the change of them, or a day when none is near.

        Forwards the first moment that is not steady any more, backwards the last such.
        """
        far = start + STRIDE if forward else start - STRIDE
        if self._offset(far) == offset:
            return far
        near = start
        while abs(far - near) > SECOND:
            middle = near + (far - near) // 2
            middle = middle.replace(microsecond=0)
            if middle in {near, far}:
                break
            if self._offset(middle) == offset:
                near = middle
            else:
                far = middle
        return far


def _slot(
    expression: str, reading: dt.datetime, *, forward: bool, inclusive: bool
) -> dt.datetime | None:
    """The next or the previous slot by a clock that is never put on; `None` when none comes."""
    clock = reading.replace(tzinfo=None)
    if inclusive:
        clock += -SECOND if forward else SECOND
    try:
        found = next(CronSim(expression, clock, reverse=not forward))
    except StopIteration:
        return None
    return found.replace(tzinfo=dt.UTC)


def _expressions(text: str) -> tuple[str, ...]:
    """The expression as the library understands it.

    Where day of month and day of week are both given, a day needs to match one of them. The library
    reads `*/2` as not given, CronJob does not: so each of the two gets an expression of its own.
    """
    fields = text.replace("?", "*").split()
    if len(fields) != 5:  # noqa: PLR2004  - minute, hour, day of month, month, day of week
        return (text,)
    minute, hour, day, month, weekday = fields
    day, weekday = _any_or_same(day), _any_or_same(weekday)
    if "*" in {day, weekday}:
        return (f"{minute} {hour} {day} {month} {weekday}",)
    return (f"{minute} {hour} {day} {month} *", f"{minute} {hour} * {month} {weekday}")


def _any_or_same(field: str) -> str:
    return "*" if {"*", "*/1"} & set(field.split(",")) else field
