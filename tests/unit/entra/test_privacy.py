from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.entra.privacy import redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nothing marked", "nothing marked"),
        ("<pii>ann@contoso.test</pii>", "<redacted>"),
        ("a <pii>x</pii> b <PII>y</Pii> c", "a <redacted> b <redacted> c"),
        ("a <pii>x\ny</pii> b", "a <redacted> b"),
        # a mark left open must not let the rest through
        ("a <pii>ann@contoso.test", "a <redacted>"),
        ("a <pii><pii>x</pii> b", "a <redacted> b"),
        ("a </pii> b", "a </pii> b"),
    ],
)
def test_marked_values_are_taken_out(text: str, expected: str) -> None:
    assert redact(text) == expected


@given(st.text(), st.text(), st.text(min_size=1))
def test_no_marked_value_is_left(before: str, after: str, secret: str) -> None:
    marked = f"{before}<pii>{secret}-4711</pii>{after}"

    assert f"{secret}-4711" not in redact(marked).replace(before, "").replace(after, "")
