"""The result fits a termination message whatever it holds, and is read defensively."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.directory_sync import BlockedPlan, DriftCounts, PinnedScope
from entrasync.api.result import (
    LATENCY_BOUNDS,
    MAX_RESULT_BYTES,
    ChangeLatency,
    CheckOutcome,
    DirectoryFacts,
    RunResult,
)
from entrasync.api.sync_run import CodeCount, ExcludedCount, ObjectError, Pacing, PlanSummary

TEXT = st.text(max_size=512)
SIXTEEN = [f"directory-{number}" for number in range(16)]


@given(
    message=TEXT,
    errors=st.lists(
        st.builds(
            ObjectError, anchor=st.text(max_size=60), code=st.text(max_size=40), message=TEXT
        ),
        max_size=10,
    ),
    scopes=st.lists(st.builds(PinnedScope, dn=st.text(max_size=300)), max_size=20),
    sample=st.lists(st.text(max_size=60), max_size=10),
    codes=st.lists(
        st.builds(CodeCount, code=st.text(max_size=128), count=st.integers(0, 10**7)), max_size=21
    ),
    excluded=st.lists(
        st.builds(ExcludedCount, rule=st.text(max_size=64), count=st.integers(0, 10**7)),
        max_size=32,
    ),
    domain=st.text(max_size=120),
)
def test_it_always_fits_and_keeps_its_verdict(
    message: str,
    errors: list[ObjectError],
    scopes: list[PinnedScope],
    sample: list[str],
    codes: list[CodeCount],
    excluded: list[ExcludedCount],
    domain: str,
) -> None:
    result = RunResult(
        outcome="Blocked",
        reason="DeletionThresholdExceeded",
        message=message,
        errors=errors,
        warnings=errors,
        errors_by_code=codes,
        plan=PlanSummary(
            digest="d", writes=10**7, links=10**9, outcomes={"hardMatch": 10**6, "create": 10**6}
        ),
        drift=DriftCounts(objects=10**6, links=10**6, not_accepted=10**6),
        directories={name: DirectoryFacts(domain=domain) for name in SIXTEEN},
        pacing=Pacing(quota=7_000, paced_time="100h59m59s", throttled=10**6),
        scopes=scopes,
        excluded=excluded,
        blocked_plan=BlockedPlan(
            digest="sha256:" + "0" * 64,
            users={"delete": 10**6},
            changes={"disables": 10**6, "identityChanges": 10**6, "clears": 10**6, "takeovers": 1},
            held=True,
            sample=sample,
        ),
    )
    text = result.to_message()
    assert len(text.encode()) <= MAX_RESULT_BYTES
    read = RunResult.from_message(text)
    assert read is not None
    assert read.outcome == "Blocked"
    assert read.blocked_plan is not None
    assert read.blocked_plan.digest == "sha256:" + "0" * 64
    assert read.was_held


def test_a_check_of_sixteen_directories_fits_and_keeps_every_verdict() -> None:
    result = RunResult(
        outcome="Failed",
        reason="BindRejected",
        tenant_check=CheckOutcome(ok=True, reason="Accepted", message="m" * 300),
        directory_checks={
            name: CheckOutcome(ok=False, reason="BindRejected", message="m" * 600)
            for name in SIXTEEN
        },
    )
    text = result.to_message()

    assert len(text.encode()) <= MAX_RESULT_BYTES
    read = RunResult.from_message(text)
    assert read is not None
    assert all(check.message for check in read.directory_checks.values())
    assert [read.check_of(name) for name in SIXTEEN].count(None) == 0


@pytest.mark.parametrize("length", [63, 253])
def test_checks_of_directories_with_long_names_fit_and_tell_of_those_that_failed(
    length: int,
) -> None:
    names = [f"{number:02}".ljust(length, "a") for number in range(16)]
    result = RunResult(
        outcome="Failed",
        reason="CertificateNotTrusted",
        message='"' * 2000,
        resource=f"ActiveDirectory/{names[0]}",
        directory_checks={
            name: CheckOutcome(ok=index > 2, reason="CertificateNotTrusted", message='"' * 600)
            for index, name in enumerate(names)
        },
    )
    text = result.to_message()

    assert len(text.encode()) <= MAX_RESULT_BYTES
    read = RunResult.from_message(text)
    assert read is not None
    assert all(read.check_of(name) for name in names[:3])


def test_facts_of_directories_are_given_up_one_by_one() -> None:
    facts = DirectoryFacts(server="ldaps://" + "s" * 200, domain="d" * 200)
    result = RunResult(
        outcome="Succeeded",
        reason="Synchronized",
        directories=dict.fromkeys(SIXTEEN, facts),
        errors_by_code=[CodeCount(code="C", count=1)],
    )

    read = RunResult.from_message(result.to_message())

    assert read is not None
    assert read.facts_of("directory-0") == facts
    assert read.facts_of("directory-15") is None
    assert 5 < len(read.directories) < 16
    assert read.errors_by_code


def test_a_result_of_an_older_runner_tells_of_its_one_directory() -> None:
    read = RunResult.from_message(
        '{"v":1,"outcome":"Succeeded","reason":"Accepted","directory":{"domain":"contoso.test"},'
        '"directoryCheck":{"ok":true,"reason":"Accepted"}}'
    )

    assert read is not None
    facts, check = read.facts_of("contoso"), read.check_of("contoso")
    assert facts is not None
    assert facts.domain == "contoso.test"
    assert check is not None
    assert check.ok


@given(TEXT)
def test_anything_else_is_no_result(text: str) -> None:
    assert RunResult.from_message(text) is None


def test_a_cut_off_result_is_no_result() -> None:
    text = RunResult(outcome="Succeeded", reason="Synchronized").to_message()
    assert RunResult.from_message(text[:-3]) is None


def test_members_of_a_newer_runner_are_ignored() -> None:
    text = '{"v":1,"outcome":"Succeeded","reason":"Synchronized","somethingNew":{"a":1}}'
    assert RunResult.from_message(text) is not None


def test_the_first_objects_stay_when_ten_are_too_long() -> None:
    long = [ObjectError(anchor=f"{n}", code="C", message="m" * 512) for n in range(10)]
    result = RunResult(
        outcome="SucceededWithErrors",
        reason="ExportErrors",
        errors=long,
        error_count=41,
        errors_by_code=[CodeCount(code="C", count=41)],
        warnings=long,
        warning_count=10,
        timings={"import": "1s"},
    )

    read = RunResult.from_message(result.to_message())

    assert read is not None
    assert [each.anchor for each in read.errors] == [f"{n}" for n in range(len(read.errors))]
    assert len(read.errors) >= 4
    assert [each.anchor for each in read.warnings] == ["0"]
    assert (read.error_count, read.warning_count) == (41, 10)
    assert read.errors_by_code == [CodeCount(code="C", count=41)]


def test_the_digest_of_the_plan_is_told_once() -> None:
    result = RunResult(
        outcome="Succeeded", reason="Synchronized", plan=PlanSummary(digest="sha256:1")
    )

    assert result.plan_digest == "sha256:1"
    assert result.to_message().count("sha256:1") == 1
    assert RunResult(outcome="Failed", reason="RunFailed").plan_digest is None


def test_pins_stay_when_errors_are_many() -> None:
    result = RunResult(
        outcome="SucceededWithErrors",
        reason="ExportErrors",
        errors=[ObjectError(anchor=f"{n}", code="C", message="m" * 512) for n in range(10)],
        scopes=[PinnedScope(dn=f"OU={n},DC=x", guid="g", current_dn="OU=y") for n in range(10)],
    )

    read = RunResult.from_message(result.to_message())

    assert read is not None
    assert len(read.scopes) == 10


@given(st.lists(st.floats(min_value=-100, max_value=10**7), max_size=50))
def test_latencies_are_counted_once_each_and_travel(seconds: list[float]) -> None:
    latency = ChangeLatency.of(seconds)

    assert latency.objects == len(seconds)
    assert latency.max_seconds <= latency.sum_seconds
    assert len(latency.counts) <= len(LATENCY_BOUNDS) + 1
    result = RunResult(outcome="Succeeded", reason="Synchronized", latency=latency)
    assert (RunResult.from_message(result.to_message()) or result).latency == latency


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(-3, 0), (0, 0), (30, 0), (30.4, 0), (31, 1), (86_400, 11), (90_000, 12)],
)
def test_a_latency_is_counted_up_to_its_bound(seconds: float, bucket: int) -> None:
    assert ChangeLatency.of([seconds]).counts == [0] * bucket + [1]
