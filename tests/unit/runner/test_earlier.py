"""A run tells what its earlier pods did, and what earlier runs did that nobody has heard of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from entrasync.api.result import MAX_RESULT_BYTES, RunResult
from entrasync.api.snapshot import Snapshot, dump_snapshot
from entrasync.api.sync_run import (
    Changes,
    KindChanges,
    LinkChanges,
    ObjectError,
    RequestCounts,
    SyncRun,
)
from entrasync.engine.plan import Plan
from entrasync.runner.earlier import (
    add_earlier_attempt,
    earlier_attempt,
    earlier_results,
    lost_results_of,
)
from entrasync.runner.run import _Request
from entrasync.runner.secret_files import SecretFiles
from entrasync.state.reports import Reports
from entrasync.state.store import Store
from tests.support import samples
from tests.support.samples import NOW


@pytest.fixture
def reports(tmp_path: Path) -> Iterator[Reports]:
    with Store(tmp_path) as store:
        yield store.reports


def snapshot(*lost: str) -> Snapshot:
    annotations = {"entrasync.dev/lost-results": ",".join(lost)} if lost else {}
    run = samples.run("contoso-5", metadata={"annotations": annotations})
    return Snapshot(run=run, sync=None, directories={}, tenant=None, cloud=None, config_maps={})


def did(
    users: int, *, outcome: str = "Succeeded", mode: str = "Apply", failed: int = 0
) -> RunResult:
    return RunResult.model_validate(
        {
            "outcome": outcome,
            "reason": "Synchronized" if outcome == "Succeeded" else outcome,
            "mode": mode,
            "changes": Changes(
                users=KindChanges(add=users, failed=failed), links=LinkChanges(add=2 * users)
            ),
            "requests": RequestCounts(export=1),
        }
    )


def test_what_an_evicted_pod_did_is_added(reports: Reports) -> None:
    reports.keep_result("contoso-5", NOW, did(500, outcome="Cancelled", failed=3).to_message())
    result = did(300, failed=2)

    add_earlier_attempt(result, earlier_attempt(reports, snapshot()))

    assert result.changes is not None
    assert (result.changes.users.add, result.changes.links.add) == (800, 1600)
    assert result.changes.users.failed == 2
    assert result.requests == RequestCounts(export=2)
    assert result.outcome == "Succeeded"


def test_a_failed_successor_tells_it_too(reports: Reports) -> None:
    reports.keep_result("contoso-5", NOW, did(500, outcome="Cancelled").to_message())
    result = RunResult(outcome="Failed", reason="ServerUnreachable", mode="Apply")

    add_earlier_attempt(result, earlier_attempt(reports, snapshot()))

    assert result.changes is not None
    assert result.changes.users.add == 500


def test_another_run_of_this_name_is_not_this_one(reports: Reports) -> None:
    reports.keep_result("contoso-5", NOW - dt.timedelta(days=3), did(500).to_message())

    assert earlier_attempt(reports, snapshot()) is None
    assert earlier_attempt(reports, replace(snapshot(), run=None)) is None


def test_what_would_have_been_done_is_not_added() -> None:
    result = did(3, mode="Preview")
    add_earlier_attempt(result, did(5, mode="Preview"))
    add_earlier_attempt(result, None)

    assert result.changes is not None
    assert result.changes.users.add == 3


def test_lost_results_are_told_as_far_as_they_are_known(reports: Reports) -> None:
    reports.keep_result("contoso-3", NOW, did(7).to_message())
    reports.keep_result("contoso-4", NOW, "no result")

    names = lost_results_of(snapshot("contoso-4", "contoso-3", "contoso-2"))
    (told,) = earlier_results(reports, names)

    assert names == ["contoso-4", "contoso-3", "contoso-2"]
    assert (told.run, told.outcome, told.mode) == ("contoso-3", "Succeeded", "Apply")
    assert told.changes is not None
    assert told.changes.users.add == 7
    assert lost_results_of(snapshot()) == []


def test_three_of_them_fit_beside_the_runs_own_result(reports: Reports) -> None:
    for name in ("a", "b", "c"):
        kept = did(999_999_999)
        kept.message = "m" * 900
        reports.keep_result(name * 253, NOW, kept.to_message())
    result = did(3)
    result.errors = [ObjectError(anchor="a" * 80, code="c", message="m" * 400)] * 10
    result.earlier = earlier_results(reports, [name * 253 for name in ("a", "b", "c")])

    message = result.to_message()

    assert len(message.encode()) <= MAX_RESULT_BYTES
    found = RunResult.from_message(message)
    assert found is not None
    assert len(found.earlier) == 3


def whole_run(folder: Path, monkeypatch: pytest.MonkeyPatch, run: SyncRun, added: int) -> RunResult:
    """A run of the entry point whose cycle adds some users, over a state that it keeps."""
    config, secrets = folder / "config", folder / "secrets" / "contoso-ad-reader"
    config.mkdir(exist_ok=True)
    secrets.mkdir(parents=True, exist_ok=True)
    for key in ("username", "password"):
        (secrets / key).write_text("x")
    resources = [
        samples.cloud(),
        samples.tenant(),
        samples.directory(caProvider=None),
        samples.sync(),
        run,
    ]
    (config / "run.yaml").write_text(dump_snapshot(resources))

    def cycle(request: _Request, *_: object) -> None:
        request.outcome.changes = Changes(users=KindChanges(add=added))
        request.outcome.plan = cast("Plan", object())

    monkeypatch.setattr(_Request, "_run_cycle", cycle)
    request = _Request(
        [config], SecretFiles(folder=folder / "secrets"), folder, None, None, lambda: False
    )
    return request.run()


def test_a_whole_run_adds_and_passes_on_what_others_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = whole_run(tmp_path, monkeypatch, samples.run("contoso-4"), 7)
    annotations = {"entrasync.dev/lost-results": "contoso-4"}
    second = samples.run("contoso-5", metadata={"annotations": annotations})
    taken_away = whole_run(tmp_path, monkeypatch, second, 2)
    replaced = whole_run(tmp_path, monkeypatch, second, 3)

    assert not first.earlier
    for result in (taken_away, replaced):
        assert [(each.run, each.outcome) for each in result.earlier] == [("contoso-4", "Succeeded")]
    assert replaced.changes is not None
    assert replaced.changes.users.add == 5
