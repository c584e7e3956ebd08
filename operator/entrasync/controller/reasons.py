"""Reasons that decide how a resource that is not Ready is treated."""

from __future__ import annotations

from typing import Final

LATE_ARRIVALS: Final = frozenset({"ReferenceNotFound", "SecretNotFound"})
"""What is missing may still be on its way: nobody is called before some minutes have passed."""
TRANSIENT: Final = frozenset({"ServerUnreachable", "RunFailed", "RunActive", "Throttled"})
"""Reasons that need nobody: trying again is enough."""
