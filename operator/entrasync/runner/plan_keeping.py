"""What becomes of a plan once it was judged: it is kept in the state, and printed if asked for."""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import dataclass

from entrasync.engine.inputs import CycleInputs
from entrasync.engine.names import names_of
from entrasync.engine.outcome import CycleOutcome
from entrasync.engine.plan import Plan
from entrasync.runner.plan_lines import plan_head, plan_lines, without_values, words_of
from entrasync.runner.plan_text import stored_text
from entrasync.state.store import Store


@dataclass(slots=True, frozen=True, kw_only=True)
class Show:
    """How a plan is printed.

    Attributes:
        output: `text` or `json`.
        names: whether values and DNs are shown.
    """

    output: str
    names: bool


def keep_plan(
    plan: Plan, inputs: CycleInputs, store: Store, outcome: CycleOutcome, show: Show | None
) -> None:
    """Keeps a plan that changes something, and prints it where that was asked for.

    Args:
        plan: of the run.
        inputs: what the run is to do.
        store: the state.
        outcome: what is known of the run by now.
        show: how to print it, `None` not to.
    """
    words, names = words_of(inputs.flows), names_of(store)
    head = plan_head(plan.digest, plan.total, outcome.summary, outcome.pacing)
    if plan.total:
        lines = plan_lines(plan.changes(), words, names)
        store.reports.keep_plan(inputs.run, dt.datetime.now(dt.UTC), plan.digest, head, lines)
    if show is None:
        return
    lines = plan_lines(plan.changes(), words, names)
    if show.output == "text":
        sys.stdout.writelines(stored_text(head, lines, names=show.names))
    else:
        told = lines if show.names else map(without_values, lines)
        sys.stdout.writelines(f"{line}\n" for line in told)
