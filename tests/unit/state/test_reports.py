"""Results and plans of earlier runs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrasync.state import reports
from entrasync.state.reports import Reports
from entrasync.state.store import Store

NOW = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Reports]:
    with Store(tmp_path) as store:
        yield store.reports


def test_the_last_fifty_results_are_kept(kept: Reports) -> None:
    for number in range(52):
        kept.keep_result(f"run-{number}", NOW + dt.timedelta(minutes=number), f"{{{number}}}")

    assert [each.run for each in kept.results()][:2] == ["run-51", "run-50"]
    assert len(kept.results()) == 50
    assert (kept.result("run-2"), kept.result("run-1")) == ("{2}", None)


def test_a_result_told_again_takes_the_place_of_the_first(kept: Reports) -> None:
    kept.keep_result("run", NOW, "first")
    kept.keep_result("run", NOW, "second")

    assert [each.result for each in kept.results()] == ["second"]


def test_the_last_twenty_plans_are_kept_with_their_lines(kept: Reports) -> None:
    for number in range(22):
        lines = (f"{number}:{line}" for line in range(3))
        time = NOW + dt.timedelta(minutes=number)
        assert kept.keep_plan(f"run-{number}", time, f"sha256:{number}", "{}", lines) == 3

    assert [each.run for each in kept.plans()] == [f"run-{n}" for n in range(21, 1, -1)]
    plan = kept.plan("run-21")
    assert plan is not None
    assert (plan.digest, plan.head, plan.time) == (
        "sha256:21",
        "{}",
        "2026-03-14T00:21:00+00:00",
    )
    assert list(kept.plan_lines("run-21")) == ["21:0", "21:1", "21:2"]
    assert kept.plan("run-1") is None
    assert list(kept.plan_lines("run-1")) == []


def test_only_so_many_lines_of_a_plan_are_kept_the_first_ones(
    kept: Reports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports, "MOST_LINES", 5)
    monkeypatch.setattr(reports, "_PAGE", 2)

    assert kept.keep_plan("run", NOW, "d", "{}", map(str, range(9))) == 5
    assert list(kept.plan_lines("run")) == list("01234")
    assert kept.keep_plan("run", NOW, "d", "{}", ["again"]) == 1
    assert list(kept.plan_lines("run")) == ["again"]
