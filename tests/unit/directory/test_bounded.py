"""Limits on what a socket brings."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from entrasync.directory.bounded import BoundedSocket


class Inner:
    """A socket that always has more to say."""

    def __init__(self) -> None:
        self.timeouts: list[float] = []

    def recv(self, size: int) -> bytes:
        return bytes(size)

    def settimeout(self, seconds: float) -> None:
        self.timeouts.append(seconds)

    def getpeercert(self) -> str:
        return "certificate"


class Outer(Inner):
    """A socket around another."""

    def __init__(self, inner: Any) -> None:
        super().__init__()
        self.inner = inner


def bounded(inner: Inner, *, seconds: float = 10, step: int = 0, most: int = 100) -> BoundedSocket:
    now = count(step=step)
    return BoundedSocket(inner, seconds=seconds, most=most, clock=lambda: float(next(now)))


def test_so_many_bytes_and_no_more() -> None:
    inner = bounded(Inner())
    assert len(inner.recv(60)) == 60
    assert len(inner.recv(40)) == 40
    with pytest.raises(OSError, match="more than an answer"):
        inner.recv(1)


def test_each_read_has_what_is_left_of_the_time() -> None:
    inner = Inner()
    socket = bounded(inner, step=4)
    socket.recv(1)
    socket.recv(1)
    with pytest.raises(TimeoutError, match="took too long"):
        socket.recv(1)
    assert inner.timeouts == [6, 2]


def test_what_is_put_around_it_has_the_same_limits() -> None:
    inner = Inner()
    socket = bounded(inner, step=2)
    socket.recv(60)
    socket.wrap(Outer)
    with pytest.raises(OSError, match="more than an answer"):
        socket.recv(60)
    outer = socket.release(120)
    assert outer.inner is inner
    assert (inner.timeouts, outer.timeouts) == ([8, 6], [4, 120])


def test_all_else_is_the_sockets_own() -> None:
    assert bounded(Inner()).getpeercert() == "certificate"
