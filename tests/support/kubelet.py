"""A hand that plays the kubelet on a control plane without a node: pods start and end by its word.

The Job controller of the control plane is real: it makes the pods, and ends a Job by what its pods
say here.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx

from entrasync.api.result import CheckOutcome, RunResult
from entrasync.api.sync_run import RUN_LABEL, SYNC_LABEL
from tests.support.kube import Kube, Manifest, RefusedError

MANAGED = "app.kubernetes.io/managed-by=entrasync"
NOT_ENDED = "status.phase!=Succeeded,status.phase!=Failed"
GOOD = RunResult(
    outcome="Succeeded",
    reason="Synchronized",
    mode="Apply",
    scope="Delta",
    tenant_check=CheckOutcome(ok=True, reason="Accepted"),
    directory_check=CheckOutcome(ok=True, reason="Accepted"),
)
"""What a run or check tells that found everything well and changed nothing."""

Answer = Callable[[Manifest], RunResult | None]
"""A pod -> its result; `None`: it runs on."""


class Kubelet:
    """Starts and ends pods; a context manager that goes on until it is left.

    Args:
        kube: the API.
        answer: the result of a pod.
        namespace: the only one it cares for.
        pause: seconds between two looks.

    Attributes:
        ran: how many pods ended, by sync and run.
        doubled: syncs of which two pods were seen alive at once.
    """

    def __init__(
        self,
        kube: Kube,
        answer: Answer = lambda _: GOOD,
        namespace: str | None = None,
        pause: float = 0.1,
    ) -> None:
        self.answer = answer
        self.ran: Counter[tuple[str, str]] = Counter()
        self.doubled: list[str] = []
        self._kube = kube
        self._namespace = namespace
        self._pause = pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="kubelet", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def look(self) -> None:
        """Takes every pod one step further: started, or ended when its answer is there."""
        alive = self._kube.list(
            "Pod", self._namespace, labelSelector=MANAGED, fieldSelector=NOT_ENDED
        )
        syncs = Counter(
            f"{pod['metadata']['namespace']}/{sync_of(pod)}" for pod in alive if sync_of(pod)
        )
        self.doubled += [sync for sync, count in syncs.items() if count > 1]
        for pod in alive:
            result = self.answer(pod)
            if result is not None:
                self.finish(pod, result.to_message())
            elif pod["status"].get("phase") != "Running":
                self.begin(pod)

    def begin(self, pod: Manifest) -> None:
        """The pod runs."""
        state = {"running": {"startedAt": _now()}}
        self._say(pod, "Running", state, ready=True)

    def finish(self, pod: Manifest, message: str, code: int = 0) -> None:
        """The pod ends with a termination message."""
        moment = _now()
        state = {
            "terminated": {
                "exitCode": code,
                "message": message,
                "reason": "Completed" if code == 0 else "Error",
                "startedAt": moment,
                "finishedAt": moment,
            }
        }
        if self._say(pod, "Failed" if code else "Succeeded", state, ready=False):
            self.ran[sync_of(pod), run_of(pod)] += 1

    def wait(self, pod: Manifest, reason: str, message: str) -> None:
        """The pod's container does not start, in the kubelet's words such as `ErrImagePull`."""
        state = {"waiting": {"reason": reason, "message": message}}
        self._say(pod, "Pending", state, ready=False)

    def _say(self, pod: Manifest, phase: str, state: Manifest, *, ready: bool) -> bool:
        container = pod["spec"]["containers"][0]
        told = {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": ready,
            "restartCount": 0,
            "state": state,
        }
        status = {
            "phase": phase,
            "startTime": pod["status"].get("startTime") or _now(),
            "containerStatuses": [told],
        }
        meta = pod["metadata"]
        try:
            self._kube.patch("Pod", meta["name"], meta["namespace"], {"status": status}, "status")
        except RefusedError as refused:
            if refused.status not in {httpx.codes.NOT_FOUND, httpx.codes.CONFLICT}:
                raise
            return False
        return True

    def _work(self) -> None:
        while not self._stop.wait(self._pause):
            try:
                self.look()
            except (httpx.HTTPError, RefusedError):
                continue  # the API server is away for a moment, as some tests want it


def sync_of(pod: Manifest) -> str:
    """The DirectorySync a pod works for; empty for a check."""
    return str(pod["metadata"].get("labels", {}).get(SYNC_LABEL, ""))


def run_of(pod: Manifest) -> str:
    """The SyncRun a pod works for."""
    return str(pod["metadata"].get("labels", {}).get(RUN_LABEL, ""))


def _now() -> str:
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
