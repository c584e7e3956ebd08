from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.common import DURATION_PATTERN
from entrasync.engine.outcome import Stopwatch, format_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.0004, "0s"), (3.2, "3s200ms"), (61, "1m1s"), (3600, "1h"), (-1, "0s")],
)
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(min_value=0, max_value=99_999 * 3600))
def test_every_duration_is_one_of_kubernetes(seconds: float) -> None:
    assert re.fullmatch(DURATION_PATTERN, format_duration(seconds))


def test_a_stage_is_measured_also_when_it_fails() -> None:
    timings: dict[str, str] = {}
    ticks = iter([1.0, 2.5])

    with pytest.raises(ValueError, match="x"), Stopwatch(ticks.__next__, timings).stage("import"):
        raise ValueError("x")

    assert timings == {"import": "1s500ms"}
