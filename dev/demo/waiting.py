"""Waiting for something to become true, with progress for the person who waits."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
POLL_SECONDS = 0.5


class WaitingEndedError(Exception):
    """What was waited for did not come in time; the message says what to look at."""


def say(text: str) -> None:
    """One line for the person at the terminal."""
    print(text, flush=True)


def wait_for(
    what: str,
    probe: Callable[[], T | None],
    *,
    usually: str,
    seconds: float,
    hint: str,
    state: Callable[[], str] = lambda: "",
) -> T:
    """Polls `probe` until it returns something true, and returns that.

    Args:
        what: what is waited for, for the reader.
        probe: returns something true once it is there.
        usually: how long it usually takes, for the reader.
        seconds: when to give up.
        hint: what the reader should do when it does not come.
        state: a short description of how things are, shown while waiting and at the end.

    Raises:
        WaitingEndedError: it did not come in time.
    """
    say(f"  waiting for {what} (usually {usually})")
    started = time.monotonic()
    shown = ""
    while time.monotonic() - started < seconds:
        found = probe()
        if found:
            say(f"  {what}: there after {time.monotonic() - started:.0f} s")
            return found
        current = state()
        if current and current != shown:
            say(f"    {current}")
            shown = current
        time.sleep(POLL_SECONDS)
    sys.stdout.flush()
    raise WaitingEndedError(f"{what} did not come within {seconds:.0f} s. {state()} {hint}")
