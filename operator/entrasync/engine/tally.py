"""What an export did so far: counts, refusals, warnings; each refusal is a log line as well."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import structlog

from entrasync.api.sync_run import ObjectError
from entrasync.engine.changes import Action, PlannedChange, counted_as
from entrasync.entra.contracts import ObjectResult, SyncObjectType
from entrasync.entra.object_errors import (
    OBJECT_ERRORS,
    REQUEST_REFUSED_CODE,
    UNKNOWN_CODE,
    error_code,
    explain,
)

KEPT: Final = 10_000
"""Most objects that are told one by one; the rest is only counted, and in the log."""
QUARANTINED: Final = "QuarantinedAttributeValueMustBeUnique"
RESERVATION: Final = "AcceptedWithReservation"
"""Ours: the service took an object and says something that nobody has described."""
_MODIFIED: Final = "with some modified properties"
"""Documented: what the service says of an object of which it keeps a value in quarantine."""
_LONGEST_CODE: Final = 128
_LONGEST_MESSAGE: Final = 512

log = structlog.get_logger()


@dataclass(slots=True, kw_only=True)
class ExportTally:
    """What an export did so far, in figures.

    Attributes:
        objects: objects changed, by kind and action; each once.
        links_added: members added.
        links_removed: members removed.
        failed: objects refused, by kind; each once.
        links_failed: links refused.
        errors: refusals.
        error_count: all refusals, also where there are more than are kept.
        errors_by_code: all refusals by code.
        warnings: objects that the service took with a reservation.
        warning_count: all of them.
        requests: calls made.
        successful: messages that the service took.
        cancelled: whether it was ended early.
    """

    objects: Counter[tuple[SyncObjectType, Action]] = field(default_factory=Counter)
    links_added: int = 0
    links_removed: int = 0
    failed: Counter[SyncObjectType] = field(default_factory=Counter)
    links_failed: int = 0
    errors: list[ObjectError] = field(default_factory=list)
    error_count: int = 0
    errors_by_code: Counter[str] = field(default_factory=Counter)
    warnings: list[ObjectError] = field(default_factory=list)
    warning_count: int = 0
    requests: int = 0
    successful: int = 0
    cancelled: bool = False

    def take(self, change: PlannedChange, *, again: bool) -> None:
        """Counts a change that the service took; of links, what one request carried.

        Args:
            change: what was taken; what is let go for a moment only is no change to a person.
            again: whether another change of the same object counted already.
        """
        self.successful += 1
        if change.action is Action.LINKS:
            added = sum(link.add for link in change.message.links)
            self.links_added += added
            self.links_removed += len(change.message.links) - added
        elif not change.temporary and not again:
            self.objects[change.message.object_type, counted_as(change.action)] += 1

    def refuse(self, change: PlannedChange, told: ObjectError, *, again: bool) -> None:
        """Counts a change that the service refused.

        Args:
            change: what was refused; of links, what one request carried.
            told: why, as people are told.
            again: whether the same was counted already, or another change of the same object.
        """
        if change.action is Action.LINKS:
            self.links_failed += len(change.message.links)
        elif not again:
            self.failed[change.message.object_type] += 1
        if again and change.action is Action.LINKS:
            return
        self.error_count += 1
        self.errors_by_code[told.code] += 1
        if len(self.errors) < KEPT:
            self.errors.append(told)
        _tell("object_refused", change, told)

    def warn(self, change: PlannedChange, result: ObjectResult) -> None:
        """Counts a change that the service took with a reservation."""
        told = object_warning(change.message.source_anchor, result)
        self.warning_count += 1
        if len(self.warnings) < KEPT:
            self.warnings.append(told)
        _tell("object_taken_with_reservation", change, told)


def _tell(event: str, change: PlannedChange, told: ObjectError) -> None:
    log.warning(
        event,
        anchor=told.anchor,
        type=str(change.message.object_type),
        action=str(change.action),
        code=told.code,
        message=told.message,
    )


def object_error(anchor: str, result: ObjectResult) -> ObjectError:
    """A refusal with cause and remedy; where the code says little, in the service's own words too.

    Those were freed of what the service marks as personal when they were read.
    """
    return _explained(anchor, error_code(result.code, result.description), result.description)


def object_warning(anchor: str, result: ObjectResult) -> ObjectError:
    """A reservation with cause and remedy.

    What makes a success a warning is its description; a code may be missing, or be the one of the
    refusal that was avoided.
    """
    code = error_code(result.code, result.description)
    if code == "AttributeValueMustBeUnique" or _MODIFIED in (result.description or ""):
        code = QUARANTINED
    if code != UNKNOWN_CODE:
        return _explained(anchor, code, result.description)
    message = f"The service took the object with a reservation: {result.description}"
    return ObjectError(anchor=anchor, code=RESERVATION, message=message[:_LONGEST_MESSAGE])


def _explained(anchor: str, code: str, description: str | None) -> ObjectError:
    help_ = explain(code)
    told = [help_.cause, help_.remedy]
    if description and (code not in OBJECT_ERRORS or code == REQUEST_REFUSED_CODE):
        told.insert(1, description)
    return ObjectError(
        anchor=anchor, code=code[:_LONGEST_CODE], message=" ".join(told)[:_LONGEST_MESSAGE]
    )
