"""Words for the person at the terminal, and running programs with their failures explained."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

TAIL_LINES = 25


class SetupError(Exception):
    """Something could not be set up; the message says what to do."""


def say(text: str) -> None:
    """One line for the reader, at once."""
    print(text, flush=True)


@contextmanager
def step(what: str, usually: str) -> Iterator[None]:
    """Announces a step with its usual duration, and how long it took."""
    say(f"{what} (usually {usually})")
    started = time.monotonic()
    yield
    say(f"  done in {time.monotonic() - started:.1f} s")


def run(
    command: Sequence[str | Path],
    *,
    hint: str = "",
    log: Path | None = None,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Runs a program to its end and returns what it printed.

    Args:
        command: program and arguments.
        hint: what the reader should do when it fails.
        log: file to write its output to, instead of keeping it in memory.
        env: the whole environment, when not this process's.
        cwd: folder to run it in.

    Raises:
        SetupError: it failed or is not installed; with the last lines it printed.
    """
    words = [str(word) for word in command]
    try:
        if log is None:
            done = subprocess.run(
                words,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                env=env,
                cwd=cwd,
            )
            output = done.stdout
        else:
            with log.open("w") as file:
                done = subprocess.run(
                    words,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    text=True,
                    check=False,
                    env=env,
                    cwd=cwd,
                )
            output = log.read_text(errors="replace")
    except FileNotFoundError:
        raise SetupError(f"The program {words[0]} is missing. {hint}".strip()) from None
    if done.returncode != 0:
        where = f" Its whole output is in {log}." if log else ""
        raise SetupError(
            f"{' '.join(words[:6])} ended with {done.returncode}.{where} {hint}\n{tail(output)}"
        )
    return output


def tail(text: str) -> str:
    """The last lines of a text."""
    return "\n".join(text.splitlines()[-TAIL_LINES:])


def wait_until(
    what: str, probe: Callable[[], bool], *, seconds: float, usually: str, log: Path | None = None
) -> None:
    """Polls until `probe` is true.

    Raises:
        SetupError: it was not within `seconds`; with the last lines of `log`.
    """
    say(f"  waiting for {what} (usually {usually})")
    deadline = time.monotonic() + seconds
    while not probe():
        if time.monotonic() > deadline:
            shown = f" The last lines of {log}:\n{tail(log.read_text())}" if log else ""
            raise SetupError(f"{what} did not come within {seconds:.0f} s.{shown}")
        time.sleep(0.2)
