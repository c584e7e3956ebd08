"""What a session makes of answers that prove nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from entrasync.directory import reader
from entrasync.directory.errors import ReadFailedError
from entrasync.directory.model import Container
from entrasync.directory.session import DirectorySession
from tests.support.wire import done, link_to

if TYPE_CHECKING:
    from collections.abc import Iterator


def session_with(code: int) -> DirectorySession:
    """Give a session with a server that ends every search with one result."""

    def server(number: int) -> Iterator[bytes]:
        yield done(number, code=code)

    session = DirectorySession.__new__(DirectorySession)
    inner = cast("Any", session)
    inner._link = link_to(server)
    inner._reader = reader.Reader(inner._link, page_size=1)
    inner._context = Container(guid="", dn="DC=contoso,DC=test")
    return session


@pytest.mark.parametrize("code", [32, 50, 53])
def test_who_may_not_list_deleted_objects_does_not_see_them(code: int) -> None:
    assert not session_with(code).can_read_deleted()


@pytest.mark.parametrize("code", [51, 52])
def test_a_busy_server_says_nothing_of_rights(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "PAUSES", ())
    with pytest.raises(ReadFailedError):
        session_with(code).can_read_deleted()
