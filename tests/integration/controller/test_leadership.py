"""Two operators on a real API server: one acts, and the other one takes over when it is gone."""

from __future__ import annotations

import itertools
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import samples
from tests.support.control_plane import ControlPlane, eventually
from tests.support.operator_process import OperatorProcess

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

LEASE = "entrasync-leader"
PLACE = "leadership"
CHANGES = {"create", "update", "patch", "delete"}


class Replicas:
    """Operators of one release, each known to the API server by a name of its own."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        self.plane = plane
        self._folder = folder
        self._tenants = itertools.count(1)
        self._started: list[OperatorProcess] = []

    def start(self, name: str, **environment: str) -> OperatorProcess:
        operator = OperatorProcess(
            self.plane.kubeconfig_of(name, "system:masters"),
            self._folder / f"{name}.log",
            (PLACE,),
            environment,
        )
        self._started.append(operator)
        operator.start()
        return operator

    def end(self) -> None:
        for each in self._started:
            each.kill()

    def lease(self) -> dict[str, Any]:
        found = self.plane.kube.get("Lease", LEASE, "entrasync")
        assert found is not None
        spec: dict[str, Any] = found["spec"]
        return spec

    def holder(self) -> str:
        return str(self.lease().get("holderIdentity", "")).rpartition("_")[0]

    def give_work(self) -> str:
        """A tenant that somebody has to look at; gives its name."""
        name = f"tenant-{next(self._tenants)}"
        manifest = samples.tenant(ready=False, cloudRef={"name": "nowhere"}).to_manifest()
        manifest["metadata"] = {"name": name, "namespace": PLACE}
        self.plane.kube.create(manifest)
        return name

    def wait_for_work(self, name: str) -> None:
        eventually(
            lambda: (
                (self.plane.kube.get("EntraTenant", name, PLACE) or {})
                .get("status", {})
                .get("conditions")
            ),
            f"nobody looked at {name}",
        )

    def changes(self) -> list[str]:
        """Who changed something other than the Lease, in order of the answers."""
        found = [
            event
            for event in self.plane.audited()
            if event["user"]["username"].startswith("replica-")
            and event["verb"] in CHANGES
            and event["objectRef"]["resource"] != "leases"
            and event["responseStatus"]["code"] < 300
        ]
        found.sort(key=lambda event: str(event["stageTimestamp"]))
        return [event["user"]["username"] for event in found]

    def turns(self) -> list[str]:
        """Who acted, each once a turn."""
        return [name for name, _ in itertools.groupby(self.changes())]


@pytest.fixture
def replicas(tmp_path: Path) -> Iterator[Replicas]:
    """On a control plane of the test's own: it is held, and its Lease is taken."""
    with ControlPlane(tmp_path / "plane", controllers=(), audit=True) as plane:
        plane.namespace(PLACE)
        found = Replicas(plane, tmp_path)
        yield found
        found.end()


def test_the_other_takes_over_at_once_when_the_leader_is_asked_to_end(
    replicas: Replicas,
) -> None:
    port = _free_port()
    first = replicas.start("replica-a")
    first.wait_for_log('"leading"')
    second = replicas.start("replica-b", ENTRASYNC_HEALTH_PORT=str(port))
    eventually(lambda: _is_healthy(port), "the standby is not healthy")
    replicas.wait_for_work(replicas.give_work())

    assert first.stop() == 0
    second.wait_for_log('"leading"')
    replicas.wait_for_work(replicas.give_work())

    assert "lease_released" in first.said()
    assert replicas.holder() == "replica-b"
    assert replicas.turns() == ["replica-a", "replica-b"]


def test_the_other_takes_over_when_the_leader_is_killed(replicas: Replicas) -> None:
    first = replicas.start("replica-a")
    first.wait_for_log('"leading"')
    second = replicas.start("replica-b")
    replicas.wait_for_work(replicas.give_work())

    first.kill()
    work = replicas.give_work()
    second.wait_for_log('"leading"')
    replicas.wait_for_work(work)

    assert replicas.lease()["leaseTransitions"] == 1
    assert replicas.turns() == ["replica-a", "replica-b"]


def test_a_leader_that_was_held_changes_nothing_any_more(replicas: Replicas) -> None:
    """It comes to itself when another one leads already, in the middle of whatever it did."""
    first = replicas.start("replica-a")
    first.wait_for_log('"leading"')
    second = replicas.start("replica-b")
    replicas.wait_for_work(replicas.give_work())

    first.pause()
    work = replicas.give_work()
    second.wait_for_log('"leading"')
    replicas.wait_for_work(work)
    replicas.give_work()
    first.resume()

    assert first.wait_ended() == 1
    assert "leadership_lost" in first.said()
    replicas.wait_for_work(replicas.give_work())
    assert replicas.turns() == ["replica-a", "replica-b"]


def test_a_leader_without_an_api_server_steps_down_before_it_can_be_succeeded(
    replicas: Replicas,
) -> None:
    first = replicas.start("replica-a")
    first.wait_for_log('"leading"')
    second = replicas.start("replica-b")
    replicas.wait_for_work(replicas.give_work())

    replicas.plane.apiserver.pause()
    assert first.wait_ended() == 1
    assert "leadership_lost" in first.said()
    # nothing was answered meanwhile, so nobody can have taken the Lease
    replicas.plane.apiserver.resume()

    second.wait_for_log('"leading"')
    replicas.wait_for_work(replicas.give_work())
    assert replicas.turns() == ["replica-a", "replica-b"]


def test_an_operator_waits_for_an_api_server_that_is_not_there_yet(replicas: Replicas) -> None:
    replicas.plane.apiserver.stop()
    operator = replicas.start("replica-a")
    operator.wait_for_log("operator_waits_for_cluster")
    impatient = replicas.start("replica-b")
    impatient.wait_for_log("operator_waits_for_cluster")
    assert impatient.stop() == 0

    replicas.plane.apiserver.start()

    operator.wait_for_log('"leading"')


def test_a_definition_that_goes_away_ends_it_and_the_next_one_says_why(
    replicas: Replicas,
) -> None:
    working = replicas.start("replica-a")
    working.wait_for_log('"leading"')
    replicas.wait_for_work(replicas.give_work())
    replicas.plane.kube.delete("CustomResourceDefinition", "syncruns.entrasync.dev")
    eventually(
        lambda: (
            replicas.plane.kube.get("CustomResourceDefinition", "syncruns.entrasync.dev") is None
        ),
        "the definition stays",
    )

    assert working.wait_ended() == 1
    operator = replicas.start("replica-b")

    assert operator.wait_ended() == 2
    assert "syncruns.entrasync.dev is not installed; install the chart" in operator.said()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
