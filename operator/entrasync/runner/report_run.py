"""Reports from the state of a sync alone: a stored plan with its result, or one object explained.

They open no connection, and read no Secret. In the cluster they go to the log of the pod.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from entrasync.api.result import RunResult
from entrasync.api.snapshot import load_snapshot
from entrasync.api.sync_run import RunMode
from entrasync.engine.explain import explain as explain_object
from entrasync.engine.explain_text import explanation_lines, explanation_text
from entrasync.errors import ConfigurationError, EntrasyncError
from entrasync.runner.inputs import flow_rules, selection_rules
from entrasync.runner.plan_text import stored_text
from entrasync.runner.report import exit_code, failed_result, render_text
from entrasync.state.database import FILE_NAME, Database
from entrasync.state.lookup import Lookup
from entrasync.state.reports import Reports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import TextIO

    from entrasync.api.directory_sync import DirectorySync
    from entrasync.api.snapshot import Snapshot
    from entrasync.engine.source import SourceKind

REPORTED: Final = "Reported"
REPORT_NOT_FOUND: Final = "ReportNotFound"


def report(
    snapshot: Snapshot,
    state: Path | None,
    out: TextIO,
    environment: Mapping[str, str] = os.environ,
) -> RunResult:
    """Prints what a SyncRun of mode Report asks for.

    Args:
        snapshot: holds the SyncRun and its DirectorySync.
        state: folder that keeps the state of the sync.
        out: where to print.
        environment: tells the name of the pod.

    Raises:
        EntrasyncError: there is no such report, or another run holds the state.
    """
    sync = _sync_of(snapshot)
    asked = None if snapshot.run is None else snapshot.run.spec.report
    if asked is None:
        raise ConfigurationError(
            REPORT_NOT_FOUND, "there is no SyncRun with `spec.report` to say what to print"
        )
    names = shows_names(sync)
    if asked.run is not None:
        lines = _stored(state, asked.run, names=names)
    else:
        name = "" if asked.explain is None else asked.explain.object
        lines = iter([_explained(sync, state, name, names=names, output="text")])
    out.writelines(lines)
    return RunResult(
        outcome="Succeeded",
        reason=REPORTED,
        message=_where(snapshot, environment),
        mode=RunMode.REPORT,
    )


def explain(
    config: Sequence[Path],
    *,
    name: str,
    state: Path,
    names: bool = False,
    output: str = "text",
) -> int:
    """Prints all that is known of one object; gives the exit code.

    Args:
        config: files and folders with the resources.
        name: its anchor, objectGUID, DN, userPrincipalName or mail address.
        state: folder that keeps the state of the sync.
        names: whether to show names and values whatever the sync says.
        output: `text` or `json`.
    """
    try:
        sync = _sync_of(load_snapshot(list(config), RunMode.REPORT))
        shown = names or shows_names(sync)
        sys.stdout.write(_explained(sync, state, name, names=shown, output=output))
    except EntrasyncError as error:
        result = failed_result(error, mode=RunMode.REPORT)
        sys.stderr.write(render_text(result))
        return exit_code(result, in_job=False)
    return 0


def _explained(
    sync: DirectorySync, state: Path | None, name: str, *, names: bool, output: str
) -> str:
    with _opened(state) as database:
        found = explain_object(
            Lookup(database),
            name,
            flows=flow_rules(sync.spec.objects),
            names=names,
            disabled=_disabled(sync),
        )
    if output == "json":
        return "".join(f"{line}\n" for line in explanation_lines(found))
    return explanation_text(found)


def _stored(state: Path | None, run: str, *, names: bool) -> Iterator[str]:
    """The plan and the result of a run, as far as they are kept."""
    with _opened(state) as database:
        reports = Reports(database)
        plan, result = reports.plan(run), reports.result(run)
        if plan is None and result is None:
            kept = ", ".join(each.run for each in reports.plans())
            raise ConfigurationError(
                REPORT_NOT_FOUND,
                f"no plan or result of run {run} is kept; kept are {kept or 'none'}",
                field="spec.report.run",
            )
        yield f"Run {run}\n"
        if plan is not None:
            yield from stored_text(plan.head, reports.plan_lines(run), names=names)
        read = None if result is None else RunResult.from_message(result)
        if read is not None:
            yield render_text(read)


@contextmanager
def _opened(state: Path | None) -> Iterator[Database]:
    """The state that a run left behind; none is made."""
    if state is None or not (state / FILE_NAME).is_file():
        raise ConfigurationError(
            REPORT_NOT_FOUND,
            "there is no state to report from: no run was made yet, or `spec.runner.storage` keeps"
            " none between runs; make a run first",
        )
    database = Database(state)
    if database.set_aside is not None:
        database.close()
        raise ConfigurationError(REPORT_NOT_FOUND, f"{database.set_aside} Make a run first.")
    try:
        yield database
    except Exception as error:
        explained = database.explain(error)
        if explained is None:
            raise
        raise explained from error
    finally:
        database.close()


def _sync_of(snapshot: Snapshot) -> DirectorySync:
    if snapshot.sync is None:
        raise ConfigurationError("ReferenceNotFound", "the files hold no DirectorySync; add one")
    return snapshot.sync


def _disabled(sync: DirectorySync) -> frozenset[SourceKind]:
    kinds = selection_rules(sync.spec.objects, resource=sync.key).kinds
    return frozenset(kind for kind, rules in kinds.items() if not rules.enabled)


def shows_names(sync: DirectorySync) -> bool:
    """Whether the sync lets personal data be printed."""
    return sync.spec.reporting is not None and sync.spec.reporting.names


def _where(snapshot: Snapshot, environment: Mapping[str, str]) -> str:
    """Where to read a report that was printed into the log of a pod."""
    pod = environment.get("HOSTNAME", "")
    namespace = None if snapshot.run is None else snapshot.run.metadata.namespace
    if not pod or namespace is None:
        return "the report was printed"
    return f"the report is in the log of its pod: kubectl logs --namespace {namespace} {pod}"
