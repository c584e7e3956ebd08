"""What is written fits the schema, and stays readable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.api.bounds import bounded, shorten
from entrasync.api.directory_sync import DirectorySyncStatus
from entrasync.api.sync_run import SyncRunStatus


@pytest.mark.parametrize(
    ("text", "length", "expected"),
    [
        ("short", 5, "short"),
        ("one two three", 13, "one two three"),
        ("the last two words", 15, "the last two…"),
        ("the last two words", 14, "the last two…"),
        ("the last two words", 13, "the last two…"),
        ("averylongwordthatneverends", 10, "averylong…"),
        ("a averylongwordthatneverends", 10, "a averylo…"),
        ("line one\nline two", 10, "line one…"),
    ],
)
def test_a_text_is_cut_between_words_where_one_ends_near(
    text: str, length: int, expected: str
) -> None:
    assert shorten(text, length) == expected


@given(st.text(max_size=200), st.integers(min_value=1, max_value=100))
def test_a_text_never_exceeds_its_length(text: str, length: int) -> None:
    cut = shorten(text, length)
    assert len(cut) <= length
    assert cut == text or cut.endswith("…")
    assert shorten(cut, length) == cut


def test_strings_lists_and_maps_are_cut_at_every_depth() -> None:
    run = {
        "phase": "AVeryLongPhaseThatNoRunHas",
        "errors": [{"anchor": "a" * 300, "code": "C"}] * 12,
        "plan": {"outcomes": {f"outcome{number:02}": number for number in range(20)}},
        "timings": {"import": "3" * 40},
    }
    cut = bounded(run, SyncRunStatus)
    assert len(cut["phase"]) == 16
    assert len(cut["errors"]) == 10
    assert len(cut["errors"][0]["anchor"]) == 256
    assert list(cut["plan"]["outcomes"]) == [f"outcome{number:02}" for number in range(16)]
    assert len(cut["timings"]["import"]) == 32


def test_what_fits_is_left_as_it_is() -> None:
    sync = {"objects": {"users": 812}, "history": [{"name": "contoso-1", "message": "m" * 2048}]}
    assert bounded(sync, DirectorySyncStatus) == sync
