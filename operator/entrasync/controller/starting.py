"""Why a run does not start, by its Job, its pods, their events and its claim. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from entrasync.controller import remedies
from entrasync.controller.durations import parse_time
from entrasync.controller.nodes import pod_has_ended
from entrasync.controller.pods import CONTAINER

PATIENCE: Final = dt.timedelta(minutes=3)
"""How long starting may take: images are pulled, volumes made, nodes added meanwhile."""
SHORT_PATIENCE: Final = dt.timedelta(seconds=45)
"""The same where what was said does not pass by itself."""

_STARTING: Final = frozenset({"ContainerCreating", "PodInitializing", ""})
_CONCLUSIVE: Final = frozenset(
    {"InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError", "StartError"}
)


@dataclass(slots=True, frozen=True, kw_only=True)
class Stuck:
    """What keeps a run from starting.

    Attributes:
        message: Kubernetes' own words, and what to do.
        conclusive: whether it is sure not to pass by itself.
    """

    message: str
    conclusive: bool = False

    @property
    def patience(self) -> dt.timedelta:
        """How long to wait before somebody is told."""
        return SHORT_PATIENCE if self.conclusive else PATIENCE


@dataclass(slots=True, frozen=True, kw_only=True)
class Scene:
    """What is known of a run that should start.

    Attributes:
        pods: of its Job.
        job_events: events of the Job, of interest when it has no pod.
        pod_events: events of its newest pod, of interest while it has no container.
        claim: the claim with the state; `None` when there is none or it was not read.
        claim_events: its events.
    """

    pods: Sequence[dict[str, Any]]
    job_events: Sequence[dict[str, Any]] = ()
    pod_events: Sequence[dict[str, Any]] = ()
    claim: dict[str, Any] | None = None
    claim_events: Sequence[dict[str, Any]] = ()


def has_started(pod: dict[str, Any]) -> bool:
    """Whether the runner in a pod has begun, or even ended."""
    state = _container_state(pod)
    return "running" in state or "terminated" in state


def is_only_others(pod: dict[str, Any], now: dt.datetime) -> bool:
    """Whether the runner has ended, and only containers that others added go on in its pod.

    A sidecar that does not end with the runner keeps a Job from ending for ever.
    """
    ended = parse_time(_ended_at(pod))
    running = pod.get("status", {}).get("phase") == "Running"
    return running and ended is not None and now - ended >= SHORT_PATIENCE


def cannot_start(scene: Scene) -> Stuck | None:
    """Why a run does not start; `None` while nothing is known to be wrong."""
    pod = newest(scene.pods)
    if pod is None:
        said = _last_said(scene.job_events, {"FailedCreate"})
        return None if said is None else Stuck(message=remedies.refused(said), conclusive=True)
    if has_started(pod):
        return None
    return _waits(pod) or _claim_problem(scene) or _unplaced(pod) or _unmounted(scene)


def newest(pods: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """The pod that was made last; of several of one second the one that ended last, if at all."""
    return max(
        pods, key=lambda pod: (created(pod), not pod_has_ended(pod), _ended_at(pod)), default=None
    )


def created(pod: dict[str, Any]) -> str:
    """When a pod was made, in a form that sorts."""
    return str(pod.get("metadata", {}).get("creationTimestamp", ""))


def waiting_since(pods: Sequence[dict[str, Any]], started: dt.datetime) -> dt.datetime:
    """Since when a run has been starting: the Job is that old, or a later pod of it."""
    pod = newest(pods)
    made = parse_time(created(pod)) if pod is not None else None
    return started if made is None else max(made, started)


def _waits(pod: dict[str, Any]) -> Stuck | None:
    """What the kubelet says of a container that it cannot make, a webhook's included."""
    status = pod.get("status", {})
    for container in (
        *status.get("containerStatuses", []),
        *status.get("initContainerStatuses", []),
    ):
        waiting = container.get("state", {}).get("waiting", {})
        reason = str(waiting.get("reason", ""))
        if reason in _STARTING:
            continue
        said = str(waiting.get("message", ""))
        name = container.get("name", "")
        if name != CONTAINER:
            said = f"container {name}, which is not of entrasync: {said}"
        return Stuck(message=remedies.not_started(reason, said), conclusive=reason in _CONCLUSIVE)
    return None


def _claim_problem(scene: Scene) -> Stuck | None:
    """What is wrong with the claim that keeps the state."""
    if scene.claim is None:
        return None
    name = scene.claim["metadata"]["name"]
    phase = scene.claim.get("status", {}).get("phase")
    if phase == "Lost":
        return Stuck(
            message=f"claim {name} has lost its volume; bring the volume back, or delete the claim:"
            " the state is rebuilt where it is missing",
            conclusive=True,
        )
    if phase != "Pending":
        return None
    said = _last_said(scene.claim_events, {"ProvisioningFailed", "FailedBinding"})
    if said is None:
        return None
    return Stuck(message=f"claim {name} has no volume: {remedies.not_bound(said)}")


def _unplaced(pod: dict[str, Any]) -> Stuck | None:
    for condition in pod.get("status", {}).get("conditions", []):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            said = str(condition.get("message") or "the pod cannot be scheduled")
            return Stuck(message=remedies.not_placed(said))
    return None


def _unmounted(scene: Scene) -> Stuck | None:
    """What the kubelet says before there is a container at all."""
    said = _last_said(
        scene.pod_events,
        {"FailedMount", "FailedAttachVolume", "FailedCreatePodSandBox", "FailedMapVolume"},
    )
    return None if said is None else Stuck(message=remedies.not_mounted(said))


def _container_state(pod: dict[str, Any]) -> dict[str, Any]:
    for container in pod.get("status", {}).get("containerStatuses", []):
        if container.get("name") == CONTAINER:
            state: dict[str, Any] = container.get("state", {})
            return state
    return {}


def _ended_at(pod: dict[str, Any]) -> str:
    return str(_container_state(pod).get("terminated", {}).get("finishedAt", ""))


def _last_said(events: Iterable[dict[str, Any]], reasons: set[str]) -> str | None:
    """The message of the last event with one of these reasons."""
    found = [each for each in events if each.get("reason") in reasons and each.get("message")]
    last = max(found, key=_said_at, default=None)
    return None if last is None else str(last["message"])


def _said_at(event: dict[str, Any]) -> str:
    series = (event.get("series") or {}).get("lastObservedTime")
    made = event.get("metadata", {}).get("creationTimestamp")
    return str(series or event.get("lastTimestamp") or event.get("eventTime") or made or "")
