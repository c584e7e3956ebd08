"""The engine and its state at three sizes: what each run takes in time and memory, stage by stage.

The directory is made up as it is read, and the tenant takes whatever it is sent at once, so that
the figures are those of the engine alone; each size runs in a process of its own, whose greatest
memory is that of all its runs, and is told of each stage as well. Beside them, end to end: one
member of a group of 250,000.

Limits in seconds are those of a clock on the wall. Rates, and how they grow, are of processor time:
of the same work a clock tells what else the machine was busy with, and how its disk was.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl

from bench.figures import Figure

SIZES: Final = (10_000, 100_000, 1_000_000)
RUNS: Final = ("first_fill", "nochange", "one_member", "one_percent", "full")
STAGES: Final = ("import", "evaluate", "plan", "export")
PLOT: Final = Path(__file__).parent / "results" / "cycle.png"
NAMES: Final = {10_000: "10k", 100_000: "100k", 1_000_000: "1m"}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the runs over one size took.

    Attributes:
        size: objects of the directory.
        links: memberships of the directory.
        seconds: by run and stage; under `all` the whole run.
        processor: seconds of processor time, likewise.
        mib: most memory the process had meanwhile, likewise.
        peak_mib: most memory the process had in all.
        requests: of the first fill's export.
        evaluated: objects that the first fill evaluated.
        sent_links: links that the run with one changed member sent.
    """

    size: int
    links: int
    seconds: Mapping[str, Mapping[str, float]]
    processor: Mapping[str, Mapping[str, float]]
    mib: Mapping[str, Mapping[str, float]]
    peak_mib: float
    requests: int
    evaluated: int
    sent_links: int


def measure() -> list[Figure]:
    """First fill, no change, one member, one per cent, all anew, at three sizes (half an hour)."""
    found = [_measure(size) for size in SIZES]
    _plot(found)
    largest = found[-1]
    figures = [figure for each in found for figure in _of_size(each)]
    return [
        Figure(
            name="nochange_1m_seconds",
            value=largest.seconds["nochange"]["all"],
            unit="s",
            at_most=5,
        ),
        Figure(name="peak_mib_1m", value=largest.peak_mib, unit="MiB", at_most=400),
        Figure(
            name="one_member_250k_seconds",
            value=largest.seconds["one_member"]["all"],
            unit="s",
            at_most=5,
        ),
        Figure(name="one_member_250k_links", value=largest.sent_links, unit="links", at_most=1),
        Figure(
            name="evaluated_objects_per_second",
            value=largest.evaluated / largest.processor["first_fill"]["evaluate"],
            unit="objects/s of processor",
            at_least=20_000,
        ),
        Figure(name="growth_exponent", value=_growth(found, "first_fill"), at_most=1.05),
        Figure(name="growth_exponent_full", value=_growth(found, "full"), at_most=1.05),
        Figure(
            name="objects_ratio_to_one_per_call",
            value=largest.size / largest.requests,
            at_least=20,
        ),
        *figures,
    ]


def _measure(size: int) -> Measured:
    """Runs one size in a process of its own."""
    print(f"  {size:,} objects", flush=True)
    with tempfile.TemporaryDirectory(prefix="entrasync-bench-") as folder:
        command = [sys.executable, "-m", "bench.cycle_runs", str(size), folder]
        line = ""
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as runs:
            for line in runs.stdout or ():
                print(line, end="", flush=True)
    if runs.returncode:
        raise subprocess.CalledProcessError(runs.returncode, command)
    facts: dict[str, Any] = json.loads(line)
    return Measured(size=size, **facts)


def _of_size(found: Measured) -> list[Figure]:
    name = NAMES[found.size]
    return [
        Figure(name=f"links_{name}", value=found.links, unit="links"),
        Figure(name=f"memory_{name}_mib", value=found.peak_mib, unit="MiB"),
        *(
            Figure(name=f"{run}_{name}_{stage}_seconds", value=found.seconds[run][stage], unit="s")
            for run in RUNS
            for stage in ("all", *STAGES)
            if stage in found.seconds[run]
        ),
        *(
            Figure(
                name=f"{run}_{name}_{stage}_processor_seconds",
                value=found.processor[run][stage],
                unit="s of processor",
            )
            for run in RUNS
            for stage in ("all", *STAGES)
            if stage in found.processor[run]
        ),
        *(
            Figure(name=f"{run}_{name}_{stage}_mib", value=found.mib[run][stage], unit="MiB")
            for run in RUNS
            for stage in ("all", *STAGES)
            if stage in found.mib[run]
        ),
    ]


def _growth(found: list[Measured], run: str) -> float:
    """Exponent by which the processor time of a run grows with the size, of the two largest.

    Small ones hold what every run takes, whatever its size.
    """
    smaller, larger = found[-2], found[-1]
    ratio = larger.processor[run]["all"] / smaller.processor[run]["all"]
    return math.log(ratio) / math.log(larger.size / smaller.size)


def _plot(found: list[Measured]) -> None:
    mpl.use("agg")
    from matplotlib import pyplot as plt  # noqa: PLC0415  - after the choice of a backend

    figure, (time, memory) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    sizes = [each.size for each in found]
    for run in RUNS:
        time.plot(sizes, [each.processor[run]["all"] for each in found], marker="o", label=run)
    time.set(xscale="log", yscale="log", xlabel="objects", ylabel="processor seconds of a run")
    time.legend()
    memory.plot(sizes, [each.peak_mib for each in found], marker="o")
    memory.axhline(400, linestyle=":", color="grey")
    memory.set(xscale="log", xlabel="objects", ylabel="MiB, most of all runs", ylim=(0, 450))
    PLOT.parent.mkdir(exist_ok=True)
    figure.savefig(PLOT, dpi=110)
    plt.close(figure)
