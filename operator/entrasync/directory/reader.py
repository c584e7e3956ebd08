"""Reads that are whole or fail: pages to their end, ranges to their last value.

A busy server is asked again, for some seconds. Everything else that goes wrong ends the read with
an error, and what was read until then is a part that nobody may take as the whole.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from ldap3.core.results import RESULT_CODES

from entrasync.directory.ber import decode_entry, decode_paged_value
from entrasync.directory.controls import (
    EXTENDED_DN,
    PAGED_RESULTS,
    SHOW_DELETED,
    SHOW_RECYCLED,
    paged_results,
)
from entrasync.directory.entries import Wanted, build_full, guid_of, held_values, whole_values
from entrasync.directory.errors import MalformedAnswerError, ReadFailedError
from entrasync.directory.link import BASE, Search

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from entrasync.directory.ber import RawEntry
    from entrasync.directory.entries import Held
    from entrasync.directory.link import Answer, Link
    from entrasync.directory.model import SourceEntry

OPERATIONS_ERROR = 1
TIME_LIMIT = 3
SIZE_LIMIT = 4
REFERRAL = 10
ADMIN_LIMIT = 11
NO_SUCH_OBJECT = 32
INVALID_DN = 34
NO_RIGHTS = 50
BUSY = 51
UNAVAILABLE = 52

_RESTARTS = 5
"""How often a list of values that changes while it is read is begun anew."""
PAUSES = (0.5, 1, 2, 4, 8)
"""Seconds to wait before a busy server is asked again."""
NOT_NOW = frozenset({BUSY, UNAVAILABLE})
"""The same request may be good in some seconds."""
_HELD = 1 << 24
"""Bytes of a page that are held while it arrives, 16 MiB. Usual pages of 1,000 entries take less
than one; a page of large groups is passed on in pieces."""
_EMPTY_PAGES = 1000
"""Pages without an entry that may follow one another; more are a server that goes in circles."""
_REMEDIES = {
    TIME_LIMIT: "Raise the server's time limit for this account, or read less at a time.",
    SIZE_LIMIT: "Raise the server's size limit for this account: "
    "it has to be let read the whole directory in pages.",
    ADMIN_LIMIT: "Raise the server's limits for this account, or read smaller pages.",
    NO_RIGHTS: "Grant the account the right to read what is in scope.",
}
_READ_CONTROLS = (EXTENDED_DN, SHOW_DELETED, SHOW_RECYCLED)


class Reader:
    """Searches over a link.

    Args:
        link: the bound connection.
        page_size: entries per page.
        value_step: values of one attribute per answer; `None` leaves it to the server.
        pause: waits for some seconds.
    """

    def __init__(
        self,
        link: Link,
        *,
        page_size: int,
        value_step: int | None = None,
        pause: Callable[[float], object] = time.sleep,
    ) -> None:
        self.link = link
        self._page_size = page_size
        self._pause = pause
        self._value_step = value_step

    def failed(self, answer: Answer, what: str) -> ReadFailedError:
        """Build the error of a search that did not end well."""
        code = answer.result.code
        return ReadFailedError(
            code,
            f"{self.link.url} ended {what} with {RESULT_CODES.get(code, 'an unknown result')} "
            f"(LDAP result {code}). Nothing that was read is taken as complete; it is tried again."
            f"{' ' if code in _REMEDIES else ''}{_REMEDIES.get(code, '')}",
            resource=self.link.resource,
        )

    def ask(self, search: Search, *, waits: frozenset[int] = NOT_NOW) -> Answer:
        """Search, again while the server has no time for it, for some seconds.

        Args:
            search: what to ask for.
            waits: results that may be another one soon.
        """
        answer = self.link.search(search)
        for seconds in PAUSES:
            if answer.result.code not in waits:
                break
            self._pause(seconds)
            answer = self.link.search(search)
        return answer

    def one(self, search: Search, *, absent: frozenset[int] = frozenset()) -> RawEntry | None:
        """Read a single entry; `None` when there is none or the result is one of `absent`.

        Raises:
            ReadFailedError: any other result than success.
        """
        answer = self.ask(replace(search, scope=BASE, most=1))
        if answer.result.code in absent:
            return None
        if answer.result.code:
            raise self.failed(answer, "a read")
        return next(answer.entries(), None)

    def pages(self, search: Search) -> Iterator[RawEntry]:
        """Read all entries, page by page, to the explicit end.

        The next page is asked for before the last is decoded, so the server is never idle. At most
        one page is held, or 16 MiB of it.

        Raises:
            DirectoryError: a page ended with any result but success, the connection was lost, or
                what came is no answer to the question. What was given until then is not the whole.
        """
        cookie = b""
        pauses = iter(PAUSES)
        empty = 0
        number: int | None = self._start_page(search, cookie)
        try:
            while number is not None:
                fresh = True
                while not self.link.advance(number, _HELD):
                    fresh = False
                    yield from map(decode_entry, self.link.take(number))
                answer = self.link.collect(number)
                number = None
                if answer.result.code:
                    seconds = next(pauses, None) if answer.result.code in NOT_NOW else None
                    if seconds is None or answer.bodies or not fresh:
                        raise self.failed(answer, "a search")
                    self._pause(seconds)
                    number = self._start_page(search, cookie)
                    continue
                empty = 0 if answer.bodies or not fresh else empty + 1
                if empty > _EMPTY_PAGES:
                    raise MalformedAnswerError("The server sent empty pages without end.")
                if PAGED_RESULTS not in answer.controls:
                    raise MalformedAnswerError("The server did not say whether a page is the last.")
                pauses = iter(PAUSES)
                cookie = decode_paged_value(answer.controls[PAGED_RESULTS])
                number = self._start_page(search, cookie) if cookie else None
                yield from answer.entries()
        finally:
            if number is not None:
                self.link.forget(number)

    def by_guid(self, guid: str, wanted: Wanted) -> SourceEntry | None:
        """Read one entry, tombstones included, wherever it lies now."""
        search = Search(
            base=f"<GUID={guid}>",
            scope=BASE,
            attributes=wanted.request(self.member_range(0)),
            controls=_READ_CONTROLS,
        )
        raw = self.one(search, absent=frozenset({NO_SUCH_OBJECT, REFERRAL}))
        return None if raw is None else self.complete(raw, wanted)

    def attributes_of(
        self, guid: str, names: Sequence[str]
    ) -> Mapping[str, tuple[bytes, ...]] | None:
        """Read attributes of a living object, with all their values.

        Returns:
            What is set, by name as given; `None` when the object is gone, or not to be seen.
        """
        wanted = Wanted(names)
        search = Search(
            base=f"<GUID={guid}>",
            scope=BASE,
            attributes=wanted.request(),
            controls=(EXTENDED_DN,),
        )
        raw = self.one(search, absent=frozenset({NO_SUCH_OBJECT, REFERRAL}))
        return None if raw is None else self.complete(raw, wanted).attributes

    def complete(self, raw: RawEntry, wanted: Wanted) -> SourceEntry:
        """Build an entry, reading on where the server gave only the first values."""
        values = whole_values(raw)
        if values is not None:
            return build_full(raw, values, wanted)
        values = {}
        for name, held in held_values(raw).items():
            if held.range is None:
                values[name] = held.values
            else:
                values[name] = self._all_values(guid_of(raw), name, held)
        return build_full(raw, values, wanted)

    def member_range(self, low: int) -> str:
        """Describe the members from `low` on."""
        return self._range_of("member", low)

    def _range_of(self, name: str, low: int) -> str:
        high = "*" if self._value_step is None else str(low + self._value_step - 1)
        return f"{name};range={low}-{high}"

    def _start_page(self, search: Search, cookie: bytes) -> int:
        page = paged_results(self._page_size, cookie)
        paged = replace(search, controls=(*search.controls, page), most=self._page_size)
        return self.link.start(paged)

    def _all_values(self, guid: str, name: str, held: Held) -> tuple[bytes, ...]:
        first: Held | None = held
        for _ in range(_RESTARTS):
            if first is not None:
                values = self._values_from(guid, name, first)
                if values is not None:
                    return values
            first = self._read_range(guid, name, 0)
        raise ReadFailedError(
            0,
            "A list changed again and again while it was read. It is tried again.",
            resource=self.link.resource,
        )

    def _values_from(self, guid: str, name: str, held: Held) -> tuple[bytes, ...] | None:
        """Read on from the first values; `None` when the list moved meanwhile.

        Each step begins with the last value known. A removal before it would shift the rest, and a
        value that was there all the time would be missed: then the overlap differs.
        """
        if held.range is not None and held.range.low:
            raise MalformedAnswerError("The server sent the end of a list instead of its start.")
        values = list(held.values)
        reached = held.range.high if held.range else None
        while reached is not None:
            more = self._read_range(guid, name, reached)
            if more is None or more.range is None or more.range.low != reached:
                return None
            if len(values) != reached + 1 or more.values[:1] != (values[-1],):
                return None
            values.extend(more.values[1:])
            if more.range.high is not None and more.range.high <= reached:
                raise MalformedAnswerError("The server sent the same values again and again.")
            reached = more.range.high
        return tuple(values)

    def _read_range(self, guid: str, name: str, low: int) -> Held | None:
        search = Search(
            base=f"<GUID={guid}>",
            scope=BASE,
            attributes=[self._range_of(name, low)],
            controls=_READ_CONTROLS,
        )
        # an operations error is what a start beyond the last value gets
        raw = self.one(search, absent=frozenset({NO_SUCH_OBJECT, OPERATIONS_ERROR}))
        return None if raw is None else held_values(raw).get(name)
