"""From what a cycle did to what its outcome says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

import structlog

from entrasync.api.entra_tenant import Company
from entrasync.api.sync_run import (
    Changes,
    CodeCount,
    ExcludedCount,
    KindChanges,
    LinkChanges,
    ObjectError,
)
from entrasync.engine.evaluate import Evaluation
from entrasync.engine.outcome import EXPORT_ERRORS, OBJECTS_UNACCOUNTED, CycleOutcome
from entrasync.engine.plan import Action, Plan, PlannedChange, count_changes
from entrasync.engine.tally import ExportTally
from entrasync.entra.contracts import CompanyConfiguration, SyncObjectType

log = structlog.get_logger()

_MOST_CODES: Final = 20
"""Codes that are counted one by one in a status."""
_OTHER_CODES: Final = "Other"


def company_of(configuration: CompanyConfiguration) -> Company:
    """What the tenant says of itself, as status shows it."""
    return Company(
        display_name=configuration.display_name or None,
        directory_sync_enabled=configuration.directory_sync_enabled,
        features=list(configuration.features),
        max_links_per_request=configuration.max_links_per_request,
    )


def changes_of(changes: Iterable[PlannedChange], tally: ExportTally | None = None) -> Changes:
    """Counts of changes, and of what an export was refused."""
    counts = count_changes(list(changes))

    def of(kind: SyncObjectType) -> KindChanges:
        return KindChanges(
            add=counts.objects[kind, Action.ADD],
            update=counts.objects[kind, Action.UPDATE],
            delete=counts.objects[kind, Action.DELETE],
            failed=0 if tally is None else tally.failed[kind],
        )

    return Changes(
        users=of(SyncObjectType.USER),
        groups=of(SyncObjectType.GROUP),
        contacts=of(SyncObjectType.CONTACT),
        links=LinkChanges(
            add=counts.links_added,
            remove=counts.links_removed,
            failed=0 if tally is None else tally.links_failed,
        ),
    )


def object_errors(outcome: CycleOutcome, evaluation: Evaluation, plan: Plan) -> None:
    """Lists what is withheld or unaccounted for, all of it in the log; neither stops the rest."""
    errors = [
        ObjectError(anchor=each.anchor, code=each.reason, message=each.message)
        for each in evaluation.withheld
    ] + [
        ObjectError(
            anchor=anchor,
            code=OBJECTS_UNACCOUNTED,
            message="it is neither in the directory nor among its deleted objects, so it is kept;"
            " check that the account may read it, or let it list deleted objects",
        )
        for anchor in sorted(plan.unaccounted)
    ]
    outcome.error_count = len(errors)
    outcome.errors = errors
    outcome.errors_by_code = Counter(each.code for each in errors)
    for each in errors:
        log.warning(
            "object_left_as_it_is", anchor=each.anchor, code=each.code, message=each.message
        )
    if errors:
        outcome.outcome = "SucceededWithErrors"
        outcome.reason = OBJECTS_UNACCOUNTED if plan.unaccounted else errors[0].code
        outcome.message = f"{len(errors)} objects are left as they are, see errors"


def summarize(outcome: CycleOutcome, *, exported: bool) -> None:
    """Says in a sentence what a run without errors did, or with Preview would do."""
    changes = outcome.changes
    if outcome.outcome != "Succeeded" or changes is None:
        return
    kinds = (("user", changes.users), ("group", changes.groups), ("contact", changes.contacts))
    links = changes.links
    counted = [
        (count, noun, verb)
        for noun, kind in kinds
        for count, verb in (
            (kind.add, "added"),
            (kind.update, "updated"),
            (kind.delete, "deleted"),
        )
    ]
    counted += [(links.add, "member", "added"), (links.remove, "member", "removed")]
    parts = [
        f"{count} {noun}{'' if count == 1 else 's'} {verb}"
        for count, noun, verb in counted
        if count
    ]
    told = ", ".join(parts) or "nothing had changed"
    if parts and not exported:
        told = f"would be exported: {told}"
    outcome.message = f"{outcome.message} {told}{_warned(outcome)}".strip()


def take_tally(outcome: CycleOutcome, tally: ExportTally) -> None:
    """Adds what an export did, also when it did not come to its end."""
    outcome.requests.export = tally.requests
    outcome.changes = changes_of(tally.done, tally)
    outcome.errors = [*tally.errors, *outcome.errors]
    outcome.error_count += tally.error_count
    outcome.errors_by_code += tally.errors_by_code
    outcome.warnings = [*tally.warnings]
    outcome.warning_count = tally.warning_count


def conclude(outcome: CycleOutcome, tally: ExportTally) -> None:
    """Says how a run ended, by what an export was refused."""
    if tally.error_count:
        outcome.outcome, outcome.reason = "SucceededWithErrors", EXPORT_ERRORS
        count = tally.error_count
        refused = (
            "1 object, see errors; it is"
            if count == 1
            else f"{count} objects, see errors; they are"
        )
        outcome.message = (
            f"the service refused {refused} tried again with every run{_warned(outcome)}"
        )
    if tally.cancelled:
        outcome.outcome, outcome.reason = "Cancelled", "Cancelled"
        outcome.message = "it was asked to end; the next run goes on where it stopped"


def code_counts(errors_by_code: Counter[str]) -> list[CodeCount]:
    """Errors by code as status shows them: the most frequent first, a very long tail in sum."""
    named = [each for each in errors_by_code.items() if each[0] != _OTHER_CODES]
    ordered = sorted(named, key=lambda each: (-each[1], each[0]))
    told = [CodeCount(code=code, count=count) for code, count in ordered[:_MOST_CODES]]
    rest = errors_by_code[_OTHER_CODES] + sum(count for _, count in ordered[_MOST_CODES:])
    return [*told, CodeCount(code=_OTHER_CODES, count=rest)] if rest else told


def excluded_counts(excluded: Mapping[str, int]) -> list[ExcludedCount]:
    """What was left out, as status shows it: the rule that left out most first."""
    ordered = sorted(excluded.items(), key=lambda each: (-each[1], each[0]))
    return [ExcludedCount(rule=rule, count=count) for rule, count in ordered]


def _warned(outcome: CycleOutcome) -> str:
    count = outcome.warning_count
    if not count:
        return ""
    objects = "1 object was" if count == 1 else f"{count} objects were"
    return f"; {objects} taken with a reservation, see warnings"
