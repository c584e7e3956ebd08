"""The demo's company: what its runs cost, in time and requests for each stage.

A Samba domain controller and the emulated cloud on this host, so the seconds hold theirs as well;
the ratios of one run to another, taken together, are what can be compared.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
from pathlib import Path

from bench.figures import Figure
from entrasync.api.result import RunResult
from entrasync.cli.logs import configure_logging
from entrasync.controller.durations import parse_duration
from tests.support.emulator import EmulatorServer
from tests.support.rig import Rig
from tests.support.samba import SambaServer

STAGES = ("import", "evaluate", "plan", "export")
CHANGED_LINKS = 1


def measure() -> list[Figure]:
    """Some 2,000 people: first fill, the demo's changes, and a run that finds nothing (30 s)."""
    with (
        tempfile.TemporaryDirectory(prefix="entrasync-bench-") as folder,
        SambaServer(Path(folder) / "ad", "company") as directory,
        EmulatorServer() as cloud,
    ):
        configure_logging("warning")
        rig = Rig(Path(folder), directory, cloud)
        with contextlib.redirect_stdout(io.StringIO()):
            first = rig.run()
            directory.change("demo")
            delta = rig.run()
            idle = rig.run()
    runs = {"first": first, "delta": delta, "nochange": idle}
    figures = [figure for name, run in runs.items() for figure in _of_run(name, run)]
    return [*figures, *_ratios(first, delta, idle)]


def _of_run(name: str, run: RunResult) -> list[Figure]:
    assert run.source is not None  # noqa: S101  - every run of these has read
    assert run.requests is not None  # noqa: S101  - same
    stages = [
        Figure(name=f"{name}_{stage}_seconds", value=_seconds(run, stage), unit="s")
        for stage in STAGES
        if run.timings and stage in run.timings
    ]
    return [
        Figure(name=f"{name}_objects_read", value=run.source.read, unit="objects"),
        *stages,
        Figure(name=f"{name}_import_requests", value=run.requests.import_, unit="requests"),
        Figure(name=f"{name}_export_requests", value=run.requests.export, unit="requests"),
    ]


def _ratios(first: RunResult, delta: RunResult, idle: RunResult) -> list[Figure]:
    assert first.requests is not None  # noqa: S101  - see above
    assert first.changes is not None  # noqa: S101  - same
    assert delta.changes is not None  # noqa: S101  - same
    assert idle.requests is not None  # noqa: S101  - same
    kinds = (first.changes.users, first.changes.groups, first.changes.contacts)
    added = sum(kind.add for kind in kinds)
    return [
        Figure(
            name="objects_per_export_request",
            value=added / first.requests.export,
            unit="objects",
            at_least=20,
        ),
        Figure(
            name="delta_links_sent",
            value=delta.changes.links.add + delta.changes.links.remove,
            unit="links",
            at_most=CHANGED_LINKS,
        ),
        Figure(name="delta_to_first_time", value=_total(delta) / _total(first), at_most=0.5),
        Figure(name="nochange_to_first_time", value=_total(idle) / _total(first), at_most=0.2),
        Figure(name="nochange_writes", value=idle.requests.export, unit="requests", at_most=0),
    ]


def _seconds(run: RunResult, stage: str) -> float:
    return parse_duration((run.timings or {}).get(stage, "0s")).total_seconds()


def _total(run: RunResult) -> float:
    return sum(_seconds(run, stage) for stage in STAGES)
