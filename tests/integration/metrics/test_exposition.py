"""What is served is what Prometheus' own tool takes, and finds well named."""

from __future__ import annotations

import datetime as dt
import subprocess

import pytest
from prometheus_client import generate_latest

from entrasync.api.directory_sync import DirectorySyncStatus
from entrasync.api.result import ChangeLatency, RunResult
from entrasync.api.sync_run import Changes
from entrasync.controller.metrics import OperatorMetrics
from tests.support import samples
from tests.support.samples import NOW

pytestmark = pytest.mark.integration


def test_promtool_has_nothing_to_say_against_it() -> None:
    metrics = OperatorMetrics(lambda: NOW)
    metrics.leading(leads=True)
    metrics.reconciled("directorysyncs", "Succeeded", 0.1)
    metrics.queue(1, NOW - dt.timedelta(seconds=3), NOW)
    metrics.watch_event("jobs", NOW)
    metrics.api_request("GET", 200)
    status = DirectorySyncStatus.model_validate(
        {
            "conditions": [{"type": "Ready", "status": "True", "reason": "Synchronized"}],
            "objects": {"users": 3},
            "nextScheduleTime": "2026-03-14T15:30:00Z",
        }
    )
    metrics.sync_observed(samples.sync(), status, (), NOW)
    result = RunResult(
        outcome="Succeeded",
        reason="Synchronized",
        mode="Apply",
        changes=Changes(),
        latency=ChangeLatency.of([12, 4000]),
    )
    metrics.run_ended(samples.run(phase="Succeeded"), result)

    served = generate_latest(metrics.registry).decode()
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=served, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
