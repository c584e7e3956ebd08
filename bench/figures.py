"""Figures a benchmark measures, and the goals they are held against."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured figure.

    Attributes:
        name: snake_case; a dashboard knows it by this.
        value: what was measured.
        unit: of the value; empty for a plain ratio.
        at_least: the goal, where more is better.
        at_most: the goal, where less is better.
    """

    name: str
    value: float
    unit: str = ""
    at_least: float | None = None
    at_most: float | None = None

    @property
    def goal(self) -> str | None:
        """The goal in words; `None` where there is none."""
        if self.at_least is not None:
            return f">= {self.at_least:g}"
        return None if self.at_most is None else f"<= {self.at_most:g}"

    @property
    def held(self) -> bool:
        """Whether the goal is met; a figure without one always is."""
        if self.at_least is not None and self.value < self.at_least:
            return False
        return self.at_most is None or self.value <= self.at_most


def to_json(figures: Sequence[Figure]) -> str:
    """The figures as the documented list."""
    rows = [
        {"figure": f.name, "value": f.value, "unit": f.unit, "goal": f.goal, "held": f.held}
        for f in figures
    ]
    return json.dumps(rows, indent=2) + "\n"


def render_table(figures: Sequence[Figure]) -> str:
    """The figures for a person at a terminal."""
    rows = [("figure", "value", "unit", "goal", "")]
    for figure in figures:
        verdict = "" if figure.goal is None else "held" if figure.held else "NOT HELD"
        rows.append((figure.name, f"{figure.value:,.4g}", figure.unit, figure.goal or "", verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        f"  {row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:<{widths[2]}}"
        f"  {row[3]:<{widths[3]}}  {row[4]}".rstrip()
        for row in rows
    )
