"""Whatever happens to the operator and its API server: the same story with the same ending."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.control_plane import ControlPlane, eventually
from tests.support.faulty_api import Answer, Call, Fault, FaultyApi, Lose, faulty_api
from tests.support.forwarder import forwarding
from tests.support.operator_process import OperatorProcess
from tests.support.operator_story import NAME, Story

pytestmark = pytest.mark.integration

Start = Callable[..., OperatorProcess]
KILLED_AT = (1, 2, 3, 5, 8, 13, 21, 4, 6, 10)
"""At which of its changes each operator is killed, one after the other."""


@pytest.fixture
def story(control_plane: ControlPlane, namespace: str) -> Iterator[Story]:
    found = Story(control_plane, namespace)
    with found.told():
        yield found


@pytest.fixture
def api(control_plane: ControlPlane) -> Iterator[FaultyApi]:
    with faulty_api(control_plane) as found:
        yield found


def free_lease(control_plane: ControlPlane) -> None:
    """The Lease of an operator that is dead for sure; else the next one waits until it runs out."""
    for lease in control_plane.kube.list("Lease", "entrasync"):
        if lease["metadata"]["name"].startswith("entrasync-leader"):
            control_plane.kube.delete("Lease", lease["metadata"]["name"], "entrasync")


@pytest.fixture(autouse=True)
def _lease_is_free(control_plane: ControlPlane) -> None:
    free_lease(control_plane)


def test_the_story_when_nothing_happens(
    story: Story, start_operator: Start, namespace: str
) -> None:
    start_operator(namespace)
    story.whole()
    story.wait_ending()


def test_an_operator_that_is_killed_again_and_again_at_its_changes(
    story: Story,
    start_operator: Start,
    namespace: str,
    api: FaultyApi,
    control_plane: ControlPlane,
    tmp_path: Path,
) -> None:
    killed = threading.Event()
    left = 0
    pid = 0

    def plan(call: Call) -> Fault | None:
        nonlocal left
        if killed.is_set():
            return Lose(done=False)
        if not call.changes or call.elects or left == 0:
            return None
        left -= 1
        if left > 0:
            return None
        os.kill(pid, signal.SIGKILL)
        killed.set()
        # every other time it was done, and nobody was told
        return Lose(done=call.number % 2 == 0)

    api.plan = plan
    with ThreadPoolExecutor(1) as threads:
        whole = threads.submit(story.whole)
        for number in KILLED_AT:
            killed.clear()
            operator = start_operator(namespace, kubeconfig=api.kubeconfig(tmp_path))
            pid = operator.pid
            left = number
            eventually(lambda: killed.is_set() or whole.done(), f"it makes no {number} changes")
            left = 0
            operator.kill()
            free_lease(control_plane)
        killed.clear()
        start_operator(namespace, kubeconfig=api.kubeconfig(tmp_path))
        whole.result()
    story.wait_ending()


@pytest.mark.parametrize("part", ["apiserver", "etcd", "both"])
def test_a_control_plane_that_crashes_in_mid_run(
    story: Story, start_operator: Start, namespace: str, control_plane: ControlPlane, part: str
) -> None:
    operator = start_operator(namespace)
    story.begin()
    story.wait_runs(1)
    story.held = True
    story.request()
    story.wait_running()
    if part in {"apiserver", "both"}:
        control_plane.apiserver.kill()
    if part in {"etcd", "both"}:
        control_plane.etcd.restart(kill=True)
    if part in {"apiserver", "both"}:
        control_plane.apiserver.start()
    control_plane.apiserver.wait_ready()
    story.held = False
    story.wait_runs(2)
    story.wait_ending()
    assert operator.running


def test_an_api_server_that_hangs_for_a_moment(
    story: Story, start_operator: Start, namespace: str, control_plane: ControlPlane
) -> None:
    operator = start_operator(namespace)
    story.begin()
    story.wait_runs(1)
    story.request()
    control_plane.etcd.pause()
    try:
        assert not control_plane.kube.ready()
    finally:
        control_plane.etcd.resume()
    story.wait_runs(2)
    story.wait_ending()
    assert operator.running


def test_connections_that_are_cut_again_and_again(
    story: Story, start_operator: Start, namespace: str, control_plane: ControlPlane
) -> None:
    over = threading.Event()
    with forwarding("127.0.0.1", ("127.0.0.1", urlsplit(control_plane.server).port or 0)) as wire:

        def cutter() -> None:
            while not over.wait(1):
                wire.cut()

        server = f"https://127.0.0.1:{wire.port}"
        kubeconfig = control_plane.kubeconfig_of("cut-off", "system:masters", server)
        operator = start_operator(namespace, kubeconfig=kubeconfig)
        operator.wait_for_log('"leading"')
        thread = threading.Thread(target=cutter)
        thread.start()
        try:
            story.whole()
            story.wait_ending()
        finally:
            over.set()
            thread.join()
        assert operator.running


def test_an_api_server_that_is_busy_confused_and_far_away(
    story: Story, start_operator: Start, namespace: str, api: FaultyApi, tmp_path: Path
) -> None:
    told: set[object] = set()

    def plan(call: Call) -> Fault | None:
        fault: Fault | None = None
        if call.elects or "customresourcedefinitions" in call.path:
            return None
        if call.number % 17 == 0:
            fault = Answer(429, retry_after=1)
        elif call.number % 29 == 0:
            fault = Answer(500)
        elif call.number % 37 == 0:
            fault = Lose(done=call.number % 2 == 0)
        elif call.method in {"PATCH", "PUT"} and call.number % 3 == 0:
            fault = Answer(409)
        told.add(fault)
        return fault

    operator = start_operator(namespace, kubeconfig=api.kubeconfig(tmp_path))
    operator.wait_for_log("leading")
    api.plan = plan
    story.whole()
    story.wait_ending()
    assert {Answer(429, retry_after=1), Answer(500), Answer(409)} <= told
    assert operator.running


def test_a_deletion_that_no_watch_told_of_is_noticed(
    story: Story,
    start_operator: Start,
    namespace: str,
    api: FaultyApi,
    control_plane: ControlPlane,
    tmp_path: Path,
) -> None:
    kube = control_plane.kube
    operator = start_operator(namespace, kubeconfig=api.kubeconfig(tmp_path))
    story.whole()
    assert _claims(control_plane, namespace)
    api.blind = True
    eventually(lambda: api.cut_watches() > 0, "it watches nothing")
    kube.delete("DirectorySync", NAME, namespace)
    eventually(lambda: kube.get("DirectorySync", NAME, namespace) is None, "it is not deleted")
    # its watches cannot go on where they were: what they missed is told by nobody
    control_plane.compact()
    control_plane.apiserver.restart(kill=True)
    api.blind = False
    eventually(lambda: not _claims(control_plane, namespace), "the tenant is still claimed")
    assert operator.running


def test_the_leader_is_killed_in_mid_run_and_the_other_goes_on(
    story: Story, start_operator: Start, namespace: str
) -> None:
    leader = start_operator(namespace)
    leader.wait_for_log('"leading"')
    other = start_operator(namespace)
    story.begin()
    story.wait_runs(1)
    story.held = True
    story.request()
    story.wait_running()
    leader.kill()
    story.held = False
    story.wait_runs(2)
    story.wait_ending()
    assert other.running
    assert '"leading"' in other.said()


def _claims(control_plane: ControlPlane, namespace: str) -> list[str]:
    """Leases of tenants that syncs of a namespace hold."""
    return [
        lease["metadata"]["name"]
        for lease in control_plane.kube.list("Lease", "entrasync")
        if str(lease["spec"].get("holderIdentity", "")).startswith(f"{namespace}/")
    ]
