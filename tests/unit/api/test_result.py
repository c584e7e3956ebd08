"""The result fits a termination message whatever it holds, and is read defensively."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.directory_sync import BlockedPlan, PinnedScope
from entrasync.api.result import MAX_RESULT_BYTES, RunResult
from entrasync.api.sync_run import ObjectError

TEXT = st.text(max_size=512)


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
)
def test_it_always_fits_and_keeps_its_verdict(
    message: str, errors: list[ObjectError], scopes: list[PinnedScope], sample: list[str]
) -> None:
    result = RunResult(
        outcome="Blocked",
        reason="DeletionThresholdExceeded",
        message=message,
        errors=errors,
        scopes=scopes,
        blocked_plan=BlockedPlan(digest="sha256:" + "0" * 64, sample=sample),
    )
    text = result.to_message()
    assert len(text.encode()) <= MAX_RESULT_BYTES
    read = RunResult.from_message(text)
    assert read is not None
    assert read.outcome == "Blocked"
    assert read.blocked_plan is not None
    assert read.blocked_plan.digest == "sha256:" + "0" * 64


@given(TEXT)
def test_anything_else_is_no_result(text: str) -> None:
    assert RunResult.from_message(text) is None


def test_a_cut_off_result_is_no_result() -> None:
    text = RunResult(outcome="Succeeded", reason="Synchronized").to_message()
    assert RunResult.from_message(text[:-3]) is None


def test_members_of_a_newer_runner_are_ignored() -> None:
    text = '{"v":1,"outcome":"Succeeded","reason":"Synchronized","somethingNew":{"a":1}}'
    assert RunResult.from_message(text) is not None
