"""When a sync is looked at again."""

from __future__ import annotations

import datetime as dt

from entrasync.controller.queue import CONFLICT_LOOK, QUEUE_LOOK
from entrasync.controller.reconcile import LONGEST_BLOCKED_LOOK
from tests.support import samples
from tests.support.memory_cluster import Cluster

MINUTE = dt.timedelta(minutes=1)


def test_a_sync_that_stays_blocked_is_looked_at_ever_more_seldom() -> None:
    cluster = Cluster(samples.cloud(), samples.tenant(), samples.sync())
    waits = []
    begin = cluster.now
    while cluster.now < begin + 60 * MINUTE:
        due = cluster.reconcile("directorysyncs", "contoso")
        assert due is not None
        waits.append(due - cluster.now)
        cluster.now = due

    assert waits[0] == QUEUE_LOOK
    assert waits == sorted(waits)
    assert waits[-1] == LONGEST_BLOCKED_LOOK
    assert len(waits) < 60


def test_a_sync_that_changes_while_its_status_is_written_is_looked_at_at_once() -> None:
    cluster = Cluster(
        samples.cloud(), samples.tenant(), samples.directory(), samples.sync(suspend=True)
    )

    def somebody_is_faster(verb: str, path: str, _body: object) -> None:
        if verb == "patch_status" and "/directorysyncs/" in path:
            cluster.watchers.clear()
            cluster.change(path, {"metadata": {"labels": {"touched": "yes"}}})

    cluster.watchers.append(somebody_is_faster)
    assert cluster.reconcile("directorysyncs", "contoso") == cluster.now + CONFLICT_LOOK
    assert not cluster.status("directorysyncs", "contoso")
    assert cluster.reconcile("directorysyncs", "contoso") is None
    assert cluster.conditions("directorysyncs", "contoso")["Suspended"]["status"] == "True"
