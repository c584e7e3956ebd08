from __future__ import annotations

import json

import pytest

from bench.figures import Figure, render_table, to_json


@pytest.mark.parametrize(
    ("figure", "goal", "held"),
    [
        (Figure(name="a", value=1), None, True),
        (Figure(name="a", value=20, at_least=20), ">= 20", True),
        (Figure(name="a", value=19, at_least=20), ">= 20", False),
        (Figure(name="a", value=0.5, at_most=0.5), "<= 0.5", True),
        (Figure(name="a", value=0.6, at_most=0.5), "<= 0.5", False),
    ],
)
def test_goals_are_held_or_not(figure: Figure, goal: str | None, *, held: bool) -> None:
    assert (figure.goal, figure.held) == (goal, held)


def test_figures_are_written_and_shown() -> None:
    figures = [Figure(name="first_seconds", value=9.5, unit="s", at_most=9)]

    assert json.loads(to_json(figures)) == [
        {"figure": "first_seconds", "value": 9.5, "unit": "s", "goal": "<= 9", "held": False}
    ]
    assert render_table(figures).splitlines()[1].split() == [
        "first_seconds", "9.5", "s", "<=", "9", "NOT", "HELD",
    ]  # fmt: skip
