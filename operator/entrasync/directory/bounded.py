"""What a server may send before it has let us in.

ldap3 reads the answers to StartTLS and to the bind itself: as many bytes, and for as long, as a
server likes to send. So until then its socket brings so much, in so many seconds, and no more.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_BYTES = 1 << 20
"""1 MiB; the answers take some hundred bytes, a ticket of Kerberos up to 64 KiB."""


class BoundedSocket:
    """A socket, with limits on what it brings.

    Args:
        inner: the socket.
        seconds: how long it may take, all together.
        most: how many bytes it may bring.
        clock: seconds that only go up.
    """

    def __init__(
        self,
        inner: Any,
        *,
        seconds: float,
        most: int = MOST_BYTES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner = inner
        self._clock = clock
        self._deadline = clock() + seconds
        self._left = most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def recv(self, size: int) -> bytes:
        """As a socket.

        Raises:
            TimeoutError: it took too long.
            OSError: there are more bytes than an answer has.
        """
        self.limit()
        received: bytes = self._inner.recv(size)
        self._left -= len(received)
        if self._left < 0:
            raise OSError("the server sent more than an answer")
        return received

    def limit(self) -> Any:
        """Let whatever the socket does next end in time; give it."""
        left = self._deadline - self._clock()
        if left <= 0:
            raise TimeoutError("the server took too long")
        self._inner.settimeout(left)
        return self._inner

    def wrap(self, wrapper: Callable[[Any], Any]) -> None:
        """Put something around the socket within, such as TLS; the limits stay what they are."""
        self._inner = wrapper(self.limit())

    def release(self, seconds: float) -> Any:
        """Give the socket without limits, but for so many seconds without a byte."""
        self._inner.settimeout(seconds)
        return self._inner
