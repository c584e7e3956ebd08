"""One run from YAML files: the entry point of the Job, and of anybody without a cluster."""

from __future__ import annotations

import datetime as dt
import os
import signal
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from entrasync.api.directory_sync import SyncMode
from entrasync.api.result import RunResult
from entrasync.api.snapshot import Snapshot, load_snapshot
from entrasync.api.sync_run import RunMode
from entrasync.directory.writer import open_writer
from entrasync.engine.cycle import run_cycle
from entrasync.engine.ending import run_last_cycle
from entrasync.engine.inputs import CycleInputs, CycleParts
from entrasync.engine.outcome import CycleOutcome
from entrasync.engine.report import code_counts, excluded_counts
from entrasync.entra.contracts import PROVISION, SyncVersion
from entrasync.entra.graph import LastSync
from entrasync.entra.pacing import Pacer, share_of
from entrasync.errors import CancelledError, ConfigurationError, EntrasyncError
from entrasync.runner.check import check
from entrasync.runner.earlier import (
    add_earlier_attempt,
    earlier_attempt,
    earlier_results,
    lost_results_of,
)
from entrasync.runner.inputs import (
    cycle_inputs,
    effective_mode,
    effective_scope,
    require_sync,
)
from entrasync.runner.plan_keeping import Show, keep_plan
from entrasync.runner.progress import ProgressLog
from entrasync.runner.report import (
    exit_code,
    failed_result,
    render_text,
    write_termination_message,
)
from entrasync.runner.report_run import report, shows_names
from entrasync.runner.secret_files import SecretFiles
from entrasync.runner.source import Directories, open_patiently
from entrasync.runner.target import connect_graph, connect_tenant, endpoint_of
from entrasync.state.checkpoints import META_PACING
from entrasync.state.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import TextIO

SHOWN: Final = 10
"""Objects in error, and with a warning, that a result names."""
LOCAL_RUN: Final = "local"
"""Name under which the store keeps the result of a run that has no SyncRun."""

_NAP_SECONDS: Final = 0.5

log = structlog.get_logger()


def run(
    config: Sequence[Path],
    *,
    secrets: Path,
    state: Path | None,
    mode: str | None = None,
    scope: str | None = None,
    output: str = "text",
    in_job: bool = False,
    termination_log: Path | None = None,
) -> int:
    """Makes one run and tells how it ended; gives the exit code.

    Args:
        config: files and folders with the resources.
        secrets: folder with the Secrets, `DIR/<secret name>/<key>`.
        state: folder that keeps state between runs; not needed to check.
        mode: `Apply`, `Preview` or `Check`; default: what the resources say.
        scope: `Delta` or `Full`; default: what the run finds necessary.
        output: `text` or `json` on standard output.
        in_job: whether a complete result is a success whatever it says.
        termination_log: file for the result as JSON of at most 4,096 bytes.
    """
    with _termination() as cancelled:
        request = _Request(
            config, SecretFiles.of(secrets, os.environ), state, mode, scope, cancelled
        )
        if output == "json":  # of which standard output holds nothing else
            request.report_to = sys.stderr
        result = request.run()
    if termination_log is not None:
        write_termination_message(result, termination_log)
    if output == "json":
        sys.stdout.write(result.to_message() + "\n")
    elif in_job:  # what is not in the result is in the log, which is the same stream of a pod
        sys.stdout.write(render_text(result))
    else:
        sys.stdout.write(_whole_text(result, request.outcome))
    return exit_code(result, in_job=in_job)


def plan(
    config: Sequence[Path],
    *,
    secrets: Path,
    state: Path | None = None,
    names: bool = False,
    output: str = "text",
) -> int:
    """Prints what a run would change; exports nothing.

    Args:
        config: files and folders with the resources.
        secrets: folder with the Secrets.
        state: state of the sync; without it the plan is made from nothing.
        names: whether to show names and values whatever the sync says.
        output: `text`, or `json` for one object a line.
    """
    with tempfile.TemporaryDirectory(prefix="entrasync-") as nowhere, _termination() as cancelled:
        folder = Path(nowhere) if state is None else state
        secret_files = SecretFiles.of(secrets, os.environ)
        request = _Request(config, secret_files, folder, RunMode.PREVIEW, None, cancelled)
        request.show = Show(output=output, names=names)
        result = request.run()
    text = _whole_text(result, request.outcome)
    (sys.stdout if output == "text" else sys.stderr).write(text)
    return exit_code(result, in_job=False)


class _Request:
    """A run as asked for, and what it learns on its way."""

    def __init__(
        self,
        config: Sequence[Path],
        secrets: SecretFiles,
        state: Path | None,
        mode: str | None,
        scope: str | None,
        cancelled: Callable[[], bool],
    ) -> None:
        self._config = list(config)
        self._secrets = secrets
        self._state = state
        self._asked_mode = mode
        self._asked_scope = scope
        self._cancelled = cancelled
        self._mode = mode or ""
        self._endpoint: tuple[str, str] | None = None
        self.outcome = CycleOutcome()
        self.show: Show | None = None
        """How to print the plan, `None` not to."""
        self.report_to: TextIO = sys.stdout

    def run(self) -> RunResult:
        """Makes the run; whatever happens becomes a result."""
        try:
            asked = None if self._asked_mode is None else RunMode(self._asked_mode)
            snapshot = load_snapshot(self._config, asked)
            mode = effective_mode(snapshot, self._asked_mode)
            self._mode = mode
            if mode is RunMode.CHECK:
                return check(snapshot, self._secrets)
            if mode is RunMode.REPORT:
                return report(snapshot, self._state, self.report_to)
            return self._sync(snapshot, SyncMode(mode))
        except EntrasyncError as error:
            log.warning("run_ended", reason=error.reason, message=str(error))
            return self._add_facts(failed_result(error, mode=self._mode))
        except Exception as error:
            log.exception("run_failed")
            return self._add_facts(failed_result(error, mode=self._mode))

    def _sync(self, snapshot: Snapshot, mode: SyncMode) -> RunResult:
        sync, tenant = require_sync(snapshot)
        if self._state is None:
            raise ConfigurationError(
                "ConfigurationInvalid",
                "--state is needed: the folder that keeps state between runs",
            )
        endpoint = endpoint_of(snapshot)
        if self.show is not None and shows_names(sync):
            self.show = replace(self.show, names=True)
        inputs = cycle_inputs(
            snapshot,
            run_name=_run_name(snapshot),
            mode=mode,
            scope=effective_scope(snapshot, self._asked_scope),
            max_group_members=endpoint.max_group_members,
            version=SyncVersion(endpoint.version),
        )
        directories = Directories(snapshot, self._secrets)
        directories.require(source.name for source in inputs.sources)
        structlog.contextvars.bind_contextvars(tenant=tenant.metadata.name)
        with Store(self._state) as store:
            before = earlier_attempt(store.reports, snapshot)
            try:
                self._run_cycle(snapshot, inputs, directories, store)
            except EntrasyncError as error:
                log.warning("run_ended", reason=error.reason, message=str(error))
                result = self._add_facts(failed_result(error, mode=mode))
            else:
                result = self._add_facts(_result(self.outcome, mode))
            if store.set_aside is not None:
                result.message = f"{store.set_aside} {result.message}".strip()
            add_earlier_attempt(result, before)
            store.reports.keep_result(inputs.run, dt.datetime.now(dt.UTC), result.to_message())
            result.earlier = earlier_results(store.reports, lost_results_of(snapshot))
        return result

    def _run_cycle(
        self,
        snapshot: Snapshot,
        inputs: CycleInputs,
        directories: Directories,
        store: Store,
    ) -> None:
        pacer = _pacer(inputs, store)
        progress = ProgressLog(monotonic=time.monotonic)
        with (
            connect_tenant(
                snapshot,
                self._secrets,
                sleep=self._nap,
                on_busy=lambda operation: pacer.busy(writing=operation in PROVISION.values()),
            ) as client,
            connect_graph(snapshot, self._secrets, sleep=self._nap) as accounts,
        ):
            parts = CycleParts(
                open_source=lambda name: open_patiently(directories[name], self._nap),
                client=client,
                store=store,
                pacer=pacer,
                clock=lambda: dt.datetime.now(dt.UTC),
                monotonic=time.monotonic,
                progress=progress,
                cancelled=self._cancelled,
                waiting=progress.waiting,
                accounts=accounts,
                last_sync=_nothing_told if accounts is None else accounts.last_sync,
                planned=lambda plan: keep_plan(plan, inputs, store, self.outcome, self.show),
                open_writer=lambda name: open_writer(directories[name]),
            )
            try:
                run_a_cycle = run_last_cycle if inputs.ends else run_cycle
                run_a_cycle(inputs, parts, self.outcome)
            finally:
                self._endpoint = (inputs.version, client.endpoint_url)

    def _nap(self, seconds: float) -> None:
        """Waits, but no longer than until somebody asks the run to end.

        Raises:
            CancelledError: somebody did.
        """
        until = time.monotonic() + seconds
        while not self._cancelled():
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(left, _NAP_SECONDS))
        raise CancelledError

    def _add_facts(self, result: RunResult) -> RunResult:
        """Adds what was learnt, which a failed run tells as well."""
        outcome = self.outcome
        if self._endpoint is not None:
            result.endpoint_version, result.endpoint_url = self._endpoint
        result.scope = outcome.scope
        result.plan = outcome.summary
        if result.plan is not None and outcome.outcomes:
            result.plan.outcomes = dict(outcome.outcomes)
        result.pacing = outcome.pacing
        result.errors = outcome.errors[:SHOWN]
        result.error_count = outcome.error_count
        result.errors_by_code = code_counts(outcome.errors_by_code)
        result.warnings = outcome.warnings[:SHOWN]
        result.warning_count = outcome.warning_count
        result.changes = outcome.changes if outcome.plan is not None else None
        result.blocked_plan = outcome.blocked_plan
        result.last_export = outcome.last_export
        result.approval_used = outcome.approval_used
        result.source = outcome.source
        result.requests = outcome.requests
        result.latency = outcome.latency
        result.scopes = list(outcome.scopes)
        result.excluded = excluded_counts(outcome.excluded)
        result.timings = outcome.timings or None
        result.company = outcome.company
        result.directories = dict(outcome.directories)
        result.drift = outcome.drift
        return result


def _nothing_told() -> LastSync | None:
    """A cloud without Graph does not tell when it was synced last."""
    return None


def _result(outcome: CycleOutcome, mode: SyncMode) -> RunResult:
    return RunResult(
        outcome=outcome.outcome,
        reason=outcome.reason,
        message=outcome.message,
        mode=mode,
        objects=outcome.objects,
        orphans=outcome.orphans,
    )


def _whole_text(result: RunResult, outcome: CycleOutcome) -> str:
    """The result for a person at a terminal, every object told."""
    return render_text(result, errors=outcome.errors, warnings=outcome.warnings)


def _pacer(inputs: CycleInputs, store: Store) -> Pacer:
    """Paces this run, with what earlier ones wrote in mind."""
    return Pacer(
        share_of(inputs.write_quota_percent),
        started=dt.datetime.now(dt.UTC),
        monotonic=time.monotonic,
        sleep=time.sleep,
        memory=store.get(META_PACING),
    )


def _run_name(snapshot: Snapshot) -> str:
    name = "" if snapshot.run is None else snapshot.run.metadata.name
    return name or f"{LOCAL_RUN}-{dt.datetime.now(dt.UTC).isoformat()}"


@contextmanager
def _termination() -> Iterator[Callable[[], bool]]:
    """Turns SIGTERM and SIGINT into a question a run asks between its steps."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = {
        number: signal.signal(number, lambda *_: asked.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
