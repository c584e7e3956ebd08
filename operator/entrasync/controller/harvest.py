"""From a run whose Job is over to what it left. Pure: the run, its Job and pods in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from entrasync.api.result import RunResult
from entrasync.api.sync_run import SyncRun
from entrasync.controller.nodes import pod_has_ended
from entrasync.controller.pods import CONTAINER
from entrasync.controller.run_status import why_ended
from entrasync.controller.starting import has_started, newest

__all__ = ["Ending", "ending_of", "job_has_ended", "pod_has_ended", "run_has_ended"]

_OUT_OF_MEMORY: Final = "OOMKilled"
_NEVER_RAN: Final = frozenset({"StartError", "ContainerCannotRun"})


@dataclass(slots=True, frozen=True, kw_only=True)
class Ending:
    """How a run ended.

    Attributes:
        result: what it left, or what is known without.
        lost: whether it ran, and nobody has read what it left.
    """

    result: RunResult
    lost: bool = False


def job_has_ended(job: dict[str, Any]) -> bool:
    """Whether a Job is over: only `Complete` and `Failed` say so, and only once no pod is left."""
    status = job.get("status", {})
    return bool(_ended_as(job)) and not status.get("active") and not status.get("terminating")


def run_has_ended(job: dict[str, Any] | None, pods: Sequence[dict[str, Any]]) -> bool:
    """Whether nothing of a run is at work any more.

    A Job that is deleted ends with its pods: they are asked to end, and have a while to do so.
    """
    if job is not None and not job["metadata"].get("deletionTimestamp"):
        return job_has_ended(job)
    return all(pod_has_ended(pod) for pod in pods)


def ending_of(run: SyncRun, job: dict[str, Any] | None, pods: Sequence[dict[str, Any]]) -> Ending:
    """How a run ended that is over.

    A runner that was asked to end says `Cancelled`, and knows not why: that is told here.

    Args:
        run: as it was.
        job: its Job; `None` when that is gone.
        pods: of the Job, as far as they are still there.
    """
    last = newest(pods)
    found = None if last is None else RunResult.from_message(_terminated(last).get("message", ""))
    if found is not None and found.outcome != "Cancelled":
        return Ending(result=found)
    why = _why_ended(run, job, last)
    if found is not None:
        told = {"outcome": why.outcome, "reason": why.reason, "message": why.message}
        return Ending(result=found.model_copy(update=told))
    return Ending(result=why, lost=_may_have_worked(run, job, last))


def _why_ended(run: SyncRun, job: dict[str, Any] | None, last: dict[str, Any] | None) -> RunResult:
    if run.spec.cancel:
        return RunResult(
            outcome="Cancelled", reason="Cancelled", message="cancelled by `spec.cancel`"
        )
    said = why_ended(run)
    if said is not None:
        return _failed(said.reason, said.message)
    if job is not None and _ended_as(job).get("reason") == "DeadlineExceeded":
        return _failed(
            "DeadlineExceeded",
            "the run took longer than it may: `spec.runner.activeDeadlineSeconds`, a report half an"
            " hour; raise it, the next run goes on where this one stopped",
        )
    if job is None or job["metadata"].get("deletionTimestamp"):
        return _failed(
            "ResultLost",
            "its Job is gone: it was deleted, or ended and was removed a day later, and the"
            " operator did not see it; the next run goes on where this one stopped",
        )
    return _why_failed(last)


def _why_failed(last: dict[str, Any] | None) -> RunResult:
    """Why a Job failed whose pod left no result of its own."""
    if last is None:
        return _failed(
            "ResultLost",
            "its pod vanished before its result was read, as when a node object is deleted; the"
            " next run tells what it did, and goes on where it stopped",
        )
    ended = _terminated(last)
    reason, code = str(ended.get("reason", "")), ended.get("exitCode")
    name = last["metadata"].get("name", "")
    if reason == _OUT_OF_MEMORY:
        return _failed(
            "OutOfMemory",
            f"pod {name} used more memory than it may: raise `spec.runner.resources.limits.memory`;"
            " the next run goes on where this one stopped",
        )
    if reason in _NEVER_RAN:
        said = str(ended.get("message", ""))[:300]
        return _failed(
            "JobCannotStart",
            f"{reason}: {said}; the image is not one of entrasync: see `image.repository` of the"
            " chart",
        )
    if ended.get("message") and RunResult.from_message(str(ended["message"])) is not None:
        # it was asked to end, and nobody of us asked
        return _failed(
            "RunFailed",
            f"pod {name} was asked to end: somebody deleted it, or its node goes down; the next run"
            " goes on where this one stopped",
        )
    said = last.get("status", {}).get("message")
    how = f" with exit code {code}" if code is not None else ""
    why = f" ({str(said)[:300]})" if said else ""
    return _failed(
        "RunFailed",
        f"pod {name} ended without a result{how}{why}; its log says more, and the next run goes on"
        " where this one stopped",
    )


def _may_have_worked(run: SyncRun, job: dict[str, Any] | None, last: dict[str, Any] | None) -> bool:
    """Whether a run without a result may have changed something all the same."""
    if run.status is None or not run.status.start_time:
        return False
    if last is not None:
        return has_started(last)
    if run.status.progress is not None:
        return True
    why = why_ended(run)
    if why is not None and why.reason == "JobCannotStart":
        return False
    counts = (job or {}).get("status", {})
    return job is None or bool(counts.get("failed") or counts.get("succeeded"))


def _failed(reason: str, message: str) -> RunResult:
    return RunResult(outcome="Failed", reason=reason, message=message)


def _ended_as(job: dict[str, Any]) -> dict[str, Any]:
    """The condition that says that a Job is over; empty while it is not."""
    for condition in job.get("status", {}).get("conditions", []):
        if condition["type"] in {"Complete", "Failed"} and condition["status"] == "True":
            found: dict[str, Any] = condition
            return found
    return {}


def _terminated(pod: dict[str, Any]) -> dict[str, Any]:
    for container in pod.get("status", {}).get("containerStatuses", []):
        if container.get("name") == CONTAINER:
            ended: dict[str, Any] = container.get("state", {}).get("terminated", {})
            return ended
    return {}
