"""Reasons that decide how a resource that is not Ready is treated."""

from __future__ import annotations

import datetime as dt
from typing import Final

LATE_ARRIVALS: Final = frozenset({"ReferenceNotFound", "SecretNotFound"})
"""What is missing may still be on its way: nobody is called before `GRACE` has passed."""
GRACE: Final = dt.timedelta(minutes=10)
"""Longer than applying in any order, or External Secrets, would take."""
TRANSIENT: Final = frozenset({"ServerUnreachable", "RunFailed", "RunActive", "Throttled"})
"""Reasons that need nobody: trying again is enough."""


def needs_somebody(reason: str, unready: dt.timedelta) -> bool:
    """Whether a person must act: the resource is Stalled.

    Args:
        reason: why it is not Ready.
        unready: how long it has been so.
    """
    if reason in LATE_ARRIVALS:
        return unready >= GRACE
    return reason not in TRANSIENT
