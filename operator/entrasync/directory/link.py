"""One bound LDAP connection: ldap3 connects and binds, searches are read here.

Answers are read from ldap3's socket message by message and stay undecoded until they are asked
for. Several searches may be under way at once: the answers of one are kept while another is read.

What a server may send is bounded in entries, bytes and time. A connection on which anything went
wrong is closed at once: nothing read from it later could be told from the answer to another
question.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from ldap3.core.exceptions import LDAPExceptionError
from ldap3.operation.abandon import abandon_operation
from ldap3.operation.search import search_operation

from entrasync.directory.ber import (
    EXTENDED_RESPONSE,
    SEARCH_DONE,
    SEARCH_ENTRY,
    SEARCH_REFERENCE,
    Message,
    RawEntry,
    Result,
    decode_entry,
    decode_message,
    decode_result,
    frame_length,
)
from entrasync.directory.errors import DirectoryError, MalformedAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ldap3 import Connection

    from entrasync.directory.controls import Control

BASE = 0
ONE_LEVEL = 1
SUBTREE = 2

_RECEIVE_BYTES = 1 << 18
_NEVER_DEREFERENCE = 0
_SHORTEST_MESSAGE = 2
"""Bytes that tell how long a message is, at least."""

MAX_ANSWER = 1 << 28
"""Bytes held of one answer: 256 MiB, two of the largest messages there are."""
MAX_ENTRIES = 1_000_000
"""Entries of an answer for which no number was agreed."""
MAX_REFERENCES = 10_000
"""Search references of one answer; a forest has some dozens of naming contexts."""
PATIENCE = 1800.0
"""Seconds for one answer, so that a server that sends a byte now and then is given up as well."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What to ask for."""

    base: str
    scope: int
    attributes: Sequence[str]
    filter: str = "(objectClass=*)"
    controls: tuple[Control, ...] = ()
    most: int = MAX_ENTRIES
    """Entries the answer may have; a server that sends more of them is not to be trusted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """All that came for one search, whatever its result."""

    result: Result
    controls: Mapping[str, bytes]
    bodies: tuple[bytes, ...]

    def entries(self) -> Iterator[RawEntry]:
        """Decode the entries, one at a time."""
        return map(decode_entry, self.bodies)


@dataclass(slots=True)
class _Pending:
    """What came so far for a search under way."""

    room: int
    """Entries that may still come."""
    references: int = MAX_REFERENCES
    """Search references that may still come."""
    ends: int = SEARCH_DONE
    """Tag of the message that ends the answer."""
    size: int = 0
    """Bytes of the bodies."""
    bodies: list[bytes] = field(default_factory=list)
    done: Message | None = None


class Link:
    """A bound connection.

    Args:
        connection: opened and bound by ldap3; nobody else may use it from now on.
        url: the server's address as configured.
        resource: `Kind/name` that errors point at.
        patience: seconds for one answer, from when it is waited for.
        clock: seconds that only go up.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        url: str,
        resource: str,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.url = url
        self.resource = resource
        self._connection = connection
        self._patience = patience
        self._clock = clock
        self._received = memoryview(bytearray(_RECEIVE_BYTES))
        self._buffer = bytearray()
        self._needed = _SHORTEST_MESSAGE
        """Bytes the buffer must hold before there is a message in it."""
        self._frames: deque[bytes] = deque()
        self._pending: dict[int, _Pending] = {}
        self._abandoned: set[int] = set()

    def close(self) -> None:
        """Say good-bye and close the socket; never raises for a connection already lost."""
        close_connection(self._connection)

    def search(self, search: Search) -> Answer:
        """Ask and wait for the whole answer."""
        return self.collect(self.start(search))

    def start(self, search: Search) -> int:
        """Ask; give the number to collect the answer with."""
        request = search_operation(
            search.base,
            search.filter,
            search.scope,
            _NEVER_DEREFERENCE,
            list(search.attributes),
            size_limit=0,
            time_limit=0,
            types_only=False,
            auto_escape=False,
            auto_encode=False,
        )
        number = self._send("searchRequest", request, list(search.controls) or None)
        self._pending[number] = _Pending(room=search.most)
        return number

    def call(self, kind: str, request: object, *, ends: int) -> Result:
        """Ask for anything but a search, and wait for the result.

        Args:
            kind: what ldap3 calls such a request.
            request: as ldap3 builds it.
            ends: tag of the answer.

        Raises:
            DirectoryError: the connection was lost, or what came is no such answer. Whether the
                server did what it was asked is not known then.
        """
        number = self._send(kind, request)
        self._pending[number] = _Pending(room=0, references=0, ends=ends)
        return self.collect(number).result

    def _send(self, kind: str, request: object, controls: Sequence[Control] | None = None) -> int:
        strategy = self._connection.strategy
        with self._connected():
            number: int = strategy.send(kind, request, controls)
        # ldap3 keeps requests until it has read their answer, which it never will
        strategy._outstanding.pop(number, None)  # noqa: SLF001  - no public way
        return number

    def advance(self, number: int, size: int = MAX_ANSWER) -> bool:
        """Wait until an answer is whole, or holds that many bytes.

        Returns:
            Whether it is whole, so that `collect` gives it without waiting. Else `take` what is
            there and go on.

        Raises:
            DirectoryError: the connection was lost, or what came is no LDAP.
        """
        pending = self._pending[number]
        deadline = self._clock() + self._patience
        with self._connected():
            while pending.done is None and pending.size < size:
                self._sort(self._next_message(deadline))
        return pending.done is not None

    def take(self, number: int) -> list[bytes]:
        """Take what came of an answer that is not whole yet; `decode_entry` reads each."""
        pending = self._pending[number]
        taken, pending.bodies, pending.size = pending.bodies, [], 0
        return taken

    def collect(self, number: int) -> Answer:
        """Wait for the whole answer.

        Raises:
            DirectoryError: the connection was lost, or what came is no LDAP.
        """
        pending = self._pending[number]
        while pending.done is None:
            self.advance(number)
        del self._pending[number]
        with self._connected():
            result = decode_result(pending.done.body)
        if result.code:
            log.debug("search_refused", code=result.code, diagnostic=result.diagnostic)
        return Answer(result=result, controls=pending.done.controls, bodies=tuple(pending.bodies))

    def forget(self, number: int) -> None:
        """Drop the answer of a search nobody waits for any more, and tell the server so.

        Never raises: it is called when something else went wrong, too.
        """
        pending = self._pending.pop(number, None)
        if pending is None or pending.done is not None:
            return
        self._abandoned.add(number)  # what is on its way still comes
        strategy = self._connection.strategy
        with suppress(OSError, LDAPExceptionError):
            own = strategy.send("abandonRequest", abandon_operation(number))  # type: ignore[no-untyped-call]  # ldap3 is half typed
            strategy._outstanding.pop(own, None)  # noqa: SLF001  - as above

    def lost(self, why: str) -> DirectoryError:
        """Build the error of a connection that ended before the answer did."""
        return DirectoryError(
            "ServerUnreachable",
            f"The connection to {self.url} was lost while reading ({why}). "
            "Nothing that was read is taken as complete; check that the server is up.",
            resource=self.resource,
            field="spec.servers",
        )

    @contextmanager
    def _connected(self) -> Iterator[None]:
        try:
            yield
        except DirectoryError as error:
            self.close()
            error.resource = error.resource or self.resource
            raise
        except (OSError, LDAPExceptionError) as error:
            self.close()
            raise self.lost(type(error).__name__) from error

    def _sort(self, message: Message) -> None:
        """Put a message to the answer it belongs to."""
        pending = self._pending.get(message.message_id)
        if pending is None or pending.done is not None:
            self._sort_unexpected(message)
        elif message.operation == pending.ends:
            pending.done = message
        elif message.operation == SEARCH_ENTRY:
            pending.room -= 1
            pending.size += len(message.body)
            pending.bodies.append(message.body)
            if pending.room < 0 or pending.size >= MAX_ANSWER:
                raise MalformedAnswerError("The server sent more than it was asked for.")
        elif message.operation == SEARCH_REFERENCE:  # other naming contexts: never followed
            pending.references -= 1
            if pending.references < 0:
                raise MalformedAnswerError("The server sent references without end.")
        else:
            raise MalformedAnswerError("The server answered a question of another kind.")

    def _sort_unexpected(self, message: Message) -> None:
        if message.message_id == 0 and message.operation == EXTENDED_RESPONSE:
            raise self.lost("the server said it ends the connection")
        if message.message_id not in self._abandoned:
            raise MalformedAnswerError("The server answered a question that was never asked.")
        if message.operation == SEARCH_DONE:
            self._abandoned.remove(message.message_id)

    def _next_message(self, deadline: float) -> Message:
        while not self._frames:
            if self._clock() > deadline:
                raise self.lost("the answer took too long")
            self._receive()
        return decode_message(self._frames.popleft())

    def _receive(self) -> None:
        opened = self._connection.socket
        size = opened.recv_into(self._received) if opened is not None else 0
        if not size:
            raise self.lost("it is closed")
        self._buffer += self._received[:size]
        if len(self._buffer) < self._needed:
            return  # a large message is put together once, not with every piece of it
        block = bytes(self._buffer)
        start = 0
        while (length := frame_length(block, start)) is not None and start + length <= len(block):
            self._frames.append(block[start : start + length])
            start += length
        del self._buffer[:start]
        self._needed = length or len(self._buffer) + 1


def close_connection(connection: Connection) -> None:
    """Say good-bye and close the socket, whatever became of it."""
    opened = connection.socket
    with suppress(OSError, LDAPExceptionError):
        connection.unbind()
    if opened is not None:
        opened.close()  # ldap3 leaves it open when the connection failed half way
