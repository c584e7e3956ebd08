"""Which method reads changes, and which cookies it goes on from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import pytest

from entrasync.directory.ber import RawEntry, Result
from entrasync.directory.controls import PAGED_RESULTS
from entrasync.directory.deltas import Deltas
from entrasync.directory.errors import CookieRejectedError
from entrasync.directory.link import Answer, Link, Search
from entrasync.directory.model import Container
from entrasync.directory.position import NOWHERE, Position
from entrasync.directory.reader import Reader

if TYPE_CHECKING:
    from entrasync.directory.model import ChangePage

ROOT = Container(guid="11111111-2222-3333-4444-555555555555", dn="DC=contoso,DC=test")
OTHER_ROOT = Container(guid="99999999-2222-3333-4444-555555555555", dn="DC=other,DC=test")
DC1 = "aaaaaaaa-0000-0000-0000-000000000001"
DC2 = "bbbbbbbb-0000-0000-0000-000000000002"
LAST_PAGE = bytes.fromhex("30050201000400")


class Told:
    """The server's answer to how far it is."""

    result = Result(code=0, diagnostic="")

    def __init__(self, usn: str) -> None:
        self._usn = usn

    def entries(self) -> Iterator[RawEntry]:
        yield RawEntry(dn=b"", attributes={"highestCommittedUSN": (self._usn.encode(),)})


class Server:
    """A server without DirSync that has no entries, but a number that grows."""

    url = "ldaps://dc1.contoso.test"
    resource = "ActiveDirectory/contoso"

    def __init__(self, usn: str = "100") -> None:
        self.usn = usn
        self.searches: list[Search] = []

    def search(self, search: Search) -> Answer:
        self.searches.append(search)
        return cast("Answer", Told(self.usn))

    def start(self, search: Search) -> int:
        self.searches.append(search)
        return len(self.searches)

    def advance(self, number: int, size: int) -> bool:
        return bool(number and size)

    def collect(self, number: int) -> Answer:
        del number
        return Answer(
            result=Result(code=0, diagnostic=""), controls={PAGED_RESULTS: LAST_PAGE}, bodies=()
        )

    def forget(self, number: int) -> None:
        del number


def deltas(
    server: Server,
    *,
    invocation_id: str | None = DC1,
    context: Container = ROOT,
    sees_deleted: bool = True,
) -> Deltas:
    return Deltas(
        Reader(cast("Link", server), page_size=10),
        context=context,
        offered=False,
        invocation_id=invocation_id,
        deleted_objects="CN=Deleted Objects,DC=contoso,DC=test",
        sees_deleted=lambda: sees_deleted,
    )


def changes(source: Deltas, cookie: bytes) -> list[ChangePage]:
    return list(source.changes(cookie, ["mail"], "(objectClass=user)"))


def test_numbers_and_tombstones_are_the_second_choice() -> None:
    assert deltas(Server()).method == ("UsnChanged", "DirSyncNotOffered")


@pytest.mark.parametrize(
    ("invocation_id", "usn", "sees_deleted", "reason"),
    [
        (None, "100", True, "UsnNotReadable"),
        (DC1, "", True, "UsnNotReadable"),
        (DC1, "100", False, "DeletedObjectsNotReadable"),
    ],
)
def test_without_one_of_them_everything_is_read_each_time(
    invocation_id: str | None, usn: str, *, sees_deleted: bool, reason: str
) -> None:
    source = deltas(Server(usn), invocation_id=invocation_id, sees_deleted=sees_deleted)

    assert source.method == ("FullComparison", reason)
    assert source.current_cookie() == b""
    with pytest.raises(CookieRejectedError):
        changes(source, b"EUS1")


def test_a_number_that_stood_still_takes_one_question() -> None:
    server = Server()
    source = deltas(server)
    cookie = source.current_cookie()
    server.searches.clear()

    (page,) = changes(source, cookie)

    assert (page.entries, page.cookie, page.more) == ((), cookie, False)
    assert len(server.searches) == 1


def test_a_number_that_grew_asks_for_what_came_after_it() -> None:
    server = Server("100")
    source = deltas(server)
    cookie = source.current_cookie()
    server.usn = "105"

    (page,) = changes(source, cookie)

    _, live, deleted = server.searches[-3:]
    assert live.filter == "(&(uSNChanged>=101)(objectClass=user))"
    assert deleted.filter == "(&(isDeleted=TRUE)(uSNChanged>=101)(objectClass=user))"
    assert page.cookie == source.current_cookie()


def test_cookies_that_could_miss_a_change_are_rejected() -> None:
    cookie = deltas(Server("100")).current_cookie()

    for source, why in (
        (deltas(Server("99")), "set back"),
        (deltas(Server("200"), invocation_id=DC2), "another domain controller"),
        (deltas(Server("200"), context=OTHER_ROOT), "another domain"),
    ):
        with pytest.raises(CookieRejectedError, match=why):
            changes(source, cookie)
    for spoilt in (b"", b"EUS1", cookie[:-1], cookie + b"1", b"EDS2" + cookie[4:]):
        with pytest.raises(CookieRejectedError, match="not made by this method"):
            changes(deltas(Server("200")), spoilt)


def test_positions_of_two_databases_are_not_compared() -> None:
    early, late = (Position(invocation_id=DC1, usn=number) for number in (1, 2))

    assert Position.unpack(late.pack()) == late
    assert early.is_set_back_from(late)
    assert not late.is_set_back_from(early)
    assert not early.is_set_back_from(early)
    assert not Position(invocation_id=DC2, usn=1).is_set_back_from(late)
    assert not NOWHERE.is_set_back_from(late)
