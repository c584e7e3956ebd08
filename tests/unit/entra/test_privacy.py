from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrasync.entra.privacy import REDACTED, redact, redact_token
from tests.unit.entra.samples import TOKEN


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
        # whatever looks like a token, whole or cut short
        (f"the token {TOKEN} is bad", "the token <redacted> is bad"),
        (f"Bearer {TOKEN[:60]}", "Bearer <redacted>"),
        (f"<BearerToken>{TOKEN}</BearerToken>", "<BearerToken><redacted></BearerToken>"),
        ("eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVy.dGFn", "<redacted>"),
        ("eyJ and eyJhb are short", "eyJ and eyJhb are short"),
    ],
)
def test_marked_values_are_taken_out(text: str, expected: str) -> None:
    assert redact(text) == expected


@given(st.text(), st.text(), st.text(min_size=1))
def test_no_marked_value_is_left(before: str, after: str, secret: str) -> None:
    marked = f"{before}<pii>{secret}-4711</pii>{after}"

    assert f"{secret}-4711" not in redact(marked).replace(before, "").replace(after, "")


OPAQUE = "an-opaque-token-of-some-length"


@pytest.mark.parametrize(
    ("text", "token", "expected"),
    [
        (f"bad {OPAQUE}", OPAQUE, "bad <redacted>"),
        (f"{OPAQUE}{OPAQUE}", OPAQUE, "<redacted><redacted>"),
        (f"bad {TOKEN}", TOKEN, "bad <redacted>"),
        # cut short between its parts, or without its beginning
        (f"bad {OPAQUE}", f"x.{OPAQUE}.y", "bad <redacted>"),
        (f"bad {'.'.join(TOKEN.split('.')[:2])}", TOKEN, "bad <redacted>"),
        # a short part may be an ordinary word
        ("the user is bad", "the.user.is", "the user is bad"),
        ("bad <pii>ann</pii>", TOKEN, "bad <redacted>"),
        ("nothing", "", "nothing"),
        ("", TOKEN, ""),
    ],
)
def test_the_token_is_taken_out(text: str, token: str, expected: str) -> None:
    assert redact_token(text, token) == expected


@given(st.text(), st.text(), st.text("abcdef0123456789-_", min_size=20))
def test_no_token_is_left(before: str, after: str, token: str) -> None:
    found = redact_token(f"{before}{token}{after}", token)

    assert REDACTED in found
    assert token not in found
