"""Changes by the DirSync control of Active Directory.

The server's cookie is kept inside one of our own that also says which naming context, and which
rights, it was made with: a cookie of another domain, or of an account that saw less, would let
changes slip by unnoticed.
"""

from __future__ import annotations

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
from entrasync.directory.entries import Wanted, build_change
from entrasync.directory.errors import CookieRejectedError, MalformedAnswerError
from entrasync.directory.link import SUBTREE, Search
from entrasync.directory.model import ChangePage

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from entrasync.directory.link import Answer
    from entrasync.directory.reader import Reader

REPLICATION_RIGHT = ("DirSync", "ReplicationRightGranted")
OBJECT_SECURITY_ONLY = ("DirSync", "ObjectSecurity")
NOT_OFFERED = ("FullComparison", "DirSyncNotOffered")
REFUSED = ("FullComparison", "DirSyncRefused")

_MAGIC = b"EDS1"
_GUID_BYTES = 16
_HEADER = len(_MAGIC) + 1 + _GUID_BYTES

_NOT_THE_COOKIE = frozenset({3, 11, 51, 52})
"""Time limit, admin limit, busy, unavailable: the same cookie may be good later."""
_NEXT_TO_NOTHING = "(objectClass=domainDNS)"
"""Only the root of the domain: drains the control without reading the directory."""


class DirSync:
    """The changes of one naming context.

    Args:
        reader: how to search.
        base: DN of the root of the naming context.
        base_guid: its GUID.
        offered: the server says it knows the control.
    """

    def __init__(self, reader: Reader, *, base: str, base_guid: str, offered: bool) -> None:
        self._reader = reader
        self._base = base
        self._base_guid = base_guid
        self._offered = offered

    @cached_property
    def method(self) -> tuple[str, str]:
        """How changes can be read, and why so; tried once."""
        if not self._offered:
            return NOT_OFFERED
        for flags, method in ((0, REPLICATION_RIGHT), (OBJECT_SECURITY, OBJECT_SECURITY_ONLY)):
            if self._ask(flags, b"", ["objectClass"], _NEXT_TO_NOTHING).result.code == 0:
                return method
        return REFUSED

    def current_cookie(self) -> bytes:
        """Give a cookie of now; empty when changes cannot be read at all."""
        if self.method[0] != "DirSync":
            return b""
        cookie, more = b"", True
        while more:
            answer = self._ask(self._flags, cookie, ["objectClass"], _NEXT_TO_NOTHING)
            if answer.result.code:
                raise self._reader.failed(answer, "a read of changes")
            more, cookie = _continuation(answer)
        return self._seal(cookie)

    def changes(
        self, cookie: bytes, attributes: Sequence[str], object_filter: str
    ) -> Iterator[ChangePage]:
        """Read what changed since `cookie`, page by page.

        Raises:
            CookieRejectedError: the cookie is not one to go on with; read everything once.
        """
        wanted = Wanted(attributes)
        asked = wanted.request("name", "member")
        inner, more = self._unseal(cookie), True
        while more:
            answer = self._ask(self._flags, inner, asked, object_filter)
            if answer.result.code in _NOT_THE_COOKIE:
                raise self._reader.failed(answer, "a read of changes")
            if answer.result.code:
                raise self._rejected(f"the server refused it (LDAP result {answer.result.code})")
            more, inner = _continuation(answer)
            yield ChangePage(
                entries=tuple(build_change(raw, wanted) for raw in answer.entries()),
                cookie=self._seal(inner),
                more=more,
            )

    @property
    def _flags(self) -> int:
        return OBJECT_SECURITY if self.method == OBJECT_SECURITY_ONLY else 0

    def _ask(self, flags: int, cookie: bytes, attributes: list[str], object_filter: str) -> Answer:
        return self._reader.link.search(
            Search(
                base=self._base,
                scope=SUBTREE,
                attributes=attributes,
                filter=object_filter,
                controls=(dirsync(flags, cookie), SHOW_DELETED, EXTENDED_DN),
            )
        )

    def _seal(self, cookie: bytes) -> bytes:
        return _MAGIC + bytes((self._flags,)) + UUID(self._base_guid).bytes + cookie

    def _unseal(self, cookie: bytes) -> bytes:
        if self.method[0] != "DirSync":
            raise self._rejected("the server does not offer DirSync to this account")
        header, inner = cookie[:_HEADER], cookie[_HEADER:]
        if not inner or not header.startswith(_MAGIC):
            raise self._rejected("it is none")
        if header != self._seal(b""):
            raise self._rejected("it is of another domain or of an account with other rights")
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
