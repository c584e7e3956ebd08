from __future__ import annotations

from pathlib import Path

import pytest

from entrasync.api.directory_sync import BlockedPlan, DriftCounts, OrphanCounts, OwnedObjects
from entrasync.api.result import ChangeLatency, CheckOutcome, RunResult
from entrasync.api.sync_run import (
    Changes,
    CodeCount,
    ExcludedCount,
    KindChanges,
    ObjectError,
    Pacing,
    PlanSummary,
)
from entrasync.errors import (
    BindRejectedError,
    BlockedError,
    CancelledError,
    ConfigurationError,
    EntrasyncError,
    TransientError,
)
from entrasync.runner.report import (
    exit_code,
    failed_result,
    render_text,
    write_termination_message,
)


def result(outcome: str, *, permanent: bool = False) -> RunResult:
    return RunResult.model_validate(
        {"outcome": outcome, "reason": "Synchronized", "permanent": permanent}
    )


@pytest.mark.parametrize(
    ("outcome", "permanent", "outside", "in_job"),
    [
        ("Succeeded", False, 0, 0),
        ("SucceededWithErrors", False, 4, 0),
        ("Blocked", False, 3, 0),
        ("Failed", True, 2, 2),
        ("Failed", False, 1, 1),
        ("Cancelled", False, 1, 1),
    ],
)
def test_exit_codes(outcome: str, permanent: bool, outside: int, in_job: int) -> None:  # noqa: FBT001  - a table
    ended = result(outcome, permanent=permanent)

    assert exit_code(ended, in_job=False) == outside
    assert exit_code(ended, in_job=True) == in_job


@pytest.mark.parametrize(
    ("error", "outcome", "permanent"),
    [
        (BindRejectedError("BindRejected", "no"), "Failed", True),
        (CancelledError(), "Cancelled", False),
        (ConfigurationError("BaseNotFound", "no"), "Failed", True),
        (TransientError("ServerUnreachable", "no"), "Failed", False),
        (BlockedError("SourceEmpty", "no"), "Blocked", False),
    ],
)
def test_an_error_becomes_a_result(error: EntrasyncError, outcome: str, permanent: bool) -> None:  # noqa: FBT001  - a table
    failed = failed_result(error, mode="Apply")

    assert (failed.outcome, failed.permanent) == (outcome, permanent)
    assert failed.reason == error.reason


def test_a_failed_result_names_resource_and_field() -> None:
    error = ConfigurationError(
        "BaseNotFound", "it is gone", resource="ActiveDirectory/a", field="spec.baseDN"
    )

    failed = failed_result(error, mode="Apply")

    assert failed.resource == "ActiveDirectory/a"
    assert failed.message == "`spec.baseDN`: it is gone"


def test_an_unexpected_exception_shows_its_class_only() -> None:
    failed = failed_result(KeyError("CN=Zoë Äpfel,DC=contoso,DC=test"), mode="Apply")

    assert failed.reason == "RunFailed"
    assert "KeyError" in failed.message
    assert "Zoë" not in failed.to_message()


def test_the_termination_message_is_written_in_place(tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    path.write_text("older and longer" * 500)
    before = path.stat().st_ino

    write_termination_message(result("Succeeded"), path)

    assert path.stat().st_ino == before
    assert RunResult.from_message(path.read_text()) == result("Succeeded")


def test_text_says_what_happened() -> None:
    told = render_text(
        RunResult(
            outcome="SucceededWithErrors",
            reason="ExportErrors",
            message="some objects failed",
            changes=Changes(users=KindChanges(add=3, failed=1)),
            objects=OwnedObjects(users=3),
            orphans=OrphanCounts(users=600),
            errors=[ObjectError(anchor="abc==", code="AttributeValueMustBeUnique")],
            error_count=12,
        )
    )

    assert "SucceededWithErrors: ExportErrors" in told
    assert "users: 3 added, 0 updated, 0 deleted, 1 failed" in told
    assert "orphans: 600 users" in told
    assert "AttributeValueMustBeUnique abc==" in told
    assert "and 11 more in error" in told


def test_text_of_a_blocked_run_says_how_to_approve() -> None:
    digest = "sha256:" + "0" * 64
    told = render_text(
        RunResult(
            outcome="Blocked",
            reason="DeletionThresholdExceeded",
            blocked_plan=BlockedPlan(digest=digest, users={"delete": 501}),
        )
    )

    assert "501 delete of users" in told
    assert f"spec.approvedPlan to {digest}" in told


def test_text_of_a_check_tells_both_halves() -> None:
    told = render_text(
        RunResult(
            outcome="Failed",
            reason="BindRejected",
            tenant_check=CheckOutcome(ok=True, reason="Accepted"),
            directory_check=CheckOutcome(ok=False, reason="BindRejected", message="mend it"),
        )
    )

    assert "tenant: ok" in told
    assert "directory: BindRejected mend it" in told


def test_text_of_a_check_names_each_directory() -> None:
    told = render_text(
        RunResult(
            outcome="Failed",
            reason="BindRejected",
            directory_checks={
                "contoso": CheckOutcome(ok=True, reason="Accepted"),
                "fabrikam": CheckOutcome(ok=False, reason="BindRejected", message="mend it"),
            },
        )
    )

    assert "directory contoso: ok" in told
    assert "directory fabrikam: BindRejected mend it" in told


def test_text_tells_what_is_held_while_the_rest_went_on() -> None:
    told = render_text(
        RunResult(
            outcome="Blocked",
            reason="DisableThresholdExceeded",
            blocked_plan=BlockedPlan(
                digest="sha256:1", changes={"disables": 7, "takeovers": 2}, held=True
            ),
        )
    )

    assert "blocked: 7 disables, 2 takeovers; everything else went on" in told


def test_text_tells_what_becomes_of_additions_and_what_others_changed() -> None:
    told = render_text(
        RunResult(
            outcome="Succeeded",
            reason="Synchronized",
            plan=PlanSummary(writes=3, outcomes={"create": 2, "hardMatch": 1}),
            drift=DriftCounts(objects=3, links=1, not_accepted=1),
        )
    )

    assert "additions: 2 create, 1 hardMatch" in told
    assert "changed by others: 3 objects, 1 links; 1 not accepted" in told


def test_text_lists_every_object_that_is_known() -> None:
    errors = [ObjectError(anchor=f"a{number}", code="LargeObject") for number in range(40)]
    told = render_text(
        RunResult(
            outcome="SucceededWithErrors",
            reason="ExportErrors",
            errors=errors[:10],
            error_count=41,
            errors_by_code=[
                CodeCount(code="LargeObject", count=40),
                CodeCount(code="NewCode", count=1),
            ],
            warning_count=1,
        ),
        errors=errors,
        warnings=[ObjectError(anchor="w", code="Quarantined", message="mend it")],
    )

    assert "  in error: 40 LargeObject, 1 NewCode\n" in told
    assert told.count("  LargeObject a") == 40
    assert "  and 1 more in error\n" in told
    assert "  warning: Quarantined w mend it\n" in told
    assert "more taken" not in told


def test_text_says_what_the_plan_costs_and_how_it_was_paced() -> None:
    told = render_text(
        RunResult(
            outcome="Succeeded",
            reason="Synchronized",
            plan=PlanSummary(
                writes=67_200, links=1, expected_completion_time="2026-03-14T16:00:00Z"
            ),
            pacing=Pacing(quota=5_600, paced_time="55m2s", throttled=2, link_write_weight="0.1"),
        )
    )

    assert (
        "  plan: 67200 writes, 1 link, at 5600 writes in 5 minutes,"
        " expected to be done at 2026-03-14T16:00:00Z\n"
    ) in told
    assert (
        "  paced: waited 55m2s for the quota, the tenant was busy 2 times,"
        " a link counts as 0.1 writes\n"
    ) in told


def test_text_of_a_busy_tenant_does_not_speak_of_a_wait_that_never_was() -> None:
    told = render_text(
        RunResult(outcome="Succeeded", reason="Synchronized", pacing=Pacing(throttled=1))
    )

    assert "  paced: the tenant was busy once\n" in told


def test_text_of_a_run_without_changes_says_nothing_of_the_quota() -> None:
    told = render_text(
        RunResult(
            outcome="Succeeded",
            reason="Synchronized",
            plan=PlanSummary(digest="d", writes=0, links=0),
            pacing=Pacing(quota=5_600),
        )
    )

    assert "plan" not in told
    assert "paced" not in told


def test_the_text_names_what_was_left_out() -> None:
    text = render_text(
        RunResult(
            outcome="Succeeded",
            reason="Synchronized",
            excluded=[
                ExcludedCount(rule="ScopingGroup", count=40),
                ExcludedCount(rule="NoAddress", count=2),
            ],
        )
    )

    assert "  left out: 40 ScopingGroup, 2 NoAddress\n" in text


def test_the_words_of_a_service_do_nothing_to_a_terminal() -> None:
    error = ObjectError(anchor="a=", code="X", message="\x1b[2J\nSucceeded")
    told = render_text(
        RunResult(outcome="SucceededWithErrors", reason="ExportErrors", errors=[error])
    )

    assert "X a= \\u001b[2J\\nSucceeded" in told


def test_text_says_how_long_changes_took() -> None:
    told = result("Succeeded").model_copy(update={"latency": ChangeLatency.of([30, 90])})
    assert (
        "  latency: 1m from a change to its confirmation on average, 1m30s at most"
        in render_text(told).splitlines()
    )
    assert "latency" not in render_text(result("Succeeded"))
