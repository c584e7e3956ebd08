"""The register of all reasons that conditions, Events, exceptions and metrics share.

Each says what it means, on which kinds it shows, how bad it is and what to do. How a resource is
treated follows from the severity written here, and nowhere else. A runner of another version may
tell a reason that is not registered: it is taken as one that needs somebody.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Final

from entrasync.api.reason import Reason, Severity
from entrasync.api.reasons_blocking import BLOCKED
from entrasync.api.reasons_calling_nobody import DEGRADED, GOOD, WAITING
from entrasync.api.reasons_calling_somebody import NEED_SOMEBODY

GRACE: Final = dt.timedelta(minutes=10)
"""How long what is missing may be on its way before somebody is called: longer than applying in any
order, or External Secrets, takes."""

REASONS: Final[Mapping[str, Reason]] = {
    reason.name: reason for reason in (*GOOD, *WAITING, *DEGRADED, *NEED_SOMEBODY, *BLOCKED)
}
"""Every reason by its name."""

LATE_ARRIVALS: Final = frozenset(name for name, reason in REASONS.items() if reason.may_arrive_late)
"""What is missing may still be on its way."""
TRANSIENT: Final = frozenset(
    name for name, reason in REASONS.items() if reason.severity is Severity.WAITS
)
"""Reasons that need nobody: trying again is enough."""


def severity_of(reason: str) -> Severity:
    """How bad a reason is; one that is not registered needs somebody."""
    known = REASONS.get(reason)
    return Severity.NEEDS_SOMEBODY if known is None else known.severity


def needs_somebody(reason: str, unready: dt.timedelta) -> bool:
    """Whether a person must act: the resource is Stalled.

    Args:
        reason: why it is not Ready.
        unready: how long it has been so.
    """
    if reason in LATE_ARRIVALS:
        return unready >= GRACE
    return reason not in TRANSIENT
