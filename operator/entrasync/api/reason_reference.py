"""The table of all reasons, rendered from their register."""

from __future__ import annotations

from typing import Final

from entrasync.api.reason import Reason, Severity
from entrasync.api.reasons import REASONS

_INTRODUCTION: Final = """# All reasons

Generated from the register in `operator/entrasync/api/reasons.py`. A condition, an Event, an
exception and a metric of the same thing have the same reason. How to read a status is in
[status.md](status.md).
"""
_HEADINGS: Final = {
    Severity.OK: ("All is well", "`Ready` is True, or a first run is on its way to it."),
    Severity.WAITS: (
        "It passes by itself",
        "Nobody is needed: it is tried again, and `Stalled` is not set.",
    ),
    Severity.DEGRADED: (
        "It works, but for some objects",
        "`Ready` is True and `Degraded` says why; all other objects are synchronized.",
    ),
    Severity.NEEDS_SOMEBODY: (
        "A person must act",
        (
            "`Ready` is False and `Stalled` is True. What is marked with * may still be on its"
            " way: it is `Stalled` only after ten minutes."
        ),
    ),
    Severity.BLOCKED: (
        "A safety rule stopped the plan",
        (
            "`PlanBlocked` is True. `Ready` is False and `Stalled` is True, or with"
            " `spec.safety.onBlocked: HoldBraked` `Degraded` is, and everything else went on."
        ),
    ),
}


def render_reasons() -> str:
    """All reasons as one Markdown page, by what they ask of people."""
    parts = [_INTRODUCTION]
    for severity in Severity:
        heading, words = _HEADINGS[severity]
        rows = [_row(reason) for reason in REASONS.values() if reason.severity is severity]
        parts.append(
            f"## {heading}\n\n{words}\n\n| reason | on | means | what to do |\n|---|---|---|---|\n"
            + "\n".join(rows)
            + "\n"
        )
    return "\n".join(parts)


def _row(reason: Reason) -> str:
    name = f"`{reason.name}`" + ("*" if reason.may_arrive_late else "")
    cells = (name, ", ".join(reason.kinds), reason.means, reason.remedy)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
