"""Changes by the DirSync control of Active Directory.

The server's cookie is kept inside one of our own that also says which naming context, and which
rights, it was made with, and how far the server was: a cookie of another domain, of an account that
saw less, or of a server that was set back since, would let changes slip by unnoticed. Another
domain controller may well go on from it: the server's own cookie says what it has told of each.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING
from uuid import UUID

from entrasync.directory.ber import decode_dirsync_value
from entrasync.directory.controls import (
    DIRSYNC,
    EXTENDED_DN,
    OBJECT_SECURITY,
    SHOW_DELETED,
    dirsync,
)
from entrasync.directory.entries import Wanted, build_change, told_in_parts
from entrasync.directory.errors import CookieRejectedError, MalformedAnswerError
from entrasync.directory.link import SUBTREE, Search
from entrasync.directory.model import ChangePage
from entrasync.directory.position import PACKED_BYTES, Position, read_position
from entrasync.directory.reader import ADMIN_LIMIT, NOT_NOW, TIME_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from entrasync.directory.ber import RawEntry
    from entrasync.directory.link import Answer
    from entrasync.directory.model import Container, SourceEntry
    from entrasync.directory.reader import Reader

REPLICATION_RIGHT = "ReplicationRightGranted"
OBJECT_SECURITY_ONLY = "ObjectSecurity"
NOT_OFFERED = "DirSyncNotOffered"
REFUSED = "DirSyncRefused"

IS_DELETED = "isDeleted"

_MAGIC = b"EDS2"
_GUID_BYTES = 16
_HEADER = len(_MAGIC) + 1 + _GUID_BYTES
_LONG_HEADER = _HEADER + PACKED_BYTES

_NOT_NOW = NOT_NOW | {TIME_LIMIT, ADMIN_LIMIT}
"""The same request may be good later: what is left to tell is less than the whole directory."""
_NEXT_TO_NOTHING = "(objectClass=domainDNS)"
"""Only the root of the domain: drains the control without reading the directory."""


class DirSync:
    """The changes of one naming context.

    Args:
        reader: how to search.
        context: the root of the naming context.
        invocation_id: which database the server has; `None` when it is not readable.
        offered: the server says it knows the control.
    """

    def __init__(
        self, reader: Reader, *, context: Container, invocation_id: str | None, offered: bool
    ) -> None:
        self._reader = reader
        self._context = context
        self._invocation_id = invocation_id
        self._offered = offered

    @cached_property
    def standing(self) -> tuple[bool, str]:
        """Whether the control can be used, and why or why not; tried once.

        Raises:
            ReadFailedError: the server is too busy to tell.
        """
        if not self._offered:
            return False, NOT_OFFERED
        for flags, reason in ((0, REPLICATION_RIGHT), (OBJECT_SECURITY, OBJECT_SECURITY_ONLY)):
            answer = self._ask(flags, b"", ["objectClass"], _NEXT_TO_NOTHING)
            if answer.result.code == 0:
                return True, reason
            if answer.result.code in _NOT_NOW:
                raise self._reader.failed(answer, "a read of changes")
        return False, REFUSED

    def current_cookie(self) -> bytes:
        """Give a cookie of now."""
        position = self._position()
        cookie, more = b"", True
        while more:
            answer = self._ask(self._flags, cookie, ["objectClass"], _NEXT_TO_NOTHING)
            if answer.result.code:
                raise self._reader.failed(answer, "a read of changes")
            more, cookie = _continuation(answer)
        return self._seal(cookie, position)

    def changes(
        self, cookie: bytes, attributes: Sequence[str], object_filter: str
    ) -> Iterator[ChangePage]:
        """Read what changed since `cookie`, page by page.

        What was deleted and restored comes with `isDeleted` among its attributes.

        Raises:
            CookieRejectedError: the cookie is not one to go on with; read everything once.
            ReadFailedError: the server is too busy to tell.
        """
        wanted = Wanted((*attributes, IS_DELETED))
        asked = wanted.request("name", "member")
        position = self._position()
        inner, more = self._unseal(cookie, position), True
        while more:
            answer = self._ask(self._flags, inner, asked, object_filter)
            if answer.result.code in _NOT_NOW:
                raise self._reader.failed(answer, "a read of changes")
            if answer.result.code:
                raise self._rejected(f"the server refused it (LDAP result {answer.result.code})")
            more, inner = _continuation(answer)
            yield ChangePage(
                entries=tuple(self._complete(raw, wanted) for raw in answer.entries()),
                cookie=self._seal(inner, position),
                more=more,
            )

    @property
    def _flags(self) -> int:
        return OBJECT_SECURITY if self.standing[1] == OBJECT_SECURITY_ONLY else 0

    def _complete(self, raw: RawEntry, wanted: Wanted) -> SourceEntry:
        """Build an entry; lists of which only some values were told are read again, whole.

        They are short and change seldom. Of what is gone meanwhile the next changes tell.
        """
        entry = build_change(raw, wanted)
        names = told_in_parts(raw, wanted)
        if not names:
            return entry
        held = None if entry.deleted else self._reader.attributes_of(entry.guid, names)
        attributes = {
            name: entry.attributes[name] for name in entry.attributes if name not in names
        }
        if held is not None:
            attributes |= {name: held.get(name, ()) for name in names}
        return replace(entry, attributes=attributes)

    def _ask(self, flags: int, cookie: bytes, attributes: list[str], object_filter: str) -> Answer:
        search = Search(
            base=self._context.dn,
            scope=SUBTREE,
            attributes=attributes,
            filter=object_filter,
            controls=(dirsync(flags, cookie), SHOW_DELETED, EXTENDED_DN),
        )
        return self._reader.ask(search, waits=_NOT_NOW)

    def _position(self) -> Position:
        return read_position(self._reader, self._invocation_id)

    def _header(self) -> bytes:
        return _MAGIC + bytes((self._flags,)) + UUID(self._context.guid).bytes

    def _seal(self, cookie: bytes, position: Position) -> bytes:
        return self._header() + position.pack() + cookie

    def _unseal(self, cookie: bytes, now: Position) -> bytes:
        inner = cookie[_LONG_HEADER:]
        if not inner or not cookie.startswith(_MAGIC):
            raise self._rejected("it is none")
        if cookie[:_HEADER] != self._header():
            raise self._rejected("it is of another domain or of an account with other rights")
        if now.is_set_back_from(Position.unpack(cookie[_HEADER:_LONG_HEADER])):
            raise self._rejected("the domain controller was set back to an earlier time")
        return inner

    def _rejected(self, why: str) -> CookieRejectedError:
        return CookieRejectedError(
            f"The cookie of the last run cannot be used: {why}. A full read mends it.",
            resource=self._reader.link.resource,
        )


def _continuation(answer: Answer) -> tuple[bool, bytes]:
    if DIRSYNC not in answer.controls:
        raise MalformedAnswerError("The server did not answer the DirSync control.")
    more, cookie = decode_dirsync_value(answer.controls[DIRSYNC])
    if not cookie:
        raise MalformedAnswerError("The server sent changes without a cookie.")
    return more, cookie
