"""How the changes of a directory can be read: the best method that works, and why that one.

The control DirSync comes first, with the replication right or by object security. Where it cannot
be used, the numbers of `uSNChanged` tell what changed, and the container of deleted objects what is
gone. Where one of these is not to be had, everything is read each time.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from entrasync.directory.dirsync import DirSync
from entrasync.directory.errors import CookieRejectedError
from entrasync.directory.usn import UsnChanged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from entrasync.directory.model import ChangePage, Container
    from entrasync.directory.reader import Reader

DIRSYNC: Final = "DirSync"
USN_CHANGED: Final = "UsnChanged"
FULL_COMPARISON: Final = "FullComparison"

USN_NOT_READABLE: Final = "UsnNotReadable"
"""The server's invocation id or its highest number is not told."""
DELETED_OBJECTS_NOT_READABLE: Final = "DeletedObjectsNotReadable"
"""By numbers alone nothing is told of what is gone."""


class Deltas:
    """The changes of one naming context.

    Args:
        reader: how to search.
        context: the root of the naming context.
        offered: the server says it knows the control DirSync.
        invocation_id: which database the server has; `None` when it is not readable.
        deleted_objects: search base of the container that tombstones go to.
        sees_deleted: whether the account may list that container.
    """

    def __init__(
        self,
        reader: Reader,
        *,
        context: Container,
        offered: bool,
        invocation_id: str | None,
        deleted_objects: str,
        sees_deleted: Callable[[], bool],
    ) -> None:
        self._reader = reader
        self._dirsync = DirSync(
            reader, context=context, invocation_id=invocation_id, offered=offered
        )
        self._usn = UsnChanged(
            reader,
            context=context,
            invocation_id=invocation_id,
            deleted_objects=deleted_objects,
        )
        self._sees_deleted = sees_deleted

    @cached_property
    def method(self) -> tuple[str, str]:
        """How changes are read, and why so; tried once.

        Raises:
            TransientError: the server cannot tell now.
        """
        usable, reason = self._dirsync.standing
        if usable:
            return DIRSYNC, reason
        if not self._usn.is_offered():
            return FULL_COMPARISON, USN_NOT_READABLE
        if not self._sees_deleted():
            return FULL_COMPARISON, DELETED_OBJECTS_NOT_READABLE
        return USN_CHANGED, reason

    def current_cookie(self) -> bytes:
        """Give a cookie of now; empty when everything must be read each time."""
        reader = self._by_method()
        return b"" if reader is None else reader.current_cookie()

    def changes(
        self, cookie: bytes, attributes: Sequence[str], object_filter: str
    ) -> Iterator[ChangePage]:
        """Read what changed since `cookie`, page by page.

        Raises:
            CookieRejectedError: the cookie is not one to go on with; read everything once.
        """
        reader = self._by_method()
        if reader is None:
            raise CookieRejectedError(
                "The directory no longer tells this account what changed. Everything is read.",
                resource=self._reader.link.resource,
            )
        return reader.changes(cookie, attributes, object_filter)

    def _by_method(self) -> DirSync | UsnChanged | None:
        method, _ = self.method
        if method == DIRSYNC:
            return self._dirsync
        return self._usn if method == USN_CHANGED else None
