"""The benchmark of the operator: how it reads the audit log, and makes copies."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from bench import operator_world as world
from bench.operator import Audit, Measured


def entry(name: str, at: str = "2026-03-14T15:09:26.500000Z") -> dict[str, Any]:
    about = {"resource": "directorysyncs", "namespace": "team-000", "name": name}
    return {"verb": "get", "requestReceivedTimestamp": at, "objectRef": about}


def test_the_audit_log_is_read_on_from_where_it_was_left(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    lines = [json.dumps(entry(name)) + "\n" for name in ("first", "second", "third")]
    log.write_text(lines[0] + lines[1][:20])
    audit = Audit(log)
    (first,) = audit.new()
    assert (first.name, first.verb, first.namespace) == ("first", "get", "team-000")
    assert first.at == dt.datetime(2026, 3, 14, 15, 9, 26, 500000, dt.UTC).timestamp()
    log.write_text("".join(lines))
    assert [request.name for request in audit.new()] == ["second", "third"]
    assert not list(audit.new())


def test_the_slowest_of_twenty_counts() -> None:
    measured = Measured(
        size=10,
        settled_seconds=1,
        first_status_seconds=tuple(map(float, range(1, 101))),
        requests_per_sync_hour=1,
        runs_per_hour=1,
        rss_mib=1,
    )
    assert measured.first_status_p95 == pytest.approx(95.05)


def test_a_copy_has_its_own_name_tenant_and_times() -> None:
    tenant = world.tenant("prototype", "prototype", 0)
    copy = world._renamed(tenant, "team-001", "sync-0012")
    world._hold_back(copy, 12)
    assert copy["metadata"] == {"name": "sync-0012", "namespace": "team-001"}
    assert copy["spec"]["tenantId"] != tenant["spec"]["tenantId"]
    moved = world._moved({"lastRun": {"completionTime": "2026-03-14T15:09:26Z"}}, world.INTERVAL)
    assert moved == {"lastRun": {"completionTime": "2026-03-14T15:39:26Z"}}


def test_jobs_are_held_back_from_the_controllers() -> None:
    labels = {"controller-uid": "u", "batch.kubernetes.io/job-name": "j", "entrasync.dev/run": "r"}
    job: dict[str, Any] = {
        "kind": "Job",
        "metadata": {"labels": dict(labels)},
        "spec": {"selector": {}, "template": {"metadata": {"labels": dict(labels)}}},
    }
    world._hold_back(job, 1)
    assert job["metadata"]["labels"] == {"entrasync.dev/run": "r"}
    assert job["spec"]["template"]["metadata"]["labels"] == {"entrasync.dev/run": "r"}
    assert job["spec"]["managedBy"]
    assert "selector" not in job["spec"]
