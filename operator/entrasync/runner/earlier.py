"""What earlier pods did: of this run, and of runs whose results nobody has read."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from entrasync.api.result import EarlierResult, RunResult
from entrasync.api.sync_run import (
    LOST_RESULTS_ANNOTATION,
    Changes,
    KindChanges,
    LinkChanges,
    RunMode,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entrasync.api.snapshot import Snapshot
    from entrasync.state.reports import Reports


def lost_results_of(snapshot: Snapshot) -> list[str]:
    """Names of the runs whose results the snapshot asks for."""
    if snapshot.run is None:
        return []
    names = snapshot.run.metadata.annotations.get(LOST_RESULTS_ANNOTATION, "")
    return [name for name in names.split(",") if name]


def earlier_results(reports: Reports, names: Sequence[str]) -> list[EarlierResult]:
    """What the state tells of earlier runs; nothing of those it does not know."""
    found = {kept.run: kept for kept in reports.results()}
    told = []
    for name in names:
        kept = found.get(name)
        result = None if kept is None else RunResult.from_message(kept.result)
        if kept is None or result is None:
            continue
        told.append(
            EarlierResult(
                run=name,
                time=kept.time,
                outcome=result.outcome,
                reason=result.reason,
                message=result.message[:200],
                mode=result.mode,
                scope=result.scope,
                endpoint_version=result.endpoint_version,
                changes=result.changes,
                requests=result.requests,
                error_count=result.error_count,
            )
        )
    return told


def earlier_attempt(reports: Reports, snapshot: Snapshot) -> RunResult | None:
    """What an earlier pod of the same run left, before it was taken away; else `None`.

    A result from before the SyncRun was made is another one's, of the same name.
    """
    if snapshot.run is None or not snapshot.run.metadata.creation_timestamp:
        return None
    name, made = snapshot.run.metadata.name, snapshot.run.metadata.creation_timestamp
    for kept in reports.results():
        if kept.run == name and _moment(kept.time) >= _moment(made):
            return RunResult.from_message(kept.result)
    return None


def add_earlier_attempt(result: RunResult, before: RunResult | None) -> None:
    """Adds to a result what an earlier pod of the same run did.

    What failed is not added: it was tried again. What only would have been done is not, either.
    """
    if before is None or {result.mode, before.mode} != {str(RunMode.APPLY)}:
        return
    if before.changes is not None:
        result.changes = _sum(before.changes, result.changes or Changes())
    if before.requests is not None and result.requests is not None:
        result.requests.export += before.requests.export
        result.requests.import_ += before.requests.import_
    result.approval_used = result.approval_used or before.approval_used


def _moment(text: str) -> dt.datetime:
    found = dt.datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=dt.UTC)


def _sum(before: Changes, after: Changes) -> Changes:
    return Changes(
        users=_kind(before.users, after.users),
        groups=_kind(before.groups, after.groups),
        contacts=_kind(before.contacts, after.contacts),
        links=LinkChanges(
            add=before.links.add + after.links.add,
            remove=before.links.remove + after.links.remove,
            failed=after.links.failed,
        ),
    )


def _kind(before: KindChanges, after: KindChanges) -> KindChanges:
    return KindChanges(
        add=before.add + after.add,
        update=before.update + after.update,
        delete=before.delete + after.delete,
        failed=after.failed,
    )
