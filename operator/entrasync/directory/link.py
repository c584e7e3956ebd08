"""One bound LDAP connection: ldap3 connects and binds, searches are read here.

Answers are read from ldap3's socket message by message and stay undecoded until they are asked
for. Several searches may be under way at once: the answers of one are kept while another is read.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from ldap3.core.exceptions import LDAPExceptionError
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
from entrasync.directory.errors import MalformedAnswerError
from entrasync.errors import TransientError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ldap3 import Connection

    from entrasync.directory.controls import Control

BASE = 0
ONE_LEVEL = 1
SUBTREE = 2

_RECEIVE_BYTES = 1 << 18
_NEVER_DEREFERENCE = 0

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What to ask for."""

    base: str
    scope: int
    attributes: Sequence[str]
    filter: str = "(objectClass=*)"
    controls: tuple[Control, ...] = ()


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

    bodies: list[bytes] = field(default_factory=list)
    done: Message | None = None
    abandoned: bool = False


class Link:
    """A bound connection.

    Args:
        connection: opened and bound by ldap3; nobody else may use it from now on.
        url: the server's address as configured.
        resource: `Kind/name` that errors point at.
    """

    def __init__(self, connection: Connection, *, url: str, resource: str) -> None:
        self.url = url
        self.resource = resource
        self._connection = connection
        self._buffer = bytearray()
        self._frames: deque[bytes] = deque()
        self._pending: dict[int, _Pending] = {}

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
        strategy = self._connection.strategy
        with self._connected():
            number: int = strategy.send("searchRequest", request, list(search.controls) or None)
        # ldap3 keeps requests until it has read their answer, which it never will
        strategy._outstanding.pop(number, None)  # noqa: SLF001  - no public way
        self._pending[number] = _Pending()
        return number

    def collect(self, number: int) -> Answer:
        """Wait for the whole answer.

        Raises:
            TransientError: the connection was lost, or what came is no LDAP.
        """
        pending = self._pending[number]
        with self._connected():
            while pending.done is None:
                self._take(self._next_message())
        del self._pending[number]
        result = decode_result(pending.done.body)
        if result.code:
            log.debug("search_refused", code=result.code, diagnostic=result.diagnostic)
        return Answer(result=result, controls=pending.done.controls, bodies=tuple(pending.bodies))

    def forget(self, number: int) -> None:
        """Drop the answer of a search nobody waits for any more."""
        pending = self._pending.get(number)
        if pending is None:
            return
        pending.abandoned = True
        pending.bodies.clear()
        if pending.done is not None:
            del self._pending[number]

    def lost(self, why: str) -> TransientError:
        """Build the error of a connection that ended before the answer did."""
        return TransientError(
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
        except MalformedAnswerError as error:
            raise MalformedAnswerError(error.message, resource=self.resource) from error
        except (OSError, LDAPExceptionError) as error:
            raise self.lost(type(error).__name__) from error

    def _take(self, message: Message) -> None:
        pending = self._pending.get(message.message_id)
        if pending is None:
            if message.message_id == 0 and message.operation == EXTENDED_RESPONSE:
                raise self.lost("the server said it ends the connection")
            raise MalformedAnswerError("The server answered a question that was never asked.")
        if message.operation == SEARCH_ENTRY:
            if not pending.abandoned:
                pending.bodies.append(message.body)
        elif message.operation == SEARCH_DONE:
            pending.done = message
            if pending.abandoned:
                del self._pending[message.message_id]
        elif message.operation != SEARCH_REFERENCE:  # other naming contexts: never followed
            raise MalformedAnswerError("The server answered a search with something else.")

    def _next_message(self) -> Message:
        while not self._frames:
            self._receive()
        return decode_message(self._frames.popleft())

    def _receive(self) -> None:
        opened = self._connection.socket
        data = opened.recv(_RECEIVE_BYTES) if opened is not None else b""
        if not data:
            raise self.lost("it is closed")
        buffer = self._buffer
        buffer += data
        start = 0
        while (length := frame_length(buffer, start)) is not None and start + length <= len(buffer):
            self._frames.append(bytes(buffer[start : start + length]))
            start += length
        del buffer[:start]


def close_connection(connection: Connection) -> None:
    """Say good-bye and close the socket, whatever became of it."""
    opened = connection.socket
    with suppress(OSError, LDAPExceptionError):
        connection.unbind()
    if opened is not None:
        opened.close()  # ldap3 leaves it open when the connection failed half way
