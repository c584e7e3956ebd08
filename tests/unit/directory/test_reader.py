"""Reads end explicitly or fail: what Samba never answers, but Active Directory may."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from entrasync.directory.ber import (
    RawEntry,
    Result,
    encode_integer,
    encode_octets,
    encode_sequence,
)
from entrasync.directory.controls import DIRSYNC, PAGED_RESULTS
from entrasync.directory.dirsync import DirSync
from entrasync.directory.entries import Wanted
from entrasync.directory.errors import (
    CookieRejectedError,
    MalformedAnswerError,
    ReadFailedError,
)
from entrasync.directory.link import SUBTREE, Answer, Link, Search
from entrasync.directory.model import Container
from entrasync.directory.reader import Reader
from tests.support.wire import entry_body

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from entrasync.directory.model import SourceEntry

ROOT_GUID = "11111111-2222-3333-4444-555555555555"


class ScriptedLink:
    """A link that gives prepared answers."""

    url = "ldaps://dc1.contoso.test"
    resource = "ActiveDirectory/contoso"

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.pieces: list[list[bytes]] = []
        """What comes of the first answer before it is whole."""
        self.searches: list[Search] = []
        self.forgotten: list[int] = []

    def start(self, search: Search) -> int:
        self.searches.append(search)
        return len(self.searches)

    def advance(self, number: int, size: int) -> bool:
        assert (number, size) == (len(self.searches), 1 << 24)
        return not self.pieces

    def take(self, number: int) -> list[bytes]:
        assert number == len(self.searches)
        return self.pieces.pop(0)

    def collect(self, number: int) -> Answer:
        assert number == len(self.searches)
        return self.answers.pop(0)

    def search(self, search: Search) -> Answer:
        return self.collect(self.start(search))

    def forget(self, number: int) -> None:
        self.forgotten.append(number)


BODY = encode_octets(b"CN=x") + encode_sequence()


def answer(code: int = 0, controls: Mapping[str, bytes] | None = None, bodies: int = 0) -> Answer:
    return Answer(
        result=Result(code=code, diagnostic="secret"),
        controls=controls or {},
        bodies=(BODY,) * bodies,
    )


def page(cookie: bytes, *, bodies: int = 2, code: int = 0) -> Answer:
    value = encode_sequence(encode_integer(0), encode_octets(cookie))
    return answer(code, {PAGED_RESULTS: value}, bodies)


def changes(cookie: bytes, *, more: bool = False, code: int = 0) -> Answer:
    value = encode_sequence(encode_integer(int(more)), encode_integer(0), encode_octets(cookie))
    return answer(code, {DIRSYNC: value})


def reader_of(link: ScriptedLink, pauses: list[float] | None = None) -> Reader:
    waited = [] if pauses is None else pauses
    return Reader(cast("Link", link), page_size=2, pause=waited.append)


SEARCH = Search(base="DC=contoso,DC=test", scope=SUBTREE, attributes=["mail"])


def read(*answers: Answer) -> int:
    return len(list(reader_of(ScriptedLink(*answers)).pages(SEARCH)))


def test_pages_go_on_until_the_cookie_is_empty() -> None:
    assert read(page(b"1"), page(b"2", bodies=0), page(b"", bodies=1)) == 3


def test_the_next_page_is_asked_for_before_the_last_is_decoded() -> None:
    link = ScriptedLink(page(b"1"), page(b"2"), page(b""))
    pages = reader_of(link).pages(SEARCH)
    asked = []
    for _ in pages:
        asked.append(len(link.searches))
    assert asked == [2, 2, 3, 3, 3, 3]
    assert [search.most for search in link.searches] == [2, 2, 2]


def test_a_page_too_large_to_hold_is_given_in_pieces() -> None:
    link = ScriptedLink(page(b"", bodies=1))
    link.pieces = [[BODY] * 3, [BODY] * 4]
    assert len(list(reader_of(link).pages(SEARCH))) == 8


def test_a_read_given_up_abandons_the_page_under_way() -> None:
    link = ScriptedLink(page(b"1"), page(b""))
    pages = reader_of(link).pages(SEARCH)
    next(pages)
    pages.close()  # type: ignore[attr-defined]  # a generator
    assert link.forgotten == [2]


@pytest.mark.parametrize("code", [1, 3, 4, 10, 11, 50, 53, 80])
def test_a_page_that_ends_with_an_error_fails_the_read(code: int) -> None:
    with pytest.raises(ReadFailedError) as caught:
        read(page(b"1"), page(b"", code=code))
    assert caught.value.code == code
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("code", [3, 4, 11, 50])
def test_a_limit_of_the_server_is_told_with_its_remedy(code: int) -> None:
    with pytest.raises(ReadFailedError, match=r"tried again\. (Raise|Grant) the "):
        read(page(b"", code=code))


@pytest.mark.parametrize("code", [51, 52])
def test_a_busy_server_is_asked_again_for_the_same_page(code: int) -> None:
    busy = page(b"", code=code, bodies=0)
    link = ScriptedLink(page(b"1"), busy, busy, page(b"2"), page(b""))
    pauses: list[float] = []
    assert len(list(reader_of(link, pauses).pages(SEARCH))) == 6
    assert pauses == [0.5, 1]
    assert link.searches[1] == link.searches[2] == link.searches[3] != link.searches[4]


def test_a_server_that_stays_busy_fails_the_read() -> None:
    link = ScriptedLink(*[page(b"", code=51, bodies=0)] * 6)
    pauses: list[float] = []
    with pytest.raises(ReadFailedError) as caught:
        list(reader_of(link, pauses).pages(SEARCH))
    assert caught.value.code == 51
    assert pauses == [0.5, 1, 2, 4, 8]


def test_a_page_that_came_in_part_is_never_asked_for_again() -> None:
    with pytest.raises(ReadFailedError):
        read(page(b"", code=51, bodies=1), page(b""))
    link = ScriptedLink(page(b"", code=51, bodies=0), page(b""))
    link.pieces = [[BODY]]
    with pytest.raises(ReadFailedError):
        list(reader_of(link).pages(SEARCH))


def test_a_single_read_waits_for_a_busy_server_too() -> None:
    pauses: list[float] = []
    link = ScriptedLink(answer(51), answer(52), answer(bodies=1))
    assert reader_of(link, pauses).one(SEARCH) is not None
    assert pauses == [0.5, 1]
    with pytest.raises(ReadFailedError):
        reader_of(ScriptedLink(*[answer(51)] * 6)).one(SEARCH)


def test_what_another_server_has_is_not_there_and_no_referral_is_followed() -> None:
    link = ScriptedLink(answer(10), answer(10))

    assert reader_of(link).by_guid(ROOT_GUID, Wanted(("mail",))) is None
    assert reader_of(link).attributes_of(ROOT_GUID, ("mail",)) is None
    assert len(link.searches) == 2


def test_a_server_that_does_not_answer_the_page_control_fails_the_read() -> None:
    with pytest.raises(MalformedAnswerError):
        read(page(b"1"), answer(bodies=2))


def test_empty_pages_without_end_are_not_read_for_ever() -> None:
    with pytest.raises(MalformedAnswerError):
        read(*[page(b"1", bodies=0)] * 1001)


@pytest.mark.parametrize("again", [None, "member;range=5-*"])
def test_the_end_of_a_list_is_never_taken_for_the_whole(again: str | None) -> None:
    name = b"<GUID=11111111-2222-3333-4444-555555555555>;CN=x"
    first = "member;range=5-*" if again is None else "member;range=0-1"
    raw = RawEntry(dn=name, attributes={first: (name,), "objectClass": (b"group",)})
    body = entry_body(name, {} if again is None else {again: [name]})
    link = ScriptedLink(*[replace(answer(), bodies=(body,))] * 2)
    with pytest.raises(MalformedAnswerError):
        reader_of(link).complete(raw, Wanted(["mail"]))


def test_a_list_that_changes_while_it_is_read_is_begun_anew() -> None:
    names = [b"<GUID=11111111-2222-3333-4444-55555555555%d>;CN=x" % number for number in range(4)]
    raw = RawEntry(
        dn=names[0],
        attributes={"member;range=0-1": tuple(names[:2]), "objectClass": (b"group",)},
    )
    answers = (
        {"member;range=1-*": names[2:]},  # the first went away: what was the third is the second
        {"member;range=0-1": names[1:3]},
        {"member;range=1-*": names[2:]},
    )
    link = ScriptedLink(
        *[replace(answer(), bodies=(entry_body(names[0], held),)) for held in answers]
    )
    entry = reader_of(link).complete(raw, Wanted(["mail"]))
    assert entry.members == tuple(name[6:42].decode() for name in names[1:])


def dirsync_of(
    *answers: Answer, offered: bool = True, pauses: list[float] | None = None
) -> tuple[DirSync, ScriptedLink]:
    link = ScriptedLink(*answers)
    root = Container(guid=ROOT_GUID, dn="DC=contoso,DC=test")
    sync = DirSync(reader_of(link, pauses), context=root, invocation_id=None, offered=offered)
    return sync, link


def test_the_method_is_tried_once() -> None:
    sync, link = dirsync_of(changes(b"c"))
    assert sync.standing == sync.standing == (True, "ReplicationRightGranted")
    assert len(link.searches) == 1


def test_without_the_right_object_security_is_tried() -> None:
    sync, _ = dirsync_of(answer(50), changes(b"c"))
    assert sync.standing == (True, "ObjectSecurity")


def test_the_control_may_be_missing_or_refused() -> None:
    assert dirsync_of(offered=False)[0].standing == (False, "DirSyncNotOffered")
    assert dirsync_of(answer(50), answer(53))[0].standing == (False, "DirSyncRefused")


@pytest.mark.parametrize("code", [3, 11, 51, 52])
def test_a_busy_server_is_not_taken_for_one_that_refuses(code: int) -> None:
    with pytest.raises(ReadFailedError):
        _ = dirsync_of(answer(50), *[answer(code)] * 6)[0].standing
    assert dirsync_of(answer(50), answer(code), changes(b"x"))[0].standing == (
        True,
        "ObjectSecurity",
    )


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
    sync, _ = dirsync_of(changes(b"x"), changes(b"a"), *[changes(b"", code=code)] * 6)
    with pytest.raises(error):
        list(sync.changes(sync.current_cookie(), ["mail"], "(objectClass=user)"))


@pytest.mark.parametrize("code", [3, 11, 51, 52])
def test_changes_are_asked_for_again_while_the_server_is_busy(code: int) -> None:
    busy = changes(b"", code=code)
    pauses: list[float] = []
    told = (changes(b"x"), busy, changes(b"a"), busy, busy, changes(b"b"))
    sync, link = dirsync_of(*told, pauses=pauses)
    (page,) = sync.changes(sync.current_cookie(), ["mail"], "(objectClass=user)")
    assert page.cookie.endswith(b"b")
    assert pauses == [0.5, 0.5, 1]
    assert link.searches[3] == link.searches[4] == link.searches[5]


LISTED = b"<GUID=aaaaaaaa-0000-0000-0000-00000000000%d>;CN=x"


def listed(held: Mapping[str, Sequence[bytes]], *, dirsync: bool = True) -> Answer:
    body = entry_body(LISTED % 0, held)
    return replace(changes(b"c") if dirsync else answer(), bodies=(body,))


def one_change(*answers: Answer) -> tuple[SourceEntry, ScriptedLink]:
    sync, link = dirsync_of(changes(b"x"), changes(b"a"), *answers)
    asked = ["mail", "authOrig", "publicDelegates"]
    (page,) = sync.changes(sync.current_cookie(), asked, "(objectClass=user)")
    return page.entries[0], link


def test_a_list_told_in_parts_is_read_again_whole() -> None:
    told = listed({"mail": [b"m"], "authOrig;range=1-1": [LISTED % 1]})
    whole = listed({"authOrig": [LISTED % 1, LISTED % 2]}, dirsync=False)
    entry, link = one_change(told, whole)
    first, second = ((LISTED % number)[6:42] for number in (1, 2))
    assert entry.attributes == {"mail": (b"m",), "authOrig": (first, second)}
    asked = link.searches[-1]
    assert asked.base == "<GUID=aaaaaaaa-0000-0000-0000-000000000000>"
    assert "member" not in ",".join(asked.attributes)


def test_a_list_is_read_to_its_last_value_when_it_comes_in_ranges() -> None:
    told = listed({"authOrig;range=0-0": [LISTED % 9], "publicDelegates;range=1-1": [LISTED % 1]})
    start = listed({"authOrig": [], "authOrig;range=0-1": [LISTED % 1, LISTED % 2]}, dirsync=False)
    end = listed({"authOrig;range=1-*": [LISTED % 2, LISTED % 3]}, dirsync=False)
    entry, _ = one_change(told, start, end)
    assert len(entry.attributes["authOrig"]) == 3
    assert entry.attributes["publicDelegates"] == ()  # gone again meanwhile


@pytest.mark.parametrize("found", [answer(32), answer(10), answer()])
def test_a_list_of_what_is_gone_meanwhile_is_not_told(found: Answer) -> None:
    entry, _ = one_change(listed({"mail": [b"m"], "authOrig;range=0-0": [LISTED % 1]}), found)
    assert entry.attributes == {"mail": (b"m",)}


def test_no_list_of_a_tombstone_is_read() -> None:
    entry, _ = one_change(listed({"isDeleted": [b"TRUE"], "authOrig;range=0-0": [LISTED % 1]}))
    assert entry.deleted
    assert entry.attributes == {"isDeleted": (b"TRUE",)}


def test_a_list_that_cannot_be_read_fails_the_read() -> None:
    with pytest.raises(ReadFailedError):
        one_change(listed({"authOrig;range=1-1": [LISTED % 1]}), answer(50))


@pytest.mark.parametrize("last", [answer(), changes(b"")])
def test_changes_without_a_cookie_fail_the_read(last: Answer) -> None:
    sync, _ = dirsync_of(changes(b"x"), changes(b"a"), last)
    with pytest.raises(MalformedAnswerError):
        list(sync.changes(sync.current_cookie(), ["mail"], "(objectClass=user)"))
