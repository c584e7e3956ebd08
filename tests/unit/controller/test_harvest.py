"""How runs end and why they do not start, whatever Jobs and pods look like: properties."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.result import RunResult
from entrasync.api.sync_run import SyncRun
from entrasync.controller import remedies
from entrasync.controller.conditions import MESSAGE_LENGTH
from entrasync.controller.harvest import ending_of, job_has_ended, run_has_ended
from entrasync.controller.nodes import node_lost, pod_has_ended
from entrasync.controller.starting import Scene, cannot_start, has_started, newest
from tests.support import samples
from tests.support.samples import NOW

DONE = RunResult(outcome="Succeeded", reason="Synchronized").to_message()
STOPPED = RunResult(outcome="Cancelled", reason="Cancelled").to_message()
TIMES = st.integers(0, 30).map(lambda n: (NOW + dt.timedelta(minutes=n)).isoformat())
WORDS = st.sampled_from(
    ["", "ErrImagePull", "exceeded quota", "OOMKilled", "no such thing", "ContainerCreating"]
)
STATES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"waiting": st.fixed_dictionaries({"reason": WORDS, "message": WORDS})}),
    st.just({"running": {}}),
    st.fixed_dictionaries(
        {
            "terminated": st.fixed_dictionaries(
                {
                    "message": st.sampled_from([DONE, STOPPED, "", "{", "[]"]),
                    "exitCode": st.sampled_from([0, 1, 2, 137]),
                },
                optional={"reason": WORDS},
            )
        }
    ),
)
PODS = st.lists(
    st.fixed_dictionaries(
        {
            "metadata": st.fixed_dictionaries(
                {"name": st.sampled_from(["a", "b"]), "creationTimestamp": TIMES},
                optional={"deletionTimestamp": TIMES},
            ),
            "spec": st.sampled_from([{}, {"nodeName": "n"}]),
            "status": st.fixed_dictionaries(
                {
                    "phase": st.sampled_from(
                        ["Pending", "Running", "Succeeded", "Failed", "Unknown"]
                    )
                },
                optional={
                    "containerStatuses": STATES.map(
                        lambda state: [{"name": "run", "state": state}]
                    ),
                    "conditions": st.just(
                        [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes"}]
                    ),
                },
            ),
        }
    ),
    max_size=3,
)
JOBS = st.none() | st.fixed_dictionaries(
    {
        "metadata": st.sampled_from([{"name": "j"}, {"name": "j", "deletionTimestamp": "x"}]),
        "status": st.fixed_dictionaries(
            {},
            optional={
                "active": st.integers(0, 1),
                "failed": st.integers(0, 1),
                "conditions": st.sampled_from(
                    [
                        [{"type": "Complete", "status": "True"}],
                        [{"type": "Failed", "status": "True", "reason": "DeadlineExceeded"}],
                        [{"type": "FailureTarget", "status": "True"}],
                    ]
                ),
            },
        ),
    }
)


def run(*, cancel: bool = False, started: bool = True) -> SyncRun:
    manifest = samples.run(phase="Running" if started else "Queued").to_manifest()
    manifest["spec"]["cancel"] = cancel
    if started:
        manifest["status"]["startTime"] = "2026-03-14T15:00:00Z"
    return SyncRun.model_validate(manifest)


@given(job=JOBS, pods=PODS, cancel=st.booleans(), started=st.booleans())
def test_every_end_has_a_reason_and_a_result_that_was_read_is_never_lost(
    job: dict[str, Any] | None, pods: list[dict[str, Any]], *, cancel: bool, started: bool
) -> None:
    ending = ending_of(run(cancel=cancel, started=started), job, pods)

    result = ending.result
    assert result.reason
    assert result.outcome in {"Succeeded", "Failed", "Cancelled"}
    # nobody asked: then it was not cancelled, whatever the runner thought
    assert cancel or result.outcome != "Cancelled"
    last = newest(pods)
    containers = (last or {}).get("status", {}).get("containerStatuses", [{}])
    message = containers[0].get("state", {}).get("terminated", {}).get("message", "")
    if message == DONE:
        assert result.outcome == "Succeeded"
    if message in {DONE, STOPPED}:
        assert not ending.lost
    assert not (ending.lost and not started)


@given(job=JOBS, pods=PODS)
def test_a_run_ends_only_when_nothing_of_it_may_still_write(
    job: dict[str, Any] | None, pods: list[dict[str, Any]]
) -> None:
    if not run_has_ended(job, pods):
        return
    if job is not None and "deletionTimestamp" not in job["metadata"]:
        assert job_has_ended(job)
    else:
        assert all(pod_has_ended(pod) for pod in pods)


@given(pods=PODS, minutes=st.integers(0, 60))
def test_a_lost_node_has_a_pod_that_should_have_ended_long_ago(
    pods: list[dict[str, Any]], minutes: int
) -> None:
    told = node_lost(pods, NOW + dt.timedelta(minutes=minutes))
    if told is not None:
        assert any(not pod_has_ended(pod) and "nodeName" in pod["spec"] for pod in pods)
        assert minutes >= 10


@given(pods=PODS)
def test_what_has_started_is_never_told_not_to_start(pods: list[dict[str, Any]]) -> None:
    stuck = cannot_start(Scene(pods=pods))
    last = newest(pods)
    if last is None or has_started(last):
        assert stuck is None
    elif stuck is not None:
        assert stuck.message


@given(st.text(max_size=4000))
def test_whatever_kubernetes_says_there_is_room_for_the_remedy(said: str) -> None:
    for tell in (
        remedies.refused,
        remedies.not_placed,
        remedies.not_mounted,
        remedies.not_bound,
        lambda text: remedies.not_started("ErrImagePull", text),
    ):
        assert len(tell(said)) <= MESSAGE_LENGTH


@pytest.mark.parametrize(
    ("ended", "reason", "words"),
    [
        ({"exitCode": 137, "reason": "OOMKilled"}, "OutOfMemory", "limits.memory"),
        ({"exitCode": 128, "reason": "StartError", "message": "exec: no"}, "JobCannotStart", "no"),
        ({"exitCode": 1, "reason": "Error"}, "RunFailed", "with exit code 1"),
        ({"exitCode": 1, "message": STOPPED}, "RunFailed", "asked to end"),
        ({"exitCode": 137, "reason": "ContainerStatusUnknown"}, "RunFailed", "exit code 137"),
    ],
)
def test_why_a_pod_ended_without_a_result(ended: dict[str, Any], reason: str, words: str) -> None:
    job = {
        "metadata": {},
        "status": {"conditions": [{"type": "Failed", "status": "True", "reason": "Backoff"}]},
    }
    container = {"name": "run", "state": {"terminated": ended}}
    pod = {
        "metadata": {"name": "p"},
        "status": {"phase": "Failed", "containerStatuses": [container]},
    }

    result = ending_of(run(), job, [pod]).result

    assert result.reason == reason
    assert words in result.message
