"""When runs of a DirectorySync start by themselves: the part `spec.schedule`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import Field

from entrasync.api.common import ApiModel, Duration, rule

MOST_WINDOWS: Final = 16


def _cron_pattern() -> str:
    """Five fields as CronJob reads them, as a regular expression of RE2."""
    months = "JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC"
    values = (
        "[0-5]?[0-9]",
        "([01]?[0-9]|2[0-3])",
        "(0?[1-9]|[12][0-9]|3[01])",
        f"(0?[1-9]|1[0-2]|{months})",
        "([0-7]|SUN|MON|TUE|WED|THU|FRI|SAT)",
    )
    terms = [f"([*?]|{value}(-{value})?)(/[1-9][0-9]?)?" for value in values]
    return "(?i)^" + " +".join(f"{term}(,{term})*" for term in terms) + "$"


_CRON_RULE: Final = rule(
    f"!has(self.cron) || self.cron.matches('{_cron_pattern()}')",
    "`cron` must be a cron expression of five fields, for example 0 6 * * MON-FRI",
    ".cron",
)

CronExpression = Annotated[str, Field(max_length=128, pattern=r"^\S+( +\S+){4}$")]
TimeZone = Annotated[str, Field(min_length=1, max_length=64)]


class WindowKind(StrEnum):
    """What a window says of the runs that would start in it."""

    ALLOW = "Allow"
    DENY = "Deny"


class Window(ApiModel):
    """A time in which runs start by themselves, or do not."""

    validations: ClassVar[tuple[dict[str, str], ...]] = (
        _CRON_RULE,
        rule(
            "duration(self.duration) >= duration('1m')"
            " && duration(self.duration) <= duration('168h')",
            "`duration` must be from 1m to 168h",
            ".duration",
        ),
    )

    kind: WindowKind
    """`Deny`: no run starts by itself while the window is open. `Allow`: runs start by themselves
    only while a window of this kind is open. Deny wins over Allow."""
    cron: CronExpression
    """When the window opens: five-field cron expression, for example `0 2 * * 6`."""
    duration: Duration
    """How long it stays open, for example `4h`; from `1m` to `168h`."""
    time_zone: TimeZone | None = None
    """IANA time zone of `cron`. Default: `timeZone` of the schedule, else `Etc/UTC`."""


class Schedule(ApiModel):
    """When runs start by themselves."""

    validations: ClassVar[tuple[dict[str, str], ...]] = (
        rule(
            "!(has(self.interval) && has(self.cron))",
            "`interval` may not be specified when `cron` is: choose one",
            ".interval",
        ),
        rule(
            "!has(self.timeZone) || has(self.cron) || has(self.windows)",
            "`timeZone` may only be specified together with `cron` or `windows`",
            ".timeZone",
        ),
        rule(
            "!has(self.interval) || duration(self.interval) >= duration('10s')",
            "`interval` must be at least 10s",
            ".interval",
        ),
        _CRON_RULE,
        rule(
            "!has(self.jitter) || duration(self.jitter) <= (has(self.cron) ? duration('24h') :"
            " duration(has(self.interval) ? self.interval : '30m'))",
            "`jitter` must not be longer than `interval`, or than 24h with `cron`",
            ".jitter",
        ),
        rule(
            "!has(self.startingDeadline) || duration(self.startingDeadline) >= duration('10s')",
            "`startingDeadline` must be at least 10s",
            ".startingDeadline",
        ),
    )

    interval: Duration | None = None
    """Time from one start to the next, for example `30m`. At least `10s`. Default `30m`."""
    cron: CronExpression | None = None
    """Five-field cron expression, instead of `interval`. As with CronJob, a time that the clocks
    leap over is left out that day, and one that they show twice comes twice."""
    time_zone: TimeZone | None = None
    """IANA time zone of `cron` and of `windows`, for example `Europe/Berlin`. Default
    `Etc/UTC`."""
    jitter: Duration | None = None
    """Each start comes later by a time below this, always the same for one sync and different from
    sync to sync, so that many do not start at once. Default: a tenth of `interval` but at most
    `1m`, and `1m` with `cron`."""
    windows: (
        Annotated[
            list[Window],
            Field(
                min_length=1,
                max_length=MOST_WINDOWS,
                json_schema_extra={"x-kubernetes-list-type": "atomic"},
            ),
        ]
        | None
    ) = None
    """Times in which runs start by themselves or do not, at most 16. A run that would start outside
    waits; one under way goes on. SyncRuns made by hand and the annotation
    entrasync.dev/run-requested-at start runs at any time. Default: always."""
    starting_deadline: Duration | None = None
    """A start that was missed by more than this, for example because the operator was away, is left
    out, and the next one is awaited. At least `10s`. Default: however late, one run makes up for
    all that were missed."""
    full_every: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """At least every so many runs one reads and evaluates everything (`scope: Full`); 1 for each.
    Default: as often as a run finds it necessary."""
