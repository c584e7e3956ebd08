"""Reads end explicitly or fail: what Samba never answers, but Active Directory may."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from entrasync.directory.ber import Result, encode_integer, encode_octets, encode_sequence
from entrasync.directory.controls import DIRSYNC, PAGED_RESULTS
from entrasync.directory.dirsync import NOT_OFFERED, REFUSED, DirSync
from entrasync.directory.errors import (
    CookieRejectedError,
    MalformedAnswerError,
    ReadFailedError,
)
from entrasync.directory.link import SUBTREE, Answer, Link, Search
from entrasync.directory.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT_GUID = "11111111-2222-3333-4444-555555555555"


class ScriptedLink:
    """A link that gives prepared answers."""

    url = "ldaps://dc1.contoso.test"
    resource = "ActiveDirectory/contoso"

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.searches: list[Search] = []
        self.forgotten: list[int] = []

    def start(self, search: Search) -> int:
        self.searches.append(search)
        return len(self.searches)

    def collect(self, number: int) -> Answer:
        assert number == len(self.searches)
        return self.answers.pop(0)

    def search(self, search: Search) -> Answer:
        return self.collect(self.start(search))

    def forget(self, number: int) -> None:
        self.forgotten.append(number)


def answer(code: int = 0, controls: Mapping[str, bytes] | None = None, bodies: int = 0) -> Answer:
    body = encode_octets(b"CN=x") + encode_sequence()
    return Answer(
        result=Result(code=code, diagnostic="secret"),
        controls=controls or {},
        bodies=(body,) * bodies,
    )


def page(cookie: bytes, *, bodies: int = 2, code: int = 0) -> Answer:
    value = encode_sequence(encode_integer(0), encode_octets(cookie))
    return answer(code, {PAGED_RESULTS: value}, bodies)


def changes(cookie: bytes, *, more: bool = False, code: int = 0) -> Answer:
    value = encode_sequence(encode_integer(int(more)), encode_integer(0), encode_octets(cookie))
    return answer(code, {DIRSYNC: value})


def reader_of(link: ScriptedLink) -> Reader:
    return Reader(cast("Link", link), page_size=2)


def read(*answers: Answer) -> int:
    search = Search(base="DC=contoso,DC=test", scope=SUBTREE, attributes=["mail"])
    return len(list(reader_of(ScriptedLink(*answers)).pages(search)))


def test_pages_go_on_until_the_cookie_is_empty() -> None:
    assert read(page(b"1"), page(b"2", bodies=0), page(b"", bodies=1)) == 3


@pytest.mark.parametrize("code", [1, 3, 4, 10, 11, 50, 51, 52, 53, 80])
def test_a_page_that_ends_with_an_error_fails_the_read(code: int) -> None:
    with pytest.raises(ReadFailedError) as caught:
        read(page(b"1"), page(b"", code=code))
    assert caught.value.code == code
    assert "secret" not in str(caught.value)


def test_a_server_that_does_not_answer_the_page_control_fails_the_read() -> None:
    with pytest.raises(MalformedAnswerError):
        read(page(b"1"), answer(bodies=2))


def dirsync_of(*answers: Answer, offered: bool = True) -> tuple[DirSync, ScriptedLink]:
    link = ScriptedLink(*answers)
    sync = DirSync(reader_of(link), base="DC=contoso,DC=test", base_guid=ROOT_GUID, offered=offered)
    return sync, link


def test_the_method_is_tried_once() -> None:
    sync, link = dirsync_of(changes(b"c"))
    assert sync.method == sync.method == ("DirSync", "ReplicationRightGranted")
    assert len(link.searches) == 1


def test_without_the_right_object_security_is_tried() -> None:
    sync, _ = dirsync_of(answer(50), changes(b"c"))
    assert sync.method == ("DirSync", "ObjectSecurity")


def test_a_server_without_dirsync_is_compared() -> None:
    assert dirsync_of(offered=False)[0].method == NOT_OFFERED
    sync, _ = dirsync_of(answer(50), answer(50))
    assert sync.method == REFUSED
    assert sync.current_cookie() == b""
    with pytest.raises(CookieRejectedError):
        list(sync.changes(b"EDS1", ["mail"], "(objectClass=user)"))


def test_a_cookie_of_now_is_drained_to_the_end() -> None:
    sync, link = dirsync_of(changes(b"x"), changes(b"a", more=True), changes(b"b"))
    assert sync.current_cookie().endswith(b"b")
    assert len(link.searches) == 3


def test_changes_come_page_by_page_each_with_its_cookie() -> None:
    sync, _ = dirsync_of(changes(b"x"), changes(b"a"), changes(b"b", more=True), changes(b"c"))
    cookie = sync.current_cookie()
    pages = list(sync.changes(cookie, ["mail"], "(objectClass=user)"))
    assert [(page.cookie[-1:], page.more) for page in pages] == [(b"b", True), (b"c", False)]


@pytest.mark.parametrize(
    ("code", "error"),
    [(2, CookieRejectedError), (12, CookieRejectedError), (53, CookieRejectedError)]
    + [(code, ReadFailedError) for code in (3, 11, 51, 52)],
)
def test_a_refusal_is_of_the_cookie_unless_the_server_is_busy(
    code: int, error: type[Exception]
) -> None:
    sync, _ = dirsync_of(changes(b"x"), changes(b"a"), changes(b"", code=code))
    with pytest.raises(error):
        list(sync.changes(sync.current_cookie(), ["mail"], "(objectClass=user)"))


@pytest.mark.parametrize("last", [answer(), changes(b"")])
def test_changes_without_a_cookie_fail_the_read(last: Answer) -> None:
    sync, _ = dirsync_of(changes(b"x"), changes(b"a"), last)
    with pytest.raises(MalformedAnswerError):
        list(sync.changes(sync.current_cookie(), ["mail"], "(objectClass=user)"))
