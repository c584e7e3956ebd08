"""Changes by `uSNChanged`, for a server whose DirSync control cannot be used.

The server numbers its changes and keeps with each object the number of its last one. So changed
objects come whole: groups with all their members, and every object with the groups it is in, since
links come and go with a deletion and a restore without a word on the group. What was deleted comes
from the container of deleted objects.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from entrasync.directory.controls import EXTENDED_DN, SHOW_DELETED, SHOW_RECYCLED
from entrasync.directory.entries import Wanted
from entrasync.directory.errors import CookieRejectedError
from entrasync.directory.link import ONE_LEVEL, SUBTREE, Search
from entrasync.directory.model import ChangePage
from entrasync.directory.position import NOWHERE, PACKED_BYTES, Position, read_position

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from entrasync.directory.model import Container, SourceEntry
    from entrasync.directory.reader import Reader

MEMBER_OF = "memberOf"

_MAGIC = b"EUS1"
_GUID_BYTES = 16
_HEADER = len(_MAGIC) + _GUID_BYTES
_PAGE = 1000


class UsnChanged:
    """The changes of one naming context.

    Args:
        reader: how to search.
        context: the root of the naming context.
        invocation_id: which database the server has; `None` when it is not readable.
        deleted_objects: search base of the container that tombstones go to.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        context: Container,
        invocation_id: str | None,
        deleted_objects: str,
    ) -> None:
        self._reader = reader
        self._context = context
        self._invocation_id = invocation_id
        self._deleted_objects = deleted_objects

    def is_offered(self) -> bool:
        """Say whether the server tells its numbers, and whose they are."""
        return self._position() != NOWHERE

    def current_cookie(self) -> bytes:
        """Give a cookie of now."""
        return self._seal(self._position())

    def changes(
        self, cookie: bytes, attributes: Sequence[str], object_filter: str
    ) -> Iterator[ChangePage]:
        """Read what changed since `cookie`, page by page; only the last cookie goes further.

        Raises:
            CookieRejectedError: the cookie is not one to go on with; read everything once.
        """
        # asked before anything is read: what changes meanwhile comes again next time
        now = self._position()
        since = self._unseal(cookie, now)
        waiting: list[SourceEntry] = []
        if since.usn < now.usn:
            changed = f"(uSNChanged>={since.usn + 1})"
            for entry in self._read(attributes, f"(&{changed}{object_filter})"):
                waiting.append(entry)
                if len(waiting) == _PAGE:
                    yield ChangePage(entries=tuple(waiting), cookie=cookie, more=True)
                    waiting = []
            waiting.extend(self._read_deleted(f"(&(isDeleted=TRUE){changed}{object_filter})"))
        yield ChangePage(entries=tuple(waiting), cookie=self._seal(now), more=False)

    def _read(self, attributes: Sequence[str], object_filter: str) -> Iterator[SourceEntry]:
        wanted = Wanted((*attributes, MEMBER_OF))
        # told in full, so that what is not there was cleared
        unset: dict[str, tuple[bytes, ...]] = dict.fromkeys((*attributes, MEMBER_OF), ())
        search = Search(
            base=self._context.dn,
            scope=SUBTREE,
            attributes=wanted.request(self._reader.member_range(0)),
            filter=object_filter,
            controls=(EXTENDED_DN,),
        )
        for raw in self._reader.pages(search):
            entry = self._reader.complete(raw, wanted)
            yield replace(entry, attributes=unset | dict(entry.attributes))

    def _read_deleted(self, object_filter: str) -> Iterator[SourceEntry]:
        wanted = Wanted(())
        search = Search(
            base=self._deleted_objects,
            scope=ONE_LEVEL,
            attributes=wanted.request(),
            filter=object_filter,
            controls=(EXTENDED_DN, SHOW_DELETED, SHOW_RECYCLED),
        )
        for raw in self._reader.pages(search):
            yield self._reader.complete(raw, wanted)

    def _position(self) -> Position:
        return read_position(self._reader, self._invocation_id)

    def _seal(self, position: Position) -> bytes:
        return _MAGIC + UUID(self._context.guid).bytes + position.pack()

    def _unseal(self, cookie: bytes, now: Position) -> Position:
        header, inner = cookie[:_HEADER], cookie[_HEADER:]
        if not header.startswith(_MAGIC) or len(inner) != PACKED_BYTES:
            raise self._rejected("it was not made by this method")
        since = Position.unpack(inner)
        if header != self._seal(now)[:_HEADER]:
            raise self._rejected("it is of another domain")
        if not now.is_of_same_database(since):
            raise self._rejected("another domain controller answers, which counts for itself")
        if now.is_set_back_from(since):
            raise self._rejected("the domain controller was set back to an earlier time")
        return since

    def _rejected(self, why: str) -> CookieRejectedError:
        return CookieRejectedError(
            f"The cookie of the last run cannot be used: {why}. A full read mends it.",
            resource=self._reader.link.resource,
        )
