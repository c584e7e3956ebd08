"""What a run says of itself."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from entrasync.api.sync_run import Changes, KindChanges, LinkChanges, ObjectError
from entrasync.engine.changes import Action, ChangeCounts
from entrasync.engine.outcome import CycleOutcome
from entrasync.engine.report import (
    code_counts,
    conclude,
    object_errors,
    planned_changes,
    summarize,
    take_failures,
    take_tally,
)
from entrasync.engine.tally import KEPT, ExportTally, object_error, object_warning
from entrasync.entra.contracts import ObjectResult, SyncObjectType
from entrasync.state.checkpoints import Failure
from entrasync.state.schema import Part
from entrasync.state.store import Store

NOW = dt.datetime(2026, 3, 14, tzinfo=dt.UTC)


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


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as found:
        yield found


def refused(store: Store, *anchors: str, code: str = "LargeObject") -> None:
    for anchor in anchors:
        store.checkpoints.record_failure(
            Failure(
                anchor=anchor,
                part=Part.OBJECT,
                code=code,
                message="",
                attempts=1,
                first_time=NOW,
                next_try=NOW,
                wanted=b"",
            )
        )


@dataclass
class Untouched:
    """What is left as it is."""

    withheld_anchors: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def withheld(self) -> Iterator[SimpleNamespace]:
        for anchor in self.withheld_anchors:
            yield SimpleNamespace(anchor=anchor, reason="GroupTooLarge", message="too large")

    def unaccounted_anchors(self) -> Iterator[str]:
        yield from self.gone


def tell(outcome: CycleOutcome, known: Untouched) -> None:
    """Lists what is left as it is."""
    object_errors(outcome, SimpleNamespace(evaluation=known), known)  # type: ignore[arg-type]  # stand-ins


def test_errors_are_told_instead(store: Store) -> None:
    outcome = CycleOutcome(changes=Changes())
    refused(store, "a", "b")
    tally = ExportTally(failed=Counter({SyncObjectType.USER: 2}), error_count=2)

    take_tally(outcome, tally)
    take_failures(outcome, store)
    conclude(outcome, tally, store)
    summarize(outcome, exported=True)

    assert (outcome.outcome, outcome.reason) == ("SucceededWithErrors", "ExportErrors")
    assert outcome.message.startswith("the service refused 2 changes, see errors; they are")
    assert outcome.changes is not None
    assert outcome.changes.users.failed == 2


def test_what_was_refused_earlier_is_told_until_it_is_taken(store: Store) -> None:
    outcome = CycleOutcome(changes=Changes())
    refused(store, "a")

    take_tally(outcome, ExportTally())
    take_failures(outcome, store)
    conclude(outcome, ExportTally(), store)

    assert outcome.message.startswith("the service refused 1 change, see errors; it is")
    assert [(each.anchor, each.code) for each in outcome.errors] == [("a", "LargeObject")]
    assert outcome.changes is not None
    assert outcome.changes.users.failed == 0


def test_what_was_withheld_before_is_counted_together_with_refusals(store: Store) -> None:
    frozen = ObjectError(anchor="g", code="GroupTooLarge", message="too large")
    outcome = CycleOutcome()
    tell(outcome, Untouched(("g",)))
    refused(store, "a")
    warning = ObjectError(anchor="a", code="LargeObject", message="")

    take_tally(outcome, ExportTally(requests=3, warnings=[warning], warning_count=1))
    take_failures(outcome, store)

    assert outcome.errors == [warning, frozen]
    assert outcome.error_count == 2
    assert outcome.errors_by_code == {"GroupTooLarge": 1, "LargeObject": 1}
    assert outcome.requests.export == 3
    assert (outcome.warnings, outcome.warning_count) == ([warning], 1)


@pytest.mark.parametrize(
    ("known", "reason", "codes"),
    [
        (Untouched(("g",)), "GroupTooLarge", {"GroupTooLarge": 1}),
        (
            Untouched(("g",), ("x", "y")),
            "ObjectsUnaccounted",
            {"GroupTooLarge": 1, "ObjectsUnaccounted": 2},
        ),
    ],
)
def test_what_is_left_as_it_is_is_listed(
    known: Untouched, reason: str, codes: dict[str, int]
) -> None:
    outcome = CycleOutcome()

    with capture_logs() as logs:
        tell(outcome, known)

    assert (outcome.outcome, outcome.reason) == ("SucceededWithErrors", reason)
    assert outcome.errors_by_code == codes
    assert len(logs) == outcome.error_count == sum(codes.values())


def test_nothing_left_alone_is_nothing_to_tell() -> None:
    outcome = CycleOutcome()
    tell(outcome, Untouched())
    assert (outcome.outcome, outcome.message) == ("Succeeded", "")


def test_no_more_are_kept_than_anybody_reads(store: Store) -> None:
    outcome = CycleOutcome()
    tell(outcome, Untouched(gone=tuple(f"u{number}" for number in range(KEPT + 1))))
    refused(store, "a")

    take_failures(outcome, store)

    assert (len(outcome.errors), outcome.error_count) == (KEPT, KEPT + 2)
    assert outcome.errors[0].anchor == "a"


def test_a_plan_is_told_in_figures() -> None:
    counts = ChangeCounts(
        objects=Counter(
            {
                (SyncObjectType.USER, Action.ADD): 1,
                (SyncObjectType.USER, Action.UPDATE): 2,
                (SyncObjectType.GROUP, Action.DELETE): 3,
            }
        ),
        links_added=4,
        links_removed=5,
    )

    changes = planned_changes(SimpleNamespace(counts=counts))  # type: ignore[arg-type]  # a stand-in

    assert changes == Changes(
        users=KindChanges(add=1, update=2),
        groups=KindChanges(delete=3),
        links=LinkChanges(add=4, remove=5),
    )


def test_a_cancelled_run_says_so(store: Store) -> None:
    outcome = CycleOutcome()
    refused(store, "a")

    conclude(outcome, ExportTally(cancelled=True), store)

    assert (outcome.outcome, outcome.reason) == ("Cancelled", "Cancelled")


def test_a_warning_is_told_and_does_no_harm(store: Store) -> None:
    outcome = CycleOutcome(changes=Changes())
    tally = ExportTally(warning_count=2)

    take_tally(outcome, tally)
    conclude(outcome, tally, store)
    summarize(outcome, exported=True)

    assert (outcome.outcome, outcome.reason) == ("Succeeded", "Synchronized")
    assert outcome.message == (
        "nothing had changed; 2 objects were taken with a reservation, see warnings"
    )


def test_errors_do_not_hide_warnings(store: Store) -> None:
    outcome = CycleOutcome(changes=Changes())
    refused(store, "a")
    tally = ExportTally(error_count=1, warning_count=1)

    take_tally(outcome, tally)
    conclude(outcome, tally, store)

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
