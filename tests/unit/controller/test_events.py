"""Events: on transitions, with the reasons of conditions, and never twice for one."""

from __future__ import annotations

import pytest

from entrasync.api.common import Condition
from entrasync.controller.events import build_event, transitions
from tests.support import samples
from tests.support.samples import NOW


def condition(kind: str, status: str, reason: str, message: str = "m", at: str = "t") -> Condition:
    return Condition(
        type=kind, status=status, reason=reason, message=message, last_transition_time=at
    )


READY = condition("Ready", "True", "Synchronized")
BRAKED = "DeletionThresholdExceeded"


def told(before: list[Condition], after: list[Condition]) -> list[tuple[str, bool]]:
    return [(each.reason, each.warning) for each in transitions(before, after, "7")]


def test_what_stays_is_not_told_again() -> None:
    again = condition("Ready", "True", "Synchronized", "another message")
    assert told([READY], [again]) == []


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (condition("Ready", "Unknown", "Checking"), ("Checking", False)),
        (condition("Ready", "True", "InitialSync"), ("InitialSync", False)),
        (condition("Ready", "True", "ExportErrors"), ("ExportErrors", True)),
        (condition("Ready", "False", "ServerUnreachable"), ("ServerUnreachable", True)),
        (condition("Ready", "False", "BindRejected"), ("BindRejected", True)),
        (condition("Ready", "False", "Cancelled"), ("Cancelled", False)),
        (condition("Ready", "Unknown", "JobCannotStart"), ("JobCannotStart", True)),
        (condition("Available", "False", "CloudClosed"), ("CloudClosed", True)),
        (condition("Throttled", "True", "Throttled"), ("Throttled", False)),
        (condition("Suspended", "True", "Suspended"), ("Suspended", False)),
        (condition("PlanBlocked", "True", BRAKED), (BRAKED, True)),
        (condition("Stalled", "True", "SecretNotFound"), ("SecretNotFound", True)),
    ],
)
def test_a_warning_is_what_somebody_should_look_at(
    after: Condition, expected: tuple[str, bool]
) -> None:
    assert told([READY], [*([] if after.type == "Ready" else [READY]), after]) == [expected]


def test_a_reason_of_several_conditions_is_told_once() -> None:
    after = [condition("Ready", "False", BRAKED)]
    after += [condition(kind, "True", BRAKED) for kind in ("Stalled", "PlanBlocked")]
    assert told([READY], after) == [(BRAKED, True)]
    # the verdict of a failed run warns, and that it is stalled is no news
    failed = [condition("Ready", "False", "RunFailed"), condition("Stalled", "True", "RunFailed")]
    assert told([], failed) == [("RunFailed", True)]


def test_an_end_is_told_where_no_verdict_tells_it() -> None:
    before = [condition(kind, "True", kind) for kind in ("Throttled", "Suspended", "Degraded")]
    before.append(condition("Synchronizing", "True", "RunActive"))
    assert told([READY, *before], [READY]) == [("Throttled", False), ("Suspended", False)]


def test_what_is_told_again_for_one_change_has_one_name() -> None:
    sync = samples.sync()
    after = [
        condition("Ready", "False", "BindRejected", at="later"),
        condition("PlanBlocked", "True", BRAKED),
    ]
    names = {
        build_event(sync, each, now)["metadata"]["name"]
        for now in (NOW, NOW.replace(hour=16))
        for each in transitions([READY], after, "7")
    }
    assert len(names) == 2


def test_the_same_thing_happening_again_has_another_name() -> None:
    sync, bad = samples.sync(), condition("Ready", "False", "BindRejected", at="later")
    first = transitions([READY], [bad], "7")
    second = transitions([condition("Ready", "True", "Synchronized", at="much later")], [bad], "9")
    throttled = condition("Throttled", "True", "Throttled")
    third = transitions([READY], [READY, throttled], "10")
    fourth = transitions([READY], [READY, throttled], "12")
    names = [
        build_event(sync, each, NOW)["metadata"]["name"]
        for each in (*first, *second, *third, *fourth)
    ]
    assert len(set(names)) == len(names) == 4


def test_an_event_is_as_kubectl_shows_it() -> None:
    (what,) = transitions([], [condition("Ready", "False", "BindRejected", "mend it")], "7")
    event = build_event(samples.directory(), what, NOW)
    assert event["metadata"]["name"].startswith("contoso.")
    assert event["involvedObject"] == {
        "apiVersion": "entrasync.dev/v1alpha1",
        "kind": "ActiveDirectory",
        "name": "contoso",
        "namespace": "identity",
        "uid": "u-directory",
    }
    assert (event["type"], event["reason"], event["message"]) == (
        "Warning",
        "BindRejected",
        "mend it",
    )
    assert event["firstTimestamp"] == event["lastTimestamp"] == "2026-03-14T15:09:26Z"


def test_an_event_of_a_cloud_is_in_the_default_namespace_and_its_name_has_room() -> None:
    cloud = samples.cloud()
    cloud.metadata.name = "a" * 253
    (what,) = transitions([], [condition("Ready", "True", "Accepted", "")], "7")
    event = build_event(cloud, what, NOW)
    assert event["metadata"]["namespace"] == "default"
    assert len(event["metadata"]["name"]) == 253
    assert event["message"] == "Accepted"
