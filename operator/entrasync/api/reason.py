"""What one reason is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

CLOUD: Final = "AzureCloud"
TENANT: Final = "EntraTenant"
DIRECTORY: Final = "ActiveDirectory"
SYNC: Final = "DirectorySync"
RUN: Final = "SyncRun"
OF_TENANT: Final = (TENANT, SYNC, RUN)
"""Where what is wrong with a tenant shows: there, on its syncs, and on their runs and checks."""
OF_DIRECTORY: Final = (DIRECTORY, SYNC, RUN)
"""Where what is wrong with a directory shows."""
OF_PARTS: Final = (TENANT, DIRECTORY, SYNC, RUN)
"""Where what may be wrong with either shows."""
OF_SYNC: Final = (SYNC, RUN)
"""Where what is wrong with a sync shows."""


class Severity(StrEnum):
    """How bad it is, and for whom."""

    OK = "Ok"
    """All is well, or it is on its way."""
    WAITS = "Waits"
    """It passes by itself: it is tried again, nobody is needed."""
    DEGRADED = "Degraded"
    """It works, but for some objects; somebody should look at these."""
    NEEDS_SOMEBODY = "NeedsSomebody"
    """A person must act: the resource is Stalled."""
    BLOCKED = "Blocked"
    """A safety rule stopped the plan until somebody has looked at it."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Reason:
    """A reason as conditions, Events, exceptions and metrics show it.

    Attributes:
        name: in CamelCase.
        kinds: resources it shows on.
        severity: how bad it is.
        means: what happened, in a sentence.
        remedy: what to do, in a sentence.
        may_arrive_late: whether what is missing may still be on its way, so that nobody is called
            before ten minutes have passed.
    """

    name: str
    kinds: tuple[str, ...]
    severity: Severity
    means: str
    remedy: str
    may_arrive_late: bool = False


def of(severity: Severity, *entries: tuple[str, tuple[str, ...], str, str]) -> tuple[Reason, ...]:
    """Reasons of one severity.

    Args:
        severity: of all of them.
        entries: name, kinds, meaning and remedy of each.
    """
    return tuple(
        Reason(name=name, kinds=kinds, severity=severity, means=means, remedy=remedy)
        for name, kinds, means, remedy in entries
    )
