"""Runs that are killed at a chosen step, each a process: `python -m tests.support.mortal`.

The modules are loaded once; each line on standard input begins a run as a fork. It says where the
run kills itself with SIGKILL, and is answered with how it ended and how many steps of each sort it
took, so that a test can go on to the next step until there is none left.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

from tests.support.rig import Rig

STATEMENT: Final = "statement"
"""Before a statement of the state is executed."""
COMMIT: Final = "commit"
"""Before a transaction of the state is committed."""
COMMITTED: Final = "committed"
"""Between two transactions: before the one that follows begins."""
SENT: Final = "sent"
"""Before a request to the tenant leaves."""
ANSWERED: Final = "answered"
"""When the tenant has done what it was asked for, before its answer is looked at."""


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a run ended.

    Attributes:
        killed: whether it came to its step.
        code: exit code of a run that was not killed.
        steps: how many steps of each sort such a run took.
    """

    killed: bool
    code: int
    steps: Mapping[str, int]


class Mortals:
    """Starts such runs; a context manager.

    Args:
        rig: the sync.
    """

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._steps = rig.message.with_name("steps.json")

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.mortal"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=Path(__file__).parents[2],
            env=os.environ | {"PYTHONPATH": "operator:."},
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def run(self, sort: str = "", at: int = 0) -> Ended:
        """Makes a run that is killed at a step: the first of its sort is number 1.

        Args:
            sort: of the step; empty for a run that lives.
            at: its number.
        """
        rig = self._rig
        rig.write()
        order = {
            "config": str(rig.config),
            "secrets": str(rig.secrets),
            "state": str(rig.state),
            "message": str(rig.message),
            "sort": sort,
            "at": at,
            "steps": str(self._steps),
        }
        self._steps.unlink(missing_ok=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        status = json.loads(self._process.stdout.readline())
        return Ended(
            killed=os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL,
            code=os.waitstatus_to_exitcode(status),
            steps=json.loads(self._steps.read_text()) if self._steps.exists() else {},
        )


class _Reaper:
    """Counts steps and kills this process at one of them."""

    def __init__(self, sort: str, at: int) -> None:
        self._sort = sort
        self._at = at
        self.steps: Counter[str] = Counter()
        self._was_commit = False

    def step(self, sort: str) -> None:
        self.steps[sort] += 1
        if sort == self._sort and self.steps[sort] == self._at:
            os.kill(os.getpid(), signal.SIGKILL)

    def statement(self, text: str) -> None:
        if self._was_commit:
            self.step(COMMITTED)
        self._was_commit = text.startswith("COMMIT")
        if self._was_commit:
            self.step(COMMIT)
        self.step(STATEMENT)

    def install(self) -> None:
        """Looks over the shoulder of SQLite and of the HTTP client."""
        connect, send = sqlite3.connect, httpx.Client.send

        def watched(*arguments: Any, **options: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = connect(*arguments, **options)
            connection.set_trace_callback(self.statement)
            return connection

        def sent(client: httpx.Client, request: httpx.Request, **options: Any) -> httpx.Response:
            self.step(SENT)
            answer = send(client, request, **options)
            self.step(ANSWERED)
            return answer

        sqlite3.connect = watched  # type: ignore[assignment]  # this process does nothing else
        httpx.Client.send = sent  # type: ignore[method-assign, assignment]  # likewise


def _live(order: Mapping[str, Any]) -> int:
    from entrasync.runner.run import run  # noqa: PLC0415  - loaded by the parent already

    reaper = _Reaper(order["sort"], order["at"])
    reaper.install()
    sys.stdout = sys.stderr
    code = run(
        [Path(order["config"])],
        secrets=Path(order["secrets"]),
        state=Path(order["state"]),
        termination_log=Path(order["message"]),
    )
    Path(order["steps"]).write_text(json.dumps(reaper.steps))
    return code


def main() -> None:
    """Makes one run for each line."""
    import entrasync.runner.run  # noqa: F401, PLC0415  - so that forks have it

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 70
            try:
                code = _live(json.loads(line))
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{status}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
