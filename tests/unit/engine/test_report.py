"""What a run says of itself."""

from __future__ import annotations

from collections import Counter

import pytest

from entrasync.api.sync_run import Changes, KindChanges, LinkChanges
from entrasync.engine.exporting import ExportTally
from entrasync.engine.outcome import CycleOutcome
from entrasync.engine.report import changes_of, conclude, summarize
from entrasync.entra.contracts import SyncObjectType


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

    conclude(outcome, tally)
    summarize(outcome, exported=True)

    assert (outcome.outcome, outcome.reason) == ("SucceededWithErrors", "ExportErrors")
    assert outcome.message.startswith("the service refused 2 objects")
    assert changes_of((), tally).users.failed == 2
