"""The NetworkPolicies on a node that enforces them: what is needed passes, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dev.demo import setup
from dev.demo.kubectl import KubectlError
from dev.demo.setup import CLOUD_HOST, OPERATOR_NAMESPACE
from tests.support.stage import Manifest, Place, Stage

pytestmark = pytest.mark.cluster

METRICS = f"entrasync-metrics.{OPERATOR_NAMESPACE}.svc"
PORT = 9000
RUNNER = {"app.kubernetes.io/managed-by": "entrasync", "app.kubernetes.io/part-of": "entrasync"}
SEEN_PORT = 8443
"""Of the emulated cloud's pod: policies see that one, not its Service's."""
CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).close()
except OSError:
    print("closed")
else:
    print("open")
"""


def test_policies_let_through_what_is_needed_and_nothing_else(stage: Stage, place: Place) -> None:
    runner, stranger = Probe(place, "like-a-run", RUNNER), Probe(place, "stranger", {})
    place.apply(runner.manifest(), stranger.manifest())
    directory, cloud, metrics = (stage.directory_host, 636), (CLOUD_HOST, 443), (METRICS, 8081)
    everything = [(runner, to) for to in (directory, cloud, metrics, stranger.address())]
    everything += [(stranger, to) for to in (directory, metrics, runner.address())]

    # without policies all of it passes: so what does not pass later is their doing
    assert [probe.reaches(*to) for probe, to in everything] == [True] * len(everything)
    assert _operator_reaches(place, *cloud)

    with _policies(stage, place):
        place.until("the policies to hold", lambda: not runner.reaches(*metrics), seconds=60)
        assert [runner.reaches(*to) for to in (directory, cloud)] == [True, True]
        assert not runner.reaches(*stranger.address())
        assert stranger.reaches(*directory)
        assert not stranger.reaches(*metrics)
        assert not stranger.reaches(*runner.address())
        assert not _operator_reaches(place, *cloud)
        # operator, checks and runs have all they need
        place.apply(*place.whole())
        place.until_synchronized()

    place.until("the policies to go", lambda: runner.reaches(*metrics), seconds=60)


class Probe:
    """A pod that listens, and from which connections are tried."""

    def __init__(self, place: Place, name: str, labels: dict[str, str]) -> None:
        self._place = place
        self._name = name
        self._labels = labels

    def manifest(self) -> Manifest:
        container = {
            "name": "probe",
            "image": "localhost/entrasync:dev",
            "imagePullPolicy": "Never",
            "command": ["/opt/entrasync/bin/python", "-m", "http.server", str(PORT)],
            "workingDir": "/tmp",  # noqa: S108  - the container's own
            "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
            },
        }
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": self._name,
                "namespace": self._place.name,
                "labels": self._labels,
            },
            "spec": {
                "automountServiceAccountToken": False,
                "terminationGracePeriodSeconds": 1,
                "securityContext": {
                    "runAsNonRoot": True,
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
                "containers": [container],
            },
        }

    def address(self) -> tuple[str, int]:
        """Where it listens, once it does."""

        def ready() -> str | None:
            status = self._place.get("pod", self._name)["status"]
            states = {each["type"]: each["status"] for each in status.get("conditions", [])}
            return str(status["podIP"]) if states.get("Ready") == "True" else None

        host: str = self._place.until(f"pod/{self._name}", ready)
        return host, PORT

    def reaches(self, host: str, port: int) -> bool:
        """Whether a connection comes about."""
        return _reaches(self._place, self._place.name, f"pod/{self._name}", host, port)


def _operator_reaches(place: Place, host: str, port: int) -> bool:
    """Whether the operator could connect to somebody; while it starts anew, nobody can tell."""

    def told() -> list[bool]:
        try:
            return [_reaches(place, OPERATOR_NAMESPACE, "deploy/entrasync", host, port)]
        except KubectlError:
            return []

    (found,) = place.until("the operator's word", told)
    return bool(found)


def _reaches(place: Place, namespace: str, where: str, host: str, port: int) -> bool:
    python = ("/opt/entrasync/bin/python", "-c", CONNECT)
    told = place.kubectl.run("exec", "-n", namespace, where, "--", *python, host, str(port))
    return told.strip() == "open"


@contextmanager
def _policies(stage: Stage, place: Place) -> Iterator[None]:
    """The chart with its policies, for one namespace of syncs."""
    setup.install_operator(
        stage.kubectl,
        "networkPolicy.enabled=true",
        f"runner.namespaces[0].name={place.name}",
        f"networkPolicy.runnerEgress[0].ports[0].port={SEEN_PORT}",
        "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.team=monitoring",
    )
    try:
        yield
    finally:
        setup.install_operator(stage.kubectl)
