"""The life of the process: standing by, acting, handing over, and its exit codes."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from typing import cast

import pytest
from typing_extensions import override

from entrasync.controller import process
from entrasync.controller.election import LeaderElection
from entrasync.controller.process import CLEAN, FAILED, MISCONFIGURED, Stop, run_process
from entrasync.errors import ConfigurationError, TransientError


class Election:
    """What the process uses of an election."""

    def __init__(self, *, leads: bool = True) -> None:
        self.leads = leads
        self.log: list[str] = []

    def start(self, on_leading: Callable[[], None]) -> None:
        self.log.append("start")
        if self.leads:
            threading.Thread(target=on_leading).start()

    def release(self) -> None:
        self.log.append("release")


def fits() -> None:
    """A cluster that fits."""


async def ask_to_end(stop: Stop) -> None:
    os.kill(os.getpid(), signal.SIGTERM)
    await stop.event.wait()


def run(
    act: Callable[[Stop], object] = ask_to_end,
    check: Callable[[], None] = fits,
    election: Election | None = None,
) -> tuple[int, list[str]]:
    found = election or Election()

    async def acting(stop: Stop) -> None:
        found.log.append("act")
        await act(stop)  # type: ignore[misc]  # a coroutine function

    code = asyncio.run(
        run_process(check, cast("LeaderElection", found), acting, give_up=lambda: None)
    )
    return code, found.log


def test_it_acts_until_a_signal_and_gives_the_lease_back_last() -> None:
    assert run() == (CLEAN, ["start", "act", "release"])


def test_a_standby_ends_without_having_acted() -> None:
    class Standby(Election):
        @override
        def start(self, on_leading: Callable[[], None]) -> None:
            super().start(on_leading)
            os.kill(os.getpid(), signal.SIGTERM)

    assert run(election=Standby(leads=False)) == (CLEAN, ["start", "release"])


def test_the_lease_is_given_back_when_acting_fails() -> None:
    async def fail(_: Stop) -> None:
        raise TransientError("RunFailed", "the API server is gone")

    assert run(fail) == (FAILED, ["start", "act", "release"])


def test_the_lease_is_given_back_after_a_bug() -> None:
    async def crash(_: Stop) -> None:
        raise ZeroDivisionError

    assert run(crash) == (FAILED, ["start", "act", "release"])


def test_the_lease_is_kept_while_a_thread_is_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "IDLE_SECONDS", 0.01)
    working = threading.Event()
    done = threading.Event()

    def work() -> None:
        working.set()
        done.wait(30)

    async def leave_work(_: Stop) -> None:
        left = asyncio.get_running_loop().run_in_executor(None, work)
        await asyncio.to_thread(working.wait, 30)
        # the interpreter itself waits for the thread afterwards
        threading.Timer(0.2, done.set).start()
        assert not left.done()

    assert run(leave_work) == (CLEAN, ["start", "act"])


def test_what_a_person_must_mend_has_its_own_code() -> None:
    def misfit() -> None:
        raise ConfigurationError("ConfigurationInvalid", "a definition is missing")

    assert run(check=misfit) == (MISCONFIGURED, [])


def test_an_api_server_that_does_not_answer_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "RETRY_SECONDS", 0.0)
    answers = iter([TransientError("RunFailed", "the Kubernetes API cannot be reached"), None])

    def check() -> None:
        answer = next(answers)
        if answer is not None:
            raise answer

    assert run(check=check) == (CLEAN, ["start", "act", "release"])
