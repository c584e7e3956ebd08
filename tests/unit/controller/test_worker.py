"""The worker: several keys at once, of a namespace one, and nothing that stops it."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from collections.abc import Callable, Mapping
from typing import Any, cast

from entrasync.controller.interest import Facts
from entrasync.controller.queue import Key, WorkQueue
from entrasync.controller.reconcile import Reconcile
from entrasync.controller.resync import Found, Resync
from entrasync.controller.worker import (
    LANES,
    RELISTED_SECONDS,
    RESYNC_AGAIN_SECONDS,
    RESYNC_SECONDS,
    SHORTEST_WAIT,
    Worker,
)
from entrasync.errors import TransientError
from tests.support.samples import NOW

PATIENCE = 30


class Clocks:
    """A wall clock and one that only runs forward, both moved by hand."""

    def __init__(self) -> None:
        self.now = NOW
        self.seconds = 1000.0

    def wall(self) -> dt.datetime:
        return self.now

    def monotonic(self) -> float:
        return self.seconds

    def pass_time(self, seconds: float) -> None:
        self.now += dt.timedelta(seconds=seconds)
        self.seconds += seconds


class Looks:
    """What the resync finds, look by look; afterwards nothing."""

    def __init__(self, *found: Found) -> None:
        self._found = list(found)
        self.looks = 0
        self.meanwhile: Callable[[], None] = lambda: None

    def look(self, known: Mapping[Key, str]) -> Found:
        del known
        self.meanwhile()
        self.looks += 1
        return self._found.pop(0) if self._found else found()


def found(
    changed: Mapping[Key, Facts] | None = None,
    gone: Mapping[Key, str] | None = None,
    *,
    complete: bool = True,
) -> Found:
    return Found(changed=changed or {}, gone=gone or {}, complete=complete)


def facts(version: str = "1") -> Facts:
    return Facts(version=version, own=int(version), told=0, names=(), ended=False)


def key(name: str, namespace: str = "identity") -> Key:
    return Key("directorysyncs", namespace, name)


def build(reconcile: Reconcile, clocks: Clocks | None = None, *looks: Found) -> Worker:
    clocks = clocks or Clocks()
    return Worker(
        queue=WorkQueue(clocks.wall),
        reconcilers={"directorysyncs": reconcile},
        resync=cast("Resync", Looks(*looks)),
        clock=clocks.wall,
        monotonic=clocks.monotonic,
    )


def play(
    worker: Worker, until: Callable[[], bool], after: Callable[[], None] | None = None
) -> None:
    """Runs a worker until something holds, then ends it."""

    async def work() -> None:
        task = asyncio.create_task(worker.run())
        async with asyncio.timeout(PATIENCE):
            while not until():  # noqa: ASYNC110  - threads move it
                await asyncio.sleep(0.001)
        task.cancel()
        if after is not None:
            asyncio.get_running_loop().call_later(0.02, after)
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(work())


class Gate:
    """A reconciler that stands still until it is let through, and counts who is in it."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.inside: list[Key] = []
        self.passed: list[Key] = []
        self.most_of_one = 0
        self._lock = threading.Lock()

    def __call__(self, namespace: str | None, name: str, now: dt.datetime) -> None:
        del now
        me = key(name, namespace or "")
        with self._lock:
            self.inside.append(me)
            same = [each for each in self.inside if each.namespace == namespace]
            self.most_of_one = max(self.most_of_one, len(same))
        assert self.open.wait(PATIENCE)
        with self._lock:
            self.inside.remove(me)
            self.passed.append(me)


def test_several_namespaces_are_worked_on_at_once_and_of_each_one_key() -> None:
    gate = Gate()
    worker = build(gate)
    wanted = [key(f"sync-{n}", f"ns-{m}") for n in range(3) for m in range(4)]
    for each in wanted:
        worker.queue.add(each)

    def all_lanes() -> bool:
        if len(gate.inside) == 4:
            gate.open.set()
        return len(gate.passed) == len(wanted)

    play(worker, all_lanes)
    assert gate.most_of_one == 1
    assert sorted(gate.passed) == sorted(wanted)


def test_keys_that_never_end_leave_their_lanes_to_others_and_keep_their_namespaces() -> None:
    hung = threading.Event()
    done: list[str] = []

    def reconcile(namespace: str | None, name: str, now: dt.datetime) -> None:
        del now
        if name == "slow":
            assert hung.wait(PATIENCE)
        done.append(f"{namespace}/{name}")

    worker = build(reconcile)
    worker.patience = 0.01
    for number in range(LANES):
        worker.queue.add(key("slow", f"slow-{number}"), NOW - dt.timedelta(seconds=1))
        worker.queue.add(key("beside", f"slow-{number}"), NOW)
    worker.queue.add(key("quick", "other"), NOW)
    play(worker, lambda: "other/quick" in done, hung.set)
    assert not any(each.endswith("/beside") for each in done[: done.index("other/quick")])
    # the end waited for the threads
    assert {f"slow-{number}/slow" for number in range(LANES)} <= set(done)


def test_work_that_never_ends_can_be_seen_from_outside() -> None:
    clocks = Clocks()
    gate = Gate()
    worker = build(gate, clocks)
    worker.queue.add(key("slow"))
    play(worker, lambda: bool(gate.inside), gate.open.set)
    clocks.pass_time(1000)
    worker._tick = clocks.seconds
    assert worker.last_beat == clocks.seconds
    worker._started[key("slow")] = clocks.seconds - 500
    assert worker.last_beat == clocks.seconds - 500 + worker.patience


def test_a_failure_or_a_bug_is_backed_off_and_stops_nothing() -> None:
    clocks = Clocks()
    seen: list[str] = []

    def reconcile(_: str | None, name: str, now: dt.datetime) -> dt.datetime | None:
        seen.append(name)
        if name == "bug":
            raise ZeroDivisionError
        if name == "busy":
            raise TransientError("RunFailed", "busy", retry_after=20)
        return now + dt.timedelta(minutes=30)

    worker = build(reconcile, clocks)
    for name in ("bug", "busy", "good"):
        worker.queue.add(key(name))
    play(worker, lambda: len(seen) == 3)
    assert dict(worker.queue._due) == {
        key("bug"): NOW + dt.timedelta(seconds=1),
        key("busy"): NOW + dt.timedelta(seconds=20),
        key("good"): NOW + dt.timedelta(minutes=30),
    }


def test_a_key_that_wants_to_come_back_at_once_waits_a_moment() -> None:
    seen: list[str] = []

    def reconcile(_: str | None, name: str, now: dt.datetime) -> dt.datetime | None:
        seen.append(name)
        return now - dt.timedelta(hours=1)

    worker = build(reconcile)
    worker.queue.add(key("eager"))
    play(worker, lambda: bool(seen) and not worker._started)
    assert worker.queue.next_due() == NOW + SHORTEST_WAIT


def test_a_clock_that_jumps_wakes_everything() -> None:
    clocks = Clocks()
    seen: list[str] = []

    def reconcile(_: str | None, name: str, now: dt.datetime) -> dt.datetime | None:
        seen.append(name)
        return now + dt.timedelta(days=1)

    worker = build(reconcile, clocks)
    worker.queue.add(key("contoso"), NOW + dt.timedelta(hours=1))

    def jump_back() -> bool:
        if worker._offset is not None and not seen:
            clocks.now = NOW - dt.timedelta(days=1)
            worker.queue.nudge()
        return bool(seen)

    play(worker, jump_back)
    assert seen == ["contoso"]


def test_time_that_passes_is_no_jump() -> None:
    clocks = Clocks()
    worker = build(lambda *_: None, clocks)
    assert not worker._clock_jumped()
    clocks.pass_time(3600)
    assert not worker._clock_jumped()


def test_the_resync_wakes_what_watches_missed() -> None:
    seen: list[str] = []

    def reconcile(_: str | None, name: str, now: dt.datetime) -> dt.datetime | None:
        del now
        seen.append(name)
        return None

    clocks = Clocks()
    first = found({key("new"): facts()})
    second = found({key("new"): facts("2")}, {key("lost"): "1"})
    worker = build(reconcile, clocks, first, second)
    worker.interest.saw(key("lost"), facts())

    def later() -> bool:
        if seen == ["new"]:
            clocks.pass_time(RESYNC_SECONDS)
            worker.queue.nudge()
        return len(seen) == 3

    play(worker, later)
    assert sorted(seen) == ["lost", "new", "new"]
    assert key("lost") not in worker.interest


def test_what_watches_told_meanwhile_is_newer_than_the_resync() -> None:
    worker = build(lambda *_: None)
    worker.saw(key("changed"), facts("1"))
    worker.saw(key("made-again"), facts("1"))
    known = worker.interest.versions()
    worker.saw(key("changed"), facts("3"))
    worker.saw(key("made-again"), facts("4"))
    worker._take_in(found({key("changed"): facts("2")}, {key("made-again"): "1"}), known)
    assert worker.interest.versions() == {key("changed"): "3", key("made-again"): "4"}


def test_a_resync_that_did_not_see_everything_comes_again_soon() -> None:
    clocks = Clocks()
    worker = build(lambda *_: None, clocks, found(complete=False))
    looks = cast("Any", worker.resync)
    play(worker, lambda: looks.looks == 1 and worker._next_resync < float("inf"))
    assert worker._next_resync == clocks.seconds + RESYNC_AGAIN_SECONDS


def test_a_watch_that_began_anew_calls_for_a_resync_soon() -> None:
    clocks = Clocks()
    worker = build(lambda *_: None, clocks)
    looks = cast("Any", worker.resync)

    def twice() -> bool:
        if looks.looks == 1 and worker._next_resync == clocks.seconds + RESYNC_SECONDS:
            worker.relisted()
            clocks.pass_time(RELISTED_SECONDS)
            worker.queue.nudge()
        return bool(looks.looks == 2)

    play(worker, twice)


def test_it_is_called_for_even_while_one_is_under_way() -> None:
    clocks = Clocks()
    worker = build(lambda *_: None, clocks)
    looks = cast("Any", worker.resync)
    looks.meanwhile = worker.relisted
    play(worker, lambda: looks.looks == 1 and worker._next_resync < float("inf"))
    assert worker._next_resync == clocks.seconds + RELISTED_SECONDS
