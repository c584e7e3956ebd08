"""One story an operator must always tell the same: checks, a first run, one that was asked for.

Whatever happens to the operator and its API server meanwhile, it ends in the same state, and every
run has had one pod.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import httpx

from entrasync.api.result import RunResult
from entrasync.api.sync_run import TRIGGER_LABEL
from tests.support.control_plane import ControlPlane, eventually
from tests.support.kube import Kube, Manifest, RefusedError
from tests.support.kubelet import GOOD, Kubelet, run_of, sync_of

NAME: Final = "contoso"
REQUEST: Final = "entrasync.dev/run-requested-at"
PATIENCE: Final = 120.0
_NUMBERS = itertools.count(1)


@dataclass(slots=True, frozen=True, kw_only=True)
class Ending:
    """How a story ended; two are equal when nothing of meaning differs.

    Attributes:
        runs: phases of runs, by what made them.
        pods: how many pods the runs had, sorted.
        conditions: of the sync, the tenant and the directory.
        requested: the request that was handled.
    """

    runs: tuple[tuple[str, str], ...]
    pods: tuple[int, ...]
    conditions: frozenset[tuple[str, str, str, str]]
    requested: str


EXPECTED: Final = Ending(
    runs=(
        ("Annotation", "Succeeded"),
        ("Check", "Succeeded"),
        ("Check", "Succeeded"),
        ("SpecChange", "Succeeded"),
    ),
    pods=(1, 1, 1, 1),
    conditions=frozenset(
        {
            ("DirectorySync", "Ready", "True", "Synchronized"),
            ("DirectorySync", "Synchronized", "True", "Synchronized"),
            ("EntraTenant", "Ready", "True", "Accepted"),
            ("EntraTenant", "CredentialsValid", "True", "Accepted"),
            ("ActiveDirectory", "Ready", "True", "Accepted"),
        }
    ),
    requested="now",
)


class Story:
    """The story in one namespace.

    Args:
        plane: where.
        namespace: of its own.
    """

    def __init__(self, plane: ControlPlane, namespace: str) -> None:
        self.namespace = namespace
        self.held = False
        """Whether pods of the sync run on instead of ending."""
        self._kube: Kube = plane.kube
        self._kubelet = Kubelet(plane.kube, self._answer, namespace)

    @contextmanager
    def told(self) -> Iterator[None]:
        """Pods end while the block runs."""
        with self._kubelet:
            yield
        assert not self._kubelet.doubled, "two pods of the sync at once"

    def begin(self) -> None:
        """Somebody applies everything."""
        number = next(_NUMBERS)
        self._kube.apply(
            _object(
                "DirectorySync",
                self.namespace,
                sources=[{"name": "ad", "activeDirectoryRef": {"name": NAME}}],
                target={"entraTenantRef": {"name": NAME}},
            ),
            _object(
                "EntraTenant",
                self.namespace,
                cloudRef={"name": "azure-commercial"},
                tenantId=f"00000000-0000-4000-9000-{number:012x}",
                application={
                    "clientId": "7d444840-9dc0-11d1-b245-5ffdce74fad2",
                    "certificateSecretRef": {"name": "entra-app"},
                },
            ),
            _object(
                "ActiveDirectory",
                self.namespace,
                servers=["ldaps://dc1.contoso.test"],
                baseDN="DC=contoso,DC=test",
                bindSecretRef={"name": "ad-reader"},
                caProvider={"type": "ConfigMap", "name": "ad-ca"},
            ),
        )

    def request(self) -> None:
        """Somebody asks for a run."""
        asked = {"metadata": {"annotations": {REQUEST: EXPECTED.requested}}}
        self._kube.patch("DirectorySync", NAME, self.namespace, asked)

    def wait_running(self) -> None:
        """Waits until a run of the sync has a pod that runs."""
        eventually(self._has_running, "no run of the sync runs", PATIENCE)

    def wait_runs(self, count: int) -> None:
        """Waits until so many runs of the sync succeeded."""
        eventually(lambda: self._succeeded() >= count, self._whole(count), PATIENCE)

    def whole(self) -> None:
        """All of it."""
        self.begin()
        self.wait_runs(1)
        self.request()
        self.wait_runs(2)

    def wait_ending(self) -> None:
        """Waits until it ended as it must, and fails with how it did when it does not."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self._ending_or_none() != EXPECTED:
            time.sleep(0.1)
        assert self.ending() == EXPECTED

    def ending(self) -> Ending:
        """How it stands now."""
        runs = self._kube.list("SyncRun", self.namespace)
        pods = Counter(run_of(pod) for pod in self._kube.list("Pod", self.namespace))
        sync = self._get("DirectorySync")
        return Ending(
            runs=tuple(sorted(_trigger_and_phase(run) for run in runs)),
            pods=tuple(sorted(pods.values())),
            conditions=frozenset(
                (kind, each["type"], each["status"], each["reason"])
                for kind in ("DirectorySync", "EntraTenant", "ActiveDirectory")
                for each in self._get(kind)["status"].get("conditions", ())
            ),
            requested=sync["status"].get("lastHandledRequest", ""),
        )

    def _ending_or_none(self) -> Ending | None:
        try:
            return self.ending()
        except (httpx.HTTPError, RefusedError):
            return None

    def _answer(self, pod: Manifest) -> RunResult | None:
        return None if self.held and sync_of(pod) else GOOD

    def _get(self, kind: str) -> Manifest:
        found = self._kube.get(kind, NAME, self.namespace)
        assert found is not None, f"{kind}/{NAME} is gone"
        return found

    def _has_running(self) -> bool:
        pods = self._quietly("Pod")
        return any(sync_of(pod) and pod["status"].get("phase") == "Running" for pod in pods)

    def _succeeded(self) -> int:
        runs = [run for run in self._quietly("SyncRun") if "directorySyncRef" in run["spec"]]
        return sum(_trigger_and_phase(run)[1] == "Succeeded" for run in runs)

    def _quietly(self, kind: str) -> list[Manifest]:
        try:
            return self._kube.list(kind, self.namespace)
        except (httpx.HTTPError, RefusedError):
            return []  # the API server is away, as some tests want it

    def _whole(self, count: int) -> str:
        return f"{self.namespace}: run {count} does not succeed"


def _trigger_and_phase(run: Manifest) -> tuple[str, str]:
    labels = run["metadata"].get("labels", {})
    return labels.get(TRIGGER_LABEL, ""), run.get("status", {}).get("phase", "")


def _object(kind: str, namespace: str, **spec: object) -> Manifest:
    return {
        "apiVersion": "entrasync.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": NAME, "namespace": namespace},
        "spec": spec,
    }
