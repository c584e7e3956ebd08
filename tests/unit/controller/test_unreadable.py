"""What this version does not understand says so itself, and stands in nobody's way."""

from __future__ import annotations

import datetime as dt
from typing import Any

from entrasync.controller.unreadable import unreadable_status
from tests.support import samples
from tests.support.memory_cluster import Cluster, resource_at
from tests.support.memory_jobs import Jobs
from tests.support.samples import NOW

SYNC = resource_at("directorysyncs", "contoso")


def cluster(**strange: Any) -> Cluster:
    place = Cluster(samples.cloud(), samples.tenant(), samples.directory(), samples.sync())
    place.change(SYNC, {"spec": strange})
    return place


def test_it_says_which_field_and_what_to_do() -> None:
    place = cluster(ofALaterVersion={"a": 1}, mode="Dream")

    place.reconcile("directorysyncs", "contoso")

    ready = place.conditions("directorysyncs", "contoso")["Ready"]
    assert (ready["status"], ready["reason"]) == ("False", "SpecNotUnderstood")
    assert "`spec.mode`, `spec.ofALaterVersion`" in ready["message"]
    assert place.conditions("directorysyncs", "contoso")["Stalled"]["status"] == "True"
    assert place.status("directorysyncs", "contoso")["observedGeneration"] == 2


def test_it_is_written_once() -> None:
    place = cluster(mode="Dream")
    place.reconcile("directorysyncs", "contoso")
    before = place.objects[SYNC]["metadata"]["resourceVersion"]

    place.reconcile("directorysyncs", "contoso", NOW + dt.timedelta(hours=1))

    assert place.objects[SYNC]["metadata"]["resourceVersion"] == before


def test_it_goes_away_with_its_cause() -> None:
    place = cluster(mode="Dream")
    place.reconcile("directorysyncs", "contoso")

    place.change(SYNC, {"spec": {"mode": "Apply"}})
    place.reconcile("directorysyncs", "contoso")

    conditions = place.conditions("directorysyncs", "contoso")
    assert conditions["Ready"]["reason"] != "SpecNotUnderstood"
    assert "Stalled" not in conditions


def test_a_run_under_way_is_not_ended_and_its_sync_not_taken_for_gone() -> None:
    place = Cluster(samples.cloud(), samples.tenant(), samples.directory(), samples.sync())
    place.start()
    Jobs(place).start("manual")
    leases = place.of_kind("Lease")
    place.change(SYNC, {"spec": {"mode": "Dream"}})

    place.reconcile("directorysyncs", "contoso")
    place.reconcile("syncruns", "manual", NOW + dt.timedelta(minutes=1))

    assert place.status("syncruns", "manual")["phase"] == "Running"
    assert "deletionTimestamp" not in place.made_jobs()[0]["metadata"]
    assert place.of_kind("Lease") == leases


def test_an_object_of_another_class_is_not_touched() -> None:
    place = cluster(mode="Dream", className="blue")

    place.reconcile("directorysyncs", "contoso")

    assert place.status("directorysyncs", "contoso") == {}


def test_what_others_wrote_into_the_status_stays() -> None:
    before = {
        "history": [{"name": "a"}],
        "conditions": [{"type": "Theirs", "status": "True", "reason": "Yes", "message": ""}],
    }

    after = unreadable_status(3, before, [f"spec.f{n}" for n in range(7)], NOW)

    assert after["history"] == before["history"]
    assert [each["type"] for each in after["conditions"]] == ["Ready", "Stalled", "Theirs"]
    assert "`spec.f4` and 2 more" in after["conditions"][0]["message"]
