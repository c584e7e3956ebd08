"""`python -m bench.cycle_runs SIZE FOLDER`: the runs over one size, in a process of their own.

The last line printed is a JSON object with what `bench.cycle.Measured` holds.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final
from unittest import mock

from typing_extensions import override

from bench.cycle import RUNS, STAGES
from bench.synthetic import DOMAIN, AcceptingService, SyntheticDirectory
from entrasync.api.choices import (
    DriftPolicy,
    JoinBy,
    OnBlocked,
    OnRemoval,
    OrphanPolicy,
)
from entrasync.api.directory_sync import SyncMode
from entrasync.api.sync_run import RunScope
from entrasync.cli.logs import configure_logging
from entrasync.engine import cycle, outcome
from entrasync.engine.brakes import SafetyLimits
from entrasync.engine.containers import ScopeSpec
from entrasync.engine.flows import flow_set
from entrasync.engine.inputs import (
    AnchorRules,
    CycleInputs,
    CycleParts,
    MatchingRules,
    SourceInputs,
)
from entrasync.engine.selection import SelectionRules
from entrasync.engine.source import SourceKind
from entrasync.entra.contracts import SyncVersion
from entrasync.entra.pacing import Pacer
from entrasync.state.database import FILE_NAME
from entrasync.state.store import Store

STATUS: Final = Path("/proc/self/status")
RESET: Final = Path("/proc/self/clear_refs")
MIB: Final = 1024
"""KiB in one."""
_FORGET_MOST: Final = "5"
"""What Linux wants to read to begin anew with the most memory of a process; see proc(5)."""
NO_QUOTA: Final = 10**9
SHARE: Final = 0.01


class Company:
    """A made-up company, its tenant, and the state between them.

    Args:
        size: users and groups.
        folder: of the state.

    Attributes:
        seconds: what runs took, by name and stage.
        processor: seconds of processor time they took, likewise.
        mib: most memory of the process meanwhile, likewise.
        service: the tenant.
        directory: the company.
    """

    def __init__(self, size: int, folder: Path) -> None:
        self.seconds: dict[str, dict[str, float]] = {}
        self.processor: dict[str, dict[str, float]] = {}
        self.mib: dict[str, dict[str, float]] = {}
        self.directory = SyntheticDirectory(size)
        self.service = AcceptingService()
        self._folder = folder
        self._state = folder / "state"

    def run(self, name: str, scope: RunScope | None = None) -> outcome.CycleOutcome:
        """One run, from opening the state to its end."""
        stages: dict[str, float] = {}
        processor: dict[str, float] = {}
        mib: dict[str, float] = {}
        start, busy = time.monotonic(), time.process_time()
        with _measured(stages, processor, mib), Store(self._state) as store:
            done = cycle.run_cycle(replace(_inputs(), run=name, scope=scope), self._parts(store))
        stages["all"], processor["all"] = time.monotonic() - start, time.process_time() - busy
        self.seconds[name], self.processor[name], self.mib[name] = stages, processor, mib
        words = _words(stages, processor, mib)
        print(f"    {name}: {done.outcome} {done.message} {words}", flush=True)
        if done.outcome != "Succeeded":
            raise SystemExit(f"{name} ended as {done.outcome}: {done.message}")
        return done

    def keep_copy(self, *, echoes: bool = False) -> None:
        """Lets the tenant tell what it was sent, when all is asked for.

        Args:
            echoes: whether the next one who asks for changes is told as well.
        """
        copy = self._folder / "tenant.sqlite"
        shutil.copyfile(self._state / FILE_NAME, copy)
        self.service.holds, self.service.echoes = copy, echoes

    def _parts(self, store: Store) -> CycleParts:
        return CycleParts(
            open_source=lambda _: self.directory,  # type: ignore[arg-type,return-value]  # stands for one
            client=self.service,
            store=store,
            pacer=Pacer(NO_QUOTA, started=_now(), monotonic=time.monotonic, sleep=lambda _: None),
            clock=_now,
            monotonic=time.monotonic,
            progress=lambda _stage, _done, _total: None,
        )


def main(arguments: Sequence[str]) -> int:
    """Runs all, one after the other."""
    configure_logging("warning")
    company = Company(int(arguments[0]), Path(arguments[1]))
    directory, service = company.directory, company.service
    links = directory.links
    owned = company.run("first_fill").objects
    assert owned is not None  # noqa: S101  - it succeeded
    evaluated, requests = owned.users + owned.groups + owned.contacts, service.requests
    # what was exported comes back once, which is a change to whoever reads changes
    company.keep_copy(echoes=True)
    company.run("echo")
    company.run("nochange")
    directory.change_one_member()
    before = service.links
    company.run("one_member")
    sent_links = service.links - before
    directory.change_titles(SHARE)
    company.run("one_percent")
    company.keep_copy()
    company.run("full", RunScope.FULL)
    print(
        json.dumps(
            {
                "links": links,
                "seconds": _by_stage(company.seconds),
                "processor": _by_stage(company.processor),
                "mib": _by_stage(company.mib),
                "peak_mib": max(each["all"] for each in company.mib.values()),
                "requests": requests,
                "evaluated": evaluated,
                "sent_links": sent_links,
            }
        )
    )
    return 0


def _by_stage(measured: dict[str, dict[str, float]]) -> dict[str, dict[str, float]]:
    return {
        run: {stage: measured[run].get(stage, 0.0) for stage in ("all", *STAGES)} for run in RUNS
    }


@contextmanager
def _measured(
    stages: dict[str, float], processor: dict[str, float], mib: dict[str, float]
) -> Iterator[None]:
    """Takes time and memory of stages as they are, not as people are told.

    The memory is the most the process had at a time: in each stage, and under `all` in all.
    """

    class Watch(outcome.Stopwatch):
        @override
        @contextmanager
        def stage(self, name: str) -> Iterator[None]:
            start, busy = time.monotonic(), time.process_time()
            mib["all"] = max(mib.get("all", 0.0), _most_mib())
            RESET.write_text(_FORGET_MOST)
            try:
                with super().stage(name):
                    yield
            finally:
                stages[name] = time.monotonic() - start
                processor[name] = time.process_time() - busy
                mib[name] = _most_mib()
                mib["all"] = max(mib["all"], mib[name])

    with mock.patch.object(cycle, "Stopwatch", Watch):
        yield
    mib["all"] = max(mib.get("all", 0.0), _most_mib())


def _most_mib() -> float:
    """Most memory the process had since that was forgotten last."""
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) / MIB


def _words(stages: dict[str, float], processor: dict[str, float], mib: dict[str, float]) -> str:
    times = " ".join(
        f"{name}={seconds:.2f} ({processor[name]:.2f} processor)"
        for name, seconds in stages.items()
    )
    peaks = " ".join(f"{name}={most:.0f}" for name, most in mib.items())
    return f"{times} MiB: {peaks}"


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _inputs() -> CycleInputs:
    return CycleInputs(
        run="run",
        tenant_id="tenant",
        tenant_resource="EntraTenant/contoso",
        sync_resource="DirectorySync/contoso",
        mode=SyncMode.APPLY,
        scope=None,
        sources=(
            SourceInputs(
                name=DOMAIN,
                resource="ActiveDirectory/contoso",
                where=ScopeSpec(
                    include=(), exclude=(), source=DOMAIN, resource="DirectorySync/contoso"
                ),
            ),
        ),
        remembered=(),
        selection=SelectionRules(resource="DirectorySync/contoso"),
        anchors=AnchorRules(),
        join_users=JoinBy.NONE,
        flows=flow_set(),
        on_removal=dict.fromkeys(SourceKind, OnRemoval.DELETE),
        max_group_members=250_000,
        version=SyncVersion.V2,
        write_quota_percent=80,
        limits=SafetyLimits(),
        window=dt.timedelta(hours=24),
        on_blocked=OnBlocked.STOP_ALL,
        matching=MatchingRules(),
        orphans=OrphanPolicy.REPORT,
        drift=DriftPolicy.REPAIR,
        approved=(),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
