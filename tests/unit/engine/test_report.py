"""What a run says of itself."""

from __future__ import annotations

from collections import Counter

import pytest

from entrasync.api.sync_run import Changes, KindChanges, LinkChanges, ObjectError
from entrasync.engine.outcome import CycleOutcome
from entrasync.engine.report import changes_of, code_counts, conclude, summarize, take_tally
from entrasync.engine.tally import ExportTally, object_error, object_warning
from entrasync.entra.contracts import ObjectResult, SyncObjectType


@pytest.mark.parametrize(
    ("changes", "exported", "message"),
    [
        (Changes(), True, "nothing had changed"),
        (
            Changes(
                users=KindChanges(update=344, delete=1),
                groups=KindChanges(add=2),
                links=LinkChanges(add=1, remove=3),
            ),
            True,
            "344 users updated, 1 user deleted, 2 groups added, 1 member added, 3 members removed",
        ),
        (Changes(contacts=KindChanges(add=1)), False, "would be exported: 1 contact added"),
    ],
)
def test_a_good_run_is_summed_up(changes: Changes, *, exported: bool, message: str) -> None:
    outcome = CycleOutcome(changes=changes)

    summarize(outcome, exported=exported)

    assert outcome.message == message


def test_a_summary_keeps_what_was_said_before() -> None:
    outcome = CycleOutcome(changes=Changes(), message="The cookie was refused.")

    summarize(outcome, exported=True)

    assert outcome.message == "The cookie was refused. nothing had changed"


def test_errors_are_told_instead() -> None:
    outcome = CycleOutcome(changes=Changes())
    tally = ExportTally(failed=Counter({SyncObjectType.USER: 2}), error_count=2)

    take_tally(outcome, tally)
    conclude(outcome, tally)
    summarize(outcome, exported=True)

    assert (outcome.outcome, outcome.reason) == ("SucceededWithErrors", "ExportErrors")
    assert outcome.message.startswith("the service refused 2 objects")
    assert changes_of((), tally).users.failed == 2


def test_what_was_withheld_before_is_counted_together_with_refusals() -> None:
    frozen = ObjectError(anchor="g", code="GroupTooLarge")
    outcome = CycleOutcome(
        errors=[frozen], error_count=1, errors_by_code=Counter({"GroupTooLarge": 1})
    )
    refused = ObjectError(anchor="a", code="LargeObject")
    tally = ExportTally(
        errors=[refused],
        error_count=1,
        errors_by_code=Counter({"LargeObject": 1}),
        requests=3,
        warnings=[refused],
        warning_count=1,
    )

    take_tally(outcome, tally)

    assert outcome.errors == [refused, frozen]
    assert outcome.error_count == 2
    assert outcome.errors_by_code == {"GroupTooLarge": 1, "LargeObject": 1}
    assert outcome.requests.export == 3
    assert (outcome.warnings, outcome.warning_count) == ([refused], 1)


def test_a_warning_is_told_and_does_no_harm() -> None:
    outcome = CycleOutcome(changes=Changes())
    tally = ExportTally(warning_count=2)

    take_tally(outcome, tally)
    conclude(outcome, tally)
    summarize(outcome, exported=True)

    assert (outcome.outcome, outcome.reason) == ("Succeeded", "Synchronized")
    assert outcome.message == (
        "nothing had changed; 2 objects were taken with a reservation, see warnings"
    )


def test_errors_do_not_hide_warnings() -> None:
    outcome = CycleOutcome(changes=Changes())
    tally = ExportTally(error_count=1, warning_count=1)

    take_tally(outcome, tally)
    conclude(outcome, tally)

    assert outcome.message.endswith("; 1 object was taken with a reservation, see warnings")


def test_the_most_frequent_codes_come_first_and_a_long_tail_in_sum() -> None:
    assert code_counts(Counter()) == []
    counted = code_counts(Counter({"B": 2, "A": 2, "C": 9}))
    assert [(each.code, each.count) for each in counted] == [("C", 9), ("A", 2), ("B", 2)]

    many = {f"code{number:02}": 100 - number for number in range(25)}
    counted = code_counts(Counter(many | {"Other": 1_000}))

    assert len(counted) == 21
    assert (counted[-1].code, counted[-1].count) == ("Other", 1_000 + 80 + 79 + 78 + 77 + 76)


QUARANTINED = "QuarantinedAttributeValueMustBeUnique"
MODIFIED = "This object has been updated, but with some modified properties, because ..."


@pytest.mark.parametrize(
    ("code", "description", "told", "part"),
    [
        (QUARANTINED, "x", QUARANTINED, "quarantined"),
        (None, MODIFIED, QUARANTINED, "quarantined"),
        ("AttributeValueMustBeUnique", "x", QUARANTINED, "quarantined"),
        (None, f"{QUARANTINED}: ...", QUARANTINED, "quarantined"),
        (None, "Something else.", "AcceptedWithReservation", "reservation: Something else."),
        ("LargeObject", "x", "LargeObject", "too large"),
    ],
)
def test_a_warning_has_cause_and_remedy(
    code: str | None, description: str, told: str, part: str
) -> None:
    result = ObjectResult(source_anchor="a", success=True, code=code, description=description)

    warning = object_warning("a", result)

    assert (warning.anchor, warning.code) == ("a", told)
    assert part in warning.message


@pytest.mark.parametrize(
    ("code", "description", "told", "part"),
    [
        ("LargeObject", "the words", "LargeObject", "Remove expired"),
        ("RequestRefused", "It is odd.", "RequestRefused", "It is odd."),
        ("NewCode", "The words.", "NewCode", "The words."),
        ("x" * 300, "y" * 900, "x" * 128, "y"),
    ],
)
def test_a_refusal_has_cause_and_remedy(code: str, description: str, told: str, part: str) -> None:
    result = ObjectResult(source_anchor="a", success=False, code=code, description=description)

    error = object_error("a", result)

    assert error.code == told
    assert part in error.message
    assert len(error.message) <= 512
