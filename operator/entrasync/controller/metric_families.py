"""All metrics of the operator: name, type, labels, meaning; one table for code, tests and docs.

Labels are bounded: names of our resources, and words of our own. No name of a person, no anchor, no
message is ever one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from entrasync.api.result import LATENCY_BOUNDS


class MetricType(StrEnum):
    """Types as Prometheus names them."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(slots=True, frozen=True, kw_only=True)
class Family:
    """One metric.

    Attributes:
        name: as it is scraped; of a counter with `_total`.
        type: counter, gauge or histogram.
        help: what it means, with its unit; one sentence or two.
        labels: names of its labels; of one that belongs to a resource that one's come first.
        buckets: upper bounds of a histogram.
        counts_since: of a gauge: what is kept is a moment, and shown are the seconds since then,
            nothing before it.
    """

    name: str
    type: MetricType
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    counts_since: bool = False


_SYNC: Final = ("namespace", "name")
_ANY_RESOURCE: Final = ("kind", "namespace", "name")

CONDITION: Final = Family(
    name="entrasync_condition",
    type=MetricType.GAUGE,
    help="Conditions of EntraTenants, ActiveDirectories, AzureClouds and DirectorySyncs: 1 for the"
    " status that holds, 0 for the two others. What a resource does not have as a condition is"
    " absent.",
    labels=(*_ANY_RESOURCE, "type", "status"),
)
CHECKS: Final = Family(
    name="entrasync_checks_total",
    type=MetricType.COUNTER,
    help="Checks of an EntraTenant or ActiveDirectory on its own that ended, by their reason.",
    labels=(*_ANY_RESOURCE, "reason"),
)

SYNC_INFO: Final = Family(
    name="entrasync_sync_info",
    type=MetricType.GAUGE,
    help="Always 1; the mode of a DirectorySync (`Apply`, `Preview`) and the EntraTenant it names.",
    labels=(*_SYNC, "mode", "tenant"),
)
SYNC_CREATED: Final = Family(
    name="entrasync_sync_created_timestamp_seconds",
    type=MetricType.GAUGE,
    help="When the DirectorySync was created, in Unix time.",
    labels=_SYNC,
)
SYNC_SUSPENDED: Final = Family(
    name="entrasync_sync_suspended",
    type=MetricType.GAUGE,
    help="1 while `spec.suspend` is true, else 0.",
    labels=_SYNC,
)
SYNC_RUNNING: Final = Family(
    name="entrasync_sync_running",
    type=MetricType.GAUGE,
    help="1 while a run of the sync is queued or under way, else 0.",
    labels=_SYNC,
)
SYNC_INTERVAL: Final = Family(
    name="entrasync_sync_interval_seconds",
    type=MetricType.GAUGE,
    help="Time between two runs by the schedule; of a cron expression, between the next two.",
    labels=_SYNC,
)
LAST_SUCCESS: Final = Family(
    name="entrasync_sync_last_success_timestamp_seconds",
    type=MetricType.GAUGE,
    help="When a run with export last succeeded, in Unix time; absent before the first.",
    labels=_SYNC,
)
NEXT_SCHEDULE: Final = Family(
    name="entrasync_sync_next_schedule_timestamp_seconds",
    type=MetricType.GAUGE,
    help="When the next run is due, retries included, in Unix time; absent while none is.",
    labels=_SYNC,
)
OUT_OF_SCHEDULE: Final = Family(
    name="entrasync_sync_out_of_schedule_seconds",
    type=MetricType.GAUGE,
    help="Seconds by which the next run is late: it is due, and neither queued nor under way. 0 on"
    " time, while suspended or going away, and before the first run.",
    labels=_SYNC,
    counts_since=True,
)
LAST_RUN_DURATION: Final = Family(
    name="entrasync_sync_last_run_duration_seconds",
    type=MetricType.GAUGE,
    help="How long the run took that ended last.",
    labels=_SYNC,
)
CONSECUTIVE_FAILURES: Final = Family(
    name="entrasync_sync_consecutive_failures",
    type=MetricType.GAUGE,
    help="Runs that failed one after the other, since the last one that did not.",
    labels=_SYNC,
)
OWNED: Final = Family(
    name="entrasync_owned_objects",
    type=MetricType.GAUGE,
    help="What the sync owns in the tenant: `users`, `groups`, `contacts`, `links`.",
    labels=(*_SYNC, "kind"),
)
ORPHANS: Final = Family(
    name="entrasync_orphans",
    type=MetricType.GAUGE,
    help="Synced objects of the tenant that the sync does not own: `users`, `groups`, `contacts`.",
    labels=(*_SYNC, "kind"),
)
BRAKED: Final = Family(
    name="entrasync_braked_changes",
    type=MetricType.GAUGE,
    help="Changes that a brake stops and that wait for an approval, by `kind` (`users`, `groups`,"
    " `contacts`, `links`) and `operation`; of sorts that are counted over all kinds (`disables`,"
    " `identityChanges`, `clears`, `takeovers`) the kind is `any`. Absent while nothing is braked.",
    labels=(*_SYNC, "kind", "operation"),
)
EXPORT_ERRORS: Final = Family(
    name="entrasync_export_errors",
    type=MetricType.GAUGE,
    help="Objects in error as of the last run with export that came to its end, by code: refused by"
    " the service and not taken since, or left as they are. A code that is not known here is"
    " `Other`.",
    labels=(*_SYNC, "code"),
)

RUNS: Final = Family(
    name="entrasync_runs_total",
    type=MetricType.COUNTER,
    help="Runs of a sync that ended, by mode, phase and reason.",
    labels=(*_SYNC, "mode", "phase", "reason"),
)
CHANGES: Final = Family(
    name="entrasync_changes_total",
    type=MetricType.COUNTER,
    help="Changes that runs made in the tenant, by `kind` and `operation`: `add`, `update`,"
    " `delete` of users, groups and contacts, `add` and `remove` of links, and `failed` of each for"
    " what the service refused. Plans of Preview runs do not count.",
    labels=(*_SYNC, "kind", "operation"),
)
REQUESTS: Final = Family(
    name="entrasync_sync_requests_total",
    type=MetricType.COUNTER,
    help="Requests that runs sent to the sync service: `export` or `import`.",
    labels=(*_SYNC, "operation"),
)
PACED: Final = Family(
    name="entrasync_paced_seconds_total",
    type=MetricType.COUNTER,
    help="Seconds that runs waited for the tenant's quota of writes.",
    labels=_SYNC,
)
THROTTLED: Final = Family(
    name="entrasync_throttled_total",
    type=MetricType.COUNTER,
    help="Times the service told a run that it is busy.",
    labels=_SYNC,
)
LATENCY: Final = Family(
    name="entrasync_change_latency_seconds",
    type=MetricType.HISTOGRAM,
    help="Seconds from `whenChanged` of an object on the domain controller that was read to the"
    " confirmed export of what changed, for objects whose change a delta read saw; at most 1,000 of"
    " a read. A first or full read does not count. Resolution is one second; the time that domain"
    " controllers take among themselves is not in it.",
    labels=_SYNC,
    buckets=LATENCY_BOUNDS,
)

RUN_DURATION: Final = Family(
    name="entrasync_run_duration_seconds",
    type=MetricType.HISTOGRAM,
    help="How long runs of all syncs took, from the start of their Job, by phase, mode and scope.",
    labels=("phase", "mode", "scope"),
    buckets=(5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400, 28800, 86400),
)
RECONCILE_DURATION: Final = Family(
    name="entrasync_reconcile_duration_seconds",
    type=MetricType.HISTOGRAM,
    help="How long the operator took to look at one resource, by kind and result: `Succeeded`,"
    " `Failed` (tried again), `Crashed` (a bug; tried again).",
    labels=("kind", "result"),
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120),
)
API_REQUESTS: Final = Family(
    name="entrasync_api_requests_total",
    type=MetricType.COUNTER,
    help="Requests to the Kubernetes API, but for watches, by verb and HTTP status; code 0 is a"
    " request without an answer.",
    labels=("verb", "code"),
)
QUEUE_LENGTH: Final = Family(
    name="entrasync_queue_length",
    type=MetricType.GAUGE,
    help="Resources that are due to be looked at and wait for it.",
)
QUEUE_WAIT: Final = Family(
    name="entrasync_queue_oldest_wait_seconds",
    type=MetricType.GAUGE,
    help="How long the resource that is due longest has waited; 0 when none is.",
    counts_since=True,
)
LAST_TICK: Final = Family(
    name="entrasync_worker_last_tick_timestamp_seconds",
    type=MetricType.GAUGE,
    help="When the worker last looked at its queue, in Unix time; 0 before, as on a standby.",
)
WATCH_EVENT: Final = Family(
    name="entrasync_watch_last_event_timestamp_seconds",
    type=MetricType.GAUGE,
    help="When the Kubernetes API last told of a resource of a kind, in Unix time.",
    labels=("kind",),
)
LEADER: Final = Family(
    name="entrasync_leader",
    type=MetricType.GAUGE,
    help="1 on the replica that acts, 0 on a standby.",
)
BUILD_INFO: Final = Family(
    name="entrasync_build_info",
    type=MetricType.GAUGE,
    help="Always 1; the version of the operator and of Python.",
    labels=("version", "python"),
)

OF_RESOURCES: Final = (
    CONDITION,
    CHECKS,
    SYNC_INFO,
    SYNC_CREATED,
    SYNC_SUSPENDED,
    SYNC_RUNNING,
    SYNC_INTERVAL,
    LAST_SUCCESS,
    NEXT_SCHEDULE,
    OUT_OF_SCHEDULE,
    LAST_RUN_DURATION,
    CONSECUTIVE_FAILURES,
    OWNED,
    ORPHANS,
    BRAKED,
    EXPORT_ERRORS,
    RUNS,
    CHANGES,
    REQUESTS,
    PACED,
    THROTTLED,
    LATENCY,
)
"""Metrics that belong to one resource, and go with it."""
OF_PROCESS: Final = (
    RUN_DURATION,
    RECONCILE_DURATION,
    API_REQUESTS,
    QUEUE_LENGTH,
    QUEUE_WAIT,
    LAST_TICK,
    WATCH_EVENT,
    LEADER,
    BUILD_INFO,
)
"""Metrics of the operator itself."""
