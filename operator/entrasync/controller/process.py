"""The life of the operator's process: it waits for its turn, acts, and hands over.

    started -> definitions fit -> standing by -> leading -> stopped -> Lease given back

Signals end it at any of these. Whatever else ends, ends the process: a new one begins anew.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Thread, Timer
from typing import Final

import structlog

from entrasync.controller.election import LeaderElection
from entrasync.errors import ConfigurationError, EntrasyncError, TransientError

CLEAN: Final = 0
FAILED: Final = 1
"""Something failed, or leadership was lost: a new process begins anew."""
MISCONFIGURED: Final = 2
"""A person must mend something."""
RETRY_SECONDS: Final = 2.0
"""Between looks at an API server that does not answer."""
IDLE_SECONDS: Final = 10.0
"""Longest wait for threads that are still at work; longer, and the Lease runs out by itself."""
STOP_SECONDS: Final = 30.0
"""Longest time from a signal to the end, below the pod's grace period of 45 s."""


class Stop:
    """Whether the process was asked to end; only from the event loop's thread.

    Args:
        give_up: ends the process at once; called when it did not end in time.
    """

    def __init__(self, give_up: Callable[[], None]) -> None:
        self.event = asyncio.Event()
        self._give_up = give_up

    def listen(self) -> None:
        """Hears signals, again if somebody else took them over."""
        loop = asyncio.get_running_loop()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, self._asked)

    def is_set(self) -> bool:
        """Whether it was asked."""
        return self.event.is_set()

    def _asked(self) -> None:
        if not self.event.is_set():
            # of a thread of its own: what does not end may be the event loop
            last = Timer(STOP_SECONDS, self._give_up)
            last.daemon = True
            last.start()
        self.event.set()


async def run_process(
    check: Callable[[], None],
    election: LeaderElection,
    act: Callable[[Stop], Awaitable[None]],
    give_up: Callable[[], None],
) -> int:
    """Runs until a signal comes, or something fails; gives the exit code.

    Args:
        check: fails when the cluster does not fit this operator; called in a thread.
        election: says when to act.
        act: what is done while leading; it must return soon after the process was asked to end,
            and end the threads it began.
        give_up: ends the process at once; called when it does not end in time after a signal.
    """
    loop = asyncio.get_running_loop()
    executor = ThreadPoolExecutor(thread_name_prefix="operator")
    loop.set_default_executor(executor)
    stop, leading = Stop(give_up), asyncio.Event()
    stop.listen()
    code = await _check_until_answered(check, stop)
    if code != CLEAN or stop.is_set():
        return code
    election.start(lambda: _tell(loop, leading))
    await _first(stop.event, leading)
    if not stop.is_set():
        code = await _act(act, stop)
    if await _is_idle(executor):
        election.release()
    else:
        structlog.get_logger().warning("lease_not_released", error="a call is still under way")
    return code


async def _check_until_answered(check: Callable[[], None], stop: Stop) -> int:
    """Goes on while the API server does not answer: it will, and restarts would only delay."""
    while not stop.is_set():
        try:
            await asyncio.to_thread(check)
        except TransientError as error:
            structlog.get_logger().warning("operator_waits_for_cluster", error=error.message)
        except EntrasyncError as error:
            structlog.get_logger().error("operator_cannot_start", error=str(error))
            return MISCONFIGURED if isinstance(error, ConfigurationError) else FAILED
        else:
            return CLEAN
        try:
            async with asyncio.timeout(RETRY_SECONDS):
                await stop.event.wait()
        except TimeoutError:
            continue
    return CLEAN


async def _act(act: Callable[[Stop], Awaitable[None]], stop: Stop) -> int:
    try:
        await act(stop)
    except EntrasyncError as error:
        structlog.get_logger().error("operator_failed", error=str(error))
        return FAILED
    except Exception:  # noqa: BLE001  - whatever it was, the Lease is given back first
        structlog.get_logger().exception("operator_crashed")
        return FAILED
    structlog.get_logger().info("operator_stopped")
    return CLEAN


async def _first(*events: asyncio.Event) -> None:
    """Waits for the first of several events."""
    waiting = [asyncio.create_task(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def _is_idle(executor: ThreadPoolExecutor) -> bool:
    """Waits until no thread is at work any more; false when that takes too long."""
    loop = asyncio.get_running_loop()
    idle = asyncio.Event()

    def wait() -> None:
        executor.shutdown(wait=True)
        _tell(loop, idle)

    Thread(target=wait, name="idle", daemon=True).start()
    try:
        async with asyncio.timeout(IDLE_SECONDS):
            await idle.wait()
    except TimeoutError:
        return False
    return True


def _tell(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    """Sets an event from another thread; fine when the loop has ended meanwhile."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(event.set)
