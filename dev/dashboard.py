"""The Grafana dashboard: what it shows and asks. Its JSON is a file of the chart."""

from __future__ import annotations

from typing import Final

from dev.grafana import Panel

OF_SYNC: Final = 'namespace=~"$namespace", name=~"$sync"'


def _latest(metric: str) -> str:
    """A gauge of syncs, whichever replica told it."""
    return f"max by (namespace, name) ({metric}{{{OF_SYNC}}})"


def _grown(metric: str, *labels: str, further: str = "") -> str:
    """How much a counter of syncs grew within what one sees at a time."""
    by = ", ".join(("namespace", "name", *labels))
    return f"sum by ({by}) (increase({metric}{{{OF_SYNC}{further}}}[$__rate_interval]))"


def _condition(kind: str, type_: str, status: str) -> str:
    chosen = f'kind="{kind}", namespace=~"$namespace", type="{type_}", status="{status}"'
    return f"count(max by (namespace, name) (entrasync_condition{{{chosen}}}) == 1) or vector(0)"


def _quantile(share: float, metric: str, chosen: str, *labels: str) -> str:
    by = ", ".join((*labels, "le"))
    return f"histogram_quantile({share}, sum by ({by}) (rate({metric}_bucket{{{chosen}}}[1h])))"


ROWS: Final[dict[str, tuple[Panel, ...]]] = {
    "At a glance": (
        Panel(
            title="Syncs that are good",
            asks={_condition("DirectorySync", "Ready", "True"): "good"},
            kind="stat",
            width=4,
            height=4,
            instant=True,
        ),
        Panel(
            title="Syncs that need somebody",
            asks={_condition("DirectorySync", "Stalled", "True"): "stalled"},
            kind="stat",
            width=4,
            height=4,
            instant=True,
            options={"alarm": 1},
        ),
        Panel(
            title="Braked changes",
            asks={
                "sum(max by (namespace, name, kind, operation)"
                f" (entrasync_braked_changes{{{OF_SYNC}}})) or vector(0)": "braked"
            },
            kind="stat",
            width=4,
            height=4,
            instant=True,
            help="They wait for an approval: `spec.approvedPlan`.",
            options={"alarm": 1},
        ),
        Panel(
            title="Objects in error",
            asks={
                "sum(max by (namespace, name, code)"
                f" (entrasync_export_errors{{{OF_SYNC}}})) or vector(0)": "in error"
            },
            kind="stat",
            width=4,
            height=4,
            instant=True,
            options={"alarm": 1},
        ),
        Panel(
            title="Tenants and directories that cannot be used",
            asks={
                _condition("EntraTenant", "Ready", "False"): "tenants",
                _condition("ActiveDirectory", "Ready", "False"): "directories",
            },
            kind="stat",
            width=4,
            height=4,
            instant=True,
            options={"alarm": 1},
        ),
        Panel(
            title="Operators that lead",
            asks={"sum(entrasync_leader) or vector(0)": "leaders"},
            kind="stat",
            width=4,
            height=4,
            instant=True,
        ),
    ),
    "Syncs": (
        Panel(
            title="Time since the last success",
            asks={
                f"time() - {_latest('entrasync_sync_last_success_timestamp_seconds')}": (
                    "{{namespace}}/{{name}}"
                )
            },
            unit="s",
        ),
        Panel(
            title="Late by",
            asks={_latest("entrasync_sync_out_of_schedule_seconds"): "{{namespace}}/{{name}}"},
            unit="s",
            help="A run is due, and neither queued nor under way.",
        ),
        Panel(
            title="Duration of the last run",
            asks={_latest("entrasync_sync_last_run_duration_seconds"): "{{namespace}}/{{name}}"},
            unit="s",
        ),
        Panel(
            title="Runs",
            asks={_grown("entrasync_runs_total", "phase"): "{{namespace}}/{{name}} {{phase}}"},
            options={"bars": True},
        ),
        Panel(
            title="Objects changed",
            asks={
                _grown(
                    "entrasync_changes_total", "kind", "operation", further=', kind!="links"'
                ): "{{namespace}}/{{name}} {{kind}} {{operation}}"
            },
            options={"bars": True},
        ),
        Panel(
            title="Members changed",
            asks={
                _grown(
                    "entrasync_changes_total", "operation", further=', kind="links"'
                ): "{{namespace}}/{{name}} {{operation}}"
            },
            options={"bars": True},
        ),
        Panel(
            title="From a change to its confirmation",
            asks={
                _quantile(
                    share, "entrasync_change_latency_seconds", OF_SYNC, "namespace", "name"
                ): f"{{{{namespace}}}}/{{{{name}}}} {name}"
                for share, name in ((0.5, "half"), (0.95, "95 %"))
            },
            unit="s",
            help="From `whenChanged` on the domain controller that was read to the service's"
            " answer; a first fill is not in it.",
        ),
        Panel(
            title="Objects in error by code",
            asks={
                "max by (namespace, name, code)"
                f" (entrasync_export_errors{{{OF_SYNC}}})": "{{namespace}}/{{name}} {{code}}"
            },
        ),
        Panel(
            title="Waited for the tenant's quota",
            asks={_grown("entrasync_paced_seconds_total"): "{{namespace}}/{{name}}"},
            unit="s",
            options={"bars": True},
        ),
        Panel(
            title="Owned in the tenant",
            asks={
                "max by (namespace, name, kind)"
                f" (entrasync_owned_objects{{{OF_SYNC}}})": "{{namespace}}/{{name}} {{kind}}"
            },
        ),
        Panel(
            title="Orphans",
            asks={
                "max by (namespace, name, kind)"
                f" (entrasync_orphans{{{OF_SYNC}}})": "{{namespace}}/{{name}} {{kind}}"
            },
            help="Synced objects of the tenant that no run of the sync exported or adopted.",
        ),
        Panel(
            title="Failures in a row",
            asks={_latest("entrasync_sync_consecutive_failures"): "{{namespace}}/{{name}}"},
        ),
    ),
    "Operator": (
        Panel(
            title="Resources that wait, and for how long the first of them",
            asks={
                "max by (pod) (entrasync_queue_length)": "{{pod}} waiting",
                "max by (pod) (entrasync_queue_oldest_wait_seconds)": "{{pod}} seconds",
            },
        ),
        Panel(
            title="Looked at",
            asks={
                "sum by (kind, result)"
                " (rate(entrasync_reconcile_duration_seconds_count[$__rate_interval]))": (
                    "{{kind}} {{result}}"
                )
            },
            unit="ops",
        ),
        Panel(
            title="Time to look at one, 95 %",
            asks={_quantile(0.95, "entrasync_reconcile_duration_seconds", "", "kind"): "{{kind}}"},
            unit="s",
        ),
        Panel(
            title="Requests to the Kubernetes API",
            asks={
                "sum by (verb, code)"
                " (rate(entrasync_api_requests_total[$__rate_interval]))": "{{verb}} {{code}}"
            },
            unit="reqps",
        ),
        Panel(
            title="Time since the API server told of a kind",
            asks={
                "time() - max by (kind) (entrasync_watch_last_event_timestamp_seconds)": "{{kind}}"
            },
            unit="s",
            help="Where nothing changes there is nothing to tell.",
        ),
        Panel(
            title="Memory",
            asks={
                "max by (pod) (process_resident_memory_bytes"
                " and on (instance, job) entrasync_leader)": "{{pod}}"
            },
            unit="bytes",
        ),
    ),
}
"""Panels by row."""
