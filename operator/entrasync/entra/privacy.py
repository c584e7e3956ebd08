"""Keeping personal data and tokens out of what people and machines read."""

from __future__ import annotations

import re
from typing import Final

REDACTED: Final = "<redacted>"
_MARKED: Final = re.compile(r"<pii>.*?(?:</pii>|\Z)", re.DOTALL | re.IGNORECASE)
_TOKEN_LIKE: Final = re.compile(r"eyJ[A-Za-z0-9_-]{8,}={0,2}(?:\.[A-Za-z0-9_=-]*){0,4}")
"""A signed or sealed JSON token, or a beginning of one: all of them begin with `{"` in base64."""
_SHORTEST_PIECE: Final = 16
"""A part of a token of fewer characters tells nothing, and may be an ordinary word."""


def redact(text: str) -> str:
    """Replaces what the service marks as personal data, and whatever looks like a token.

    A mark left open reaches to the end of the text.
    """
    return _TOKEN_LIKE.sub(REDACTED, _MARKED.sub(REDACTED, text))


def redact_token(text: str, token: str) -> str:
    """As `redact`, and without the token itself, whole or in one of its parts.

    A service that repeats a request in its complaint may cut the token short, so that each part
    between two dots is looked for on its own; and a token need not look like one.

    Args:
        text: what the other side said.
        token: the access token that was sent; may be empty.
    """
    found = redact(text.replace(token, REDACTED) if token else text)
    for piece in token.split("."):
        if len(piece) >= _SHORTEST_PIECE:
            found = found.replace(piece, REDACTED)
    return found
