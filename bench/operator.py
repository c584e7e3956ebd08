"""The operator with up to a thousand syncs: how soon it answers, what it holds and asks for.

etcd, the API server, the controllers and the operator share this machine; there is no node: a hand
ends the pods of runs that come due. All other Jobs and pods have ended and are held back.
"""

from __future__ import annotations

import datetime as dt
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

from bench import operator_world as world
from bench.figures import Figure
from tests.support.control_plane import ACCOUNT, ControlPlane, eventually
from tests.support.kube import Manifest
from tests.support.kubelet import Kubelet
from tests.support.operator_process import OperatorProcess

SIZES = (10, 100, 1000)
STEADY_SECONDS = 180
"""So much of an interval is watched; runs come due evenly, so it stands for all of it."""
SAMPLES = 60
"""Syncs applied, one after the other, to measure how soon they have a status."""
LEAD = dt.timedelta(seconds=90)
PATIENCE = 300
PLOT = Path(__file__).parent / "results" / "operator.png"
_LOOKED_AT = ("directorysyncs", "entratenants", "activedirectories")


@dataclass(slots=True, frozen=True, kw_only=True)
class Measured:
    """What was measured at one size.

    Attributes:
        size: number of syncs.
        settled_seconds: from the start of the process until each object was looked at.
        first_status_seconds: from applying to the first status, each sample.
        requests_per_sync_hour: to the API server, of all sorts.
        runs_per_hour: that were made meanwhile.
        rss_mib: most memory the operator had.
    """

    size: int
    settled_seconds: float
    first_status_seconds: tuple[float, ...]
    requests_per_sync_hour: float
    runs_per_hour: float
    rss_mib: float

    @property
    def first_status_p95(self) -> float:
        """95 of 100 samples were as fast."""
        return statistics.quantiles(self.first_status_seconds, n=20, method="inclusive")[-1]


def measure() -> list[Figure]:
    """10, 100 and 1,000 syncs with six runs each, their Jobs and pods, on a real API server."""
    found: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="entrasync-bench-") as folder:
        path = Path(folder)
        with ControlPlane(path / "plane", audit=True, audited_users=[ACCOUNT]) as plane:
            operator = OperatorProcess(plane.operator_kubeconfig(), path / "operator.log")
            with operator:
                template = world.live_one(plane)
            world.remove_template(plane)
            for size in SIZES:
                made = found[-1].size if found else 0
                _say(f"{size} syncs: making {size - made} with all they have")
                world.populate(plane, template, range(made, size))
                found.append(_measure_one(plane, operator, size))
    _plot(found)
    return _figures(found)


def _measure_one(plane: ControlPlane, operator: OperatorProcess, size: int) -> Measured:
    audit = Audit(plane.audit_log)
    world.spread(plane, size, LEAD)
    with operator:
        # it takes the tenants, which it had if it had made all this itself
        _wait_settled(audit, operator, size)
        operator.stop()
    world.spread(plane, size, LEAD)
    with Kubelet(plane.kube, pause=0.5) as kubelet, operator:
        settled = _wait_settled(audit, operator, size)
        _say(f"  settled after {settled:.1f} s, {operator.rss_mib:.0f} MiB")
        started = time.time()
        _wait_until(started + STEADY_SECONDS)
        requests = [each for each in audit.new() if each.at >= started]
        lasted = time.time() - started
        runs = sum(each.verb == "create" and each.resource == "syncruns" for each in requests)
        _say(f"  {len(requests)} requests and {runs} runs in {lasted:.0f} s")
        _must_run(operator)
        first = tuple(_first_status(plane, operator, size, sample) for sample in range(SAMPLES))
        peak = operator.peak_mib
        ended = sum(kubelet.ran.values())
        _say(f"  first status after {statistics.median(first):.2f} s, {ended} pods ended")
        if kubelet.doubled:
            raise RuntimeError(f"two pods of one sync at once: {kubelet.doubled}")
        operator.stop()
    _remove_samples(plane, size)
    return Measured(
        size=size,
        settled_seconds=settled,
        first_status_seconds=first,
        requests_per_sync_hour=len(requests) / size * 3600 / lasted,
        runs_per_hour=runs * 3600 / lasted,
        rss_mib=peak,
    )


def _wait_settled(audit: Audit, operator: OperatorProcess, size: int) -> float:
    """Waits until the operator has looked at everything once; seconds since it was started."""
    started = time.time()
    wanted = {
        (resource, *world.place_of(number)) for resource in _LOOKED_AT for number in range(size)
    }
    last = started

    def looked_at_all() -> bool:
        nonlocal last
        _must_run(operator)
        for request in audit.new():
            key = (request.resource, request.namespace, request.name)
            if request.at >= started and request.verb == "get" and key in wanted:
                wanted.discard(key)
                last = request.at
        return not wanted

    eventually(looked_at_all, "not everything was looked at", seconds=PATIENCE)
    return last - started


def _must_run(operator: OperatorProcess) -> None:
    """Nothing restarts it here, as a cluster would."""
    if not operator.running:
        raise RuntimeError(f"the operator ended: {operator.said()[-2000:]}")


def _first_status(plane: ControlPlane, operator: OperatorProcess, size: int, sample: int) -> float:
    """Applies a tenant, a directory and a sync of them; seconds until the sync has a status."""
    kube = plane.kube
    namespace, _ = world.place_of((sample * 37) % size)
    name = f"sample-{sample}"
    started = time.monotonic()
    kube.apply(
        world.tenant(name, namespace, 10**9 + size * 1000 + sample),
        world.directory(name, namespace),
        world.sync(name, namespace),
    )

    def has_status() -> bool:
        _must_run(operator)
        found = kube.get("DirectorySync", name, namespace)
        return found is not None and found["status"].get("observedGeneration", -1) > 0

    eventually(has_status, f"{namespace}/{name} has no status")
    took = time.monotonic() - started
    time.sleep(0.5)
    return took


def _remove_samples(plane: ControlPlane, size: int) -> None:
    for sample in range(SAMPLES):
        namespace, _ = world.place_of((sample * 37) % size)
        for kind in ("DirectorySync", "EntraTenant", "ActiveDirectory"):
            plane.kube.delete(kind, f"sample-{sample}", namespace)


def _wait_until(moment: float) -> None:
    while (left := moment - time.time()) > 0:
        time.sleep(min(left, 1))


@dataclass(slots=True, frozen=True, kw_only=True)
class Request:
    """One request of the operator, as the API server's audit log tells it."""

    at: float
    verb: str
    resource: str
    namespace: str
    name: str


class Audit:
    """The audit log, read on from where it was left.

    Args:
        path: of the log.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._place = 0

    def new(self) -> Iterator[Request]:
        """What came since the last time."""
        with self._path.open("rb") as log:
            log.seek(self._place)
            for line in log:
                if not line.endswith(b"\n"):
                    return
                self._place += len(line)
                yield _read(json.loads(line))


def _read(entry: Manifest) -> Request:
    about = entry.get("objectRef") or {}
    at = dt.datetime.fromisoformat(entry["requestReceivedTimestamp"])
    return Request(
        at=at.timestamp(),
        verb=entry["verb"],
        resource=about.get("resource", ""),
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
    )


def _figures(found: list[Measured]) -> list[Figure]:
    largest = found[-1]
    figures = [
        Figure(
            name="first_status_p95_seconds",
            value=round(largest.first_status_p95, 3),
            unit="s",
            at_most=2,
        ),
        Figure(name="rss_mib", value=round(largest.rss_mib, 1), unit="MiB", at_most=200),
        Figure(
            name="restart_settled_seconds",
            value=round(largest.settled_seconds, 1),
            unit="s",
            at_most=60,
        ),
        Figure(name="api_requests_per_sync_hour", value=round(largest.requests_per_sync_hour, 1)),
        Figure(name="runs_per_hour", value=round(largest.runs_per_hour)),
    ]
    for each in found[:-1]:
        figures += [
            Figure(
                name=f"first_status_p95_seconds_{each.size}",
                value=round(each.first_status_p95, 3),
                unit="s",
            ),
            Figure(name=f"rss_mib_{each.size}", value=round(each.rss_mib, 1), unit="MiB"),
            Figure(
                name=f"restart_settled_seconds_{each.size}",
                value=round(each.settled_seconds, 1),
                unit="s",
            ),
            Figure(
                name=f"api_requests_per_sync_hour_{each.size}",
                value=round(each.requests_per_sync_hour, 1),
            ),
        ]
    return figures


def _plot(found: list[Measured]) -> None:
    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415  - after the choice of a backend

    figure, axes = plt.subplots(1, 4, figsize=(16, 4), layout="constrained")
    sizes = [each.size for each in found]
    shown: tuple[tuple[str, Callable[[Measured], float], float | None], ...] = (
        ("seconds to the first status, p95", lambda each: each.first_status_p95, 2),
        ("seconds to settle after a restart", lambda each: each.settled_seconds, 60),
        ("MiB, most", lambda each: each.rss_mib, 200),
        ("API requests per sync and hour", lambda each: each.requests_per_sync_hour, None),
    )
    for axis, (label, value, goal) in zip(axes, shown, strict=True):
        axis.plot(sizes, [value(each) for each in found], marker="o")
        if goal is not None:
            axis.axhline(goal, linestyle=":", color="grey")
        axis.set(xscale="log", xlabel="syncs", ylabel=label, ylim=(0, None))
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, dpi=110)
    plt.close(figure)


def _say(text: str) -> None:
    print(f"  {text}", flush=True)
