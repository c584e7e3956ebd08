"""Several actors on one API in memory, one call at a time, in an order that a test chooses."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from typing_extensions import override

from entrasync.controller.gateway import Manifest
from tests.support.memory_api import MemoryApi

_TIMEOUT_SECONDS = 60


class _Actor(threading.Thread):
    """One actor: it goes on only when it is its turn."""

    def __init__(self, play: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self._play = play
        self.go = threading.Semaphore(0)
        self.rests = threading.Semaphore(0)
        self.over = False
        self.failure: BaseException | None = None

    @override
    def run(self) -> None:
        self.go.acquire()
        try:
            self._play()
        except BaseException as error:  # noqa: BLE001  - it is raised again where the test runs
            self.failure = error
        self.over = True
        self.rests.release()

    def pause(self) -> None:
        """Waits for its next turn."""
        self.rests.release()
        self.go.acquire()

    def turn(self) -> None:
        """Lets it go on to its next call of the API."""
        self.go.release()
        assert self.rests.acquire(timeout=_TIMEOUT_SECONDS)
        if self.failure is not None:
            raise self.failure


def play(api: MemoryApi, actors: Sequence[Callable[[], None]], order: Iterable[int]) -> None:
    """Lets actors act until all are done.

    Each turn ends before the next call of the API. After the order that is given, they take turns.

    Args:
        api: what they call.
        actors: what each does.
        order: whose turn it is, as numbers that are reduced to those who are not done.
    """
    cast = [_Actor(each) for each in actors]
    by_thread: dict[int, _Actor] = {}

    def watch(verb: str, path: str, body: Manifest | None) -> None:
        del verb, path, body
        actor = by_thread.get(threading.get_ident())
        if actor is not None:
            actor.pause()

    api.watchers.append(watch)
    for actor in cast:
        actor.start()
        by_thread[actor.ident or 0] = actor
    chosen = iter(order)
    try:
        while waiting := [each for each in cast if not each.over]:
            waiting[next(chosen, 0) % len(waiting)].turn()
    finally:
        api.watchers.remove(watch)
