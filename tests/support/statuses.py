"""Every status that the pure functions can come to, for property tests."""

from __future__ import annotations

import datetime as dt
from functools import cache
from typing import Any

from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from entrasync.api.bounds import bounded
from entrasync.api.common import Condition, Resource
from entrasync.api.crds import build_crd
from entrasync.api.directory_sync import BlockedPlan, DirectorySync, RunSummary
from entrasync.api.reasons import REASONS
from entrasync.api.result import CheckOutcome, RunResult
from entrasync.api.sync_run import (
    Changes,
    CodeCount,
    ObjectError,
    Pacing,
    PlanSummary,
    RunPhase,
    RunProgress,
    SyncRun,
    Trigger,
)
from entrasync.controller.decisions import Active, Blocked, Decision, StartRun, Wait
from tests.support import samples
from tests.support.samples import NOW

REASON = st.sampled_from([*sorted(REASONS), "NotKnownYet", "VeryLong" * 30])
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=40)
MESSAGE = st.one_of(TEXT, st.just("words " * 180), st.just("x" * 1100))
COUNTS = st.dictionaries(TEXT, st.integers(0, 9), max_size=8)
MOMENT = st.sampled_from([None, NOW.isoformat(), (NOW - dt.timedelta(hours=3)).isoformat(), "odd"])


def summaries() -> st.SearchStrategy[RunSummary]:
    """Runs that ended, in short."""
    return st.builds(
        RunSummary,
        name=st.sampled_from(["contoso-1", "contoso-2"]),
        scope=st.sampled_from(["Delta", "Full", None]),
        phase=st.sampled_from([str(p) for p in RunPhase if p not in {"Queued", "Running"}]),
        mode=st.sampled_from([None, "Apply", "Preview"]),
        reason=st.one_of(st.none(), REASON),
        message=st.one_of(st.none(), MESSAGE),
        throttled=st.one_of(st.none(), TEXT),
        generation=st.integers(1, 3),
        start_time=MOMENT,
        completion_time=MOMENT,
    )


def blocked_plans() -> st.SearchStrategy[BlockedPlan]:
    """Plans that a brake stopped."""
    return st.builds(
        BlockedPlan,
        digest=st.just("sha256:" + "0" * 64),
        reason=st.one_of(st.just(""), REASON),
        users=COUNTS,
        held=st.booleans(),
        sample=st.lists(TEXT, max_size=10),
    )


@st.composite
def syncs(draw: st.DrawFn) -> DirectorySync:
    """Syncs with all that runs may have left on them."""
    sync = samples.sync(generation=draw(st.integers(1, 3)), suspend=draw(st.booleans()))
    status = samples.sync(samples.last_run(NOW)).status
    assert status is not None
    history = draw(st.lists(summaries(), max_size=4))
    sync.status = status.model_copy(
        update={
            "last_run": draw(st.sampled_from([*history, None])),
            "history": history,
            "blocked_plan": draw(st.one_of(st.none(), blocked_plans())),
            "consecutive_failures": draw(st.integers(0, 12)),
            "failing_since": draw(MOMENT),
        }
    )
    return sync


def decisions() -> st.SearchStrategy[Decision]:
    """All that may be decided."""
    return st.one_of(
        st.builds(
            Wait,
            st.sampled_from([None, NOW + dt.timedelta(minutes=5)]),
            st.one_of(st.none(), MESSAGE),
        ),
        st.builds(StartRun, st.just("contoso-9"), st.sampled_from(list(Trigger))),
        st.builds(Active, st.just("contoso-9")),
        st.builds(Blocked, REASON, MESSAGE, st.booleans()),
        st.just(Blocked("Checking", "m", stalled=False, checking=True)),
    )


@st.composite
def active_runs(draw: st.DrawFn) -> list[SyncRun]:
    """The run under way, which may wait for the quota."""
    run = samples.run("contoso-9", phase="Running")
    assert run.status is not None
    until = draw(st.sampled_from([None, "2026-03-14T15:20:00Z"]))
    run.status.conditions = draw(
        st.lists(
            st.builds(
                Condition,
                type=st.just("Ready"),
                status=st.sampled_from(["False", "Unknown"]),
                reason=REASON,
                message=MESSAGE,
            ),
            max_size=1,
        )
    )
    run.status.progress = RunProgress(stage="Export", paused_until=until)
    return draw(st.sampled_from([[run], []]))


def checks() -> st.SearchStrategy[CheckOutcome]:
    """Verdicts of checks."""
    good = st.builds(
        CheckOutcome, ok=st.just(value=True), reason=st.just("Accepted"), message=MESSAGE
    )
    return st.one_of(
        good, st.builds(CheckOutcome, ok=st.just(value=False), reason=REASON, message=MESSAGE)
    )


def results() -> st.SearchStrategy[RunResult]:
    """Results of runs, some of them larger than any status may be."""
    error = st.builds(ObjectError, anchor=TEXT, code=TEXT, message=TEXT)
    return st.builds(
        RunResult,
        outcome=st.sampled_from(
            ["Succeeded", "SucceededWithErrors", "Blocked", "Failed", "Cancelled"]
        ),
        reason=REASON,
        message=MESSAGE,
        scope=st.sampled_from(["Delta", "Full", None]),
        plan=st.one_of(st.none(), st.builds(PlanSummary, digest=TEXT, outcomes=COUNTS)),
        changes=st.one_of(st.none(), st.just(Changes())),
        errors=st.lists(error, max_size=12),
        errors_by_code=st.lists(st.builds(CodeCount, code=TEXT), max_size=32),
        pacing=st.one_of(st.none(), st.just(Pacing(quota=70, paced_time="1s", throttled=1))),
        blocked_plan=st.one_of(st.none(), blocked_plans()),
        timings=st.one_of(st.none(), st.dictionaries(TEXT, MESSAGE, max_size=18)),
    )


def written(resource: Resource, status: Any) -> dict[str, Any]:
    """A resource with its status as it would be written."""
    document = status.model_dump(mode="json", by_alias=True, exclude_none=True)
    metadata = resource.metadata.model_dump(mode="json", by_alias=True, exclude_none=True)
    return {"metadata": metadata, "status": bounded(document, type(status))}


def assert_fits_schema(resource: Resource, status: dict[str, Any]) -> None:
    """Fails where the API server would refuse a status, or prune it."""
    errors = [error.message for error in _validator(type(resource)).iter_errors(status)]
    assert errors == []


@cache
def _validator(kind: type[Resource]) -> Draft202012Validator:
    schema = build_crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return Draft202012Validator(_closed(schema["properties"]["status"]))


def _closed(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without what it would prune silently."""
    result = dict(schema)
    if "properties" in schema:
        result["properties"] = {k: _closed(v) for k, v in schema["properties"].items()}
        result["additionalProperties"] = False
    if "items" in schema:
        result["items"] = _closed(schema["items"])
    return result
