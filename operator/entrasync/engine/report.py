"""From what a cycle did to what its outcome says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import chain, islice
from typing import Final, Protocol

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
from entrasync.engine.changes import Action, ChangeCounts
from entrasync.engine.outcome import EXPORT_ERRORS, OBJECTS_UNACCOUNTED, CycleOutcome
from entrasync.engine.plan import Plan
from entrasync.engine.tally import KEPT, ExportTally
from entrasync.entra.contracts import CompanyConfiguration, SyncObjectType
from entrasync.state.store import Store

log = structlog.get_logger()

_MOST_CODES: Final = 20
"""Codes that are counted one by one in a status."""
_OTHER_CODES: Final = "Other"
_UNACCOUNTED: Final = (
    "it is wanted no longer, and nothing proves that it is deleted or out of scope, so it is kept;"
    " check that the account may read it, or let it list deleted objects"
)


def company_of(configuration: CompanyConfiguration) -> Company:
    """What the tenant says of itself, as status shows it."""
    return Company(
        display_name=configuration.display_name or None,
        directory_sync_enabled=configuration.directory_sync_enabled,
        features=list(configuration.features),
        max_links_per_request=configuration.max_links_per_request,
    )


class Counted(Protocol):
    """Changes in figures: those of a plan, or those that an export made."""

    @property
    def objects(self) -> Counter[tuple[SyncObjectType, Action]]:
        """Objects changed, by kind and action."""
        ...

    @property
    def links_added(self) -> int:
        """Members added."""
        ...

    @property
    def links_removed(self) -> int:
        """Members removed."""
        ...


def changes_of(counts: Counted, tally: ExportTally | None = None) -> Changes:
    """Counts of changes as status shows them, and of what an export was refused."""

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


NO_CHANGES: Final = changes_of(ChangeCounts())
"""What a run changed that sent nothing."""


def planned_changes(plan: Plan) -> Changes:
    """Counts of what a plan would change."""
    return changes_of(plan.counts)


def object_errors(
    outcome: CycleOutcome, store: Store, plan: Plan, further: Iterable[ObjectError] = ()
) -> None:
    """Lists what is withheld or unaccounted for, all of it in the log; nothing stops the rest.

    Args:
        outcome: where they are listed.
        store: the state.
        plan: of this run.
        further: what else is left as it is.
    """
    told = chain(
        (
            ObjectError(anchor=each.anchor, code=each.reason, message=each.message)
            for each in store.evaluation.withheld()
        ),
        (
            ObjectError(anchor=anchor, code=OBJECTS_UNACCOUNTED, message=_UNACCOUNTED)
            for anchor in plan.unaccounted_anchors()
        ),
        further,
    )
    for each in told:
        outcome.error_count += 1
        outcome.errors_by_code[each.code] += 1
        if len(outcome.errors) < KEPT:
            outcome.errors.append(each)
        log.warning(
            "object_left_as_it_is", anchor=each.anchor, code=each.code, message=each.message
        )
    if outcome.error_count:
        outcome.outcome = "SucceededWithErrors"
        gone = outcome.errors_by_code[OBJECTS_UNACCOUNTED]
        outcome.reason = OBJECTS_UNACCOUNTED if gone else outcome.errors[0].code
        outcome.message = f"{outcome.error_count} objects are left as they are, see errors"


def take_failures(outcome: CycleOutcome, store: Store) -> None:
    """Adds what the service refused in this run or an earlier one and has not taken since.

    At the end of a run, whatever it exported; ahead of the objects that are left as they are.
    """
    counts = store.checkpoints.failure_counts()
    failures = [
        ObjectError(anchor=each.anchor, code=each.code, message=each.message)
        for each in islice(store.checkpoints.failures(), KEPT)
    ]
    outcome.errors = [*failures, *outcome.errors][:KEPT]
    outcome.error_count += counts.total()
    outcome.errors_by_code += counts


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


def remind(outcome: CycleOutcome, store: Store) -> None:
    """Says of a run that sent nothing that the service refused something before."""
    count = store.checkpoints.failure_counts().total()
    if not count or outcome.outcome not in {"Succeeded", "SucceededWithErrors"}:
        return
    if outcome.outcome == "Succeeded":
        outcome.outcome, outcome.reason = "SucceededWithErrors", EXPORT_ERRORS
    refused = "1 change was" if count == 1 else f"{count} changes were"
    outcome.message = f"{outcome.message}; {refused} refused by an earlier run, see errors"


def take_tally(outcome: CycleOutcome, tally: ExportTally) -> None:
    """Adds what an export did, also when it did not come to its end."""
    outcome.requests.export = tally.requests
    outcome.changes = changes_of(tally, tally)
    outcome.warnings = [*tally.warnings]
    outcome.warning_count = tally.warning_count


def conclude(outcome: CycleOutcome, tally: ExportTally, store: Store) -> None:
    """Says how a run ended, by what the service refused, then or earlier."""
    count = store.checkpoints.failure_counts().total()
    if count:
        outcome.outcome, outcome.reason = "SucceededWithErrors", EXPORT_ERRORS
        refused = (
            "1 change, see errors; it is"
            if count == 1
            else f"{count} changes, see errors; they are"
        )
        outcome.message = (
            f"the service refused {refused} tried again, less and less often{_warned(outcome)}"
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
